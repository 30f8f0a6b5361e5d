"""Checks that need a GPU: whether everything runs there, how fast, in how much memory.

    python -m benchmarks.gpu                   # after `make repro`: some ten minutes on an H100
    python -m benchmarks.gpu memory halves     # some of the checks

Each check is a process of its own with a time limit; a case that fails is reported by the last line
of its error, and the others go on. Nothing is downloaded: models that are not bundled get their
real shapes and random weights, which show memory, speed, dtypes and errors as well as the real
ones, but not quality. Writes docs/results/gpu.json and prints the tables
of docs/models-and-hardware.md. Without a GPU the checks run on narrow models, as a trial of this
script: the figures then mean nothing.
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.commands import estimate
from espejo.core import tables
from espejo.model import hardware, loading
from espejo.training import checkpoints, distributed, sft

# isort: split
import argparse
import functools
import gc
import json
import math
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, cast
from unittest import mock

import numpy as np
import pandas as pd
import torch
import yaml
from torch.nn.functional import cross_entropy
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    TrainerCallback,
)

from benchmarks.training import ROOT, composed, flops
from espejo.core.errors import UserError
from espejo.formatting.labels import IGNORED, Encoded, encode
from espejo.model.config import Precision
from espejo.model.generation import generation_config, reply_all
from espejo.model.pair import ModelPair
from espejo.prediction.losses import per_example, token_losses
from espejo.training import frozen_head
from tests.helpers.configs import changed, typed
from tests.helpers.launched import TOKENIZER
from tests.model.test_every_model import NARROW, NARROW_GPT2, tiny_base

RESULT = ROOT / "docs" / "results" / "gpu.json"
ON_GPU = torch.cuda.is_available()
STEPS, WARM_UP = 6, 2  # steps of a timed training, and how many of the first are not counted
REPLIES = 200
_COMPOSING = Lock()  # Hydra's state is global: one composition at a time
NO_COMMIT = "0" * 40  # the revision of a model that was never on the hub
TURN_END = "<|im_end|>"  # of the tokenizer of tests/helpers/launched.py
Row = dict[str, Any]


class Clock(TrainerCallback):
    """Counts the seconds of each step, the card's work included, and keeps the optimizer."""

    def __init__(self) -> None:
        self.spent: list[float] = []
        self.optimizer: object = None
        self._began = 0.0

    def on_step_begin(self, *_: object, **__: object) -> None:
        """Start the clock."""
        self._began = now()

    def on_step_end(self, *_: object, optimizer: object = None, **__: object) -> None:
        """Stop the clock."""
        self.spent.append(now() - self._began)
        self.optimizer = optimizer


def now() -> float:
    """The time in seconds, after all queued work of the GPU is done."""
    if ON_GPU:
        torch.cuda.synchronize()
    return time.perf_counter()


def peak() -> float:
    """Peak GB allocated for tensors on the GPU since `fresh`."""
    return torch.cuda.max_memory_allocated() / 1e9 if ON_GPU else 0.0


def fresh(share: float = 1.0) -> None:
    """Free the memory of the last case, and allow the next one a `share` of the GPU's."""
    gc.collect()
    if ON_GPU:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.set_per_process_memory_fraction(min(1.0, share))


@functools.cache
def products(dtype: torch.dtype) -> float:
    """The quickest product of two square matrices here, in operations a second."""
    size = 8192 if ON_GPU else 512
    left, right = (torch.randn(size, size, dtype=dtype, device=hardware.device()) for _ in range(2))
    spent = []
    for _ in range(20):
        began = now()
        left @ right
        spent.append(now() - began)
    return 2 * size**3 / min(spent)


def shape(params: Mapping) -> PretrainedConfig:
    """The architecture of the model of `params`; a narrow one where there is no card."""
    config = estimate.architecture(params["model"]["id"])
    if not ON_GPU:
        config.update(NARROW_GPT2 if config.model_type == "gpt2" else NARROW)
    return config


