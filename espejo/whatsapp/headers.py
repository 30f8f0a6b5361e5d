"""Patterns for the header of a message: all forms in general, and a quick one for a given file.

"9/4/2026, 14:43 - ", "[28/03/25, 9:29:05 p. m.] ", "29/12/2012 17:04:00: ", "21:41, 5 Aug 2015 - "
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from espejo.core import names
from espejo.whatsapp.dates import FILLER_WORDS, TIME, parse_date
from espejo.whatsapp.words import SPACES, normalize_word

M, S = names.MARKS, SPACES  # short, for nearly every pattern has them
BOM = "\ufeff"  # occurs inside a text if files were concatenated
_L = r"[^\W\d_]"  # a letter
# No repetition is unbounded: a line of a thousand marks or dots must not take minutes.
_ERA = "R|H|S|令和|平成|昭和|民國"
_SEPARATOR = rf"[{M}]{{,24}}(?:[/\-‑年月]|[년월][{S}]?|\.[{S}]?)"
_NUMBERS = (
    rf"(?:{_ERA})?\d{{1,4}}{_SEPARATOR}\d{{1,2}}{_SEPARATOR}(?:{_ERA})?\d{{1,4}}(?:日|일|\.)?"
)
# The month's name may include small words: "5 de marzo de 2014".
_MONTH_NAME = rf"{_L}[^\d\n\[\]():,،/–—]{{1,17}}?"
_ORDINAL = r"(?:\.|st|nd|rd|th|er|º)?"
_NAMED = (
    rf"(?:\d{{1,2}}{_ORDINAL}[{S}\-./]{{,24}}{_MONTH_NAME}"
    rf"(?:[.,،]{{,24}}[{S}\-./]{{,24}}\d{{4}}|[\-/{S}]\d\d)?\.?"
    rf"|{_MONTH_NAME}[{S}.\-/]{{,24}}\d{{1,2}}{_ORDINAL}(?!\d)(?:[,،]?[{S}\-./]{{1,24}}\d{{4}})?"
    rf"|\d{{4}}[{S}.,\-/]{{1,24}}{_MONTH_NAME}[{S}.\-/]{{,24}}\d{{1,2}}\.?(?!\d))"
)
# "of the year", or an era. Those listed may have no comma after them; others need one.
_AFTER_YEAR = rf"[гр]\.|(?:BE|AD|CE|AP|พ\.ศ\.|ค\.ศ\.|ه\.ش\.?)(?=[{S}]{{,24}}[,،\]\d])"
_DATE = (
    rf"(?:{_NUMBERS}|{_NAMED})"
    rf"(?:[{S}]?(?:{_AFTER_YEAR})|[{S}]{_L}[\w.]{{0,5}}(?=[{S}]{{,24}}[,،\]]))?"
)
_WEEKDAY = rf"(?:{_L}(?:{_L}|['’\u0300-\u036f\u093c-\u0d4d-]){{1,14}}[.,،]{{,24}}[{S}]{{1,24}})?"
_JOIN = rf"[{M}]{{,24}}(?:[{S}]{{1,24}}-[{S}]{{1,24}}|[,،、]?[{M}{S}]{{,24}}(?:T(?=\d)|\()?)"
_PART = r"[^\d\n\[\](){}:,،/–—]"  # a character of the words beside a time
_TIME = (
    rf"(?:{_L}{_PART}{{0,20}}?[{M}{S}]{{,24}})?"
    rf"{TIME}(?:[{S}{M}]{{,24}}{_L}{_PART}{{0,24}}?(?:[,،][{S}]{{1,24}}{_L}{_PART}{{0,14}}?)?)?"
)
_OPENING = rf"[{M}{BOM}]{{,24}}[\[(]?[{M}{BOM}]{{,24}}"
_END = (
    rf"(?:\)?[{S}{M}]{{,24}}\]|\)?[{S}{M}]{{1,24}}[-–—](?=[{S}\n]|\Z)"
    rf"|\)?:(?=[{S}])|\)(?=[{S}]))[{S}]?"
)
_FORMS = (
    rf"{_OPENING}{_WEEKDAY}{_DATE}{_JOIN}{_TIME}{_END}",
    rf"{_OPENING}{_TIME}{_JOIN}{_WEEKDAY}{_DATE}{_END}",
)
_DATE_FIRST, _TIME_FIRST = (
    re.compile(form)
    for form in (
        rf"(?P<opening>{_OPENING}{_WEEKDAY})(?P<day>{_DATE})(?P<middle>{_JOIN})(?P<time>{_TIME})"
        rf"(?P<end>{_END})",
        rf"(?P<opening>{_OPENING})(?P<time>{_TIME})(?P<middle>{_JOIN}{_WEEKDAY})(?P<day>{_DATE})"
        rf"(?P<end>{_END})",
    )
)
_IN_TIME = re.compile(rf"(.*?)({TIME})(.*)")
_SAME_DIGITS = {  # maps ASCII digits to 1, all others to ١
    code: "1" if code < 128 else "١" for code in range(0x20000) if chr(code).isdecimal()
}
HEADER = re.compile("|".join(_FORMS))
# A line that may begin with a header, or is blank. Most lines that people type are neither.
MAYBE_HEADER = re.compile(
    rf"\n(?:[{M}{BOM}\[(]|\d|\s|\Z|{_L}[^\n]{{0,40}}?\d[:.hH]\d\d[^\n]{{0,30}}?(?:[-–—]|:)[{S}])"
)
_AUTHOR = r"(?:([^:\n]++): )?"  # the usual form of an author; other forms are handled one by one
# Splits a text into: the part before the first header, then for each message its header, its author
# and its text up to the next header.
GENERAL = re.compile(f"\n((?:{_FORMS[0]}|{_FORMS[1]})){_AUTHOR}")
MAX_VARIANTS = 40  # of one part of a header; with more, the general pattern is quicker


class Style(NamedTuple):
    """The form of a header. An export has one, rarely two; other forms are people's text."""

    bracket: str
    time_first: bool
    separator: str  # in the date; "month" if the month is a name
    year_first: bool
    comma: str
    time_word: str  # a word before the time
    colon: str  # in the time
    seconds: bool
    am_pm: str  # position of AM or PM: "before", "after" or ""
    end: str

    @property
    def iphone(self) -> bool:
        """Whether an iPhone wrote it (or an early Android phone, which wrote no dash either)."""
        return self.end != "-"

    def description(self) -> str:
        """Return the phone and the clock, for a summary."""
        hours = "12-hour clock" if self.am_pm else "24-hour clock"
        return f"{'iPhone' if self.iphone else 'Android'}, {hours}"


