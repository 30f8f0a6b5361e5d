"""No old name of the glossary is left in code, tests, settings or documents.

Old names live on in CHANGELOG.md, in docs/results/ (measured by older versions), and where old
manifests and params files are read: espejo/model/manifest.py and espejo/core/config.py.
"""

import ast
import re
import subprocess
from collections import Counter

import pytest

from tests.helpers.workshop import ROOT

READ_OLD_NAMES = ("espejo/model/manifest.py", "espejo/core/config.py")
MAY_HOLD_OLD_NAMES = (*READ_OLD_NAMES, "CHANGELOG.md", "docs/results/", "tests/", "dvc.lock")
# Names that something is bound to: variables, parameters, functions, classes, modules.
IDENTIFIERS = {
    *("wanted", "made", "facts", "said", "found", "shown", "given", "asked", "one", "at"),
    *("who", "known", "foreseen", "by_heart", "known_by_heart", "mirror", "Mirror"),
    *("exam", "Exam", "findings", "diary", "Diary"),
}
MODULES = {
    *("exam", "findings", "scores", "apart", "memory", "answers", "details", "diary", "shots"),
    *("sequences", "embedded", "processes", "fit", "card", "mine", "plots_page", "exam_plots"),
    *("overview", "talk", "facts", "models", "settings"),
}
SETTINGS = (
    r"format\.(together|silence)|evaluate\.(share|outside|legacy_examples|shown_contexts)\b"
    r"|audit\.others|train\.(evaluations|prompts|gradient_accumulation)\b|model\.generate\.\w"
    r"|evaluate\.(generated_replies|shots|shot_chars|candidates|ranked_contexts|membership_replies|prompts)\b"
)
COMMANDS = r"espejo fit\b|espejo\.mine\b|espejo/(scores|talk)/"


def tracked():
    """Every file that git knows."""
    run = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return run.stdout.splitlines()


def bound(tree):
    """The names that a module binds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


CODE = [name for name in tracked() if name.endswith(".py")]


@pytest.mark.parametrize("name", CODE)
def test_no_old_name_is_bound(name):
    names = Counter(bound(ast.parse((ROOT / name).read_text("utf-8"))))
    old_names = IDENTIFIERS | {old.upper() for old in IDENTIFIERS}
    assert {old: names[old] for old in old_names & names.keys()} == {}


def test_no_module_has_an_old_name():
    assert [name for name in CODE if name.rpartition("/")[2].removesuffix(".py") in MODULES] == []


@pytest.mark.parametrize("pattern", [SETTINGS, COMMANDS])
def test_no_text_names_an_old_setting_or_command(pattern):
    texts = [
        name
        for name in tracked()
        if name.endswith((".py", ".md", ".yaml", ".yml", ".toml", ".ipynb", "Makefile"))
        and not name.startswith(MAY_HOLD_OLD_NAMES)
    ]
    held = {name: re.search(pattern, (ROOT / name).read_text("utf-8")) for name in texts}
    assert {name: match[0] for name, match in held.items() if match} == {}