def drawn(config: PretrainedConfig, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Random weights for `config`, named as in the files of the hub; norms are ones.

    All matrices are views of one random tensor, which saves time and memory.
    """
    with torch.device("meta"):
        bare = AutoModelForCausalLM.from_config(config)
    weights = dict(bare.named_parameters())  # tied ones once
    most = max(weight.numel() for weight in weights.values())
    torch.manual_seed(0)
    pool = torch.randn(most, device=hardware.device()).mul_(0.02).to(dtype).cpu()
    norms = ("norm", "ln_")
    return {
        name: pool[: weight.numel()].view(weight.shape)
        if weight.ndim > 1
        else torch.full(weight.shape, float(any(n in name for n in norms)), dtype=dtype)
        for name, weight in weights.items()
    }


def base(params: Mapping, share: float = 1.0) -> PreTrainedModel:
    """The base model as stages.train loads it, from a package or with weights drawn at random.

    It may take a `share` of the card.
    """
    model = typed(params).model
    precision: Precision | None = "float32" if params["train"]["method"] == "full" else None
    fresh()
    if ON_GPU and model.source == "bundled":
        fresh(share)
        return loading.load_base(model, precision)
    config = shape(params)
    kind = cast(type[PreTrainedModel], MODEL_FOR_CAUSAL_LM_MAPPING[type(config)])

    def load(name: None, revision: str | None = None, **how: Any) -> PreTrainedModel:  # noqa: ANN401
        weights = drawn(config, hardware.dtype_of(model.precision))
        fresh(share)  # the memory of the random draw
        return kind.from_pretrained(name, config=config, state_dict=weights, **how)

    with (
        mock.patch.object(loading, "locate", return_value=(None, NO_COMMIT)),
        mock.patch.object(loading.AutoModelForCausalLM, "from_pretrained", load),
    ):
        return loading.load_base(changed(model, added_tokens=[]), precision)


def texts(params: Mapping, number: int) -> list[Encoded]:
    """Random tokens, as long as the settings allow (estimate.lengths)."""
    tokens, learnt = estimate.lengths(params) if ON_GPU else (64, 32)
    config = shape(params)
    tokens = min(tokens, config.max_position_embeddings)
    ids = np.random.default_rng(0).integers(3, config.vocab_size, (number, tokens)).tolist()
    start = tokens - min(learnt, tokens)
    return [
        {"input_ids": row, "labels": [IGNORED] * start + row[start:], "kinds": [""] * tokens}
        for row in ids
    ]


def at_once(params: Mapping) -> int:
    """The micro-batch size with these params."""
    train = params["train"]
    return distributed.split_batch(train["batch_size"], train["micro_batch_size"], 1)[0]


def trained(
    params: Mapping, rows: Sequence[Encoded], steps: int, share: float = 1.0
) -> tuple[Row, Clock]:
    """Train on `rows` as the params say, for so many steps; figures, and the clock."""
    train, size = typed(params).train, at_once(params)
    most = products(hardware.dtype_of(params["model"]["precision"]))
    untrained = base(params, share)
    load, held = peak(), 0.0
    if ON_GPU:
        torch.cuda.reset_peak_memory_stats()
        held = torch.cuda.memory_allocated() / 1e9
    clock = Clock()
    with tempfile.TemporaryDirectory() as scratch:
        end = sft.train(
            untrained,
            TOKENIZER,
            rows,
            [rows[0]] * 4 * size,  # a whole validation batch, which takes memory as well
            changed(train, epochs=steps, max_steps=steps, evals_per_run=1, log_steps=1),
            Path(scratch),
            precision=params["model"]["precision"],
            callbacks=[clock],
        )
    losses = end.curve["train"].dropna()
    timed = clock.spent[WARM_UP:]
    seconds = sum(timed) / len(timed)
    tokens = train.batch_size * len(rows[0]["input_ids"])
    labels = tokens * sum(label != IGNORED for label in rows[0]["labels"]) // len(rows[0]["labels"])
    with torch.device("meta"):
        bare = AutoModelForCausalLM.from_config(shape(params))
    row = {
        "weights_gb": held,
        "loading_gb": load,
        "training_gb": peak(),
        "reserved_gb": torch.cuda.max_memory_reserved() / 1e9 if ON_GPU else 0.0,
        "tokens_per_second": tokens / seconds,
        "share_of_peak": flops(bare, tokens, labels, train.method) / seconds / most,
        "loss": [losses.iloc[0], losses.iloc[-1]],
        "finite": bool(np.isfinite(losses).all()),
    }
    return row, clock


def memory(name: str) -> Row:
    """Train at the configured lengths, within the smallest GPU that `espejo estimate` names. If
    that runs out of memory, train without a limit, to measure what it takes.
    """
    params = composed([f"model={name}"])
    steps = STEPS if ON_GPU else WARM_UP + 1
    rows = texts(params, params["train"]["batch_size"] * steps)
    need = estimate.need(params).training
    card = min(estimate.cards(need), default=0)
    total = torch.cuda.get_device_properties(0).total_memory if ON_GPU else math.inf
    try:
        row, fits = trained(params, rows, steps, card * estimate.USABLE * 1e9 / total)[0], True
    except UserError as error:
        print(f"{name} in {card} GB: {error}", flush=True)
        traceback.clear_frames(error.__traceback__)
        row, fits = trained(params, rows, steps)[0], False
    return {
        "tokens": len(rows[0]["input_ids"]),
        "estimate_gb": need / 1e9,
        **row,
        "estimate_by_measured": need / 1e9 / row["training_gb"] if ON_GPU else None,
        "card_gb": card,
        "fits": fits,
    }


def halves(name: str) -> Row:
    """Fifty steps as on a T4: a GPU without bfloat16 computes in float16."""
    params = composed([f"model={name}"])
    params["train"]["batch_size"] = at_once(params)
    params["train"]["learning_rate"] = min(params["train"]["learning_rate"], 1e-3)
    steps = 50 if ON_GPU else 4
    refused = mock.patch.object(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )
    with refused:
        chosen = str(hardware.dtype_of(params["model"]["precision"])).removeprefix("torch.")
        row, clock = trained(params, texts(params, 4 * params["train"]["batch_size"]), steps)
    scaler = getattr(clock.optimizer, "scaler", None)
    return {
        "precision": chosen,
        "steps": steps,
        **row,
        "scale": scaler.get_scale() if scaler else None,
    }


def attention(kind: str) -> Row:
    """SmolLM3-3B with adapters on bfloat16 weights, and each implementation of attention."""
    params = composed(("model=smollm3", "model.quantization=null", f"train.attention={kind}"))
    return trained(params, texts(params, 4), STEPS if ON_GPU else WARM_UP + 1)[0]


def head(kind: str) -> Row:
    """Loss and gradient at the output head of SmolLM3 (128,256 tokens), three ways."""
    function, _, share = kind.partition(" ")
    config = shape(composed(["model=smollm3"]))
    tokens, device = (2048 if ON_GPU else 64), hardware.device()
    dtype = torch.bfloat16 if ON_GPU else torch.float32
    torch.manual_seed(0)
    weight = torch.randn(config.vocab_size, config.hidden_size, device=device).to(dtype) * 0.02
    states = torch.randn(tokens, config.hidden_size, device=device).to(dtype).requires_grad_()
    targets = torch.randint(config.vocab_size, (tokens,), device=device)
    some = slice(0, round(tokens * int(share.rstrip("%")) / 100))
    fresh()
    held = torch.cuda.memory_allocated() / 1e9 if ON_GPU else 0.0

    def loss() -> torch.Tensor:
        if function == "everywhere":  # as transformers does it: logits of every token, in float32
            return cross_entropy((states @ weight.T).float()[some], targets[some])
        if function == "trl":
            scored = frozen_head._trl_function.apply(
                states[some], weight, None, targets[some], 1.0, 32768, None, 1.0, ("is_top1",)
            )
        else:
            scored = frozen_head.FrozenHead.apply(states[some], weight, targets[some])
        return -scored[0].mean()

    spent = []
    for _ in range(8):
        states.grad = None
        began = now()
        value = loss()
        value.backward()
        spent.append(now() - began)
    return {
        "milliseconds": 1e3 * min(spent),
        "peak_gb": peak() - held,
        "loss": value.item(),
        "gradient": cast(torch.Tensor, states.grad).float().norm().item(),
    }


def replies(kind: str) -> Row:
    """Replies of maximum length to prompts of some 250 tokens, for several batch sizes."""
    name, _, at_once = kind.partition(" ")
    params = composed([f"model={name}"])
    model = base(params)
    number, batch = (REPLIES, int(at_once)) if ON_GPU else (4, 2)
    if batch == 1:
        number = 10
    prompts = ["hola dale voy che bien " * (20 + index % 10) for index in range(number)]
    config = generation_config(TOKENIZER, TURN_END, typed(params).generate)
    reply_all(model, TOKENIZER, prompts[:2], config, ["\0"], seed=1)
    began = now()
    reply_all(model, TOKENIZER, prompts, config, ["\0"], seed=1, batch=batch)
    seconds = now() - began
    return {
        "precision": params["model"]["quantization"] or str(model.dtype).removeprefix("torch."),
        "replies": number,
        "seconds": seconds,
        "replies_per_second": number / seconds,
        "tokens_per_second": number * config.max_new_tokens / seconds,
        "peak_gb": peak(),
    }


@contextmanager
def workplace(overrides: Sequence[str]) -> Iterator[tuple[Path, dict, dict[str, str]]]:
    """A folder where stages run: its path, its params, and the environment variables."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        with _COMPOSING:
            params = composed(overrides)
        (place / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
        (place / "data").mkdir()
        for name in ("filtered", "examples", "turns", "people"):
            (place / "data" / f"{name}.parquet").symlink_to(ROOT / "data" / f"{name}.parquet")
        (place / "data" / "raw").symlink_to(ROOT / "data" / "raw")
        (place / "conf").symlink_to(ROOT / "conf")
        bins = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        around = {"PATH": bins, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.getenv('PYTHONPATH', '')}"}
        if params["model"]["source"] == "hub":  # a narrow model in the place of the hub's cache
            cached = place / "hub" / f"models--{params['model']['id'].replace('/', '--')}"
            tiny_base(params, cached / "snapshots" / NO_COMMIT)
            (cached / "refs").mkdir()
            (cached / "refs" / "main").write_text(NO_COMMIT, "ascii")
            around |= {"HF_HOME": str(place), "HF_HUB_OFFLINE": "1"}
        yield place, params, around


def ran(
    place: Path, around: Mapping[str, str], *command: str, typed: str = ""
) -> tuple[str, float]:
    """What a command printed in `place`, and its seconds. Raises with its last output."""
    began = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=place,
        env={**os.environ, **around},
        input=typed,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])}: {done.stderr.strip()[-8000:]}")
    return done.stdout, time.perf_counter() - began


