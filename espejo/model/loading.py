"""Loading base models and tokenizers, from the packages we embed or from the Hugging Face hub."""

import ctypes
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import peft.peft_model
import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from espejo.core import faults
from espejo.core.errors import UserError
from espejo.model import attention, bundled, hardware, manifest

# On a processor glibc takes the memory of every large tensor from the system and gives it back at
# once: a third of the time of scoring went into clearing pages. Kept instead, the peak is the same.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # malloc.h
with suppress(AttributeError, OSError, TypeError):  # where there is no glibc
    ctypes.CDLL(None).mallopt(_M_MMAP_MAX, 0)
    ctypes.CDLL(None).mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)

attention.register()  # whatever loads a model can ask for it by name
# PEFT would read adapters onto Apple's GPU (MPS) where there is one, and copy them from there.
peft.peft_model.infer_device = lambda: hardware.device().type


def upcast(model: PreTrainedModel) -> bool:
    """Whether adapters beside `model` are float32, and not of its weights' type.

    float16 is too coarse for what an optimizer adds, and what 4 bits are stored in says nothing.
    """
    return model.dtype == torch.float16 or getattr(model, "is_loaded_in_4bit", False)


def locate(model: Mapping) -> tuple[str, str]:
    """What `from_pretrained` takes for the params section `model`, and the revision it resolved to.

    Raises UserError in one sentence when the model is not here and cannot be fetched.
    """
    if model["source"] == "embedded":
        return str(bundled.folder(model["id"])), model["revision"]
    name, revision = model["id"], model["revision"]
    try:
        found = snapshot_download(name, revision=revision, allow_patterns="config.json")
    except GatedRepoError as error:
        raise UserError(
            f"The model {name} asks you to accept its licence: do so on its page on the hub, run "
            "`hf auth login`, and try again."
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise UserError(
            f"The hub has no model {name} at revision {revision}: mend id and revision in "
            f"conf/model/{model['name']}.yaml."
        ) from error
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"The model {name} is not on this machine and the Hugging Face hub does not answer: "
            f"run `hf download {name} --revision {revision}` where there is a network and copy its "
            "cache folder here (HF_HOME), or use the embedded model with `-S model=smollm2`."
        ) from error
    return name, Path(found).name  # the folder of a snapshot bears the hash of its commit


def load_tokenizer(model: Mapping) -> PreTrainedTokenizerBase:
    """The tokenizer of the params section `model`, with its `added_tokens`.

    Raises UserError when it cannot be fetched or cannot tell where its tokens lie in a text.
    """
    name, revision = locate(model)
    pinned = {} if model["source"] == "embedded" else {"revision": revision}
    tokenizer = AutoTokenizer.from_pretrained(name, **pinned)
    if not tokenizer.is_fast:
        raise UserError(
            f"The tokenizer of {model['id']} gives no character offsets: choose another."
        )
    if model["added_tokens"]:
        tokenizer.add_special_tokens({"additional_special_tokens": list(model["added_tokens"])})
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    return tokenizer


def load_base(model: Mapping, dtype: str | None = None, sharded: bool = False) -> PreTrainedModel:
    """The base model of the params section `model`, on the device, in evaluation mode.

    `dtype` replaces `model["precision"]`; training all weights wants float32. What is to be
    `sharded` over several GPUs (FSDP) is kept in the machine's memory until then, unless it has 4
    bits: those are made on a GPU.
    """
    name, revision = locate(model)
    pinned = {} if model["source"] == "embedded" else {"revision": revision}
    if model["quantization"] == "nf4":
        compute = hardware.dtype_of(model["precision"])
        pinned["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=model["double_quantization"],
            bnb_4bit_compute_dtype=compute,
            # FSDP shards numbers: 4 bits packed into bytes would stay whole in each process.
            bnb_4bit_quant_storage=compute if sharded else torch.uint8,
        )
    torch.set_num_threads(hardware.threads(model["threads"]))
    loaded = AutoModelForCausalLM.from_pretrained(
        name,
        dtype=hardware.dtype_of(dtype or model["precision"]),
        device_map=None if sharded and not model["quantization"] else hardware.device(),
        **pinned,
    )
    if model["added_tokens"]:  # a tokenizer takes seconds to load, and else no token is new
        size = len(load_tokenizer(model))
        if size > loaded.get_input_embeddings().num_embeddings:
            torch.manual_seed(0)  # the new rows are drawn at random
            loaded.resize_token_embeddings(size)
    return loaded.eval()


def save(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    made: Mapping[str, Mapping],
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:
    """Write weights, tokenizer and facts (the params they were `made` with) into `folder`.

    `weights` are those of a model that is sharded, which does not hold them all itself.

    The same weights give the same bytes. That is why this is not `trainer.save_model`, which
    embeds paths, and why PEFT's list of modules is sorted: it comes in the order of a set.
    """
    shutil.rmtree(folder, ignore_errors=True)
    extra = {}
    if isinstance(model, PeftModel):
        extra["save_embedding_layers"] = False  # PEFT would ask the hub whether they changed
        config = model.peft_config["default"]
        config.target_modules = sorted(config.target_modules)
        # The path of this machine's cache says nothing elsewhere; the facts name the model.
        config.base_model_name_or_path = made["model"]["id"]
    with faults.about(folder):
        model.save_pretrained(folder, state_dict=weights, **extra)
        (folder / "README.md").unlink(missing_ok=True)  # PEFT's empty form
        tokenizer.save_pretrained(folder)
        manifest.write(made, folder)  # last: what is not whole is no model
