"""Can a model win by learning ten sentences? How much of the author's text repeats itself."""

from collections.abc import Iterable, Iterator

import pandas as pd

LONG = 4  # words: shorter turns ("si", "dale") repeat in every real chat
NGRAM = 4


def of_author(turns: pd.DataFrame, author: str) -> dict[str, float]:
    """Two shares of the author's turns (table TURNS with its splits), before any filter.

    repeated_turns: turns longer than four words that repeat another one exactly, of all such turns.
    fourgrams_in_train: word 4-grams of the test replies that stand in a train reply, of them all.
    """
    mine = turns[turns["author"] == author]
    words = mine["messages"].map(lambda said: tuple(" ".join(said).lower().split()))
    long = words[words.map(len) > LONG]
    train = set(_ngrams(words[mine["split"] == "train"]))
    test = list(_ngrams(words[mine["split"] == "test"]))
    return {
        "repeated_turns": _share(long.duplicated().sum(), len(long)),
        "fourgrams_in_train": _share(sum(gram in train for gram in test), len(test)),
    }


def _ngrams(texts: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    for text in texts:
        for at in range(len(text) - NGRAM + 1):
            yield text[at : at + NGRAM]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
