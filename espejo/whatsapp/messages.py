"""The messages of one file as columns, from the pieces of its text to the finished table."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from espejo.whatsapp import authors, kinds
from espejo.whatsapp.account import Account, characters_in, lines_in
from espejo.whatsapp.files import Text
from espejo.whatsapp.notices import language
from espejo.whatsapp.pieces import Codes, Pieces
from espejo.whatsapp.text import Source

KINDS = Codes((kind, code) for code, kind in enumerate(kinds.KINDS))
_STR = pd.StringDtype("pyarrow", na_value=np.nan)  # what pandas calls "str"


class Messages:
    """Some of a file's pieces; those between them are text of the message before."""

    def __init__(self, pieces: Pieces, rows: np.ndarray, source: Source) -> None:
        self.pieces, self.rows, self.source = pieces, rows, source
        self.bodies = pieces.bodies if len(rows) == len(pieces.lines) else pieces.bodies.take(rows)
        self.changed: dict[int, str] = {}  # by row: a text in place of the one in `said`
        self.known = Codes()  # the authors' names
        self.authors = np.zeros(0, np.int32)  # index of `known`, -1 for WhatsApp itself
        self.written = np.zeros(0, np.int32)  # characters of the name and its colon

    @property
    def lines(self) -> np.ndarray:
        """Number of each message's first line, from 1."""
        return self.pieces.lines[self.rows]

    def find_authors(self, iphone: bool) -> None:
        """Decide who wrote each message: once for a name, one by one where a name is doubtful."""
        raws, codes = self.pieces.names.values, self.pieces.names.codes[self.rows]
        long_names = authors.with_colon(raws, codes, self.bodies)
        tight_names = authors.without_space(raws, codes, self.bodies)
        notices = frozenset() if iphone else authors.notices_with_colon(raws, codes, self.bodies)
        short = {name.partition(": ")[0] for name in long_names} | notices
        doubt = np.array([authors.doubtful(raw) or raw in short for raw in raws], bool)
        names = [
            -1 if doubted else self.known[authors.name(raw)]
            for raw, doubted in zip(raws, doubt, strict=True)
        ]
        self.authors = np.array(names, np.int32)[codes]
        self.written = np.array([len(raw or "") + 2 for raw in raws], np.int32)[codes]
        rows = np.flatnonzero(doubt[codes])
        for row, body in zip(rows.tolist(), self.bodies.take(rows).to_pylist(), strict=True):
            raw = raws[codes[row]]
            first, feed, rest = authors.whole(raw, body).partition("\n")
            author, text = None, first
            if raw not in notices:
                author, text = authors.split(first, tuple(long_names), tight_names)
            self.authors[row] = -1 if author is None else self.known[author]
            self.written[row] = len(first) - len(text)
            self.changed[row] = text + feed + rest

    @property
    def marked(self) -> np.ndarray:
        """Whether WhatsApp's mark stands before a message's words (bool)."""
        starts = [pc.starts_with(self.bodies, mark) for mark in kinds.OWN_MARKS]
        return pc.or_(*starts).to_numpy(zero_copy_only=False)

    def is_notice(self, row: int) -> bool:
        """Whether a message is known to be WhatsApp's, before kinds are decided."""
        author = None if self.authors[row] < 0 else list(self.known)[self.authors[row]]
        return kinds.is_notice(author, self.text(row), self.known)

    def keep(self, kept: np.ndarray) -> None:
        """Make the other messages, and all pieces that are none, text of the message before."""
        if not kept.all():
            rows = np.flatnonzero(kept)
            new = {old: row for row, old in enumerate(rows.tolist())}
            self.changed = {new[row]: text for row, text in self.changed.items() if row in new}
            self.bodies, self.rows = self.bodies.take(rows), self.rows[rows]
            self.authors, self.written = self.authors[rows], self.written[rows]
        self.blank_ends = self.pieces.blank_ends[self.rows]
        after = np.append(self.rows[1:], len(self.pieces.lines))
        ends = np.append(self.lines[1:], len(self.source.starts) + 1)
        for row in np.flatnonzero(after != self.rows + 1).tolist():
            first = self.text(row).partition("\n")[0]
            below = self.source.lines(int(self.lines[row]) + 1, int(ends[row]))
            self.changed[row] = f"{first}\n{below}".rstrip("\n")
            self.blank_ends[row] = len(first) + 1 + len(below) - len(self.changed[row])

    def text(self, row: int) -> str:
        """What a message says, before WhatsApp's own words are taken off."""
        return self.changed[row] if row in self.changed else self.bodies[row].as_py()

    def find_kinds(self, iphone: bool) -> None:
        """Decide what each message is, one by one where it may be more than plain words."""
        strict = iphone and kinds.marked(self.source.data)
        close = kinds.suspects(self.bodies) | (self.authors < 0)
        close[list(self.changed)] = True
        for place in kinds.PLACES:
            if place.encode() in self.source.data:
                places = pc.match_substring(self.bodies, place)
                close |= places.to_numpy(zero_copy_only=False)
        if not strict:
            close |= kinds.unmarked_suspects(self.bodies, iphone)
        names = [*self.known, None]  # the last is number -1
        groups: frozenset[str] = frozenset()
        if iphone and not strict:
            said_by = list(
                zip(
                    map(names.__getitem__, self.authors.tolist()),
                    self.bodies.to_pylist(),
                    strict=True,
                )
            )
            groups = kinds.groups_among(said_by)
            close |= [
                author is not None and (author in groups or text.startswith(author))
                for author, text in said_by
            ]
        rows = np.flatnonzero(close)
        suspected = self.bodies.take(rows).to_pylist()
        file = kinds.File(
            iphone=iphone,
            strict=strict,
            language="" if strict or not iphone else language("", "\n".join(suspected)),
            placeholders=frozenset() if iphone else kinds.placeholders_among(self.bodies),
            groups=groups,
            writers=self._writers() if strict else frozenset(),
            first=kinds.MARKS.sub("", self.text(0)),
        )
        led = self.led[rows].tolist()
        self.kinds = np.zeros(len(self.rows), np.int8)
        self.edited = np.zeros(len(self.rows), bool)
        self.taken_off = 0
        texts, captions = [], []
        for row, suspect, lead in zip(rows.tolist(), suspected, led, strict=True):
            body = self.changed.get(row, suspect)
            author, kind, text, caption, edited = kinds.row(
                names[self.authors[row]], body, lead, file
            )
            self.kinds[row], self.edited[row] = KINDS[kind], edited
            if author is None:
                self.authors[row] = -1
            self.taken_off += len(body) - len(text)
            texts.append(text)
            captions.append(caption)
        self.bodies = pc.replace_with_mask(self.bodies, close, pa.array(texts, self.bodies.type))
        none = pa.repeat(pa.scalar("", self.bodies.type), len(self.bodies))
        self.captions = pc.replace_with_mask(none, close, pa.array(captions, self.bodies.type))

    def _writers(self) -> frozenset[str]:
        """The authors of whom there are words without WhatsApp's mark."""
        codes = np.unique(self.authors[~self.marked]).tolist()
        names = list(self.known)
        return frozenset(names[code] for code in codes if code >= 0)

    @property
    def led(self) -> np.ndarray:
        """Whether WhatsApp's mark stands before a message's header (bool)."""
        starts = self.source.starts[self.lines - 1]
        data = np.frombuffer(self.source.data + b"   ", np.uint8)
        first = [mark.encode() for mark in kinds.OWN_MARKS]
        return np.logical_or.reduce(
            [
                np.logical_and.reduce(
                    [data[starts + offset] == byte for offset, byte in enumerate(mark)]
                )
                for mark in first
            ]
        )

    def table(self, chat: str, times: np.ndarray) -> pd.DataFrame:
        """The table of `Export.messages`; `times` are seconds since 1970 of all pieces."""
        numbers = pa.array(self.authors, mask=self.authors < 0)
        known = pa.array(list(self.known), self.bodies.type)
        return pd.DataFrame(
            {
                "chat": _strings(pa.repeat(pa.scalar(chat, self.bodies.type), len(self.rows))),
                "line": self.lines,
                "timestamp": (times[self.rows] * 1_000_000).view("datetime64[us]"),
                "author": _strings(known.take(numbers)),
                "kind": _strings(
                    pa.array(list(KINDS), self.bodies.type).take(pa.array(self.kinds))
                ),
                "text": _strings(self.bodies),
                "edited": self.edited,
                "caption": _strings(self.captions),
            },
            copy=False,
        )

    def account(self, lost: str, text: Text) -> Account:
        """What became of the file `text`; `lost` stands before the first message."""
        pieces = self.pieces
        before = _not_blank(lost)
        lines = len(pieces.lines) + pieces.typed_lines + _not_blank(pieces.before)
        feeds = len(self.rows) - (self.lines[0] == 1) + self.blank_ends.sum()
        return Account(
            lines_in=lines_in(self.source) + text.attached[0],
            lines={
                "messages": lines - before,
                "before_first_message": before,
                "attached_texts": text.attached[0],
            },
            characters_in=characters_in(self.source) + text.attached[1],
            characters={
                "texts": pc.sum(pc.utf8_length(self.bodies)).as_py(),
                "authors": int(self.written.sum()),
                "headers": int(pieces.headers[self.rows].sum()),
                "marks_and_placeholders": self.taken_off,
                "line_ends": int(feeds) + self.source.returns,
                "before_first_message": len(lost),
                "attached_texts": text.attached[1],
            },
            replaced=text.replaced,
        )


def _not_blank(text: str) -> int:
    return sum(map(bool, map(str.strip, text.split("\n"))))


def _strings(array: pa.Array) -> pd.Series:
    return pd.Series(pd.arrays.ArrowStringArray(pa.chunked_array([array]), dtype=_STR), copy=False)
