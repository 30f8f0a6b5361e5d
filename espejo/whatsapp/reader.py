"""Read one export. Each decision is made once per file, from all of its lines."""

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
    DAY_SECONDS,
    NO_TIME,
    ORDERS,
    Order,
    days_since_1970,
    fill_years,
    find_date_order,
    parse_date,
    parse_time,
    seconds_since_midnight,
)
from espejo.whatsapp.errors import ADVICE, ExportError
from espejo.whatsapp.files import ChatText, chat_name, no_chat_error, read_texts
from espejo.whatsapp.headers import Style
from espejo.whatsapp.messages import Messages
from espejo.whatsapp.notices import detect_language
from espejo.whatsapp.pieces import Pieces, TooManyError, split_messages
from espejo.whatsapp.text import Source
from espejo.whatsapp.words import Hours


@dataclass(frozen=True)
class Export:
    """The messages of one file, and what was decided about the file.

    `messages` has one row for each message, in the order of the file: chat (str), line (int64, its
    first line in the file, from 1), timestamp (datetime64[us], the phone's local time, null if
    missing), author (str, null for WhatsApp itself), kind (message, media, deleted, call or
    system), text (str; of a medium the caption, or the placeholder if it has none), edited (bool)
    and caption (str, the words that came with a medium, "" if there are none).
    """

    name: str  # of the file
    messages: pd.DataFrame
    style: str  # "iPhone, 12-hour clock"
    dates: str  # the order of day and month, and why
    account: Account  # where its lines and characters went
    lost: tuple[tuple[int, str], ...]  # non-blank lines before the first message: number and text
    lookalikes: int  # number of lines in the form of a header that are people's text
    doubtful: tuple[tuple[int, str], ...]  # of these, those whose form is frequent: number and text
    encoding: str  # "" for UTF-8

    @property
    def lines(self) -> int:
        """The number of non-blank lines."""
        return self.account.lines_in

    @property
    def lines_understood(self) -> int:
        """The number of non-blank lines that are, without doubt, part of a message."""
        return self.lines - len(self.lost) - len(self.doubtful)

    @property
    def decisions(self) -> str:
        """The decisions in words, for a summary."""
        words = f"{self.style}, {self.dates}"
        if self.lookalikes:
            words += f", {self.lookalikes} header-like lines kept as text"
        if self.encoding:
            words += f", read as {self.encoding}"
        if replaced := self.account.replaced:
            words += f", {replaced} bytes that are no text replaced by U+FFFD"
        return words


MIN_DOUBTFUL_HEADERS = 5  # in one form; with fewer, people may have typed or pasted them


def read_file(path: str | Path) -> list[Export]:
    """Read the chat in a .txt, or all chats in a .zip, in the order of their names.

    Raises ExportError if the file is missing, damaged or not an export.
    """
    path = Path(path)
    return [_read_chat(text, path) for text in read_texts(path)]


def _read_chat(text: ChatText, path: Path) -> Export:
    name = path.name + (f" ({text.path_in_zip})" if text.one_of_several else "")
    source = text.source
    try:
        split = split_messages(source)
    except TooManyError as error:
        limit = error.args[0]
        raise ExportError(
            f"{name}: holds more than {limit:,} messages, far beyond any export; {ADVICE}."
        ) from None
    if split is None:
        raise no_chat_error(name, source.data)
    pieces, style = split
    main = pieces.styles.index(style)
    times, reason, problem = _times(pieces, main, path.stem, source)
    if not (times > NO_TIME).any():
        raise ExportError(f"{name}: {problem or 'no line has a date that exists'}; {ADVICE}.")
    codes = pieces.style_codes.copy()
    for code, other_style in enumerate(pieces.styles):
        if code != main and other_style is not None:
            other_times, *_ = _times(pieces, code, path.stem, source)
            times = np.where(codes == code, other_times, times)
    codes[times == NO_TIME] = -1
    rows = np.flatnonzero(codes >= 0)
    rows = rows[pasted.real_by_form(times[rows], codes[rows], main)]
    by_line_ends = pasted.real_by_line_ends(pieces.lines[rows], source) if style.iphone else None
    if by_line_ends is not None:
        in_iphone_style = np.array(
            [bool(other_style and other_style.iphone) for other_style in pieces.styles]
        )[codes[rows]]
        rows = rows[by_line_ends | ~in_iphone_style]
    messages = Messages(pieces, rows, source)
    messages.find_authors(style.iphone)
    is_real = np.ones(len(rows), bool)
    if by_line_ends is None:
        marked = messages.text_marked
        for real_headers in (pasted.real_by_neighbours, pasted.real_by_past):
            remaining = np.flatnonzero(is_real)
            is_real[remaining] = real_headers(
                times[rows[remaining]],
                messages.authors[remaining],
                marked[remaining],
                partial(_is_notice, messages, remaining),
            )
    messages.keep(is_real)
    messages.find_kinds(style.iphone)
    text_before = source.lines(1, int(messages.lines[0])) if messages.lines[0] > 1 else ""
    return Export(
        name=name,
        messages=messages.table(chat_name(path, text), times),
        style=style.description(),
        dates=reason,
        account=messages.account(text_before, text),
        lost=tuple(
            (number, line) for number, line in enumerate(text_before.split("\n"), 1) if line.strip()
        ),
        lookalikes=pieces.lookalikes - len(messages.rows),
        doubtful=_doubtful_lines(pieces, messages.rows, source),
        encoding=text.encoding,
    )


