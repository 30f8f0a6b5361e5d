"""Relevance of the replies: the true reply is ranked among other replies of the same author.

All candidates are the author's own, so that style cannot help: a model that only knows how the
author writes ranks by chance (retrieval evaluation as in Lowe et al. 2015 and Zhang et al. 2018,
with the log-likelihood as the score).

The score is the likelihood of the messages' own characters. The cost of separators and of the end
of a reply says nothing about content, and is highest for an untrained model, which has never seen
them: if it counted, training would seem to help even a model that learnt nothing else. A sum over
the reply favours short replies; a mean per character favours common ones ("dale") a little less,
and all candidates have similar lengths besides: the score is the mean per character.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from espejo.evaluation import intervals
from espejo.evaluation.config import EvaluateConfig


def evaluate(ranks: pd.DataFrame, config: EvaluateConfig) -> dict:
    """`ranking` of table RANKS, by log-likelihood in nats per own character of the messages."""
    scores, true_columns, sessions = {}, np.empty(0, int), np.empty(0, int)
    for name, rows in ranks.groupby("model"):
        contexts = rows["context"].drop_duplicates()
        shape = len(contexts), len(rows) // max(1, len(contexts))
        scores[name] = (-rows["own_nats"] / rows["own_chars"]).to_numpy().reshape(shape)
        true = rows["candidate"].eq(rows["context"]).to_numpy().reshape(shape)
        true_columns, sessions = true.argmax(axis=1), rows["session"].to_numpy()[true.ravel()]
    if not scores:
        scores = {name: np.empty((0, 0)) for name in ("base", "tuned")}
    return ranking(scores, true_columns, sessions, config)


def ranking(
    scores: Mapping[str, np.ndarray],
    true_columns: Sequence[int] | np.ndarray,
    sessions: intervals.Groups,
    config: EvaluateConfig,
) -> dict:
    """`mrr` and `hits_at_1` of "base" and "tuned", their values by chance, and the `gain`.

    `scores` [n, k] of each model, higher being better, are of the same n contexts and k candidates;
    `true_columns` [n] is the column of the true reply. Ties are averaged over all orders, so that a
    model that scores all candidates the same is at chance. Intervals are over `sessions` [n]; the
    gain is tuned - base in each context, since how hard a context is cancels out.

    Raises ValueError for a score that is not finite.
    """
    n, k = scores["tuned"].shape
    size = max(k, 1)  # without candidates, chance is that of a single one
    # The mean of 1 / rank over the ranks that a tie may get, from the sums 1/1 + … + 1/r.
    sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, size + 1))])
    reciprocal, first = {}, {}
    for name, table in scores.items():
        if not np.isfinite(table).all():
            raise ValueError(f"a candidate's score of {name} is not finite")
        true = table[np.arange(n), np.asarray(true_columns, int)][:, None]
        better, tied = (table > true).sum(axis=1), (table == true).sum(axis=1)  # itself included
        reciprocal[name] = (sums[better + tied] - sums[better]) / tied
        first[name] = (better == 0) / tied
    models = {
        name: {
            "mrr": intervals.mean(reciprocal[name], sessions, config, (0, 1)),
            "hits_at_1": _hits(first[name], sessions, config),
        }
        for name in scores
    }
    gain = {
        "mrr": intervals.mean(reciprocal["tuned"] - reciprocal["base"], sessions, config, (-1, 1)),
        "hits_at_1": _hits_difference(first["tuned"], first["base"], sessions, config),
    }
    chance = {"mrr": float(sums[-1] / size), "hits_at_1": 1 / size}
    return {"contexts": n, "candidates": k, "chance": chance, **models, "gain": gain}


def _hits(first: np.ndarray, sessions: intervals.Groups, config: EvaluateConfig) -> dict:
    """The share of `first` [n], or their mean where a tie makes some of them fractions."""
    if np.isin(first, (0, 1)).all():
        return intervals.share(first == 1, sessions, config)
    return intervals.mean(first, sessions, config, (0, 1))


def _hits_difference(
    first: np.ndarray, other: np.ndarray, sessions: intervals.Groups, config: EvaluateConfig
) -> dict:
    """The share of `first` [n] minus that of `other` [n], paired context by context."""
    if np.isin([first, other], (0, 1)).all():
        return intervals.share_difference(first == 1, other == 1, sessions, config)
    return intervals.mean(first - other, sessions, config, (-1, 1))
