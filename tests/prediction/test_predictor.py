"""The predictor and its stage on tiny models: what each model is given, and too little data."""

import json
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import yaml

from espejo.core import tables
from espejo.dataset.turns import examples as examples_of
from espejo.evaluation import membership, relevance
from espejo.formatting.labels import IGNORED
from espejo.model.config import GenerateConfig
from espejo.prediction import losses as scoring
from espejo.prediction import predictor
from espejo.prediction.predictor import Predictor, learnt_texts
from stages import evaluate, filter
from stages import format as form
from stages import predict as stage
from tests.helpers import tiny
from tests.helpers.configs import EVALUATE, PREDICT, changed
from tests.helpers.synthetic import chats, people

DROPPED = "zanfonía"  # the filter drops whatever holds it
EVALUATE_FAST = changed(EVALUATE, bootstrap=20)
GENERATE = GenerateConfig(
    temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.0, max_new_tokens=3
)


@dataclass
class Both:
    """Stands for a ModelPair: tiny models of random weights before and after."""

    tokenizer: object
    manifest: dict

    def base(self):
        return nullcontext(tiny.llama(len(self.tokenizer), seed=0))

    def tuned(self):
        return nullcontext(tiny.llama(len(self.tokenizer), seed=1))

    def both(self):
        for name in ("base", "tuned"):
            with getattr(self, name)() as model:
                yield name, model


@pytest.fixture(scope="module")
def pair(composed):
    params = composed("model=smollm2", "format=turns")
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
    for index in train:
        replies[index] = [f"{DROPPED} que de la"]
    return examples.assign(reply=replies)


