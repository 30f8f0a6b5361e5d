"""The model card holds what a reader needs and names nobody."""

import json

import pytest
from huggingface_hub import ModelCard
from typer.testing import CliRunner

from espejo.commands.cli import commands
from espejo.export import gate, model_card
from espejo.model import manifest as manifests


@pytest.fixture
def manifest(composed):
    """What stands beside a model's weights."""
    params = composed("model=smollm2")
    return {
        "data": "data/raw/vera",
        "model": params["model"],
        "resolved_revision": "abc123",
        "format": params["format"],
        "history": 4,
        "train": params["train"],
        "hardware": {
            "device": "Pocket calculator",
            "precision": "float32",
            "attention": "grouped",
            "threads": 2,
        },
        "learnt_replies": 656,
        "data_sha256": "0f" * 32,
        "libraries": {"torch": "2.13.0", "peft": "0.21.2"},
    }


COUNTS = {"learnt_tokens_per_epoch": 17766, "best_step": 164, "loss_validation": 4.0709}


def test_a_card_says_what_the_model_is(manifest, composed):
    read = ModelCard(model_card.card(manifest, COUNTS, "fail"))
    assert read.data.base_model == "smollm2"
    assert read.data.library_name == "peft"
    assert read.data.license == "apache-2.0"
    for line in (
        "| base model | smollm2, revision `abc123` |",
        "| terms of the base model | the Apache License 2.0 |",
        "| computed with | float32, grouped attention, threads: 2, on Pocket calculator |",
        "| method | LoRA, rank 16, alpha 32 |",
        "| learnt | the author's replies only: 17,766 tokens of 656 replies |",
        "| epochs and steps | 1, of which step 164 is kept |",
        "| validation loss | 4.071 nats a token |",
        f"| training table (SHA-256) | `{'0f' * 32}` |",
        "| safe to share? | `fail`: better not: a measure is above its limit |",
        "| libraries | torch 2.13.0, peft 0.21.2 |",
    ):
        assert line in read.text
    assert "vera" not in read.content
    gemma = manifest | {"model": composed("model=gemma3")["model"]}
    read = ModelCard(model_card.card(gemma, COUNTS, "pass"))
    assert read.data.license == "gemma"
    assert "Gemma Terms of Use, ai.google.dev/gemma/terms" in read.text


@pytest.mark.parametrize(
    ("kind", "title", "learnt", "shared"),
    [
        ("chats", "writes like one person", "the author's replies only", "`pass`: nothing"),
        ("dialogues", "keeps up a conversation", "replies only", "`pass`: nothing"),
        ("questions", "answers the questions of a table", "answers only", "only where its table"),
    ],
)
def test_a_card_fits_the_data(manifest, kind, title, learnt, shared):
    card = model_card.card(manifest | {"kind": kind}, COUNTS, "pass")
    assert f"# A model that {title}\n" in card
    assert f"| learnt | {learnt}: 17,766 tokens" in card
    assert f"| safe to share? | {shared}" in card
    assert ("it imitates." in card) == (kind == "chats")
    assert ("under what licence" in card) == (kind != "chats")
    older = model_card.card(manifest, COUNTS, "pass")  # of chats, which it does not say
    assert (card == older) == (kind == "chats")


def test_what_is_meant_to_be_repeated_has_no_verdict():
    assert model_card.sharing(COUNTS, "fail", "questions") == model_card.REPEATS
    assert model_card.sharing(COUNTS, "fail", "dialogues").startswith("fail: ")


def test_a_trial_is_called_one_and_has_no_verdict(manifest):
    trial = COUNTS | {"texts": 39, "learnt_texts": 4}
    card = model_card.card(manifest, trial, "pass")
    assert "**This is a trial.** It learned from 4 of 39 texts:" in card
    assert "| learnt | the author's replies only: 4 of 39 texts |" in card
    assert "| safe to share? | a trial, which says nothing yet |" in card
    assert model_card.sharing(trial, "pass") == "a trial, which says nothing yet"
    whole = COUNTS | {"texts": 39, "learnt_texts": 20}
    assert "trial" not in model_card.card(manifest, whole, "pass")


def test_the_command_writes_it_to_reports(manifest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    manifests.write(manifest, tmp_path / "model")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "train.json").write_text(json.dumps(COUNTS), "utf-8")
    verdict = {"memory": {"verdict": "fail"}}
    (tmp_path / "metrics" / "eval.json").write_text(json.dumps(verdict), "utf-8")
    ran = CliRunner().invoke(commands, ["card"])
    assert ran.exit_code == 0, ran.output
    assert "reports/model_card.md" in ran.output
    assert "Safe to share? fail: better not" in " ".join(ran.output.split())
    written = (tmp_path / "reports" / "model_card.md").read_text("utf-8")
    assert written == model_card.card(manifest, COUNTS, "fail")


@pytest.mark.parametrize("name", ["pass", "pass_with_doubts", *gate.REFUSED])
def test_every_verdict_that_despite_may_name_has_a_card(name, manifest):
    assert f"`{name}`: " in model_card.card(manifest, COUNTS, name)
    assert f"`{name}`: " in model_card.card(manifest, {}, name)  # metrics/train.json is missing
    of_trial = COUNTS | {"learnt_texts": 4, "texts": 99}
    assert "**This is a trial.**" in model_card.card(manifest, of_trial, name)
