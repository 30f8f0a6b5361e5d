"""How much memory training and chat need with some settings, before anything is downloaded.

Parameters are counted on the meta device, where tensors have shapes and no contents. Activations
that a forward pass saves for the backward pass are recorded there as well, so that no architecture
is a special case. The rest is arithmetic: bytes of weights, gradients, optimizer states, logits and
the KV cache of a chat. tests/commands/test_estimate.py compares it with a measured training.
"""

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException, MissingConfigException
from omegaconf import OmegaConf
from peft import PeftModel
from torch.autograd.graph import saved_tensors_hooks
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from espejo.commands import proposal
from espejo.commands.init_wording import InitWording
from espejo.core import faults
from espejo.core.config import checked
from espejo.core.errors import UserError
from espejo.dataset.filters import FilterConfig
from espejo.formatting.config import FormatConfig
from espejo.model.config import ModelConfig
from espejo.model.hardware import AUTO
from espejo.model.loading import needs_float32_adapters
from espejo.training.config import TrainConfig
from espejo.training.distributed import split_batch
from espejo.training.sft import add_lora

CARDS = (8, 15, 24, 40, 80)  # GB of graphics cards; a T4 shows 15 of its 16
USABLE = 0.9  # of a card: the rest goes to its driver and to fragmentation
# The formatted demo has 3.0 (SmolLM2) and 2.7 (Gemma 3); fewer, to be safe.
CHARS_PER_TOKEN = 2.5
TEMPLATE_TOKENS = 64  # system text, roles, beginnings and ends
MAX_REPLY_CHARS = 1000  # where the filter allows more
_TILE = (4096, 32768)  # labels x tokens of the vocabulary whose logits TRL holds at a time
_CONF = Path("conf")

# Bytes of a weight: four bits, and a float32 scale for each block of 64 weights; with double
# quantization the scales are bytes, with a float32 for 256 of them (QLoRA, Dettmers et al., 2023).
_NF4 = 0.5 + 4 / 64
_NF4_DOUBLE = 0.5 + 1 / 64 + 4 / (64 * 256)


@dataclass(frozen=True)
class Need:
    """Weights, trained weights, tokens of the longest text, and bytes for training and for chat."""

    parameters: int
    trained: int
    tokens: int
    training: float
    chat: float


def architecture(name: str) -> PretrainedConfig:
    """The architecture of the model with the id `name`, from architectures.json or the hub's cache.

    Raises UserError where it is in neither: nothing is downloaded.
    """
    shipped = json.loads((files("espejo.commands") / "architectures.json").read_text("utf-8"))
    if name in shipped:
        return AutoConfig.for_model(**shipped[name]["config"])
    try:
        # Of a multimodal model only the part that reads text.
        return AutoConfig.from_pretrained(name, local_files_only=True).get_text_config()
    except OSError as error:
        raise UserError(
            f"The architecture of {name} is not known here: `hf download {name} config.json`, or "
            "add it to espejo/commands/architectures.json."
        ) from error


def lengths(params: Mapping) -> tuple[int, int]:
    """Tokens of the longest text that `params` (all sections) allow, and how many have labels."""
    form = checked(FormatConfig, params["format"], _CONF)
    max_reply_chars = checked(FilterConfig, params["filter"], _CONF).max_reply_chars
    loss = checked(TrainConfig, params["train"], _CONF).loss
    reply = math.ceil(min(max_reply_chars, MAX_REPLY_CHARS) / CHARS_PER_TOKEN)
    tokens = TEMPLATE_TOKENS + math.ceil(form.max_context_chars / CHARS_PER_TOKEN) + reply
    # In a text of several replies nearly all may be the author's.
    several = form.replies_per_text > 1 and (form.tags is None or form.tags.closed)
    return tokens, tokens if several or loss == "text" else reply


