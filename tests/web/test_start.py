"""What `espejo web` says before it loads a model, and the command itself with a real one."""

import io
import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest
import yaml

from espejo.core.errors import UserError
from espejo.model import loading, tokenizers
from espejo.training.sft import add_lora
from espejo.web import server, start
from tests.helpers.configs import typed
from tests.helpers.workshop import ROOT, run
from tests.web.conftest import send


def test_without_a_model_one_sentence_before_torch_and_gradio_are_loaded(tmp_path):
    code = (
        "import sys; from espejo.commands.cli import app\ntry: app()\n"
        "except SystemExit as end: print(end, {'torch', 'gradio', 'transformers'} & {*sys.modules})"
    )
    (tmp_path / "dvc.yaml").touch()
    ran = run(sys.executable, "-c", code, "web", cwd=tmp_path)
    assert "There is no trained model in model/" in ran.stdout
    assert "make repro" in ran.stdout
    assert ran.stdout.strip().endswith("set()")


def test_a_port_in_use_names_the_next_free_one():
    with start.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} is in use") as error:
            start.listen("127.0.0.1", port)
        free = int(re.search(r"--port (\d+)", str(error.value))[1])
        assert free > port
        with start.listen("127.0.0.1", free):
            pass


def test_an_address_of_another_machine_is_refused():
    with pytest.raises(UserError, match="is no IPv4 address of this machine"):
        start.listen("203.0.113.7", 0)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_this_machine_needs_no_password(host):
    assert start.password(host, {}) is None


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "example.org"])
def test_any_other_address_needs_one(host, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    with pytest.raises(UserError, match="needs a password"):
        start.password(host, {})
    with pytest.raises(UserError, match="too short"):
        start.password(host, {"ESPEJO_PASSWORD": "corta"})
    assert start.password(host, {"ESPEJO_PASSWORD": "una larga"}) == "una larga"


def test_no_password_is_an_argument():
    ran = run(sys.executable, "-m", "espejo", "web", "--help", cwd=ROOT)
    assert "--password" not in ran.stdout
    assert "ESPEJO_PASSWORD" in ran.stdout


def test_the_names_of_the_page():
    assert start.names("127.0.0.1") == ["127.0.0.1", "localhost", "127.0.0.1"]
    assert start.names("192.168.1.5")[0] == "192.168.1.5"
    assert socket.gethostname() in start.names("0.0.0.0")
    assert "*" not in start.names("0.0.0.0")


def test_a_language_that_is_none():
    start.check_language(None)
    with pytest.raises(UserError, match="There is no page in fr"):
        start.check_language("fr")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("es-AR,es;q=0.9,en;q=0.8", "es"),
        ("en-GB", "en"),
        ("fr-FR,fr;q=0.9,es;q=0.5", "es"),
        ("fr", "en"),
        ("", "en"),
        (None, "en"),
    ],
)
def test_the_language_that_a_browser_asks_for(accepted, language):
    assert server.preferred(accepted, ("en", "es")) == language


@pytest.fixture
def project(composed, tmp_path):
    """A folder with params.yaml and a model whose adapter changes nothing."""
    params = composed("model=smollm2", "generate.max_new_tokens=8")
    configs = typed(params)
    loading.save(
        add_lora(loading.load_base(configs.model), configs.train),
        tokenizers.load_tokenizer(configs.model),
        tmp_path / "model",
        {
            **{key: params[key] for key in ("model", "format", "train")},
            "data": configs.data.raw,
            "history": configs.group.history,
        },
    )
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    return tmp_path


@pytest.mark.model
def test_the_command_serves_a_real_model_until_ctrl_c(project, chromium):
    with start.listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "espejo", "web", "--port", str(port), "--no-pause", "--seed", "3"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        line = process.stdout.readline()
        assert line.startswith(f"espejo web: {address}"), process.communicate()
        page = chromium.new_page(locale="en-US")
        page.set_default_timeout(120_000)
        page.goto(address)
        page.wait_for_selector("#chat .empty")
        assert "smollm2, trained on data/raw/demo" in page.inner_text("#head")
        page.fill("#box textarea", "hola, como andas?")
        page.press("#box textarea", "Enter")
        page.locator("#chat .group.bot .bubble").first.wait_for()
        page.wait_for_selector("#box .submit-button")
        assert page.locator("#chat .group.bot .text").first.inner_text().strip()
        refused = httpx.get(address, headers={"host": "evil.example"}, timeout=60)
        assert refused.status_code == 400
        page.fill("#box textarea", "contame algo largo")
        send(page)
        page.wait_for_selector("#box .stop-button")
        process.send_signal(signal.SIGINT)  # while a page is open, and a reply is being written
        output, errors = process.communicate(timeout=60)
        page.close()
        assert process.returncode == 0, errors
        assert "Traceback" not in output + errors
    finally:
        process.kill()
