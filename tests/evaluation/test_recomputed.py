"""The evaluation's numbers, recomputed from its tables by independent code. On the demo's tables,
with bots in the place of models: one copies, one is another person, one shuffles the author's
words. And, where `make repro` ran here, on the tables behind metrics/eval.json.
"""

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from espejo.core import tables
from espejo.evaluation import legacy, questions
from espejo.evaluation.config import EvaluateConfig
from espejo.prediction.candidates import candidates
from stages import clean, filter, group, parse
from tests.helpers import recomputed
from tests.helpers.configs import changed
from tests.helpers.workshop import ROOT

PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
CONFIG = EvaluateConfig.model_validate(PARAMS["evaluate"])


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The tables TURNS, EXAMPLES and the filtered EXAMPLES, as the stages write them."""
    folder, raw = tmp_path_factory.mktemp("demo"), ROOT / "data" / "raw" / "demo"
    account = folder / "account.json"
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(ROOT)
        parse.main(raw, folder / "messages", folder / "probes", account)
        people = folder / "people"
        clean.main(
            folder / "messages", raw, folder / "clean", people, account, folder / "personal.md"
        )
        group.main(folder / "clean", people, folder / "turns", folder / "examples", account)
        filter.main(folder / "examples", folder / "filtered", account)
    return {
        "turns": tables.read(folder / "turns", tables.TURNS),
        "examples": tables.read(folder / "examples", tables.EXAMPLES),
        "filtered": tables.read(folder / "filtered", tables.EXAMPLES),
    }


@pytest.fixture(scope="module")
def rows(demo):
    """The test examples."""
    examples = demo["examples"]
    return examples[examples["split"].eq("test")].reset_index(drop=True)


@pytest.fixture(scope="module")
def learnt(demo):
    return demo["filtered"][demo["filtered"]["split"].eq("train")].reset_index(drop=True)


@pytest.fixture(scope="module")
def replies(demo, rows, learnt):
    """Table REPLIES: tuned copies each second reply, base is a friend, examples shuffles words."""
    chance = random.Random(3)
    friend = demo["turns"][demo["turns"]["author"].eq("Cami")]["messages"].tolist()
    mixed = [
        [" ".join(chance.sample(text.split(), len(text.split()))) for text in reply]
        for reply in rows["reply"]
    ]
    copies = chance.choices(learnt["reply"].tolist(), k=len(rows))
    half = [
        copy if index % 2 else reply
        for index, (copy, reply) in enumerate(zip(copies, mixed, strict=True))
    ]
    written = {"base": friend[: len(rows)], "examples": mixed, "tuned": half}
    return pd.concat(
        [
            pd.DataFrame(
                {"id": rows["id"], "model": name, "messages": written[name], "finished": True}
            ).assign(kind="held_out", prompt=None)
            for name in written
        ],
        ignore_index=True,
    )


@pytest.fixture(scope="module")
def sound(replies, rows, demo):
    config = changed(CONFIG, bootstrap=200)
    return questions.evaluate_style(replies, rows, demo["turns"], "Juli", config)


def test_author_scores(sound, replies, rows, demo):
    sources = {name: questions.messages_of(replies, name, rows["id"]) for name in ("base", "tuned")}
    again = recomputed.author_scores(demo["turns"], "Juli", sources, CONFIG.seed)
    assert set(again) == {"floor", "ceiling", "base", "tuned"}
    assert min(again["ceiling"][0], again["tuned"][0]) > again["base"][0] + 0.3
    for name, (value, bundles) in again.items():
        score = sound["author_score"][name]
        assert score["value"] == pytest.approx(value, abs=2e-4), name
        assert score["bundles"] == bundles


@pytest.mark.parametrize("name", ["base", "tuned"])
def test_told_apart(sound, replies, rows, name):
    generated = questions.messages_of(replies, name, rows["id"])
    again = recomputed.told_apart(
        rows["reply"].tolist(), generated, rows["session"].tolist(), CONFIG.seed
    )
    assert 0.3 < again < 1
    assert sound["told_apart"][name]["value"] == pytest.approx(again, abs=2e-3)


@pytest.mark.parametrize(
    ("habit", "distance"),
    [("emoji", recomputed.emoji_distance), ("words_per_message", recomputed.words_distance)],
)
def test_habits(sound, replies, rows, habit, distance):
    for name in ("base", "tuned"):
        generated = questions.messages_of(replies, name, rows["id"])
        again = distance(rows["reply"].tolist(), generated)
        assert again > 0
        assert sound["habits"][name][habit]["distance"] == pytest.approx(again)


def test_shares_of_copies(replies, rows, learnt):
    overlap = memory_of(replies, rows, learnt)["overlap"]
    contexts = [
        " ".join(text for turn in context for text in turn["messages"])
        for context in rows["context"]
    ]
    for writer, generated in (
        ("author", rows["reply"].tolist()),
        ("tuned", questions.messages_of(replies, "tuned", rows["id"])),
    ):
        share, long = recomputed.copied(generated, contexts, learnt["reply"])
        assert overlap[writer]["long"] == long > 10
        assert overlap[writer]["copied"]["value"] == pytest.approx(share)
    assert overlap["tuned"]["copied"]["value"] > 0.3


def memory_of(replies, rows, learnt):
    member = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 20}
    return questions.evaluate_memorization(replies, rows, learnt["reply"].tolist(), member, CONFIG)


def test_the_leak_of_a_random_split(demo):
    again = recomputed.random_split_leak(demo["examples"], 0.1)
    assert 0.5 < again < 0.9
    assert legacy.leak(demo["examples"], 0.1) == pytest.approx(again)


def test_the_chance_of_the_ranking(rows):
    number = PARAMS["predict"]["candidates"]
    places = candidates(
        rows["reply"].tolist(), rows["session"].tolist(), number, PARAMS["predict"]["seed"]
    )
    # A model that scores each reply alike in every context gives every rank once.
    opinion = np.random.default_rng(5).normal(size=len(rows))
    ranks = [1 + sum(opinion[place] > opinion[row[0]] for place in row[1:]) for row in places]
    mrr, first = recomputed.chance_of_ranking(number)
    assert np.mean([1 / rank for rank in ranks]) == pytest.approx(mrr)
    assert np.mean([rank == 1 for rank in ranks]) == pytest.approx(first)


# The run of this folder


def of_run(name, schema):
    path = ROOT / "data" / f"{name}.parquet"
    if not path.is_file():
        pytest.skip("`make repro` did not run here")
    return tables.read(path, schema)


@pytest.fixture(scope="module")
def printed():
    if PARAMS["data"]["raw"] != "data/raw/demo":
        pytest.skip("the last run here was on other chats")
    return json.loads((ROOT / "metrics" / "eval.json").read_text("utf-8"))


def test_metrics_in_git_are_what_the_tables_of_this_run_say(printed):
    turns, examples = of_run("turns", tables.TURNS), of_run("examples", tables.EXAMPLES)
    generated = of_run("replies", tables.REPLIES)
    tested = examples[examples["id"].isin(generated["id"])].reset_index(drop=True)
    assert set(generated.loc[generated["kind"].eq("held_out"), "id"]) == set(tested["id"])
    written = {
        n: questions.messages_of(generated, n, tested["id"]) for n in ("base", "examples", "tuned")
    }
    style = printed["style"]
    assert style["replies"] == len(tested)
    assert style["from_test"] == tested["split"].eq("test").sum()
    again = recomputed.author_scores(turns, "Juli", written, CONFIG.seed)
    for name, (value, _) in again.items():
        assert style["author_score"][name]["value"] == pytest.approx(value, abs=5e-4), name
    for name, replies in written.items():
        value = recomputed.told_apart(
            tested["reply"].tolist(), replies, tested["session"].tolist(), CONFIG.seed
        )
        assert style["told_apart"][name]["value"] == pytest.approx(value, abs=3e-3), name
    real = tested["reply"].tolist()
    for name in ("base", "tuned"):
        habits = style["habits"][name]
        assert habits["words_per_message"]["distance"] == pytest.approx(
            recomputed.words_distance(real, written[name]), abs=1e-6
        )
        assert habits["emoji"]["distance"] == pytest.approx(
            recomputed.emoji_distance(real, written[name]), abs=1e-6
        )
    test = examples[examples["split"].eq("test")]
    assert printed["test"] == {
        "replies": len(test),
        "sessions": test["session"].nunique(),
        "own_characters": test["reply"].map(lambda texts: sum(map(len, texts))).sum(),
    }
    assert printed["legacy_random_split_leak"] == pytest.approx(
        recomputed.random_split_leak(examples, PARAMS["group"]["test"]), abs=1e-6
    )
    contexts = [
        " ".join(text for turn in context for text in turn["messages"])
        for context in tested["context"]
    ]
    learnt = of_run("learnt", tables.LEARNT)["messages"]
    for writer, replies in (("author", real), ("tuned", written["tuned"])):
        share, long = recomputed.copied(replies, contexts, learnt)
        copied = printed["memory"]["overlap"][writer]
        assert copied["long"] == long
        if "value" in copied["copied"]:
            assert copied["copied"]["value"] == pytest.approx(share, abs=1e-6)


def test_metrics_in_git_are_what_the_losses_of_this_run_come_to(printed):
    losses = of_run("losses", tables.LOSSES)
    scored = {"base": printed["base"], **printed["prompted"], "tuned": printed["tuned"]}
    tests = {name: losses[losses["split"].eq("test") & losses["model"].eq(name)] for name in scored}
    bits = {
        name: recomputed.bits(rows["own_nats"], rows["own_chars"]) for name, rows in tests.items()
    }
    for name, rows in tests.items():
        score = scored[name]
        assert score["own_bits_per_character"]["value"] == pytest.approx(bits[name], abs=1e-6), name
        assert score["bits_per_character"]["value"] == pytest.approx(
            recomputed.bits(rows["nats"], rows["chars"]), abs=1e-6
        )
        perplexity = 2 ** recomputed.bits(rows["nats"], rows["tokens"])
        assert score["perplexity"]["value"] == pytest.approx(perplexity, rel=1e-6)
        if name in printed["prompted"]:
            gain = score["gain_of_training"]["own_bits_per_character"]["value"]
            assert gain == pytest.approx(bits[name] - bits["tuned"], abs=1e-5)
    gain = printed["gain"]["own_bits_per_character"]["value"]
    assert gain == pytest.approx(bits["base"] - bits["tuned"], abs=1e-5)
    for name in ("base", "tuned"):
        means = tests[name]["text_nats_per_token"].dropna()
        assert len(means) == min(PARAMS["predict"]["notebook_examples"], len(tests[name]))
        assert printed[name]["legacy_perplexity"] == pytest.approx(np.exp(means.mean()), rel=1e-6)
    members, area = recomputed.membership(losses)
    assert printed["memory"]["members"] == members
    assert printed["memory"]["membership"]["value"] == pytest.approx(area, abs=1e-6)


def test_metrics_in_git_are_what_the_ranks_of_this_run_come_to(printed):
    ranks = of_run("ranks", tables.RANKS)
    for name in ("base", "tuned"):
        places = recomputed.places(ranks[ranks["model"].eq(name)])
        assert printed["relevance"]["contexts"] == len(places)
        measures = printed["relevance"][name]
        assert measures["mrr"]["value"] == pytest.approx(np.mean(1 / places), abs=1e-6)
        assert measures["hits_at_1"]["value"] == pytest.approx(np.mean(places == 1), abs=1e-6)
    chance = recomputed.chance_of_ranking(printed["relevance"]["candidates"])
    assert printed["relevance"]["chance"]["mrr"] == pytest.approx(chance[0], abs=1e-6)


@pytest.mark.slow
def test_bits_in_git_are_those_of_the_model_of_this_run(printed):
    from espejo.model.pair import ModelPair

    formatted = of_run("formatted", tables.FORMATTED)
    if not Path(ROOT / "model" / "espejo.json").is_file():
        pytest.skip("`make repro` did not run here")
    pair, test = ModelPair(ROOT / "model"), formatted[formatted["split"].eq("test")]
    for name, model in pair.both():
        sums = [recomputed.own_nats(model, pair.tokenizer, row) for row in test.itertuples()]
        nats, characters = (sum(part) for part in zip(*sums, strict=True))
        value = printed[name]["own_bits_per_character"]["value"]
        assert value == pytest.approx(nats / characters / np.log(2), abs=0.01), name