def need(params: Mapping) -> Need:
    """What training and chat need with `params`, all sections of params.yaml.

    Raises UserError for a setting that is none, and as `architecture` does.
    """
    model = checked(ModelConfig, params["model"], _CONF)
    train = checked(TrainConfig, params["train"], _CONF)
    micro_batch, _ = split_batch(train.batch_size, train.micro_batch_size, 1)
    config = architecture(model.id)
    # The estimate is for graphics cards, where auto means half precision and sdpa. float16 stands
    # for four bits too: beside either, adapters are float32 (loading.needs_float32_adapters).
    half = torch.float16 if model.quantization else torch.bfloat16
    dtype = getattr(torch, model.precision, half)
    size = dtype.itemsize
    tokens, learnt = lengths(params)
    tokens = min(tokens, config.max_position_embeddings)
    fused = train.attention in (AUTO, "sdpa")
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(
            config,
            dtype=dtype,
            attn_implementation="eager" if fused else train.attention,
        )
        parameters = base.num_parameters()
        loaded = _weight_bytes(base, model, size)
        # What is not in four bits becomes float32 for training.
        frozen = _weight_bytes(base, model, 4 if model.quantization else size)
        lora = train.method == "lora"
        trainable = add_lora(base, train) if lora else base.train()
        if lora and not needs_float32_adapters(base):
            trainable.to(dtype)  # PEFT does so, but not on the meta device
        saved = float(_saved_bytes(trainable, micro_batch, tokens, fused))
    if train.gradient_checkpointing:  # the input of every layer, and the activations of one
        inputs = micro_batch * tokens * config.hidden_size * (4 if lora else size)
        saved = saved / config.num_hidden_layers + inputs * config.num_hidden_layers
    trained = trainable.num_parameters(only_trainable=True)
    # Weight, gradient, and Adam's two moments; all weights are trained in float32, with a copy in
    # half precision that autocast keeps.
    per_weight = 4 * (4 if model.quantization or not lora else size) + (0 if lora else size)
    # TRL holds one tile of the logits at a time, only at labels; beside it the inputs of the head
    # there, and their gradient in float32.
    labels = micro_batch * min(learnt, tokens)
    columns = min(_TILE[1], config.vocab_size)
    head = min(_TILE[0], labels) * columns * size + labels * config.hidden_size * (4 + size)
    if model.quantization:  # the head is float32; its product is computed in half precision
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
        training=(frozen if lora else 0) + trained * per_weight + saved + head,
        # An adapter shares the base's weights; a model whose weights were all trained is a second.
        chat=(loaded + trained * size if lora else 2 * loaded) + cache + 4 * config.vocab_size,
    )


def estimate_all(conf: Path, settings: Sequence[str]) -> tuple[dict[str, Need], dict[str, str]]:
    """What each model of the folder `conf` needs with the `settings`, written as for Hydra.

    Models that cannot be trained with them come second, each with the reason. Raises UserError
    where there is no model, or for settings that do not compose.
    """
    names = proposal.models(conf)
    of_models = [setting for setting in settings if setting.startswith("model=")]
    if of_models:  # one that is named, or several with commas between them
        settings = [setting for setting in settings if setting not in of_models]
        chosen = of_models[-1].removeprefix("model=").split(",")
        names = [proposal.named(name, names, InitWording("en")) for name in chosen]
    logging.set_verbosity_error()  # it warns of missing kernels, which nothing here runs
    needs, refused = {}, {}
    with faults.about(_CONF), initialize_config_dir(str(conf), version_base=None):
        for name in names:
            try:
                composed = compose("config", [f"model={name}", *settings])
            except HydraException as error:
                overrides = " ".join([f"model={name}", *settings])
                raise UserError(
                    f"conf/ does not compose with {overrides}: {_why(error)}."
                ) from error
            params = OmegaConf.to_container(composed, resolve=True)
            assert isinstance(params, dict)
            try:
                needs[name] = need(params)
            except UserError as error:
                refused[name] = str(error)
    return needs, refused


def _why(error: HydraException) -> str:
    """What is not there, and what is: without `_defaults`, which is no choice."""
    line = str(error).splitlines()[0]
    if isinstance(error, MissingConfigException) and error.options:
        line = " ".join(str(error).partition("Available options")[0].split())
        return f"{line}; there are {', '.join(n for n in error.options if not n.startswith('_'))}"
    if line.startswith("Could not override"):  # Hydra proposes a +, which adds what nobody reads
        return (
            f"{line.rstrip('.')}; `python conf/compose.py` with the same setting names the nearest"
        )
    return line.rstrip(".")


