"""What training costs: the time that the notebooks' recipe and ours take to the same quality.

    python -m benchmarks.training                    # whole: two hours and more on two cores
    python -m benchmarks.training --share 0.3        # with three of ten sessions: an hour

Reads the filtered demo in data/ (`make repro`). Every recipe learns the same replies on the same
base model (SmolLM2, as large as the notebooks' GPT-2) in a process of its own, so that peak memory
is its own. From time to time it is evaluated (bits per own character of the test replies), with the
clock stopped. Writes docs/results/training.json and prints the tables of
docs/training-cost.md. Times on shared machines are noisy: compare within one run.
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.core import metrics
from espejo.model import hardware, loading, tokenizers
from espejo.training import sft

# isort: split
import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from transformers import PreTrainedModel

from benchmarks.recipes import (
    DATA,
    MODEL,
    Clock,
    Padded,
    bits,
    composed,
    peak_memory,
    reached,
    texts,
)
from docs import fill
from espejo.formatting.labels import IGNORED, Encoded, encode_table
from espejo.prediction.losses import token_losses
from tests.helpers.configs import typed

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "training.json"

OURS = "ours"
# What is set on top of the defaults. The first is the GPT-2 notebook's recipe, all weights in
# float32, padded; the second the SmolLM3 notebook's, the quickest of the three: LoRA in bfloat16,
# padded to the longest of a batch.
ORIGINALS: dict[str, tuple[str, ...]] = {
    "original": ("experiment=original",),
    "original-lora": (
        *("experiment=original", "train=lora", "train.dropout=0.05", "train.padding=null"),
        *("train.learning_rate=2e-4", "model.precision=bfloat16"),
    ),
}
LOOKS = 12  # evaluations on the test replies while a recipe trains
SCORED = 40  # test replies that are scored one by one and batched
ROUNDS = 3  # the best of so many runs counts, where something is timed alone


def flops(model: PreTrainedModel, tokens: int, learnt: int, method: str) -> float:
    """Floating-point operations to train `model` once on `tokens`, of which `learnt` are labelled.

    A forward pass takes 2 for each weight that a token is multiplied with; so do the gradients of
    what goes into a layer, and so do those of its weights (Kaplan et al., 2020: 6 in all), which
    frozen weights do not need (Hu et al., 2021): 4. The head is counted for labelled tokens only.
    Attention between tokens (which Kaplan et al. leave out too), the adapters and padding are not
    counted, so the share of the peak is an underestimate.
    """
    head = model.get_output_embeddings()
    body = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )
    passes = {"lora": 2, "full": 3}[method]
    return 2.0 * passes * (body * tokens + head.weight.numel() * learnt)


def train(
    overrides: Sequence[str],
    share: float,
    test_share: float | None = None,
    looks: int = LOOKS,
    now: Callable[[], float] | None = None,
) -> dict:
    """Train one recipe in this process: its time, work, memory, and its curve on the test.

    `test_share` is as in `recipes.texts`, `looks` and `now` as in `recipes.Clock`.
    """
    params = composed([MODEL, *overrides])
    config, model = typed(params).train, typed(params).model
    parts = texts(params, share, test_share)
    tokenizer = tokenizers.load_tokenizer(model)
    sets = {
        name: encode_table(tokenizer, part, config.loss)
        for name, part in parts.items()
        if name != "test"
    }
    test = encode_table(tokenizer, parts["test"])
    base = loading.load_base(model, "float32" if config.method == "full" else None)
    tokens = sum(len(row["input_ids"]) for row in sets["train"])
    learnt = sum(label != IGNORED for row in sets["train"] for label in row["labels"])
    work = config.epochs * flops(base, tokens, learnt, config.method)
    clock = Clock(lambda trained: bits(trained, test, parts["test"]), looks, now)
    padded = Padded()
    with tempfile.TemporaryDirectory() as scratch:
        trained = sft.train(
            base,
            tokenizer,
            sets["train"],
            sets["validation"],
            config,
            Path(scratch),
            precision=model.precision,
            callbacks=[clock, padded],
        )
    return {
        "overrides": " ".join(overrides),
        "texts": len(sets["train"]),
        "epochs": config.epochs,
        "steps": trained.metrics["steps"],
        "trained_parameters": trained.metrics["trainable_parameters"],
        "precision": str(hardware.dtype_of(model.precision)).removeprefix("torch."),
        "seconds": clock.seconds,
        "tokens": tokens * config.epochs,
        "learnt_tokens": learnt * config.epochs,
        "padding": 1 - tokens * config.epochs / padded.tokens,
        "tokens_per_second": tokens * config.epochs / clock.seconds,
        "gflops_per_second": work / clock.seconds / 1e9,
        "peak_memory_gb": peak_memory() / 1e9,
        "bits_per_character": list(clock.curve.values())[-1],
        "curve": {f"{seconds:.2f}": value for seconds, value in clock.curve.items()},
    }


def matmul_peak() -> dict[str, float]:
    """GFLOP/s of the quickest product of two square matrices, by precision."""
    torch.set_num_threads(hardware.threads(typed(composed([MODEL])).model.threads))
    return {
        precision: max(_product(size, getattr(torch, precision)) for size in (1024, 2048, 4096))
        for precision in ("bfloat16", "float32")
    }


def _product(size: int, dtype: torch.dtype) -> float:
    left, right = (torch.randn(size, size).to(hardware.device(), dtype) for _ in range(2))
    seconds, _ = best_of(lambda: (left @ right)[0, 0].item(), 2 * ROUNDS)
    return 2 * size**3 / seconds / 1e9


def best_of(task: Callable[[], T], rounds: int) -> tuple[float, T]:
    """The least seconds that `task` took, and what it gave."""
    spent = []
    for _ in range(rounds):
        began = time.perf_counter()
        result = task()
        spent.append(time.perf_counter() - began)
    return min(spent), result


@torch.no_grad()
def one_by_one(model: PreTrainedModel, rows: Sequence[Encoded]) -> np.ndarray:
    """The notebooks' loop: the mean loss of each text, one at a time, logits everywhere."""
    losses = []
    for row in rows:
        ids, labels = (
            torch.tensor([row[key]], device=model.device) for key in ("input_ids", "labels")
        )
        losses.append(model(input_ids=ids, labels=labels).loss.item())
    return np.array(losses)


