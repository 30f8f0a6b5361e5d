"""What `auto` means on this machine: precision, attention, threads.

None of it goes into params.yaml or the metrics, so that DVC finds everything up to date on another
machine with the same data and settings; it is recorded in the model's manifest (espejo.json).
"""

import functools
import hashlib
import json
import os
import platform
import re
import tempfile
import time
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
from espejo.model.config import ModelConfig, Precision

AUTO = "auto"
WIDE = "wide"  # auto, but never float16
# On a CPU, `auto` is bfloat16 if a product takes at most this share of its time in float32. The
# share is about 0.2 with bfloat16 instructions and 6 to 15 without, so noise does not change it.
CLEARLY_FASTER = 0.8
CLEARLY_SLOWER = 1.25  # above this share, a fixed bfloat16 prints a warning
# Rows (tokens of a batch) x inputs x outputs of the product that is timed: a layer of the bundled
# models.
_ROWS, _INPUTS, _OUTPUTS = 600, 576, 1536
_ROUNDS = 5
# Environment variables that hide CPU instructions from the libraries that multiply.
_LIMITS = (
    "ATEN_CPU_CAPABILITY",
    "DNNL_MAX_CPU_ISA",
    "MKL_ENABLE_INSTRUCTIONS",
    "ONEDNN_MAX_CPU_ISA",
)


class Hardware(TypedDict):
    """The resolved settings of a training; `device` is the name of the GPU or CPU."""

    device: str
    precision: str
    attention: str
    threads: int


def device() -> torch.device:
    """The first GPU, or with several processes this one's own; without a GPU the CPU.

    The CPU on a Mac, too: Apple's GPU (MPS) was never tried, and an operation that it lacks or
    rounds differently would show only in the metrics.
    """
    if not torch.cuda.is_available():
        return torch.device("cpu")
    local = os.environ.get("LOCAL_RANK")  # set by torchrun and accelerate
    return torch.device("cuda") if local is None else torch.device("cuda", int(local))


def resolve(config: ModelConfig, attention: str, architecture: PretrainedConfig) -> Hardware:
    """`config` and train.attention with `auto` resolved for this machine and `architecture`."""
    on_gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if on_gpu else processor(),
        "precision": str(dtype_of(config.precision)).removeprefix("torch."),
        "attention": resolve_attention(attention, architecture),
        "threads": threads(config.threads),
    }


def describe(hardware: Hardware) -> str:
    """The resolved settings in words."""
    return (
        f"{hardware['precision']}, {hardware['attention']} attention, "
        f"threads: {hardware['threads']}, on {hardware['device']}"
    )


def dtype_of(precision: Precision) -> torch.dtype:
    """The dtype that `model.precision` means on this machine.

    auto: bfloat16 where this device multiplies faster in it, float16 on a GPU without bfloat16 (T4,
    V100), float32 otherwise. wide: the same, but float32 on such a GPU, for models whose
    activations exceed 65,504, the largest number of float16. A fixed precision is used as it is,
    except bfloat16 on such a GPU; on a CPU that is slow in bfloat16 it prints a warning.
    """
    if torch.cuda.is_available():
        # By default torch counts emulated bfloat16, which is slow, as supported.
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        if precision == WIDE:
            return torch.bfloat16 if native else torch.float32
        half = torch.bfloat16 if native else torch.float16
        return half if precision in (AUTO, "bfloat16") else getattr(torch, precision)
    if precision in (AUTO, WIDE):
        return torch.bfloat16 if bfloat16_cost() <= CLEARLY_FASTER else torch.float32
    if precision == "bfloat16" and bfloat16_cost() >= CLEARLY_SLOWER:
        _warn_slow(bfloat16_cost())
    return getattr(torch, precision)


@functools.cache  # once per process
def _warn_slow(factor: float) -> None:
    print(
        f"This processor multiplies {factor:.1f} times slower in bfloat16 than in float32: "
        "`-S model.precision=auto` takes the faster one.",
        flush=True,
    )


def resolve_attention(name: str, architecture: PretrainedConfig) -> str:
    """The implementation that `train.attention` means here, for a model of `architecture`.

    auto: sdpa on a GPU, for its fused kernels; on a CPU `grouped` (measured in docs/processors.md),
    but eager for the few architectures that cap their scores, which `grouped` does not. Raises
    UserError for a name that transformers does not know.
    """
    if name != AUTO:
        if name not in ("eager", GROUPED, *ALL_ATTENTION_FUNCTIONS.valid_keys()):
            raise UserError(f"train.attention is {name!r}: it can be auto, sdpa, eager or grouped.")
        return name
    if torch.cuda.is_available():
        return "sdpa"
    return "eager" if getattr(architecture, "attn_logit_softcapping", None) else GROUPED


def threads(setting: str | int) -> int:
    """The number of threads that `model.threads` means; auto: all physical cores available here.

    CPU affinity and a container's limit count, and processes of one launcher share the cores.
    """
    if setting != AUTO:
        return int(setting)
    logical = joblib.cpu_count()  # respects CPU affinity and container quotas
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
        siblings = Path(f"/sys/devices/system/cpu/cpu{number}/topology/thread_siblings_list")
        try:
            cores.add(siblings.read_text("ascii"))
        except OSError:
            return 0
    return len(cores)


@functools.cache
def bfloat16_cost() -> float:
    """Time of a matrix product in bfloat16 divided by its time in float32 on this CPU.

    Measured once (about a tenth of a second) for each CPU and version of torch, and cached in the
    user's cache folder, so that the choice is the same in every run.
    """
    cache = user_cache_path("espejo") / "bfloat16_cost.json"
    key = _machine()
    costs: dict[str, float] = {}
    with suppress(OSError, ValueError, AttributeError, TypeError):  # no cache yet, or damaged
        content = json.loads(cache.read_text("utf-8"))
        costs = {machine: float(cost) for machine, cost in content.items()}
    if key not in costs:
        costs[key] = round(_measured_cost(), 3)
        with suppress(OSError):  # where no cache can be written, every run measures
            cache.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                "w", dir=cache.parent, delete=False, encoding="utf-8"
            ) as draft:
                json.dump(costs, draft, indent=1)
            os.replace(draft.name, cache)  # atomic: two workers may write at the same time
    return costs[key]


def _machine() -> str:
    """The CPU, the version of torch, and limits on the instructions in use, in one line."""
    flags = _cpuinfo(r"^flags\s*:.*$")
    limits = [f"{name}={os.environ[name]}" for name in _LIMITS if os.environ.get(name)]
    digest = hashlib.sha256(flags.encode()).hexdigest()[:8]
    return " ".join([processor(), digest, f"torch {torch.__version__}", *limits])


def processor() -> str:
    """The name of this machine's CPU."""
    name = _cpuinfo(r"(?<=^model name).*$").strip("\t :")
    return name or platform.processor() or platform.machine()


def _cpuinfo(pattern: str) -> str:
    """The first match of `pattern` in Linux' description of its CPUs; "" without any."""
    with suppress(OSError):
        match = re.search(pattern, Path("/proc/cpuinfo").read_text("utf-8"), re.MULTILINE)
        return match[0] if match else ""
    return ""


def _measured_cost() -> float:
    return _product_seconds(torch.bfloat16) / _product_seconds(torch.float32)


@torch.inference_mode()
def _product_seconds(dtype: torch.dtype) -> float:
    states = torch.ones(_ROWS, _INPUTS, dtype=dtype)
    weights = torch.ones(_OUTPUTS, _INPUTS, dtype=dtype)
    linear(states, weights)  # warm-up
    seconds = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        linear(states, weights)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
