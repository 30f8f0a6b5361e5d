"""Does it sound like the author, does it answer, was training worth it, is it safe to share?

    python -m stages.evaluate data metrics/eval.json plots

Numbers with intervals and the verdict on sharing, from the tables of `predict`; no model is loaded.
"""

from pathlib import Path

from espejo.core import metrics, tables
from espejo.core.config import GroupConfig
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
from espejo.evaluation.config import EvaluateConfig


def main(data: Path, metrics_json: Path, plots_dir: Path) -> None:
    """Tables in DATA -> METRICS_JSON, tables in PLOTS_DIR, and those with quotes in DATA."""
    config, test_share = params(EvaluateConfig), params(GroupConfig).test
    author = tables.author_of(tables.read(data / "people.parquet", tables.PEOPLE))
    turns = tables.read(data / "turns.parquet", tables.TURNS)
    examples = tables.read(data / "examples.parquet", tables.EXAMPLES)
    learnt = tables.read(data / "learnt.parquet", tables.LEARNT)["messages"].tolist()
    losses = tables.read(data / "losses.parquet", tables.LOSSES)
    ranks = tables.read(data / "ranks.parquet", tables.RANKS)
    canaries = tables.read(data / "canaries.parquet", tables.CANARIES)
    replies = tables.read(data / "replies.parquet", tables.REPLIES)
    answered = questions.answered_examples(replies, examples)
    train = examples[examples["split"].eq("train")].reset_index(drop=True)
    held_out = examples[examples["split"].ne("train")].reset_index(drop=True)

    members, membership = memorization.membership(losses, config)
    others = questions.turns_of_others(turns, author)
    likelihoods = likelihood.evaluate(losses, config)
    tested = questions.count_tested(losses)
    memory = questions.evaluate_memorization(replies, answered, learnt, membership, config, others)
    if len(canaries):
        memory["canaries"] = memorization.exposure_by_role(canaries)
    scores = {
        "test": tested,
        **likelihoods,
        "relevance": relevance.evaluate(ranks, config),
        "style": questions.evaluate_style(replies, answered, turns, author, config),
        "memory": {"members": members, **memory},
        "outside": questions.count_out_of_scope(replies),
        "controls": controls.evaluate(turns, held_out, train, author, config),
        "legacy_random_split_leak": legacy.leak(examples, test_share),
    }
    metrics.write(scores, metrics_json)

    tables.write_csv(likelihood.sliced(losses, examples), plots_dir / "likelihood.csv")
    tables.write_csv(questions.lengths(replies, answered), plots_dir / "reply_lengths.csv")
    generated = questions.messages_of(replies, "tuned", answered["id"])
    giveaways = two_sample.giveaways(answered["reply"].tolist(), generated)
    tables.write(giveaways, data / "giveaways.parquet", tables.GIVEAWAYS)
    suspects = second_name.suspects(turns, author, config)
    tables.write(suspects, data / "second_names.parquet", tables.SECOND_NAMES)
    bits = [likelihoods[name]["own_bits_per_character"] for name in ("base", "tuned")]
    base, tuned = (f"{b['value']:.3f}" if "value" in b else "not measured" for b in bits)
    print(
        f"evaluate: {tested['replies']} test replies, bits per character of the messages' "
        f"own characters {base} (base) -> {tuned} (tuned); to share: {memory['verdict']}"
    )


if __name__ == "__main__":
    run(main)
