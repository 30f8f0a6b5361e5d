"""Does it answer? The true reply is ranked among other replies of the same author.

All candidates are the author's own, so that style decides nothing: whoever knows only how the
author writes ranks by chance (retrieval evaluation as in Lowe et al. 2015 and Zhang et al. 2018,
with log-likelihood for the score).

Which likelihood: that of the messages' own characters. What a separator or the end of a reply costs
tells nothing of what is said, and most of all an untrained model, to which they are strange: scored
with the rest, training would seem to help a model that learnt its marks alone. A sum over the reply
prefers short replies, a mean per character the common ones ("dale") somewhat less so, and
candidates are of like length besides: the mean per character is the measure.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from espejo.evaluation import intervals


def measured(ranks: pd.DataFrame, config: Mapping) -> dict[str, dict | float]:
    """`ranked` of table RANKS, by log-likelihood in nats a character of the messages' own."""
    scores, truth, sessions = {}, [], []
    for name, rows in ranks.groupby("model"):
        contexts = rows["context"].drop_duplicates()
        shape = len(contexts), len(rows) // max(1, len(contexts))
        scores[name] = (-rows["own_nats"] / rows["own_chars"]).to_numpy().reshape(shape)
        true = rows["candidate"].eq(rows["context"]).to_numpy().reshape(shape)
        truth, sessions = true.argmax(axis=1), rows["session"].to_numpy()[true.ravel()]
    if not scores:
        scores = {name: np.empty((0, 0)) for name in ("base", "tuned")}
    return ranked(scores, truth, sessions, config)


def ranked(
    scores: Mapping[str, np.ndarray], truth: Sequence[int], sessions: Sequence[int], wanted: dict
) -> dict[str, dict | float]:
    """`mrr` and `hits_at_1` of "base" and "tuned", what chance gives, and the `gain` of training.

    `scores` [n, k] of each, higher being better, are of the same n contexts and k candidates, of
    which `truth` [n] is the column of the true reply. Among equal scores every order counts alike,
    so that a model to which all candidates are the same is at chance. Intervals over `sessions`
    [n]; the gain is tuned - base in each context, since how hard a context is cancels out.

    Raises ValueError for a score that is not finite.
    """
    n, k = scores["tuned"].shape
    alone = max(k, 1)  # where there was nothing to rank, chance is that of one candidate
    # The mean of 1 / rank over the ranks that a tie leaves open, from the sums 1/1 + … + 1/r.
    sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, alone + 1))])
    reciprocal, first = {}, {}
    for name, each in scores.items():
        if not np.isfinite(each).all():
            raise ValueError(f"a candidate's score of {name} is not finite")
        true = each[np.arange(n), np.asarray(truth, int)][:, None]
        better, tied = (each > true).sum(axis=1), (each == true).sum(axis=1)  # itself as well
        reciprocal[name] = (sums[better + tied] - sums[better]) / tied
        first[name] = (better == 0) / tied
    found = {
        name: {
            "mrr": intervals.mean(reciprocal[name], sessions, wanted, (0, 1)),
            "hits_at_1": _hits(first[name], sessions, wanted),
        }
        for name in scores
    }
    gain = {
        "mrr": intervals.mean(reciprocal["tuned"] - reciprocal["base"], sessions, wanted, (-1, 1)),
        "hits_at_1": _more_hits(first["tuned"], first["base"], sessions, wanted),
    }
    chance = {"mrr": float(sums[-1] / alone), "hits_at_1": 1 / alone}
    return {"contexts": n, "candidates": k, "chance": chance, **found, "gain": gain}


def _hits(first: np.ndarray, sessions: Sequence[int], wanted: dict) -> dict:
    """The share of `first` [n], or their mean where a tie makes some of them fractions."""
    if np.isin(first, (0, 1)).all():
        return intervals.share(first == 1, sessions, wanted)
    return intervals.mean(first, sessions, wanted, (0, 1))


def _more_hits(first: np.ndarray, other: np.ndarray, sessions: Sequence[int], wanted: dict) -> dict:
    """How many more of `first` [n] than of `other` [n] were hits, context by context."""
    if np.isin([first, other], (0, 1)).all():
        return intervals.share_difference(first == 1, other == 1, sessions, wanted)
    return intervals.mean(first - other, sessions, wanted, (-1, 1))
