"""Group messages into turns and sessions, split them, and make one example a reply.

    python -m stages.group data/clean.parquet data/people.parquet \\
        data/turns.parquet data/examples.parquet metrics/group.json
"""

from pathlib import Path

from espejo.core import metrics, tables
from espejo.core.config import DataConfig, GroupConfig
from espejo.core.stage import params, run
from espejo.dataset import novelty, splits
from espejo.dataset.turns import examples, left_out, turns


def main(
    cleaned: Path, people: Path, turns_table: Path, examples_table: Path, metrics_json: Path
) -> None:
    """Clean messages -> turns and examples, and where the messages went."""
    config, data = params(GroupConfig), params(DataConfig)
    author = tables.author_of(tables.read(people, tables.PEOPLE))
    messages = tables.read(cleaned, tables.CLEAN)
    messages_in = len(messages)
    everything = turns(messages, config.turn_gap, config.session_gap)
    del messages  # their texts are in the turns: twice they take a gigabyte
    others = sorted({*everything["author"]} - {author, tables.FORWARDED})
    learnt_too = others if data.kind == "dialogues" and data.learnt == "both" else []
    why = left_out(everything, author)
    by_question = data.kind == "questions"
    grouped = splits.split(
        everything[why.isna()].drop(columns="withheld"),
        frozenset({author, *learnt_too}),
        config,
        by_question,
    )
    tables.write(grouped, turns_table, tables.TURNS)
    # In parts: the contexts of a million messages, as Python objects, take gigabytes.
    pairs = (
        examples(chats, author, config.history, learnt_too)
        for chats in tables.whole(tables.parts(grouped), "chat")
    )
    tables.write_parts(pairs, examples_table, tables.EXAMPLES)

    in_split = tables.read(examples_table, tables.EXAMPLES, ["split"])["split"].value_counts()
    num_pairs = int(in_split.sum())
    inside = int(grouped["messages"].map(len).sum())
    kept_back = everything["messages"].map(len).groupby(why).sum().to_dict()
    replies = grouped["author"].isin([author, *learnt_too])
    not_replies = {
        **why.value_counts().to_dict(),
        "of_others": int((~replies).sum()),
        "openings": int(replies.sum()) - num_pairs,
    }
    again = splits.held_out_again(grouped, everything["split"].notna().any(), config, by_question)
    metrics.write(
        {
            "messages": metrics.account("messages", messages_in, inside, kept_back),
            "turns": metrics.account("turns", len(everything), num_pairs, not_replies),
            "sessions": int(grouped["session"].nunique()),
            "replies": in_split.to_dict(),
            "train_sessions_held_out_again": again,
            "novelty": novelty.of_author(grouped, author),
        },
        metrics_json,
    )
    print(
        f"group: {messages_in} messages -> {len(grouped)} turns in "
        f"{grouped['session'].nunique()} sessions -> {num_pairs} replies of the author"
        + (f"; {again} of the data's train sessions stand in its held-out splits" if again else "")
    )


if __name__ == "__main__":
    run(main)
