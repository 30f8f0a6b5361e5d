"""Canaries: planted where they are asked for, and found where they were learnt and nowhere else."""

import json
import math
from dataclasses import dataclass
from functools import cache

import pandas as pd
import pytest
import torch
import yaml

from espejo.core import tables
from espejo.core.errors import UserError
from espejo.dataset import canaries
from espejo.dataset.canaries import AuditConfig
from espejo.evaluation import memorization
from espejo.formatting import prompts
from espejo.formatting.labels import encode
from espejo.prediction.predictor import Predictor
from stages import format as stage
from tests.helpers import reported, tiny
from tests.helpers.configs import PREDICT, changed, typed
from tests.helpers.synthetic import chats, people
from tests.helpers.workshop import ROOT

AUDIT = AuditConfig(canaries=8, repetitions=[1, 4], digits=4, num_decoys=255, set_aside=0.0, seed=7)
LEARNT = AUDIT.model_copy(update={"canaries": 6, "repetitions": [4]})
STEPS = 250


@pytest.fixture(scope="module")
def examples():
    """Table EXAMPLES of a few sessions."""
    return reported.examples_of(chats(30), "Juli")


def test_nothing_is_planted_unless_it_is_asked_for(composed, examples):
    assert composed()["audit"]["canaries"] == 0
    assert composed("experiment=audit")["audit"]["canaries"] > 0
    setting = [
        path.name for path in (ROOT / "conf").rglob("*.yaml") if "canaries:" in path.read_text()
    ]
    assert sorted(setting) == ["audit.yaml", "config.yaml"]
    none = canaries.planted(examples, AuditConfig(**composed()["audit"]))
    assert none.columns.tolist() == tables.EXAMPLES.names
    assert none.empty


def test_as_many_are_planted_as_asked_for_in_both_roles_and_in_train_alone(examples):
    added = canaries.planted(examples, AUDIT)
    # 8 canaries once and 8 four times, as replies and as messages of a partner: 2 (8 + 32).
    assert len(added) == 80
    assert set(added["split"]) == {"train"}
    assert added["id"].is_unique
    texts_by_role = {
        "author": [text for reply in added["reply"] for text in reply],
        "partner": [
            text for turns in added["context"] for turn in turns for text in turn["messages"]
        ],
    }
    for role, texts in texts_by_role.items():
        counts = pd.Series([text for text in texts if "el código es" in text]).value_counts()
        assert sorted(counts) == [1] * 8 + [4] * 8, role
    assert not set(texts_by_role["author"]) & set(texts_by_role["partner"])
    # The reply to a partner's canary is a reply from training.
    learnt = examples.loc[examples["split"].eq("train"), "reply"].tolist()
    answers = [reply for reply in added["reply"] if "el código es" not in reply[0]]
    assert len(answers) == 40
    assert all(reply in learnt for reply in answers)


def test_the_space_is_fixed_by_the_seed():
    planted, others = canaries.drawn(AUDIT)
    texts = [canary.text for canary in planted] + others
    assert len(set(texts)) == len(texts) == 32 + 255
    assert all(pd.Series(texts).str.fullmatch(r"el código es \d \d \d \d"))
    assert canaries.drawn(AUDIT) == (planted, others)
    assert canaries.drawn(AUDIT.model_copy(update={"seed": 8}))[0] != planted


def test_a_space_that_is_too_small_is_told():
    with pytest.raises(UserError, match="gives 100 codes, and 287 are wanted"):
        canaries.drawn(AUDIT.model_copy(update={"digits": 2}))


