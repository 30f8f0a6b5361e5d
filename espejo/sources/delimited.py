"""Tables as text: CSV and TSV with any separator, as spreadsheets and programs write them.

Not the csv module: it loses the line of a record, reads to the end of the file after a quote that
is never closed, and splits a cell where a space comes before its quote.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from espejo.core.text import fold
from espejo.sources.export import ExportError

SEPARATORS = (",", ";", "\t", "|")
SAMPLE_ROWS = 100  # enough to tell the separator
_EXCEL_SEPARATOR = re.compile(r'\s*"?sep=([^\n])"? *\n', re.I)  # Excel's own first line


class Row(NamedTuple):
    """A record of a table that is not blank."""

    line: int  # where it starts, from 1
    cells: list[str]  # stripped; may be fewer than the header has

    def cell(self, index: int | None) -> str | None:
        """Return the cell of a column; None if there is none."""
        return self.cells[index] if index is not None and index < len(self.cells) else None


@dataclass(frozen=True)
class Table:
    """A header, and the rows below it."""

    name: str  # of the file, for messages
    separator: str
    header: list[str]
    body: Iterator[Row]

    @property
    def rows(self) -> Iterator[Row]:
        """The rows, once. Raises ExportError for one with more cells than the header has.

        Which of its cells hold a separator that should be quoted, nobody can tell.
        """
        for row in self.body:
            cells = row.cells
            while len(cells) > len(self.header) and not cells[-1]:
                cells.pop()
            if len(cells) > len(self.header):
                raise ExportError(
                    f"{self.name}, line {row.line}: {len(cells)} cells, expected "
                    f"{len(self.header)} as in the header; put double quotes around each cell with "
                    f"a {_called(self.separator)} in it."
                )
            yield row


def read_table(text: str, name: str, suits: Callable[[Sequence[str]], bool]) -> Table:
    """Find the separator of a table, and read its header; the rows are read on demand.

    Best is a separator by which the header `suits`; then one by which many rows have as many cells
    as the header. Raises ExportError if the text has no line.
    """
    if excel := _EXCEL_SEPARATOR.match(text):
        separator, start = excel[1], excel.end()
    else:
        separator, start = max(SEPARATORS, key=lambda tried: _quality(text, tried, suits)), 0
    body = read_rows(text, separator, name, start)
    header = next(body, None)
    if header is None:
        raise ExportError(f"{name}: the file is empty; remove it.")
    return Table(name, separator, header.cells, body)


def _quality(
    text: str, separator: str, suits: Callable[[Sequence[str]], bool]
) -> tuple[bool, bool, float, int]:
    rows: list[Row] = []
    with suppress(ExportError):
        rows.extend(islice(read_rows(text, separator, ""), 1 + SAMPLE_ROWS))
    if not rows:
        return False, False, 0.0, 0
    width = len(rows[0].cells)
    even = sum(len(row.cells) == width for row in rows) / len(rows)
    suitable = suits(rows[0].cells)
    return suitable, suitable or width > 1, even, width


def read_rows(text: str, separator: str, name: str, start: int = 0) -> Iterator[Row]:
    """Yield the rows of a text from an offset on, blank lines left out.

    A quoted cell may hold separators, line breaks and doubled quotes. Quotes elsewhere, or with
    text behind them, are text. Raises ExportError if a quote is never closed, but in a table with
    tabs, which are often written without quoting.
    """
    line = first_line = 1 + text.count("\n", 0, start)
    cells: list[str] = []
    for match in _cell(separator).finditer(text, start):
        quoted, unclosed, plain, end = match.groups()
        if unclosed is not None:
            raise ExportError(
                f"{name}, line {line}: the quote that opens this cell is never closed; close it, "
                "or write it twice if it is text."
            )
        if quoted is None:
            cells.append(plain.strip())
        else:
            line += quoted.count("\n")
            cells.append(quoted.replace('""', '"').replace("\r", "\n").strip())
        if end != separator:
            line += end == "\n"
            if any(cells):
                yield Row(first_line, cells)
            cells, first_line = [], line


@lru_cache
def _cell(separator: str) -> re.Pattern[str]:
    """A cell and what ends it: its quoted content, or a quote never closed, or its plain text."""
    sign = re.escape(separator)
    blanks = "[ ]*"
    content = '(?:[^"]++|"")*+'
    unclosed = "(?!)" if separator == "\t" else rf'{blanks}"{content}\Z'
    end = rf"{sign}|\n|\Z"
    return re.compile(
        rf'(?:{blanks}"({content})"{blanks}(?={end})|({unclosed})|([^{sign}\n]*))({end})'
    )


def find_column(header: Sequence[str], names: Sequence[str]) -> int | None:
    """Return the index of the column with the first of these names that there is.

    Neither case nor accents count.
    """
    folded = [fold(name.strip()) for name in header]
    return next((folded.index(fold(name)) for name in names if fold(name) in folded), None)


def _called(separator: str) -> str:
    return "tab" if separator == "\t" else f'"{separator}"'
