"""The reader's score on small exports with known rows.

    python -m benchmarks.cases              # those of the tests
    python -m benchmarks.cases FOLDER       # others in the same layout

A case is a folder with one export (a file, or a folder of files that are read together) and
`expected.json`: a list of rows with timestamp, author, kind and text (or one of `text_alts`), and
`edited` if it is true. If there are several chats, rows have a label, `chat`. Any labels will do:
rows with the same label must be in one chat, rows with different labels in different chats. A case
is right if every row is. Instead of rows, {"error": words} means that the export must be refused
with a sentence that contains these words.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from espejo import whatsapp

CASES = Path(__file__).resolve().parent.parent / "tests" / "cases"


def find_cases(folder: Path) -> list[Path]:
    """Return the cases in a folder, sorted by name."""
    return sorted(file.parent for file in folder.glob("*/expected.json"))


def export_of(case: Path) -> Path:
    """Return what a case reads: a file, or a folder of files."""
    (export,) = (file for file in case.iterdir() if file.name != "expected.json")
    return export


def files_of(case: Path) -> list[Path]:
    """Return the files of a case's export, sorted by name."""
    export = export_of(case)
    return sorted(export.iterdir()) if export.is_dir() else [export]


def expected_of(case: Path) -> list[dict[str, Any]] | dict[str, str]:
    """Return the expected rows, or {"error": words} if the export must be refused."""
    return json.loads((case / "expected.json").read_text("utf-8"))


def first_difference(case: Path) -> str | None:
    """Describe the first row of a case that is read wrongly; None if all are right."""
    expected = expected_of(case)
    refusal, right = (expected["error"], []) if isinstance(expected, dict) else (None, expected)
    try:
        table = whatsapp.read(export_of(case))
    except whatsapp.ExportError as error:
        return None if refusal and refusal in str(error) else f"refused: {error}"
    if refusal:
        return f"read {len(table)} rows, expected a sentence with {refusal!r}"
    table = _in_order_of_chats(table.astype({"author": object}).where(table.notna(), None))
    labels = set()
    for row, right_row in zip(table.itertuples(), right, strict=False):
        texts = [right_row["text"], *right_row.get("text_alts", [])]
        time = None if right_row["timestamp"] is None else pd.Timestamp(right_row["timestamp"])
        is_right = (
            row.timestamp == time
            and row.author == right_row["author"]
            and row.kind == right_row["kind"]
            and row.text in texts
            and row.edited == right_row.get("edited", False)
        )
        if not is_right:
            return f"row {row.Index}: read {tuple(row)[3:]}, expected {tuple(right_row.values())}"
        labels.add((row.chat, right_row.get("chat", row.chat)))
    if len(table) != len(right):
        return f"read {len(table)} rows, expected {len(right)}"
    if not len(labels) == len(dict(labels)) == len({label for _, label in labels}):
        return f"chats read as {sorted(map(str, labels))}"
    return None


def _in_order_of_chats(table: pd.DataFrame) -> pd.DataFrame:
    """Sort the chats of a table by their first timestamps; rows in a chat keep their order."""
    first = table.groupby("chat")["timestamp"].transform("min")
    return table.loc[first.sort_values(kind="stable").index].reset_index(drop=True)


def main(folder: Path) -> int:
    """Print the score and all differences; return 1 if there are any."""
    cases = find_cases(folder)
    if not cases:
        sys.exit(f"{folder}: expected cases (folders with expected.json), found none")
    differences = {
        case.name: difference for case in cases if (difference := first_difference(case))
    }
    for name, difference in differences.items():
        print(f"{name}: {difference}")
    print(f"{len(cases) - len(differences)} of {len(cases)} cases right")
    return bool(differences)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else CASES))
