"""The messages of one file: from the pieces of its text to the finished table."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from espejo.whatsapp import authors, kinds
from espejo.whatsapp.account import Account, count_characters, count_lines
from espejo.whatsapp.files import ChatText
from espejo.whatsapp.notices import detect_language
from espejo.whatsapp.pieces import Codes, Pieces
from espejo.whatsapp.text import Source

KINDS = Codes((kind, code) for code, kind in enumerate(kinds.KINDS))
_STR = pd.StringDtype("pyarrow", na_value=np.nan)  # what pandas calls "str"


class Messages:
    """The pieces of a file that are messages; all others are part of the message before them.

    Call find_authors, keep and find_kinds in this order, then table and account. `rows` are the
    messages' indices in `pieces`; all arrays have one entry for each message.
    """

    def __init__(self, pieces: Pieces, rows: np.ndarray, source: Source) -> None:
        self.pieces, self.rows, self.source = pieces, rows, source
        self.bodies = pieces.bodies if len(rows) == len(pieces.lines) else pieces.bodies.take(rows)
        self.changed_texts: dict[int, str] = {}  # by row: replaces the text in `bodies`
        self.names = Codes()  # the authors' names
        self.authors = np.zeros(0, np.int32)  # indices in `names`, -1 for WhatsApp itself
        self.author_lengths = np.zeros(0, np.int32)  # of the name and its colon

    @property
    def lines(self) -> np.ndarray:
        """The number of each message's first line, from 1."""
        return self.pieces.lines[self.rows]

    def find_authors(self, iphone: bool) -> None:
        """Find the author of each message: once per name, or one by one if the name is doubtful."""
        raw_names, codes = self.pieces.names.values, self.pieces.names.codes[self.rows]
        long_names = authors.names_with_colon(raw_names, codes, self.bodies)
        tight_names = authors.names_without_space(raw_names, codes, self.bodies)
        notices = (
            frozenset() if iphone else authors.notices_with_colon(raw_names, codes, self.bodies)
        )
        ambiguous = {name.partition(": ")[0] for name in long_names} | notices
        is_doubtful = np.array(
            [authors.is_doubtful(raw) or raw in ambiguous for raw in raw_names], bool
        )
        author_codes = [
            -1 if doubtful else self.names[authors.clean_name(raw)]
            for raw, doubtful in zip(raw_names, is_doubtful, strict=True)
        ]
        self.authors = np.array(author_codes, np.int32)[codes]
        self.author_lengths = np.array([len(raw or "") + 2 for raw in raw_names], np.int32)[codes]
        rows = np.flatnonzero(is_doubtful[codes])
        for row, body in zip(rows.tolist(), self.bodies.take(rows).to_pylist(), strict=True):
            raw = raw_names[codes[row]]
            first_line, line_feed, rest = authors.full_text(raw, body).partition("\n")
            author, text = None, first_line
            if raw not in notices:
                author, text = authors.split_author(first_line, tuple(long_names), tight_names)
            self.authors[row] = -1 if author is None else self.names[author]
            self.author_lengths[row] = len(first_line) - len(text)
            self.changed_texts[row] = text + line_feed + rest

    @property
    def text_marked(self) -> np.ndarray:
        """Whether WhatsApp's mark is before each message's text (bool)."""
        starts = [pc.starts_with(self.bodies, mark) for mark in kinds.OWN_MARKS]
        return pc.or_(*starts).to_numpy(zero_copy_only=False)

    def is_notice(self, row: int) -> bool:
        """Whether a message is certainly a notice, before kinds are decided."""
        author = None if self.authors[row] < 0 else list(self.names)[self.authors[row]]
        return kinds.is_notice(author, self.text(row), self.names)

    def keep(self, mask: np.ndarray) -> None:
        """Keep the messages in `mask`; make all other pieces text of the message before them."""
        if not mask.all():
            rows = np.flatnonzero(mask)
            new_rows = {old_row: row for row, old_row in enumerate(rows.tolist())}
            self.changed_texts = {
                new_rows[row]: text for row, text in self.changed_texts.items() if row in new_rows
            }
            self.bodies, self.rows = self.bodies.take(rows), self.rows[rows]
            self.authors, self.author_lengths = self.authors[rows], self.author_lengths[rows]
        self.blank_ends = self.pieces.blank_ends[self.rows]
        next_rows = np.append(self.rows[1:], len(self.pieces.lines))
        ends = np.append(self.lines[1:], len(self.source.starts) + 1)
        for row in np.flatnonzero(next_rows != self.rows + 1).tolist():
            first_line = self.text(row).partition("\n")[0]
            below = self.source.lines(int(self.lines[row]) + 1, int(ends[row]))
            self.changed_texts[row] = f"{first_line}\n{below}".rstrip("\n")
            self.blank_ends[row] = len(first_line) + 1 + len(below) - len(self.changed_texts[row])

    def text(self, row: int) -> str:
        """Return the text of a message; until `find_kinds`, with WhatsApp's own words."""
        return self.changed_texts[row] if row in self.changed_texts else self.bodies[row].as_py()

    def find_kinds(self, iphone: bool) -> None:
        """Decide the kind of each message: one by one if it may not be a person's plain words."""
        strict = iphone and kinds.has_own_marks(self.source.data)
        to_check = kinds.with_marks(self.bodies) | (self.authors < 0)
        to_check[list(self.changed_texts)] = True
        for place in kinds.PLACES:
            if place.encode() in self.source.data:
                has_place = pc.match_substring(self.bodies, place)
                to_check |= has_place.to_numpy(zero_copy_only=False)
        if not strict:
            to_check |= kinds.like_own_words(self.bodies, iphone)
        names = [*self.names, None]  # the last has the code of WhatsApp, -1
        groups: frozenset[str] = frozenset()
        if iphone and not strict:
            people = [names[code] for code in self.authors.tolist()]
            author_texts = list(zip(people, self.bodies.to_pylist(), strict=True))
            groups = kinds.find_group_names(author_texts)
            to_check |= [
                author is not None and (author in groups or text.startswith(author))
                for author, text in author_texts
            ]
        rows = np.flatnonzero(to_check)
        bodies = self.bodies.take(rows).to_pylist()
        file = kinds.FileFacts(
            iphone=iphone,
            strict=strict,
            language="" if strict or not iphone else detect_language("", "\n".join(bodies)),
            placeholders=frozenset() if iphone else kinds.find_placeholders(self.bodies),
            groups=groups,
            writers=self._people_with_unmarked_texts() if strict else frozenset(),
            first_text=kinds.MARKS.sub("", self.text(0)),
        )
        header_marked = self.header_marked[rows].tolist()
        self.kinds = np.zeros(len(self.rows), np.int8)
        self.edited = np.zeros(len(self.rows), bool)
        self.num_removed = 0
        texts, captions = [], []
        for row, body, marked in zip(rows.tolist(), bodies, header_marked, strict=True):
            body = self.changed_texts.get(row, body)
            author, kind, text, caption, edited = kinds.classify(
                names[self.authors[row]], body, marked, file
            )
            self.kinds[row], self.edited[row] = KINDS[kind], edited
            if author is None:
                self.authors[row] = -1
            self.num_removed += len(body) - len(text)
            texts.append(text)
            captions.append(caption)
        self.bodies = pc.replace_with_mask(self.bodies, to_check, pa.array(texts, self.bodies.type))
        no_captions = pa.repeat(pa.scalar("", self.bodies.type), len(self.bodies))
        self.captions = pc.replace_with_mask(
            no_captions, to_check, pa.array(captions, self.bodies.type)
        )

    def _people_with_unmarked_texts(self) -> frozenset[str]:
        """Return the authors with texts that lack WhatsApp's mark."""
        codes = np.unique(self.authors[~self.text_marked]).tolist()
        names = list(self.names)
        return frozenset(names[code] for code in codes if code >= 0)

    @property
    def header_marked(self) -> np.ndarray:
        """Whether WhatsApp's mark is before each message's header (bool)."""
        starts = self.source.starts[self.lines - 1]
        data = np.frombuffer(self.source.data + b"   ", np.uint8)
        marks = [mark.encode() for mark in kinds.OWN_MARKS]
        return np.logical_or.reduce(
            [
                np.logical_and.reduce(
                    [data[starts + offset] == byte for offset, byte in enumerate(mark)]
                )
                for mark in marks
            ]
        )

    def table(self, chat: str, times: np.ndarray) -> pd.DataFrame:
        """Return the table of `Export.messages`; `times` are seconds since 1970 of all pieces."""
        author_codes = pa.array(self.authors, mask=self.authors < 0)
        names = pa.array(list(self.names), self.bodies.type)
        return pd.DataFrame(
            {
                "chat": _strings(pa.repeat(pa.scalar(chat, self.bodies.type), len(self.rows))),
                "line": self.lines,
                "timestamp": (times[self.rows] * 1_000_000).view("datetime64[us]"),
                "author": _strings(names.take(author_codes)),
                "kind": _strings(
                    pa.array(list(KINDS), self.bodies.type).take(pa.array(self.kinds))
                ),
                "text": _strings(self.bodies),
                "edited": self.edited,
                "caption": _strings(self.captions),
            },
            copy=False,
        )

    def account(self, text_before: str, text: ChatText) -> Account:
        """Return the account of the file `text`; `text_before` is before the first message."""
        pieces = self.pieces
        lines_before = _count_lines_not_blank(text_before)
        lines = len(pieces.lines) + pieces.typed_lines + _count_lines_not_blank(pieces.before)
        num_feeds = len(self.rows) - (self.lines[0] == 1) + self.blank_ends.sum()
        return Account(
            lines_in=count_lines(self.source) + text.attached_size[0],
            lines={
                "messages": lines - lines_before,
                "before_first_message": lines_before,
                "attached_texts": text.attached_size[0],
            },
            characters_in=count_characters(self.source) + text.attached_size[1],
            characters={
                "texts": pc.sum(pc.utf8_length(self.bodies)).as_py(),
                "authors": int(self.author_lengths.sum()),
                "headers": int(pieces.header_lengths[self.rows].sum()),
                "marks_and_placeholders": self.num_removed,
                "line_ends": int(num_feeds) + self.source.num_carriage_returns,
                "before_first_message": len(text_before),
                "attached_texts": text.attached_size[1],
            },
            replaced=text.replaced,
        )


def _count_lines_not_blank(text: str) -> int:
    return sum(map(bool, map(str.strip, text.split("\n"))))


def _strings(array: pa.Array) -> pd.Series:
    return pd.Series(pd.arrays.ArrowStringArray(pa.chunked_array([array]), dtype=_STR), copy=False)
