"""Score the reader on small exports whose correct rows are known.

    python -m benchmarks.cases              # those of the tests
    python -m benchmarks.cases FOLDER       # others in the same layout

A case is a folder with one export (a file, or a folder of files that are read together) and
`expected.json`: a list of rows with timestamp, author, kind and text (or one of `text_alts`),
`edited` where it is true. Rows of several chats carry a label, `chat`: what it says is free, but
rows of one label are one chat and those of two are two. A case is right when every row is. In place
of rows, {"error": words} says that the export is refused by a sentence with these words.
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


def export_of(case: Path) -> Path:
    """What a case reads: a file, or a folder of files."""
    (export,) = (file for file in case.iterdir() if file.name != "expected.json")
    return export


def files_of(case: Path) -> list[Path]:
    """The files of a case's export, sorted by name."""
    export = export_of(case)
    return sorted(export.iterdir()) if export.is_dir() else [export]


def expected_of(case: Path) -> list[dict] | dict[str, str]:
    """The correct rows; {"error": words} where the export must be refused."""
    return json.loads((case / "expected.json").read_text("utf-8"))


def first_difference(case: Path) -> str | None:
    """The first row of a case that is read wrongly, in words; None when all are right."""
    expected = expected_of(case)
    refused = expected["error"] if isinstance(expected, dict) else None
    try:
        table = whatsapp.read(export_of(case))
    except whatsapp.ExportError as error:
        return None if refused and refused in str(error) else f"refused: {error}"
    if refused:
        return f"read {len(table)} rows, expected a sentence with {refused!r}"
    table = _in_order_of_chats(table.astype({"author": object}).where(table.notna(), None))
    labels = set()
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
        labels.add((row.chat, right.get("chat", row.chat)))
    if len(table) != len(expected):
        return f"read {len(table)} rows, expected {len(expected)}"
    if not len(labels) == len(dict(labels)) == len({label for _, label in labels}):
        return f"chats read as {sorted(map(str, labels))}"
    return None


def _in_order_of_chats(table: pd.DataFrame) -> pd.DataFrame:
    """A table with its chats ordered by their first message; rows keep their order within each."""
    first = table.groupby("chat")["timestamp"].transform("min")
    return table.loc[first.sort_values(kind="stable").index].reset_index(drop=True)


def main(folder: Path) -> int:
    """Print the score and every error; returns 1 if there is one."""
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