def advice(settings: Sequence[str]) -> str:
    """What to try next, after the table for these `settings`."""
    overrides = " ".join(f"-S {shlex.quote(setting)}" for setting in settings)
    named = any(setting.startswith("data=") for setting in settings)
    own = (_CONF / "data" / "mine.yaml").is_file() and not named  # else it would be the demo
    run = f"dvc exp run {'-S data=mine ' if own else ''}-S model=NAME {overrides}".strip()
    estimate = f"espejo estimate {overrides}".strip()
    if any(setting.startswith("train=") for setting in settings):
        return f"To train so: `{run}`."
    return (
        f"On a smaller card, with as many texts a step: `{run} -S train=qlora-15gb` (a T4) or "
        f"`{run} -S train=qlora-8gb`. What fits then: `{estimate} -S train=qlora-8gb`."
    )


def cards(needed_bytes: float) -> list[int]:
    """The sizes of CARDS, in GB, that hold so much."""
    return [card for card in CARDS if needed_bytes <= card * USABLE * 1e9]


def table(needs: Mapping[str, Need]) -> str:
    """What each named model needs, as text in columns."""
    head = ("model", "weights", "trained", "tokens", "training", "on cards of", "chat", "on cards")
    rows = [head] + [
        (
            name,
            f"{need.parameters / 1e6:,.1f} M",
            f"{need.trained / 1e6:,.1f} M",
            str(need.tokens),
            f"{need.training / 1e9:.1f} GB",
            " ".join(map(str, cards(need.training))) or "none",
            f"{need.chat / 1e9:.1f} GB",
            " ".join(map(str, cards(need.chat))) or "none",
        )
        for name, need in needs.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = (
        [
            cell.rjust(width) if column in (1, 2, 3, 4, 6) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    )
    return "\n".join("  ".join(cells).rstrip() for cells in aligned)


def _weight_bytes(model: PreTrainedModel, config: ModelConfig, size: int) -> float:
    """Bytes of the weights; a weight that is not quantized has `size` bytes."""
    total = float(sum(weight.numel() for weight in model.parameters()) * size)
    if config.quantization == "nf4":
        quantized = _NF4_DOUBLE if config.double_quantization else _NF4
        head = model.get_output_embeddings()  # bitsandbytes does not quantize it
        for module in model.modules():
            if isinstance(module, torch.nn.Linear) and module is not head:
                total -= module.weight.numel() * (size - quantized)
    return total


def _saved_bytes(model: PreTrainedModel | PeftModel, batch: int, tokens: int, fused: bool) -> int:
    """Bytes of activations saved for the backward pass, excluding weights.

    Fused attention saves no matrix of tokens x tokens.
    """
    weights = {weight.untyped_storage()._cdata for weight in model.parameters()}
    storages: dict[int, torch.UntypedStorage] = {}

    def record(saved: torch.Tensor) -> torch.Tensor:
        storage = saved.untyped_storage()
        if storage._cdata not in weights and not (fused and saved.shape[-2:] == (tokens, tokens)):
            storages[storage._cdata] = storage  # held, so that no other gets its address
        return saved

    ids = torch.zeros((batch, tokens), dtype=torch.long, device="meta")
    mask: torch.Tensor | dict[str, torch.Tensor | None] = torch.ones_like(ids)
    if "linear_attention" in (getattr(model.config, "layer_types", None) or ()):
        # transformers would read the mask's values, which the meta device does not have: these are
        # the masks that it would make.
        scores = torch.zeros((batch, 1, tokens, tokens), dtype=model.dtype, device="meta")
        mask = {"full_attention": scores, "linear_attention": None}
    with saved_tensors_hooks(record, lambda saved: saved):
        model(input_ids=ids, attention_mask=mask, use_cache=False, logits_to_keep=1)
    return sum(storage.nbytes() for storage in storages.values())
