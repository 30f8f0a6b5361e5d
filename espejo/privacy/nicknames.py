"""Words that may be what people call somebody, for a person to look at: nobody can know.

Two kinds are proposed: words that begin like a name (Florcita, Flor: Florencia) and stand where
names do, with "@", or with a capital inside a sentence; and words with which messages call somebody
("vení, gorda") who writes the next one, most times that the word stands there.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import pandas as pd

from espejo.core import names
from espejo.core.text import fold
from espejo.privacy.pseudonyms import listed

MOST = 4  # for each name
_ALIKE = 3  # letters in which a name and its short form begin
_TIMES = 3  # that a word stands before the same person's message
_NAMED = re.compile(r"(?:@|(?<=[^\W_] )|(?<=, ))(?P<word>[^\W\d_]{2,15})(?![\w])")
_WORD = r"(?P<word>[^\W\d_]{2,15})"
_CALLS = (re.compile(rf", ?{_WORD}[\s!?.]*\Z"), re.compile(rf"\A{_WORD}, "))
# Openings that call nobody; folded.
_OPENINGS = listed("""
    aja bien bueno che claro como dale de eh eso gracias hola igual ja jaja jajaja menos mira no
    obvio oh ok okey para perdon pero porfa posta que sabes sea seguro si sii siii sip tal tipo
    todo total uf uh verdad viste
    anyway haha hello hey hi lol no ok okay please really right so sorry sure thanks well yeah yes
""")


def proposed(table: pd.DataFrame, who: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """For each name words that may be that person's too, the likeliest first (tables.MESSAGES)."""
    written = table[table["kind"].eq("message") & table["author"].notna()]
    known = {word for name in written["author"].unique() for word in names.words(name)}
    alike = _alike(written["text"], known)
    called = _called(written)
    return {
        name: list(dict.fromkeys([*_beginning(name, alike), *called.get(name, ())]))[:MOST]
        for name in who
    }


def _alike(texts: pd.Series, known: set[str]) -> Counter[str]:
    """Words in the place of a name that are nobody's."""
    counted: Counter[str] = Counter()
    for text in texts:
        for match in _NAMED.finditer(text):
            word = match["word"]
            if (match[0][0] == "@" or word.istitle()) and fold(word) not in known:
                counted[word.title()] += 1
    return counted


def _beginning(name: str, alike: Counter[str]) -> list[str]:
    first = next(iter(names.words(name)), "")
    return [
        word
        for word, _ in alike.most_common()
        if len(first) >= _ALIKE and fold(word).startswith(first[:_ALIKE])
    ]


def _called(written: pd.DataFrame) -> dict[str, list[str]]:
    """Author -> words that call whoever writes next, where that is mostly this author."""
    answered: dict[str, Counter[str]] = defaultdict(Counter)
    last = None
    for chat, author, text in zip(written["chat"], written["author"], written["text"], strict=True):
        if last and last[0] == chat and last[1] != author:
            called = next(filter(None, (pattern.search(last[2]) for pattern in _CALLS)), None)
            if called:
                answered[fold(called["word"])][author] += 1
        last = chat, author, text
    words_of = defaultdict(list)
    for word, counts in answered.items() if written["author"].nunique() > 2 else ():
        author, count = counts.most_common(1)[0]
        mostly = count >= _TIMES and 4 * count >= 3 * counts.total()
        if mostly and word not in _OPENINGS:
            words_of[author].append(word)
    return words_of
