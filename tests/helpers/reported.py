"""The inputs of `report`, from synthetic chats without a model; scores of models are made up."""

import numpy as np
import pandas as pd
import yaml

from espejo.core import metrics, tables
from espejo.evaluation import controls, questions, second_name, two_sample
from tests.helpers.configs import EVALUATE, changed, typed
from tests.helpers.synthetic import chats
from tests.helpers.workshop import ROOT

PICTURES = (
    *("at_a_glance", "base_against_tuned", "funnel", "hour_weekday", "likelihood", "loss"),
    *("messages_over_time", "reply_lengths", "turn_lengths"),
)


def interval(value, around=0.05, n=18, **more):
    """A measure with its interval."""
    return {"value": value, "low": value - around, "high": value + around, "n": n, **more}


def few(value=None, n=3, **more):
    """A measure of too few sessions for an interval, or of none at all."""
    return {**({} if value is None else {"value": value}), "n": n, "interval": "too few", **more}


def measures(bits):
    """What likelihood gives for one model."""
    return {
        "perplexity": interval(30 * bits, 5),
        "bits_per_character": interval(bits + 0.1),
        "own_perplexity": interval(35 * bits, 5),
        "own_bits_per_character": interval(bits),
    }


def likelihoods(base=2.94, same=3.0, nearest=2.8, tuned=2.5, gain=None):
    """The parts of metrics/eval.json that come from likelihood alone."""

    def saved(bits):
        return {"own_bits_per_character": gain or interval(bits - tuned, 0.03)}

    prompted = {
        name: {**measures(bits), "gain_of_training": saved(bits)}
        for name, bits in (("same_examples", same), ("nearest_examples", nearest))
    }
    ranks = (("base", 0.33), ("tuned", 0.48), ("gain", 0.15))
    return {
        "test": {"replies": 80, "sessions": 20, "own_characters": 2400},
        "base": {**measures(base), "legacy_perplexity": 91.0},
        "tuned": {**measures(tuned), "legacy_perplexity": 40.2},
        "gain": saved(base),
        "prompted": prompted,
        "relevance": {
            "contexts": 20,
            "candidates": 10,
            "chance": {"mrr": 0.2929, "hits_at_1": 0.1},
            **{
                name: {"mrr": interval(value), "hits_at_1": interval(value / 2)}
                for name, value in ranks
            },
        },
        "legacy_random_split_leak": 0.74,
    }


def examples_of(turns, author):
    """Table EXAMPLES of the author's turns, each after the turn before."""
    before, rows = turns.shift(), []
    for index in turns.index[turns["author"].eq(author)]:
        context = []
        if index and before.at[index, "session"] == turns.at[index, "session"]:
            context = [
                {"author": before.at[index, "author"], "messages": before.at[index, "messages"]}
            ]
        rows.append(
            {
                "id": f"example-{index}",
                **{key: turns.at[index, key] for key in ("chat", "session", "split")},
                "group": False,
                "context": context,
                "reply": turns.at[index, "messages"],
            }
        )
    return pd.DataFrame(rows)


def replies_to(examples, turns, author, config):
    """Table REPLIES: base writes as the others do, tuned as the author did in training.

    `config` is the params section predict.
    """
    random = np.random.default_rng(1)
    held_out = examples.loc[examples["split"].ne("train"), "id"]
    others = turns.loc[turns["author"].ne(author), "messages"].tolist()
    own = examples.loc[examples["split"].eq("train"), "reply"].tolist()
    fixed = [
        (f"{kind}-{number}", kind, text)
        for kind, texts in {"prompt": config.prompts, **config.out_of_scope}.items()
        for number, text in enumerate(texts, 1)
    ]
    contexts = [(name, "held_out", None) for name in held_out]
    rows = []
    for model, source, questions_asked in (
        ("base", others, [*fixed, *contexts]),
        ("examples", others, contexts),
        ("tuned", own, [*fixed, *contexts]),
    ):
        for name, kind, prompt in questions_asked:
            reply = source[random.integers(len(source))]
            row = {"id": name, "kind": kind, "prompt": prompt, "model": model, "messages": reply}
            rows.append({**row, "finished": True})
    return pd.DataFrame(rows)


def scores_of(turns, examples, replies, author, config):
    """What stands in metrics/eval.json for these tables."""
    held_out = examples[examples["split"].ne("train")].reset_index(drop=True)
    train = examples[examples["split"].eq("train")].reset_index(drop=True)
    return likelihoods() | {
        "style": questions.evaluate_style(replies, held_out, turns, author, config),
        "memory": {
            "members": 32,
            **questions.evaluate_memorization(
                replies, held_out, train["reply"].tolist(), interval(0.61), config
            ),
        },
        "outside": questions.count_out_of_scope(replies),
        "controls": controls.evaluate(turns, held_out, train, author, config),
    }


def correctness(
    base=0.1, examples=0.4, tuned=0.8, right=0.8, chrf=None, over=None, width=0.04, retrieved=0.1
):
    """What correctness gives for answers to 30 questions: facts held, of 100 pieces chrF.

    `over` are the gains in facts over base and examples, where they are not the differences, and
    `chrf` are values of base, examples and tuned.
    """
    held = {"base": base, "examples": examples, "tuned": tuned, "retrieved": retrieved}
    chrfs = dict(zip(held, (*(chrf or (20.0, 30.0, 50.0)), 25.0), strict=True))
    gains = {
        f"over_{name}": {
            "chrf": interval(chrfs["tuned"] - chrfs[name], 3.0, n=30),
            "facts_held": (over or {}).get(name, interval(tuned - held[name], width, n=30)),
        }
        for name in ("base", "examples", "retrieved")
    }
    models = {
        name: {
            **{"answers": 30, "with_facts": 28, "chrf": interval(chrfs[name], 3.0, n=30)},
            **{"facts_held": interval(share, width, n=28), "facts_right": interval(right, width)},
        }
        for name, share in held.items()
    }
    return {**models, "gain": gains}