def _is_notice(messages: Messages, rows: np.ndarray, row: int) -> bool:
    return messages.is_notice(rows[row])


def _doubtful_lines(
    pieces: Pieces, rows: np.ndarray, source: Source
) -> tuple[tuple[int, str], ...]:
    """Return the lines in a form of header that is not the file's but frequent: number and text."""
    is_text = np.ones(len(pieces.lines), bool)
    is_text[rows] = False
    rows_of_text = [row for row in np.flatnonzero(is_text).tolist() if pieces.style_of(row)]
    frequent = {
        style
        for style, count in Counter(map(pieces.style_of, rows_of_text)).items()
        if count >= MIN_DOUBTFUL_HEADERS
    }
    lines = [int(pieces.lines[row]) for row in rows_of_text if pieces.style_of(row) in frequent]
    return tuple((line, source.lines(line, line + 1)) for line in lines)


def _times(pieces: Pieces, code: int, name: str, source: Source) -> tuple[np.ndarray, str, str]:
    """Return the seconds since 1970 of each header (int64), how dates are read, and the problem.

    Only headers in the style number `code` get a time; all others, and dates and times that do not
    exist, are NO_TIME. So are all if the words in dates and times cannot be understood; then the
    last string says why, else it is "".
    """
    style = pieces.styles[code]
    assert style  # not of a text that only looks like a header
    rows = np.flatnonzero(pieces.style_codes == code)
    times = np.full(len(pieces.lines), NO_TIME)
    day_codes, time_codes = pieces.days.codes[rows], pieces.times.codes[rows]
    months: Mapping[str, int] = {}
    parts: Mapping[str, Hours] = {}

    def read_days(order: Order, months: Mapping[str, int]) -> np.ndarray:
        def read_day(written: str) -> int:
            day = days_since_1970(written, order, months)
            return NO_TIME if day is None else day

        days = pieces.days.map_values(read_day, np.int64, day_codes)
        return fill_years(days) if months else days

    def read_times(
        order: Order, months: Mapping[str, int], parts: Mapping[str, Hours]
    ) -> np.ndarray:
        def read_time(written: str) -> int:
            seconds = seconds_since_midnight(written, parts)
            return NO_TIME if seconds is None else seconds

        days = read_days(order, months)
        seconds = pieces.times.map_values(read_time, np.int64, time_codes)
        missing = (days == NO_TIME) | (seconds == NO_TIME)
        return np.where(missing, NO_TIME, days * DAY_SECONDS + seconds)

    def steps_back(times: np.ndarray) -> int:
        """Count steps back in time; a date that does not exist counts as ten."""
        missing = times == NO_TIME
        return int((np.diff(times[~missing]) < 0).sum()) + 10 * int(missing.sum())

    if style.separator == "month":
        parsed = map(parse_date, pieces.days.distinct(day_codes))
        month_words = sorted({date.month for date in parsed if date})
        meanings = words.find_meanings(
            "months",
            month_words,
            lambda months: steps_back(read_days(ORDERS["day first"], months)),
        )
        if meanings is None:
            listed = ", ".join(month_words)
            return times, "", f"the months ({listed}) are of no language that is known"
        months = meanings
    changes = day_codes[np.flatnonzero(np.diff(day_codes, prepend=-1))]
    written_days = pieces.days.values
    order, reason = find_date_order(
        [written_days[day] for day in changes],
        style.year_first,
        months,
        lambda: _guess_order(style, name, source),
    )
    written_times = pieces.times.distinct(time_codes)
    part_words = sorted({parse_time(written)[3] for written in written_times} - {""})
    if part_words:
        meanings = words.find_meanings(
            "hours", part_words, lambda parts: steps_back(read_times(order, months, parts))
        )
        if meanings is None:
            listed = ", ".join(part_words[:9])
            problem = f"the words beside the time ({listed}) do not tell the half of the day"
            return times, "", problem
        parts = meanings
    times[rows] = read_times(order, months, parts)
    if months and (times == NO_TIME).all():
        return times, "", "no date has a year; write one behind the first (5 Mar 2014)"
    return times, reason, ""


def _guess_order(style: Style, name: str, source: Source) -> tuple[str, str]:
    """Guess the order of day and month if no date decides; return its name and the reason.

    Month first only for the format of the USA: English, slashes, AM and PM in capitals.
    """
    text = source.data.decode()
    language = detect_language(name, text)
    capitals = style.am_pm == "after" and re.search(r"\d[\s\u202f]?[AP]M\b", text)
    american = language in ("en", "") and style.separator == "/" and capitals
    reason = f"no date tells, the notices' language is {language or 'unknown'}"
    return "month first" if american else "day first", reason
