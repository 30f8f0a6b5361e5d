"""How a program ends: in one sentence, whenever it fails; a bug of ours with its traceback."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
import torch
import yaml
from hydra.errors import ConfigCompositionException
from safetensors import SafetensorError

from espejo.commands import init, inputs
from espejo.core import faults, files
from espejo.core.errors import UserError
from tests.helpers.workshop import ROOT, environment, run

TABLE = Path("data/turns.parquet")


def raised(kind, *arguments, cause=None):
    error = kind(*arguments)
    error.__cause__ = cause
    return error


def yaml_error():
    try:
        yaml.safe_load("a: 1\nb: [1\n")
    except yaml.YAMLError as error:
        return error


MEMORY = "data/turns.parquet: there is not enough memory (close other programs"
FULL = "data/turns.parquet: the disk is full; make room there and run the same command again."


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "x"), FULL),
        (OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space"), FULL),
        (SafetensorError("I/O error: No space left on device (os error 28)"), FULL),
        (Exception("No space left on device (os error 28)"), FULL),
        (raised(RuntimeError, "saving failed", cause=OSError(errno.ENOSPC, "x")), FULL),
        (
            OSError(errno.EROFS, "x"),
            "data/turns.parquet: the disk can only be read; work in a copy",
        ),
        (OSError(errno.EDQUOT, "x"), "your share of the disk is used up; make room"),
        (PermissionError(errno.EACCES, "x"), "there is no permission to read or write it; allow"),
        (OSError(errno.ENAMETOOLONG, "x"), "the name is too long for the disk; shorten it."),
        (OSError(errno.EMFILE, "x"), "too many files are open; allow more with `ulimit -n 4096`"),
        (OSError(errno.ESTALE, "x"), f"{os.strerror(errno.ESTALE)}; fix that and run"),
        (
            FileNotFoundError(errno.ENOENT, "x"),
            "no such file or folder; `dvc repro` makes it again.",
        ),
        (RuntimeError("basic_ios::clear: iostream error"), "it cannot be written; make room there"),
        (MemoryError(), MEMORY),
        (pa.ArrowMemoryError("malloc of size 64 failed"), MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory."), MEMORY),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), MEMORY),
        (ImportError("libx.so: failed to map segment from shared object"), MEMORY),
        (OSError(errno.ENOMEM, "x"), MEMORY),
        (
            pa.ArrowInvalid("Parquet magic bytes not found. Either"),
            "is damaged, or not what espejo",
        ),
        (yaml_error(), "data/turns.parquet (line 3) is not valid YAML; remove it, and `dvc repro`"),
        (json.JSONDecodeError("x", "\n\n{", 2), "data/turns.parquet (line 3) is not valid JSON; "),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "x"), "turns.parquet is not text in UTF-8; "),
        (UnicodeEncodeError("utf-8", "a\udcff.txt", 1, 2, "x"), r"'a\udcff.txt' holds bytes that"),
        (RecursionError(), "data/turns.parquet is nested too deeply; "),
        (
            ConfigCompositionException("no model/x\nlong"),
            "conf/ does not compose (no model/x); fix",
        ),
        (BrokenPipeError(errno.EPIPE, "x"), "the program that reads this output (`| head`, say)"),
        (KeyboardInterrupt(), "stopped by Ctrl-C."),
        (UserError("As it is."), "As it is."),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_one_sentence(error, expected):
    sentence = faults.sentence(error, TABLE)
    assert expected in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")


@pytest.mark.parametrize(
    "error",
    [KeyError("a"), ValueError("x"), TypeError(), RuntimeError("shapes"), pa.ArrowInvalid()],
)
def test_a_defect_of_ours_has_none(error):
    assert faults.sentence(error) is None


def test_the_file_that_an_error_names_is_the_one_that_is_said():
    error = OSError(errno.ENOSPC, "x", b"/tmp/chat\xff.txt")
    assert faults.sentence(error).startswith("/tmp/chat\udcff.txt: the disk is full")


# Files


def test_a_file_is_as_it_was_where_writing_it_fails(tmp_path):
    path = tmp_path / "a.md"
    files.write("old", path)

    def write_half(error):
        with files.written(path) as draft:
            draft.write_text("ne")
            raise error

    with pytest.raises(UserError, match="a.md: the disk is full"):
        write_half(OSError(errno.ENOSPC, "x"))
    with pytest.raises(KeyboardInterrupt):
        write_half(KeyboardInterrupt())
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.md"]


def test_a_key_that_a_file_lacks_is_named_with_its_place(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("model: {generate: {top_k: 40}}\n", "utf-8")
    mapping = files.mapping(path, yaml.safe_load)
    assert mapping["model"]["generate"] == {"top_k": 40}
    assert mapping["model"].get("name") is None
    with pytest.raises(UserError, match=r"params\.yaml lacks model\.generate\.top_p; `python conf"):
        mapping["model"]["generate"]["top_p"]


# Programs

PROGRAM = """
import sys
from espejo.core import stage

def main():
    {body}

