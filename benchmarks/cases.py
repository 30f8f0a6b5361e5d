"""The reader's score: small exports with the rows that a right reader gives.

    python -m benchmarks.cases              # those of the tests
    python -m benchmarks.cases FOLDER       # others in the same layout

A case is a folder with one export and `expected.json`: a list of rows with timestamp, author, kind
and text (or one of `text_alts`), `edited` where it is true. A case is right when every row is.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from espejo import whatsapp

CASES = Path(__file__).resolve().parent.parent / "tests" / "cases"


def found_in(folder: Path) -> list[Path]:
    """The cases in a folder, sorted by name."""
    return sorted(file.parent for file in folder.glob("*/expected.json"))


def first_difference(case: Path) -> str | None:
    """The first row of a case that is read wrongly, in words; None when all are right."""
    (export,) = (file for file in case.iterdir() if file.name != "expected.json")
    expected = json.loads((case / "expected.json").read_text("utf-8"))
    try:
        table = whatsapp.read(export)
    except whatsapp.ExportError as error:
        return f"refused: {error}"
    table = table.astype({"author": object}).where(table.notna(), None)
    for row, right in zip(table.itertuples(), expected, strict=False):
        texts = [right["text"], *right.get("text_alts", [])]
        time = None if right["timestamp"] is None else pd.Timestamp(right["timestamp"])
        good = (
            row.timestamp == time
            and row.author == right["author"]
            and row.kind == right["kind"]
            and row.text in texts
            and row.edited == right.get("edited", False)
        )
        if not good:
            return f"row {row.Index}: read {tuple(row)[3:]}, expected {tuple(right.values())}"
    if len(table) != len(expected):
        return f"read {len(table)} rows, expected {len(expected)}"
    return None


def main(folder: Path) -> int:
    """Print the score and what is wrong; 1 when something is."""
    cases = found_in(folder)
    if not cases:
        sys.exit(f"{folder}: expected cases (folders with expected.json), found none")
    wrong = {case.name: words for case in cases if (words := first_difference(case))}
    for name, words in wrong.items():
        print(f"{name}: {words}")
    print(f"{len(cases) - len(wrong)} of {len(cases)} cases right")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else CASES))
