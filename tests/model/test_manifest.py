"""The manifest beside a model: what an older version wrote is read as today's settings."""

import json
from pathlib import Path

import pytest

from espejo.core.errors import UserError
from espejo.model import manifest


def test_a_manifest_of_before_is_read_with_the_names_of_now(tmp_path, smollm2):
    model = smollm2.model_dump()
    before = {
        # The name of a source was another one, and generate is a section of its own now.
        "model": model | {"source": "embedded", "generate": {"temperature": 0.7}},
        "format": {"silence": "…", "together": 8, "name": "turns"},
        "train": {"evaluations": 2, "prompts": ["hola"], "method": "lora"},
    }
    (tmp_path / "espejo.json").write_text(json.dumps(before), "utf-8")
    now = manifest.read(tmp_path)
    assert now == {
        "model": model,
        "format": {"empty_turn": "…", "replies_per_text": 8, "name": "turns"},
        "train": {"evals_per_run": 2, "sample_prompts": ["hola"], "method": "lora"},
    }
    assert manifest.model_config(now) == smollm2


def test_what_is_written_is_read(tmp_path, smollm2):
    written = {"model": smollm2.model_dump(), "data": "data/raw/ñandú", "train": {}}
    manifest.write(written, tmp_path)
    assert manifest.read(tmp_path) == written


def test_a_manifest_without_a_setting_is_refused_in_a_sentence(tmp_path, smollm2):
    model = smollm2.model_dump()
    del model["prefill"]
    manifest.write({"model": model}, tmp_path)
    with pytest.raises(UserError, match=r"espejo.json lacks model\.prefill; remove it, and `dvc"):
        manifest.model_config(manifest.read(tmp_path))


def test_a_folder_without_a_manifest_holds_no_model(tmp_path):
    with pytest.raises(
        UserError, match=r"There is no trained model in .*`dvc checkout` .* run `make repro` first"
    ):
        manifest.read(tmp_path)


def test_outside_of_the_project_nothing_is_to_be_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no trained model in model/, and no dvc.yaml: run this in"):
        manifest.read(Path("model"))
    (tmp_path / "dvc.yaml").touch()
    with pytest.raises(UserError, match=r"no trained model in model/\. If a run .* `make repro`"):
        manifest.read(Path("model"))
