"""`espejo forget`: what it says before it removes anything, and what is left afterwards."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
import yaml

from tests.helpers.workshop import ROOT, environment, init_dvc, run

COMMAND = [sys.executable, "-m", "espejo.commands.cli", "forget"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A commit with the demo's numbers."""
    folder = tmp_path_factory.mktemp("forget") / "project"
    stage = {"cmd": "mkdir model && touch model/weights", "params": ["n"], "outs": ["model"]}
    for name, text in {
        "dvc.yaml": yaml.safe_dump({"stages": {"train": stage}}),
        "params.yaml": "n: 1\n",
        "metrics/eval.json": "{}",
        "plots/loss.csv": "loss\n",
        ".gitignore": "/data\n/model\n/reports\n",
        "model/weights": "0" * 2_500_000,
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    run("git", "init", "-q", cwd=folder)
    run("git", "config", "user.name", "tester", cwd=folder)
    run("git", "config", "user.email", "tester@localhost", cwd=folder)
    init_dvc(folder)
    run("dvc", "commit", "-q", "-f", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run("git", "commit", "-qm", "demo", cwd=folder)
    run("git", "update-ref", f"refs/exps/ab/{'0' * 38}/own", "HEAD", cwd=folder)
    run("git", "update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD", cwd=folder)
    return folder


@pytest.fixture
def project(demo, tmp_path):
    """A copy of it after a run on somebody's chats and an experiment."""
    shutil.copytree(demo, tmp_path, dirs_exist_ok=True)
    (tmp_path / "metrics" / "eval.json").write_text('{"mine": 1}', "utf-8")
    raw = tmp_path / "data" / "raw" / "mine"
    raw.mkdir(parents=True)
    (raw / "people.yaml").write_text("author: Ana\n", "utf-8")
    (tmp_path / "data" / "turns.parquet").write_bytes(b"1" * 1_200_000)
    # A link, as DVC may have made it: its bytes are on the disk once.
    os.link(tmp_path / "data" / "turns.parquet", tmp_path / "data" / "copy.parquet")
    return tmp_path


def left(folder):
    """Whether the table, the model, the cache and the experiment are there."""
    references = run("git", "for-each-ref", "refs/exps", cwd=folder).stdout
    return [
        *((folder / name).exists() for name in ("data/turns.parquet", "model", ".dvc/cache")),
        bool(references),
    ]


def answered(folder, line):
    env = {**environment(), "PYTHONPATH": str(ROOT)}
    child = pexpect.spawn(
        COMMAND[0], COMMAND[1:], cwd=folder, env=env, encoding="utf-8", timeout=180
    )
    child.expect_exact("Remove all of it?")
    told = child.before
    child.sendline(line)
    child.expect(pexpect.EOF)
    return told, child.before


def test_it_says_what_goes_and_removes_it_after_a_yes_alone(project):
    told, end = answered(project, "")
    assert "Nothing was removed." in end
    assert left(project) == [True] * 4
    rows = {line.split()[0]: line.split()[1:] for line in told.splitlines() if line[:2] == "  "}
    assert rows["data/*.parquet"] == ["1.2", "MB", "tables"]
    assert rows["model"][:2] == ["2.5", "MB"]
    assert rows["experiments"] == ["1"]
    assert "reports" not in rows  # there are none

    _, end = answered(project, "y")
    assert "Removed." in end
    assert left(project) == [False] * 4
    assert (project / "data" / "raw" / "mine" / "people.yaml").exists()
    assert run("git", "status", "--porcelain", cwd=project).stdout == ""  # numbers as committed

    # Nothing is asked where there is nothing left.
    again = run(*COMMAND, cwd=project, PYTHONPATH=str(ROOT)).stdout
    assert again == "Nothing that was made from chats is left in this folder.\n"


def commit(folder, message, file, text):
    """The commit of a file on a branch that is then gone: only the reflog of HEAD names it."""
    run("git", "checkout", "-q", "-B", "gone", cwd=folder)
    (folder / file).write_text(text, "utf-8")
    run("git", "add", file, cwd=folder)
    run("git", "commit", "-qm", message, cwd=folder)
    lost = run("git", "rev-parse", "HEAD", cwd=folder).stdout.strip()
    run("git", "checkout", "-q", "-f", "main", cwd=folder)
    run("git", "branch", "-qD", "gone", cwd=folder)
    return lost


def test_git_cannot_give_the_numbers_of_experiments_back_and_keeps_other_lost_commits(project):
    run("git", "branch", "-qM", "main", cwd=project)
    run("dvc", "exp", "run", "-q", "-n", "first", "-S", "n=101", cwd=project)
    run("dvc", "exp", "run", "-q", "--queue", "-n", "second", "-S", "n=102", cwd=project)
    run("dvc", "exp", "remove", "-q", "second", cwd=project)
    run("dvc", "exp", "apply", "-q", "first", cwd=project)
    run("git", "checkout", "-q", "-f", "main", cwd=project)
    own = commit(project, "a text of mine", "text.txt", "mine")
    run("git", "repack", "-q", "-A", "-d", cwd=project)  # in packs prune alone finds nothing
    (project / "params.yaml").write_text("n: 103\n", "utf-8")
    run("git", "stash", "-q", cwd=project)  # as DVC does
    run("git", "stash", "drop", "-q", cwd=project)
    (project / "dvc.yaml").write_text("stages: {}\n", "utf-8")
    run("git", "stash", "-q", cwd=project)
    other = run("git", "rev-parse", "stash", cwd=project).stdout.strip()
    run("git", "stash", "drop", "-q", cwd=project)

    def numbers():
        command = ["git", "cat-file", "--batch-all-objects", "--batch"]
        objects = subprocess.run(command, cwd=project, capture_output=True).stdout  # not all text
        return re.findall(rb"^n: (10\d)$", objects, re.MULTILINE)

    assert sorted(set(numbers())) == [b"101", b"102", b"103"]
    run(*COMMAND, "--yes", cwd=project, PYTHONPATH=str(ROOT))
    assert numbers() == []
    reflog = run("git", "reflog", cwd=project).stdout
    assert "a text of mine" in reflog
    assert "dvc: commit" not in reflog
    assert run("git", "show", f"{own}:text.txt", cwd=project).stdout == "mine"
    assert run("git", "show", f"{other}:dvc.yaml", cwd=project).stdout == "stages: {}\n"


def test_a_branch_that_holds_an_experiment_is_named(project):
    run("dvc", "exp", "run", "-q", "-n", "first", "-S", "n=101", cwd=project)
    run("dvc", "exp", "branch", "-q", "first", "kept", cwd=project)
    told = run(*COMMAND, "--yes", cwd=project, PYTHONPATH=str(ROOT)).stdout
    assert "Not removed: refs/heads/kept, which holds experiments" in told
    assert run("git", "show", "kept:params.yaml", cwd=project).stdout == "n: 101\n"


def test_without_a_terminal_it_names_the_flag_which_asks_nothing(project):
    ran = run(*COMMAND, cwd=project, check=False, PYTHONPATH=str(ROOT))
    assert ran.returncode == 1
    assert "there is no terminal to ask in: `espejo forget --yes`" in ran.stderr
    assert left(project) == [True] * 4
    listed = re.search("site_cache_dir: (.+)", run("dvc", "doctor", cwd=project).stdout)[1]
    assert Path(listed).exists()  # where DVC notes the names of files
    run(*COMMAND, "--yes", cwd=project, PYTHONPATH=str(ROOT))
    assert not Path(listed).exists()
    assert left(project) == [False] * 4


def test_outside_the_project_it_removes_nothing(tmp_path):
    (tmp_path / "model").mkdir()
    ran = run(*COMMAND, "--yes", cwd=tmp_path, check=False, PYTHONPATH=str(ROOT))
    assert "There is no dvc.yaml here" in ran.stderr
    assert (tmp_path / "model").exists()


def test_copies_outside_of_the_project_are_named_and_stay(project, tmp_path):
    cache, backup = tmp_path / "shared cache", tmp_path / "backup"
    run("dvc", "cache", "dir", "--local", str(cache), cwd=project)
    run("dvc", "remote", "add", "--local", "--default", "disk", str(backup), cwd=project)
    run("dvc", "commit", "-q", "-f", cwd=project)
    run("dvc", "push", "-q", cwd=project)
    ran = run(*COMMAND, "--yes", cwd=project, PYTHONPATH=str(ROOT))
    assert f"Not removed: DVC's cache in {cache}, since other projects may use it\n" in ran.stdout
    assert "Not removed: what `dvc push` has sent to the remote disk, since other" in ran.stdout
    assert any(cache.rglob("*"))
    assert any(backup.rglob("*"))
    assert left(project)[:2] == [False] * 2
