"""What this machine computes with, where the settings say `auto`: precision, attention, threads.

None of it goes into params.yaml or metrics, so that another machine with the same data and settings
finds everything up to date; it stands beside the model (`model/espejo.json`) instead.
"""

import functools
import hashlib
import json
import os
import platform
import re
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

import joblib
import psutil
import torch
from platformdirs import user_cache_path
from torch.nn.functional import linear
from transformers import PretrainedConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from espejo.core.errors import UserError
from espejo.model.attention import NAME as GROUPED

AUTO = "auto"
WIDE = "wide"  # auto, but never float16
PRECISIONS = (AUTO, WIDE, "bfloat16", "float16", "float32")
# bfloat16 is taken on a processor where a product takes at most this share of float32's time. With
# instructions for it that share is about 0.2, without them 6 to 15, so that noise decides nothing.
CLEARLY_FASTER = 0.8
CLEARLY_SLOWER = 1.25  # from here on a fixed bfloat16 is remarked upon
# Rows (tokens of a batch) x inputs x outputs of the product that is timed: a layer of the models
# that come as packages.
_ROWS, _INPUTS, _OUTPUTS = 600, 576, 1536
_ROUNDS = 5
# Variables that hide instructions of the processor from the libraries that multiply.
_LIMITS = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
)


class Chosen(TypedDict):
    """What a model was trained or is run with; `device` is a name for people."""

    device: str
    precision: str
    attention: str
    threads: int


