"""Examples for the prompt: how far does the base model get with the author's replies before it?

Fine-tuning has to earn its place against both: the same few examples before every context, and
those whose context is most like the one at hand (retrieval).
"""

import os
from collections.abc import Sequence

# bm25s tries JAX out where it is installed, and JAX would take three quarters of a graphics card.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# isort: split
import bm25s
import numpy as np
import pandas as pd

from espejo.core.tables import Turn
from espejo.core.text import words

Shots = list[Turn]


def fixed(train: pd.DataFrame, author: str, k: int, most: int, seed: int) -> Shots:
    """`k` examples of `train` (rows of EXAMPLES) drawn at random, as turns.

    An example is the last turn of a context and the reply, of at most `most` characters together.
    """
    fit = _fitting(train, most)
    drawn = np.random.default_rng(seed).permutation(len(fit))[:k]
    return [turn for at in drawn for turn in _turns(fit.iloc[at], author)]


def nearest(
    train: pd.DataFrame, contexts: Sequence[Sequence[Turn]], author: str, k: int, most: int
) -> list[Shots]:
    """For each context the `k` training examples whose own is most like it, the nearest last.

    BM25 (Robertson and Zaragoza, 2009) over the words of the last turn. Where no example fits
    there is none to any.
    """
    fit = _fitting(train, most)
    if fit.empty:
        return [[] for _ in contexts]
    index = bm25s.BM25()
    index.index([_last(context) or ["…"] for context in fit["context"]], show_progress=False)
    found = []
    for context in contexts:
        scores = index.get_scores(_last(context) or ["…"])
        best = np.argsort(-scores, kind="stable")[:k][::-1]
        found.append([turn for at in best for turn in _turns(fit.iloc[at], author)])
    return found


def _fitting(train: pd.DataFrame, most: int) -> pd.DataFrame:
    def fits(context: Sequence[Turn], reply: Sequence[str]) -> bool:
        # Without a context nothing was answered: no example.
        return bool(context) and sum(map(len, [*context[-1]["messages"], *reply])) <= most

    return train[[*map(fits, train["context"], train["reply"])]]


def _turns(row: pd.Series, author: str) -> Shots:
    return [row["context"][-1], {"author": author, "messages": row["reply"]}]


def _last(context: Sequence[Turn]) -> list[str]:
    return words(" ".join(context[-1]["messages"])) if context else []
