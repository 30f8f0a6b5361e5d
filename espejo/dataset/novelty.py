"""How much of the author's text repeats itself: could a model win by learning ten sentences?"""

import pandas as pd

from espejo.core.text import ngrams, words

LONG_WORDS = 4  # shorter turns ("si", "dale") repeat in every real chat
NGRAM_WORDS = 4


def of_author(turns: pd.DataFrame, author: str) -> dict[str, float]:
    """Two shares of the author's turns (table TURNS with its splits), before any filter.

    repeated_turns: turns longer than four words that repeat another one, of all such turns.
    fourgrams_in_train: word 4-grams of the test replies that stand in a train reply, of them all.
    """
    mine = turns[turns["author"] == author]
    texts = mine["messages"].map(lambda messages: tuple(words(" ".join(messages))))
    long = texts[texts.map(len) > LONG_WORDS]
    train, test = (
        [gram for text in texts[mine["split"] == name] for gram in ngrams(text, NGRAM_WORDS)]
        for name in ("train", "test")
    )
    learnt = set(train)
    return {
        "repeated_turns": _share(long.duplicated().sum(), len(long)),
        "fourgrams_in_train": _share(sum(gram in learnt for gram in test), len(test)),
    }


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
