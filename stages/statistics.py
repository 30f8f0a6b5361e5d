"""Measure the chats before and after: how much, how varied, whose, when, and whether it is enough.

    python -m stages.statistics data data/raw/demo metrics/statistics.json plots \
        reports/statistics.md

A side branch: nothing depends on it.
"""

from functools import partial
from itertools import chain, compress
from pathlib import Path

import pandas as pd

from espejo.core import files, metrics, tables
from espejo.core.config import DataConfig
from espejo.core.stage import params, run
from espejo.evaluation import apps
from espejo.evaluation.config import EvaluateConfig
from espejo.model.config import ModelConfig
from espejo.model.tokenizers import load_tokenizer
from espejo.privacy.cleaning import CleanConfig
from espejo.privacy.people import people_of
from espejo.statistics import activity, measures
from espejo.statistics.measures import StatisticsConfig
from espejo.statistics.page import PHRASES, page
from espejo.statistics.tokens import read_by_model, token_counter


def main(data: Path, raw: Path, metrics_json: Path, plots_dir: Path, statistics_md: Path) -> None:
    """Tables in DATA, people.yaml in RAW -> numbers, tables without words for plots, and a page."""
    config, data_config = params(StatisticsConfig), params(DataConfig)
    pattern, evaluate = params(CleanConfig).pseudonyms, params(EvaluateConfig)
    kind, people = data_config.kind, people_of(raw, data_config)
    author = people.pseudonymized(pattern).author  # as everybody is called from clean on
    stop = measures.stop_words(config.languages)
    count = token_counter(load_tokenizer(params(ModelConfig)))
    counter = measures.TokenCounter(count)

    # Each table as it is needed, and only what is needed of it: all at once take gigabytes.
    columns = ["author", "kind", "text"]
    exported = measures.with_words(tables.read(data / "messages.parquet", tables.MESSAGES, columns))
    labels = measures.numbered(exported, people, config.people)
    steps = {"raw": measures.of_messages(exported, labels, counter)}
    del exported
    pseudonyms = people.pseudonyms(pattern) if pattern else {}
    later = {pseudonyms.get(name, name): label for name, label in labels.items()}
    columns += ["app", "timestamp"]
    cleaned = measures.with_words(tables.read(data / "clean.parquet", tables.CLEAN, columns))
    steps["clean"] = measures.of_messages(cleaned, later, counter)
    by_app = measures.of_apps(cleaned, author, counter)
    columns = ["split", "context", "reply"]
    for step in ("examples", "filtered"):
        parts = tables.read_parts(data / f"{step}.parquet", tables.EXAMPLES, columns)
        steps[step] = measures.of_examples(parts, counter)
    formatted = tables.read(data / "formatted.parquet", tables.FORMATTED, ["text"])["text"]
    steps["formatted"] = read_by_model(formatted, count)
    del formatted

    final = partial(tables.read_parts, data / "filtered.parquet", tables.EXAMPLES)
    turns = partial(tables.read_parts, data / "turns.parquet", tables.TURNS)
    turned = pd.concat(map(activity.counted, turns()))
    turned = turned[turned["author"].ne(tables.FORWARDED)]
    summary = measures.whole(cleaned, final(["split", "reply"]), author, counter)
    pause = activity.typical_pause(turned, author)
    if pause is not None:
        summary["pause_seconds"] = pause
    verdict = measures.verdict(summary["replies"]["train"], kind)
    numbers = {"verdict": verdict, "whole": summary, **steps, "apps": by_app}
    if kind == "chats" and len(by_app) > 1:  # elsewhere no person writes
        chats = tables.read(data / "clean.parquet", tables.CLEAN, ["chat", "app"])
        app_of = chats.drop_duplicates("chat").set_index("chat")["app"].to_dict()
        own = turned.assign(messages=measures.own_messages(turns(), author, pattern))
        numbers["between_apps"] = apps.compare(own, app_of, author, evaluate)
    metrics.write(numbers, metrics_json)

    mine = cleaned["author"].eq(author)
    tables.write_csv(activity.over_time(cleaned, mine), plots_dir / "messages_over_time.csv")
    hours = activity.hour_weekday(cleaned.loc[mine, "timestamp"])
    tables.write_csv(hours, plots_dir / "hour_weekday.csv")
    lengths = activity.lengths(cleaned, turned, author)
    tables.write_csv(lengths, plots_dir / "turn_lengths.csv")

    learnt, others = PHRASES[kind].learnt, PHRASES[kind].others
    texts_of = {
        f"{learnt}, clean": compress(cleaned["text"], mine),
        f"{learnt}, after the filter": chain.from_iterable(
            chain(*part["reply"]) for part in final(["reply"])
        ),
        f"{others}, clean": compress(cleaned["text"], ~mine),
    }
    ranked = {
        head: measures.counted(measures.written(texts, pattern)) for head, texts in texts_of.items()
    }
    telling = {head: measures.telling(words_of, stop) for head, words_of in ranked.items()}
    called = {label: name for name, label in labels.items() if label != "author"}
    everybody = {"author": people.author, **called}
    text = page(numbers, everybody, ranked, telling, config.top_words, kind)
    files.write(f"{text}\n", statistics_md)
    counts = telling[f"{learnt}, clean"]
    words = pd.DataFrame({"word": list(counts), "count": list(counts.values())})
    tables.write(
        words.astype({"word": "str", "count": "int64"}), data / "words.parquet", tables.WORDS
    )
    print(f"statistics: {summary['replies']['train']} training replies: {verdict}")


if __name__ == "__main__":
    run(main)