def batched(model: PreTrainedModel, rows: Sequence[Encoded], batch_tokens: int) -> np.ndarray:
    """The same as `evaluate` does it: by length, logits only where there is a label."""
    return np.array([loss.mean() for loss in token_losses(model, rows, batch_tokens)])


def both_ways(model: PreTrainedModel, rows: Sequence[Encoded], batch_tokens: int) -> dict:
    """Texts per second one by one and batched, and the largest difference of losses, in nats per
    token."""
    before, alone = best_of(lambda: one_by_one(model, rows), ROUNDS)
    now, together = best_of(lambda: batched(model, rows, batch_tokens), ROUNDS)
    return {
        "one_by_one_per_second": len(rows) / before,
        "batched_per_second": len(rows) / now,
        "mean_difference": float(abs(alone.mean() - together.mean())),
        "largest_difference": float(np.abs(alone - together).max()),
    }


def scoring(share: float) -> dict:
    """Test replies scored both ways, by precision: the replies alone, and all of their texts."""
    params = composed([MODEL])
    config = typed(params)
    test = texts(params, share)["test"].iloc[:SCORED]
    tokenizer = tokenizers.load_tokenizer(config.model)
    result: dict[str, dict] = {"replies": {}, "texts": {}}
    for precision in ("bfloat16", "float32"):
        base = loading.load_base(config.model, precision)
        attention = hardware.resolve_attention(config.train.attention, base.config)
        base.set_attn_implementation(attention)
        for what, loss in (("replies", "reply"), ("texts", "text")):
            rows = encode_table(tokenizer, test, loss)
            result[what][precision] = both_ways(base, rows, config.predict.batch_tokens)
    return {"n": len(test), **result}


