"""How close training and scoring come to the fastest matrix products of this machine.

    python -m benchmarks.floor                  # after `make repro`: about two minutes
    python -m benchmarks.floor --steps 5 train.attention=eager   # other settings
    python -m benchmarks.floor --choices        # each precision with each attention, beside auto

The floor is the time of the matrix products alone (the layers for each token, the output head for
each label; forward and, in training, the gradients of the inputs), where each product is timed by
itself at its own shape. Attention between tokens, norms, adapters, padding and the optimizer are
not counted, so the true minimum is somewhat higher. Trains on a few batches of the
demo and scores its test replies, in processor seconds; prints a Markdown table.
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.model import hardware, loading, tokenizers
from espejo.training import sft

# isort: split
import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import torch
from transformers import PreTrainedModel, TrainerCallback

from benchmarks.training import best_of, composed, texts
from espejo.formatting.labels import IGNORED, Encoded, encode_table
from espejo.prediction import losses
from tests.helpers.configs import changed, typed

STEPS = 14  # of training unless told otherwise, spread over the lengths of the demo's texts ...
WARM_UP = 2  # ... of which the first ones are not counted
ROUNDS = 5
# Where bfloat16 takes this many times as long as float32, no further product is timed in it.
SLOW = 3


def labels(rows: Sequence[Encoded]) -> int:
    """Number of labels in `rows`; the output head runs once for each."""
    return sum(label != IGNORED for row in rows for label in row["labels"])


def tokens(rows: Sequence[Encoded]) -> int:
    """The tokens of `rows`, without padding."""
    return sum(len(row["input_ids"]) for row in rows)


def seconds_per_row(rows: int, shape: Sequence[int], dtype: torch.dtype, back: bool) -> float:
    """Seconds for one row of [rows, inputs] · [outputs, inputs]ᵀ, there and back.

    `shape` is (outputs, inputs).
    """
    outputs, inputs = shape
    weight = torch.randn(outputs, inputs).to(dtype)
    forth = torch.randn(rows, inputs).to(dtype)
    spent, _ = best_of(lambda: (forth @ weight.T)[0, 0].item(), ROUNDS)
    if back:
        gradient = torch.randn(rows, outputs).to(dtype)
        spent += best_of(lambda: (gradient @ weight)[0, 0].item(), ROUNDS)[0]
    return spent / rows


def floor(model: PreTrainedModel, batches: Sequence[Sequence[Encoded]], back: bool) -> float:
    """Processor seconds of the matrix products that these batches need."""
    head = model.get_output_embeddings()
    shapes = Counter(
        tuple(module.weight.shape)
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )
    at_once = round(median(map(tokens, batches)))
    of_token = sum(
        number * seconds_per_row(at_once, shape, model.dtype, back)
        for shape, number in shapes.items()
    )
    scored = round(median(map(labels, batches)))
    of_label = seconds_per_row(scored, head.weight.shape, model.dtype, back)
    rows = [row for batch in batches for row in batch]
    return (tokens(rows) * of_token + labels(rows) * of_label) * torch.get_num_threads()


class Steps(TrainerCallback):
    """Processor seconds of the steps after the first ones."""

    def __init__(self) -> None:
        self.spent: list[float] = []

    def on_step_begin(self, *_: object, **__: object) -> None:
        """Start the clock."""
        self._began = time.process_time()

    def on_step_end(self, *_: object, **__: object) -> None:
        """Stop the clock."""
        self.spent.append(time.process_time() - self._began)


def measure(overrides: Sequence[str], steps: int) -> dict[str, Mapping]:
    """Both kinds of work with the settings `overrides`, and with what was chosen here."""
    params = composed(overrides)
    config = typed(params)
    parts = texts(params, share=1.0)
    tokenizer = tokenizers.load_tokenizer(config.model)
    base = loading.load_base(config.model)
    here = hardware.resolve(config.model, config.train.attention, base.config)
    base.set_attn_implementation(here["attention"])

    test, most = encode_table(tokenizer, parts["test"]), config.predict.batch_tokens
    sizes = [len(row["input_ids"]) for row in test]
    order = sorted(range(len(test)), key=sizes.__getitem__)
    batches = [[test[index] for index in batch] for batch in losses.batches(order, sizes, most)]
    losses.token_losses(base, batches[0], most)
    began = time.process_time()
    losses.token_losses(base, test, most)
    spent = time.process_time() - began
    scoring = work(batches, spent, floor(base, batches, back=False))

    learnt = encode_table(tokenizer, parts["train"], config.train.loss)
    learnt.sort(key=lambda row: len(row["input_ids"]))
    size = config.train.batch_size
    places = [round(step * (len(learnt) - size) / (steps - 1)) for step in range(steps)]
    batches = [learnt[place : place + size] for place in places]
    clock = Steps()
    with tempfile.TemporaryDirectory() as scratch:
        sft.train(
            base,
            tokenizer,
            [row for batch in batches for row in batch],
            learnt[:1],
            changed(config.train, epochs=1, micro_batch_size=None, evals_per_run=1, max_steps=-1),
            Path(scratch),
            callbacks=[clock],
        )
    # The batches come in random order, so the mean also stands for the warm-up steps.
    spent = sum(clock.spent[WARM_UP:]) / len(clock.spent[WARM_UP:]) * steps
    steps_taken = work(batches, spent, floor(base, batches, back=True))
    return {"chosen": here, "scoring the test replies": scoring, "training": steps_taken}


def work(batches: Sequence[Sequence[Encoded]], spent: float, least: float) -> dict[str, float]:
    """Tokens, labels, and the processor seconds spent beside the least possible."""
    rows = [row for batch in batches for row in batch]
    return {"tokens": tokens(rows), "labels": labels(rows), "seconds": spent, "floor": least}


def table(measures: dict) -> str:
    """Both kinds of work beside their floors, as Markdown."""
    rows = ["| work | tokens | labels | processor seconds | floor | times the floor |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for name in ("scoring the test replies", "training"):
        measure = measures[name]
        rows.append(
            f"| {name} | {measure['tokens']:,} | {measure['labels']:,} | {measure['seconds']:.1f} "
            f"| {measure['floor']:.1f} | {measure['seconds'] / measure['floor']:.2f} |"
        )
    return "\n".join(rows)


def choices(steps: int) -> str:
    """Each precision with each attention, in a process of its own, and what auto takes.

    Where products in bfloat16 are slow it is left out: a step of training may take minutes.
    """
    rows = ["| precision | attention | training | scoring |", "| --- | --- | --- | --- |"]
    settings = [
        (precision, attention)
        for precision in ("float32", "bfloat16")
        if precision == "float32" or hardware.bfloat16_cost() < SLOW
        for attention in ("sdpa", "grouped", "eager")
    ]
    for precision, attention in [(hardware.AUTO, hardware.AUTO), *settings]:
        command = [sys.executable, "-m", "benchmarks.floor", "--json", "--steps", str(steps)]
        command += [f"model.precision={precision}", f"train.attention={attention}"]
        result = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
        seconds = {key: result[key]["seconds"] for key in ("training", "scoring the test replies")}
        if precision == hardware.AUTO:
            auto = seconds
            taken = f"auto: {result['chosen']['precision']} | auto: {result['chosen']['attention']}"
        else:
            taken = f"{precision} | {attention}"
        ratios = [f"{seconds[key]:.1f} ({seconds[key] / auto[key]:.2f})" for key in seconds]
        rows.append(f"| {taken} | {' | '.join(ratios)} |")
    return "\n".join(rows)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="Training and scoring beside their floors.")
    parser.add_argument("--steps", type=int, default=STEPS, help="of training")
    parser.add_argument("--choices", action="store_true", help="precisions and attentions")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", help="settings, as dvc exp run -S takes them")
    options = parser.parse_args()
    if options.choices:
        print(choices(options.steps))
        return
    result = measure(options.overrides, options.steps)
    print(json.dumps(result) if options.json else table(result))


if __name__ == "__main__":
    main()
