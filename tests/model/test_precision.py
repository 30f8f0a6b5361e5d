"""A model that was trained in one precision is read, scored and gone on with in the other."""

import json

import pandas as pd
import pytest
import torch
import yaml

from espejo.core import tables
from espejo.evaluation import likelihood
from espejo.formatting import prompts
from espejo.model import hardware, loading
from espejo.training import checkpoints, sft
from stages import train
from tests.model.test_every_model import EXAMPLES, encode, tiny_base


@pytest.fixture
def processor(monkeypatch):
    """processor("bfloat16") makes this machine one that multiplies fastest in it."""
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
    monkeypatch.setattr(loading, "locate", lambda model: (str(tmp_path / "base"), "main"))
    params["train"] |= {"epochs": 10, "evals_per_run": 1, "learning_rate": 0.02}
    return params


@pytest.mark.parametrize(
    ("first", "second"), [("float32", "bfloat16"), ("bfloat16", "float32")], ids=str
)
def test_what_one_processor_trained_another_reads_and_scores(
    params, processor, tmp_path, first, second
):
    model, wanted = params["model"], params["train"]
    assert (model["precision"], wanted["attention"], model["threads"]) == ("wide", "auto", "auto")
    processor(first)
    tokenizer = loading.load_tokenizer(model)
    texts, rows, spans = encode(
        params, tokenizer, prompts.prompter(tokenizer, model, params["format"])
    )
    base = loading.load_base(model)
    assert str(base.dtype) == f"torch.{first}"
    trained = sft.train(base, tokenizer, rows, rows, wanted, tmp_path / "checkpoints")
    facts = {"data": "x", "model": model, "format": params["format"], "history": 4, "train": wanted}
    loading.save(trained.model, tokenizer, tmp_path / "model", facts)

    def bits():
        found = {}
        for name, each in loading.Mirror(tmp_path / "model").both():
            assert str(each.dtype) == f"torch.{current}"
            sums = likelihood.per_example(likelihood.token_losses(each, rows, 512), rows, spans)
            found[name] = sums["nats"].sum() / sums["chars"].sum()
        return found

    current = first
    there = bits()
    processor(second)
    current = second
    here = bits()
    assert here["tuned"] < 0.5 * here["base"]  # what was learnt is there
    assert here == pytest.approx(there, rel=0.03)


def test_what_was_chosen_is_in_the_checkpoints_key(params, processor, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    write = prompts.prompter(
        loading.load_tokenizer(params["model"]), params["model"], params["format"]
    )
    written = [write.example(context, reply, "Juli") for context, reply in EXAMPLES]
    table = pd.DataFrame(
        {
            "id": ["a", "b"],
            "session": [0, 1],
            "split": ["train", "validation"],
            "text": [text for text, _ in written],
            "spans": [spans for _, spans in written],
            "masked": [[], []],
        }
    )
    tables.write(table, tmp_path / "formatted.parquet", tables.FORMATTED)
    keys = []

    def stop(settings, files):
        keys.append(place(settings, files))
        raise KeyboardInterrupt

    place = checkpoints.place
    monkeypatch.setattr(checkpoints, "place", stop)
    outs = (tmp_path / name for name in ("model", "train.json", "plots", "epochs.md"))
    outs = [tmp_path / "formatted.parquet", *outs]
    for precision in ("float32", "bfloat16", "float32"):
        processor(precision)
        with pytest.raises(KeyboardInterrupt):
            train.main(*outs)
    assert keys[0] == keys[2] != keys[1]


def test_no_machine_stands_in_what_git_and_dvc_compare(composed):
    settings = json.dumps(composed())
    here = hardware.processor()
    assert here not in settings
    for precision in ("bfloat16", "float32"):
        assert precision not in settings
