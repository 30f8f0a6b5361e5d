"""Drop training examples that are not worth learning. Validation and test keep every reply.

python -m stages.filter data/examples.parquet data/filtered.parquet metrics/filter.json
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from espejo.core import metrics, tables
from espejo.core.errors import UserError
from espejo.core.stage import params, run
from espejo.dataset import duplicates, leaks

Rule = Callable[[pd.DataFrame], Sequence[bool]]  # of what `texts` gives: which rows break it


def texts(examples: pd.DataFrame) -> pd.DataFrame:
    """Columns context, reply and both: all messages of each, with a space between."""
    context = [
        " ".join(text for turn in turns for text in turn["messages"])
        for turns in examples["context"]
    ]
    reply = [" ".join(messages) for messages in examples["reply"]]
    frame = pd.DataFrame({"context": context, "reply": reply}, examples.index, dtype="str")
    return frame.assign(both=frame["context"] + " " + frame["reply"])


def unlike(said: pd.DataFrame, encoder: str, least: float) -> pd.Series:
    """Whether a reply's embedding is no closer than `least` to that of its context."""
    from espejo.dataset import similarity  # takes seconds to load, and most runs do without

    cosine = similarity.cosine(said["context"], said["reply"], similarity.encoder(encoder))
    return pd.Series(cosine <= least, said.index)


def rules(held_out: pd.DataFrame, wanted: dict) -> Iterator[tuple[str, Rule]]:
    """The rules that `wanted` (params section filter) asks for, with the reason each gives."""
    if wanted["links"]:
        yield "link", lambda said: said["both"].str.contains(wanted["links"], case=False)
    yield "short_context", lambda said: word_count(said["context"]) < wanted["min_context_words"]
    yield "short_reply", lambda said: word_count(said["reply"]) < wanted["min_reply_words"]
    yield "short", lambda said: word_count(said["both"]) < wanted["min_words"]
    yield "short", lambda said: said["both"].str.len() < wanted["min_chars"]
    yield "long_context", lambda said: said["context"].str.len() > wanted["max_context_chars"]
    yield "long_reply", lambda said: said["reply"].str.len() > wanted["max_reply_chars"]
    if wanted["leaks"] == "drop":
        yield "stands_in_held_out", lambda said: leaks.leaked(said["reply"], held_out)
    if wanted["duplicates"] == "drop":
        yield "duplicate", lambda said: duplicates.exact(said["both"])
    if wanted["near_duplicates"]:
        yield (
            "near_duplicate",
            lambda said: duplicates.near(said["both"], wanted["near_duplicates"]),
        )
    if wanted["similarity"]:
        yield "unlike_context", lambda said: unlike(said, **wanted["similarity"])


def word_count(said: pd.Series) -> pd.Series:
    """Words between blanks."""
    return said.str.split().map(len)


def reasons(train: pd.DataFrame, held_out: pd.DataFrame, wanted: dict) -> pd.Series:
    """Why each training example is dropped (the first rule that it breaks), else null.

    `held_out` are the examples of validation and test, from which nothing may leak.
    """
    said = texts(train)
    why = pd.Series(None, index=train.index, dtype="str")
    for reason, broken in rules(held_out, wanted):
        left = said[why.isna()]
        if len(left):
            why[left.index[np.asarray(broken(left), dtype=bool)]] = reason
    return why


def main(replies: Path, filtered: Path, account: Path) -> None:
    """Table REPLIES -> table FILTERED, and the ACCOUNT of the training examples."""
    table = tables.read(replies, tables.EXAMPLES)
    training = table["split"].eq("train")
    train, held_out = table[training], table[~training]
    dropped = reasons(train, held_out, params("filter")).dropna()
    kept = table.drop(index=dropped.index).reset_index(drop=True)

    left = len(train) - len(dropped)
    if not left:
        raise UserError(
            f"No training example is left of {len(train)}: {dropped.value_counts().to_dict()}. "
            "Choose a milder filter, for example `-S filter=none`."
        )
    tables.write(kept, filtered, tables.EXAMPLES)
    counts = metrics.account("train", len(train), left, dropped.value_counts())
    metrics.write({"train": counts}, account)
    print(f"filter: {left} of {len(train)} training replies kept")


if __name__ == "__main__":
    run(main)