@pytest.fixture
def workplace(tmp_path, monkeypatch, composed, pair, turns):
    """workplace(examples, config) runs filter, format, predict and evaluate; gives eval.json."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(form, "load_tokenizer", lambda model: pair.tokenizer)
    data, numbers = tmp_path / "data", tmp_path / "metrics"
    whole, kept, written = (data / f"{n}.parquet" for n in ("examples", "filtered", "formatted"))
    listed, probes = data / "people.parquet", data / "probes.parquet"
    tables.write(pd.DataFrame(columns=["kind", "prompt"]), probes, tables.PROBES)
    tables.write(people(Cami="train", Mamá="context"), listed, tables.PEOPLE)
    start = pd.Timestamp("2025-03-03 21:00") + pd.to_timedelta(turns["turn"], unit="min")
    tables.write(turns.assign(start=start, end=start), data / "turns.parquet", tables.TURNS)

    def run(examples, config=None, manifest=None, learnt=kept):
        params = composed("model=smollm2", "format=turns", "clean.pseudonyms=null")
        params["filter"]["links"] = DROPPED
        params["generate"]["max_new_tokens"] = 3
        params["evaluate"]["bootstrap"] = 20
        params["predict"] |= {"batch_tokens": 2048, "generated_replies": 8}
        params["predict"] |= {"candidates": 5, "ranked_contexts": 10, "membership_replies": 6}
        params["predict"] |= {"prompts": ["Hola"], "out_of_scope": {"world": ["¿Quién sos?"]}}
        params["predict"] |= config or {}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
        now = Both(pair.tokenizer, pair.manifest | (manifest or {}))
        monkeypatch.setattr(stage, "ModelPair", lambda folder: now)
        tables.write(examples, whole, tables.EXAMPLES)
        filter.main(whole, kept, numbers / "filter.json")
        form.main(kept, listed, written, numbers / "format.json")
        names = ("learnt", "losses", "ranks", "canaries", "replies")
        outs = (data / f"{name}.parquet" for name in names)
        stage.main(written, learnt, listed, probes, tmp_path / "model", *outs)
        evaluate.main(data, numbers / "eval.json", tmp_path / "plots")
        return json.loads((numbers / "eval.json").read_text("utf-8"))

    return run


@pytest.fixture
def read(monkeypatch):
    """All texts that were given to a model; filled while the test runs."""
    texts, encode, reply_all = [], predictor.encode, predictor.reply_all

    def noted(tokenizer, text, *others):
        texts.append(text)
        return encode(tokenizer, text, *others)

    def reply_noted(model, tokenizer, prompts, *others, **named):
        texts.extend(prompts)
        return reply_all(model, tokenizer, prompts, *others, **named)

    monkeypatch.setattr(predictor, "encode", noted)
    monkeypatch.setattr(predictor, "reply_all", reply_noted)
    return texts


def test_members_and_few_shot_examples_are_of_what_was_learnt(workplace, read, turns, tmp_path):
    examples = marked(examples_of(turns, "Juli", history=4))
    workplace(examples)
    assert read
    assert not [text for text in read if DROPPED in text]
    # The control: with the table before the filter, many of these would have been read.
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
    metrics = workplace(examples, manifest={"unlearnt": unlearnt})
    assert metrics["memory"]["members"] == (train["session"] == first["session"]).sum() == 4
    counts = ["\n".join(read).count(reply[0]) for reply in others["reply"].iloc[3:]]
    assert not sum(counts)
    assert "\n".join(read).count(first["reply"][0])


def test_each_answer_says_on_how_much_it_was_measured(workplace, turns):
    metrics = workplace(examples_of(turns, "Juli", history=4), {"generated_replies": 24})
    # All 20 of the test's five sessions, and of validation four, of its five the first and last.
    assert metrics["test"]["replies"] == 20
    style = metrics["style"]
    assert (style["replies"], style["from_test"]) == (24, 20)
    assert style["sessions"] == 5 + 4
    assert (metrics["memory"]["replies"], metrics["memory"]["members"]) == (24, 6)
    # Two whole blocks of five.
    assert (metrics["relevance"]["contexts"], metrics["relevance"]["candidates"]) == (10, 5)
    assert metrics["relevance"]["tuned"]["hits_at_1"]["n"] == 10
    assert set(metrics["relevance"]["gain"]) == {"mrr", "hits_at_1"}


def opened(examples):
    return examples.assign(context=[[]] * len(examples))


def same_words(examples):
    replies = [
        ["dale"] if split == "test" else r for split, r in examples[["split", "reply"]].values
    ]
    return examples.assign(reply=replies)


def one_of_test(examples):
    tested = examples["split"].eq("test")
    return examples[~tested | (tested.cumsum() == 1)].reset_index(drop=True)


def unchanged(examples):
    return examples


@pytest.mark.parametrize(
    ("change", "config"),
    [
        (opened, {}),
        (same_words, {}),
        (one_of_test, {}),
        (unchanged, {"membership_replies": 0, "ranked_contexts": 0, "shot_chars": 0}),
        (unchanged, {"generated_replies": 0, "shots": 0}),
    ],
    ids=["no contexts", "same words", "one reply", "nothing compared", "nothing asked"],
)
def test_where_little_can_be_measured_the_rest_is(workplace, turns, change, config):
    metrics = workplace(change(examples_of(turns, "Juli", history=4)), config)
    assert metrics["tuned"]["own_bits_per_character"]["value"] > 0
    ranked = metrics["relevance"]["contexts"]
    assert ranked == (10 if change is opened or "shots" in config else 0)
    expected = config.get("generated_replies", 8)
    assert metrics["style"]["replies"] == metrics["memory"]["replies"] == expected
    for name in ("base", "tuned", "gain"):
        for measure in metrics["relevance"][name].values():
            assert ("value" in measure) == bool(ranked)
    members = metrics["memory"]["members"]
    assert ("value" in metrics["memory"]["membership"]) == bool(members)
    assert members == config.get("membership_replies", 6)


def table(**splits):
    """Table EXAMPLES with so many replies of each split, one a session, numbered in order."""
    rows = [(name, index) for name, count in splits.items() for index in range(count)]
    return pd.DataFrame(
        {
            "id": [f"{name}{index}" for name, index in rows],
            "session": range(len(rows)),
            "split": [name for name, _ in rows],
            "group": False,
            "context": [[{"author": "Cami", "messages": ["¿venís?"]}]] * len(rows),
            "reply": [[f"dale {'a' * index}"] for _, index in rows],
        }
    )


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, []),
        (2, ["test0", "test4"]),
        (3, ["test0", "test2", "test4"]),
        (5, [f"test{i}" for i in range(5)]),
        (7, ["validation0", "validation3", *(f"test{i}" for i in range(5))]),
        (99, [*(f"validation{i}" for i in range(4)), *(f"test{i}" for i in range(5))]),
        (None, [*(f"validation{i}" for i in range(4)), *(f"test{i}" for i in range(5))]),
    ],
)
def test_contexts_of_the_test_come_first_and_evenly(number, expected):
    rows = table(train=9, validation=4, test=5)
    config = changed(PREDICT, generated_replies=number)
    predictor = Predictor(None, rows, "Juli", config, GENERATE)
    assert predictor.answered_examples()["id"].tolist() == expected


def test_no_replies_at_all_are_a_table_too(pair, tmp_path):
    rows = table(train=3, validation=2, test=2)
    prompts = {"world": [], "private": ["¿DNI?"]}
    config = changed(PREDICT, generated_replies=0, out_of_scope=prompts)
    replies = Predictor(pair, rows, "Juli", config, GENERATE).replies()
    assert replies[["id", "kind", "prompt", "model"]].values.tolist() == [
        [f"{kind}-1", kind, text, model]
        for model in ("base", "tuned")
        for kind, text in (("prompt", "Hola"), ("private", "¿DNI?"))
    ]
    tables.write(replies, tmp_path / "replies.parquet", tables.REPLIES)


def test_replies_of_each_model_stand_beside_what_was_asked(pair, tmp_path):
    rows = table(train=3, validation=2, test=2)
    config = changed(PREDICT, generated_replies=2)
    replies = Predictor(pair, rows, "Juli", config, GENERATE).replies()
    contexts = [["test0", "held_out", "-"], ["test1", "held_out", "-"]]
    expected_rows = [["prompt-1", "prompt", "Hola"], *contexts]
    for model, expected in (
        ("base", expected_rows),
        ("examples", contexts),
        ("tuned", expected_rows),
    ):
        of_model = replies[replies["model"].eq(model)].fillna({"prompt": "-"})
        assert of_model[["id", "kind", "prompt"]].values.tolist() == expected
    tables.write(replies, tmp_path / "replies.parquet", tables.REPLIES)
    # If no example fits the prompt, the model with examples has no replies: they would be the
    # base's.
    alone = Predictor(pair, rows, "Juli", changed(config, shot_chars=0), GENERATE).replies()
    assert set(alone["model"]) == {"base", "tuned"}


def texts_of(rows, pair):
    """Table FORMATTED of the test examples in `rows`."""
    predictor = Predictor(pair, rows, "Juli", PREDICT, GENERATE)
    test = predictor.split("test")
    written = [
        predictor.prompter.example(row.context, row.reply, "Juli", row.group)
        for row in test.itertuples()
    ]
    texts = test[["id", "session", "split"]]
    return texts.assign(text=[text for text, _ in written], spans=[spans for _, spans in written])


LOSSES = changed(PREDICT, membership_replies=3)


def test_members_are_spread_over_all_of_train(pair, read, tmp_path):
    rows = table(train=11, test=4)
    predictor = Predictor(pair, rows, "Juli", changed(LOSSES, shot_chars=0), GENERATE)
    losses = predictor.losses(texts_of(rows, pair))
    tables.write(losses, tmp_path / "losses.parquet", tables.LOSSES)
    members = losses[losses["split"].eq("train")]
    # Scored by both models: the first, the middle and the last.
    assert members[["id", "model"]].values.tolist() == [
        [f"train{index}", model] for model in ("base", "tuned") for index in (0, 5, 10)
    ]
    behind = read[4:]  # the texts of the test come first
    assert [text.count("a" * 10) for text in behind] == [0, 0, 1] * 2
    assert [text.count("aaaaa") for text in behind] == [0, 1, 2] * 2
    measured = membership.evaluate(losses, EVALUATE_FAST)
    assert (measured["members"], measured["membership"]["n"]) == (3, 3)


def test_test_replies_are_scored_by_every_model_and_of_the_first_the_whole_text(pair):
    rows = table(train=3, test=3)
    predictor = Predictor(pair, rows, "Juli", LOSSES, GENERATE)
    losses = predictor.losses(texts_of(rows, pair))
    test = losses[losses["split"].eq("test")]
    assert test[["model", "id"]].values.tolist() == [
        [model, f"test{index}"]
        for model in ("base", "tuned", "same_examples", "nearest_examples")
        for index in range(3)
    ]
    # "dale ", "dale a", "dale aa" and an end, whatever stands before them.
    assert test["own_chars"].tolist() == [5, 6, 7] * 4
    assert test["chars"].tolist() == [6, 7, 8] * 4
    whole = test[test["text_nats_per_token"].notna()]
    assert whole[["model", "id"]].values.tolist() == [["base", "test0"], ["tuned", "test0"]]
    # The reply's tokens are scored the same, alone or among all tokens of the text.
    all_whole = Predictor(pair, rows, "Juli", changed(LOSSES, notebook_examples=9), GENERATE)
    again = all_whole.losses(texts_of(rows, pair))
    assert again["text_nats_per_token"].notna().sum() == 2 * 3
    assert again["nats"].tolist() == pytest.approx(losses["nats"].tolist(), rel=1e-3)


def test_where_no_example_fits_the_prompt_none_is_scored(pair):
    rows = table(train=3, test=2)
    predictor = Predictor(pair, rows, "Juli", changed(LOSSES, shot_chars=0), GENERATE)
    assert set(predictor.losses(texts_of(rows, pair))["model"]) == {"base", "tuned"}


def test_replies_without_a_character_of_their_own_are_left_out(pair):
    rows = table(train=4, test=4)
    rows.loc[[1, 5], "reply"] = pd.Series({1: [""], 5: ["", ""]})
    config = changed(LOSSES, membership_replies=9)
    predictor = Predictor(pair, rows, "Juli", config, GENERATE)
    measured = membership.evaluate(predictor.losses(texts_of(rows, pair)), EVALUATE_FAST)
    assert (measured["members"], measured["membership"]["n"]) == (3, 3)
    assert 0 <= measured["membership"]["value"] <= 1
    ranks = predictor.ranks()
    assert ranks["own_chars"].gt(0).all()
    assert set(ranks["candidate"]) == {"test0", "test2", "test3"}
    assert relevance.evaluate(ranks, EVALUATE_FAST)["contexts"] == 3


@pytest.mark.parametrize("candidates", [0, 1])
def test_among_no_others_nothing_is_ranked(pair, candidates, tmp_path):
    config = changed(PREDICT, candidates=candidates)
    ranks = Predictor(pair, table(test=4), "Juli", config, GENERATE).ranks()
    tables.write(ranks, tmp_path / "ranks.parquet", tables.RANKS)
    ranks = tables.read(tmp_path / "ranks.parquet", tables.RANKS)
    metrics = relevance.evaluate(ranks, EVALUATE_FAST)
    assert metrics["contexts"] == 0
    assert metrics["tuned"]["mrr"] == {"n": 0, "interval": "too few"}


def test_whole_blocks_are_ranked_with_the_true_reply_first(pair, tmp_path):
    rows = table(test=6).assign(session=[10, 11, 12, 13, 14, 15])
    config = changed(PREDICT, ranked_contexts=2)  # one block of three holds two
    ranks = Predictor(pair, rows, "Juli", config, GENERATE).ranks()
    tables.write(ranks, tmp_path / "ranks.parquet", tables.RANKS)
    assert ranks["model"].tolist() == ["base"] * 9 + ["tuned"] * 9
    for _, each in ranks.groupby("model"):
        assert each["context"].tolist() == [name for name in each["context"][::3] for _ in range(3)]
        assert each["candidate"].tolist()[::3] == each["context"].tolist()[::3]
        members = set(each["context"])
        assert len(members) == 3
        assert all(set(block["candidate"]) == members for _, block in each.groupby("context"))
        assert (each["session"] == 10 + each["context"].str[-1].astype(int)).all()
        assert (each["own_chars"] == 5 + each["candidate"].str[-1].astype(int)).all()
        assert each["own_nats"].gt(0).all()


def test_null_ranks_all_contexts_and_scores_all_that_was_learnt(pair):
    rows = table(train=5, test=6).assign(session=range(11))
    config = changed(PREDICT, ranked_contexts=None, membership_replies=None)
    predictor = Predictor(pair, rows, "Juli", config, GENERATE)
    assert predictor.ranks()["context"].nunique() == 6
    learnt = predictor.losses(texts_of(rows, pair))
    assert learnt[learnt["split"].eq("train")]["id"].nunique() == 5


def ranks(pair, monkeypatch, cost):
    """What `Predictor.ranks` comes to where a labelled token costs `cost(model, kind, true)`."""
    replies = [
        [f"{word}{other}" for other in "abcd"[: 1 + index % 3]]
        for index, word in enumerate(("bote", "nube", "pino", "faro", "rata", "lino"))
    ]
    rows = table(test=6).assign(reply=replies)
    names = iter(("base", "tuned"))

    def losses(model, prompts, batch_tokens, label):
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
                for candidates in prompts
            ]
        )

    monkeypatch.setattr(scoring, "of_candidates", losses)
    config = changed(PREDICT, ranked_contexts=6)
    ranked = Predictor(pair, rows, "Juli", config, GENERATE).ranks()
    return relevance.evaluate(ranked, EVALUATE_FAST)


def test_a_model_that_knows_the_marks_alone_ranks_as_one_that_does_not(pair, monkeypatch):
    # The words cost both models the same; separators and ends are costly for the base model, and
    # cheap for the tuned one in the true reply.
    def cost(name, kind, true):
        if kind == "message":
            return 1.0
        return 21.0 if name == "base" else 0.0 if true else 5.0

    got = ranks(pair, monkeypatch, cost)
    assert got["base"] == got["tuned"]
    for measure in got["gain"].values():
        assert measure["value"] == 0


def test_a_model_that_knows_the_words_ranks_first(pair, monkeypatch):
    got = ranks(pair, monkeypatch, lambda name, kind, true: 1.0 + (name == "base") * (not true))
    assert got["base"]["mrr"]["value"] == 1
    assert got["tuned"]["mrr"]["value"] < 1


def test_what_others_say_is_learnt_where_whole_texts_are_and_they_allow_it():
    """Two learnt replies of one session; the second context repeats the turns of the first."""
    question = {"author": "Cami", "messages": ["mi mail es cami@example.com", "lo tenés?"]}
    answer = {"author": "Juli", "messages": ["sí, lo tengo"]}
    silent = {"author": "Mamá", "messages": ["el mío es mama@example.com"]}
    rows = [(1, [question], answer["messages"]), (1, [question, answer, silent], ["anotado"])]
    examples = pd.DataFrame(rows, columns=["session", "context", "reply"])
    masked = frozenset({"Mamá"})
    replies = [["sí, lo tengo"], ["anotado"]]
    assert learnt_texts(examples, "reply", "Juli", masked)["messages"].tolist() == replies
    assert learnt_texts(examples, "text", "Juli", masked)["messages"].tolist() == [
        *replies,
        question["messages"],
    ]
    # Said again in another session it is another text.
    twice = pd.concat([examples, examples.assign(session=2)])
    assert len(learnt_texts(twice, "text", "Juli", masked)) == 4 + 2


def test_the_stage_writes_what_was_learnt_as_the_consents_allow(workplace, turns, tmp_path, pair):
    examples = examples_of(turns, "Juli", history=4)
    workplace(examples, manifest={"train": pair.manifest["train"] | {"loss": "text"}})
    learnt = tables.read(tmp_path / "data" / "learnt.parquet", tables.LEARNT)["messages"].tolist()
    train = turns[turns["split"].eq("train")]
    own = examples.loc[examples["split"].eq("train"), "reply"].tolist()
    assert learnt[: len(own)] == own
    # Mamá may be read, and not be learnt.
    assert learnt[len(own) :] == train.loc[train["author"].eq("Cami"), "messages"].tolist()
