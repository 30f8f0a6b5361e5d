"""Controls: impostors whose score is known in advance, measured on the data at hand, with no model.

A measure that mistakes its impostor for the author is not valid on these chats.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from espejo.evaluation import memorization, questions, style, two_sample
from espejo.evaluation.config import EvaluateConfig
from espejo.evaluation.intervals import relation

COPIES = ("copied_beyond_own", "whole_beyond_own")  # measures of memorization.beyond_own


def impostors(
    turns: pd.DataFrame, held_out: pd.DataFrame, train: pd.DataFrame, author: str, seed: int
) -> dict[str, style.Replies]:
    """Replies of a friend, of the author shuffled, and of a bot that returns training replies.

    `held_out` and `train` are rows of table EXAMPLES. The friend is the other person with the most
    held-out turns; there is none in chats in which nobody else wrote then.
    """
    random = np.random.default_rng(seed)
    own, sessions = held_out["reply"].tolist(), held_out["session"].tolist()
    copies = random.choice(len(train), len(own), replace=len(train) < len(own))
    replies = {
        "shuffled": style.Replies([own[index] for index in random.permutation(len(own))], sessions),
        "copy": style.Replies(train["reply"].iloc[copies].tolist(), sessions),
    }
    others = style.of_people(turns[turns["split"].ne("train") & turns["author"].ne(author)])
    if len(others):
        friend = others["author"].value_counts().sort_index().idxmax()
        replies = {"friend": style.replies_of(others[others["author"].eq(friend)]), **replies}
    return replies


def evaluate(
    turns: pd.DataFrame,
    held_out: pd.DataFrame,
    train: pd.DataFrame,
    author: str,
    config: EvaluateConfig,
) -> dict[str, dict]:
    """The author score of each impostor, its AUC against the real replies, and what it copies."""
    sources = impostors(turns, held_out, train, author, config.seed)
    scores = style.author_score(turns, author, sources, config)
    real, learnt = held_out["reply"].tolist(), train["reply"].tolist()
    sessions = held_out["session"].tolist()
    contexts = [*map(memorization.context_text, held_out["context"])]
    others = questions.turns_of_others(turns, author)
    controls = {}
    for name, replies in sources.items():
        n = min(len(real), len(replies.messages))
        generated = replies.messages[:n]
        copies = memorization.beyond_own(
            generated, real[:n], contexts[:n], learnt, sessions[:n], config, others
        )
        row = {"score": scores[name], **{key: copies[key] for key in COPIES}}
        # No AUC for the shuffled replies, which are the real ones: each would be in two folds.
        if name != "shuffled":
            row["told"] = two_sample.told_apart(real[:n], generated, sessions[:n], config)
        controls[name] = row
    return controls


def holds(name: str, row: Mapping, ceiling: Mapping, config: EvaluateConfig) -> bool | None:
    """Whether the measures in `row` recognized the impostor `name`; None where that is unclear.

    A friend, and any other name, must score below the author's `ceiling`. The shuffled replies must
    be equal to it within the margin; their bundles differ from the author's, so the difference is
    not paired. The copy must score at least as high, and be caught as the gate for sharing would:
    by the value of a measure that was taken.
    """
    where = relation(row["score"], ceiling, config.margins.author_score)
    if name not in ("shuffled", "copy"):
        return {"below": True, "alike": False, "above": False}.get(where)
    sounds = {"alike": True, "above": name == "copy", "below": False}.get(where)
    if name == "shuffled" or sounds is False:
        return sounds
    limits = config.sharing_limits
    over = [row[key]["value"] > getattr(limits, key) for key in COPIES if "value" in row[key]]
    return any(over) if over and sounds else None
