"""llama.cpp's server: found, started on loopback behind a key, and ended with its parent."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psutil
import pytest

from espejo.core.errors import UserError
from espejo.serving import llama_cpp, ports
from tests.helpers import tiny_gguf

installed = pytest.mark.skipif(
    not (llama_cpp.FOLDER / "xllamacpp").is_dir(), reason="xllamacpp is not installed"
)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory):
    return tiny_gguf.write(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def server(gguf):
    with closing(llama_cpp.Server(gguf, 256)) as running:
        yield running


def ask(port, method, path, **headers):
    """Status and headers of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port)) as connection:
        connection.request(method, path, "{}", headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers


def test_a_program_on_the_path_comes_before_the_module(tmp_path, monkeypatch):
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert llama_cpp.find() == [str(program)]


def test_the_program_of_a_checkout_comes_before_the_path(tmp_path):
    built = tmp_path / "build" / "bin" / "llama-server"
    built.parent.mkdir(parents=True)
    built.write_text("#!/bin/sh\n")
    built.chmod(0o755)
    assert llama_cpp.find(tmp_path) == [str(built)]


def test_a_checkout_that_was_not_built(tmp_path):
    with pytest.raises(UserError, match="build it there"):
        llama_cpp.find(tmp_path)


def test_without_any_llama_cpp_a_sentence_says_where_it_was_looked_for(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(llama_cpp, "FOLDER", tmp_path / "nothing")
    with pytest.raises(UserError, match="neither a program llama-server on the PATH nor xllamacpp"):
        llama_cpp.find()


def test_a_port_in_use_names_the_next_that_is_free():
    with socket.socket() as first, socket.socket() as second:
        first.bind(("127.0.0.1", 0))
        first.listen()
        port = first.getsockname()[1]
        try:
            second.bind(("127.0.0.1", port + 1))
        except OSError:
            pytest.skip("the next port is in use already")
        second.listen()
        with pytest.raises(UserError, match=f"Port {port} is in use") as refused:
            ports.choose(port)
    proposed = int(str(refused.value).split("--port ")[1].split("`")[0])
    assert proposed > port + 1
    assert ports.choose(proposed) == proposed


@installed
def test_it_writes_what_it_is_asked_piece_by_piece(server):
    body = {"prompt": [1, 100, 101], "n_predict": 6, "temperature": 0, "ignore_eos": True}
    parts = list(server.stream("/completion", body))
    assert len(parts) > 1
    assert parts[-1]["timings"]["predicted_n"] == 6


@installed
def test_it_listens_on_loopback_only(server):
    children = psutil.Process(server._process.pid).children(recursive=True)
    places = [place.laddr for child in children for place in child.net_connections("inet")]
    assert {place.ip for place in places} == {"127.0.0.1"}


@installed
def test_without_its_key_nobody_reads_or_asks_anything(server):
    """What a page of another site can send: by DNS rebinding under a host of its own."""
    foreign = {"Host": "evil.example", "Origin": "http://evil.example"}
    for headers in ({}, foreign, {"Authorization": "Bearer guess"}):
        for method, path in (
            *(("GET", "/v1/models"), ("GET", "/slots"), ("GET", "/props"), ("POST", "/props")),
            *(("POST", "/completion"), ("POST", "/v1/chat/completions"), ("POST", "/tokenize")),
        ):
            assert ask(server.port, method, path, **headers)[0] == 401
    assert ask(server.port, "GET", "/", **foreign)[0] == 404  # no page of its own


@installed
def test_pages_of_other_sites_are_not_allowed_to_read_an_answer(server):
    key = {"Authorization": f"Bearer {server._key}"}
    for origin in ("http://evil.example", "null", "http://localhost.evil.example"):
        for method in ("GET", "OPTIONS"):
            _, headers = ask(server.port, method, "/v1/models", Origin=origin, **key)
            assert "Access-Control-Allow-Origin" not in headers


@installed
def test_the_key_is_not_among_the_arguments(server):
    process = psutil.Process(server._process.pid)
    for each in (process, *process.children(recursive=True)):
        assert server._key not in " ".join(each.cmdline())


@installed
def test_200_requests_at_once_are_all_answered(server):
    body = {"prompt": [1, 100], "n_predict": 2, "ignore_eos": True}
    with ThreadPoolExecutor(200) as people:
        answers = list(
            people.map(lambda _: list(server.stream("/completion", body))[-1], range(200))
        )
    assert [answer["timings"]["predicted_n"] for answer in answers] == [2] * 200


@installed
def test_a_refused_request_is_a_sentence(server):
    with pytest.raises(UserError, match="llama.cpp refused what it was asked"):
        list(server.stream("/completion", {"prompt": list(range(3, 250)) * 4, "n_predict": 1}))


@installed
def test_a_damaged_file(tmp_path, gguf):
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(gguf.read_bytes()[:20_000])
    with pytest.raises(UserError, match=r"cut\.gguf.*export --to gguf"):
        llama_cpp.Server(cut, 256)


@installed
def test_a_kind_of_model_that_llama_cpp_does_not_know(tmp_path):
    file = tiny_gguf.write(tmp_path / "new.gguf", "gpt99")
    with pytest.raises(UserError, match="unknown model architecture: 'gpt99'"):
        llama_cpp.Server(file, 256)


@installed
def test_a_server_that_was_killed_is_a_sentence(gguf):
    with closing(llama_cpp.Server(gguf, 256)) as server, ThreadPoolExecutor(1) as person:
        (child,) = psutil.Process(server._process.pid).children()
        child.suspend()  # or it might have written all before it is killed
        reply = person.submit(list, server.stream("/completion", {"prompt": [1], "n_predict": 9}))
        child.kill()
        with pytest.raises(UserError, match=r"ended by signal 9.*close other programs"):
            reply.result(60)


BREAKS_OFF = """\
import http.server, os, signal, sys

class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{{}}")

    def do_POST(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write({sent!r})
        {end}

port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
PART = b'15\r\ndata: {"content": 1}\n\r\n'
CUT = b'd\r\ndata: {"conte\r\n'


@pytest.mark.parametrize("sent", [PART, PART + PART[:12], PART + PART[:-2], PART + CUT])
@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", r"ended by signal 9.*close other programs"),
        ("self.connection.shutdown(2)", r"llama\.cpp broke off a reply: run the same command"),
    ],
    ids=["killed", "broken off"],
)
def test_a_reply_that_ends_in_the_middle_is_a_sentence(sent, end, sentence, tmp_path, monkeypatch):
    """Between two parts, within one, at the end of one, and within one that comes in two."""
    monkeypatch.setattr(llama_cpp, "_END_SECONDS", 20 if "kill" in end else 0.1)
    program = tmp_path / "build" / "bin" / "llama-server"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!{sys.executable}\n{BREAKS_OFF.format(sent=sent, end=end)}")
    program.chmod(0o755)
    with closing(llama_cpp.Server(tmp_path / "model.gguf", 256, checkout=tmp_path)) as server:
        parts = server.stream("/completion", {"prompt": [1]})
        assert next(parts) == {"content": 1}
        with pytest.raises(UserError, match=sentence):
            list(parts)


def test_too_little_memory_is_said(tmp_path, monkeypatch):
    """A server that ends with the words of llama.cpp for it."""
    program = tmp_path / "llama-server"
    program.write_text("#!/bin/sh\necho 'E ggml_backend_cpu_buffer_type_alloc_buffer: failed to "
                       "allocate buffer of size 99' >&2\nexit 1\n")  # fmt: skip
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(UserError, match="not enough memory to run"):
        llama_cpp.Server(tmp_path / "model.gguf", 256)


@installed
@pytest.mark.parametrize("way", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_ends_with_its_parent_however_that_ends(gguf, way):
    code = (
        "import sys, time; from pathlib import Path; from espejo.serving import llama_cpp\n"
        "server = llama_cpp.Server(Path(sys.argv[1]), 256); print(server.port, flush=True)\n"
        "time.sleep(99)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(gguf)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as parent:
        port = int(parent.stdout.readline())
        assert ask(port, "GET", "/health")[0] == 200
        parent.send_signal(way)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            ask(port, "GET", "/health")
        except (OSError, http.client.HTTPException):
            return
        time.sleep(0.05)
    pytest.fail("the server still answers")


@installed
def test_it_asks_no_proxy(gguf, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with closing(llama_cpp.Server(gguf, 256)) as server:
        assert json.dumps(server.properties)