sys.argv[0] = "sing"
stage.run(main)
"""


def sing(body, **more):
    """A stage whose `main` is `body`."""
    return run(sys.executable, "-c", PROGRAM.format(body=body), cwd=ROOT, check=False, **more)


def test_a_defect_keeps_its_trace_and_says_whose_it_is():
    ran = sing("{}['hola']")
    assert ran.returncode == 1
    assert "Traceback" in ran.stderr
    assert ran.stderr.rstrip().splitlines()[-2] == "KeyError: 'hola'"
    assert ran.stderr.count("This is a defect of espejo, not of your files") == 1


def test_memory_that_is_full_is_said_and_nothing_runs_after_it():
    ran = sing("import atexit; atexit.register(print, 'bye'); raise MemoryError")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr.startswith("\nsing: there is not enough memory (")


def test_a_terminal_of_ascii_stops_nothing():
    ran = sing("print('ñandú 🎉')", PYTHONIOENCODING="ascii")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "\\xf1and\\xfa \\U0001f389\n"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_pipe_that_nobody_reads(unbuffered):
    reads, writes = os.pipe()
    os.close(reads)
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(body="print('hola')")],
        env=environment(PYTHONUNBUFFERED=unbuffered),
        cwd=ROOT,
        stdout=writes,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writes)
    assert ran.returncode == 1
    assert ran.stderr.strip() == (
        "sing: the program that reads this output (`| head`, say) ended before all was written."
    )


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_an_output_without_room():
    with open("/dev/full", "w") as full:
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(body="print('hola')")],
            env=environment(PYTHONUNBUFFERED=""),
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ran.returncode == 1
    assert ran.stderr.strip() == (
        "sing: standard output: the disk is full; make room there and run the same command again."
    )


def interrupted(*command, folder, after):
    """Exit status and last output of a program that gets Ctrl-C during its import of `after`."""
    (folder / "sitecustomize.py").write_text(
        # The module whose import is interrupted prints its name and then sleeps.
        "import sys, time\n"
        "class Slow:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {after!r}:\n"
        "            try:\n"
        "                print('now', flush=True)\n"
        "                time.sleep(60)\n"
        "            except KeyboardInterrupt:\n"
        "                raise ImportError('as some libraries make of it') from None\n"
        "sys.meta_path.insert(0, Slow())\n",
        "utf-8",
    )
    paths = f"{folder}{os.pathsep}{ROOT}"
    with subprocess.Popen(
        # What a shell starts in the background ignores SIGINT, and so would all that it starts.
        [
            sys.executable,
            "-c",
            "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
            "os.execv(sys.argv[1], sys.argv[1:])",
            *command,
        ],
        env=environment(PYTHONPATH=paths),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout.readline() == "now\n"
        running.send_signal(signal.SIGINT)
        told = running.communicate(timeout=30)[1].strip()
    return running.returncode, told


def test_ctrl_c_while_a_stage_imports(tmp_path):
    command = (sys.executable, "-m", "stages.report", "a", "b", "c", "d", "e")
    status, told = interrupted(*command, folder=tmp_path, after="pandas")
    assert status == 130
    assert told == f"report: {faults.STOPPED}"


def test_ctrl_c_while_the_command_imports(tmp_path):
    command = (sys.executable, str(tmp_path / "espejo"), "estimate")
    (tmp_path / "espejo").write_text("from espejo.commands.cli import app\napp()\n", "utf-8")
    status, told = interrupted(*command, folder=tmp_path, after="typer")
    assert status == 130
    assert told == f"espejo: {faults.STOPPED}"


# Before DVC


@pytest.fixture
def chats(tmp_path):
    (tmp_path / "chat.txt").write_text("x", "utf-8")
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "año.jpg").touch()
    inputs.check(tmp_path)
    return tmp_path


def bind(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


@pytest.mark.parametrize("make", [os.mkfifo, bind, lambda path: os.symlink("nowhere", path)])
@pytest.mark.parametrize("name", ["x.txt", "media/y"])
def test_what_is_no_file_among_the_chats(make, name, chats, monkeypatch):
    monkeypatch.chdir(chats)  # the name of a socket may have some hundred characters only
    make(name)
    with pytest.raises(UserError, match=f"^{name} is no ordinary file .*: move it away"):
        inputs.check(Path())


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS makes no file of such a name")
def test_a_name_that_is_not_utf_8(chats):
    Path(os.fsdecode(os.fsencode(chats / "chat") + b"\xff.txt")).touch()
    with pytest.raises(UserError, match="chat\udcff.txt: the name is not in UTF-8, .* rename"):
        inputs.check(chats)


def test_a_folder_of_chats_that_is_not_there(chats):
    with pytest.raises(UserError, match="nowhere is no folder: `make mine` makes"):
        inputs.check(chats / "nowhere")


def test_what_make_repro_says_first():
    ran = run(sys.executable, "-m", "espejo.commands.inputs", cwd=ROOT)
    assert ran.stdout.startswith("espejo: data data/raw/demo, model gemma3 (as params.yaml has it;")


@pytest.mark.parametrize(
    ("config", "number_asked"),
    [("", True), ("[user]\nname = Ana\n", True), ("[user]\nname = Ana\nemail = a@b.c\n", False)],
)
def test_make_mine_says_that_git_wants_a_name(config, number_asked, tmp_path, monkeypatch, capsys):
    (tmp_path / "gitconfig").write_text(config, "utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "conf" / "data").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    init.by_hand()
    assert ("git config --global user.name" in capsys.readouterr().out) is number_asked
