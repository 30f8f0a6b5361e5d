"""The trained model as one set of weights, as transformers reads it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from espejo.core.errors import UserError
from espejo.export.template import exported
from espejo.formatting.prompts import Prompter, trained_prompter
from espejo.model import bundled, generation, hardware, loading, pair, tokenizers
from espejo.model import manifest as manifests
from espejo.model.config import GenerateConfig, ModelConfig

DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Trained:
    """A trained model's folder without its weights, and the params section generate."""

    folder: Path
    manifest: Mapping[str, Any]
    prompter: Prompter
    generate: GenerateConfig

    @property
    def has_adapter(self) -> bool:
        """Whether an adapter was trained, not all weights."""
        return self.manifest["train"]["method"] == "lora"

    @property
    def base(self) -> ModelConfig:
        """The base model, not quantized, at the very revision that was trained."""
        return _base(self.manifest)

    @property
    def name(self) -> str:
        """A name for files, which is the base model's: the data's may name people.

        In a model from others it may be anything, also the way to another folder.
        """
        return re.sub(r"[^\w.-]", "-", self.base.name)

    @property
    def stop_strings(self) -> list[str]:
        """The stops that are no special token: tags of a next turn, or of the end."""
        special = self.prompter.tokenizer.all_special_tokens
        return [stop for stop in dict.fromkeys(self.prompter.stops) if stop not in special]

    @property
    def reads_system(self) -> bool:
        """Whether the model was trained with a system text."""
        return self.prompter.tags is None or self.prompter.tags.reply is None

    def generation_config(self) -> GenerationConfig:
        """The params section generate and every stop, for generation_config.json."""
        tokenizer = self.prompter.tokenizer
        config = generation.generation_config(tokenizer, self.prompter.end, self.generate)
        special = [stop for stop in self.prompter.stops if stop not in self.stop_strings]
        # A tag that ends a reply stays a string: its last token may stand anywhere in a reply.
        ends = {tokenizer.convert_tokens_to_ids(stop) for stop in special}
        ends.add(tokenizer.eos_token_id)
        config.update(
            eos_token_id=sorted(ends - {None}),
            stop_strings=self.stop_strings or None,
            bos_token_id=tokenizer.bos_token_id,
        )
        return config


def read(folder: Path, generate: GenerateConfig) -> Trained:
    """The trained model in `folder`.

    Raises UserError where it is damaged, or its base model is not the one that it was trained on.
    """
    manifest = manifests.read(folder)
    base = _base(manifest)
    if base.source == "bundled" and base.id in bundled.PACKAGES:
        sha256 = bundled.PACKAGES[base.id].sha256
        if base.revision != sha256:
            raise UserError(
                f"{folder}/ was trained on {base.id} at revision {str(base.revision)[:16]}, and "
                f"the package that is installed holds {sha256[:16]}: install the version of then, "
                "or train again with `dvc repro`."
            )
    with pair._naming(folder):
        tokenizer = AutoTokenizer.from_pretrained(folder)
    return Trained(folder, manifest, trained_prompter(tokenizer, manifest), generate)


def _base(manifest: Mapping[str, Any]) -> ModelConfig:
    config = manifests.model_config(manifest)
    revision = manifest.get("resolved_revision", config.revision)  # older manifests lack it
    return config.model_copy(update={"quantization": None, "revision": revision})


def shape(trained: Trained) -> PreTrainedConfig:
    """The architecture's numbers, without loading weights."""
    place = str(trained.folder) if not trained.has_adapter else tokenizers.locate(trained.base)[0]
    revision = (
        trained.base.revision if trained.has_adapter and trained.base.source == "hub" else None
    )
    return AutoConfig.from_pretrained(place, revision=revision).get_text_config()


def load_base(trained: Trained) -> PreTrainedModel:
    """The base model in float32, with the rows of its added tokens."""
    return loading.load_base(trained.base, "float32")


def load(trained: Trained) -> PreTrainedModel:
    """The trained model in float32, with its adapter merged.

    Into the base model as it is published, also where training read it in 4 bits: merged into
    quantized weights, the adapter would be rounded with them.

    Raises UserError for a damaged file of the model.
    """
    with pair._naming(trained.folder):
        if not trained.has_adapter:
            return AutoModelForCausalLM.from_pretrained(
                trained.folder, dtype=torch.float32, device_map=hardware.device()
            ).eval()
    base = load_base(trained)
    with pair._naming(trained.folder):
        return PeftModel.from_pretrained(base, trained.folder).merge_and_unload().eval()


def write(trained: Trained, model: PreTrainedModel, folder: Path, dtype: str = "float32") -> None:
    """Write `model`, the tokenizer with the exported template and the settings into `folder`.

    `model` is converted to `dtype` in place.
    """
    model.to(getattr(torch, dtype))
    model.generation_config = trained.generation_config()
    model.config._name_or_path = trained.base.id  # not a path of this machine
    vars(model.config).pop("auto_map", None)  # see write_tokenizer
    model.save_pretrained(folder)
    write_tokenizer(trained, folder)


def write_tokenizer(trained: Trained, folder: Path) -> None:
    """The tokenizer of the model, with the template that writes what training wrote.

    Without `auto_map`, which names code to run, in this folder or elsewhere: transformers asks
    first, but llama.cpp's converter does not.
    """
    tokenizer = trained.prompter.tokenizer
    tokenizer.init_kwargs.pop("auto_map", None)
    own = tokenizer.chat_template
    tokenizer.chat_template = exported(trained.prompter)
    try:
        tokenizer.save_pretrained(folder)
    finally:
        tokenizer.chat_template = own


def given_away(manifest: Mapping[str, Any], whole: bool) -> dict[str, Any]:
    """The manifest without what may name people: the data's folder, and one's own prompts.

    With `whole` weights it says so: `espejo chat` must not look for an adapter in their folder.
    """
    train = {**manifest["train"], "sample_prompts": []}
    if whole:
        train["method"] = "full"
    return {**manifest, "data": manifests.kind_of(manifest), "train": train}
