"""The header of a message: its forms, and one quick pattern for the form of a file.

"9/4/2026, 14:43 - ", "[28/03/25, 9:29:05 p. m.] ", "29/12/2012 17:04:00: "
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from espejo import names
from espejo.whatsapp.dates import CLOCK, HALVES, SPACES, bare, numbers_of

M = names.MARKS
S = SPACES
BOM = "\ufeff"  # inside a text where files were joined
_SEPARATOR = rf"[{M}]*(?:[/\-年月]|\.[{S}]?)"
_WORD = r"[^\W\d_][^\d\n\[\]:,،\-–]"  # a word's first letters
_PARTS = (
    rf"[{M}{BOM}]*\[?[{M}]*",  # what opens it
    rf"\d{{1,4}}{_SEPARATOR}\d{{1,2}}{_SEPARATOR}\d{{1,4}}(?:日|\.)?",  # date
    rf"(?:[{S}]?г\.)?[{M}]*[,،]?[{M}{S}]*",
    rf"(?:{_WORD}{{0,9}}[{M}{S}]*)?",  # a word before the time
    rf"\d\d?(?:[:.]|[{S}]?[hH][{S}]?)\d\d(?:[:.]\d\d)?",  # time
    rf"(?:[{S}{M}]*{_WORD}{{0,14}}?)?",  # a word after it
    rf"(?:[{S}{M}]*\]|[{S}{M}]+[-–](?=[{S}\n]|\Z)|:(?=[{S}]))[{S}]?",  # what ends it
)
_DIGIT = re.compile(r"\d")
HEADER = re.compile("({})({})({})({})({})({})({})".format(*_PARTS))
OPENINGS = frozenset(re.findall(f"[{M}]", "".join(map(chr, range(0x3000))))) | {BOM, "["}
# A line that can begin with a header, or is blank; most that people typed do neither.
UNUSUAL = re.compile(rf"\n(?:[{M}{BOM}\[]*\d|\s|\Z)")
_NAME = r"(?:([^:\n]++): )?"  # the commonest form of an author; the others are looked at one by one
# Splits a text into: what stands before, then for each message its header, date, time (with the
# words around it), author and what follows up to the next header.
GENERAL = re.compile("\n({}({}){}({}{}{}){})".format(*_PARTS) + _NAME)
MOST_VARIANTS = 16  # of one part of a header, before the general pattern is the quicker one


class Style(NamedTuple):
    """The form of a header. An export has one; a line in another form is somebody's words."""

    bracket: str
    separator: str  # in the date
    year_first: bool
    comma: str
    at: str  # a word before the time
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


def style_of(header: str) -> tuple[Style, "Variant"] | None:
    """The style of a whole header and how it is written, None when it only looks like a header."""
    return _style_of_form(_DIGIT.sub(_any_digit, header))


def _any_digit(digit: re.Match[str]) -> str:
    return "1" if digit[0].isascii() else "١"


@lru_cache(maxsize=10_000)
def _style_of_form(header: str) -> tuple[Style, "Variant"] | None:
    """The same for a header whose digits were all made alike: they make no difference."""
    match = HEADER.fullmatch(header)
    style = _style(match) if match else None
    return (style, _variant(match)) if style else None


def _style(header: re.Match[str]) -> Style | None:
    opening, day, middle, before, time, after, end = header.groups()
    date_form, _ = numbers_of(day)
    before, after, end = bare(before), bare(after), end.rstrip(S)[-1].replace("–", "-")
    if after and after not in HALVES and after not in CLOCK["hours"]:
        return None
    if before and before not in HALVES and before not in CLOCK["at"]:
        return None
    bracket = "[" if "[" in opening else ""
    if date_form is None or bool(bracket) != (end == "]"):
        return None
    comma = "".join(sign for sign in middle if sign in ",،")
    half = "before" if before in HALVES else "after" if after in HALVES else ""
    at = "" if half == "before" else before
    colon, *more = re.findall(r"\D+", time)
    return Style(bracket, *date_form, comma, at, colon, bool(more), half, end)


class Variant(NamedTuple):
    """The parts of one way to write a style's header, as regular expressions.

    Its digits are any digits, all else is literal.
    """

    opening: str
    day: str
    middle: str
    time: str
    end: str


def _variant(header: re.Match[str]) -> Variant:
    opening, day, middle, before, time, after, end = header.groups()
    blank = "" if end[-1] in S else rf"(?![{S}])" if end[-1] == "]" else r"(?=\n|\Z)"
    return Variant(
        re.escape(opening.lstrip(M + BOM)),
        _any_digits(day, day),
        re.escape(middle),
        re.escape(before) + _any_digits(time, "") + re.escape(after),
        re.escape(end) + blank,
    )


def _any_digits(written: str, day: str) -> str:
    """A date or (without `day`) a time with any digits; some leading zeros may be left out."""
    runs = re.findall(r"\d+", written)
    year_first = len(runs[0]) == 4
    digit = "[0-9]" if written.isascii() else r"\d"  # the first is the quicker one

    def digits(run: int, length: int) -> str:
        free = run < 2 or year_first if day else run == 0
        return f"{digit}{digit}?" if free and length < 3 else f"{digit}{{{length}}}"

    parts = iter([digits(run, len(found)) for run, found in enumerate(runs)])
    return re.sub(r"\d+", lambda _: next(parts), re.escape(written))


def quick_pattern(variants: Iterable[Variant]) -> re.Pattern[str] | None:
    """A pattern with the groups of GENERAL for one style, None when it varies too much.

    It finds no line that GENERAL does not find, and finds all in the given variants.
    """
    parts = [sorted(set(part), key=len, reverse=True) for part in zip(*variants, strict=True)]
    if not parts or max(map(len, parts)) > MOST_VARIANTS:
        return None
    opening, day, middle, time, end = (f"(?:{'|'.join(part)})" for part in parts)
    return re.compile(rf"\n([{M}{BOM}]*{opening}({day}){middle}({time}){end}){_NAME}")
