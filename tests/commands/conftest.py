"""A folder to prepare one's own data in, and a terminal to be asked in."""

import shutil

import pexpect
import pytest

from tests.helpers.dialogue import COMMAND, GROUP, WRITERS, export
from tests.helpers.workshop import ROOT, environment


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with conf/ as it is here, in which the tests stand; its exports lie beside it."""
    folder = tmp_path / "espejo"
    shutil.copytree(ROOT / "conf", folder / "conf")
    (folder / "conf" / "data" / "mine.yaml").unlink(missing_ok=True)
    downloads = tmp_path / "My downloads"
    downloads.mkdir()
    (downloads / GROUP).write_text(export(WRITERS), "utf-8")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def downloads(project):
    return project.parent / "My downloads"


@pytest.fixture
def terminal(project):
    """terminal("--flag", …) is `espejo init` in a terminal of 100 columns."""
    children = []

    def start(*flags, **more):
        env = {**environment(), "PYTHONPATH": str(ROOT), "TERM": "xterm"}
        env |= {
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "LC_ALL": "C.UTF-8",
            **more,
        }
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *flags],
            cwd=project,
            env=env,
            encoding="utf-8",
            dimensions=(50, 100),
            timeout=60,
        )
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)
