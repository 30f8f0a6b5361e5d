"""The folder of a Space: what is in it, and that its app runs by itself."""

import os
import re
import socket
import subprocess
import sys
import time

import httpx
import pytest
import yaml

from espejo.chat.decline import Blocklist
from espejo.export import space
from espejo.model import bundled, loading, tokenizers
from espejo.model import manifest as manifests
from espejo.training.sft import add_lora
from tests.helpers.configs import typed
from tests.helpers.workshop import ROOT

NEEDED = {"app.py", "README.md", "requirements.txt", "params.yaml", "espejo", "model", "cache"}


@pytest.fixture(scope="module")
def folder(composed, tmp_path_factory):
    params = composed("model=smollm2", "generate.max_new_tokens=8")
    configs = typed(params)
    model = tmp_path_factory.mktemp("trained") / "model"
    loading.save(
        add_lora(loading.load_base(configs.model), configs.train),
        tokenizers.load_tokenizer(configs.model),
        model,
        {
            **{key: params[key] for key in ("model", "format", "train")},
            "data": "data/raw/mine",
            "history": configs.group.history,
        },
    )
    manifest = {**manifests.read(model), "data": "chats"}
    folder = tmp_path_factory.mktemp("space")
    space.write(folder, model, manifest, configs.generate, Blocklist(("bomba",), "no"))
    return folder


def test_a_space_is_whole_and_private(folder):
    assert {path.name for path in folder.iterdir()} == NEEDED
    front = yaml.safe_load((folder / "README.md").read_text("utf-8").split("---")[1])
    assert front["sdk"] == "gradio"
    assert front["app_file"] == "app.py"
    assert "ESPEJO_PASSWORD" in (folder / "README.md").read_text("utf-8")
    assert "data/raw/mine" not in (folder / "model" / "espejo.json").read_text("utf-8")
    base = bundled.folder("smollm2")
    assert (folder / "cache" / "espejo" / "models" / base.name / "config.json").is_file()
    assert not (folder / "espejo" / "training").exists()  # only what the page needs
    assert not (folder / "espejo" / "export").exists()


def test_its_requirements_are_pins_of_the_lock(folder):
    lines = (folder / "requirements.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    lock = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "requirements.lock").read_text(), re.M))
    lock = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in lock.items()}
    assert {"gradio", "fastapi", "uvicorn", "transformers", "peft", "torch"} <= pins.keys()
    others = {"torch", "setuptools", "pip"}  # which the lock leaves out
    assert {name: lock.get(name) for name in pins.keys() - others} == {
        name: pins[name] for name in pins.keys() - others
    }
    assert not {"dvc", "pytest", "trl"} & pins.keys()


def started(folder, **environment):
    """Its app in a process that knows nothing of this project's folder."""
    clean = {name: os.environ[name] for name in os.environ if name != "PYTHONPATH"}
    return subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=folder,
        env={**clean, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.model
def test_its_app_answers_behind_its_password(folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = started(folder, ESPEJO_PASSWORD="una clave larga", PORT=str(port))
    try:
        deadline = time.monotonic() + 240
        while process.poll() is None and time.monotonic() < deadline:
            try:
                page = httpx.get(f"http://127.0.0.1:{port}/en/", timeout=60)
                break
            except httpx.TransportError:
                time.sleep(0.2)
        else:
            raise AssertionError(process.communicate()[0])
        assert page.status_code == 200
        assert "auth_required" in page.text
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            client.get("/en/")
            form = {"username": "yo", "password": "una clave larga"}
            assert client.post("/en/login", data=form).status_code == 200
            assert client.get("/en/config").status_code == 200
    finally:
        process.terminate()
        process.communicate(timeout=60)


def test_without_its_secret_it_says_what_is_missing(folder):
    process = started(folder, ESPEJO_PASSWORD="")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "needs a secret called ESPEJO_PASSWORD" in output
    assert "Traceback" not in output
