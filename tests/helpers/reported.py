"""What `report` reads, made of synthetic chats with no model: the scores that need one by hand."""

import numpy as np
import pandas as pd
import yaml

from espejo.core import metrics, tables
from espejo.evaluation import questions
from tests.helpers.synthetic import chats
from tests.helpers.workshop import ROOT

PICTURES = (
    *("at_a_glance", "base_against_tuned", "foreseen", "funnel", "hour_weekday", "loss"),
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
            **{name: {"mrr": interval(at), "hits_at_1": interval(at / 2)} for name, at in ranks},
        },
        "legacy_random_split_leak": 0.74,
    }


def examples_of(turns, author):
    """Table EXAMPLES of the author's turns, each after the turn before."""
    before, rows = turns.shift(), []
    for at in turns.index[turns["author"].eq(author)]:
        context = []
        if at and before.at[at, "session"] == turns.at[at, "session"]:
            context = [{"author": before.at[at, "author"], "messages": before.at[at, "messages"]}]
        rows.append(
            {
                "id": f"example-{at}",
                **{key: turns.at[at, key] for key in ("chat", "session", "split")},
                "group": False,
                "context": context,
                "reply": turns.at[at, "messages"],
            }
        )
    return pd.DataFrame(rows)


def replies_to(examples, turns, author, wanted):
    """Table REPLIES: base writes as the others do, tuned as the author did in training."""
    drawn = np.random.default_rng(1)
    held_out = examples[examples["split"].ne("train")]
    others = turns.loc[turns["author"].ne(author), "messages"].tolist()
    own = examples.loc[examples["split"].eq("train"), "reply"].tolist()
    fixed = [
        f"{kind}-{number}"
        for kind, texts in {"prompt": wanted["prompts"], **wanted["out_of_scope"]}.items()
        for number in range(1, len(texts) + 1)
    ]
    rows = []
    for model, source, ids in (
        ("base", others, [*fixed, *held_out["id"]]),
        ("examples", others, held_out["id"]),
        ("tuned", own, [*fixed, *held_out["id"]]),
    ):
        for asked in ids:
            said = source[drawn.integers(len(source))]
            rows.append({"id": asked, "model": model, "messages": said, "finished": True})
    return pd.DataFrame(rows)


def scores_of(turns, examples, replies, author, wanted):
    """What stands in metrics/eval.json for these tables."""
    held_out = examples[examples["split"].ne("train")].reset_index(drop=True)
    train = examples[examples["split"].eq("train")].reset_index(drop=True)
    return likelihoods() | {
        "style": questions.sound(replies, held_out, turns, author, wanted),
        "memory": {
            "members": 32,
            **questions.known_by_heart(
                replies, held_out, train["reply"].tolist(), interval(0.61), wanted
            ),
        },
        "outside": questions.outside(replies, wanted["out_of_scope"]),
    }


def wanted():
    """The params section evaluate, with fewer resamples."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    return params["evaluate"] | {"bootstrap": 60}


def workplace(folder):
    """Everything that the stage reads, in `folder`; returns its arguments."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params |= {"evaluate": wanted(), "report": {"language": "es"}}
    params["clean"]["pseudonyms"] = None
    (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    turns = chats()
    examples = examples_of(turns, "Juli")
    replies = replies_to(examples, turns, "Juli", params["evaluate"])
    start = pd.Timestamp("2025-03-03 21:00") + pd.to_timedelta(turns["turn"], unit="min")
    timed = turns.assign(start=start, end=start)
    tables.write(timed, folder / "data" / "turns.parquet", tables.TURNS)
    tables.write(examples, folder / "data" / "examples.parquet", tables.EXAMPLES)
    tables.write(replies, folder / "data" / "replies.parquet", tables.REPLIES)
    scores = scores_of(turns, examples, replies, "Juli", params["evaluate"])
    accounts = {"eval": scores, "statistics": {"whole": {"replies": splits(examples)}}}
    for stage in ("parse", "clean", "group", "filter", "format"):
        accounts[stage] = {"rows": metrics.account("rows", 100, 90, {"media": 10, "calls": 0})}
    for name, numbers in accounts.items():
        metrics.write(numbers, folder / "metrics" / f"{name}.json")
    (folder / "raw").mkdir()
    (folder / "raw" / "people.yaml").write_text("author: Juli\n", "utf-8")
    (folder / "plots").mkdir()
    for name in PICTURES:
        (folder / "plots" / f"{name}.png").write_bytes(b"\x89PNG not really")
    return [folder / place for place in ("metrics", "data", "raw/people.yaml", "plots", "reports")]


def splits(examples):
    """Replies by split."""
    return {name: int(count) for name, count in examples["split"].value_counts().items()}
