"""One pass over a chat's text that takes it apart into messages, as columns of numbers.

Nothing is decided about a message here. What many messages have in common (dates, times, names) is
kept once and numbered, so that it is looked at once; what they say goes into an Arrow array.
"""

import operator
import re
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from espejo.whatsapp.headers import (
    GENERAL,
    HEADER,
    OPENINGS,
    UNUSUAL,
    Style,
    Variant,
    quick_pattern,
    style_of,
)
from espejo.whatsapp.text import Source

GLANCE = 500  # lines that suffice to guess a file's style


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

    @property
    def codes(self) -> np.ndarray:
        """The number of each row's value (int32)."""
        return np.concatenate([np.zeros(0, np.int32), *self._parts])

    def mapped(self, function: Callable, dtype: type) -> np.ndarray:
        """`function` of each row's value, called once for each distinct value."""
        return np.array([function(value) for value in self._known], dtype=dtype)[self.codes]


@dataclass
class Pieces:
    """A file's messages in the form of one style; arrays have one entry a message."""

    before: str  # what stands before the first message
    days: Column  # as written
    times: Column  # as written, with AM or PM
    names: Column  # what stands before the first colon, None when that is not simply a name
    said: pa.LargeStringArray  # what follows, up to the next header, without line feeds at the end
    headers: np.ndarray  # characters of the header
    lines: np.ndarray  # number of the first line, from 1
    blank_ends: np.ndarray  # line feeds cut from the end of `said`
    typed_lines: int  # not blank, below a message's first line
    lookalikes: int  # lines that begin like a message, in any style
    in_style: np.ndarray  # whether the header has the file's style (all but in a motley file)


class _Pass:
    """Splits a text chunk by chunk; a message goes on through chunks until the next header."""

    def __init__(self, pattern: re.Pattern[str], style: Style | None) -> None:
        self.pattern = pattern
        self.style = style  # of all that the pattern finds, None for the general one
        self.days, self.times, self.names, self.found = Column(), Column(), Column(), Column()
        self.said, self.headers, self.lines, self.blank_ends = [], [], [], []
        self.before: str | None = None
        self.open: list[str] = []  # the message that may go on in the next chunk
        self.line = 1  # of the message in `open`
        self.typed_lines = 0
        self.seen: dict[Style, list] = {}  # below messages: how many headers, the first one's line
        self.variants: dict[Style, set[Variant]] = defaultdict(set)

    def add(self, text: str) -> None:
        """The next chunk."""
        start, *pieces = self.pattern.split(text)
        self.open.append(start)
        if not pieces:
            return
        headers, said = pieces[::5], pieces[4::5]
        self.days.add(pieces[1::5])
        self.times.add(pieces[2::5])
        self.names.add(pieces[3::5])
        if self.style is None:
            styles = [found and found[0] for found in map(style_of, headers)]
            self.found.add(styles)
        self.headers.append(np.fromiter(map(len, headers), np.int32, len(headers)))
        self.close(said[:-1])
        self.open = [said[-1]]

    def close(self, said: list[str]) -> None:
        """The open message has ended, and so have these."""
        begun = "".join(self.open)
        if self.before is None:
            self.before = begun
            self.line = self.below(begun, 0) + 1
            self.typed_lines = 0
        else:
            said.insert(0, begun)
        if not said:
            return
        array = pa.array(said, pa.large_string())
        feeds = pc.count_substring(array, "\n").to_numpy()
        starts = self.line + np.concatenate([[0], np.cumsum(feeds + 1)])
        self.line = int(starts[-1])
        cut = np.zeros(len(said), np.int32)
        for row in np.flatnonzero(feeds).tolist():
            text = said[row]
            self.below(text, int(starts[row]))
            if text[-1] == "\n":
                said[row] = text.rstrip("\n")
                cut[row] = len(text) - len(said[row])
        self.said.append(pa.array(said, pa.large_string()) if cut.any() else array)
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
            if not (words[:1].isdecimal() or words[:1] in OPENINGS):
                continue
            header = HEADER.match(words)
            if header and (found := style_of(header[0])):
                style, variant = found
                self.seen.setdefault(style, [0, number])[0] += 1
                self.variants[style].add(variant)
        return len(typed)

    def done(self) -> Pieces:
        """The last message has ended."""
        self.close([])
        none = np.zeros(0, np.int64)
        lines = np.concatenate([none, *self.lines])
        if self.style is None:
            codes = self.found.codes
            for code, style in enumerate(self.found.values):
                if style:
                    rows = np.flatnonzero(codes == code)
                    self.seen[style] = [len(rows), int(lines[rows[0]])]
        elif len(lines):
            seen = self.seen.get(self.style, (0, lines[0]))
            self.seen[self.style] = [seen[0] + len(lines), min(seen[1], int(lines[0]))]
        return Pieces(
            before=self.before,
            days=self.days,
            times=self.times,
            names=self.names,
            said=pa.chunked_array(self.said, pa.large_string()).combine_chunks(),
            headers=np.concatenate([none, *self.headers]),
            lines=lines,
            blank_ends=np.concatenate([none, *self.blank_ends]),
            typed_lines=self.typed_lines,
            lookalikes=sum(count for count, _ in self.seen.values()),
            in_style=np.ones(len(lines), bool),
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
    all lines that the pattern does not find; when they make the guess wrong or incomplete, a second
    pass knows all. A file whose headers vary without end is read with the general pattern.
    """
    style, variants = _glance(next(source.chunks()))
    for quick in (True, True, False):  # the last is for what cannot be: a pass that missed some
        pattern = quick_pattern(variants[style]) if quick and style else None
        reader = _Pass(pattern or GENERAL, style if pattern else None)
        for text in source.chunks():
            reader.add(text)
        pieces = reader.done()
        guess, style = style, _commonest(reader.seen)
        if style is None:
            return None
        if pattern is None:
            pieces.in_style = reader.found.mapped(partial(operator.eq, style), bool)
            break
        if style == guess and not reader.variants[style]:
            break
        for seen, more in reader.variants.items():
            variants[seen] |= more
    return pieces, style
