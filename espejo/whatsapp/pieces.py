"""Split a chat's text into messages, as columns, in one pass.

Nothing is decided about a message here. Dates, times and names repeat: each distinct value is kept
once, with a code, so that it is parsed once. The texts go into an Arrow array.
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
    MAYBE_HEADER,
    Style,
    Variant,
    joint_pattern,
    parse_header,
    quick_pattern,
)
from espejo.whatsapp.text import Source

SAMPLE_LINES = 500  # enough to guess a file's style
MAX_MESSAGES = 2_000_000  # of a chat; an export has at most some ten thousand


class TooManyError(ValueError):
    """A chat has more messages than the first argument."""


class Codes(dict):
    """Codes of values: 0, 1, 2 … in the order in which the values are first looked up."""

    def __missing__(self, value: str | None) -> int:
        """Give a new value the next code."""
        self[value] = code = len(self)
        return code

    def codes_of(self, values: list) -> np.ndarray:
        """Return the codes of some values (int32)."""
        return np.fromiter(map(self.__getitem__, values), np.int32, len(values))


class Column:
    """A column that is appended to: `codes` are the rows' indices in the distinct `values`."""

    def __init__(self) -> None:
        self._codes = Codes()
        self._parts: list[np.ndarray] = []

    def add(self, values: list) -> None:
        """Append rows."""
        self._parts.append(self._codes.codes_of(values))

    @property
    def values(self) -> list:
        """The distinct values, in the order of their first rows."""
        return list(self._codes)

    @cached_property
    def codes(self) -> np.ndarray:
        """The code of each row's value (int32). Call it only after the last `add`: it is cached."""
        return np.concatenate([np.zeros(0, np.int32), *self._parts])

    def distinct(self, codes: np.ndarray) -> list:
        """Return the distinct values of rows with these codes."""
        values = self.values
        return [values[code] for code in np.flatnonzero(np.bincount(codes)).tolist()]

    def map_values(self, function: Callable, dtype: type, codes: np.ndarray) -> np.ndarray:
        """Return `function` of the values of rows with these codes, called once per value."""
        values: np.ndarray = np.zeros(len(self._codes), dtype)
        used = np.flatnonzero(np.bincount(codes))
        values[used] = list(map(function, self.distinct(codes)))
        return values[codes]


@dataclass
class Pieces:
    """The parts of a chat's text; arrays have one entry for each header."""

    before: str  # text before the first header
    days: Column  # as written
    times: Column  # as written, with AM or PM
    names: Column  # raw names: text before the first colon, None if not simply a name
    bodies: pa.LargeStringArray  # text up to the next header, without line feeds at the end
    header_lengths: np.ndarray  # in characters
    lines: np.ndarray  # number of the header's line, from 1
    blank_ends: np.ndarray  # number of line feeds cut from the end of `bodies`
    typed_lines: int  # number of non-blank lines below a message's first line
    lookalikes: int  # number of lines that begin with a header, in any style
    styles: list[Style | None]  # the styles of the headers; None for what only looks like one
    style_codes: np.ndarray  # each header's index in `styles`

    def style_of(self, row: int) -> Style | None:
        """Return the style of one header."""
        return self.styles[self.style_codes[row]]