def device() -> torch.device:
    """The first GPU, or this process's own where several run, or the processor.

    On a Mac the processor: Apple's GPU (MPS) was never tried, and an operation that it lacks or
    rounds differently would show in the numbers alone.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local = os.environ.get("LOCAL_RANK")  # set by torchrun and accelerate
    return torch.device("cuda") if local is None else torch.device("cuda", int(local))


def chosen(model: Mapping, train: Mapping, config: PretrainedConfig) -> Chosen:
    """What the params sections `model` and `train` come to here, for a model of that `config`."""
    on_gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if on_gpu else processor(),
        "precision": str(dtype_of(model["precision"])).removeprefix("torch."),
        "attention": attention(train["attention"], config),
        "threads": threads(model["threads"]),
    }


def described(here: Chosen) -> str:
    """What a model is computed with, for people."""
    return (
        f"{here['precision']}, {here['attention']} attention, threads: {here['threads']}, "
        f"on {here['device']}"
    )


def dtype_of(precision: str) -> torch.dtype:
    """The type of numbers that `model.precision` means on this machine.

    auto: bfloat16 where this device multiplies faster in it, float16 on a GPU that has no bfloat16
    (T4, V100), float32 otherwise. wide: the same, but float32 on such a GPU, for models whose
    activations go beyond 65,504, where float16 ends. A fixed precision is obeyed, but for bfloat16
    on such a GPU; on a processor that is slow in it one sentence says so. Raises UserError for
    anything else.
    """
    if precision not in PRECISIONS:
        raise UserError(
            f"model.precision is {precision!r}: it can be {', '.join(PRECISIONS[:-1])} or "
            f"{PRECISIONS[-1]}."
        )
    if torch.cuda.is_available():
        # Unless told otherwise torch counts as support what it can only emulate, slowly.
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        if precision == WIDE:
            return torch.bfloat16 if native else torch.float32
        half = torch.bfloat16 if native else torch.float16
        return half if precision in (AUTO, "bfloat16") else getattr(torch, precision)
    if precision in (AUTO, WIDE):
        return torch.bfloat16 if bfloat16_cost() <= CLEARLY_FASTER else torch.float32
    if precision == "bfloat16" and bfloat16_cost() >= CLEARLY_SLOWER:
        _say_slow(bfloat16_cost())
    return getattr(torch, precision)


@functools.cache  # once a process
def _say_slow(factor: float) -> None:
    print(
        f"This processor multiplies {factor:.1f} times slower in bfloat16 than in float32: "
        "`-S model.precision=auto` takes the faster one.",
        flush=True,
    )


def attention(wanted: str, config: PretrainedConfig) -> str:
    """The implementation that `train.attention` means here, for a model of that `config`.

    auto: sdpa on a GPU, whose fused kernels it calls; on a processor `grouped` (docs/processors.md
    has the measurements), and eager for the few architectures that cap their scores, which
    `grouped` does not. Raises UserError for one that transformers does not know.
    """
    if wanted != AUTO:
        if wanted not in ("eager", GROUPED, *ALL_ATTENTION_FUNCTIONS.valid_keys()):
            raise UserError(
                f"train.attention is {wanted!r}: it can be auto, sdpa, eager or grouped."
            )
        return wanted
    if torch.cuda.is_available():
        return "sdpa"
    return "eager" if getattr(config, "attn_logit_softcapping", None) else GROUPED


def threads(wanted: str | int) -> int:
    """How many threads `model.threads` means: with auto, all physical cores this process may use.

    Affinity and the limits of a container count, and processes that a launcher started share.
    Raises UserError for what is no number of threads.
    """
    if wanted != AUTO:
        if not str(wanted).isdecimal() or int(wanted) < 1:
            raise UserError(f"model.threads is {wanted!r}: it can be auto or a number from 1 on.")
        return int(wanted)
    logical = joblib.cpu_count()  # knows affinity and containers' quotas
    physical = _allowed_cores() or psutil.cpu_count(logical=False) or logical
    cores = min(logical, physical)
    return max(1, cores // int(os.environ.get("LOCAL_WORLD_SIZE", 1)))


def _allowed_cores() -> int:
    """Physical cores behind the logical ones that this process may run on; 0 where unknown.

    Two hyperthreads of one core multiply no faster than one.
    """
    if not hasattr(os, "sched_getaffinity"):
        return 0
    cores = set()
    for number in os.sched_getaffinity(0):
        place = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
        try:
            cores.add(place.read_text("ascii"))
        except OSError:
            return 0
    return len(cores)


@functools.cache
def bfloat16_cost() -> float:
    """Time of a bfloat16 product over that of the same in float32 on this processor.

    Timed once (a tenth of a second or so) for each processor and version of torch, and kept in the
    user's cache folder, so that the choice cannot flip from one run to the next.
    """
    kept = user_cache_path("espejo") / "bfloat16_cost.json"
    key = _machine()
    known: dict[str, float] = {}
    with suppress(OSError, ValueError, AttributeError, TypeError):  # none yet, or damaged
        read = json.loads(kept.read_text("utf-8"))
        known = {machine: float(cost) for machine, cost in read.items()}
    if key not in known:
        known[key] = round(_timed_cost(), 3)
        with suppress(OSError):  # no cache can be written: it is timed in each run
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=kept.parent, delete=False, encoding="utf-8"
            ) as fresh:
                json.dump(known, fresh, indent=1)
            os.replace(fresh.name, kept)  # whole or not at all, also with two workers at once
    return known[key]


def _machine() -> str:
    """The processor, torch, and what limits the instructions they use, in one line."""
    flags = ""
    with suppress(OSError, TypeError):
        flags = re.search(r"^flags\s*:.*$", Path("/proc/cpuinfo").read_text("utf-8"), re.M)[0]
    limits = [f"{name}={os.environ[name]}" for name in _LIMITS if os.environ.get(name)]
    digest = hashlib.sha256(flags.encode()).hexdigest()[:8]
    return " ".join([processor(), digest, f"torch {torch.__version__}", *limits])


def processor() -> str:
    """The name of this machine's processor."""
    with suppress(OSError, TypeError):
        text = Path("/proc/cpuinfo").read_text("utf-8")
        return re.search(r"^model name\s*:\s*(.*)$", text, re.M)[1].strip()
    return platform.processor() or platform.machine()


def _timed_cost() -> float:
    return _product_seconds(torch.bfloat16) / _product_seconds(torch.float32)


@torch.inference_mode()
def _product_seconds(dtype: torch.dtype) -> float:
    states = torch.ones(_ROWS, _INPUTS, dtype=dtype)
    weights = torch.ones(_OUTPUTS, _INPUTS, dtype=dtype)
    linear(states, weights)  # the first one prepares
    spent = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        linear(states, weights)
        spent.append(time.perf_counter() - began)
    return min(spent)
