"""Leave out those who said `withhold`: their words, and their names in everybody else's words.

How a name is found stands in `espejo.privacy.writings`. Words of theirs that somebody else sent go
with the lines that they stand in:

- below a header that was copied out of WhatsApp, or their name and a colon, up to the next speaker;
- quoted with ">" or in quotation marks;
- wherever a line of theirs of FEWEST words stands, or ROW words in a row of one; and of SHORTEST,
  if one of them is hardly anybody else's: "vendo tres tapires enanos".

Of WhatsApp's own words all that may name them go. A chat that is named after them, or in which
nobody is but the author and them, gets a number for a name.

What stays: what others say of them in words of their own, and what they took from them in pieces
too small to be known again.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby

import pandas as pd

from espejo.core import names
from espejo.core.text import fold
from espejo.privacy.people import WITHHELD, People
from espejo.privacy.writings import SAID, Writings

SHORTEST, FEWEST, ROW = 4, 5, 8
RARE = 2  # messages of others that have a word which is hardly theirs, but for the line itself
# What WhatsApp writes before a line that is copied out of it, folded: [12/3/23, 10:00] Ana:
_HEADER = re.compile(
    r"[\W_]{0,4}(?:\[(?=[^\]\n]*\d)[^\]\n]{4,45}\]"
    r"|\d[^\n]{3,45}?\d[:.h]\d\d[^\n]{0,14}? [-\u2013\u2014])"
    r"\s*(?P<who>[^\n:]{1,80}):\s?(?P<said>.*)"
)
_SPEAKER = re.compile(  # 22:00 Ana: too
    r"(?:[\W\d_]{0,24}?\d[:.h]\d\d(?::\d\d)?(?: ?[ap]\.? ?m\b)?[\W_]{1,4})?"
    r"[\W_]{0,4}(?P<who>[^\n:]{1,80}?)[\W_]{0,3}:(?P<said>.*)"
)
_QUOTED = re.compile(r"[\"“«'‘](?P<said>[^\"”»'’\n]+)")
_QUOTES = re.compile(rf"\b(?:{'|'.join(sorted(SAID))})[\W_]*\Z")
_WORD = re.compile(r"[^\W_]+")  # an underscore makes a word italic in WhatsApp
_NUMBER = re.compile(r"\+?\d[\d ()./-]{6,}\d")


def withheld(table: pd.DataFrame, who: People) -> pd.DataFrame:
    """The messages (tables.MESSAGES) without those who said `withhold`; every row stays.

    Rows of theirs, and those of which nothing else is left, become of kind withheld, because group
    leaves out what answers them. Here and not in clean, so that no table of any stage holds them.
    """
    withholders = who.who("withhold")
    if not withholders:
        return table
    theirs, notice = table["author"].isin(withholders), table["author"].isna()
    writings = Writings(who, _numbers(table.loc[notice, "text"], who))
    others = ~theirs & ~notice
    left = Left(writings, _said(table[theirs]), _said(table[others]))
    text = table["text"].mask(theirs, "")
    text = text.mask(notice & text.map(writings.in_notice), "")
    text[others] = text[others].map(left.of)
    nothing = others & text.eq("") & table["text"].ne("")
    return table.assign(
        chat=table["chat"].map(_chats(table, who, writings)),
        author=table["author"].mask(theirs, WITHHELD),
        kind=table["kind"].mask(theirs | nothing, "withheld"),
        text=text,
        caption=text.where(table["caption"].ne(""), ""),  # a caption is all of its text
    )


def _said(rows: pd.DataFrame) -> Iterable[str]:
    """What people wrote in rows of tables.MESSAGES: not "This message was deleted"."""
    return [*rows.loc[rows["kind"].eq("message"), "text"], *filter(None, rows["caption"])]


def _numbers(notices: Iterable[str], who: People) -> list[str]:
    """The numbers of theirs that a notice says were changed from one into the other."""
    own = who.who("withhold")
    called = [*own, *(nick for name in own for nick in who.nicknames.get(name, ()))]
    known = [re.compile(names.number(name)) for name in called if names.is_number(name)]
    numbers = []
    for notice in notices if known else ():
        pair = _NUMBER.findall(names.plain(notice))
        if len(pair) == 2 and any(pattern.search(number) for pattern in known for number in pair):
            numbers += [number for number in pair if who.spelled(number) not in who.consents]
    return numbers


def _chats(table: pd.DataFrame, who: People, writings: Writings) -> Mapping[str, str]:
    """Each chat's name, or a number in its place."""
    called: dict[str, str] = {}
    hidden = 0
    for chat, listed in table.groupby("chat", sort=False)["author"].unique().items():
        inside = {author for author in listed if isinstance(author, str)}
        alone = inside & writings.names and inside <= writings.names | who.aliases
        if alone or writings.is_called(chat):
            hidden += 1
            called[chat] = f"{WITHHELD} {hidden}"
        else:
            called[chat] = chat
    return called


