"""The exam and the stage that sets it, on tiny models: who is asked what, and what ends well."""

import json
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import yaml

from espejo.core import metrics, tables
from espejo.dataset.turns import examples as examples_of
from espejo.evaluation import likelihood
from espejo.formatting.labels import IGNORED
from espejo.prediction import predictor
from espejo.prediction.predictor import Exam
from stages import evaluate, filter
from stages import format as form
from tests.helpers import tiny
from tests.helpers.synthetic import chats

DROPPED = "zanfonía"  # the filter drops whatever holds it
ASKED = {"bootstrap": 20, "batch_tokens": 2048, "seed": 7, "confidence": 0.95}


@dataclass
class Both:
    """Stands for a Mirror: tiny models of random weights before and after."""

    tokenizer: object
    facts: dict

    def base(self):
        return nullcontext(tiny.llama(len(self.tokenizer), seed=0))

    def tuned(self):
        return nullcontext(tiny.llama(len(self.tokenizer), seed=1))

    def both(self):
        for name in ("base", "tuned"):
            with getattr(self, name)() as model:
                yield name, model


@pytest.fixture(scope="module")
def mirror(composed):
    params = composed("model=smollm2", "format=turns")
    params["model"]["generate"]["max_new_tokens"] = 3
    specials = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", params["model"]["separator"])
    tokenizer = tiny.trained_tokenizer(
        specials, "<|im_end|>", tiny.CHATML, None, "<|im_end|>", "bytes"
    )
    return Both(tokenizer, {name: params[name] for name in ("model", "format", "train")})


@pytest.fixture(scope="module")
def turns():
    """30 sessions of four replies: 20 of train, five of validation, five of test."""
    return chats(30)


def marked(examples):
    """Every second training reply is one that the filter drops, in words that all contexts have."""
    train = np.flatnonzero(examples["split"].eq("train"))[::2]
    replies = examples["reply"].tolist()
    for at in train:
        replies[at] = [f"{DROPPED} que de la"]
    return examples.assign(reply=replies)