class Variant(NamedTuple):
    """One way to write the header of a style: its parts, as regular expressions.

    Digits stand for any digits, everything else is literal.
    """

    opening: str
    first: str  # the date, or the time if it comes first
    middle: str
    second: str
    end: str


class Form(NamedTuple):
    """The form of a header, without the meaning of its numbers."""

    style: Style
    variant: Variant
    day: slice  # where the header has the date
    time: slice  # where it has the time


def parse_header(header: str) -> Form | None:
    """Return the form of a header; None if the text only looks like one."""
    return _parse_header(header.translate(_SAME_DIGITS))


@lru_cache(maxsize=10_000)
def _parse_header(header: str) -> Form | None:
    """Parse a header whose digits were all made the same, so that the cache is hit more often."""
    for pattern in (_DATE_FIRST, _TIME_FIRST):
        match = pattern.fullmatch(header)
        if match and (style := _style(match, pattern is _TIME_FIRST)):
            day, time = (slice(*match.span(part)) for part in ("day", "time"))
            return Form(style, _variant(match, style), day, time)
    return None


def _style(header: re.Match[str], time_first: bool) -> Style | None:
    """Return the style of a header; None if it has no date, or its brackets do not match."""
    opening, written_date, middle, end = header.group("opening", "day", "middle", "end")
    time_match = _IN_TIME.fullmatch(header["time"])
    assert time_match  # the header's pattern contains it
    before, time, after = time_match.groups()
    before, after = normalize_word(before), normalize_word(after)
    date = parse_date(written_date)
    bracket = next((sign for sign in opening if sign in "[("), "")
    last_sign = end.rstrip(S)[-1].replace("–", "-").replace("—", "-")
    brackets = bracket + ("(" if "(" in middle else "")
    if (
        date is None
        or (bracket == "[") != (last_sign == "]")
        or brackets.count("(") != end.count(")")
    ):
        return None
    am_pm = ""
    if before and before not in FILLER_WORDS:
        am_pm = "before"
    elif after and after not in FILLER_WORDS:
        am_pm = "after"
    if len(before) > 20 or len(after) > 24:
        return None
    comma = "".join(sign for sign in middle if sign in ",،、T(")
    first, *others = re.findall(r"\d+", time)
    short = "1" if any(len(other) < 2 for other in others) else ""  # 9:7 for 9:07
    return Style(
        bracket=bracket,
        time_first=time_first,
        separator=date.separator,
        year_first=date.year_first and not date.month,
        comma=comma,
        time_word="" if am_pm == "before" else before,
        colon=time[len(first)].strip(S) + short,
        seconds=len(others) > 1,
        am_pm=am_pm,
        end=last_sign,
    )


