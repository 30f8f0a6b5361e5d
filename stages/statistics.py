"""Measure the chats before and after: how much, how varied, whose, when, and whether it is enough.

    python -m stages.statistics data data/raw/demo/people.yaml metrics/statistics.json plots \
        reports/statistics.md

A side branch: nothing depends on it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from espejo.core import files, metrics, tables
from espejo.core.stage import params, run
from espejo.model.config import ModelConfig
from espejo.model.loading import load_tokenizer
from espejo.privacy.cleaning import CleanConfig
from espejo.privacy.people import read_people
from espejo.statistics import activity, measures
from espejo.statistics.measures import StatisticsConfig
from espejo.statistics.page import page

_BATCH = 5_000  # texts to the tokenizer at a time: what it gives for each is large
_READ = 5_000  # examples whose whole text is cut into tokens: more would only take longer


def token_counter(tokenizer: PreTrainedTokenizerBase) -> measures.CountTokens:
    """A function that says how many tokens each text has.

    It asks the tokenizer below transformers' own, which alone takes twice as long.
    """
    fast = tokenizer.backend_tokenizer
    fast.no_padding()
    fast.no_truncation()

    def count(texts: Sequence[str]) -> list[int]:
        batches = [texts[start : start + _BATCH] for start in range(0, len(texts), _BATCH)]
        cut = (fast.encode_batch_fast(batch, add_special_tokens=False) for batch in batches)
        return [len(tokens) for batch in cut for tokens in batch]

    return count


def whole(cleaned: pd.DataFrame, filtered: pd.DataFrame, author: str, cut: measures.Cutter) -> dict:
    """The numbers that belong to no step: replies by split, what is learnt from, days, shares."""
    train = filtered.loc[filtered["split"].eq("train"), "reply"]
    splits = filtered["split"].value_counts()
    return {
        "replies": {name: int(splits.get(name, 0)) for name in ("train", "validation", "test")},
        "training_tokens": sum(cut.tokens(reply) for reply in train),
        "days": measures.days(cleaned),
        "author_share": 100 * float(cleaned["author"].eq(author).mean()) if len(cleaned) else 0.0,
    }


def read_by_model(texts: pd.Series, count: measures.CountTokens) -> dict:
    """Tokens of examples in the form that the model reads, of every n-th where there are many."""
    tokens = count(texts[:: -(-len(texts) // _READ) or 1].tolist())
    if not tokens:
        return {"samples": 0}
    return {
        "samples": len(tokens),
        "mean_tokens": float(np.mean(tokens)),
        "p95_tokens": float(np.percentile(tokens, 95)),
    }


def main(
    data: Path, people_yaml: Path, metrics_json: Path, plots_dir: Path, statistics_md: Path
) -> None:
    """Tables in DATA -> numbers, tables for PLOTS_DIR without words, and a page with them."""
    config, pattern = params(StatisticsConfig), params(CleanConfig).pseudonyms
    people = read_people(people_yaml.parent)
    author = people.pseudonymized(pattern).author  # as everybody is called from clean on
    stop = measures.stop_words(config.languages)
    count = token_counter(load_tokenizer(params(ModelConfig)))
    raw = measures.with_words(tables.read(data / "messages.parquet", tables.MESSAGES))
    cleaned = measures.with_words(tables.read(data / "clean.parquet", tables.CLEAN))
    turned = tables.read(data / "turns.parquet", tables.TURNS)
    initial, final = (
        tables.read(data / f"{name}.parquet", tables.EXAMPLES) for name in ("examples", "filtered")
    )
    formatted = tables.read(data / "formatted.parquet", tables.FORMATTED)

    labels, cut = measures.numbered(raw, people, config.people), measures.Cutter(count)
    pseudonyms = people.pseudonyms(pattern) if pattern else {}
    later = {pseudonyms.get(name, name): label for name, label in labels.items()}
    steps = {
        "raw": measures.of_messages(raw, labels, cut),
        "clean": measures.of_messages(cleaned, later, cut),
        "examples": measures.of_examples(initial, cut),
        "filtered": measures.of_examples(final, cut),
        "formatted": read_by_model(formatted["text"], count),
    }
    summary = whole(cleaned, final, author, cut)
    verdict = measures.verdict(summary["replies"]["train"])
    numbers = {"verdict": verdict, "whole": summary, **steps}
    metrics.write(numbers, metrics_json)

    mine = cleaned["author"].eq(author)
    tables.write_csv(activity.over_time(cleaned, mine), plots_dir / "messages_over_time.csv")
    hours = activity.hour_weekday(cleaned.loc[mine, "timestamp"])
    tables.write_csv(hours, plots_dir / "hour_weekday.csv")
    lengths = activity.lengths(cleaned, turned, author)
    tables.write_csv(lengths, plots_dir / "turn_lengths.csv")

    texts_of = {
        "the author, clean": cleaned.loc[mine, "text"],
        "the author, after the filter": [text for reply in final["reply"] for text in reply],
        "the others, clean": cleaned.loc[~mine, "text"],
    }
    ranked = {
        head: measures.counted(measures.written(texts, pattern)) for head, texts in texts_of.items()
    }
    telling = {head: measures.telling(counts, stop) for head, counts in ranked.items()}
    called = {label: name for name, label in labels.items() if label != "author"}
    everybody = {"author": people.author, **called}
    text = page(numbers, everybody, ranked, telling, config.top_words)
    files.write(f"{text}\n", statistics_md)
    own = telling["the author, clean"]
    words = pd.DataFrame({"word": list(own), "count": list(own.values())})
    tables.write(
        words.astype({"word": "str", "count": "int64"}), data / "words.parquet", tables.WORDS
    )
    print(f"statistics: {summary['replies']['train']} training replies: {verdict}")


if __name__ == "__main__":
    run(main)