class Left:
    """What is left of other people's messages without the words in `texts` and the names.

    `others` are all of those messages, which tell what is hardly theirs.
    """

    def __init__(
        self, writings: Writings, texts: Iterable[str], others: Iterable[str] = ()
    ) -> None:
        self._writings = writings
        lines = {tuple(_words(line)) for text in texts for line in {text, *text.split("\n")}}
        self._lines = {" ".join(words) for words in lines} - {""}
        few = _Rows(words for words in lines if SHORTEST <= len(words) < FEWEST)
        elsewhere: Counter[str] = Counter()
        for text in others if few else ():
            words = _words(text)
            for start, end in few.within(words):
                words[start:end] = [""] * (end - start)
            elsewhere.update(set(words))
        self._rows = _Rows(
            [
                *(row for row in few if min(elsewhere[word] for word in row) <= RARE),
                *(
                    words[start : start + ROW]
                    for words in lines
                    if len(words) >= FEWEST
                    for start in range(max(1, len(words) - ROW + 1))
                ),
            ]
        )

    def of(self, text: str) -> str:
        """What is left of one message, "" for nothing."""
        every = text.split("\n")
        folded = [*map(fold, every)]
        held = self._held(folded)
        lines, theirs, named = [], False, False
        for index, (line, low) in enumerate(zip(every, folded, strict=True)):
            speaker = self._speaker(low)
            theirs = theirs if speaker is None else speaker
            quoted = low.lstrip().startswith(">")
            gone = theirs or (quoted and named) or index in held or self._quoted(low)
            if not gone:
                lines.append(self._writings.without(line))
            named = gone or lines[-1] != line
        if len(lines) == len(every):
            return "\n".join(lines)
        left = "\n".join(lines).strip()
        return left if any(map(str.isalnum, left)) else ""

    def _held(self, lines: Sequence[str]) -> set[int]:
        """Which folded lines hold words of theirs, or of ">" quote them; they may be wrapped."""
        words, of = [], []
        for index, line in enumerate(lines):
            words_of_line = _WORD.findall(line)
            words += words_of_line
            of += [index] * len(words_of_line)
        held = {index for start, end in self._rows.within(words) for index in of[start:end]}
        for quoted, block in groupby(
            enumerate(lines), lambda numbered_line: numbered_line[1].lstrip().startswith(">")
        ):
            numbers, lines_of_block = zip(*block, strict=True)
            if quoted and " ".join(_WORD.findall(" ".join(lines_of_block))) in self._lines:
                held.update(numbers)
        return held

    def _speaker(self, low: str) -> bool | None:
        """Whether they, or others (False), begin to speak in a folded line; None: nobody does."""
        header = _HEADER.match(low)
        match = header or _SPEAKER.match(low)
        if match is None:
            return None
        speaks = self._writings.speaks(match["who"])
        if header and speaks is None:  # they may be called otherwise on another phone
            return " ".join(_WORD.findall(match["said"])) in self._lines
        return speaks

    def _quoted(self, low: str) -> bool:
        """Whether a folded line has words of theirs in quotation marks."""
        return any(self._quotes(low, match) for match in _QUOTED.finditer(low))

    def _quotes(self, low: str, match: re.Match[str]) -> bool:
        words = _WORD.findall(match["said"])
        before = low[: match.start()]
        return (len(words) > 1 and " ".join(words) in self._lines) or (
            _QUOTES.search(before) is not None and self._writings.named(before)
        )


class _Rows(frozenset[tuple[str, ...]]):
    """Rows of words, of two or more, that are found in a longer one."""

    @cached_property
    def _sizes(self) -> Mapping[tuple[str, ...], set[int]]:
        sizes = defaultdict(set)  # by the first two words
        for row in self:
            sizes[row[:2]].add(len(row))
        return sizes

    def within(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Start and end of each of the rows among `words`."""
        for start in range(len(words)):
            for size in self._sizes.get(tuple(words[start : start + 2]), ()):
                if tuple(words[start : start + size]) in self:
                    yield start, start + size


def _words(text: str) -> list[str]:
    return _WORD.findall(fold(text))
