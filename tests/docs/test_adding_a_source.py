"""The example of docs/adding-a-source.md works as it stands there."""

import re
import shutil

from tests.docs import pages
from tests.helpers.workshop import ROOT, run

CODE = pages.fenced((ROOT / "docs" / "adding-a-source.md").read_text("utf-8"))
PRINTED = """
from espejo import sources
for row in sources.read("raw", "America/Argentina/Cordoba").itertuples():
    print(row.chat, row.timestamp, row.author, row.kind, row.text, row.app, sep="|")
"""


def test_the_example_is_read_and_its_tests_pass(tmp_path):
    for name in ("espejo", "tests/helpers", "tests/sources"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "tests/__init__.py", "tests/conftest.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    (export,) = (code for language, code in CODE if language == "json")
    *modules, entry = sorted(
        (code for language, code in CODE if language == "python" and "paloma" in code),
        key=lambda code: not code.startswith("# "),
    )
    for code in modules:
        (tmp_path / re.match(r"# (\S+)\n", code)[1]).write_text(code, "utf-8")
    registry = tmp_path / "espejo" / "sources" / "registry.py"
    text = registry.read_text("utf-8").replace("meta, questions", "meta, paloma, questions")
    registry.write_text(re.sub(r'^ +"chats": .*\n', lambda _: entry, text, flags=re.M), "utf-8")
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "cami.json").write_text(export, "utf-8")

    # PYTHONPATH, since an installed espejo is that of ROOT.
    here = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
    assert run("python", "-c", PRINTED, **here).stdout.splitlines() == [
        "Cami|2025-03-01 12:00:00|Cami|message|¿venís?|paloma",
        "Cami|2025-03-01 12:01:00|Juli|message|siii|paloma",
        "Cami|2025-03-01 12:02:00|Juli|media|<photo>|paloma",
        "Cami|2025-03-01 12:03:00|nan|system|Cami left the chat|paloma",
    ]
    run("pytest", "-q", "-p", "no:cacheprovider", "tests/sources/test_paloma.py", **here)
    for check in ("check", "format --check"):
        run("ruff", *check.split(), "espejo/sources/paloma.py", **here)
