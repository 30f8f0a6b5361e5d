"""Generated answers as `correctness` takes them: from tables REPLIES and EXAMPLES."""

import pandas as pd


def to_questions(replies: pd.DataFrame, answered: pd.DataFrame) -> pd.DataFrame:
    """Columns model, id, question, reference, answer: the replies to held-out questions.

    `answered` are the rows of table EXAMPLES whose contexts were answered.
    """
    known_rows = answered.set_index("id")
    rows = replies[replies["kind"].eq("held_out")]
    return pd.DataFrame(
        {
            "model": rows["model"],
            "id": rows["id"],
            "question": rows["id"].map(known_rows["context"].map(_last_turn)),
            "reference": rows["id"].map(known_rows["reply"].map(" ".join)),
            "answer": rows["messages"].map(" ".join),
        }
    ).reset_index(drop=True)


def to_probes(replies: pd.DataFrame) -> pd.DataFrame:
    """Columns model, kind, question, answer: the replies to questions beside the table's."""
    rows = replies[~replies["kind"].isin(("held_out", "prompt"))]
    return pd.DataFrame(
        {
            "model": rows["model"],
            "kind": rows["kind"],
            "question": rows["prompt"],
            "answer": rows["messages"].map(" ".join),
        }
    ).reset_index(drop=True)


def _last_turn(context: list) -> str:
    return " ".join(context[-1]["messages"]) if context else ""
