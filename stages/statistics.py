"""Measure the chats before and after: how much, how varied, whose, when, and whether it is enough.

    python -m stages.statistics data data/raw/demo/people.yaml metrics/statistics.json plots \
        reports/statistics.md

A side branch: nothing depends on it.
"""

from pathlib import Path

import pandas as pd

from espejo.core import files, metrics, tables
from espejo.core.stage import params, run
from espejo.model.config import ModelConfig
from espejo.model.loading import load_tokenizer
from espejo.privacy.cleaning import CleanConfig
from espejo.privacy.people import read_people
from espejo.statistics import activity, measures
from espejo.statistics.measures import StatisticsConfig
from espejo.statistics.page import page
from espejo.statistics.tokens import read_by_model, token_counter


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
    summary = measures.whole(cleaned, final, author, cut)
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
