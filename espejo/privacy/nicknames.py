"""Propose nicknames of people, for a person to confirm: no program can know them for certain.

Three kinds of words are proposed:

- words that begin like a name (Florcita, Flor: Florencia) and are used like one: after "@", or with
  a capital inside a sentence;
- beginnings of a first name in small letters ("che flor, venís?"), which is how people type;
- words with which messages address somebody ("vení, gorda"), if that person writes the next message
  most of the times.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from espejo.core import names
from espejo.core.text import fold
from espejo.privacy.pseudonyms import word_set

MAX_PROPOSALS = 4  # for each name
_SHARED_LETTERS = 3  # first letters that a name and its short form share
_MIN_CALLS = 3  # times that a word must address the same person
_MIN_USES = 2  # of the beginning of a name in small letters, of four letters or more
_BEGINNING = re.compile(r"(?<![\w@.])[^\W\d_]{4,15}(?![\w@])")
_USED_AS_NAME = re.compile(r"(?:@|(?<=[^\W_] )|(?<=, ))(?P<word>[^\W\d_]{2,15})(?![\w])")
_WORD = r"(?P<word>[^\W\d_]{2,15})"
_ADDRESS = (re.compile(rf", ?{_WORD}[\s!?.]*\Z"), re.compile(rf"\A{_WORD}, "))
# Words beside a comma at the start or end of a message that address nobody; folded.
_INTERJECTIONS = word_set("""
    aja bien bueno che claro como dale de eh eso gracias hola igual ja jaja jajaja menos mira no
    obvio oh ok okey para perdon pero porfa que sabes sea seguro si sii siii sip tal tipo
    nse posta tdb todo total tranqui tranquila tranquilo uf uh verdad viste xq
    anyway haha hello hey hi lol no ok okay please really right so sorry sure thanks well yeah yes
""")


def propose(table: pd.DataFrame, people: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """For each name in `people` possible nicknames, likeliest first.

    `table` is as `sources.read` gives it.
    """
    messages = table[table["kind"].eq("message") & table["author"].notna()]
    words_of_names = {word for name in messages["author"].unique() for word in names.words(name)}
    name_like = _count_name_like(messages["text"], words_of_names)
    beginnings = _beginnings_of_names(messages["text"], people)
    addressed = _words_of_address(messages)
    former = _former_names(table)
    proposals = {
        name: [
            *former.get(name, ()),
            *_beginning_like(name, name_like),
            *beginnings[name],
            *addressed.get(name, ()),
        ]
        for name in people
    }
    return {name: _without_repeats(words)[:MAX_PROPOSALS] for name, words in proposals.items()}


def _former_names(table: pd.DataFrame) -> dict[str, list[str]]:
    """Author -> other names that exports show; not the NAME of somebody called NAME (1234)."""
    pairs = table[["author", "all_names"]].dropna().drop_duplicates()
    return {
        author: [name for name in all_names.split("\n") if not author.startswith(name)]
        for author, all_names in pairs.itertuples(index=False)
    }


def _without_repeats(words: Sequence[str]) -> list[str]:
    """The words, each once whatever its case and accents, as it is spelt first."""
    spellings: dict[str, str] = {}
    for word in words:
        spellings.setdefault(fold(word), word)
    return list(spellings.values())


def _beginnings_of_names(texts: pd.Series, people: Sequence[str]) -> dict[str, list[str]]:
    """For each name the beginnings of its first word that stand in `texts`, most frequent first."""
    first_words = {name: next(iter(names.words(name)), "") for name in people}
    counts = Counter(
        word
        for text in texts
        for word in map(fold, _BEGINNING.findall(text))
        if any(first.startswith(word) and first != word for first in first_words.values())
    )
    return {
        name: [
            word
            for word, count in counts.most_common()
            if count >= _MIN_USES and first.startswith(word) and word not in _INTERJECTIONS
        ]
        for name, first in first_words.items()
    }


def _count_name_like(texts: pd.Series, words_of_names: set[str]) -> Counter[str]:
    """Words that are used like a name and are in nobody's name, with their counts."""
    counts: Counter[str] = Counter()
    for text in texts:
        for match in _USED_AS_NAME.finditer(text):
            word = match["word"]
            if (match[0][0] == "@" or word.istitle()) and fold(word) not in words_of_names:
                counts[word.title()] += 1
    return counts


def _beginning_like(name: str, name_like: Counter[str]) -> list[str]:
    """The words of `name_like` with the same first letters as the name, most frequent first."""
    first_word = next(iter(names.words(name)), "")
    return [
        word
        for word, _ in name_like.most_common()
        if len(first_word) >= _SHARED_LETTERS
        and fold(word).startswith(first_word[:_SHARED_LETTERS])
    ]


def _words_of_address(messages: pd.DataFrame) -> dict[str, list[str]]:
    """Author -> words that address somebody in messages which mostly this author answers.

    Empty with fewer than three authors: then whoever answers is always the same person.
    """
    answered_by: dict[str, Counter[str]] = defaultdict(Counter)
    previous = None
    for chat, author, text in zip(
        messages["chat"], messages["author"], messages["text"], strict=True
    ):
        if previous and previous[0] == chat and previous[1] != author:
            matches = (pattern.search(previous[2]) for pattern in _ADDRESS)
            if match := next(filter(None, matches), None):
                answered_by[fold(match["word"])][author] += 1
        previous = chat, author, text
    words_of = defaultdict(list)
    for word, counts in answered_by.items() if messages["author"].nunique() > 2 else ():
        author, count = counts.most_common(1)[0]
        mostly = count >= _MIN_CALLS and 4 * count >= 3 * counts.total()
        if mostly and word not in _INTERJECTIONS:
            words_of[author].append(word)
    return words_of
