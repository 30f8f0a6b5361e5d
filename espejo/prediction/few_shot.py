"""Few-shot examples: how close does the base model come with the author's replies in its prompt?

Fine-tuning has to beat both kinds: the same few examples before every context, and those whose
context is most similar to the one at hand (retrieval).
"""

import os
from collections.abc import Sequence

# bm25s tries JAX where it is installed, and JAX would reserve three quarters of a graphics card.
os.environ.setdefault("JAX_PLATFORMS", "cpu")

# isort: split
import bm25s
import numpy as np
import pandas as pd

from espejo.core.tables import Turn
from espejo.core.text import fold, words

Shots = list[Turn]
# Letters that stand for a word. Of the 30 rephrased questions of data/raw/qa, 11 have the row that
# they ask for among the first four; with whole words of the questions alone it is 2.
STEM_LETTERS = 5


def fixed(train: pd.DataFrame, author: str, k: int, max_chars: int, seed: int) -> Shots:
    """`k` examples of `train` (rows of EXAMPLES) drawn at random, as turns.

    An example is the last turn of a context and the reply, together of at most `max_chars`
    characters.
    """
    rows = usable(train, max_chars)
    indices = np.random.default_rng(seed).permutation(len(rows))[:k]
    return [turn for index in indices for turn in _turns(rows.iloc[index], author)]


def nearest(
    train: pd.DataFrame,
    contexts: Sequence[Sequence[Turn]],
    author: str,
    k: int,
    max_chars: int,
    by_answer: bool = False,
) -> list[Shots]:
    """For each context the `k` training examples with the most similar context, the nearest last.

    BM25 (Robertson and Zaragoza, 2009) over the words of the last turn. With `by_answer`, over the
    first letters of the words of the last turn and the reply: a row of a table answers a question
    in the words of either, and with other endings. Without a usable example all lists are empty.
    """
    rows = usable(train, max_chars)
    if rows.empty:
        return [[] for _ in contexts]

    def terms(context: Sequence[Turn], reply: Sequence[str] = ()) -> list[str]:
        if not by_answer:
            return _last_words(context)
        return [word[:STEM_LETTERS] for word in map(fold, _last_words(context) + _words(reply))]

    index = bm25s.BM25()
    documents = [*map(terms, rows["context"], rows["reply"])]
    index.index(documents, show_progress=False)
    scores = (index.get_scores(terms(context)) for context in contexts)
    return [highest(rows, row, author, k) for row in scores]


def highest(rows: pd.DataFrame, scores: np.ndarray, author: str, k: int) -> Shots:
    """The `k` of `rows` [n] with the highest `scores` [n] as turns, the highest last."""
    best = np.argsort(-scores, kind="stable")[:k][::-1]
    return [turn for index in best for turn in _turns(rows.iloc[index], author)]


def usable(train: pd.DataFrame, max_chars: int) -> pd.DataFrame:
    """The rows of `train` whose last turn of context and reply have `max_chars` at most."""

    def fits(context: Sequence[Turn], reply: Sequence[str]) -> bool:
        # Without a context the reply answers nothing: no example.
        return bool(context) and sum(map(len, [*context[-1]["messages"], *reply])) <= max_chars

    return train[[*map(fits, train["context"], train["reply"])]]


def _turns(row: pd.Series, author: str) -> Shots:
    return [row["context"][-1], {"author": author, "messages": row["reply"]}]


def _last_words(context: Sequence[Turn]) -> list[str]:
    """The words of the last turn; a placeholder token if there are none."""
    return (_words(context[-1]["messages"]) if context else []) or ["…"]


def _words(messages: Sequence[str]) -> list[str]:
    return words(" ".join(messages))
