"""One pass over a chat's text that takes it apart into messages, as columns of numbers.

Nothing is decided about a message here. What many messages have in common (dates, times, names) is
kept once and numbered, so that it is looked at once; what they say goes into an Arrow array.
"""

import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from espejo.whatsapp.headers import (
    GENERAL,
    HEADER,
    UNUSUAL,
    Style,
    Variant,
    form_of,
    joint_pattern,
    quick_pattern,
)
from espejo.whatsapp.text import Source

GLANCE = 500  # lines that suffice to guess a file's style
MOST_MESSAGES = 2_000_000  # of a chat; an export ends at some ten thousand


class TooManyError(ValueError):
    """There are more messages than the first argument."""


class Codes(dict):
    """A number for each value, given as it is first asked for: 0, 1, 2 …"""

    def __missing__(self, value: str | None) -> int:
        """The next number, for a value that has none."""
        self[value] = number = len(self)
        return number

    def of(self, values: list) -> np.ndarray:
        """The numbers of some values (int32)."""
        return np.fromiter(map(self.__getitem__, values), np.int32, len(values))


class Column:
    """A column that grows by parts: `codes` index the distinct `values`."""

    def __init__(self) -> None:
        self._known = Codes()
        self._parts: list[np.ndarray] = []

    def add(self, values: list) -> None:
        """More rows."""
        self._parts.append(self._known.of(values))

    @property
    def values(self) -> list:
        """The distinct values in the order of their first row."""
        return list(self._known)

    @cached_property
    def codes(self) -> np.ndarray:
        """The number of each row's value (int32), once all rows are there."""
        return np.concatenate([np.zeros(0, np.int32), *self._parts])

    def some(self, codes: np.ndarray) -> list:
        """The distinct values of some rows."""
        values = self.values
        return [values[code] for code in np.flatnonzero(np.bincount(codes)).tolist()]

    def mapped(self, function: Callable, dtype: type, codes: np.ndarray) -> np.ndarray:
        """`function` of the values of some rows, called once for each distinct value."""
        values: np.ndarray = np.zeros(len(self._known), dtype)
        distinct = np.flatnonzero(np.bincount(codes))
        values[distinct] = list(map(function, self.some(codes)))
        return values[codes]


@dataclass
class Pieces:
    """What a file's headers begin; arrays have one entry a header."""

    before: str  # what stands before the first message
    days: Column  # as written
    times: Column  # as written, with AM or PM
    names: Column  # what stands before the first colon, None when that is not simply a name
    bodies: (
        pa.LargeStringArray
    )  # what follows, up to the next header, without line feeds at the end
    headers: np.ndarray  # characters of the header
    lines: np.ndarray  # number of the first line, from 1
    blank_ends: np.ndarray  # line feeds cut from the end of `said`
    typed_lines: int  # not blank, below a message's first line
    lookalikes: int  # lines that begin like a message, in any style
    styles: list[Style | None]  # the forms of the headers, None for what only looks like one
    style_codes: np.ndarray  # of each header, index of `styles`

    def style_of(self, row: int) -> Style | None:
        """The form of one header."""
        return self.styles[self.style_codes[row]]


