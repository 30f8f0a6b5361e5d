"""LICENSE, CITATION.cff, CONTRIBUTING, SECURITY and the licences agree with the project."""

import configparser
import re
import tomllib

import pytest
import yaml

from docs import licences
from tests.helpers.workshop import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PAGES = ("CONTRIBUTING.md", "SECURITY.md", "docs/licences.md")


def page(name):
    return (ROOT / name).read_text("utf-8")


def test_one_licence_everywhere():
    assert page("LICENSE").startswith("MIT License\n")
    assert "espejo's authors" in page("LICENSE")
    assert PROJECT["license"] == yaml.safe_load(page("CITATION.cff"))["license"] == "MIT"


def test_the_citation_has_what_its_schema_requires():
    citation = yaml.safe_load(page("CITATION.cff"))
    # Citation File Format 1.2.0: these four, and an author is a person or has a name.
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"]
    assert all(author["name"] for author in citation["authors"])
    assert citation["version"] == PROJECT["version"]


@pytest.mark.parametrize("name", PAGES)
def test_what_a_page_names_exists(name):
    text = page(name)
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    files = re.findall(r"`((?:espejo|tests|conf|docs|\.github|\.dvc)/[\w./-]+)`", text)
    for path in [(ROOT / name).parent / link for link in links] + [ROOT / file for file in files]:
        assert path.exists(), path
    targets = set(re.findall(r"^([\w-]+):", page("Makefile"), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([\w-]+)", text, re.MULTILINE)) <= targets


def test_the_licence_tables_are_those_of_the_lock_and_of_the_models():
    text = page("docs/licences.md")
    assert licences.filled(text) == text, "run `make docs`"
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    listed = {cells[0].strip("| `") for cells in rows}
    pinned = {
        line.split("==")[0] for line in page("requirements.lock").splitlines() if "==" in line
    }
    assert len(pinned) > 100
    assert pinned | {"torch"} <= listed
    assert {"gemma3", "phi3", "smollm2-clm"} <= listed
    assert all(cells[-1].strip("| ") for cells in rows)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"License-Expression": "MIT OR Apache-2.0", "License": "whatever"}, "MIT OR Apache-2.0"),
        ({"License": "apache-2.0"}, "Apache-2.0"),
        (
            {
                "License": "Copyright 2001 …\nmore",
                "Classifier": "License :: OSI Approved :: BSD License",
            },
            "BSD License",
        ),
        ({"License": "EPL | GPL", "Classifier": "License :: OSI Approved"}, "EPL | GPL"),
    ],
)
def test_what_a_package_says_its_licence_is(metadata, expected, monkeypatch):
    class Metadata(dict):
        def get_all(self, key, default):
            return [self[key]] if key in self else default

    monkeypatch.setattr(licences, "metadata", lambda package: Metadata(metadata))
    assert licences.licence("some") == expected


def test_a_model_without_a_licence_is_named(monkeypatch):
    monkeypatch.setattr(licences, "chosen", lambda: {"new": "somebody/new"})
    with pytest.raises(SystemExit, match=r"conf/model/new\.yaml: .* no licence of somebody/new"):
        list(licences.models())


def test_dvc_reports_nothing_about_its_use():
    config = configparser.ConfigParser()
    config.read(ROOT / ".dvc" / "config")
    assert config["core"] == {"analytics": "false", "check_update": "false"}
