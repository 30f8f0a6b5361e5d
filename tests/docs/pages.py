"""The pages of the project for tests: their code, links and headings."""

import json
import re
import shlex
from pathlib import Path

from tests.helpers.workshop import ROOT

PAGES = (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
NOTEBOOKS = tuple(sorted((ROOT / "docs").glob("*.ipynb")))
# The CHANGELOG describes older versions.
PRESENT = tuple(page for page in PAGES if page.name != "CHANGELOG.md")

_FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_RECORDED = re.compile(r"<!-- fill .*?<!-- end -->", re.DOTALL)
_PROGRAMS = ("make", "espejo", "dvc", "python", "pytest", "git", "hf", "sbatch")


def fenced(text):
    """The code blocks of a page, as pairs of language and code."""
    return [(match["language"], match["code"]) for match in _FENCE.finditer(text)]


def spans(text):
    """What stands between backticks outside of code blocks."""
    return re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))


def headings(text):
    """Pairs of level and title."""
    return [
        (len(marks), title)
        for marks, title in re.findall(r"^(#+) (.+)$", _FENCE.sub("", text), re.MULTILINE)
    ]


def anchors(text):
    """The anchors (after #) that links to the page can use, by GitHub's rule."""
    titles = [re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title) for _, title in headings(text)]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def cells(notebook):
    """The cells of a notebook."""
    return json.loads(notebook.read_text("utf-8"))["cells"]


def _lines(path):
    """Every line of a page or notebook that may be a command, what was recorded left out."""
    if path.suffix == ".ipynb":
        for cell in cells(path):
            source = "".join(cell["source"])
            if cell["cell_type"] == "code":
                yield from (line[1:] for line in source.splitlines() if line.startswith("!"))
            else:
                yield from spans(source)
        return
    text = _RECORDED.sub("", path.read_text("utf-8"))
    for language, code in fenced(text):
        if language == "bash":
            yield from code.replace("\\\n", " ").splitlines()
    yield from spans(text)


def commands(path):
    """The commands of ours that a page or notebook names, each as a list of words."""
    result = []
    for line in _lines(path):
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an apostrophe: no command
            continue
        command = []
        for word in [*words, "&&"]:
            if word in ("&&", "|", ";", "and"):
                result.append(command)
                command = []
            elif not re.fullmatch(r"[A-Z_]+=\S*", word) or command:  # VARIABLE=value before it
                command.append(word)
    return [command for command in result if len(command) > 1 and command[0] in _PROGRAMS]


def name(path: Path):
    """The id of a page in the names of tests."""
    return str(path.relative_to(ROOT))