class _Splitter:
    """Splits a text chunk by chunk. A message may continue in the next chunks."""

    def __init__(self, pattern: re.Pattern[str], style: Style | None) -> None:
        self.pattern = pattern
        self.style = style  # of all headers that the pattern finds; None if they vary
        self.days, self.times, self.names, self.forms = Column(), Column(), Column(), Column()
        self.bodies: list[pa.Array] = []
        self.header_lengths: list[np.ndarray] = []
        self.lines: list[np.ndarray] = []
        self.blank_ends: list[np.ndarray] = []
        self.before: str | None = None
        self.open_parts: list[str] = []  # parts of the message that may continue in the next chunk
        self.line = 1  # number of the first line of the message in `open_parts`
        self.typed_lines = 0
        self.count = 0
        self.header_counts: dict[Style, list] = {}  # by style: headers, line of the first
        self.variants: dict[Style, set[Variant]] = defaultdict(set)

    def add(self, text: str) -> None:
        """Split the next chunk."""
        start, *pieces = self.pattern.split(text)
        self.open_parts.append(start)
        if not pieces:
            return
        if self.style is None:
            headers, names, bodies = pieces[::3], pieces[1::3], pieces[2::3]
            forms = list(map(parse_header, headers))
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
        if self.count > MAX_MESSAGES:
            raise TooManyError(MAX_MESSAGES)
        self.header_lengths.append(np.fromiter(map(len, headers), np.int32, len(headers)))
        self.close(bodies[:-1])
        self.open_parts = [bodies[-1]]

    def close(self, bodies: list[str]) -> None:
        """Add messages that have ended: the open one, and `bodies` after it."""
        start = "".join(self.open_parts)
        if self.before is None:
            self.before = start
            self.line = self.scan_below(start, 0) + 1
            self.typed_lines = 0
        else:
            bodies.insert(0, start)
        if not bodies:
            return
        texts = pa.array(bodies, pa.large_string())
        num_feeds = pc.count_substring(texts, "\n").to_numpy()
        starts = self.line + np.concatenate([[0], np.cumsum(num_feeds + 1)])
        self.line = int(starts[-1])
        num_cut = np.zeros(len(bodies), np.int32)
        for row in np.flatnonzero(num_feeds).tolist():
            text = bodies[row]
            self.scan_below(text, int(starts[row]))
            if text[-1] == "\n":
                bodies[row] = text.rstrip("\n")
                num_cut[row] = len(text) - len(bodies[row])
        self.bodies.append(pa.array(bodies, pa.large_string()) if num_cut.any() else texts)
        self.lines.append(starts[:-1])
        self.blank_ends.append(num_cut)

    def scan_below(self, text: str, line: int) -> int:
        """Count lines and headers below a text's first line; return its number of line feeds."""
        if not MAYBE_HEADER.search(text):
            num_feeds = text.count("\n")
            self.typed_lines += num_feeds
            return num_feeds
        lines = text.split("\n")[1:]
        self.typed_lines += sum(map(bool, map(str.strip, lines)))
        for line_number, text_line in enumerate(lines, line + 1):
            header = HEADER.match(text_line)
            if header and (form := parse_header(header[0])):
                self.header_counts.setdefault(form.style, [0, line_number])[0] += 1
                self.variants[form.style].add(form.variant)
        return len(lines)

    def finish(self) -> Pieces:
        """Add the last message and return all pieces."""
        self.close([])
        empty = np.zeros(0, np.int64)
        lines = np.concatenate([empty, *self.lines])
        if self.style is None:
            codes = self.forms.codes
            for code, style in enumerate(self.forms.values):
                if style:
                    rows = np.flatnonzero(codes == code)
                    self.header_counts[style] = [len(rows), int(lines[rows[0]])]
        elif len(lines):
            line = int(lines[0])
            count, first_line = self.header_counts.get(self.style, (0, line))
            self.header_counts[self.style] = [count + len(lines), min(first_line, line)]
        return Pieces(
            before=self.before or "",
            days=self.days,
            times=self.times,
            names=self.names,
            bodies=pa.chunked_array(self.bodies, pa.large_string()).combine_chunks(),
            header_lengths=np.concatenate([empty, *self.header_lengths]),
            lines=lines,
            blank_ends=np.concatenate([empty, *self.blank_ends]),
            typed_lines=self.typed_lines,
            lookalikes=sum(count for count, _ in self.header_counts.values()),
            styles=self.forms.values if self.style is None else [self.style],
            style_codes=self.forms.codes if self.style is None else np.zeros(len(lines), np.int32),
        )


def _main_style(header_counts: dict[Style, list]) -> Style | None:
    """Return a file's style: the commonest, with triple weight for that of the first line.

    For a file begins with a message. `header_counts`: by style, number of headers and first line.
    """
    by_line = sorted(header_counts, key=lambda style: header_counts[style][1])
    return max(
        by_line,
        key=lambda style: header_counts[style][0] * (3 if header_counts[style][1] == 1 else 1),
        default=None,
    )


def _sample_style(text: str) -> tuple[Style | None, dict[Style, set[Variant]]]:
    """Return the style of the first lines, and the variants of the headers in them."""
    splitter = _Splitter(GENERAL, None)
    splitter.scan_below("\n".join(text.split("\n", SAMPLE_LINES)[:SAMPLE_LINES]), 0)
    return _main_style(splitter.header_counts), splitter.variants


def split_messages(source: Source) -> tuple[Pieces, Style] | None:
    """Split a file into messages; return them and its style, or None if no line is a header.

    The style of the first lines is a guess, for which a quick pattern is made. The pass with it
    also checks all lines that the pattern does not match. If they show that the guess is wrong or
    incomplete, or that the file has several styles, a second pass uses all that was found. A file
    whose headers vary too much is split with the general pattern.
    """
    style, variants = _sample_style(next(source.chunks()))
    several_styles = False
    for use_quick in (True, True, False):  # the third: should the second pass miss headers
        pattern = None
        if use_quick and style:
            pattern = (
                joint_pattern(variants.values())
                if several_styles
                else quick_pattern(variants[style])
            )
        only_style = style if pattern and not several_styles else None
        splitter = _Splitter(pattern or GENERAL, only_style)
        for text in source.chunks():
            splitter.add(text)
        pieces = splitter.finish()
        guess, style = style, _main_style(splitter.header_counts)
        if style is None:
            return None
        missed = splitter.variants if several_styles else splitter.variants[style]
        several_styles = any(
            count > 1 for other, (count, _) in splitter.header_counts.items() if other != style
        )
        if pattern is None or (
            style == guess and not missed and not (several_styles and only_style is not None)
        ):
            break
        for written_style, more_variants in splitter.variants.items():
            variants[written_style] |= more_variants
    assert style  # the loop has returned otherwise
    return pieces, style
