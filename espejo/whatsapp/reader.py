"""One export, read: every decision is made once, for a whole file and from all of its lines."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from espejo.whatsapp import pasted, words
from espejo.whatsapp.account import Account
from espejo.whatsapp.dates import (
    DAY,
    NEVER,
    Order,
    day_number,
    day_of,
    order_of,
    second_of_day,
    time_of,
    with_years,
)
from espejo.whatsapp.errors import HOW, ExportError
from espejo.whatsapp.files import Text, chat_name, contents, no_chat
from espejo.whatsapp.headers import Style
from espejo.whatsapp.messages import Messages
from espejo.whatsapp.notices import language
from espejo.whatsapp.pieces import Pieces, TooManyError, take_apart
from espejo.whatsapp.text import Source


@dataclass(frozen=True)
class Export:
    """One file as read, and what was decided on the way.

    `messages` has one row a message, in the order of the file: chat (str), line (int64, first
    source line, from 1), timestamp (datetime64[us], the phone's local time, null when missing),
    author (str, null for WhatsApp itself), kind (message, media, deleted, call or system), text
    (str: the caption of a medium, or its whole placeholder when it has none), edited (bool) and
    caption (str: the words that came with a medium, "" where there are none).
    """

    name: str  # of the file
    messages: pd.DataFrame
    style: str  # "iPhone, 12-hour clock"
    dates: str  # the order of day and month, and why
    account: Account  # what became of its lines and characters
    lost: tuple[tuple[int, str], ...]  # lines before any message, not blank: number and text
    lookalikes: int  # lines in the form of a header that are somebody's words
    doubtful: tuple[tuple[int, str], ...]  # those of them whose form occurs often: as `lost`
    encoding: str  # of the file, where it is not UTF-8

    @property
    def lines(self) -> int:
        """Lines that are not blank."""
        return self.account.lines_in

    @property
    def lines_understood(self) -> int:
        """Lines that are not blank and, beyond doubt, part of a message."""
        return self.lines - len(self.lost) - len(self.doubtful)

    @property
    def decided(self) -> str:
        """The decisions in words, for a summary."""
        words = f"{self.style}, {self.dates}"
        if self.lookalikes:
            words += f", {self.lookalikes} header-like lines kept as text"
        if self.encoding:
            words += f", read as {self.encoding}"
        if replaced := self.account.replaced:
            words += f", {replaced} bytes that are no text replaced by U+FFFD"
        return words


OFTEN = 5  # header-like lines of one form from which on they are no chance


def read_file(path: str | Path) -> list[Export]:
    """Read the chat of a .txt, or all those of a .zip, in the order of their names.

    Raises ExportError when the file is missing, damaged or no export.
    """
    path = Path(path)
    return [_read(text, path) for text in contents(path)]


def _read(text: Text, path: Path) -> Export:
    name = path.name + (f" ({text.inner})" if text.one_of_several else "")
    source = text.source
    try:
        taken = take_apart(source)
    except TooManyError as error:
        most = f"more than {error.args[0]:,} messages"
        raise ExportError(f"{name}: holds {most}, far beyond any export; {HOW}.") from None
    if taken is None:
        raise no_chat(name, source.data)
    pieces, style = taken
    main = pieces.styles.index(style)
    times, why, problem = _times(pieces, main, path.stem, source)
    if not (times > NEVER).any():
        raise ExportError(f"{name}: {problem or 'no line has a date that exists'}; {HOW}.")
    codes = pieces.style_codes.copy()
    for code, other in enumerate(pieces.styles):
        if code != main and other is not None:
            more, *_ = _times(pieces, code, path.stem, source)
            times = np.where(codes == code, more, times)
    codes[times == NEVER] = -1
    rows = np.flatnonzero(codes >= 0)
    rows = rows[pasted.second_form(times[rows], codes[rows], main)]
    proof = pasted.ended_by_crlf(pieces.lines[rows], source) if style.iphone else None
    if proof is not None:
        iphone = np.array([bool(s and s.iphone) for s in pieces.styles])[codes[rows]]
        rows = rows[proof | ~iphone]
    messages = Messages(pieces, rows, source)
    messages.find_authors(style.iphone)
    kept = np.ones(len(rows), bool)
    if proof is None:
        marked = messages.marked
        for told in (pasted.in_line, pasted.in_time):
            left = np.flatnonzero(kept)
            kept[left] = told(
                times[rows[left]],
                messages.authors[left],
                marked[left],
                partial(_is_notice, messages, left),
            )
    messages.keep(kept)
    messages.find_kinds(style.iphone)
    lost = source.lines(1, int(messages.lines[0])) if messages.lines[0] > 1 else ""
    return Export(
        name=name,
        messages=messages.table(chat_name(path, text), times),
        style=style.words(),
        dates=why,
        account=messages.account(lost, text),
        lost=tuple((n, line) for n, line in enumerate(lost.split("\n"), 1) if line.strip()),
        lookalikes=pieces.lookalikes - len(messages.rows),
        doubtful=_doubtful(pieces, messages.rows, source),
        encoding=text.encoding,
    )


def _is_notice(messages: Messages, rows: np.ndarray, row: int) -> bool:
    return messages.is_notice(rows[row])


def _doubtful(pieces: Pieces, rows: np.ndarray, source: Source) -> tuple[tuple[int, str], ...]:
    """Header-like lines that are in no form of the file's but occur often: number and text."""
    left = np.ones(len(pieces.lines), bool)
    left[rows] = False
    others = [row for row in np.flatnonzero(left).tolist() if pieces.style_of(row)]
    often = {
        style for style, count in Counter(map(pieces.style_of, others)).items() if count >= OFTEN
    }
    lines = [int(pieces.lines[row]) for row in others if pieces.style_of(row) in often]
    return tuple((line, source.lines(line, line + 1)) for line in lines)


def _times(pieces: Pieces, code: int, name: str, source: Source) -> tuple[np.ndarray, str, str]:
    """Seconds since 1970 of each header in one form (int64), and how its dates are read.

    NEVER where the form is another or where there is no such date or time; everywhere where words
    beside dates and times tell nothing, which the last string says.
    """
    style = pieces.styles[code]
    assert style  # of a form, not of what only looks like one
    rows = np.flatnonzero(pieces.style_codes == code)
    moments = np.full(len(pieces.lines), NEVER)
    months: Mapping[str, int] = {}
    days = pieces.days.codes[rows]

    def in_days(order: Order, months: Mapping[str, int]) -> np.ndarray:
        def number(day: str) -> int:
            known = day_number(day, order, months)
            return NEVER if known is None else known

        known = pieces.days.mapped(number, np.int64, days)
        return with_years(known) if months else known

    def seconds(order: Order, months: Mapping, parts: Mapping) -> np.ndarray:
        def second(time: str) -> int:
            known = second_of_day(time, parts)
            return NEVER if known is None else known

        day = in_days(order, months)
        time = pieces.times.mapped(second, np.int64, pieces.times.codes[rows])
        return np.where((day == NEVER) | (time == NEVER), NEVER, day * DAY + time)

    def back(times: np.ndarray) -> int:
        return int((np.diff(times[times != NEVER]) < 0).sum()) + 10 * int((times == NEVER).sum())

    if style.separator == "month":
        read = map(day_of, pieces.days.some(days))
        named = sorted({day.month for day in read if day})
        first = (2, 1, 0)
        meant = words.meaning("months", named, lambda some: back(in_days(first, some)))
        if meant is None:
            return moments, "", f"the months ({', '.join(named)}) are of no language that is known"
        months = meant
    changes = days[np.flatnonzero(np.diff(days, prepend=-1))]
    written = pieces.days.values
    order, why = order_of(
        [written[day] for day in changes],
        style.year_first,
        months,
        lambda: _by_language(style, name, source),
    )
    named = sorted({time_of(time)[3] for time in pieces.times.some(pieces.times.codes[rows])})
    parts: Mapping = {}
    if named := [word for word in named if word]:
        meant = words.meaning("hours", named, lambda some: back(seconds(order, months, some)))
        if meant is None:
            listed = ", ".join(named[:9])
            problem = f"the words beside the time ({listed}) do not tell the half of the day"
            return moments, "", problem
        parts = meant
    moments[rows] = seconds(order, months, parts)
    if months and (moments == NEVER).all():
        return moments, "", "no date has a year; write one behind the first (5 Mar 2014)"
    return moments, why, ""


def _by_language(style: Style, name: str, source: Source) -> tuple[str, str]:
    """The order of day and month where no date tells."""
    text = source.data.decode()
    spoken = language(name, text)
    capitals = style.half == "after" and re.search(r"\d[\s\u202f]?[AP]M\b", text)
    american = spoken in ("en", "") and style.separator == "/" and capitals
    why = f"no date tells, the notices' language is {spoken or 'unknown'}"
    return "month first" if american else "day first", why
