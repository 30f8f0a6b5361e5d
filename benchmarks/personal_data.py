"""Recall and precision of the search for personal data in labelled texts.

    python -m benchmarks.personal_data              # the labelled texts of the tests
    python -m benchmarks.personal_data FILE.jsonl   # others in the same form

A line is {"kind": ..., "text": ..., "found": [[type, what], ...]}: the personal data of the text,
in order; none in a text that only resembles it. A detection is right if its type and both ends are.
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
    """A text with its personal data, and what kind of it the text is about."""

    kind: str
    text: str
    spans: list[Span]


def read(path: Path) -> list[Item]:
    """The labelled texts of a file."""
    items = []
    for line in path.read_text("utf-8").splitlines():
        label = json.loads(line)
        spans, position = [], 0
        for type_, what in label["found"]:
            start = label["text"].index(what, position)
            position = start + len(what)
            spans.append((type_, start, position))
        items.append(Item(label["kind"], label["text"], spans))
    return items


def detected(text: str) -> list[Span]:
    """The personal data that espejo finds in a text."""
    return [(span.type, span.start, span.end) for span in pii.find(text)]


def score(items: list[Item]) -> pd.DataFrame:
    """Texts, labelled, found and right spans, recall and precision, by kind and over all."""
    rows = []
    for item in items:
        finds = detected(item.text)
        right = len(set(finds) & set(item.spans))
        rows.append((item.kind, 1, len(item.spans), len(finds), right))
    table = pd.DataFrame(rows, columns=["kind", "texts", "promised", "found", "right"])
    table = table.groupby("kind", sort=False).sum()
    table.loc["all"] = table.sum()
    return table.assign(
        recall=table["right"] / table["promised"], precision=table["right"] / table["found"]
    )


def main(labelled: Path) -> None:
    """Print what is wrong and the score by kind."""
    items = read(labelled)
    for item in items:
        finds = detected(item.text)
        if finds != item.spans:
            print(f"{item.text!r}: found {finds}, promised {item.spans}")
    print(score(items).to_string(float_format="%.3f", na_rep="-"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else LABELLED)