CHILDREN: dict[str, Callable[[argparse.Namespace], dict]] = {
    "train": lambda options: train(options.overrides, options.share),
    "peak": lambda options: matmul_peak(),
    "scoring": lambda options: scoring(options.share),
}


def in_child(what: str, share: float, overrides: Sequence[str] = ()) -> dict:
    """Run one of CHILDREN in a process of its own; the benchmark ends if it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.training", "--child", what]
        command += ["--out", str(answer), "--share", str(share), "--overrides", *overrides]
        if subprocess.run(command, cwd=ROOT).returncode:
            sys.exit(f"{what} {' '.join(overrides)} failed")
        return json.loads(answer.read_text("utf-8"))


def compare(originals: Sequence[str], share: float) -> dict:
    """Train the named originals, then ours until it is as good, for more epochs if necessary.

    Ours first trains with its default epochs; while it ends above an original's figure, it is
    trained again with one epoch more, up to the originals' number of epochs.
    """
    peaks = [in_child("peak", share)]
    recipes = {}
    for name in originals:
        print(f"{name}:", flush=True)
        recipes[name] = in_child("train", share, ORIGINALS[name])
    target = min(recipes[name]["bits_per_character"] for name in originals)
    most = max(recipes[name]["epochs"] for name in originals)
    for epochs in range(composed([MODEL])["train"]["epochs"], most + 1):
        name = OURS if OURS not in recipes else f"{OURS}, {epochs} epochs"
        print(f"{name}:", flush=True)
        recipes[name] = in_child("train", share, [f"train.epochs={epochs}"])
        if recipes[name]["bits_per_character"] <= target:
            break
    peaks.append(in_child("peak", share))
    peak = {key: max(values[key] for values in peaks) for key in peaks[0]}
    for name, recipe in recipes.items():
        recipe["share_of_peak"] = recipe["gflops_per_second"] / peak[recipe["precision"]]
        if name not in originals:
            curve = {float(seconds): value for seconds, value in recipe["curve"].items()}
            recipe["seconds_to_the_figure_of"] = {
                other: reached(curve, recipes[other]["bits_per_character"]) for other in originals
            }
    return {"peak_gflops_per_second": peak, "recipes": recipes}


def main() -> None:
    """Run all of it, or as a child one part of it."""
    parser = argparse.ArgumentParser(description="Time the originals' training and ours.")
    parser.add_argument("--share", type=float, default=1.0, help="of the sessions: less time")
    parser.add_argument(
        "--originals", nargs="+", choices=list(ORIGINALS), default=list(ORIGINALS), metavar="NAME"
    )
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--child", choices=list(CHILDREN), help=argparse.SUPPRESS)
    parser.add_argument("--overrides", nargs="*", default=[], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answer = CHILDREN[options.child](options)
        options.out.write_text(json.dumps(answer), "utf-8")
        return
    if not DATA.is_file():
        sys.exit(f"{DATA} is not there: run `make repro` first.")
    began = time.perf_counter()
    result = {
        "command": " ".join(["python -m benchmarks.training", *sys.argv[1:]]),
        "share": options.share,
        "machine": {
            "processor": hardware.processor(),
            "threads": hardware.threads(typed(composed([MODEL])).model.threads),
            "torch": torch.__version__,
        },
        **compare(options.originals, options.share),
        "scoring": in_child("scoring", options.share),
    }
    result["minutes"] = (time.perf_counter() - began) / 60
    metrics.write(result, options.out)
    print(fill.training_costs(metrics.read(options.out)))


if __name__ == "__main__":
    main()