def outcomes(base=(0, 10, 0, 0), tuned=(0, 8, 2, 0), kinds=("out_of_domain", "unsafe")):
    """What became of questions outside the field: refused, answered, hallucinated, empty."""
    names = ("refused", "answered", "hallucinated", "empty")
    of_model = {
        name: {"replies": sum(counts), **dict(zip(names, counts, strict=True))}
        for name, counts in (("base", base), ("examples", (0, 0, 0, 0)), ("tuned", tuned))
    }
    return dict.fromkeys(kinds, of_model)


def of_pictures():
    """The tables for plots that other stages write, by name, with made-up numbers."""
    parts = ("position", "1", 40), ("position", "2+", 40), ("length", "1–10", 80)
    return {
        "loss": pd.DataFrame({"step": [5, 10], "train": [4.5, 3.5], "validation": [np.nan, 3.75]}),
        "likelihood": pd.DataFrame(
            [(*part, 2.94, 2.5) for part in parts],
            columns=["by", "slice", "replies", "base", "tuned"],
        ),
        "reply_lengths": pd.DataFrame(
            {"percentile": [0, 50, 100], "real": [2, 9, 40], "base": [5, 30, 90], "tuned": 8}
        ),
        "hour_weekday": pd.DataFrame(
            [(day, hour, day * hour) for day in range(7) for hour in range(24)],
            columns=["weekday", "hour", "messages"],
        ),
        "messages_over_time": pd.DataFrame(
            {"period": ["2025-03-03", "2025-03-10"], "author": [8, 5], "others": [6, 0]}
        ),
        "turn_lengths": pd.DataFrame(
            {
                "words_from": [1, 2, 6],
                **{"author_messages": [50, 30, 20], "others_messages": [10, 30, 60]},
                **{"author_turns": [40, 40, 20], "others_turns": [0, 50, 50]},
            }
        ),
    }


def workplace(folder):
    """Write everything that the stage reads into `folder`; returns its arguments."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    config = changed(EVALUATE, bootstrap=60)
    params |= {"evaluate": config.model_dump(), "report": params["report"] | {"language": "es"}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    turns = chats()
    examples = examples_of(turns, "Juli")
    replies = replies_to(examples, turns, "Juli", typed(params).predict)
    held_out = examples[examples["split"].ne("train")]
    real = held_out["reply"].tolist()
    generated = questions.messages_of(replies, "tuned", held_out["id"])
    for name, schema, table in (
        ("examples", tables.EXAMPLES, examples),
        ("replies", tables.REPLIES, replies),
        ("giveaways", tables.GIVEAWAYS, two_sample.giveaways(real, generated)),
        ("second_names", tables.SECOND_NAMES, second_name.suspects(turns, "Juli", config)),
        ("words", tables.WORDS, pd.DataFrame({"word": ["asado", "mate"], "count": [9, 4]})),
    ):
        tables.write(table, folder / "data" / f"{name}.parquet", schema)
    scores = scores_of(turns, examples, replies, "Juli", config)
    accounts = {
        "eval": scores,
        "statistics": {"whole": {"replies": splits(examples)}},
        "train": {"texts": 80, "learnt_texts": 80},
        "repeat": {},
    }
    units = {"clean": "messages", "group": "turns", "filter": "train"}
    for stage in ("parse", "clean", "group", "filter", "format"):
        unit = units.get(stage, "rows")
        accounts[stage] = {unit: metrics.account(unit, 100, 90, {"media": 10, "calls": 0})}
    for name, numbers in accounts.items():
        metrics.write(numbers, folder / "metrics" / f"{name}.json")
    for name, table in of_pictures().items():
        tables.write_csv(table, folder / "plots" / f"{name}.csv")
    return [folder / place for place in ("data", "metrics", "plots", "reports")]


def become(folder, kind):
    """Make a `workplace` one of data of another kind: what the stages would write of those."""
    data, metrics_dir, plots_dir = (folder / name for name in ("data", "metrics", "plots"))
    scores = metrics.read(metrics_dir / "eval.json")
    del scores["style"], scores["controls"], scores["outside"]["private"]
    replies = tables.read(data / "replies.parquet", tables.REPLIES)
    replies = replies[replies["kind"].ne("private")]
    if kind == "questions":
        scores |= {"correctness": correctness(), "outside": outcomes()}
        replies = replies[replies["kind"].ne("prompt")].replace(
            {"kind": {"world": "out_of_domain"}}
        )
    tables.write(replies, data / "replies.parquet", tables.REPLIES)
    metrics.write(scores | {"kind": kind}, metrics_dir / "eval.json")
    for name, schema in (("giveaways", tables.GIVEAWAYS), ("second_names", tables.SECOND_NAMES)):
        none = tables.read(data / f"{name}.parquet", schema)[:0]
        tables.write(none, data / f"{name}.parquet", schema)
    for name in ("messages_over_time", "hour_weekday"):
        tables.write_csv(of_pictures()[name][:0], plots_dir / f"{name}.csv")


def splits(examples):
    """Replies by split."""
    return {name: int(count) for name, count in examples["split"].value_counts().items()}
