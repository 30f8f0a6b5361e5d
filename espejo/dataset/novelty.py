"""How much of the author's text repeats itself: could a model win by learning ten sentences?"""

import numpy as np
import pandas as pd

from espejo.core import fingerprints

LONG_WORDS = 4  # shorter turns ("si", "dale") repeat in every real chat
NGRAM_WORDS = 4


def of_author(turns: pd.DataFrame, author: str) -> dict[str, float]:
    """Two shares of the author's turns (table TURNS with its splits), before any filter.

    repeated_turns: turns longer than four words that repeat another one, of all such turns.
    fourgrams_in_train: word 4-grams of the test replies that stand in a train reply, of them all.
    """
    mine = turns[turns["author"] == author]
    texts = fingerprints.of_words(mine["messages"].map(" ".join))
    long = pd.Series(texts.whole()[texts.lengths > LONG_WORDS])
    grams, text = texts.ngrams(NGRAM_WORDS)
    split = mine["split"].to_numpy()[text]
    train, test = (grams[split == name] for name in ("train", "test"))
    return {
        "repeated_turns": _share(long.duplicated().sum(), len(long)),
        "fourgrams_in_train": _share(np.isin(test, train).sum(), len(test)),
    }


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else 0.0
