"""The header of a message: its forms, and one quick pattern for the form of a file.

"9/4/2026, 14:43 - ", "[28/03/25, 9:29:05 p. m.] ", "29/12/2012 17:04:00: ", "21:41, 5 Aug 2015 - "
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from espejo.core import names
from espejo.whatsapp.dates import BESIDE, TIME, day_of
from espejo.whatsapp.words import SPACES, bare

M = names.MARKS
S = SPACES
BOM = "\ufeff"  # inside a text where files were joined
_L = r"[^\W\d_]"  # a letter
# Nothing repeats without end: a line of a thousand marks or dots must not take minutes.
_ERA = "R|H|S|令和|平成|昭和|民國"
_SEPARATOR = rf"[{M}]{{,24}}(?:[/\-‑年月]|[년월][{S}]?|\.[{S}]?)"
_NUMBERS = (
    rf"(?:{_ERA})?\d{{1,4}}{_SEPARATOR}\d{{1,2}}{_SEPARATOR}(?:{_ERA})?\d{{1,4}}(?:日|일|\.)?"
)
# The month's name takes small words with it: "5 de marzo de 2014".
_NAME_OF_MONTH = rf"{_L}[^\d\n\[\]():,،/–—]{{1,17}}?"
_ORDINAL = r"(?:\.|st|nd|rd|th|er|º)?"
_NAMED = (
    rf"(?:\d{{1,2}}{_ORDINAL}[{S}\-./]{{,24}}{_NAME_OF_MONTH}"
    rf"(?:[.,،]{{,24}}[{S}\-./]{{,24}}\d{{4}}|[\-/{S}]\d\d)?\.?"
    rf"|{_NAME_OF_MONTH}[{S}.\-/]{{,24}}\d{{1,2}}{_ORDINAL}(?!\d)(?:[,،]?[{S}\-./]{{1,24}}\d{{4}})?"
    rf"|\d{{4}}[{S}.,\-/]{{1,24}}{_NAME_OF_MONTH}[{S}.\-/]{{,24}}\d{{1,2}}\.?(?!\d))"
)
# An era (those that phones write without a comma behind), or "of the year".
_AFTER_YEAR = rf"[гр]\.|(?:BE|AD|CE|AP|พ\.ศ\.|ค\.ศ\.|ه\.ش\.?)(?=[{S}]{{,24}}[,،\]\d])"
_DATE = (
    rf"(?:{_NUMBERS}|{_NAMED})"
    rf"(?:[{S}]?(?:{_AFTER_YEAR})|[{S}]{_L}[\w.]{{0,5}}(?=[{S}]{{,24}}[,،\]]))?"
)
_WEEKDAY = rf"(?:{_L}(?:{_L}|['’\u0300-\u036f\u093c-\u0d4d-]){{1,14}}[.,،]{{,24}}[{S}]{{1,24}})?"
_JOIN = rf"[{M}]{{,24}}(?:[{S}]{{1,24}}-[{S}]{{1,24}}|[,،、]?[{M}{S}]{{,24}}(?:T(?=\d)|\()?)"
_PART = r"[^\d\n\[\](){}:,،/–—]"  # of the words beside a time
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
_ALIKE = {  # one digit for all of ours, and one for all of other scripts
    code: "1" if code < 128 else "١" for code in range(0x20000) if chr(code).isdecimal()
}
HEADER = re.compile("|".join(_FORMS))
# A line that can begin with a header, or is blank; most that people typed do neither.
UNUSUAL = re.compile(
    rf"\n(?:[{M}{BOM}\[(]|\d|\s|\Z|{_L}[^\n]{{0,40}}?\d[:.hH]\d\d[^\n]{{0,30}}?(?:[-–—]|:)[{S}])"
)
_NAME = r"(?:([^:\n]++): )?"  # the commonest form of an author; the others are looked at one by one
# Splits a text into: what stands before, then for each message its header, author and what follows
# up to the next header.
GENERAL = re.compile(f"\n((?:{_FORMS[0]}|{_FORMS[1]})){_NAME}")
MOST_VARIANTS = 40  # of one part of a header, before the general pattern is the quicker one


class Style(NamedTuple):
    """The form of a header. An export has one, seldom two; another form is somebody's words."""

    bracket: str
    time_first: bool
    separator: str  # in the date, "month" where a name stands for the number
    year_first: bool
    comma: str
    time_word: str  # a word before the time
    colon: str  # in the time
    seconds: bool
    half: str  # where AM or PM stands: before, after or ""
    end: str

    @property
    def iphone(self) -> bool:
        """Whether an iPhone wrote it (early Android phones wrote no dash either)."""
        return self.end != "-"

    def words(self) -> str:
        """Phone and clock for a summary."""
        hours = "12-hour clock" if self.half else "24-hour clock"
        return f"{'iPhone' if self.iphone else 'Android'}, {hours}"


