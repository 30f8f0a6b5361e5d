"""One export, read: every decision is made once, for a whole file and from all of its lines."""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from espejo.whatsapp import pasted
from espejo.whatsapp.account import Account
from espejo.whatsapp.dates import DAY, NEVER, Order, day_number, order_of, second_of_day
from espejo.whatsapp.errors import HOW, ExportError
from espejo.whatsapp.files import chat_name, contents, no_chat
from espejo.whatsapp.headers import Style
from espejo.whatsapp.messages import Messages
from espejo.whatsapp.notices import language
from espejo.whatsapp.pieces import Pieces, take_apart
from espejo.whatsapp.text import Source


@dataclass(frozen=True)
class Export:
    """One file as read, and what was decided on the way.

    `messages` has one row a message, in the order of the file: chat (str), line (int64, first
    source line, from 1), timestamp (datetime64[us], the phone's local time, null when missing),
    author (str, null for WhatsApp itself), kind (message, media, deleted, call or system), text
    (str: the caption of a medium, or its whole placeholder when it has none) and edited (bool).
    """

    name: str  # of the file
    messages: pd.DataFrame
    style: str  # "iPhone, 12-hour clock"
    dates: str  # the order of day and month, and why
    account: Account  # what became of its lines and characters
    lost: tuple[tuple[int, str], ...]  # lines before any message, not blank: number and text
    lookalikes: int  # lines in the form of a header that are somebody's words

    @property
    def lines(self) -> int:
        """Lines that are not blank."""
        return self.account.lines_in

    @property
    def lines_understood(self) -> int:
        """Lines that are not blank and part of a message."""
        return self.lines - len(self.lost)

    @property
    def decided(self) -> str:
        """The decisions in words, for a summary."""
        words = f"{self.style}, {self.dates}"
        if self.lookalikes:
            words += f", {self.lookalikes} header-like lines kept as text"
        return words


def read_file(path: str | Path) -> Export:
    """Read one .txt or .zip. Raises ExportError when it is missing, damaged or no export."""
    path = Path(path)
    source, inner = contents(path)
    found = take_apart(source)
    if found is None:
        raise no_chat(path, source.data)
    pieces, style = found
    order, why = _order(pieces, style, path.stem, source)
    times = _times(pieces, order)
    rows = np.flatnonzero(pieces.in_style & (times > NEVER))
    if not len(rows):
        raise ExportError(f"{path.name}: no line has a date that exists; {HOW}.")
    if style.iphone:
        rows = rows[pasted.ended_by_crlf(pieces.lines[rows], source)]
    messages = Messages(pieces, rows, source)
    messages.find_authors()
    kept = pasted.in_line(times[rows], messages.authors)
    kept[kept] = pasted.in_time(times[rows[kept]], messages.authors[kept])
    messages.keep(kept)
    messages.find_kinds(style.iphone)
    lost = source.lines(1, int(messages.lines[0])) if messages.lines[0] > 1 else ""
    return Export(
        name=path.name,
        messages=messages.table(chat_name(path, inner), times),
        style=style.words(),
        dates=why,
        account=messages.account(lost),
        lost=tuple((n, line) for n, line in enumerate(lost.split("\n"), 1) if line.strip()),
        lookalikes=pieces.lookalikes - len(messages.rows),
    )


def _order(pieces: Pieces, style: Style, name: str, source: Source) -> tuple[Order, str]:
    """The order of day, month and year, from all dates; from the language when none tells."""
    codes = pieces.days.codes[pieces.in_style]
    changes = codes[np.flatnonzero(np.diff(codes, prepend=-1))]
    days = pieces.days.values

    def by_language() -> tuple[str, str]:
        text = source.data.decode()
        found = language(name, text)
        capitals = style.half == "after" and re.search(r"\d[\s\u202f]?[AP]M\b", text)
        american = found in ("en", "") and style.separator == "/" and capitals
        why = f"no date tells, the notices' language is {found or 'unknown'}"
        return "month first" if american else "day first", why

    return order_of([days[code] for code in changes], style.year_first, by_language)


def _times(pieces: Pieces, order: Order) -> np.ndarray:
    """Seconds since 1970 of each header (int64), NEVER where there is no such date or time."""

    def seconds(day: str) -> int:
        number = day_number(day, order)
        return NEVER if number is None else number * DAY

    def second(time: str) -> int:
        found = second_of_day(time)
        return NEVER if found is None else found

    days = pieces.days.mapped(seconds, np.int64)
    times = pieces.times.mapped(second, np.int64)
    return np.where((days == NEVER) | (times == NEVER), NEVER, days + times)
