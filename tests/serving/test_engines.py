"""`espejo serve`: which engine, which export, which arguments; and transformers for real."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests
import yaml
from openai import AuthenticationError, OpenAI

from espejo.core.errors import UserError
from espejo.model import manifest as manifests
from espejo.serving import engines, exports, llama_cpp, ports
from tests.helpers import tiny, tiny_gguf
from tests.helpers.configs import typed
from tests.helpers.workshop import environment

# A program that notes its arguments and its environment beside itself.
FAKE = f"""#!{sys.executable}
import json, os, sys
with open(f"{{sys.argv[0]}}.calls", "a") as calls:
    print(json.dumps([sys.argv[1:], {{**os.environ, "PWD_OF_CALL": os.getcwd()}}]), file=calls)
"""
# Ollama: its server answers, and is found running by the same program when it creates a model.
OLLAMA = (
    FAKE
    + """
if sys.argv[1] == "serve":
    from http.server import BaseHTTPRequestHandler, HTTPServer
    class Version(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"version": "0"}')
        def log_message(self, *_):
            pass
    host, port = os.environ["OLLAMA_HOST"].split(":")
    HTTPServer((host, int(port)), Version).serve_forever()
"""
)
SPECIALS = ["<|im_start|>", "<|im_end|>", "<pad>"]


@pytest.fixture(scope="module")
def params(composed):
    return composed("model=smollm2", "generate.temperature=0.5")


@pytest.fixture
def project(params, tmp_path, monkeypatch):
    """A folder with a model's manifest and one of every export, in which the test runs."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    manifest = {key: params[key] for key in ("model", "format", "train")}
    manifest |= {"data": "data/raw/mine", "history": 4, "data_sha256": "a1"}
    (tmp_path / "model").mkdir()
    manifests.write(manifest, tmp_path / "model")
    for name in ("merged", "gguf", "ollama"):
        (tmp_path / "exports" / name).mkdir(parents=True)
        away = {**manifest["train"], "sample_prompts": [], "method": "full"}  # as it is exported
        given_away = {**manifest, "data": "chats", "train": away, "exported": name}
        manifests.write(given_away, tmp_path / "exports" / name)
    tiny_gguf.write(tmp_path / "exports" / "gguf" / "model-f16.gguf")
    (tmp_path / "exports" / "ollama" / "Modelfile").write_text("FROM ./model.gguf\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def job(params):
    return engines.Job(Path("model"), typed(params).generate)


def on_path(programs):
    """Write fake programs; returns their folder, for the PATH."""
    for name, text in programs:
        program = Path("bin", name)
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    return Path("bin").resolve()


@contextmanager
def served(*arguments, programs=(), **more):
    """`espejo serve` with fake programs first on the PATH: the process and what it printed."""
    env = environment(**more)
    env["PATH"] = f"{on_path(programs)}{os.pathsep}{env['PATH']}"
    command = [sys.executable, "-m", "espejo", "serve", *arguments]
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            lines = [process.stdout.readline() for _ in range(5)]
            yield process, dict(line.strip().split("=", 1) for line in lines[2:])
        finally:
            process.terminate()


def calls(name, count=1):
    """The first calls of a fake program: arguments and environment."""
    file = Path("bin", f"{name}.calls")
    for _ in range(1200):
        if file.is_file() and (text := file.read_text()).count("\n") >= count:
            return [json.loads(line) for line in text.splitlines()]
        time.sleep(0.05)
    pytest.fail(f"{name} was not called")


def value(arguments, option):
    return arguments[arguments.index(option) + 1]


def test_llama_server_gets_the_newest_gguf_the_settings_and_a_key_in_its_environment(project):
    older = tiny_gguf.write(project / "exports" / "ollama" / "model.gguf")
    os.utime(older, (1, 1))
    port = ports.choose()
    with served("--port", str(port), programs=[("llama-server", FAKE)]) as (_, client):
        [[arguments, env]] = calls("llama-server")
    assert value(arguments, "--model") == "exports/gguf/model-f16.gguf"
    assert value(arguments, "--host") == "127.0.0.1"
    assert value(arguments, "--port") == str(port)
    assert value(arguments, "--temp") == "0.5"
    assert value(arguments, "--samplers") == "penalties;temperature;top_k;top_p"
    assert "--no-webui" in arguments
    assert client["base_url"] == f'"http://127.0.0.1:{port}/v1"'
    assert client["model"] == f'"{value(arguments, "--alias")}"' == '"espejo"'
    assert client["api_key"] == f'"{env["LLAMA_API_KEY"]}"'
    assert len(env["LLAMA_API_KEY"]) >= 32
    assert env["LLAMA_API_KEY"] not in arguments
    assert env["LLAMA_ARG_CORS_ORIGINS"] == "localhost"


def test_llama_server_ends_a_reply_at_the_tags_of_a_next_turn(project, composed):
    tags = composed("format=turns")["format"]
    for folder in ("model", "exports/gguf"):
        manifests.write({**manifests.read(project / folder), "format": tags}, project / folder)
    with served("--port", str(ports.choose()), programs=[("llama-server", FAKE)]):
        [[arguments, _]] = calls("llama-server")
    places = [place for place, name in enumerate(arguments) if name == "--reverse-prompt"]
    assert {"[OTRO]", "[YO]"} <= {arguments[place + 1] for place in places}


def test_vllm_gets_the_base_model_with_the_adapter_and_the_exported_template(project):
    manifest = manifests.read(project / "model")
    manifest["model"] |= {"source": "hub", "id": "an/id", "added_tokens": []}
    manifest |= {"resolved_revision": "c0ffee"}
    manifest["train"] |= {"method": "lora", "rank": 12}
    for folder in ("model", "exports/merged"):
        manifests.write(manifest, project / folder)
    arguments = ("--engine", "vllm", "--port", str(ports.choose()))
    with served(*arguments, programs=[("vllm", FAKE)], ESPEJO_API_KEY="mine") as (_, client):
        [[arguments, env]] = calls("vllm")
    assert arguments[:2] == ["serve", "an/id"]
    assert value(arguments, "--revision") == "c0ffee"
    assert value(arguments, "--lora-modules") == "espejo=model"
    assert value(arguments, "--max-lora-rank") == "16"
    assert value(arguments, "--chat-template") == "exports/merged/chat_template.jinja"
    assert value(arguments, "--host") == "127.0.0.1"
    assert json.loads(value(arguments, "--override-generation-config"))["temperature"] == 0.5
    assert env["VLLM_API_KEY"] == "mine"
    assert env["VLLM_NO_USAGE_STATS"] == "1"
    assert client["api_key"] == '"mine"'


def test_vllm_gets_the_merged_weights_where_it_could_not_load_the_adapter(project):
    for folder in ("model", "exports/merged"):
        manifest = manifests.read(project / folder)
        manifest["model"]["added_tokens"] = ["<|msg_sep|>"]
        manifests.write(manifest, project / folder)
    arguments = ("--engine", "vllm", "--port", str(ports.choose()))
    with served(*arguments, programs=[("vllm", FAKE)]):
        [[arguments, _]] = calls("vllm")
    assert arguments[:2] == ["serve", "exports/merged"]
    assert value(arguments, "--served-model-name") == "espejo"
    assert "--enable-lora" not in arguments


def test_ollama_is_started_and_given_the_model(project):
    port = ports.choose()
    arguments = ("--engine", "ollama", "--port", str(port))
    with served(*arguments, programs=[("ollama", OLLAMA)]) as (process, client):
        [[serve, env], [create, other]] = calls("ollama", 2)
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
        with pytest.raises(ConnectionError):  # the server that it started has ended as well
            socket.create_connection(("127.0.0.1", port), timeout=5)
    assert serve == ["serve"]
    assert create == ["create", "espejo", "-f", "Modelfile"]
    assert Path(other["PWD_OF_CALL"]) == project / "exports" / "ollama"
    assert env["OLLAMA_HOST"] == other["OLLAMA_HOST"] == f"127.0.0.1:{port}"
    assert client["base_url"] == f'"http://127.0.0.1:{port}/v1"'


def test_an_ollama_that_takes_no_model_is_ended(project):
    port = ports.choose()
    folder = on_path([("ollama", OLLAMA + "else:\n    sys.exit('no space left')\n")])
    env = environment()
    env["PATH"] = f"{folder}{os.pathsep}{env['PATH']}"
    command = [sys.executable, "-m", "espejo", "serve", "--engine", "ollama", "--port", str(port)]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180)
    assert ran.returncode == 1
    assert "no space left" in ran.stderr
    assert "`ollama create` failed; it says why above." in ran.stderr
    assert "Traceback" not in ran.stderr
    with pytest.raises(ConnectionError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_an_ollama_that_runs_is_only_given_the_model(project):
    port = ports.choose()
    with served("--engine", "ollama", "--port", str(port), programs=[("ollama", OLLAMA)]):
        with served("--engine", "ollama", "--port", str(port)) as (second, _):
            assert second.wait(20) == 0
        assert [call[0][0] for call in calls("ollama", 3)] == ["serve", "create", "create"]


def test_the_first_engine_that_has_its_export_is_taken(project, job, monkeypatch):
    started = []
    for name in engines.ENGINES:
        monkeypatch.setitem(engines.ENGINES, name, lambda _, name=name: started.append(name))
    monkeypatch.setattr(engines, "_is_installed", lambda *_: True)
    for folder in ("gguf", "ollama", "merged"):
        engines.start(None, job)
        shutil.rmtree(project / "exports" / folder)
    engines.start(None, job)
    assert started == ["llama.cpp", "llama.cpp", "vllm", "llama.cpp"]


@pytest.mark.parametrize(
    ("engine", "target"),
    [("llama.cpp", "gguf"), ("transformers", "merged"), ("vllm", "merged"), ("ollama", "ollama")],
)
def test_a_missing_export_names_the_command_that_makes_it(
    project, job, monkeypatch, engine, target
):
    shutil.rmtree(project / "exports")
    monkeypatch.setattr(engines, "_is_installed", lambda *_: True)
    with pytest.raises(UserError, match=f"run `espejo export --to {target}` first"):
        engines.start(engine, job)


def test_the_export_of_another_model_is_refused(project):
    manifest = manifests.read(project / "model")
    manifests.write({**manifest, "data_sha256": "b2"}, project / "model")
    with pytest.raises(UserError, match=r"is not of the model in model/ .*data_sha256"):
        exports.newest_gguf(Path("model"))
    with pytest.raises(UserError, match="is not of the model in model/"):
        exports.folder("merged", Path("model"))


def test_a_gguf_of_which_nothing_is_known_is_refused(project, tmp_path_factory):
    file = tiny_gguf.write(tmp_path_factory.mktemp("elsewhere") / "model.gguf")
    with pytest.raises(UserError, match="nobody knows"):
        exports.check_same(file, Path("model"))
    with pytest.raises(UserError, match="There is no nothing.gguf"):
        exports.check_same(Path("nothing.gguf"), Path("model"))


def test_without_any_engine_a_sentence_says_which_were_looked_for(project, job, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(llama_cpp, "FOLDER", project / "nothing")
    monkeypatch.setattr(engines.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"neither llama\.cpp .*ollama, nor vllm, nor transformers"):
        engines.start(None, job)
    with pytest.raises(UserError, match="vllm is not installed here"):
        engines.start("vllm", job)


def test_a_port_in_use_is_said_before_anything_is_started(project):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ran = subprocess.run(
            [sys.executable, "-m", "espejo", "serve", "--port", str(port)],
            capture_output=True,
            text=True,
        )
    assert ran.returncode == 1
    assert f"Port {port} is in use" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.fixture
def merged(project):
    """exports/merged with a tiny model that has a chat template, and that model."""
    tokenizer = tiny.trained_tokenizer(
        SPECIALS, "<|im_end|>", tiny.CHATML, None, "<pad>", pieces="bytes"
    )
    model = tiny.llama(len(tokenizer), pad_token_id=tokenizer.pad_token_id, bos_token_id=None)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(project / "exports" / "merged")
    tokenizer.save_pretrained(project / "exports" / "merged")
    return tokenizer, model


def test_transformers_serve_with_the_real_client(merged):
    """Text equal to greedy generation, streamed too; nobody without the key; 200 at once."""
    tokenizer, model = merged
    messages = [{"role": "user", "content": "hola che ¿venís hoy?"}]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    new = output[0, inputs["input_ids"].shape[1] :]
    expected = tokenizer.decode(new, skip_special_tokens=True)
    with served("--engine", "transformers", "--port", str(ports.choose())) as (process, printed):
        settings = {name: text.strip('"') for name, text in printed.items()}
        name = settings.pop("model")
        client = OpenAI(**settings)
        root = settings["base_url"].removesuffix("/v1")
        key = {"Authorization": f"Bearer {settings['api_key']}"}
        until = time.monotonic() + 120
        while process.poll() is None and time.monotonic() < until:
            try:
                if requests.get(f"{root}/health", headers=key, timeout=60).ok:
                    break
            except requests.RequestException:
                time.sleep(0.1)

        def ask(max_tokens=12, **more):
            return client.chat.completions.create(
                model=name, messages=messages, temperature=0, max_tokens=max_tokens, **more
            )

        answer = ask()
        assert answer.choices[0].message.content == expected
        assert answer.usage.completion_tokens == len(new)
        parts = [part.choices[0].delta.content for part in ask(stream=True) if part.choices]
        assert len(list(filter(None, parts))) > 1
        # Random weights end inside a character of several bytes.
        streamed = "".join(filter(None, parts)).removesuffix("<|im_end|>")
        assert streamed == expected.rstrip("\ufffd")

        # A page of another site: with a host of its own (DNS rebinding), or by a plain request.
        foreign = {"Host": "evil.example", "Origin": "http://evil.example"}
        for path in ("/v1/models", "/health", "/docs", "/openapi.json"):
            assert requests.get(root + path, headers=foreign).status_code == 401
        for path in ("/reset", "/load_model", "/v1/chat/completions", "/v1/responses"):
            refused = requests.post(root + path, "{}", headers=foreign)
            assert refused.status_code == 401
            assert not [name for name in refused.headers if "access-control" in name.lower()]
        preflight = requests.options(f"{root}/v1/chat/completions", headers=foreign)
        assert "access-control-allow-origin" not in preflight.headers
        with pytest.raises(AuthenticationError, match="Wrong API key"):
            OpenAI(base_url=settings["base_url"], api_key="guess").models.list()

        with ThreadPoolExecutor(200) as people:
            answers = list(people.map(lambda _: ask(max_tokens=2), range(200)))
        assert len({answer.choices[0].message.content for answer in answers}) == 1


@pytest.mark.skipif(
    not (llama_cpp.FOLDER / "xllamacpp").is_dir(), reason="xllamacpp is not installed"
)
def test_llama_cpp_with_the_real_client(project):
    """The module's server takes every option that `espejo serve` gives, and streams."""
    with served("--port", str(ports.choose())) as (_, printed):
        settings = {name: text.strip('"') for name, text in printed.items()}
        name = settings.pop("model")
        client = OpenAI(**settings, max_retries=20)  # it answers 503 while it loads

        def ask(**more):
            return client.completions.create(model=name, prompt="ab", max_tokens=6, **more)

        text = ask(temperature=0).choices[0].text
        streamed = ask(temperature=0, stream=True)
        # Random weights end inside a character of several bytes.
        assert "".join(part.choices[0].text for part in streamed) == text.rstrip("\ufffd")
        assert [model.id for model in client.models.list()] == ["espejo"]


def test_torch_is_not_needed_to_start_an_engine():
    code = "import sys, espejo.serving.engines; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
