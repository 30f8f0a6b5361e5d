"""README.md and docs/: what they show is what the files and commands give."""

import os
import re
import sys
from pathlib import Path

import pytest

from docs import fill
from tests.helpers.workshop import ROOT, run


@pytest.mark.parametrize("page", fill.PAGES, ids=lambda page: page.name)
def test_a_page_shows_what_its_files_and_commands_give(page, monkeypatch):
    ran = run("git", "status", "--porcelain", "metrics", "params.yaml", cwd=ROOT, check=False)
    if ran.returncode or ran.stdout:
        pytest.skip("metrics/ holds an experiment of this machine, the pages what is in git")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    text = page.read_text("utf-8")
    assert fill.BLOCK.search(text)
    assert fill.filled(text) == text, "run `make docs`"


@pytest.mark.parametrize("page", fill.PAGES, ids=lambda page: page.name)
def test_every_link_and_picture_of_a_page_is_there(page):
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    assert links
    missing = [link for link in links if not (page.parent / link).exists()]
    assert not missing