def _variant(header: re.Match[str], style: Style) -> Variant:
    """Return the patterns for headers written as this one."""
    opening, day, middle, time, end = header.group("opening", "day", "middle", "time", "end")
    lookahead = "" if end[-1] in S else rf"(?![{S}])" if end[-1] in "])" else r"(?=\n|\Z)"
    day, time = _any_digits(day, bool(style.separator != "month")), _any_digits(time, None)
    first, second = (time, day) if style.time_first else (day, time)
    return Variant(
        re.escape(opening.lstrip(M + BOM)),
        first,
        re.escape(middle),
        second,
        re.escape(end) + lookahead,
    )


def _any_digits(written: str, numeric: bool | None) -> str:
    """Return a pattern for a date or a time like `written`, with any digits.

    `numeric`: True for a date of numbers, False for one with a month's name, None for a time. Where
    phones leave out leading zeros, one digit matches too.
    """
    runs = re.findall(r"\d+", written)
    year_first = len(runs[0]) == 4
    digit = "[0-9]" if written.isascii() else r"\d"  # the first is quicker

    def digit_pattern(index: int, length: int) -> str:
        one_digit_too = (
            index == 0 or length == 1
            if numeric is None
            else index < 2 or year_first or length == 1 or not numeric
        )
        return f"{digit}{digit}?" if one_digit_too and length < 3 else f"{digit}{{{length}}}"

    parts = iter([digit_pattern(index, len(run)) for index, run in enumerate(runs)])
    return re.sub(r"\d+", lambda _: next(parts), re.escape(written))


def quick_pattern(variants: Iterable[Variant]) -> re.Pattern[str] | None:
    """Return a pattern for the variants of one style; None if there are too many.

    It splits a text as GENERAL does, with two more groups after the header's: date and time, in
    their order. It matches every header in the given variants, and nothing that GENERAL does not.
    """
    parts = _alternatives(variants)
    if parts is None:
        return None
    opening, first, middle, second, end = parts
    return re.compile(rf"\n([{M}{BOM}]{{,24}}{opening}({first}){middle}({second}){end}){_AUTHOR}")


def joint_pattern(variants_of_styles: Iterable[Iterable[Variant]]) -> re.Pattern[str] | None:
    """Return a pattern for several styles that splits a text as GENERAL does; None as above."""
    parts_of_all = [_alternatives(variants) for variants in variants_of_styles]
    usable = [parts for parts in parts_of_all if parts is not None]
    if not usable or len(usable) < len(parts_of_all):
        return None
    either = "|".join("".join(parts) for parts in usable)
    return re.compile(rf"\n([{M}{BOM}]{{,24}}(?:{either})){_AUTHOR}")


def _alternatives(variants: Iterable[Variant]) -> list[str] | None:
    """Return one pattern for each part of the variants; None if there are none, or too many."""
    parts = [sorted(set(part), key=len, reverse=True) for part in zip(*variants, strict=True)]
    if not parts or max(map(len, parts)) > MAX_VARIANTS:
        return None
    return [f"(?:{'|'.join(part)})" for part in parts]
