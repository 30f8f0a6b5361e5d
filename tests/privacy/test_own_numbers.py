"""Numbers of one's own chats go in no commit without a yes; those of the demo do."""

import hashlib
import stat
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.helpers import workshop
from tests.helpers.workshop import run

INSTALL = (sys.executable, "espejo/privacy/own_numbers.py", "--install")
TOLD = "espejo: not committed, for these are numbers of your own chats: "


def commit(folder, *config, check=True):
    """`git commit` of what is staged."""
    return run("git", *config, "commit", "-q", "-m", "mine", cwd=folder, check=check)


def refused(folder, *named):
    """Whether a commit is refused with a sentence that names these files, and HEAD stays."""
    before = run("git", "rev-parse", "HEAD", cwd=folder).stdout
    ran = commit(folder, check=False)
    assert ran.returncode == 1
    assert ran.stderr.startswith(TOLD), ran.stderr
    assert ran.stderr.count("\n") == 1
    assert all(name in ran.stderr for name in named)
    return run("git", "rev-parse", "HEAD", cwd=folder).stdout == before


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A clone with the hook, in which own chats were read as an experiment."""
    folder = workshop.clone(tmp_path_factory.mktemp("own"))
    assert run(*INSTALL, cwd=folder).stdout == ""
    workshop.mine(folder)
    run("dvc", "exp", "run", "-n", "own", "-S", "data=mine", "group", cwd=folder)
    return folder


def test_git_add_all_and_commit_after_a_run_on_own_chats_is_refused(ran):
    run("git", "add", "-A", cwd=ran)
    assert refused(ran, "dvc.lock", "metrics/clean.json", "and 1 more")
    # What the sentence says leaves them out, and all else goes in.
    run("git", "restore", "--staged", "metrics", "plots", "dvc.lock", cwd=ran)
    commit(ran)
    held = run("git", "show", "--stat=200", "--format=", "HEAD", cwd=ran).stdout
    assert [line.split()[0] for line in held.splitlines()[:-1]] == ["params.yaml"]


@pytest.mark.parametrize("path", ["metrics", "dvc.lock"])
def test_any_part_of_them_is_refused(path, ran):
    run("git", "add", path, cwd=ran)
    assert refused(ran, path)
    run("git", "restore", "--staged", path, cwd=ran)
    (ran / "plots" / "mine.csv").write_text("a\n1\n", "utf-8")
    run("git", "add", "plots", cwd=ran)
    assert refused(ran, "plots/mine.csv")
    run("git", "rm", "-q", "-f", "plots/mine.csv", cwd=ran)


def test_dvc_keeps_and_compares_them_all_the_same(ran):
    shown = run("dvc", "metrics", "diff", "main", "own", cwd=ran).stdout
    assert "metrics/group.json" in shown
    assert "own" in run("dvc", "exp", "show", "--csv", cwd=ran).stdout
    # In this clone only: `git push` sends branches.
    assert run("git", "for-each-ref", "refs/exps", cwd=ran).stdout.count("/own\n") == 1
    remote = ran.parent / "remote.git"
    run("git", "init", "-q", "--bare", str(remote), cwd=ran)
    run("git", "push", "-q", str(remote), "main", cwd=ran)
    assert (
        run("git", "for-each-ref", "--format=%(refname)", cwd=remote).stdout == "refs/heads/main\n"
    )


def test_what_goes_into_git_confirms_no_guess_of_names_and_answers(ran):
    # The fixture's people.yaml came without a salt: the first run wrote one.
    path = ran / "data" / "raw" / "mine" / "people.yaml"
    salted = path.read_bytes()
    assert salted.endswith(workshop.PEOPLE.encode())
    held = (ran / "dvc.lock").read_text("utf-8")
    assert held.count(hashlib.md5(salted).hexdigest()) == 1  # clean reads it
    guesses = [workshop.PEOPLE, workshop.PEOPLE.replace("train", "context")]
    for file in [ran / "dvc.lock", *(ran / ".git").rglob("*")]:  # refs/exps too
        if file.is_file():
            content = file.read_bytes()
            for _ in range(content.startswith((b"x\x01", b"x\x9c"))):
                content = zlib.decompress(content)
            for guess in guesses:
                assert hashlib.md5(guess.encode()).hexdigest().encode() not in content, file
    # Nor is there any other hash of a file of the folder, or its name.
    assert "WhatsApp" not in held
    chat = next(path.parent.glob("*.txt"))
    assert hashlib.md5(chat.read_bytes()).hexdigest() not in held
    # Writing it while the stage ran is nothing new to DVC.
    assert "up to date" in run("dvc", "repro", "group", cwd=ran).stdout


def test_a_yes_is_a_yes_and_the_demo_needs_none(tmp_path):
    folder = workshop.clone(tmp_path)
    run(*INSTALL, cwd=folder)
    run("git", "rm", "-q", "-r", "--cached", "metrics", "plots", "dvc.lock", cwd=folder)
    commit(folder)
    run("git", "add", "metrics", "plots", "dvc.lock", cwd=folder)
    commit(folder)  # the demo's, as dvc.lock has them
    assert run("git", "status", "--porcelain", cwd=folder).stdout == ""

    lock = folder / "dvc.lock"
    lock.write_text(lock.read_text("utf-8").replace("data/raw/demo", "data/raw/mine"), "utf-8")
    (folder / "metrics" / "parse.json").write_text("{}\n", "utf-8")
    run("git", "add", "-A", cwd=folder)
    assert refused(folder, "metrics/parse.json")
    commit(folder, "-c", "espejo.share=yes")
    (folder / "README.md").write_text("x\n", "utf-8")
    run("git", "commit", "-q", "-a", "-m", "what is in it already is no matter", cwd=folder)


def test_the_hook_works_from_any_folder_without_the_environment(tmp_path):
    folder = workshop.clone(tmp_path)
    run(*INSTALL, cwd=folder)
    hook = folder / ".git" / "hooks" / "pre-commit"
    assert hook.stat().st_mode & stat.S_IXUSR
    (folder / "metrics" / "eval.json").write_text("{}\n", "utf-8")
    said = subprocess.run(
        ["git", "commit", "-q", "-a", "-m", "mine"],
        cwd=folder / "docs",
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert said.returncode == 1
    assert said.stderr.startswith(f"{TOLD}metrics/eval.json.")


@pytest.mark.parametrize("where", ["hooks", "elsewhere"])
def test_somebodys_own_hook_stays_and_the_line_to_add_is_told(where, tmp_path):
    run("git", "init", "-q", cwd=tmp_path)
    script = Path("espejo/privacy/own_numbers.py")
    (tmp_path / script).parent.mkdir(parents=True)
    (tmp_path / script).write_bytes((workshop.ROOT / script).read_bytes())
    hook = tmp_path / ".git" / "hooks" / "pre-commit"
    if where == "hooks":
        hook.write_text("#!/bin/sh\necho mine\n", "utf-8")
    else:
        run("git", "config", "core.hooksPath", str(tmp_path / "shared"), cwd=tmp_path)
    said = run(*INSTALL, cwd=tmp_path).stdout
    assert "add to it: python3 espejo/privacy/own_numbers.py || exit 1\n" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "shared").exists()
    assert (hook.read_text("utf-8") if hook.exists() else "#!/bin/sh\necho mine\n") == (
        "#!/bin/sh\necho mine\n"
    )


def test_the_hook_is_installed_once_and_outside_of_git_nothing_is_said(tmp_path):
    folder = workshop.clone(tmp_path / "a")
    for _ in range(2):
        assert run(*INSTALL, cwd=folder).stdout == ""
    script = Path("espejo/privacy/own_numbers.py")
    (tmp_path / script).parent.mkdir(parents=True)
    (tmp_path / script).write_bytes((folder / script).read_bytes())
    assert run(*INSTALL, cwd=tmp_path, GIT_CEILING_DIRECTORIES=str(tmp_path.parent)).stdout == ""


def test_make_setup_installs_it():
    plan = run("make", "--dry-run", "--always-make", "setup", cwd=workshop.ROOT).stdout
    assert "python espejo/privacy/own_numbers.py --install" in plan
