"""Numbers of one's own chats are committed only after a yes, those of the demo always."""

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
REFUSAL = "espejo: not committed, for these are numbers of your own chats: "


def commit(folder, *config, check=True):
    """`git commit` of what is staged."""
    return run("git", *config, "commit", "-q", "-m", "mine", cwd=folder, check=check)


def refused(folder, *files):
    """Whether a commit is refused with a sentence that names these files, and HEAD stays."""
    before = run("git", "rev-parse", "HEAD", cwd=folder).stdout
    result = commit(folder, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith(REFUSAL), result.stderr
    assert result.stderr.count("\n") == 1
    assert all(name in result.stderr for name in files)
    return run("git", "rev-parse", "HEAD", cwd=folder).stdout == before


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone with the hook, in which an experiment has read own chats."""
    folder = workshop.clone(tmp_path_factory.mktemp("own"))
    assert run(*INSTALL, cwd=folder).stdout == ""
    workshop.mine(folder)
    run("dvc", "exp", "run", "-n", "own", "-S", "data=mine", "group", cwd=folder)
    return folder


def test_git_add_all_and_commit_after_a_run_on_own_chats_is_refused(clone):
    run("git", "add", "-A", cwd=clone)
    assert refused(clone, "dvc.lock", "metrics/clean.json", "and 1 more")
    # The command of the sentence leaves them out; everything else is committed.
    run("git", "restore", "--staged", "metrics", "plots", "dvc.lock", cwd=clone)
    commit(clone)
    stat = run("git", "show", "--stat=200", "--format=", "HEAD", cwd=clone).stdout
    assert [line.split()[0] for line in stat.splitlines()[:-1]] == ["params.yaml"]


@pytest.mark.parametrize("path", ["metrics", "dvc.lock"])
def test_any_part_of_them_is_refused(path, clone):
    run("git", "add", path, cwd=clone)
    assert refused(clone, path)
    run("git", "restore", "--staged", path, cwd=clone)
    (clone / "plots" / "mine.csv").write_text("a\n1\n", "utf-8")
    run("git", "add", "plots", cwd=clone)
    assert refused(clone, "plots/mine.csv")
    run("git", "rm", "-q", "-f", "plots/mine.csv", cwd=clone)


def test_dvc_keeps_and_compares_them_all_the_same(clone):
    diff = run("dvc", "metrics", "diff", "main", "own", cwd=clone).stdout
    assert "metrics/group.json" in diff
    assert "own" in run("dvc", "exp", "show", "--csv", cwd=clone).stdout
    # In this clone only: `git push` sends branches.
    assert run("git", "for-each-ref", "refs/exps", cwd=clone).stdout.count("/own\n") == 1
    remote = clone.parent / "remote.git"
    run("git", "init", "-q", "--bare", str(remote), cwd=clone)
    run("git", "push", "-q", str(remote), "main", cwd=clone)
    assert (
        run("git", "for-each-ref", "--format=%(refname)", cwd=remote).stdout == "refs/heads/main\n"
    )


def test_what_goes_into_git_confirms_no_guess_of_names_and_answers(clone):
    # The fixture's people.yaml came without a salt: the first run wrote one.
    path = clone / "data" / "raw" / "mine" / "people.yaml"
    salted = path.read_bytes()
    assert salted.endswith(workshop.PEOPLE.encode())
    lock = (clone / "dvc.lock").read_text("utf-8")
    assert hashlib.md5(salted).hexdigest() not in lock  # stages read the folder, with one hash
    guesses = [workshop.PEOPLE, workshop.PEOPLE.replace("train", "context")]
    for file in [clone / "dvc.lock", *(clone / ".git").rglob("*")]:  # refs/exps too
        if file.is_file():
            content = file.read_bytes()
            for _ in range(content.startswith((b"x\x01", b"x\x9c"))):
                content = zlib.decompress(content)
            for guess in guesses:
                assert hashlib.md5(guess.encode()).hexdigest().encode() not in content, file
    # It has no other hash of a file of the folder, and no file's name.
    assert "WhatsApp" not in lock
    chat = next(path.parent.glob("*.txt"))
    assert hashlib.md5(chat.read_bytes()).hexdigest() not in lock
    # That the stage wrote people.yaml while it ran leaves it up to date for DVC.
    assert "up to date" in run("dvc", "repro", "group", cwd=clone).stdout


def test_a_yes_is_a_yes_and_the_demo_needs_none(tmp_path):
    folder = workshop.clone(tmp_path)
    run(*INSTALL, cwd=folder)
    run("git", "rm", "-q", "-r", "--cached", "metrics", "plots", "dvc.lock", cwd=folder)
    commit(folder)
    run("git", "add", "metrics", "plots", "dvc.lock", cwd=folder)
    commit(folder)  # the demo's: dvc.lock has their MD5
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
    result = subprocess.run(
        ["git", "commit", "-q", "-a", "-m", "mine"],
        cwd=folder / "docs",
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert result.stderr.startswith(f"{REFUSAL}metrics/eval.json.")


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
    output = run(*INSTALL, cwd=tmp_path).stdout
    assert "add to it: python3 espejo/privacy/own_numbers.py || exit 1\n" in output
    assert output.count("\n") == 1
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


@pytest.mark.parametrize(
    ("raw", "dataset", "is_own"),
    [
        ("data/raw/qa", "null", False),  # invented, as the demo is
        ("data/raw/dialogues", "null", False),
        ("data/raw/mine", "null", True),
        ("data/raw/dialogues", "ana/private-chats", True),
    ],
)
def test_numbers_of_any_invented_data_may_be_committed(raw, dataset, is_own, tmp_path):
    metrics = tmp_path / "metrics" / "parse.json"
    metrics.parent.mkdir()
    metrics.write_text("{}", "utf-8")
    (tmp_path / "dvc.lock").write_text(
        f"stages:\n  parse:\n    cmd: python -m stages.parse {raw} data/messages.parquet\n"
        f"    params:\n      params.yaml:\n        data:\n          raw: {raw}\n"
        f"          dataset: {dataset}\n    outs:\n    - path: metrics/parse.json\n"
        f"      hash: md5\n      md5: {hashlib.md5(b'{}').hexdigest()}\n",
        "utf-8",
    )
    run("git", "init", "-q", cwd=tmp_path)
    run("git", "add", "-A", cwd=tmp_path)
    check = (sys.executable, str(workshop.ROOT / "espejo" / "privacy" / "own_numbers.py"))
    ran = run(*check, cwd=tmp_path, check=False)
    assert (ran.returncode, ran.stderr.startswith(REFUSAL)) == (int(is_own), is_own)


@pytest.mark.parametrize(
    ("content", "is_own"),
    [
        ("{}", False),
        ('{"name": "x", "data": "data/raw/demo"}', False),
        ('{"name": "x", "data": "data/raw/mine"}', True),
        ('{"name": "x", "data": "ana/private-chats"}', True),
        ('{"name": "x"}', True),
        ('["data/raw/demo"]', True),
        ("{", True),
    ],
)
def test_the_spread_between_trainings_is_judged_by_its_own_data(content, is_own, tmp_path):
    """The report depends on it, so that dvc.lock of the demo may hold the hash of one's own."""
    path = tmp_path / "metrics" / "repeat.json"
    path.parent.mkdir()
    path.write_text(content, "utf-8")
    (tmp_path / "dvc.lock").write_text(
        "stages:\n  parse:\n    cmd: python -m stages.parse data/raw/demo data/messages.parquet\n"
        "  report:\n    deps:\n    - path: metrics/repeat.json\n"
        f"      hash: md5\n      md5: {hashlib.md5(content.encode()).hexdigest()}\n",
        "utf-8",
    )
    run("git", "init", "-q", cwd=tmp_path)
    run("git", "add", "-A", cwd=tmp_path)
    check = (sys.executable, str(workshop.ROOT / "espejo" / "privacy" / "own_numbers.py"))
    ran = run(*check, cwd=tmp_path, check=False)
    assert (ran.returncode, ran.stderr.startswith(REFUSAL)) == (int(is_own), is_own)
