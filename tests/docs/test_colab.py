"""docs/colab.ipynb and its Spanish twin: their cells run, but for those that need Colab itself."""

import os
import re
import subprocess

import pytest

from tests.docs import pages
from tests.helpers import workshop
from tests.helpers.workshop import AUTHOR, PARTNER, ROOT, chat

ENGLISH, SPANISH = (ROOT / "docs" / name for name in ("colab.ipynb", "colab.es.ipynb"))
# By the name (id) of the cell: the card, Google's Drive, the clone and .venv of a test are its own.
SKIPPED = {"card", "drive", "clone", "setup", "report"}


def code(notebook):
    """The code cells: triples of name, tags and source."""
    return [
        (cell["id"], set(cell["metadata"].get("tags", ())), "".join(cell["source"]))
        for cell in pages.cells(notebook)
        if cell["cell_type"] == "code"
    ]


def python(source):
    """A cell in plain Python: a line `!command` runs the command, {NAME} in it filled in."""
    return re.sub(r"^!(.*)$", lambda line: f"shell({line[1]!r})", source, flags=re.MULTILINE)


def executed(notebook, values):
    """Run the cells; `values` are set after the cell of settings. Returns what was printed."""
    names, printed = {}, []

    def shell(line):
        filled = re.sub(r"\{(\w+)\}", lambda name: str(names[name[1]]), line)
        ran = subprocess.run(filled, shell=True, capture_output=True, text=True)
        assert ran.returncode == 0, f"{filled}\n{ran.stdout}\n{ran.stderr}"
        printed.append(ran.stdout)

    names["shell"] = shell
    for name, tags, source in code(notebook):
        if "colab" not in tags:
            exec(compile(python(source), f"cell {name}", "exec"), names)
        if "parameters" in tags:
            names |= values
    return "".join(printed)


@pytest.mark.parametrize("notebook", [ENGLISH, SPANISH], ids=pages.name)
def test_only_what_needs_colab_is_skipped(notebook):
    assert {name for name, tags, _ in code(notebook) if "colab" in tags} == SKIPPED
    for name, tags, source in code(notebook):
        if "colab" not in tags:
            compile(python(source), name, "exec")


def test_both_notebooks_have_the_same_code():
    def bare(notebook):
        return [
            (name, tags, re.sub("# .*| --language es", "", source))
            for name, tags, source in code(notebook)
        ]

    assert bare(ENGLISH) == bare(SPANISH)
    kinds = [[cell["cell_type"] for cell in pages.cells(page)] for page in (ENGLISH, SPANISH)]
    assert kinds[0] == kinds[1]


def test_what_is_asked_for_is_what_the_notebook_says():
    names = {}
    exec(next(source for name, _, source in code(ENGLISH) if name == "params"), names)
    assert names["OPTIONS"] == "-S model=phi3 -S train=qlora-15gb"
    setup = next(source for name, _, source in code(ENGLISH) if name == "setup")
    torch = re.search(r"^TORCH \?= (\S+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert f"TORCH={torch[1]}+cu" in setup


@pytest.mark.slow
def test_the_cells_train_report_save_and_chat_and_a_second_session_goes_on(tmp_path, monkeypatch):
    for name in ("PATH", "MPLBACKEND", "GIT_CONFIG_GLOBAL"):  # so that what the cells set goes
        monkeypatch.setenv(name, workshop.environment().get(name, ""))
    drive = tmp_path / "drive"
    (drive / "exports").mkdir(parents=True)
    (drive / "exports" / f"Chat de WhatsApp con {PARTNER}.txt").write_text(chat(), "utf-8")
    values = {"DRIVE": drive, "EXPORTS": drive / "exports", "ME": AUTHOR}
    values["OPTIONS"] = "-S model=smollm2 -S experiment=smoke"

    first, second = (workshop.clone(tmp_path / name) for name in ("first", "second"))
    monkeypatch.chdir(first)
    printed = executed(ENGLISH, values)
    assert "Running stage 'train'" in printed
    assert "bot ›" in printed
    assert "base ›" in printed
    assert (drive / "saved" / "model" / "espejo.json").is_file()
    assert (drive / "saved" / "reports" / "report.html").is_file()
    assert any((drive / "cache").iterdir())

    monkeypatch.chdir(second)
    printed = executed(SPANISH, values)
    assert "Running stage" not in printed
    assert "bot ›" in printed
    weights = "model/adapter_model.safetensors"
    assert (second / weights).read_bytes() == (first / weights).read_bytes()
    assert os.environ["MPLBACKEND"] == "agg"
