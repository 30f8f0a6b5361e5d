"""Drop training examples that are not worth learning. Validation and test keep every reply.

python -m stages.filter data/examples.parquet data/filtered.parquet metrics/filter.json
"""

import re
from pathlib import Path

import pandas as pd

from espejo import metrics, tables
from espejo.stage import params, run

LINK = re.compile(r"https?:|\bwww\.|\.com\b", re.IGNORECASE)


def reason(example: pd.Series, wanted: dict) -> str | None:
    """Why an example is dropped, or None: the first rule that it breaks."""
    context = " ".join(text for turn in example["context"] for text in turn["messages"])
    reply = " ".join(example["reply"])
    if wanted["links"] == "drop" and LINK.search(f"{context} {reply}"):
        return "link"
    if len(context.split()) < wanted["min_context_words"]:
        return "short_context"
    if len(reply.split()) < wanted["min_reply_words"]:
        return "short_reply"
    if len(context) > wanted["max_context_chars"]:
        return "long_context"
    if len(reply) > wanted["max_reply_chars"]:
        return "long_reply"
    return None


def main(replies: Path, filtered: Path, account: Path) -> None:
    """Table REPLIES -> table FILTERED, and the ACCOUNT of the training examples."""
    table = tables.read(replies, tables.EXAMPLES)
    train = table[table["split"] == "train"]
    reasons = train.apply(reason, axis=1, wanted=params("filter")).dropna()
    kept = table.drop(index=reasons.index).reset_index(drop=True)

    tables.write(kept, filtered, tables.EXAMPLES)
    left = len(train) - len(reasons)
    counts = metrics.account("train", len(train), left, reasons.value_counts())
    metrics.write({"train": counts}, account)
    print(f"filter: {left} of {len(train)} training replies kept")


if __name__ == "__main__":
    run(main)
