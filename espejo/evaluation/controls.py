"""Impostors of whom the answer is known, put through the measures on the data at hand: no model.

A measure that takes its impostor for the author says nothing on these chats.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from espejo.evaluation import memorization, questions, style, two_sample
from espejo.evaluation.intervals import relation

COPIES = ("copied_beyond_own", "whole_beyond_own")  # measures of memory.beyond_own


def impostors(
    turns: pd.DataFrame, rows: pd.DataFrame, train: pd.DataFrame, author: str, seed: int
) -> dict[str, style.Replies]:
    """Replies of a friend, of the author shuffled, and of a bot that returns training replies.

    `rows` are the held-out examples, `train` those of the train split. The friend is the other
    person with most held-out turns; there is none in a chat in which nobody else wrote then.
    """
    drawn = np.random.default_rng(seed)
    own, sessions = rows["reply"].tolist(), rows["session"].tolist()
    copies = drawn.choice(len(train), len(rows), replace=len(train) < len(rows))
    made = {
        "shuffled": style.Replies([own[at] for at in drawn.permutation(len(own))], sessions),
        "copy": style.Replies([train["reply"].iloc[at] for at in copies], sessions),
    }
    others = turns[turns["split"].ne("train") & turns["author"].ne(author)]
    if len(others):
        most = others["author"].value_counts().sort_index().idxmax()
        made = {"friend": style.replies_of(others[others["author"].eq(most)]), **made}
    return made


def measured(
    turns: pd.DataFrame, rows: pd.DataFrame, train: pd.DataFrame, author: str, wanted: Mapping
) -> dict[str, dict]:
    """Of each impostor its author score, AUC against the real replies, and what it copies."""
    made = impostors(turns, rows, train, author, wanted["seed"])
    scores = style.author_score(turns, author, made, dict(wanted))
    real, learnt = rows["reply"].tolist(), train["reply"].tolist()
    sessions, table = rows["session"].tolist(), {}
    contexts = [*map(memorization.before, rows["context"])]
    others = questions.said_by_others(turns, author)
    for name, said in made.items():
        pairs = min(len(real), len(said.messages))
        own, theirs, asked = real[:pairs], said.messages[:pairs], sessions[:pairs]
        beyond = memorization.beyond_own(
            theirs, own, contexts[:pairs], learnt, asked, dict(wanted), others
        )
        row = {"score": scores[name], **{key: beyond[key] for key in COPIES}}
        # The shuffled replies are the real ones: the classifier would meet each in two folds.
        if name != "shuffled":
            row["told"] = two_sample.told_apart(own, theirs, asked, dict(wanted))
        table[name] = row
    return table


def holds(name: str, row: Mapping, ceiling: Mapping, wanted: Mapping) -> bool | None:
    """Whether a measure saw through the impostor `name`; None where that cannot be said.

    Who must sound like the author does so only within the margin of `wanted`, the params section
    evaluate; shuffled replies stand in other bundles than the author's, so there are no pairs. The
    copy is caught as the gate catches it: by the value of a measure that was taken.
    """
    found = relation(row["score"], ceiling, wanted["margins"]["author_score"])
    if name not in ("shuffled", "copy"):
        return {"below": True, "alike": False, "above": False}.get(found)
    sounds = {"alike": True, "above": name == "copy", "below": False}.get(found)
    if name == "shuffled" or sounds is False:
        return sounds
    over = [
        row[key]["value"] > wanted["sharing_limits"][key] for key in COPIES if "value" in row[key]
    ]
    return any(over) if over and sounds else None