FORMAT = (
    *("-m", "stages.format", "data/filtered.parquet", "data/people.parquet"),
    *("data/formatted.parquet", "metrics/format.json"),
)
TRAIN = (
    *("-m", "stages.train", "data/formatted.parquet", "model", "metrics/train.json"),
    *("plots/loss.csv", "reports/epochs.md"),
)
PREDICT = (
    *("-m", "stages.predict", "data/formatted.parquet", "data/filtered.parquet"),
    *("data/people.parquet", "data/probes.parquet", "model"),
    *(f"data/{name}.parquet" for name in ("learnt", "losses", "ranks", "canaries")),
    "data/replies.parquet",
)
EVALUATE = ("-m", "stages.evaluate", "data", "metrics/eval.json", "plots")
SCORE = "from benchmarks.gpu import bits; print(bits('model', 'data/formatted.parquet'))"


def bits(folder: str, formatted: str) -> float:
    """Bits per character of the first test replies, by the model in `folder`."""
    pair = ModelPair(Path(folder))
    table = tables.read(Path(formatted), tables.FORMATTED)
    test = table[table["split"] == "test"].head(20)
    rows = [encode(pair.tokenizer, row.text, row.spans) for row in test.itertuples()]
    with pair.tuned() as model:
        losses = token_losses(model, rows, 1024)
    sums = per_example(losses, rows, test["spans"])
    return float(sums["nats"].sum() / sums["chars"].sum() / math.log(2))


