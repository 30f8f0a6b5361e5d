"""Does it sound like the author, does it answer, did training earn its place, is it safe to share?

    python -m stages.evaluate data/formatted.parquet data/examples.parquet data/filtered.parquet \\
        data/turns.parquet data/raw/demo/people.yaml model data/replies.parquet \\
        metrics plots reports
"""

from pathlib import Path

import pandas as pd

from espejo.core import metrics, tables
from espejo.core.stage import params, run
from espejo.dataset.canaries import AuditConfig
from espejo.evaluation import legacy, likelihood, questions
from espejo.formatting.labels import encode
from espejo.model.loading import Mirror
from espejo.plots import evaluation as evaluation_plots
from espejo.plots.style import save, save_table
from espejo.prediction.predictor import Exam, learnt, own_characters
from espejo.privacy import people
from espejo.report import samples


def foreseen(table: pd.DataFrame, mirror: Mirror, wanted: dict) -> tuple[dict, dict]:
    """Likelihood of the test replies for base and tuned, the gain, and the sums behind them."""
    whole = wanted["notebook_examples"]
    rows = [
        encode(mirror.tokenizer, row.text, row.spans, "text" if at < whole else "reply")
        for at, row in enumerate(table.itertuples())
    ]
    result, sums = {}, {}
    for name, model in mirror.both():
        losses = likelihood.token_losses(model, rows, wanted["batch_tokens"], f"scoring {name}")
        # One pass over whole texts serves both: the replies' tokens are among all tokens.
        replies = likelihood.of_reply(losses[:whole], rows[:whole]) + losses[whole:]
        sums[name] = likelihood.per_example(replies, rows, table["spans"])
        result[name] = likelihood.measured(sums[name], table["session"], wanted)
        result[name]["legacy_perplexity"] = legacy.perplexity(losses[:whole])
    result["gain"] = likelihood.gain(sums["base"], sums["tuned"], table["session"], wanted)
    return result, sums


def main(
    formatted: Path,
    examples: Path,
    filtered: Path,
    turned: Path,
    names: Path,
    folder: Path,
    answers: Path,
    reports: Path,
    pictures: Path,
    quotes: Path,
) -> None:
    """Tables and the model in FOLDER -> table ANSWERS, metrics in REPORTS, PICTURES, QUOTES."""
    wanted, audit, share = params("evaluate"), params(AuditConfig), params("group")["test"]
    who = people.read(names.parent).under(params("clean")["pseudonyms"])
    author = who.author
    everything, turns = tables.read(examples, tables.EXAMPLES), tables.read(turned, tables.TURNS)
    table, kept = tables.read(formatted, tables.FORMATTED), tables.read(filtered, tables.EXAMPLES)
    steps = ("clean", "group", "filter")
    funnel = evaluation_plots.funnel_table(
        {name: metrics.read(reports / f"{name}.json") for name in steps}
    )
    mirror = Mirror(folder)  # once all that may be missing was read: it takes long
    exam = Exam(mirror, learnt(kept, table["id"], mirror.facts), author, wanted)
    scored = table[table["split"] == "test"].reset_index(drop=True)
    test, asked = exam.split("test"), exam.asked()

    scores, sums = foreseen(scored, mirror, wanted)
    replies = exam.all_replies(asked)
    members, membership = exam.membership(test, sums)
    loss = mirror.facts["train"]["loss"]
    taught = questions.taught(exam.split("train"), loss, author, who.who("context"))
    others = questions.said_by_others(turns, author)
    scores |= {
        "prompted": exam.prompted(test, sums["tuned"]),
        "relevance": exam.ranks(test),
        "style": questions.sound(replies, asked, turns, author, wanted),
        "memory": {
            "members": members,
            **questions.known_by_heart(replies, asked, taught, membership, wanted, others),
        },
        "outside": questions.outside(replies, wanted["out_of_scope"]),
    }
    if audit.canaries:
        scores["memory"]["canaries"] = exam.exposed(audit)
    tables.write(replies, answers, tables.REPLIES)
    said = {name: questions.answers(replies, name, asked["id"]) for name in ("base", "tuned")}
    drawn = evaluation_plots.lengths_table({"real": asked["reply"], **said})
    save_table(drawn, pictures / "reply_lengths.csv")
    save_table(funnel, pictures / "funnel.csv")
    save(evaluation_plots.lengths(drawn), pictures / "reply_lengths.png")
    save(evaluation_plots.funnel(funnel), pictures / "funnel.png")
    save(evaluation_plots.base_against_tuned(scores), pictures / "base_against_tuned.png")
    save(evaluation_plots.at_a_glance(scores), pictures / "at_a_glance.png")
    where = likelihood.sliced(sums, test, everything)
    save_table(where, pictures / "foreseen.csv")
    save(evaluation_plots.sliced(where), pictures / "foreseen.png")
    metrics.write(
        {
            "test": {
                "replies": len(test),
                "sessions": int(test["session"].nunique()),
                "own_characters": int(own_characters(test).sum()),
            },
            **scores,
            "legacy_random_split_leak": legacy.leak(everything, share),
        },
        reports / "eval.json",
    )
    tested = asked[asked["split"] == "test"]
    fixed = exam.fixed_prompts()
    shown = {n: questions.answers(replies, n, [*fixed, *tested["id"]]) for n in ("base", "tuned")}
    samples.write(
        quotes / "samples.md", list(fixed.values()), shown, tested, wanted["shown_contexts"]
    )
    base, tuned = (
        f"{bits['value']:.3f}" if "value" in bits else "not measured"
        for bits in (scores[name]["own_bits_per_character"] for name in ("base", "tuned"))
    )
    print(
        f"evaluate: {len(test)} test replies, bits per character of the messages' own characters "
        f"{base} (base) -> {tuned} (tuned); to share: {scores['memory']['verdict']}"
    )


if __name__ == "__main__":
    run(main)
