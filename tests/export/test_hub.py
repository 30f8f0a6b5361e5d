"""What is sent to the hub: nothing without --push, and to a private place; against a fake of it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants
from typer.testing import CliRunner

from espejo.commands.cli import commands
from espejo.core.errors import UserError
from espejo.export import folders, hub

ADDRESS = "https://huggingface.co/ana/me"


class Fake(BaseHTTPRequestHandler):
    """As much of the hub's API as an upload needs; `server.requests` lists (method, path, body)."""

    def do_GET(self):
        self._note()
        if self.path.startswith("/api/models/ana/me"):
            if self.server.there is None:
                return self._send(404, {}, {"X-Error-Code": "RepoNotFound"})
            return self._send(200, {"id": "ana/me", "private": self.server.there, "siblings": []})
        return self._send(404, {})

    do_HEAD = do_GET

    def do_POST(self):
        body = self._note()
        if self.server.status != 200:
            return self._send(self.server.status, {"error": "no"})
        if self.path == "/api/repos/create":
            self.server.there = json.loads(body)["visibility"] == "private"
            return self._send(200, {"url": ADDRESS, "name": "ana/me"})
        if "/preupload/" in self.path:
            names = [file["path"] for file in json.loads(body)["files"]]
            files = [{"path": name, "uploadMode": "regular"} for name in names]
            return self._send(200, {"files": [file | {"shouldIgnore": False} for file in files]})
        if "/commit/" in self.path:
            commit = {"commitUrl": f"{ADDRESS}/commit/{'0' * 40}", "commitOid": "0" * 40}
            return self._send(200, commit)
        return self._send(200, {})

    def _note(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        self.server.requests.append((self.command, self.path, body))
        return body

    def _send(self, status, answer, headers=()):
        text = json.dumps(answer).encode()
        self.send_response(status)
        for name, value in {**dict(headers), "Content-Length": str(len(text))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture
def fake(monkeypatch):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Fake)
    server.requests, server.there, server.status = [], None, 200
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", "hf_of_a_test")
    yield server
    server.shutdown()


@pytest.fixture
def folder(tmp_path):
    with folders.written(tmp_path / "hub", {}) as draft:
        (draft / "README.md").write_text("---\nlicense: mit\n---\ncard", "utf-8")
        (draft / "config.json").write_text("{}", "utf-8")
    return tmp_path / "hub"


def created(server):
    """The body of the request that made the repository, or None."""
    bodies = [body for method, path, body in server.requests if path == "/api/repos/create"]
    return json.loads(bodies[0]) if bodies else None


def committed(server):
    """The names of the files in the commit."""
    for _, path, body in server.requests:
        if "/commit/" in path:
            lines = [json.loads(line) for line in body.decode().splitlines()]
            return sorted(line["value"]["path"] for line in lines if line["key"] == "file")
    return []


def test_nothing_is_sent_without_push(project, fake):
    ran = CliRunner().invoke(commands, ["export", "--to", "hub"])
    assert ran.exit_code == 0, ran.output
    assert fake.requests == []


def test_a_new_place_is_private(project, fake):
    ran = CliRunner().invoke(commands, ["export", "--to", "hub", "--adapter", "--push", "ana/me"])
    assert ran.exit_code == 0, ran.output
    assert created(fake)["visibility"] == "private"
    assert {"README.md", "adapter_model.safetensors", "espejo.json"} <= {*committed(fake)}
    assert folders.MARK not in committed(fake)
    assert "ana/me, private." in ran.output


def test_a_public_place_is_made_only_when_asked(folder, fake):
    hub.push(folder, "ana/me", public=True)
    assert created(fake)["visibility"] == "public"
    assert committed(fake) == ["README.md", "config.json"]


def test_a_place_that_is_public_already_gets_nothing_unless_asked(folder, fake):
    fake.there = False
    with pytest.raises(UserError, match="on the hub already, and public"):
        hub.push(folder, "ana/me", public=False)
    assert committed(fake) == []
    hub.push(folder, "ana/me", public=True)
    assert committed(fake) == ["README.md", "config.json"]


def test_a_private_place_that_is_there_stays_private(folder, fake):
    fake.there = True
    hub.push(folder, "ana/me", public=False)
    assert created(fake) is None
    assert committed(fake) == ["README.md", "config.json"]


@pytest.mark.parametrize(
    ("status", "sentence"), [(401, "does not let you write"), (403, "does not let"), (409, "refus")]
)
def test_the_hub_says_no(folder, fake, status, sentence):
    fake.status = status
    with pytest.raises(UserError, match=sentence):
        hub.push(folder, "ana/me", public=False)


def test_without_a_network_one_sentence(folder, fake, monkeypatch):
    fake.shutdown()
    fake.server_close()
    with pytest.raises(UserError, match="does not answer, so nothing was pushed"):
        hub.push(folder, "ana/me", public=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="does not answer, so nothing was pushed"):
        hub.push(folder, "ana/me", public=False)


def test_a_name_that_cannot_be(folder, fake):
    with pytest.raises(UserError, match="is no name on the hub"):
        hub.push(folder, "ana//me", public=False)
    assert fake.requests == []