def pipeline(name: str) -> Row:
    """Run the stages from format to evaluate, a chat, and the adapter on the CPU."""
    overrides = [f"model={name}", "experiment=smoke", "train.max_steps=40"]
    if not ON_GPU:
        overrides[-1] = "train.max_steps=2"
    python = sys.executable
    with workplace(overrides) as (place, _, around):
        ran(place, around, python, *FORMAT)
        _, training_seconds = ran(place, around, python, *TRAIN)
        seconds = [ran(place, around, python, *stage)[1] for stage in (PREDICT, EVALUATE)]
        chat = ("-m", "espejo.commands.cli", "chat", "--model", "model", "--seed", "1")
        chat_output, _ = ran(place, around, python, *chat, typed="hola\n/base\nsalir\n")
        here, _ = ran(place, around, python, "-c", SCORE)
        alone = {**around, "CUDA_VISIBLE_DEVICES": ""}
        there, _ = ran(place, alone, python, "-c", SCORE)
        loss = pd.read_csv(place / "plots" / "loss.csv")["train"].dropna()
        manifest = json.loads((place / "model" / "espejo.json").read_text("utf-8"))
        scores = json.loads((place / "metrics" / "eval.json").read_text("utf-8"))
    losses = [float(text.split()[-1]) for text in (here, there)]
    return {
        "chosen": hardware.describe(manifest["hardware"]),
        "loss": [loss.iloc[0], loss.iloc[-1]],
        "train_seconds": training_seconds,
        "evaluate_seconds": sum(seconds),
        "chat": chat_output.count("› "),
        "bits_tuned": scores["tuned"]["bits_per_character"]["value"],
        "bits_here": losses[0],
        "bits_on_processor": losses[1],
        "apart": abs(losses[0] - losses[1]),
    }


