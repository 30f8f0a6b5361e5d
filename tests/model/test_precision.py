"""A model trained in one precision can be loaded, scored and used in another."""

import json

import pandas as pd
import pytest
import torch
import yaml

from espejo.core import tables
from espejo.formatting import prompts
from espejo.model import hardware, loading, tokenizers
from espejo.model.pair import ModelPair
from espejo.prediction import losses
from espejo.training import checkpoints, sft
from stages import train
from tests.helpers.configs import typed
from tests.model.test_every_model import EXAMPLES, encode, tiny_base


@pytest.fixture
def processor(monkeypatch):
    """processor("bfloat16") makes this machine multiply fastest in bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def put(precision):
        cost = {"bfloat16": 0.2, "float32": 6.4}[precision]
        monkeypatch.setattr(hardware, "bfloat16_cost", lambda: cost)

    return put


@pytest.fixture
def params(composed, tmp_path, monkeypatch):
    """The default params on a tiny model of the default's architecture."""
    params = composed()
    tiny_base(params, tmp_path / "base")
    monkeypatch.setattr(tokenizers, "locate", lambda model: (str(tmp_path / "base"), "main"))
    params["train"] |= {"epochs": 10, "evals_per_run": 1, "learning_rate": 0.02}
    return params


@pytest.mark.parametrize(
    ("first", "second"), [("float32", "bfloat16"), ("bfloat16", "float32")], ids=str
)
def test_what_one_processor_trained_another_loads_and_scores(
    params, processor, tmp_path, first, second
):
    config = typed(params)
    model, train = config.model, config.train
    assert (model.precision, train.attention, model.threads) == ("wide", "auto", "auto")
    processor(first)
    tokenizer = tokenizers.load_tokenizer(model)
    prompter = prompts.prompter(tokenizer, model, config.format)
    _, rows, spans = encode(tokenizer, prompter, train.loss)
    base = loading.load_base(model)
    assert str(base.dtype) == f"torch.{first}"
    trained = sft.train(base, tokenizer, rows, rows, train, tmp_path / "checkpoints")
    manifest = {"data": "x", "history": 4}
    manifest |= {name: params[name] for name in ("model", "format", "train")}
    loading.save(trained.model, tokenizer, tmp_path / "model", manifest)

    def nats_per_character(precision):
        processor(precision)
        means = {}
        for name, either in ModelPair(tmp_path / "model").both():
            assert str(either.dtype) == f"torch.{precision}"
            sums = losses.per_example(losses.token_losses(either, rows, 512), rows, spans)
            means[name] = sums["nats"].sum() / sums["chars"].sum()
        return means

    there, here = nats_per_character(first), nats_per_character(second)
    assert here["tuned"] < 0.5 * here["base"]  # it has learnt
    assert here == pytest.approx(there, rel=0.03)


def test_the_chosen_precision_is_in_the_checkpoints_key(params, processor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    config = typed(params)
    tokenizer = tokenizers.load_tokenizer(config.model)
    prompter = prompts.prompter(tokenizer, config.model, config.format)
    examples = [prompter.example(context, reply, "Juli") for context, reply in EXAMPLES]
    table = pd.DataFrame(
        {
            "id": ["a", "b"],
            "session": [0, 1],
            "split": ["train", "validation"],
            "text": [text for text, _ in examples],
            "spans": [spans for _, spans in examples],
            "masked": [[], []],
        }
    )
    tables.write(table, tmp_path / "formatted.parquet", tables.FORMATTED)
    keys = []

    def stop(settings, files):
        keys.append(folder(settings, files))
        raise KeyboardInterrupt

    folder = checkpoints.folder
    monkeypatch.setattr(checkpoints, "folder", stop)
    paths = ("formatted.parquet", "model", "train.json", "loss.csv", "epochs.md")
    paths = [tmp_path / name for name in paths]
    for precision in ("float32", "bfloat16", "float32"):
        processor(precision)
        with pytest.raises(KeyboardInterrupt):
            train.main(*paths)
    assert keys[0] == keys[2] != keys[1]


def test_no_machine_stands_in_what_git_and_dvc_compare(composed):
    settings = json.dumps(composed())
    here = hardware.processor()
    assert here not in settings
    for precision in ("bfloat16", "float32"):
        assert precision not in settings