@pytest.fixture
def workplace(tmp_path, monkeypatch, composed, mirror, turns):
    """workplace(examples, wanted) runs the stages filter, format and evaluate; gives eval.json."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(form, "load_tokenizer", lambda model: mirror.tokenizer)
    data, numbers = tmp_path / "data", tmp_path / "metrics"
    whole, kept, written = (data / f"{n}.parquet" for n in ("examples", "filtered", "formatted"))
    people = tmp_path / "people.yaml"
    people.write_text("author: Juli\npeople:\n  Cami: train\n  Mamá: train\n", "utf-8")
    start = pd.Timestamp("2025-03-03 21:00") + pd.to_timedelta(turns["turn"], unit="min")
    tables.write(turns.assign(start=start, end=start), data / "turns.parquet", tables.TURNS)

    def run(examples, wanted=None, facts=None, learnt=kept):
        params = composed("model=smollm2", "format=turns", "clean.pseudonyms=null")
        params["filter"]["links"] = DROPPED
        params["evaluate"] |= ASKED | {"generated_replies": 8, "membership_replies": 6}
        params["evaluate"] |= {"candidates": 5, "ranked_contexts": 10}
        params["evaluate"] |= {"prompts": ["Hola"], "out_of_scope": {"world": ["¿Quién sos?"]}}
        params["evaluate"] |= wanted or {}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
        mirror_now = Both(mirror.tokenizer, mirror.facts | (facts or {}))
        monkeypatch.setattr(evaluate, "Mirror", lambda folder: mirror_now)
        tables.write(examples, whole, tables.EXAMPLES)
        filter.main(whole, kept, numbers / "filter.json")
        form.main(kept, people, written, numbers / "format.json")
        for name, unit in (("clean", "messages"), ("group", "turns")):
            metrics.write({unit: metrics.account(unit, 9, 9, {})}, numbers / f"{name}.json")
        evaluate.main(
            *(written, whole, learnt, data / "turns.parquet", people, tmp_path / "model"),
            *(data / "replies.parquet", numbers, tmp_path / "plots", tmp_path / "reports"),
        )
        return json.loads((numbers / "eval.json").read_text("utf-8"))

    return run


@pytest.fixture
def read(monkeypatch):
    """All texts that a model was given, once something has run."""
    texts, encode, reply_all = [], predictor.encode, predictor.reply_all

    def noted(tokenizer, text, *others):
        texts.append(text)
        return encode(tokenizer, text, *others)

    def asked(model, tokenizer, prompts, *others, **named):
        texts.extend(prompts)
        return reply_all(model, tokenizer, prompts, *others, **named)

    monkeypatch.setattr(predictor, "encode", noted)
    monkeypatch.setattr(predictor, "reply_all", asked)
    return texts


def test_members_and_few_shot_examples_are_of_what_was_learnt(workplace, read, turns, tmp_path):
    examples = marked(examples_of(turns, "Juli", history=4))
    workplace(examples)
    assert read
    assert not [text for text in read if DROPPED in text]
    # The control: of the table before the filter, as it once was, many would have been read.
    read.clear()
    workplace(examples, learnt=tmp_path / "data" / "examples.parquet")
    assert len([text for text in read if DROPPED in text]) > 10


def test_what_training_did_not_come_to_is_no_member_and_no_example(workplace, read, turns):
    examples = examples_of(turns, "Juli", history=4)
    train = examples[examples["split"].eq("train")]
    first, others = train.iloc[0], train.iloc[1:]
    # Texts of several replies have the id of the first: those of every session but one.
    starts = train.groupby("session")["id"].first()
    unlearnt = [each for session, each in starts.items() if session != first["session"]]
    found = workplace(examples, facts={"unlearnt": unlearnt})
    assert found["memory"]["members"] == (train["session"] == first["session"]).sum() == 4
    said = ["\n".join(read).count(reply[0]) for reply in others["reply"].iloc[3:]]
    assert not sum(said)
    assert "\n".join(read).count(first["reply"][0])


def test_each_answer_says_on_how_much_it_was_measured(workplace, turns):
    found = workplace(examples_of(turns, "Juli", history=4), {"generated_replies": 24})
    # All 20 of the test's five sessions, and of validation four, of its five the first and last.
    assert found["test"]["replies"] == 20
    style = found["style"]
    assert (style["replies"], style["from_test"]) == (24, 20)
    assert style["sessions"] == 5 + 4
    assert (found["memory"]["replies"], found["memory"]["members"]) == (24, 6)
    # Two whole blocks of five.
    assert (found["relevance"]["contexts"], found["relevance"]["candidates"]) == (10, 5)
    assert found["relevance"]["tuned"]["hits_at_1"]["n"] == 10
    assert set(found["relevance"]["gain"]) == {"mrr", "hits_at_1"}


def opened(examples):
    return examples.assign(context=[[]] * len(examples))


def same_words(examples):
    said = [["dale"] if split == "test" else r for split, r in examples[["split", "reply"]].values]
    return examples.assign(reply=said)


def one_of_test(examples):
    tested = examples["split"].eq("test")
    return examples[~tested | (tested.cumsum() == 1)].reset_index(drop=True)


def unchanged(examples):
    return examples


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (opened, {}),
        (same_words, {}),
        (one_of_test, {}),
        (unchanged, {"membership_replies": 0, "ranked_contexts": 0, "shot_chars": 0}),
        (unchanged, {"generated_replies": 0, "shots": 0}),
    ],
    ids=["no contexts", "same words", "one reply", "nothing compared", "nothing asked"],
)
def test_where_little_can_be_measured_the_rest_is(workplace, turns, change, wanted):
    found = workplace(change(examples_of(turns, "Juli", history=4)), wanted)
    assert found["tuned"]["own_bits_per_character"]["value"] > 0
    ranked = found["relevance"]["contexts"]
    assert ranked == (10 if change is opened or "shots" in wanted else 0)
    asked = wanted.get("generated_replies", 8)
    assert found["style"]["replies"] == found["memory"]["replies"] == asked
    for name in ("base", "tuned", "gain"):
        for measure in found["relevance"][name].values():
            assert ("value" in measure) == bool(ranked)
    members = found["memory"]["members"]
    assert ("value" in found["memory"]["membership"]) == bool(members)
    assert members == wanted.get("membership_replies", 6)


def table(**splits):
    """Table EXAMPLES with so many replies of each split, one a session, numbered in order."""
    rows = [(name, at) for name, count in splits.items() for at in range(count)]
    return pd.DataFrame(
        {
            "id": [f"{name}{at}" for name, at in rows],
            "session": range(len(rows)),
            "split": [name for name, _ in rows],
            "group": False,
            "context": [[{"author": "Cami", "messages": ["¿venís?"]}]] * len(rows),
            "reply": [[f"dale {'a' * at}"] for _, at in rows],
        }
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, []),
        (2, ["test0", "test4"]),
        (3, ["test0", "test2", "test4"]),
        (5, [f"test{at}" for at in range(5)]),
        (7, ["validation0", "validation3", *(f"test{at}" for at in range(5))]),
        (99, [*(f"validation{at}" for at in range(4)), *(f"test{at}" for at in range(5))]),
    ],
)
def test_contexts_of_the_test_come_first_and_evenly(number, expected):
    one = Exam(None, table(train=9, validation=4, test=5), "Juli", {"generated_replies": number})
    assert one.asked()["id"].tolist() == expected


def test_no_replies_at_all_are_a_table_too(mirror):
    rows = table(train=3, validation=2, test=2)
    wanted = ASKED | {"shots": 1, "shot_chars": 99, "reply_batch": 4, "generated_replies": 0}
    wanted |= {"prompts": ["Hola"], "out_of_scope": {"world": []}}
    one = Exam(mirror, rows, "Juli", wanted)
    replies = one.all_replies(one.asked())
    assert replies[["id", "model"]].values.tolist() == [["prompt-1", "base"], ["prompt-1", "tuned"]]


def test_members_are_spread_over_all_of_train(mirror, read):
    rows = table(train=11, test=4)
    one = Exam(mirror, rows, "Juli", ASKED | {"membership_replies": 3})
    test = one.split("test")
    sums = {name: one.sums(test, model, name) for name, model in mirror.both()}
    read.clear()
    members, measure = one.membership(test, sums)
    assert (members, measure["n"]) == (3, 3)
    # Read by both models: the first, the middle and the last.
    assert [text.count("a" * 10) for text in read] == [0, 0, 1] * 2
    assert [text.count("aaaaa") for text in read] == [0, 1, 2] * 2


def test_replies_without_a_character_of_their_own_are_left_out(mirror):
    rows = table(train=4, test=4)
    rows.loc[[1, 5], "reply"] = pd.Series({1: [""], 5: ["", ""]})
    wanted = ASKED | {"membership_replies": 9, "candidates": 3, "ranked_contexts": 9}
    one = Exam(mirror, rows, "Juli", wanted)
    test = one.split("test")
    sums = {name: one.sums(test, model, name) for name, model in mirror.both()}
    members, measure = one.membership(test, sums)
    assert (members, measure["n"]) == (3, 3)
    assert 0 <= measure["value"] <= 1
    assert one.ranks(test)["contexts"] == 3


@pytest.mark.parametrize("candidates", [0, 1])
def test_among_no_others_nothing_is_ranked(mirror, candidates):
    wanted = ASKED | {"candidates": candidates, "ranked_contexts": 9}
    one = Exam(mirror, table(test=4), "Juli", wanted)
    found = one.ranks(one.split("test"))
    assert (found["contexts"], found["candidates"]) == (0, candidates)
    assert found["tuned"]["mrr"] == {"n": 0, "interval": "too few"}


def ranks(mirror, monkeypatch, cost):
    """`Exam.ranks` where `cost(model, kind, true)` is what a labelled token costs in nats."""
    said = [
        [f"{word}{other}" for other in "abcd"[: 1 + at % 3]]
        for at, word in enumerate(("bote", "nube", "pino", "faro", "rata", "lino"))
    ]
    rows = table(test=6).assign(reply=said)
    names = iter(("base", "tuned"))

    def losses(model, asked, batch_tokens, label):
        name = next(names)
        return np.array(
            [
                [
                    sum(
                        cost(name, kind, not column)
                        for kind, label in zip(row["kinds"], row["labels"], strict=True)
                        if label != IGNORED
                    )
                    for column, row in enumerate(candidates)
                ]
                for candidates in asked
            ]
        )

    monkeypatch.setattr(likelihood, "of_candidates", losses)
    wanted = ASKED | {"candidates": 3, "ranked_contexts": 6}
    return Exam(mirror, rows, "Juli", wanted).ranks(rows)


def test_a_model_that_knows_the_marks_alone_ranks_as_one_that_does_not(mirror, monkeypatch):
    # The words cost both the same; to the base model a separator and an end are strange, and the
    # tuned one knows when the true reply parts and ends.
    def cost(name, kind, true):
        if kind == "message":
            return 1.0
        return 21.0 if name == "base" else 0.0 if true else 5.0

    got = ranks(mirror, monkeypatch, cost)
    assert got["base"] == got["tuned"]
    for measure in got["gain"].values():
        assert measure["value"] == 0


def test_a_model_that_knows_the_words_ranks_first(mirror, monkeypatch):
    got = ranks(mirror, monkeypatch, lambda name, kind, true: 1.0 + (name == "base") * (not true))
    assert got["base"]["mrr"]["value"] == 1
    assert got["tuned"]["mrr"]["value"] < 1