LAUNCHED = (
    "train.log_steps=1",
    "train.evals_per_run=3",
    "train.max_steps=12",
    "train.sample_prompts=[hola]",
)


def curve(place: Path) -> pd.DataFrame:
    """The loss curve that stages.train wrote."""
    return pd.read_csv(place / "plots" / "loss.csv").set_index("step")


def launched(kind: str) -> Row:
    """Twelve steps under a launcher, or killed and resumed, against one uninterrupted process."""
    launcher, _, rest = kind.partition(" ")
    name = "smollm2-qlora" if "4 bits" in rest else "smollm2"
    fsdp = "accelerate launch --config_file conf/launch/fsdp.yaml --num_processes 1"
    overrides = [f"model={name}", *LAUNCHED, f"launch.fsdp={fsdp}"]
    if not ON_GPU:
        overrides += ["train.max_steps=3"]
    with workplace(overrides) as (place, params, around):
        ran(place, around, sys.executable, *FORMAT)
        ran(place, around, sys.executable, *TRAIN)
        alone = curve(place)
        seconds = None
        if launcher == "resumed":
            with subprocess.Popen(
                (sys.executable, *TRAIN),
                cwd=place,
                env={**os.environ, **around},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            ) as process:
                while process.poll() is None and not list(
                    place.glob("checkpoints/*/checkpoint-*/trainer_state.json")
                ):
                    time.sleep(0.05)
                process.send_signal(signal.SIGKILL)
            if process.returncode != -signal.SIGKILL:
                raise RuntimeError("the training was over before it could be killed")
            output, seconds = ran(place, around, sys.executable, *TRAIN)
            if "Resuming from" not in output:
                raise RuntimeError("it began anew")
        else:
            command = shlex.split(params["launch"][launcher])
            _, seconds = ran(place, around, *command, *TRAIN)
        other = curve(place)
        metrics = json.loads((place / "metrics" / "train.json").read_text("utf-8"))
    return {
        "processes": metrics["processes"],
        "seconds": seconds,
        "loss": [alone["train"].iloc[0], alone["train"].iloc[-1]],
        "apart": float((alone - other).abs().max().max()),
        "steps": len(other),
    }


@dataclass(frozen=True)
class Check:
    """A check: its function, the cases, the time limit in seconds, and whether cases run in
    parallel."""

    function: Callable[[str], Row]
    cases: Sequence[str]
    seconds: int
    together: bool = False  # starts processes of its own, and its timing is not critical


