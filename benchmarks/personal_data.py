"""Measure how much of the personal data in labelled texts is found, and how often wrongly.

    python -m benchmarks.personal_data              # the labelled texts of the tests
    python -m benchmarks.personal_data FILE.jsonl   # others in the same form

Each line is {"kind": ..., "text": ..., "found": [[type, data], ...]}, with the personal data of the
text in order; the list is empty for texts that only resemble it. A match is right if its type and
both ends are.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from espejo.privacy import pii

LABELLED = Path(__file__).resolve().parent.parent / "tests" / "privacy" / "personal_data.jsonl"
Span = tuple[str, int, int]  # type, start, end


class Item(NamedTuple):
    """A text with the spans of its personal data; `kind` is the kind that the text tests."""

    kind: str
    text: str
    spans: list[Span]


def read(path: Path) -> list[Item]:
    """The labelled texts of a file."""
    items = []
    for line in path.read_text("utf-8").splitlines():
        label = json.loads(line)
        spans, end = [], 0
        for type_, data in label["found"]:
            start = label["text"].index(data, end)
            end = start + len(data)
            spans.append((type_, start, end))
        items.append(Item(label["kind"], label["text"], spans))
    return items


def find_spans(text: str) -> list[Span]:
    """The personal data that espejo finds in a text."""
    return [(match.type, match.start, match.end) for match in pii.find(text)]


def score(items: list[Item]) -> pd.DataFrame:
    """One row a kind and one for all: texts, promised, found, right, recall, precision.

    `promised` is the labelled personal data, `found` all matches, `right` those that are labelled.
    """
    rows = []
    for item in items:
        matches = find_spans(item.text)
        right = len(set(matches) & set(item.spans))
        rows.append((item.kind, 1, len(item.spans), len(matches), right))
    table = pd.DataFrame(rows, columns=["kind", "texts", "promised", "found", "right"])
    table = table.groupby("kind", sort=False).sum()
    table.loc["all"] = table.sum()
    return table.assign(
        recall=table["right"] / table["promised"], precision=table["right"] / table["found"]
    )


def main(labelled: Path) -> None:
    """Print the texts with wrong matches, and the score by kind."""
    items = read(labelled)
    for item in items:
        matches = find_spans(item.text)
        if matches != item.spans:
            print(f"{item.text!r}: found {matches}, promised {item.spans}")
    print(score(items).to_string(float_format="%.3f", na_rep="-"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else LABELLED)
