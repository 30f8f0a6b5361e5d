"""Leave out people who withhold: what they wrote, and their names in what others wrote.

How names are found is documented in `espejo.privacy.withheld_names`. If somebody else sent words of
theirs, the lines with these words are removed:

- below a header that was copied out of WhatsApp, or below their name and a colon, up to the next
  speaker;
- quoted, with ">" or in quotation marks;
- lines that contain a whole line of theirs of MIN_WORDS words or more, or WORDS_IN_A_ROW words of
  one in a row; also a line of theirs of MIN_WORDS_IF_RARE words, if hardly anybody else uses one of
  them ("vendo tres tapires enanos").

WhatsApp's notices that may contain their names are emptied. A chat that is named after them, or
that only the author and they write in, gets a number for a name.

What stays: what others say about them in their own words, and shorter pieces of what they wrote.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby

import pandas as pd

from espejo.core import names
from espejo.core.tables import WITHHELD
from espejo.core.text import fold
from espejo.privacy.people import People
from espejo.privacy.withheld_names import SPEECH_VERBS, WithheldNames

MIN_WORDS_IF_RARE, MIN_WORDS, WORDS_IN_A_ROW = 4, 5, 8
MAX_MESSAGES_IF_RARE = 2  # of others, in which a rare word may stand outside of the line itself
# What WhatsApp writes before a message that is copied out of it, folded: [12/3/23, 10:00] Ana:
_HEADER = re.compile(
    r"[\W_]{0,4}(?:\[(?=[^\]\n]*\d)[^\]\n]{4,45}\]"
    r"|\d[^\n]{3,45}?\d[:.h]\d\d[^\n]{0,14}? [-\u2013\u2014])"
    r"\s*(?P<name>[^\n:]{1,80}):\s?(?P<text>.*)"
)
_SPEAKER = re.compile(  # Ana: or 22:00 Ana:
    r"(?:[\W\d_]{0,24}?\d[:.h]\d\d(?::\d\d)?(?: ?[ap]\.? ?m\b)?[\W_]{1,4})?"
    r"[\W_]{0,4}(?P<name>[^\n:]{1,80}?)[\W_]{0,3}:(?P<text>.*)"
)
_QUOTATION = re.compile(r"[\"“«'‘](?P<text>[^\"”»'’\n]+)")
_SPEECH_VERB_AT_END = re.compile(rf"\b(?:{'|'.join(sorted(SPEECH_VERBS))})[\W_]*\Z")
_WORD = re.compile(r"[^\W_]+")  # an underscore makes a word italic in WhatsApp
_PHONE_NUMBER = re.compile(r"\+?\d[\d ()./-]{6,}\d")


def withhold(table: pd.DataFrame, people: People) -> pd.DataFrame:
    """The messages (as `sources.read` gives them) without people who withhold; every row stays.

    Their rows become empty and of kind "withheld", and so do rows of others that have nothing left:
    the stage group leaves out the replies to these. This is done when exports are read, and not in
    the stage clean, so that no table of any stage contains their words.
    """
    withholders = people.with_consent("withhold")
    if not withholders:
        return table
    # What others forward of theirs is theirs too, where the export says whose words it holds.
    keys = {fold(names.key(name)) for name in withholders}
    keys -= {fold(names.key(name)) for name in {*people.aliases, *people.consents} - withholders}
    origins = table["origin"].map(lambda name: fold(names.key(name)), na_action="ignore")
    theirs = origins.isin(keys)
    is_withheld, is_notice = table["author"].isin(withholders) | theirs, table["author"].isna()
    withheld_names = WithheldNames(people, _changed_numbers(table.loc[is_notice, "text"], people))
    is_other = ~is_withheld & ~is_notice
    redactor = Redactor(
        withheld_names, _written_texts(table[is_withheld]), _written_texts(table[is_other])
    )
    text = table["text"].mask(is_withheld, "")
    text = text.mask(is_notice & text.map(withheld_names.may_be_in_notice), "")
    text[is_other] = text[is_other].map(redactor.redact)
    nothing_left = is_other & text.eq("") & table["text"].ne("")
    return table.assign(
        chat=table["chat"].map(_chat_titles(table, people, withheld_names)),
        # What somebody forwarded was nobody's before nothing of it was left.
        author=table["author"].mask(
            is_withheld | (nothing_left & table["kind"].eq("forwarded")), WITHHELD
        ),
        kind=table["kind"].mask(is_withheld | nothing_left, "withheld"),
        text=text,
        caption=text.where(table["caption"].ne(""), ""),  # the text of a caption is the caption
    )


def _written_texts(rows: pd.DataFrame) -> Iterable[str]:
    """What people wrote in rows of tables.MESSAGES; not WhatsApp's "This message was deleted".

    Nor what they forwarded, which others may have from elsewhere, unless its author is known.
    """
    own = rows["kind"].eq("message") | rows["origin"].notna()
    return [*rows.loc[own, "text"], *filter(None, rows["caption"])]


def _changed_numbers(notices: Iterable[str], people: People) -> list[str]:
    """Other phone numbers of people who withhold: from notices that one number became another."""
    withholders = people.with_consent("withhold")
    nicknames = [nick for name in withholders for nick in people.nicknames.get(name, ())]
    patterns = [
        re.compile(names.number(name))
        for name in (*withholders, *nicknames)
        if names.is_number(name)
    ]
    numbers = []
    for notice in notices if patterns else ():
        pair = _PHONE_NUMBER.findall(names.plain(notice))
        if len(pair) == 2 and any(
            pattern.search(number) for pattern in patterns for number in pair
        ):
            numbers += [number for number in pair if people.spelling(number) not in people.consents]
    return numbers


def _chat_titles(
    table: pd.DataFrame, people: People, withheld_names: WithheldNames
) -> Mapping[str, str]:
    """Chat -> its name, or "withheld 1" … if the name may tell who withholds."""
    titles: dict[str, str] = {}
    hidden = 0
    for chat, authors in table.groupby("chat", sort=False)["author"].unique().items():
        members = {author for author in authors if isinstance(author, str)}
        no_others = members <= withheld_names.names | people.aliases
        if (members & withheld_names.names and no_others) or withheld_names.are_in_title(chat):
            hidden += 1
            titles[chat] = f"{WITHHELD} {hidden}"
        else:
            titles[chat] = chat
    return titles


class Redactor:
    """Removes names and words of people who withhold from the messages of others.

    `texts` are the messages of these people, `others` all messages of others, which tell whether a
    word is rare.
    """

    def __init__(
        self, withheld_names: WithheldNames, texts: Iterable[str], others: Iterable[str] = ()
    ) -> None:
        self._names = withheld_names
        lines = {tuple(_words(line)) for text in texts for line in {text, *text.split("\n")}}
        self._lines = {" ".join(words) for words in lines} - {""}
        short = _Runs(words for words in lines if MIN_WORDS_IF_RARE <= len(words) < MIN_WORDS)
        # Word -> messages of others with it, outside of copies of the short lines.
        messages_with: Counter[str] = Counter()
        for text in others if short else ():
            words = _words(text)
            for start, end in short.within(words):
                words[start:end] = [""] * (end - start)
            messages_with.update(set(words))
        rare = [
            run for run in short if min(messages_with[word] for word in run) <= MAX_MESSAGES_IF_RARE
        ]
        long = [
            words[start : start + WORDS_IN_A_ROW]
            for words in lines
            if len(words) >= MIN_WORDS
            for start in range(max(1, len(words) - WORDS_IN_A_ROW + 1))
        ]
        self._runs = _Runs([*rare, *long])

    def redact(self, text: str) -> str:
        """What is left of one message; "" if nothing is."""
        lines = text.split("\n")
        folded = [*map(fold, lines)]
        copied = self._copied_lines(folded)
        kept = []
        in_their_words = False  # after a speaker of theirs, before the next one
        follows_name = False  # the line before contained a name or was removed
        for index, (line, folded_line) in enumerate(zip(lines, folded, strict=True)):
            speaker = self._is_speaker(folded_line)
            in_their_words = in_their_words if speaker is None else speaker
            removed = (
                in_their_words
                or (follows_name and _is_quoted(folded_line))
                or index in copied
                or self._quotes_them(folded_line)
            )
            if not removed:
                kept.append(self._names.remove_from(line))
            follows_name = removed or kept[-1] != line
        if len(kept) == len(lines):
            return "\n".join(kept)
        rest = "\n".join(kept).strip()
        return rest if any(map(str.isalnum, rest)) else ""

    def _copied_lines(self, folded: Sequence[str]) -> set[int]:
        """Indices of lines that contain runs of their words, or quote a line of theirs with ">".

        Both may go over several lines.
        """
        words, line_of_word = [], []
        for index, line in enumerate(folded):
            words_of_line = _WORD.findall(line)
            words += words_of_line
            line_of_word += [index] * len(words_of_line)
        copied = {
            index for start, end in self._runs.within(words) for index in line_of_word[start:end]
        }
        for quoted, block in groupby(range(len(folded)), lambda index: _is_quoted(folded[index])):
            indices = list(block)
            text = " ".join(folded[index] for index in indices)
            if quoted and " ".join(_WORD.findall(text)) in self._lines:
                copied.update(indices)
        return copied

    def _is_speaker(self, folded: str) -> bool | None:
        """Whether a person who withholds (True) or somebody else (False) speaks from this line on.

        None if the line names no speaker.
        """
        header = _HEADER.match(folded)
        match = header or _SPEAKER.match(folded)
        if match is None:
            return None
        withholds = self._names.is_speaker(match["name"])
        if header and withholds is None:  # a phone shows the names of its own contacts
            return " ".join(_WORD.findall(match["text"])) in self._lines
        return withholds

    def _quotes_them(self, folded: str) -> bool:
        """Whether a line contains, in quotation marks, words of people who withhold.

        That is a whole line of theirs, or what follows "Ana said".
        """
        for match in _QUOTATION.finditer(folded):
            words, before = _WORD.findall(match["text"]), folded[: match.start()]
            if len(words) > 1 and " ".join(words) in self._lines:
                return True
            if _SPEECH_VERB_AT_END.search(before) and self._names.are_in(before):
                return True
        return False


class _Runs(frozenset[tuple[str, ...]]):
    """A set of runs of two words or more that can be looked up in a text."""

    @cached_property
    def _sizes(self) -> Mapping[tuple[str, ...], set[int]]:
        """First two words -> numbers of words of the runs that begin with them."""
        sizes = defaultdict(set)
        for run in self:
            sizes[run[:2]].add(len(run))
        return sizes

    def within(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Start and end of each run that occurs in `words`."""
        for start in range(len(words)):
            for size in self._sizes.get(tuple(words[start : start + 2]), ()):
                if tuple(words[start : start + size]) in self:
                    yield start, start + size


def _is_quoted(folded: str) -> bool:
    """Whether a line is quoted with ">"."""
    return folded.lstrip().startswith(">")


def _words(text: str) -> list[str]:
    return _WORD.findall(fold(text))
