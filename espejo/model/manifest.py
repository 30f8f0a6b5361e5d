"""The manifest beside the weights: how a model was trained, and what a chat needs to know of it."""

import json
from collections.abc import Mapping
from pathlib import Path

from espejo.core import files
from espejo.core.config import RENAMED_VALUES, checked
from espejo.core.errors import not_made_yet
from espejo.model.config import ModelConfig

FILE = "espejo.json"
# In manifests of older versions: section -> old name of a setting -> its name now.
_RENAMED = {
    "format": {"silence": "empty_turn", "together": "replies_per_text"},
    "train": {"evaluations": "evals_per_run", "prompts": "sample_prompts"},
}


def write(manifest: Mapping, folder: Path) -> None:
    """Write `manifest` (sections of the params that made the model) into the model's `folder`."""
    files.write(json.dumps(manifest, indent=2, ensure_ascii=False) + "\n", folder / FILE)


def read(folder: Path) -> dict:
    """The manifest in the model's `folder`, with the current names of settings.

    Raises UserError when there is no trained model in `folder`.
    """
    if not (folder / FILE).is_file():
        raise not_made_yet(f"There is no trained model in {folder}/")
    manifest = files.mapping(folder / FILE, json.loads)
    for section, names in _RENAMED.items():
        for old in names.keys() & manifest.get(section, {}).keys():
            manifest[section].setdefault(names[old], manifest[section].pop(old))
    model = manifest.get("model", {})
    model.pop("generate", None)  # once part of the model's settings
    if source := RENAMED_VALUES.get(("model.source", model.get("source"))):
        model["source"] = source
    return manifest


def kind_of(manifest: Mapping) -> str:
    """The kind of data (params data.kind) that made a model; older manifests are of chats."""
    return manifest.get("kind", "chats")


def model_config(manifest: Mapping) -> ModelConfig:
    """The params section `model` of a `manifest`; raises UserError where it does not fit."""
    return checked(ModelConfig, manifest["model"], Path(FILE))
