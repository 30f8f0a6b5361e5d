"""README.md, README.es.md and docs/: up to date, without dead links, the same in both languages."""

import json
import os
import re
import sys
from collections import Counter
from pathlib import Path

import pytest
import yaml

from docs import fill
from espejo.prediction.config import CHOICES
from tests.docs import pages
from tests.helpers.workshop import ROOT, run
from tests.pipeline.test_rooms import ROOMS

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
README, LEEME = ((ROOT / name).read_text("utf-8") for name in ("README.md", "README.es.md"))
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")


def column(text, head):
    """The code in the first cells of the table under the line `head`."""
    table = text.split(f"{head}\n", 1)[1].split("\n\n", 1)[0]
    return [re.findall(r"`([^`]+)`", row.split("|")[1]) for row in table.splitlines()[1:]]


@pytest.mark.parametrize("page", fill.PAGES, ids=pages.name)
def test_a_page_shows_what_its_files_and_commands_give(page, monkeypatch):
    ran = run("git", "status", "--porcelain", "metrics", "params.yaml", cwd=ROOT, check=False)
    if ran.returncode or ran.stdout:
        pytest.skip("metrics/ holds an experiment of this machine, the pages what is in git")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert fill.filled(page) == page.read_text("utf-8"), "run `make docs`"


def test_the_readmes_are_filled_in_their_language():
    assert "other people" in README
    assert "otras personas" in LEEME
    assert [block["name"] for block in fill.BLOCK.finditer(README)] == [
        block["name"] for block in fill.BLOCK.finditer(LEEME)
    ]


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = page.read_text("utf-8")
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"\w+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (
            anchor and anchor not in pages.anchors(target.read_text("utf-8"))
        ):
            wrong.append(link)
    assert not wrong


def test_every_page_of_docs_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md", ROOT / "README.es.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text("utf-8")):
            target = (page.parent / link).resolve()
            if target.suffix in (".md", ".ipynb") and target.is_file() and target not in reached:
                waiting.append(target)
    assert not {*pages.PAGES, *pages.NOTEBOOKS} - reached


def test_the_readme_is_read_to_the_end():
    assert len(README.splitlines()) <= 240
    prose = [line for line in README.splitlines() if not line.startswith("|")]
    assert max(map(len, prose)) <= 140


def without_comments(text):
    """The code of a page, without what is in the page's own language.

    Those are comments and the second column of the tree, after two blanks, and <placeholders>.
    """
    return [
        (language, re.sub(r"(?<=\S) {2,}.*", "", re.sub(r"<[^>\n]*>", "<>", code)))
        for language, code in pages.fenced(text)
    ]


def test_both_readmes_have_the_same_headings_code_and_figures():
    assert [level for level, _ in pages.headings(README)] == [
        level for level, _ in pages.headings(LEEME)
    ]
    assert without_comments(README) == without_comments(LEEME)
    tables = [
        [re.sub(r"[^|]", "", line) for line in text.splitlines() if line.startswith("|")]
        for text in (README, LEEME)
    ]
    assert tables[0] == tables[1]

    def figures(text):
        links = re.sub(r"\]\([^)]*\)", "]", text)
        return Counter(re.findall(r"\d[\d.,]*\d|\d", links)), Counter(pages.spans(links))

    english, spanish = figures(README), figures(LEEME)
    assert english[0] == spanish[0]
    assert english[1] == spanish[1]


def test_both_readmes_link_the_same_pages():
    translated = {"README.md": "README.es.md", "docs/colab.ipynb": "docs/colab.es.ipynb"}
    translated["docs/pictures/report.png"] = "docs/pictures/informe.png"
    translated["README.es.md"] = "README.md"
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert [translated.get(link, link) for link in links] == re.findall(r"\]\(([^)]+)\)", LEEME)


def test_the_last_line_of_make_repro_is_as_the_readme_says():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    last = re.search(r'^repro:.*?\n\t@echo "(espejo: done.*?)"', makefile, re.M | re.S)[1]
    assert f"```\n{last}\n```" in README


@pytest.mark.parametrize(
    ("text", "head"),
    [
        (README, "| stage | what it does |"),
        (LEEME, "| etapa | qué hace |"),
        (ARCHITECTURE, "| stage | what it does |"),
    ],
    ids=["README.md", "README.es.md", "architecture.md"],
)
def test_the_stages_are_those_of_dvc_yaml(text, head):
    assert {name for cell in column(text, head) for name in cell} == set(STAGES)


def test_the_architecture_names_the_rooms_and_tables():
    rooms = column(ARCHITECTURE, "| room | what is in it |")
    # In their order: the page says that a room imports only those above it.
    assert [name for cell in rooms for name in cell] == list(ROOMS)
    tables = column(ARCHITECTURE, "| file | one row is |")
    outs = [out for stage in STAGES.values() for out in stage["outs"] if isinstance(out, str)]
    tables_made = [out for out in outs if out.endswith(".parquet")]
    assert sorted(name for cell in tables for name in cell) == sorted(tables_made)


def test_every_model_is_in_the_table_of_models():
    page = (ROOT / "docs" / "models-and-hardware.md").read_text("utf-8")
    listed = column(page, "| name | what | needs |")
    models = [path.stem for path in (ROOT / "conf" / "model").glob("[!_]*.yaml")]
    assert sorted(name for cell in listed for name in cell) == sorted(models)


def test_a_model_needs_the_smallest_card_that_the_estimate_lists():
    page = (ROOT / "docs" / "models-and-hardware.md").read_text("utf-8")
    recorded = (ROOT / "docs" / "outputs" / "estimate.txt").read_text("utf-8")
    smallest = dict(re.findall(r"^([\w.-]+) .*?[\d.]+ GB  (\d+) ", recorded, re.MULTILINE))
    table = page.split("| name | what | needs |\n", 1)[1].split("\n\n", 1)[0]
    stated = dict(re.findall(r"^\| `([\w.-]+)` .*a GPU with (\d+) GB \|$", table, re.MULTILINE))
    assert len(stated) >= 11
    assert stated == {name: smallest[name] for name in stated}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["estimate.txt", "estimate-8gb.txt"])
def test_the_estimates_are_those_that_the_command_gives(name):
    command, _, recorded = (ROOT / "docs" / "outputs" / name).read_text("utf-8").partition("\n")
    assert recorded in run(*command.removeprefix("$ ").split(), cwd=ROOT).stdout


THOROUGH = fill.ROOT / "docs" / "results" / "thorough"


@pytest.mark.skipif(not THOROUGH.is_dir(), reason="`make thorough` has not been run")
def test_the_thorough_run_is_of_the_same_model_and_test_as_the_default_one():
    thorough, default = (
        json.loads((folder / "eval.json").read_text("utf-8"))
        for folder in (THOROUGH, fill.ROOT / "metrics")
    )
    assert thorough["test"] == default["test"]
    for name in ("base", "tuned"):
        bits = [scores[name][fill.OWN_BITS]["value"] for scores in (thorough, default)]
        assert bits[0] == pytest.approx(bits[1], abs=0.002)  # so much differ runs on other threads
    settings = yaml.safe_load((THOROUGH / "params.yaml").read_text("utf-8"))["predict"]
    assert {key: settings[key] for key in CHOICES["thorough"]} == CHOICES["thorough"]
    assert thorough["relevance"]["contexts"] > default["relevance"]["contexts"]
