"""A tiny base model that counts as bundled, a model trained on it, and a project around it."""

import hashlib
import json

import pytest
import torch
import yaml

from espejo.core import tables
from espejo.model import bundled, loading, tokenizers
from espejo.training.sft import add_lora
from stages import clean, parse
from tests.helpers import tiny
from tests.helpers.configs import typed
from tests.helpers.workshop import AUTHOR, PARTNER, PEOPLE, chat

COUNTS = {"learnt_tokens_per_epoch": 17766, "best_step": 164, "loss_validation": 4.0709}


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory):
    """The folder of a Llama of two narrow layers, as bundled.folder converts one."""
    folder = tmp_path_factory.mktemp("tiny")
    tokenizer = tiny.trained_tokenizer(
        ["<unk>", "<|im_start|>", "<|im_end|>"], "<|im_end|>", tiny.CHATML, None, "<unk>", "bytes"
    )
    model = tiny.llama(len(tokenizer), initializer_range=0.3)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def bundled_tiny(tiny_base, monkeypatch):
    """The package smollm2 holds the tiny model."""
    monkeypatch.setattr(bundled, "folder", lambda name: tiny_base)


def manifest_of(params, **more):
    """What stands in espejo.json of a model trained with `params`."""
    return {
        **{key: params[key] for key in ("model", "format", "train")},
        "data": "data/raw/xiomara",
        "kind": "chats",
        "resolved_revision": params["model"]["revision"],
        "history": params["group"]["history"],
        "hardware": {
            "device": "Pocket calculator",
            "precision": "float32",
            "attention": "grouped",
            "threads": 2,
        },
        "learnt_replies": 656,
        "libraries": {"torch": "2.13.0"},
        **more,
    }


def train(params, folder, noise=0.2, **more):
    """A trained model in `folder`: its adapter, or all its weights, moved at random."""
    configs = typed(params)
    torch.manual_seed(5)
    model = loading.load_base(configs.model.model_copy(update={"quantization": None}), "float32")
    if configs.train.method == "lora":
        model = add_lora(model, configs.train)
    with torch.no_grad():
        for weights in model.parameters():
            if weights.requires_grad:
                weights += noise * torch.randn_like(weights)
    tokenizer = tokenizers.load_tokenizer(configs.model)
    loading.save(model, tokenizer, folder, manifest_of(params, **more))
    return folder


@pytest.fixture
def params(composed):
    """All sections, of a model that answers by its template."""
    return composed("model=smollm2", "model.precision=float32", "format=chat")


@pytest.fixture
def trained(params, bundled_tiny, tmp_path):
    """The folder of a model with a LoRA adapter."""
    return train(params, tmp_path / "trained")


def lock(folder):
    """Write dvc.lock as DVC does after a run of the pipeline, with the hashes of the files."""

    def md5(path):
        return hashlib.md5((folder / path).read_bytes()).hexdigest()

    model = [
        {"md5": md5(file), "relpath": file.name} for file in sorted((folder / "model").iterdir())
    ]
    model_md5 = hashlib.md5(json.dumps(model).encode()).hexdigest() + ".dir"
    stages = {
        "train": {"outs": [{"path": "metrics/train.json", "md5": md5("metrics/train.json")}]},
        "predict": {
            "deps": [{"path": "model", "md5": model_md5}],
            "outs": [{"path": "data/replies.parquet", "md5": "5e"}],
        },
        "evaluate": {
            "deps": [{"path": "data/replies.parquet", "md5": "5e"}],
            "outs": [{"path": "metrics/eval.json", "md5": md5("metrics/eval.json")}],
        },
    }
    (folder / "dvc.lock").write_text(yaml.safe_dump({"stages": stages}), "utf-8")


def say(folder, verdict):
    """Put that verdict on sharing into metrics/eval.json, as if it had been measured."""
    scores = {"memory": {"verdict": verdict}}
    (folder / "metrics" / "eval.json").write_text(json.dumps(scores), "utf-8")
    lock(folder)


@pytest.fixture
def project(params, trained, tmp_path, monkeypatch):
    """A project whose pipeline has run, on a chat between AUTHOR and PARTNER; verdict: pass."""
    monkeypatch.chdir(tmp_path)
    raw = tmp_path / "data" / "raw" / "xiomara"
    raw.mkdir(parents=True)
    (raw / f"Chat de WhatsApp con {PARTNER}.txt").write_text(chat(4), "utf-8")
    (raw / "people.yaml").write_text(PEOPLE, "utf-8")
    params["data"]["raw"] = "data/raw/xiomara"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    (tmp_path / "metrics").mkdir()
    learn(tmp_path)
    return tmp_path


def learn(folder):
    """Run the stages that read people.yaml, and put the trained model in its place."""
    data, numbers = folder / "data", folder / "metrics"
    raw = data / "raw" / "xiomara"
    parse.main(raw, data / "messages.parquet", data / "probes.parquet", numbers / "parse.json")
    clean.main(
        *(data / "messages.parquet", raw, data / "clean.parquet", data / "people.parquet"),
        *(numbers / "clean.json", folder / "reports" / "personal_data.md"),
    )
    written = tables.read(data / "clean.parquet", tables.CLEAN)
    assert {AUTHOR, PARTNER} <= {*written["author"]}
    (data / "formatted.parquet").write_bytes((data / "clean.parquet").read_bytes())
    manifest = json.loads((folder / "trained" / "espejo.json").read_text("utf-8"))
    sha256 = hashlib.sha256((data / "formatted.parquet").read_bytes()).hexdigest()
    (folder / "model").mkdir(exist_ok=True)
    for file in (folder / "trained").iterdir():
        (folder / "model" / file.name).write_bytes(file.read_bytes())
    manifest["data_sha256"] = sha256
    (folder / "model" / "espejo.json").write_text(json.dumps(manifest), "utf-8")
    (numbers / "train.json").write_text(json.dumps(COUNTS), "utf-8")
    say(folder, "pass")