class _Pass:
    """Splits a text chunk by chunk; a message goes on through chunks until the next header."""

    def __init__(self, pattern: re.Pattern[str], style: Style | None) -> None:
        self.pattern = pattern
        self.style = style  # of all that the pattern finds, None for the general one
        self.days, self.times, self.names, self.forms = Column(), Column(), Column(), Column()
        self.bodies: list[pa.Array] = []
        self.headers: list[np.ndarray] = []
        self.lines: list[np.ndarray] = []
        self.blank_ends: list[np.ndarray] = []
        self.before: str | None = None
        self.open: list[str] = []  # the message that may go on in the next chunk
        self.line = 1  # of the message in `open`
        self.typed_lines = 0
        self.count = 0
        self.seen: dict[Style, list] = {}  # below messages: how many headers, the first one's line
        self.variants: dict[Style, set[Variant]] = defaultdict(set)

    def add(self, text: str) -> None:
        """The next chunk."""
        start, *pieces = self.pattern.split(text)
        self.open.append(start)
        if not pieces:
            return
        if self.style is None:
            headers, names, bodies = pieces[::3], pieces[1::3], pieces[2::3]
            forms = list(map(form_of, headers))
            self.forms.add([form and form.style for form in forms])
            both = list(zip(headers, forms, strict=True))
            days = [header[form.day] if form else "" for header, form in both]
            times = [header[form.time] if form else "" for header, form in both]
        else:
            headers, days, times, names, bodies = (pieces[field::5] for field in range(5))
            if self.style.time_first:
                days, times = times, days
        self.days.add(days)
        self.times.add(times)
        self.names.add(names)
        self.count += len(headers)
        if self.count > MOST_MESSAGES:
            raise TooManyError(MOST_MESSAGES)
        self.headers.append(np.fromiter(map(len, headers), np.int32, len(headers)))
        self.close(bodies[:-1])
        self.open = [bodies[-1]]

    def close(self, bodies: list[str]) -> None:
        """The open message has ended, and so have these."""
        begun = "".join(self.open)
        if self.before is None:
            self.before = begun
            self.line = self.below(begun, 0) + 1
            self.typed_lines = 0
        else:
            bodies.insert(0, begun)
        if not bodies:
            return
        array = pa.array(bodies, pa.large_string())
        feeds = pc.count_substring(array, "\n").to_numpy()
        starts = self.line + np.concatenate([[0], np.cumsum(feeds + 1)])
        self.line = int(starts[-1])
        cut = np.zeros(len(bodies), np.int32)
        for row in np.flatnonzero(feeds).tolist():
            text = bodies[row]
            self.below(text, int(starts[row]))
            if text[-1] == "\n":
                bodies[row] = text.rstrip("\n")
                cut[row] = len(text) - len(bodies[row])
        self.bodies.append(pa.array(bodies, pa.large_string()) if cut.any() else array)
        self.lines.append(starts[:-1])
        self.blank_ends.append(cut)

    def below(self, text: str, line: int) -> int:
        """Look at what stands below the first line of a text; returns its number of line feeds."""
        if not UNUSUAL.search(text):
            feeds = text.count("\n")
            self.typed_lines += feeds
            return feeds
        typed = text.split("\n")[1:]
        self.typed_lines += sum(map(bool, map(str.strip, typed)))
        for number, words in enumerate(typed, line + 1):
            header = HEADER.match(words)
            if header and (form := form_of(header[0])):
                self.seen.setdefault(form.style, [0, number])[0] += 1
                self.variants[form.style].add(form.variant)
        return len(typed)

    def done(self) -> Pieces:
        """The last message has ended."""
        self.close([])
        none = np.zeros(0, np.int64)
        lines = np.concatenate([none, *self.lines])
        if self.style is None:
            codes = self.forms.codes
            for code, style in enumerate(self.forms.values):
                if style:
                    rows = np.flatnonzero(codes == code)
                    self.seen[style] = [len(rows), int(lines[rows[0]])]
        elif len(lines):
            seen = self.seen.get(self.style, (0, lines[0]))
            self.seen[self.style] = [seen[0] + len(lines), min(seen[1], int(lines[0]))]
        return Pieces(
            before=self.before or "",
            days=self.days,
            times=self.times,
            names=self.names,
            bodies=pa.chunked_array(self.bodies, pa.large_string()).combine_chunks(),
            headers=np.concatenate([none, *self.headers]),
            lines=lines,
            blank_ends=np.concatenate([none, *self.blank_ends]),
            typed_lines=self.typed_lines,
            lookalikes=sum(count for count, _ in self.seen.values()),
            styles=self.forms.values if self.style is None else [self.style],
            style_codes=self.forms.codes if self.style is None else np.zeros(len(lines), np.int32),
        )


def _commonest(seen: dict[Style, list]) -> Style | None:
    """A file's style. It begins with a message, so its first line counts as much as three."""
    first = sorted(seen, key=lambda style: seen[style][1])
    return max(
        first, key=lambda style: seen[style][0] * (3 if seen[style][1] == 1 else 1), default=None
    )


def _glance(text: str) -> tuple[Style | None, dict[Style, set[Variant]]]:
    """The style of the first lines, and how the headers in them are written."""
    reader = _Pass(GENERAL, None)
    reader.below("\n".join(text.split("\n", GLANCE)[:GLANCE]), 0)
    return _commonest(reader.seen), reader.variants


def take_apart(source: Source) -> tuple[Pieces, Style] | None:
    """A file's messages and its style, None when no line looks like a message.

    The first lines give a guess, and a quick pattern made for it. The pass with it also looks at
    all lines that the pattern does not find; when they make the guess wrong or incomplete, or show
    that the file has several forms, another pass knows all. A file whose headers vary without end
    is read with the general pattern.
    """
    style, variants = _glance(next(source.chunks()))
    several = False
    for quick in (True, True, False):  # the last is for what cannot be: a pass that missed some
        pattern = None
        if quick and style:
            pattern = (
                joint_pattern(variants.values()) if several else quick_pattern(variants[style])
            )
        single = style if pattern and not several else None
        reader = _Pass(pattern or GENERAL, single)
        for text in source.chunks():
            reader.add(text)
        pieces = reader.done()
        guess, style = style, _commonest(reader.seen)
        if style is None:
            return None
        missed = reader.variants if several else reader.variants[style]
        several = any(count > 1 for other, (count, _) in reader.seen.items() if other != style)
        if pattern is None or (
            style == guess and not missed and not (several and single is not None)
        ):
            break
        for seen, more in reader.variants.items():
            variants[seen] |= more
    assert style  # else it was None in the loop
    return pieces, style
