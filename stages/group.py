"""Group messages into turns and sessions, split them by time, and make one example a reply.

    python -m stages.group data/clean.parquet data/raw/demo/people.yaml \\
        data/turns.parquet data/examples.parquet metrics/group.json
"""

from pathlib import Path

from espejo import metrics, novelty, people, tables
from espejo.stage import params, run
from espejo.turns import examples, split, turns


def main(cleaned: Path, names: Path, turned: Path, replies: Path, account: Path) -> None:
    """Table CLEANED -> tables TURNED and REPLIES, and the ACCOUNT of messages and replies."""
    wanted = params("group")
    author = people.read(names.parent).author
    messages = tables.read(cleaned, tables.MESSAGES)
    grouped = turns(messages, wanted["turn_gap"], wanted["session_gap"])
    grouped = split(
        grouped, author, wanted["validation"], wanted["test"], at_least=wanted["min_replies"]
    )
    pairs = examples(grouped, author, wanted["history"])

    tables.write(grouped, turned, tables.TURNS)
    tables.write(pairs, replies, tables.EXAMPLES)
    inside = int(grouped["messages"].map(len).sum())
    others = int(grouped["author"].ne(author).sum())
    metrics.write(
        {
            "messages": metrics.account("messages", len(messages), inside, {}),
            "turns": metrics.account("turns", len(grouped), len(pairs), {"of_others": others}),
            "sessions": int(grouped["session"].nunique()),
            "replies": pairs["split"].value_counts().to_dict(),
            "novelty": novelty.of_author(grouped, author),
        },
        account,
    )
    print(
        f"group: {len(messages)} messages -> {len(grouped)} turns in "
        f"{grouped['session'].nunique()} sessions -> {len(pairs)} replies of the author"
    )


if __name__ == "__main__":
    run(main)
