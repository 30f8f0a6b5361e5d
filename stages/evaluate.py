"""Score base and tuned model on the same test replies, let both reply, and draw what came out.

    python -m stages.evaluate data/formatted.parquet data/filtered.parquet data/examples.parquet \\
        model metrics plots reports
"""

from pathlib import Path

import pandas as pd

from espejo import metrics, plots, samples, tables
from espejo.labels import encode
from espejo.models import Mirror
from espejo.prompts import Prompter, prompter
from espejo.scores import legacy, likelihood
from espejo.stage import params, run
from espejo.talk.replies import reply_all, settings


def scored(table: pd.DataFrame, mirror: Mirror, wanted: dict) -> dict[str, dict]:
    """Likelihood of the test replies and the notebooks' figure, for base and tuned."""
    rows = [encode(mirror.tokenizer, row.text, row.spans, "text") for row in table.itertuples()]
    result, sums = {}, {}
    for name, model in mirror.both():
        # One pass over whole texts serves both: the replies' tokens are among all tokens.
        whole = likelihood.token_losses(model, rows, wanted["batch_tokens"], f"scoring {name}")
        replies = likelihood.of_reply(whole, rows)
        sums[name] = likelihood.per_example(replies, rows, table["spans"])
        result[name] = likelihood.measured(sums[name], table["session"], wanted)
        result[name]["legacy_perplexity"] = legacy.perplexity(whole[: wanted["legacy_examples"]])
    result["gain"] = likelihood.gain(sums["base"], sums["tuned"], table["session"], wanted)
    return result


def replied(prompts: list[str], mirror: Mirror, write: Prompter, seed: int) -> dict[str, list]:
    """A reply to each prompt, as a list of messages, from base and tuned."""
    how = settings(mirror.tokenizer, write.end, mirror.facts["model"]["generate"])
    return {
        name: [
            write.bubbles(reply)
            for reply in reply_all(
                model, mirror.tokenizer, prompts, how, write.stops, seed, label=f"replying {name}"
            )
        ]
        for name, model in mirror.both()
    }


def main(
    formatted: Path, examples: Path, folder: Path, reports: Path, pictures: Path, quotes: Path
) -> None:
    """Tables FORMATTED, EXAMPLES, model in FOLDER -> metrics in REPORTS, PICTURES, QUOTES."""
    wanted, mirror = params("evaluate"), Mirror(folder)
    write = prompter(mirror.tokenizer, mirror.facts["model"], mirror.facts["format"])
    everything = tables.read(examples, tables.EXAMPLES)
    table = tables.read(formatted, tables.FORMATTED)
    test = table[table["split"] == "test"].reset_index(drop=True)
    scores = scored(test, mirror, wanted)

    # Every n-th test reply, so that all chats and times are in the sample.
    every = max(1, len(test) // wanted["generated_replies"])
    chosen = test[::every][: wanted["generated_replies"]]
    asked = [
        write.prompt([{"author": "", "messages": [text]}], "author") for text in wanted["prompts"]
    ]
    asked += [row.text[: row.spans[0]["start"]] for row in chosen.itertuples()]
    replies = replied(asked, mirror, write, wanted["seed"])
    fixed = len(wanted["prompts"])
    said = everything.set_index("id").loc[chosen["id"]]

    lengths = plots.lengths_table(
        {"real": said["reply"], **{k: v[fixed:] for k, v in replies.items()}}
    )
    accounts = {
        name: metrics.read(reports / f"{name}.json") for name in ("clean", "group", "filter")
    }
    funnel = plots.funnel_table(accounts)
    lengths.to_csv(pictures / "reply_lengths.csv", index=False)
    funnel.to_csv(pictures / "funnel.csv", index=False)
    plots.save(plots.lengths(lengths), pictures / "reply_lengths.png")
    plots.save(plots.funnel(funnel), pictures / "funnel.png")
    plots.save(
        plots.base_against_tuned(scores["base"], scores["tuned"]),
        pictures / "base_against_tuned.png",
    )

    tested = everything[everything["split"] == "test"]
    random_split = legacy.leak(everything, params("group")["test"], wanted["seed"])
    metrics.write(
        {
            "test": {
                "replies": len(test),
                "sessions": int(test["session"].nunique()),
                "own_characters": sum(len(text) for reply in tested["reply"] for text in reply),
            },
            **scores,
            "legacy_random_split_leak": random_split,
        },
        reports / "eval.json",
    )
    samples.write(quotes / "samples.md", wanted["prompts"], replies, said, wanted["shown_contexts"])
    base, tuned = (scores[name]["own_bits_per_character"]["value"] for name in ("base", "tuned"))
    print(
        f"evaluate: {len(test)} test replies, bits per character of the messages' own characters "
        f"{base:.3f} (base) -> {tuned:.3f} (tuned)"
    )


if __name__ == "__main__":
    run(main)
