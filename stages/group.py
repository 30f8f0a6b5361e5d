"""Group messages into turns and sessions, split them by time, and make one example a reply.

    python -m stages.group data/clean.parquet data/people.parquet \\
        data/turns.parquet data/examples.parquet metrics/group.json
"""

from pathlib import Path

from espejo.core import metrics, tables
from espejo.core.config import GroupConfig
from espejo.core.stage import params, run
from espejo.dataset import novelty
from espejo.dataset.turns import examples, left_out, split, turns


def main(
    cleaned: Path, people: Path, turns_table: Path, examples_table: Path, metrics_json: Path
) -> None:
    """Clean messages -> turns and examples, and where the messages went."""
    config = params(GroupConfig)
    author = tables.author_of(tables.read(people, tables.PEOPLE))
    messages = tables.read(cleaned, tables.CLEAN)
    everything = turns(messages, config.turn_gap, config.session_gap)
    why = left_out(everything, author)
    grouped = split(
        everything[why.isna()].drop(columns="withheld"),
        author,
        config.validation,
        config.test,
        at_least=config.min_replies,
    )
    pairs = examples(grouped, author, config.history)

    tables.write(grouped, turns_table, tables.TURNS)
    tables.write(pairs, examples_table, tables.EXAMPLES)
    inside = int(grouped["messages"].map(len).sum())
    kept_back = everything["messages"].map(len).groupby(why).sum().to_dict()
    not_replies = why.value_counts().to_dict()
    not_replies["of_others"] = int(grouped["author"].ne(author).sum())
    metrics.write(
        {
            "messages": metrics.account("messages", len(messages), inside, kept_back),
            "turns": metrics.account("turns", len(everything), len(pairs), not_replies),
            "sessions": int(grouped["session"].nunique()),
            "replies": pairs["split"].value_counts().to_dict(),
            "novelty": novelty.of_author(grouped, author),
        },
        metrics_json,
    )
    print(
        f"group: {len(messages)} messages -> {len(grouped)} turns in "
        f"{grouped['session'].nunique()} sessions -> {len(pairs)} replies of the author"
    )


if __name__ == "__main__":
    run(main)
