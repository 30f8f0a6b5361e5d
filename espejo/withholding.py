"""Leave out those who said `withhold`: their words, and their names in everybody else's words.

How a name is found stands in `espejo.writings`. Words of theirs that somebody else sent go with the
lines that they stand in:

- below a header that was copied out of WhatsApp, or their name and a colon, up to the next speaker;
- quoted with ">" or in quotation marks;
- any line with a whole message of theirs of FEWEST words, or ROW words in a row of one.

Of WhatsApp's own words all that may name them go. A chat that is named after them, or in which
nobody is but the author and them, gets a number for a name.

What stays: what others say of them in words of their own, and what they took from them in pieces
too small to be known again.
"""

import re
from collections.abc import Iterable, Mapping

import pandas as pd

from espejo import names
from espejo.people import WITHHELD, People
from espejo.writings import SAID, Writings

FEWEST, ROW = 5, 8
# What WhatsApp writes before a line that is copied out of it, folded: [12/3/23, 10:00] Ana:
_HEADER = re.compile(
    r"[\W_]{0,4}(?:\[(?=[^\]\n]*\d)[^\]\n]{4,45}\]"
    r"|\d[^\n]{3,45}?\d[:.h]\d\d[^\n]{0,14}? [-\u2013\u2014])"
    r"\s*(?P<who>[^\n:]{1,80}):\s?(?P<said>.*)"
)
_SPEAKER = re.compile(r"[\W_]{0,4}(?P<who>[^\n:]{1,80}?)[\W_]{0,3}:(?P<said>.*)")
_QUOTED = re.compile(r"[\"“«'‘](?P<said>[^\"”»'’\n]+)")
_QUOTES = re.compile(rf"\b(?:{'|'.join(sorted(SAID))})[\W_]*\Z")
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\+?\d[\d ()./-]{6,}\d")


def withheld(table: pd.DataFrame, who: People) -> pd.DataFrame:
    """The messages (tables.MESSAGES) without those who said `withhold`; every row stays.

    Rows of theirs, and those of which nothing else is left, become of kind withheld, because group
    leaves out what answers them. Here and not in clean, so that no table of any stage holds them.
    """
    wanted = who.who("withhold")
    if not wanted:
        return table
    theirs, notice = table["author"].isin(wanted), table["author"].isna()
    writings = Writings(who, _numbers(table.loc[notice, "text"], who))
    left = Left(writings, table.loc[theirs, "text"])
    text = table["text"].mask(theirs, "")
    text = text.mask(notice & text.map(writings.in_notice), "")
    others = ~theirs & ~notice
    text[others] = text[others].map(left.of)
    nothing = others & text.eq("") & table["text"].ne("")
    return table.assign(
        chat=table["chat"].map(_chats(table, who, writings)),
        author=table["author"].mask(theirs, WITHHELD),
        kind=table["kind"].mask(theirs | nothing, "withheld"),
        text=text,
    )


def _numbers(notices: Iterable[str], who: People) -> list[str]:
    """The numbers of theirs that a notice says were changed from one into the other."""
    own = who.who("withhold")
    called = [*own, *(nick for name in own for nick in who.nicknames.get(name, ()))]
    known = [re.compile(names.number(name)) for name in called if names.is_number(name)]
    found = []
    for notice in notices if known else ():
        pair = _NUMBER.findall(names.plain(notice))
        if len(pair) == 2 and any(one.search(number) for one in known for number in pair):
            found += [number for number in pair if who.spelled(number) not in who.consents]
    return found


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
    """What is left of other people's messages without the words in `texts` and the names."""

    def __init__(self, writings: Writings, texts: Iterable[str]) -> None:
        self._writings = writings
        self._lines: set[str] = set()  # theirs, as words
        self._rows: dict[tuple[str, ...], set[tuple[str, ...]]] = {}  # by their first words
        for text in texts:
            for line in {text, *text.split("\n")}:
                words = _WORD.findall(names.folded(line))
                self._lines.add(" ".join(words))
                if len(words) >= FEWEST:
                    for at in range(max(1, len(words) - ROW + 1)):
                        row = tuple(words[at : at + ROW])
                        self._rows.setdefault(row[:FEWEST], set()).add(row)
        self._lines.discard("")

    def of(self, text: str) -> str:
        """What is left of one message, "" for nothing."""
        words = _WORD.findall(names.folded(text))
        if len(words) >= FEWEST and " ".join(words) in self._lines:
            return ""
        lines, theirs, named = [], False, False
        for line in text.split("\n"):
            low = names.folded(line)
            speaker = self._speaker(low)
            theirs = theirs if speaker is None else speaker
            quoted = low.lstrip().startswith(">")
            gone = theirs or (quoted and named) or self._holds(low, quoted)
            if not gone:
                lines.append(self._writings.without(line))
            named = gone or lines[-1] != line
        return "\n".join(lines) if len(lines) == text.count("\n") + 1 else "\n".join(lines).strip()

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

    def _holds(self, low: str, quoted: bool) -> bool:
        """Whether a folded line holds words of theirs."""
        words = _WORD.findall(low)
        for at in range(len(words) - FEWEST + 1):
            for row in self._rows.get(tuple(words[at : at + FEWEST]), ()):
                if tuple(words[at : at + len(row)]) == row:
                    return True
        if quoted and " ".join(words) in self._lines:
            return True
        return any(self._quotes(low, match) for match in _QUOTED.finditer(low))

    def _quotes(self, low: str, match: re.Match[str]) -> bool:
        words = _WORD.findall(match["said"])
        before = low[: match.start()]
        return (len(words) > 1 and " ".join(words) in self._lines) or (
            _QUOTES.search(before) is not None and self._writings.named(before)
        )
