"""Where the items of a file went, and how many of them may be lost before the file is refused."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from espejo.sources.export import ExportError, Record, SourceFile

MAX_ITEMS = 5_000_000  # in a file
MAX_TEXT_BYTES = 2_000_000  # of a message, in UTF-8
MAX_UNREADABLE = 0.02  # share of a file's items; with more, the file is not what it seems

T = TypeVar("T")


class Unreadable(Exception):
    """An item gives no record; the message says what was expected."""


class Account:
    """The account of one file.

    Attributes:
        items: Items in the file.
        dropped: Items that gave no record, by reason.

    `advice` ends the sentences of errors: "export the chat again".
    """

    def __init__(self, file: SourceFile, advice: str) -> None:
        self.file, self.advice = file, advice
        self.items = 0
        self.dropped: Counter[str] = Counter()
        self._first_problem = ""

    def records(
        self,
        unit: str,
        items: Iterable[tuple[int, T | Unreadable]],
        read: Callable[[int, T], Record | str],
    ) -> Iterator[Record]:
        """Yield the records that `read` gives for items, each with its number, from 1.

        An item for which `read` returns a reason (str) is dropped under it. An item is dropped as
        unreadable if `read` raises Unreadable, or if it is an Unreadable itself. `unit` names what
        is counted: "message", "line".

        Raises ExportError if there are too many items, or for a text longer than any message.
        """
        for number, item in items:
            self.add_items(1)
            try:
                if isinstance(item, Unreadable):
                    raise item
                record = read(number, item)
            except Unreadable as problem:
                self.add_unreadable(f"{unit} {number}", problem)
                continue
            if isinstance(record, str):
                self.dropped[record] += 1
                continue
            if len(record.text) * 4 > MAX_TEXT_BYTES:  # no character takes more than 4 bytes
                self.check_text(record.text, f"{unit} {number}")
            yield record

    def add_items(self, count: int) -> None:
        """Count items. Raises ExportError if the file has more than MAX_ITEMS."""
        self.items += count
        if self.items > MAX_ITEMS:
            raise ExportError(
                f"{self.file.name}: more than {MAX_ITEMS:,} items; split it into several files, or "
                "export shorter periods."
            )

    def add_unreadable(self, where: str, problem: Unreadable) -> None:
        """Drop an item, counted before, that a problem makes unreadable."""
        self.dropped["unreadable"] += 1
        self._first_problem = self._first_problem or f"{where}: {problem}"

    def check_text(self, text: str, where: str) -> None:
        """Raise ExportError if a text is longer than MAX_TEXT_BYTES."""
        size = len(text.encode())
        if size > MAX_TEXT_BYTES:
            raise ExportError(
                f"{self.file.name}, {where}: a text of {size:,} bytes, expected at most "
                f"{MAX_TEXT_BYTES:,}; {self.advice}."
            )

    def check(self, expected: str = "") -> None:
        """Raise ExportError if all items, or more than one and MAX_UNREADABLE, are unreadable.

        Also, where `expected` says what the file should hold, if none of it gave a record.
        """
        count = self.dropped["unreadable"]
        is_much = count > 1 and count > MAX_UNREADABLE * self.items
        if count and (is_much or count == self.items):
            raise ExportError(
                f"{self.file.name}, {self._first_problem}, and {count:,} of {self.items:,} items "
                f"cannot be read; {self.advice}."
            )
        if expected and self.items == self.dropped.total():
            raise ExportError(
                f"{self.file.name}: expected {expected}, found none; add some, or remove the file."
            )
