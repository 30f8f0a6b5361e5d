"""Loading base models, and saving trained ones."""

import ctypes
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import peft.peft_model
import torch
from peft import LoraConfig, PeftModel
from transformers import (
    AutoModelForCausalLM,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from espejo.core import faults
from espejo.model import attention, hardware, tokenizers
from espejo.model.config import ModelConfig, Precision
from espejo.model.manifest import write as write_manifest

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h

attention.register()
# Otherwise PEFT loads adapters onto Apple's GPU (MPS), which is not used here (hardware.device).
peft.peft_model.infer_device = lambda: hardware.device().type


def keep_freed_memory() -> None:
    """Have this process keep the memory of freed tensors for the next ones; only with glibc.

    By default glibc requests the memory of each large tensor from the system and returns it right
    away: on a CPU a third of the time of scoring went into clearing pages. The peak is the same.
    """
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_MAX, 0)
        ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def needs_float32_adapters(model: PreTrainedModel) -> bool:
    """Whether adapters of `model` must be float32 instead of having the dtype of its weights.

    float16 is too coarse for an optimizer's updates; the dtype that stores 4-bit weights means
    nothing for adapters.
    """
    return model.dtype == torch.float16 or getattr(model, "is_loaded_in_4bit", False)


def load_base(
    config: ModelConfig, precision: Precision | None = None, sharded: bool = False
) -> PreTrainedModel:
    """The base model in `config`, on the device, in evaluation mode.

    `precision` overrides `config.precision`: training all weights takes float32. A model that will
    be `sharded` over several GPUs (FSDP) stays in CPU memory until then, except in 4 bits:
    quantizing needs a GPU.
    """
    name, revision = tokenizers.locate(config)
    options: dict[str, Any] = {} if config.source == "bundled" else {"revision": revision}
    if config.quantization == "nf4":
        compute = hardware.dtype_of(config.precision)
        options["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=config.double_quantization,
            bnb_4bit_compute_dtype=compute,
            # FSDP shards float tensors only: packed into bytes, weights would stay whole.
            bnb_4bit_quant_storage=compute if sharded else torch.uint8,
        )
    torch.set_num_threads(hardware.threads(config.threads))
    keep_freed_memory()
    model = AutoModelForCausalLM.from_pretrained(
        name,
        dtype=hardware.dtype_of(precision or config.precision),
        device_map=None if sharded and not config.quantization else hardware.device(),
        **options,
    )
    if config.added_tokens:  # only then: a tokenizer takes seconds to load
        size, embeddings = len(tokenizers.load_tokenizer(config)), model.get_input_embeddings()
        assert isinstance(embeddings, torch.nn.Embedding)
        if size > embeddings.num_embeddings:
            torch.manual_seed(0)  # the new rows are random
            model.resize_token_embeddings(size)
    return model.eval()


def save(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    manifest: Mapping[str, Any],
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write weights, tokenizer and `manifest` into `folder`.

    `weights` are those of a sharded model, whose own are incomplete in each process.

    The same weights give the same bytes. Therefore this is not `trainer.save_model`, which saves
    paths, and PEFT's list of modules is sorted: it comes from a set, in any order.
    """
    shutil.rmtree(folder, ignore_errors=True)
    options: dict[str, Any] = {"state_dict": weights}
    if isinstance(model, PeftModel):
        options["save_embedding_layers"] = False  # PEFT would ask the hub whether they changed
        adapter = model.peft_config["default"]
        if isinstance(adapter, LoraConfig) and adapter.target_modules:
            adapter.target_modules = sorted(adapter.target_modules)
        # Instead of the path of this machine's cache, which means nothing elsewhere.
        adapter.base_model_name_or_path = manifest["model"]["id"]
    with faults.about(folder):
        model.save_pretrained(str(folder), **options)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty model card
        tokenizer.save_pretrained(folder)
        write_manifest(manifest, folder)  # last: without it the folder counts as no model