def test_the_stage_counts_what_it_plants_and_labels_the_author_s_alone(
    composed, examples, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    tables.write(people(Cami="train"), tmp_path / "people.parquet", tables.PEOPLE)
    tables.write(examples, tmp_path / "filtered.parquet", tables.EXAMPLES)
    written, accounts = [], []
    for number in (0, 1):
        params = composed(f"audit.canaries={number}")
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
        names = ("filtered.parquet", "people.parquet", "formatted.parquet", "format.json")
        stage.main(*(tmp_path / name for name in names))
        written.append(tables.read(tmp_path / "formatted.parquet", tables.FORMATTED))
        accounts.append(json.loads((tmp_path / "format.json").read_text("utf-8")))
    plain, planted = written
    # One canary of each role 1, 4 and 16 times: 2 (1 + 4 + 16).
    assert "planted" not in accounts[0]
    assert accounts[1]["planted"] == 42
    assert accounts[1]["examples"]["out"] == accounts[0]["examples"]["out"] + 42
    others = planted[~planted["id"].str.startswith("canary")].reset_index(drop=True)
    pd.testing.assert_frame_equal(others, plain)
    secrets = [row for row in planted.itertuples() if "el código es" in row.text]
    learnt = [
        row
        for row in secrets
        if any("el código es" in row.text[span["start"] : span["end"]] for span in row.spans)
    ]
    assert (len(secrets), len(learnt)) == (42, 21)


def test_a_share_of_the_sessions_is_set_aside_whole_and_of_no_other_split(examples):
    assert canaries.set_aside(examples, AUDIT) is examples
    config = AUDIT.model_copy(update={"set_aside": 0.25})
    split = canaries.set_aside(examples, config)
    aside = split["split"].eq(canaries.SET_ASIDE)
    sessions = set(examples.loc[examples["split"].eq("train"), "session"])
    chosen = set(split.loc[aside, "session"])
    assert len(chosen) == round(0.25 * len(sessions)) > 0
    # Every reply of these, and none of the others, which stay as they were.
    assert chosen < sessions
    assert examples.loc[aside, "session"].isin(chosen).all()
    assert aside.sum() == examples["session"].isin(chosen).sum()
    pd.testing.assert_frame_equal(split[~aside], examples[~aside])
    # The stage that scores them draws the same; another seed others.
    pd.testing.assert_frame_equal(canaries.set_aside(examples, config), split)
    other = canaries.set_aside(examples, config.model_copy(update={"seed": 8}))
    assert set(other.loc[other["split"].eq(canaries.SET_ASIDE), "session"]) != chosen


def test_what_is_set_aside_is_in_no_training_text(composed, examples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tables.write(people(Cami="train"), tmp_path / "people.parquet", tables.PEOPLE)
    tables.write(examples, tmp_path / "filtered.parquet", tables.EXAMPLES)
    params = composed("experiment=audit", "audit.canaries=0", "audit.set_aside=0.25")
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    names = ("filtered.parquet", "people.parquet", "formatted.parquet", "format.json")
    stage.main(*(tmp_path / name for name in names))
    split = canaries.set_aside(examples, AuditConfig(**params["audit"]))
    aside = split[split["split"].eq(canaries.SET_ASIDE)]
    written = tables.read(tmp_path / "formatted.parquet", tables.FORMATTED)
    assert set(written["split"]) == {"train", "validation", "test"}
    assert set(written["session"]).isdisjoint(aside["session"])
    assert set(written["session"]) == set(examples["session"]) - set(aside["session"])
    account = json.loads((tmp_path / "format.json").read_text("utf-8"))["examples"]
    assert account["in"] == len(examples)
    assert account["dropped"]["set_aside"] == len(aside) > 0
    assert account["in"] == account["out"] + sum(account["dropped"].values())


@dataclass
class Both:
    """Stands for a ModelPair: two tiny models."""

    tokenizer: object
    manifest: dict
    base: object
    tuned: object

    def both(self):
        yield "base", self.base
        yield "tuned", self.tuned


@pytest.fixture(scope="module")
def learnt(composed, examples):
    """learnt("reply") is a predictor of a tiny model that was trained to memorize canaries."""
    params = composed("model=smollm2")
    tokenizer = tiny.trained_tokenizer(
        ("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
        "<|im_end|>",
        tiny.CHATML,
        None,
        "<|im_end|>",
        "bytes",
    )
    manifest = {name: params[name] for name in ("model", "format")}
    sections = typed(params)
    prompter = prompts.prompter(tokenizer, sections.model, sections.format)
    brief = examples.assign(reply=[["dale"]] * len(examples))
    planted = canaries.planted(brief, LEARNT)

    def trained(loss):
        rows = [
            encode(tokenizer, *prompter.example(row.context, row.reply, "Juli"), loss)
            for row in planted.itertuples()
        ]
        base, model = (tiny.llama(len(tokenizer)) for _ in range(2))
        longest = max(len(row["input_ids"]) for row in rows)
        ids, labels = (
            torch.tensor([row[key] + [fill] * (longest - len(row[key])) for row in rows])
            for key, fill in (("input_ids", 0), ("labels", -100))
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.05, STEPS)
        torch.manual_seed(1)
        for _ in range(STEPS):
            some = torch.randperm(len(rows))[:8]
            optimizer.zero_grad()
            model(input_ids=ids[some], labels=labels[some]).loss.backward()
            optimizer.step()
            slower.step()
        both = Both(tokenizer, manifest, base, model.eval())
        return Predictor(both, examples, "Juli", changed(PREDICT, batch_tokens=4096), None)

    return cache(trained)


def exposed(predictor, audit):
    """The evaluation of a predictor's table CANARIES."""
    return memorization.exposure_by_role(predictor.canaries(audit))


def test_what_was_learnt_is_exposed_and_what_was_read_is_not(learnt):
    got = exposed(learnt("reply"), LEARNT)
    author, partner = (got[role]["4"] for role in canaries.ROLES)
    # 256 codes: 8 bits for the likeliest of all.
    assert author["tuned"]["possible"] == author["tuned"]["max"] == 8
    assert author["tuned"]["mean"] > 7
    assert [each["tuned"]["n"] for each in (author, partner)] == [6, 6]
    # Chance, as for the model that never saw them. Six draws: standard error 1.44 / sqrt(6) = 0.6.
    for measured in (partner["tuned"], author["base"], partner["base"]):
        assert measured["mean"] < got["chance"] + 3 * 0.6


def test_a_method_that_learns_whole_texts_exposes_what_partners_say(learnt):
    got = exposed(learnt("text"), LEARNT)
    assert got["partner"]["4"]["tuned"]["mean"] > 7
    assert got["partner"]["4"]["base"]["mean"] < got["chance"] + 3 * 0.6


def test_what_was_never_planted_is_exposed_by_chance(learnt):
    # Other codes of the same space, for a model that memorized those of another seed.
    unplanted = LEARNT.model_copy(update={"canaries": 150, "repetitions": [1], "seed": 8})
    got = exposed(learnt("reply"), unplanted)
    for role in canaries.ROLES:
        for name in ("base", "tuned"):
            assert got[role]["1"][name]["n"] == 150
            assert got[role]["1"][name]["mean"] == pytest.approx(got["chance"], abs=0.4)


def test_without_a_canary_the_table_is_empty(learnt, tmp_path):
    none = learnt("reply").canaries(AUDIT.model_copy(update={"canaries": 0}))
    tables.write(none, tmp_path / "canaries.parquet", tables.CANARIES)
    assert len(tables.read(tmp_path / "canaries.parquet", tables.CANARIES)) == 0


def test_the_table_holds_every_canary_and_every_decoy_of_both_models(learnt, tmp_path):
    table = learnt("reply").canaries(LEARNT)
    tables.write(table, tmp_path / "canaries.parquet", tables.CANARIES)
    counts = table.groupby(["role", "model", "repetitions"]).size()
    assert counts.to_dict() == {
        (role, model, times): number
        for role in canaries.ROLES
        for model in ("base", "tuned")
        for times, number in ((4, 6), (0, 255))
    }


def test_exposures_of_table_canaries_by_hand():
    # Among three decoys: likelier than all (2 bits), than two (1), than none (0).
    rows = [
        ("author", times, model, nats)
        for model, least in (("base", 35.0), ("tuned", 5.0))
        for times, nats in ((0, 10.0), (0, 20.0), (0, 30.0), (1, least), (16, least), (16, 15.0))
    ]
    table = pd.DataFrame(rows, columns=tables.CANARIES.names).sample(frac=1, random_state=3)
    got = memorization.exposure_by_role(table)
    assert got["chance"] == pytest.approx(memorization.chance_exposure(3))
    assert set(got) == {"chance", "author"}
    assert got["author"] == {
        "1": {
            "base": {"mean": 0.0, "max": 0.0, "possible": 2.0, "n": 1},
            "tuned": {"mean": 2.0, "max": 2.0, "possible": 2.0, "n": 1},
        },
        "16": {
            "base": {"mean": 0.5, "max": 1.0, "possible": 2.0, "n": 2},
            "tuned": {"mean": 1.5, "max": 2.0, "possible": 2.0, "n": 2},
        },
    }


def test_chance_by_hand():
    # Ranks 1 and 2 of two: 1 bit or 0. Of four: 2, 1, log2(4 / 3) and 0 bits.
    assert memorization.chance_exposure(1) == pytest.approx(0.5)
    assert memorization.chance_exposure(3) == pytest.approx((2 + 1 + 0.41504 + 0) / 4, abs=1e-5)
    assert memorization.chance_exposure(10**6) == pytest.approx(1 / math.log(2), abs=1e-4)