class Variant(NamedTuple):
    """The parts of one way to write a style's header, as regular expressions.

    Its digits are any digits, all else is literal.
    """

    opening: str
    first: str  # the day, or the time where it stands first
    middle: str
    second: str
    end: str


class Form(NamedTuple):
    """What a header shows before its numbers are read."""

    style: Style
    variant: Variant
    day: slice  # of the header
    time: slice


def form_of(header: str) -> Form | None:
    """The form of a whole header, None when it only looks like a header."""
    return _form(header.translate(_ALIKE))


@lru_cache(maxsize=10_000)
def _form(header: str) -> Form | None:
    """The same for a header whose digits were all made alike: they make no difference."""
    for pattern in (_DATE_FIRST, _TIME_FIRST):
        match = pattern.fullmatch(header)
        if match and (style := _style(match, pattern is _TIME_FIRST)):
            day, time = (slice(*match.span(part)) for part in ("day", "time"))
            return Form(style, _variant(match, style), day, time)
    return None


def _style(header: re.Match[str], time_first: bool) -> Style | None:
    opening, written, middle, end = header.group("opening", "day", "middle", "end")
    in_time = _IN_TIME.fullmatch(header["time"])
    assert in_time  # the header was found by it
    before, time, after = in_time.groups()
    before, after = bare(before), bare(after)
    day = day_of(written)
    bracket = next((sign for sign in opening if sign in "[("), "")
    last = end.rstrip(S)[-1].replace("–", "-").replace("—", "-")
    round_open = bracket + ("(" if "(" in middle else "")
    if day is None or (bracket == "[") != (last == "]") or round_open.count("(") != end.count(")"):
        return None
    half = (
        "before" if before not in BESIDE | {""} else "after" if after not in BESIDE | {""} else ""
    )
    if len(before) > 20 or len(after) > 24:
        return None
    comma = "".join(sign for sign in middle if sign in ",،、T(")
    first, *others = re.findall(r"\d+", time)
    short = "1" if any(len(other) < 2 for other in others) else ""  # 9:7 for 9:07
    return Style(
        bracket=bracket,
        time_first=time_first,
        separator=day.separator,
        year_first=day.year_first and not day.month,
        comma=comma,
        time_word="" if half == "before" else before,
        colon=time[len(first)].strip(S) + short,
        seconds=len(others) > 1,
        half=half,
        end=last,
    )


def _variant(header: re.Match[str], style: Style) -> Variant:
    opening, day, middle, time, end = header.group("opening", "day", "middle", "time", "end")
    blank = "" if end[-1] in S else rf"(?![{S}])" if end[-1] in "])" else r"(?=\n|\Z)"
    day, time = _any_digits(day, bool(style.separator != "month")), _any_digits(time, None)
    first, second = (time, day) if style.time_first else (day, time)
    return Variant(
        re.escape(opening.lstrip(M + BOM)), first, re.escape(middle), second, re.escape(end) + blank
    )


def _any_digits(written: str, numeric: bool | None) -> str:
    """A date (`numeric` or with a month's name) or a time (None) with any digits.

    Some leading zeros may be left out.
    """
    runs = re.findall(r"\d+", written)
    year_first = len(runs[0]) == 4
    digit = "[0-9]" if written.isascii() else r"\d"  # the first is the quicker one

    def digits(run: int, length: int) -> str:
        free = (
            run == 0 or length == 1
            if numeric is None
            else run < 2 or year_first or length == 1 or not numeric
        )
        return f"{digit}{digit}?" if free and length < 3 else f"{digit}{{{length}}}"

    parts = iter([digits(run, len(length)) for run, length in enumerate(runs)])
    return re.sub(r"\d+", lambda _: next(parts), re.escape(written))


def quick_pattern(variants: Iterable[Variant]) -> re.Pattern[str] | None:
    """A pattern for one style, None when it varies too much.

    It splits a text as GENERAL does, with two groups more after the header's: the day and the
    time, in their order. It finds no line that GENERAL does not find, and finds all in the given
    variants.
    """
    parts = _parts(variants)
    if parts is None:
        return None
    opening, first, middle, second, end = parts
    return re.compile(rf"\n([{M}{BOM}]{{,24}}{opening}({first}){middle}({second}){end}){_NAME}")


def joint_pattern(several: Iterable[Iterable[Variant]]) -> re.Pattern[str] | None:
    """A pattern for several styles, that splits a text just as GENERAL does; None as above."""
    parts_of_all = [_parts(variants) for variants in several]
    usable = [parts for parts in parts_of_all if parts is not None]
    if not usable or len(usable) < len(parts_of_all):
        return None
    either = "|".join("".join(parts) for parts in usable)
    return re.compile(rf"\n([{M}{BOM}]{{,24}}(?:{either})){_NAME}")


def _parts(variants: Iterable[Variant]) -> list[str] | None:
    parts = [sorted(set(part), key=len, reverse=True) for part in zip(*variants, strict=True)]
    if not parts or max(map(len, parts)) > MOST_VARIANTS:
        return None
    return [f"(?:{'|'.join(part)})" for part in parts]
