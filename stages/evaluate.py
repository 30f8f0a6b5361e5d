"""Does it sound like the author, does it answer, did training earn its place, is it safe to share?

    python -m stages.evaluate data metrics/eval.json plots

Numbers with intervals, and the verdict on sharing, from what `predict` wrote: no model is needed.
"""

from pathlib import Path

from espejo.core import metrics, tables
from espejo.core.stage import params, run
from espejo.evaluation import (
    controls,
    legacy,
    likelihood,
    memorization,
    questions,
    relevance,
    second_name,
    two_sample,
)


def main(data: Path, metrics_json: Path, plots_dir: Path) -> None:
    """Tables in DATA -> METRICS_JSON, tables for PLOTS_DIR, and in DATA what quotes messages."""
    config, test_share = params("evaluate"), params("group")["test"]
    author = tables.author_of(tables.read(data / "people.parquet", tables.PEOPLE))
    turns = tables.read(data / "turns.parquet", tables.TURNS)
    examples = tables.read(data / "examples.parquet", tables.EXAMPLES)
    learnt = tables.read(data / "learnt.parquet", tables.LEARNT)["messages"].tolist()
    losses = tables.read(data / "losses.parquet", tables.LOSSES)
    ranks = tables.read(data / "ranks.parquet", tables.RANKS)
    canaries = tables.read(data / "canaries.parquet", tables.CANARIES)
    replies = tables.read(data / "replies.parquet", tables.REPLIES)
    answered = questions.answered(replies, examples)
    train = examples[examples["split"].eq("train")].reset_index(drop=True)
    held_out = examples[examples["split"].ne("train")].reset_index(drop=True)

    members, membership = memorization.membership(losses, config)
    others = questions.said_by_others(turns, author)
    memory = questions.memorized(replies, answered, learnt, membership, config, others)
    scores = {
        "test": questions.tested(losses),
        **likelihood.measured(losses, config),
        "relevance": relevance.measured(ranks, config),
        "style": questions.sound(replies, answered, turns, author, config),
        "memory": {"members": members, **memory},
        "outside": questions.out_of_scope(replies),
        "controls": controls.measured(turns, held_out, train, author, config),
        "legacy_random_split_leak": legacy.leak(examples, test_share),
    }
    if len(canaries):
        scores["memory"]["canaries"] = memorization.exposed(canaries)
    metrics.write(scores, metrics_json)

    tables.write_csv(likelihood.sliced(losses, examples), plots_dir / "likelihood.csv")
    tables.write_csv(questions.lengths(replies, answered), plots_dir / "reply_lengths.csv")
    real, generated = (
        answered["reply"].tolist(),
        questions.answers(replies, "tuned", answered["id"]),
    )
    giveaways = two_sample.giveaways(real, generated)
    tables.write(giveaways, data / "giveaways.parquet", tables.GIVEAWAYS)
    suspects = second_name.likely(turns, author, config)
    tables.write(suspects, data / "second_names.parquet", tables.SECOND_NAMES)
    base, tuned = (
        f"{bits['value']:.3f}" if "value" in bits else "not measured"
        for bits in (scores[name]["own_bits_per_character"] for name in ("base", "tuned"))
    )
    print(
        f"evaluate: {scores['test']['replies']} test replies, bits per character of the messages' "
        f"own characters {base} (base) -> {tuned} (tuned); to share: {memory['verdict']}"
    )


if __name__ == "__main__":
    run(main)
