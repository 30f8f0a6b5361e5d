"""Can learnt replies be told from others by their loss? Membership inference, and its controls.

The attack has both models and compares the two losses of a reply (Yeom et al. 2018, with the base
model as reference: Carlini et al. 2022, Membership Inference Attacks From First Principles). The
area under the ROC curve says how well that works on average. What hurts somebody is whether single
replies are recognized with certainty, so the share of learnt replies recognized at a few false
alarms stands beside it (Carlini et al. 2022). What the base model alone can tell is no memory,
since it never saw the replies: it is a difference between the two sets of replies, such as their
time (Das et al. 2024, Blind Baselines Beat Membership Inference Attacks for Foundation Models).
"""

import math

import numpy as np
import pandas as pd
from scipy import stats

from espejo.evaluation import intervals
from espejo.evaluation.config import EvaluateConfig

FALSE_ALARMS = (0.05, 0.01)  # shares of the replies that were not learnt
OTHERS = ("test", "set_aside")  # splits of replies that were not learnt


def evaluate(losses: pd.DataFrame, config: EvaluateConfig) -> dict:
    """How well learnt replies are told from those of each split in OTHERS (table LOSSES).

    `{"members": learnt replies, "membership": AUC against the test, "membership_against": {split:
    {"n", "auc", "base_auc", "recognized": {"0.05": measure, "0.01": measure}}}}`. Replies are set
    aside by an audit only: at random, so that time plays no part.
    """
    table = scores(losses)
    learnt = table[table["split"].eq("train")]
    against: dict[str, dict] = {}
    for name in OTHERS:
        others = table[table["split"].eq(name)]
        if name == "set_aside" and others.empty:
            continue
        against[name] = {
            "n": len(others),
            "auc": auc(learnt, others, "saved", config),
            "base_auc": auc(learnt, others, "base", config),
            "recognized": {
                str(share): recognized(learnt, others, "saved", share, config)
                for share in FALSE_ALARMS
            },
        }
    return {
        "members": len(learnt),
        "membership": against["test"]["auc"],
        "membership_against": against,
    }


def scores(losses: pd.DataFrame) -> pd.DataFrame:
    """The replies in table LOSSES with messages of their own: columns id, session, split, saved and
    base, the higher the more like one that was learnt.

    `saved` is by how much training lowered the loss: base - tuned, in nats per character of a
    reply's own messages, so that it does not matter how easy a reply is. `base` is the loss of the
    base model with its sign changed, per character.
    """
    rows = losses[losses["own_chars"].gt(0)]
    base, tuned = (rows[rows["model"].eq(name)].set_index("id") for name in ("base", "tuned"))
    saved = (base["own_nats"] - tuned["own_nats"].loc[base.index]) / base["own_chars"]
    columns = {"saved": saved, "base": -base["own_nats"] / base["own_chars"]}
    return base[["session", "split"]].assign(**columns).reset_index()


def auc(learnt: pd.DataFrame, others: pd.DataFrame, score: str, config: EvaluateConfig) -> dict:
    """The AUC of telling `learnt` replies from `others` by their column `score`.

    0.5: they cannot be told apart; 1: every learnt reply is recognized.
    """
    return intervals.auc(
        learnt[score].to_numpy(),
        others[score].to_numpy(),
        learnt["session"].to_numpy(),
        others["session"].to_numpy(),
        config,
    )


def recognized(
    learnt: pd.DataFrame, others: pd.DataFrame, score: str, share: float, config: EvaluateConfig
) -> dict:
    """The share of `learnt` replies with a `score` above all but a `share` of the `others`.

    The true positive rate at a false positive rate of `share`. "too few" where not even one of the
    others may be a false alarm. The threshold is itself uncertain: of m others, how many lie above
    the true one is binomial. So the low end is that of the share above the strictest likely
    threshold, the high end that of the share above the loosest, each with half of the error
    (Bonferroni): the interval is rather too wide than too narrow.
    """
    most = math.floor(share * len(others) + 1e-9)
    if not most or not len(learnt):
        return {"n": len(learnt), "interval": "too few"}
    falling = np.sort(others[score].to_numpy())[::-1]
    values, sessions = learnt[score].to_numpy(), learnt["session"].to_numpy()

    def above(false_alarms: int) -> np.ndarray:
        """Whether each learnt reply exceeds all others but so many."""
        if false_alarms >= len(falling):
            return np.ones(len(values), bool)
        return values > falling[false_alarms]

    halved = config.model_copy(update={"confidence": (1 + config.confidence) / 2})
    tail = (1 - halved.confidence) / 2
    fewest, highest = (int(stats.binom.ppf(p, len(falling), share)) for p in (tail, 1 - tail))
    # If possibly none of the others lies above the true threshold, it may be above any reply.
    low = intervals.share(above(fewest - 1), sessions, halved)["low"] if fewest else 0.0
    high = intervals.share(above(highest), sessions, halved)["high"]
    return {"value": float(above(most).mean()), "low": low, "high": high, "n": len(values)}
