"""`espejo chat` in a real terminal, with a bundled model and an adapter that changes nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
import yaml

from espejo.chat.local import LocalEngine
from espejo.core.errors import UserError
from espejo.model import loading, tokenizers
from espejo.training.sft import add_lora
from tests.helpers.configs import typed
from tests.helpers.workshop import run

ESPEJO = str(Path(sys.executable).parent / "espejo")


@pytest.fixture(autouse=True)
def in_english(monkeypatch):
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(scope="module")
def params(composed):
    """All sections, with short replies."""
    return composed("model=smollm2", "generate.max_new_tokens=12")


@pytest.fixture(scope="module")
def model(params, tmp_path_factory):
    """A folder as the stage train writes it; new adapters leave the base model as it is."""
    folder = tmp_path_factory.mktemp("chat") / "model"
    configs = typed(params)
    loading.save(
        add_lora(loading.load_base(configs.model), configs.train),
        tokenizers.load_tokenizer(configs.model),
        folder,
        {
            **{key: params[key] for key in ("model", "format", "train")},
            "data": configs.data.raw,
            "history": configs.group.history,
        },
    )
    return folder


@pytest.fixture
def project(params, tmp_path):
    """A folder with params.yaml."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    return tmp_path


@pytest.fixture
def terminal(model, project):
    """A terminal of 100 columns in which the chat has started."""
    command = [ESPEJO, "chat", "--model", str(model), "--seed", "3"]
    child = pexpect.spawn(
        command[0],
        command[1:],
        cwd=project,
        encoding="utf-8",
        dimensions=(40, 100),
        timeout=120,
        env={**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1"},
    )
    child.expect("smollm2 trained on data/raw/demo")
    child.expect("you ›")
    yield child
    child.close(force=True)


def reply_to(child, text, label):
    """Type `text`; returns the reply after `label`, up to the next prompt."""
    child.sendline(text)
    child.expect(label)
    child.expect("you ›")
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", child.before).strip()


def test_a_conversation_with_history_base_and_a_goodbye(terminal):
    assert reply_to(terminal, "hola, como andas?", "bot › ")
    assert reply_to(terminal, "que hiciste hoy?", "bot › ")
    assert reply_to(terminal, "/base", "base › ")
    terminal.sendline("/nada")
    terminal.expect("Unknown command /nada")
    terminal.expect("you ›")
    terminal.sendline("salir")
    terminal.expect("bye!")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_lines_from_a_pipe_are_answered_without_a_terminal(model, project):
    ran = subprocess.run(
        [ESPEJO, "chat", "--model", str(model), "--seed", "3"],
        input="hola\nexit\n",
        capture_output=True,
        text=True,
        cwd=project,
    )
    assert ran.returncode == 0
    assert "bot › " in ran.stdout
    assert "bye!" in ran.stdout
    assert "Warning" not in ran.stdout + ran.stderr


def test_the_command_reads_the_list_where_it_runs(model, params, project):
    section = {"decline": ["bomba"], "declined": "De eso no."}
    (project / "params.yaml").write_text(yaml.safe_dump({**params, "chat": section}), "utf-8")
    ran = subprocess.run(
        [ESPEJO, "chat", "--model", str(model)],
        input="una bomba\nQUIT\n",
        capture_output=True,
        text=True,
        cwd=project,
    )
    assert ran.returncode == 0, ran.stderr
    assert "declined by list › De eso no." in ran.stdout
    assert "bot ›" not in ran.stdout
    assert "bye!" in ran.stdout


def test_base_before_anything_was_said_and_ctrl_d(terminal):
    terminal.sendline("/base")
    terminal.expect("Say something first")
    terminal.expect("you ›")
    terminal.sendcontrol("d")
    terminal.expect("bye!")
    terminal.expect(pexpect.EOF)


def test_without_a_model_one_sentence_says_what_to_do(tmp_path):
    (tmp_path / "dvc.yaml").touch()
    ran = run(ESPEJO, "chat", "--model", str(tmp_path), cwd=tmp_path, check=False)
    assert ran.returncode == 1
    assert "run `make repro` first" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_that_there_is_no_model_is_said_before_torch_is_loaded(tmp_path):
    code = (
        "import sys; from espejo.commands.cli import app\ntry: app()\n"
        "except SystemExit as end: print(end, 'torch' in sys.modules)"
    )
    ran = run(sys.executable, "-c", code, "chat", cwd=tmp_path)
    assert "There is no trained model in model/" in ran.stdout
    assert ran.stdout.strip().endswith("False")


def test_an_engine_without_a_model_is_a_user_error(tmp_path):
    with pytest.raises(UserError, match="no trained model"):
        LocalEngine(tmp_path)


def test_commands_of_the_chat(model, project):
    lines = [
        *("/regenerate", "/save", "hola", "/regenerate", "/set temperature 0.2", "/set top_k x"),
        *("/set nada 1", "/help", "/save chat.txt", "/save params.yaml/x\0.txt", "/reset", "/base"),
    ]
    ran = subprocess.run(
        [ESPEJO, "chat", "--model", str(model), "--seed", "3", "--base", "--live"],
        input="\n".join([*lines, "exit"]) + "\n",
        capture_output=True,
        text=True,
        cwd=project,
    )
    assert ran.returncode == 0, ran.stderr
    out = ran.stdout
    assert "it is not that person" in re.sub(r"\s+", " ", out)
    assert "Say something first: /regenerate needs a message of yours." in out
    assert "Nothing was said yet." in out
    assert out.count("base › ") == 1  # below the first reply, by --base
    assert out.count("bot › ") >= 2
    assert "temperature 0.2 · top_k 0 · top_p 0.95" in out
    assert "top_k cannot be 'x': it has to be a valid integer." in out
    assert "nada is no setting of replies" in out
    assert "/save [FILE]  write this conversation" in out
    assert "A new conversation" in out
    assert "Say something first: /base needs a message of yours." in out
    saved = (project / "chat.txt").read_text("utf-8").splitlines()
    assert saved[0].startswith("A conversation with a bot of espejo, which imitates a person.")
    assert saved[1] == "you › hola"
    assert saved[2].startswith("bot › ")
    assert "params.yaml/x.txt" in out  # a file is no folder: said, and the chat goes on
    assert len(list(project.rglob("*.txt"))) == 1  # nothing is saved but what was asked for


@pytest.mark.parametrize("kind", ["dialogues", "questions"])
def test_the_demo_of_each_kind_sets_what_the_chat_remembers(composed, kind):
    data = {"dialogues": "dialogues", "questions": "qa"}[kind]
    params = composed(f"data={data}")
    assert params["data"]["kind"] == kind
    assert params["group"]["history"] == {"dialogues": 11, "questions": 1}[kind]
