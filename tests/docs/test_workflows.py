"""GitHub's workflows: existing targets, the supported Pythons, and never a user's own chats."""

import hashlib
import json
import re
import tomllib

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from tests.helpers import workshop
from tests.helpers.workshop import ROOT, run

WORKFLOWS = {
    path.stem: yaml.load(path.read_text("utf-8"), yaml.BaseLoader)  # a YAML 1.1 `on` is True
    for path in (ROOT / ".github" / "workflows").glob("*.yml")
}
STEPS = [
    (name, step)
    for name, workflow in WORKFLOWS.items()
    for job in workflow["jobs"].values()
    for step in job["steps"]
]
TARGETS = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_every_make_target_that_is_run_exists():
    scripts = [step["run"] for _, step in STEPS if "run" in step]
    scripts.append((ROOT / ".ci" / "run").read_text("utf-8"))
    targets = [name for script in scripts for name in re.findall(r"^make ([\w-]+)", script, re.M)]
    assert {"setup", "check", "test", "test-slow", "test-without-model", "wheels"} == set(targets)
    assert set(targets) <= TARGETS
    assert any(script == "bash .ci/run" for script in scripts)


def test_actions_are_pinned_to_a_major_version():
    used = {step["uses"] for _, step in STEPS if "uses" in step}
    assert used == {"actions/checkout@v4", "actions/setup-python@v5", "iterative/setup-cml@v2"}


def test_linux_runs_on_the_oldest_and_the_newest_python_and_macos_on_one_of_ours():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    suitable = SpecifierSet(project["requires-python"])
    ours = [f"3.{minor}" for minor in range(8, 20) if f"3.{minor}.1" in suitable]
    jobs = WORKFLOWS["ci"]["jobs"]
    assert jobs["linux"]["strategy"]["matrix"]["python"] == [ours[0], ours[-1]]
    chosen = [step["with"] for _, step in STEPS if "setup-python" in step.get("uses", "")]
    versions = [settings["python-version"] for settings in chosen]
    assert {version for version in versions if "matrix" not in version} <= set(ours)
    # The Makefile asks the same of a Python.
    assert "(3, 11) <= sys.version_info < (3, 14)" in (ROOT / "Makefile").read_text("utf-8")
    assert (ours[0], ours[-1]) == ("3.11", "3.13")


def test_the_long_tests_run_by_the_clock():
    assert WORKFLOWS["nightly"]["on"]["schedule"]


@pytest.fixture
def commented(tmp_path):
    """commented(folder) runs the step that comments; returns its exit status and the comment."""
    cml = tmp_path / "bin" / "cml"
    cml.parent.mkdir()
    cml.write_text(f'#!/bin/sh\ntest "$1 $2" = "comment create" && cp "$3" {tmp_path}/posted\n')
    cml.chmod(0o755)
    (script,) = (step["run"] for name, step in STEPS if "cml comment" in step.get("run", ""))

    def comment(folder):
        path = f"{cml.parent}:{workshop.environment()['PATH']}"
        ran = run("bash", "-e", "-c", script, cwd=folder, check=False, BASE="main", PATH=path)
        posted = tmp_path / "posted"
        return ran, posted.read_text("utf-8") if posted.exists() else None

    return comment


def changed(folder, path, content):
    """Change an output of the pipeline that is in git, and its hash in dvc.lock, like a new run."""
    (folder / path).write_bytes(content)
    lock, md5 = folder / "dvc.lock", hashlib.md5(content).hexdigest()
    entry = rf"(- path: {re.escape(path)}\n +hash: md5\n +md5: )\w+"
    text, places = re.subn(entry, rf"\g<1>{md5}", lock.read_text("utf-8"))
    assert places
    lock.write_text(text, "utf-8")


def test_a_pull_request_gets_what_it_changes_in_numbers_and_pictures(tmp_path, commented):
    folder = workshop.clone(tmp_path / "clone")
    run("git", "checkout", "-q", "-b", "better", cwd=folder)
    counts = json.loads((folder / "metrics" / "group.json").read_text("utf-8"))
    old, counts["sessions"] = counts["sessions"], 125
    changed(folder, "metrics/group.json", json.dumps(counts).encode())
    changed(folder, "plots/funnel.png", b"another picture")
    run("git", "commit", "-q", "-a", "-m", "better", cwd=folder)
    ran, comment = commented(folder)
    assert ran.returncode == 0, ran.stderr
    (row,) = (line for line in comment.splitlines() if line.startswith("|") and ".json" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["metrics/group.json", "sessions", str(old), "125", str(125 - old)]
    assert re.findall(r"!\[.*?\]\((.*?)\)", comment) == ["plots/funnel.png"]
    assert run("git", "status", "--porcelain", "-uno", cwd=folder).stdout == ""


def test_numbers_that_are_not_the_demos_are_never_posted(tmp_path, commented):
    folder = workshop.clone(tmp_path / "clone")
    run("git", "checkout", "-q", "-b", "own", cwd=folder)
    (folder / "metrics" / "group.json").write_text('{"sessions": 125}', "utf-8")
    run("git", "commit", "-q", "-a", "-m", "own", cwd=folder)
    ran, comment = commented(folder)
    assert ran.returncode
    assert "these are numbers of your own chats: metrics/group.json" in ran.stderr
    assert comment is None
