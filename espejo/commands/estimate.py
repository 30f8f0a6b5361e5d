"""How much memory a config wants, for training and for chat, before anything is downloaded.

Parameters are counted on the meta device, where tensors have shapes and no contents. What a forward
pass keeps for the backward pass is recorded there as well, so that any architecture counts as it
is. The rest is arithmetic: bytes of weights, gradients, optimizer states, logits and the cache of a
chat. Measured against a training on this machine in tests/commands/test_estimate.py.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import OmegaConf
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from espejo.core import faults
from espejo.core.errors import UserError
from espejo.model.hardware import AUTO
from espejo.model.loading import needs_float32_adapters
from espejo.training.config import TrainConfig
from espejo.training.distributed import split_batch
from espejo.training.sft import add_lora

CARDS = (8, 15, 24, 40, 80)  # GB of graphics cards; a T4 shows 15 of its 16
_TILE = (4096, 32768)  # labels and tokens of the vocabulary of which TRL has logits at a time
USABLE = 0.9  # of a card: the rest goes to its driver, and is lost between blocks
# The formatted demo has 3.0 (SmolLM2) and 2.7 (Gemma 3); fewer, to be safe.
CHARS_PER_TOKEN = 2.5
TEMPLATE_TOKENS = 64  # system text, roles, beginnings and ends
LONGEST_REPLY = 1000  # characters, where no filter sets fewer

# Four bits and a float32 scale a block of 64 weights; with double quantization the scales are
# bytes, with a float32 for each 256 of them (QLoRA, Dettmers et al., 2023).
_NF4 = 0.5 + 4 / 64
_NF4_DOUBLE = 0.5 + 1 / 64 + 4 / (64 * 256)


@dataclass(frozen=True)
class Need:
    """Weights, weights trained, tokens of the longest text, and bytes for training and chat."""

    parameters: int
    trained: int
    tokens: int
    training: float
    chat: float


def architecture(name: str) -> PretrainedConfig:
    """The architecture of the model with the id `name`: as shipped with espejo, or from the cache.

    Raises UserError where it is in neither: nothing is downloaded.
    """
    known = json.loads((files("espejo.commands") / "architectures.json").read_text("utf-8"))
    if name in known:
        return AutoConfig.for_model(**known[name]["config"])
    try:
        # Of a model that also sees or hears, what reads text.
        return AutoConfig.from_pretrained(name, local_files_only=True).get_text_config()
    except OSError as error:
        raise UserError(
            f"The architecture of {name} is not known here: `hf download {name} config.json`, or "
            "add it to espejo/commands/architectures.json."
        ) from error


def lengths(params: Mapping) -> tuple[int, int]:
    """Tokens of the longest text that the params allow, and how many of them at most are learnt."""
    form = params["format"]
    reply = math.ceil(min(params["filter"]["max_reply_chars"], LONGEST_REPLY) / CHARS_PER_TOKEN)
    tokens = TEMPLATE_TOKENS + math.ceil(form["max_context_chars"] / CHARS_PER_TOKEN) + reply
    # Of several replies in one text nearly all may be the author's.
    several = form["replies_per_text"] > 1 and (form["tags"] is None or form["tags"].get("closed"))
    return tokens, tokens if several or params["train"]["loss"] == "text" else reply


def need(params: Mapping) -> Need:
    """What the model of `params` (all sections of params.yaml) wants with their settings."""
    model, train = params["model"], params["train"]
    at_once, _ = split_batch(train["batch_size"], train["micro_batch_size"], 1)
    config = architecture(model["id"])
    # The estimate is for graphics cards, where auto is one of the halves and sdpa. float16 stands
    # for four bits too: adapters beside either are float32 (loading.needs_float32_adapters).
    half = torch.float16 if model["quantization"] else torch.bfloat16
    dtype = getattr(torch, model["precision"], half)
    size = dtype.itemsize
    tokens, learnt = lengths(params)
    tokens = min(tokens, config.max_position_embeddings)
    fused = train["attention"] in (AUTO, "sdpa")
    with torch.device("meta"):
        bare = AutoModelForCausalLM.from_config(
            config,
            dtype=dtype,
            attn_implementation="eager" if fused else train["attention"],
        )
        parameters = bare.num_parameters()
        resting = _weights(bare, model, size)
        # What is not in four bits becomes float32 for training.
        frozen = _weights(bare, model, 4 if model["quantization"] else size)
        lora = train["method"] == "lora"
        shaped = add_lora(bare, TrainConfig(**train)) if lora else bare.train()
        if lora and not needs_float32_adapters(bare):
            shaped.to(dtype)  # PEFT does so, but not on the meta device
        kept = _kept(shaped, at_once, tokens, fused)
    if train["gradient_checkpointing"]:  # only what goes into each layer, and one layer at a time
        between = at_once * tokens * config.hidden_size * (4 if lora else size)
        kept = kept / config.num_hidden_layers + between * config.num_hidden_layers
    trained = shaped.num_parameters(only_trainable=True)
    # Weight, gradient, and Adam's two moments; all weights are trained in float32, with a copy in
    # half precision that autocast keeps.
    of_each = 4 * (4 if model["quantization"] or not lora else size) + (0 if lora else size)
    # Of the logits TRL has one tile at a time, and only where there is a label; beside it what goes
    # into the head there, and its gradient in float32.
    labels = at_once * min(learnt, tokens)
    columns = min(_TILE[1], config.vocab_size)
    head = min(_TILE[0], labels) * columns * size + labels * config.hidden_size * (4 + size)
    if model["quantization"]:  # the head is float32 and is multiplied in half of that
        head += columns * config.hidden_size * size
    if not lora:  # its gradient in float32, before it is added to that of the embeddings
        head += 4 * config.vocab_size * config.hidden_size
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cache = 2 * config.num_hidden_layers * heads * width * tokens * size
    return Need(
        parameters=parameters,
        trained=trained,
        tokens=tokens,
        training=(frozen if lora else 0) + trained * of_each + kept + head,
        # Beside an adapter the base is there anyway; all weights trained are a model of their own.
        chat=(resting + trained * size if lora else 2 * resting) + cache + 4 * config.vocab_size,
    )


def of_all_models(conf: Path, settings: Sequence[str]) -> tuple[dict[str, Need], dict[str, str]]:
    """What each model of the folder `conf` needs with the `settings`, as Hydra writes them.

    Models that cannot be trained with them come second, each with the reason. Raises UserError
    where there is no model, or for settings that do not compose.
    """
    names = sorted(path.stem for path in (conf / "model").glob("[!_]*.yaml"))
    if not names:
        raise UserError("There is no conf/model/ here: run this in the folder of the project.")
    logging.set_verbosity_error()  # on kernels that nothing here runs
    needs, refused = {}, {}
    with faults.about(Path("conf")), initialize_config_dir(str(conf), version_base=None):
        for name in names:
            try:
                composed = compose("config", [f"model={name}", *settings])
            except HydraException as error:
                reason = " ".join(str(error).partition("Config search path")[0].split())
                asked = " ".join([f"model={name}", *settings])
                raise UserError(f"conf/ does not compose with {asked}: {reason}") from error
            try:
                needs[name] = need(OmegaConf.to_container(composed, resolve=True))
            except UserError as error:
                refused[name] = str(error)
    return needs, refused


def cards(bytes_needed: float) -> list[int]:
    """The sizes of CARDS, in GB, that hold so much."""
    return [card for card in CARDS if bytes_needed <= card * USABLE * 1e9]


def table(needs: Mapping[str, Need]) -> str:
    """What each named config needs, as text."""
    head = ("model", "weights", "trained", "tokens", "training", "on cards of", "chat", "on cards")
    rows = [head] + [
        (
            name,
            f"{one.parameters / 1e6:,.1f} M",
            f"{one.trained / 1e6:,.1f} M",
            str(one.tokens),
            f"{one.training / 1e9:.1f} GB",
            " ".join(map(str, cards(one.training))) or "none",
            f"{one.chat / 1e9:.1f} GB",
            " ".join(map(str, cards(one.chat))) or "none",
        )
        for name, one in needs.items()
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(len(head))]
    aligned = (
        [
            cell.rjust(width) if at in (1, 2, 3, 4, 6) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    )
    return "\n".join("  ".join(cells).rstrip() for cells in aligned)


def _weights(model: PreTrainedModel, settings: Mapping, size: int) -> float:
    """Bytes of the weights; `size` is that of one that is not quantized."""
    total = float(sum(weight.numel() for weight in model.parameters()) * size)
    if settings["quantization"] == "nf4":
        small = _NF4_DOUBLE if settings["double_quantization"] else _NF4
        head = model.get_output_embeddings()  # bitsandbytes leaves it as it is
        for module in model.modules():
            if isinstance(module, torch.nn.Linear) and module is not head:
                total -= module.weight.numel() * (size - small)
    return total


def _kept(model: PreTrainedModel, batch: int, tokens: int, fused: bool) -> int:
    """Bytes that a forward pass keeps for the backward pass, weights left out.

    Fused attention keeps no matrix of tokens by tokens.
    """
    own = {weight.untyped_storage()._cdata for weight in model.parameters()}
    seen: dict[int, torch.UntypedStorage] = {}

    def note(kept: torch.Tensor) -> torch.Tensor:
        storage = kept.untyped_storage()
        if storage._cdata not in own and not (fused and kept.shape[-2:] == (tokens, tokens)):
            seen[storage._cdata] = storage  # held, so that no other gets its address
        return kept

    ids = torch.zeros((batch, tokens), dtype=torch.long, device="meta")
    mask = torch.ones_like(ids)
    if "linear_attention" in (getattr(model.config, "layer_types", None) or ()):
        # transformers would look at the mask's values, of which there are none: what it would make.
        scores = torch.zeros((batch, 1, tokens, tokens), dtype=model.dtype, device="meta")
        mask = {"full_attention": scores, "linear_attention": None}
    with saved_tensors_hooks(note, lambda kept: kept):
        model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)
    return sum(storage.nbytes() for storage in seen.values())
