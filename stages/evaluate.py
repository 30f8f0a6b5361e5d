"""Does it sound like the author, does it answer, was training worth it, is it safe to share?

    python -m stages.evaluate data metrics/eval.json plots

Numbers with intervals and the verdict on sharing, from the tables of `predict`; no model is loaded.
What is measured fits the data: style of people, right answers to questions.
"""

from pathlib import Path

from espejo.core import metrics, tables
from espejo.core.config import DataConfig, GroupConfig
from espejo.core.stage import params, run
from espejo.evaluation import (
    controls,
    correctness,
    generated,
    legacy,
    likelihood,
    membership,
    memorization,
    power,
    questions,
    relevance,
    second_name,
    two_sample,
)
from espejo.evaluation.config import EvaluateConfig
from espejo.prediction.candidates import rankable
from espejo.prediction.config import PredictConfig


def main(data: Path, metrics_json: Path, plots_dir: Path) -> None:
    """Tables in DATA -> METRICS_JSON, tables in PLOTS_DIR, and those with quotes in DATA."""
    config, test_share = params(EvaluateConfig), params(GroupConfig).test
    kind = params(DataConfig).kind
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

    members = membership.evaluate(losses, config)
    others = questions.turns_of_others(turns, author)
    likelihoods = likelihood.evaluate(losses, config)
    tested = questions.count_tested(losses)
    memory = members | questions.evaluate_memorization(
        replies, answered, learnt, members["membership"], config, others
    )
    if len(canaries):
        memory["canaries"] = memorization.exposure_by_role(canaries)
    scores = {
        "kind": kind,
        "test": tested,
        **likelihoods,
        "relevance": relevance.evaluate(ranks, config),
        "memory": memory,
        "outside": questions.count_out_of_scope(replies),
        "legacy_random_split_leak": legacy.leak(examples, test_share),
    }
    real, written, suspects = [], [], second_name.no_suspects()
    if kind == "chats":
        scores["style"] = questions.evaluate_style(replies, answered, turns, author, config)
        scores["controls"] = controls.evaluate(turns, held_out, train, author, config)
        real = answered["reply"].tolist()
        written = questions.messages_of(replies, "tuned", answered["id"])
        suspects = second_name.suspects(turns, author, config)
    elif kind == "questions":
        rows, probes = generated.to_questions(replies, answered), generated.to_probes(replies)
        scores["correctness"] = correctness.evaluate(rows, config)
        scores["outside"] = correctness.outcomes(probes, correctness.domain(train["reply"]))
    held = {name: int(examples["split"].eq(name).sum()) for name in ("test", "validation")}
    held |= {"train": len(learnt), "ranked": len(rankable(examples, params(PredictConfig))[1])}
    scores["power"] = power.needs(scores, held, config)
    metrics.write(scores, metrics_json)

    tables.write_csv(likelihood.sliced(losses, examples), plots_dir / "likelihood.csv")
    tables.write_csv(questions.lengths(replies, answered), plots_dir / "reply_lengths.csv")
    giveaways = two_sample.giveaways(real, written)
    tables.write(giveaways, data / "giveaways.parquet", tables.GIVEAWAYS)
    tables.write(suspects, data / "second_names.parquet", tables.SECOND_NAMES)
    bits = [likelihoods[name]["own_bits_per_character"] for name in ("base", "tuned")]
    base, tuned = (f"{b['value']:.3f}" if "value" in b else "not measured" for b in bits)
    print(
        f"evaluate: {tested['replies']} test replies, bits per character of the messages' "
        f"own characters {base} (base) -> {tuned} (tuned)"
    )


if __name__ == "__main__":
    run(main)
