"""Impostors of whom the answer is known, put through the measures on the data at hand: no model.

A measure that takes its impostor for the author says nothing on these chats.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from espejo.report.answers import beyond_own, relation
from espejo.scores import apart, memory, style


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
    real, learnt, sessions = rows["reply"].tolist(), train["reply"].tolist(), rows["session"]

    def copied(replies: Sequence[Sequence[str]], contexts: Sequence[str]) -> dict:
        found = memory.overlap(replies, contexts, learnt, sessions[: len(replies)], dict(wanted))
        return found["copied"]

    contexts = [
        " ".join(text for turn in context for text in turn["messages"])
        for context in rows["context"]
    ]
    own, table = copied(real, contexts), {}
    for name, said in made.items():
        pairs = min(len(real), len(said.messages))
        # A friend's turns answer none of these contexts.
        asked = [""] * pairs if name == "friend" else contexts
        row = {
            "score": scores[name],
            "beyond": beyond_own(copied(said.messages[:pairs], asked), own),
        }
        # The shuffled replies are the real ones: the classifier would meet each in two folds.
        if name != "shuffled":
            row["told"] = apart.told_apart(
                real[:pairs], said.messages[:pairs], sessions[:pairs].tolist(), dict(wanted)
            )
        table[name] = row
    return table


def holds(name: str, row: Mapping, ceiling: Mapping, most_copied: float) -> bool | None:
    """Whether a measure saw through the impostor `name`; None where there was too little."""
    found = relation(row["score"], ceiling)
    if found in ("few", "missing"):
        return None
    if name == "shuffled":
        return found == "alike"
    if name == "copy":
        return found != "below" and row["beyond"] is not None and row["beyond"] > most_copied
    return found == "below"