MODELS = (
    *("phi3", "llama2", "smollm3", "llama3", "mistral", "gemma3", "qwen3", "smollm2"),
    *("deepseek-qwen", "smollm2-qlora", "smollm2-clm", "gpt2-spanish"),
)
CHECKS = {
    "pipeline": Check(pipeline, ("smollm2", "gemma3", "phi3"), 240, together=True),
    "memory": Check(memory, MODELS, 420),
    "halves": Check(halves, ("phi3", "smollm2", "smollm2-clm", "gemma3", "smollm2-qlora"), 180),
    "replies": Check(
        replies,
        ("smollm2 1", "smollm2 32", "smollm2 200", "gemma3 32", "phi3 32", "llama3 32"),
        180,
    ),
    "attention": Check(attention, ("sdpa", "eager", "grouped", "flash_attention_2"), 120),
    "head": Check(
        head,
        tuple(f"{way} {share}%" for share in (100, 10) for way in ("everywhere", "trl", "ours")),
        60,
    ),
    "launched": Check(
        launched, ("ddp", "fsdp", "fsdp 4 bits", "resumed", "resumed 4 bits"), 240, together=True
    ),
}


def error_line(error: BaseException) -> str:
    """The last line of an error that is not empty."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    lines = [line for line in lines if "Error" in line] or lines
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:400]


def case(function: Callable[[str], Row], name: str) -> Row:
    """The row of one case, or its error."""
    began = time.perf_counter()
    try:
        row = function(name)
    except Exception as error:
        traceback.print_exc()
        row = {"error": error_line(error)}
        traceback.clear_frames(error.__traceback__)  # they hold a model
    return {"case": name, **row, "took": time.perf_counter() - began}


def inside(name: str, output: Path) -> None:
    """Run one check in this process; each row is written as soon as it is ready."""
    name, _, some = name.partition("=")
    check = CHECKS[name]
    cases = some.split(",") if some else check.cases
    workers = len(cases) if check.together else 1
    with ThreadPoolExecutor(workers) as pool, output.open("a") as rows:
        for row in pool.map(lambda arguments: case(check.function, arguments), cases):
            print(json.dumps(row), file=rows, flush=True)


def machine() -> Row:
    """The GPU, its driver, and the versions of the libraries that use it."""
    description: Row = {"processor": hardware.processor(), **checkpoints.libraries()}
    if ON_GPU:
        ask = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
        description |= {
            "card": torch.cuda.get_device_name(),
            "memory_gb": torch.cuda.get_device_properties(0).total_memory / 1e9,
            "driver": subprocess.check_output(ask, text=True).split()[0],
            "cuda": torch.version.cuda,
            "tflops_bfloat16": products(torch.bfloat16) / 1e12,
            "tflops_float16": products(torch.float16) / 1e12,
        }
    return description


def cell(value: object) -> str:
    """A number formatted for a table."""
    if isinstance(value, list):
        return " → ".join(map(cell, value))
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "–" if value is None else str(value)


def markdown(rows: Iterable[Row]) -> str:
    """Rows as a Markdown table; a failed one has its error in the last column."""
    rows = list(rows)
    heads = list(dict.fromkeys(key for row in rows for key in row if key != "took"))
    lines = [heads, ["---"] * len(heads)]
    lines += [[cell(row.get(head)) for head in heads] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |".replace("_", " ") for line in lines)


def main() -> None:
    """Run the checks one after the other and print their tables."""
    parser = argparse.ArgumentParser(description="What only a graphics card can show.")
    parser.add_argument(
        "checks", nargs="*", help=f"some of {', '.join(CHECKS)}; memory=phi3,llama2 for some cases"
    )
    parser.add_argument("--output", type=Path, default=RESULT, help="the JSON that is written")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(options.checks[0], options.inside)
        return
    results: Row = {"machine": machine(), "checks": {}}
    for name in options.checks or CHECKS:
        began = time.perf_counter()
        error = None
        with tempfile.TemporaryDirectory() as scratch:
            rows = Path(scratch) / "rows.jsonl"
            rows.touch()
            command = (sys.executable, "-m", "benchmarks.gpu", name, "--inside", str(rows))
            try:
                subprocess.run(
                    command, cwd=ROOT, timeout=CHECKS[name.partition("=")[0]].seconds, check=True
                )
            except subprocess.SubprocessError as trouble:
                error = error_line(trouble)
            seen = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
        results["checks"][name] = {
            "seconds": time.perf_counter() - began,
            "error": error,
            "rows": seen,
        }
        options.output.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
        print(f"\n## {name}\n\n{markdown(seen)}\n\n{error or ''}", flush=True)
    print(f"\n{json.dumps(results['machine'])}\n")


if __name__ == "__main__":
    main()
