"""Does it sound like the author, does it answer, did training earn its place, is it safe to share?

    python -m stages.evaluate data/formatted.parquet data/examples.parquet data/turns.parquet \\
        data/raw/demo/people.yaml model data/replies.parquet metrics plots reports
"""

from pathlib import Path

import pandas as pd

from espejo import exam_plots, findings, metrics, people, plots, samples, tables
from espejo.exam import Exam
from espejo.labels import encode
from espejo.models import Mirror
from espejo.scores import legacy, likelihood
from espejo.stage import params, run


def foreseen(table: pd.DataFrame, mirror: Mirror, wanted: dict) -> tuple[dict, dict]:
    """Likelihood of the test replies for base and tuned, the gain, and the sums behind them."""
    whole = wanted["legacy_examples"]
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
    turned: Path,
    names: Path,
    folder: Path,
    answers: Path,
    reports: Path,
    pictures: Path,
    quotes: Path,
) -> None:
    """Tables and the model in FOLDER -> table ANSWERS, metrics in REPORTS, PICTURES, QUOTES."""
    wanted, audit, share = params("evaluate"), params("audit"), params("group")["test"]
    who = people.read(names.parent).under(params("clean")["pseudonyms"])
    author = who.author
    everything, turns = tables.read(examples, tables.EXAMPLES), tables.read(turned, tables.TURNS)
    table = tables.read(formatted, tables.FORMATTED)
    steps = ("clean", "group", "filter")
    funnel = exam_plots.funnel_table(
        {name: metrics.read(reports / f"{name}.json") for name in steps}
    )
    mirror = Mirror(folder)  # once all that may be missing was read: it takes long
    exam = Exam(mirror, everything, author, wanted)
    scored = table[table["split"] == "test"].reset_index(drop=True)
    test, held_out = exam.split("test"), exam.split("validation", "test")
    asked = held_out[:: max(1, len(held_out) // wanted["generated_replies"])]
    asked = asked[: wanted["generated_replies"]]

    scores, sums = foreseen(scored, mirror, wanted)
    replies = exam.all_replies(asked)
    loss = mirror.facts["train"]["loss"]
    learnt = findings.taught(exam.split("train"), loss, author, who.who("context"))
    scores |= {
        "prompted": exam.prompted(test, sums["tuned"]),
        "relevance": exam.ranks(test),
        "style": findings.sound(replies, asked, turns, author, wanted),
        "memory": findings.known_by_heart(
            replies, asked, learnt, exam.membership(test, sums), wanted
        ),
        "outside": findings.outside(replies, wanted["outside"]),
    }
    if audit["canaries"]:
        scores["memory"]["canaries"] = exam.exposed(audit)
    tables.write(replies, answers, tables.REPLIES)
    said = {name: findings.answers(replies, name, asked["id"]) for name in ("base", "tuned")}
    drawn = exam_plots.lengths_table({"real": asked["reply"], **said})
    plots.save_table(drawn, pictures / "reply_lengths.csv")
    plots.save_table(funnel, pictures / "funnel.csv")
    plots.save(exam_plots.lengths(drawn), pictures / "reply_lengths.png")
    plots.save(exam_plots.funnel(funnel), pictures / "funnel.png")
    plots.save(exam_plots.base_against_tuned(scores), pictures / "base_against_tuned.png")
    plots.save(exam_plots.at_a_glance(scores), pictures / "at_a_glance.png")
    where = likelihood.sliced(sums, test, everything)
    plots.save_table(where, pictures / "foreseen.csv")
    plots.save(exam_plots.sliced(where), pictures / "foreseen.png")
    metrics.write(
        {
            "test": {
                "replies": len(test),
                "sessions": int(test["session"].nunique()),
                "own_characters": sum(len(text) for reply in test["reply"] for text in reply),
            },
            **scores,
            "legacy_random_split_leak": legacy.leak(everything, share),
        },
        reports / "eval.json",
    )
    tested = asked[asked["split"] == "test"]
    fixed = exam.fixed_prompts()
    shown = {n: findings.answers(replies, n, [*fixed, *tested["id"]]) for n in ("base", "tuned")}
    samples.write(
        quotes / "samples.md", list(fixed.values()), shown, tested, wanted["shown_contexts"]
    )
    base, tuned = (scores[name]["own_bits_per_character"]["value"] for name in ("base", "tuned"))
    print(
        f"evaluate: {len(test)} test replies, bits per character of the messages' own characters "
        f"{base:.3f} (base) -> {tuned:.3f} (tuned); to share: {scores['memory']['verdict']}"
    )


if __name__ == "__main__":
    run(main)
