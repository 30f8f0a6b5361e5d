"""Measure the chats before and after: how much, how varied, whose, when, and whether it is enough.

    python -m stages.statistics data data/raw/demo/people.yaml metrics/statistics.json plots reports

A side branch: nothing depends on it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from espejo import activity, metrics, overview, people, plots, statistics, tables
from espejo.models import load_tokenizer
from espejo.stage import params, run

_BATCH = 5_000  # texts to the tokenizer at a time: what it gives for each is large


def token_counter(tokenizer: PreTrainedTokenizerBase) -> statistics.CountTokens:
    """A function that says how many tokens each text has; each text is cut into tokens once."""
    known: dict[str, int] = {}

    def count(texts: Sequence[str]) -> list[int]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            cut = tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]
            known.update(zip(batch, map(len, cut), strict=True))
        return [known[text] for text in texts]

    return count


def whole(
    cleaned: pd.DataFrame,
    filtered: pd.DataFrame,
    formatted: pd.DataFrame,
    author: str,
    count: statistics.CountTokens,
) -> dict:
    """The numbers that belong to no step: replies by split, days, shares, what the model reads."""
    train = filtered[filtered["split"].eq("train")]
    tokens = count(formatted["text"].tolist())
    splits = filtered["split"].value_counts()
    return {
        "replies": {name: int(splits.get(name, 0)) for name in ("train", "validation", "test")},
        "training_tokens": sum(count(statistics.replies(train))),
        "days": statistics.days(cleaned),
        "author_share": 100 * float(cleaned["author"].eq(author).mean()) if len(cleaned) else 0.0,
        "mean_tokens": float(np.mean(tokens)) if tokens else 0.0,
        "p95_tokens": float(np.percentile(tokens, 95)) if tokens else 0.0,
    }


def main(data: Path, names: Path, account: Path, pictures: Path, quotes: Path) -> None:
    """Tables in the folder DATA -> ACCOUNT, PICTURES without words, and QUOTES with them."""
    wanted, who = params("statistics"), people.read(names.parent)
    stop = statistics.stop_words(wanted["languages"])
    count = token_counter(load_tokenizer(params("model")))
    raw, cleaned = (
        statistics.with_words(tables.read(data / f"{name}.parquet", tables.MESSAGES))
        for name in ("messages", "clean")
    )
    turned = tables.read(data / "turns.parquet", tables.TURNS)
    initial, final = (
        tables.read(data / f"{name}.parquet", tables.EXAMPLES) for name in ("examples", "filtered")
    )
    formatted = tables.read(data / "formatted.parquet", tables.FORMATTED)

    labels = statistics.numbered(raw, who, wanted["people"])
    numbers = {
        "whole": whole(cleaned, final, formatted, who.author, count),
        "raw": statistics.of_messages(raw, labels, count),
        "clean": statistics.of_messages(cleaned, labels, count),
        "examples": statistics.of_examples(initial, count),
        "filtered": statistics.of_examples(final, count),
    }
    numbers = {"verdict": statistics.verdict(numbers["whole"]["replies"]["train"]), **numbers}
    metrics.write(numbers, account)

    mine = cleaned["author"].eq(who.author)
    time = activity.over_time(cleaned, mine)
    long = activity.lengths(cleaned, turned, who.author)
    pictures.mkdir(parents=True, exist_ok=True)
    time.to_csv(pictures / "messages_over_time.csv", index=False)
    long.to_csv(pictures / "turn_lengths.csv", index=False)
    plots.save(activity.draw_over_time(time), pictures / "messages_over_time.png")
    plots.save(activity.draw_lengths(long), pictures / "turn_lengths.png")
    hours = activity.hour_weekday(cleaned.loc[mine, "timestamp"])
    plots.save(activity.draw_hour_weekday(hours), pictures / "hour_weekday.png")

    said = {
        "the author, clean": cleaned.loc[mine, "text"],
        "the author, after the filter": statistics.replies(final),
        "the others, clean": cleaned.loc[~mine, "text"],
    }
    ranked = {
        head: {"all": statistics.counted(texts), "telling": statistics.counted(texts, stop)}
        for head, texts in said.items()
    }
    called = {label: name for name, label in labels.items() if label != "author"}
    page = overview.page(
        numbers, {"author": who.author, **called}, ranked, shown=wanted["top_words"]
    )
    overview.cloud(ranked["the author, clean"]["telling"], quotes / "wordcloud.png")
    (quotes / "statistics.md").write_text(f"{page}\n", "utf-8")
    print(
        f"statistics: {numbers['whole']['replies']['train']} training replies: {numbers['verdict']}"
    )


if __name__ == "__main__":
    run(main)
