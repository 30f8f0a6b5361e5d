"""How near training and scoring come to what this machine can multiply.

    python -m benchmarks.floor    # after `make repro`: about two minutes

The floor of some work is its matrix products alone (layers for each token, the output head for each
label, forward and, in training, back to what goes in), each in the time that a product of that
shape takes here when nothing else is to be done. Left out, so that the floor is rather too low:
attention between tokens, norms, adapters, padding, the optimizer. Trains on a few batches of the
demo and scores its test replies, in processor seconds; prints a Markdown table.
"""

# Before torch: espejo says how its threads wait, as in the pipeline.
from espejo import hardware, models, training

# isort: split
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from transformers import PreTrainedModel, TrainerCallback

from benchmarks.training import best_of, composed, texts
from espejo.labels import IGNORED, Encoded, encode_table
from espejo.scores import likelihood

STEPS = 14  # of training, spread over the lengths of the demo's texts ...
WARM_UP = 2  # ... of which the first ones are not counted
ROUNDS = 5


def labels(rows: Sequence[Encoded]) -> int:
    """The labels of `rows`, each of which costs the head."""
    return sum(label != IGNORED for row in rows for label in row["labels"])


def tokens(rows: Sequence[Encoded]) -> int:
    """The tokens of `rows`, without padding."""
    return sum(len(row["input_ids"]) for row in rows)


def seconds_per_row(rows: int, outputs: int, inputs: int, dtype: torch.dtype, back: bool) -> float:
    """What one row of a product [rows, inputs] · [outputs, inputs]ᵀ takes, and of the way back."""
    weight = torch.randn(outputs, inputs).to(dtype)
    forth = torch.randn(rows, inputs).to(dtype)
    spent, _ = best_of(lambda: (forth @ weight.T)[0, 0].item(), ROUNDS)
    if back:
        gradient = torch.randn(rows, outputs).to(dtype)
        spent += best_of(lambda: (gradient @ weight)[0, 0].item(), ROUNDS)[0]
    return spent / rows


def floor(model: PreTrainedModel, batches: Sequence[Sequence[Encoded]], back: bool) -> float:
    """Processor seconds of the products that these batches need."""
    head = model.get_output_embeddings()
    shapes = Counter(
        tuple(module.weight.shape)
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )
    at_once = round(median(map(tokens, batches)))
    of_token = sum(
        number * seconds_per_row(at_once, *shape, model.dtype, back)
        for shape, number in shapes.items()
    )
    scored = round(median(map(labels, batches)))
    of_label = seconds_per_row(scored, *head.weight.shape, model.dtype, back)
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


def main() -> None:
    """Measure both and print the table."""
    params = composed([])
    model, wanted = params["model"], params["train"]
    parts = texts(params, share=1.0)
    tokenizer = models.load_tokenizer(model)
    base = models.load_base(model)
    base.set_attn_implementation(hardware.attention(wanted["attention"], base.config))
    table = ["| work | tokens | labels | processor seconds | floor | times the floor |"]
    table.append("| --- | --- | --- | --- | --- | --- |")

    def note(name: str, batches: Sequence[Sequence[Encoded]], spent: float, least: float) -> None:
        rows = [row for batch in batches for row in batch]
        table.append(
            f"| {name} | {tokens(rows):,} | {labels(rows):,} | {spent:.1f} | {least:.1f} "
            f"| {spent / least:.2f} |"
        )

    test = encode_table(tokenizer, parts["test"])
    sizes = [len(row["input_ids"]) for row in test]
    order = sorted(range(len(test)), key=sizes.__getitem__)
    at_once = likelihood.batches(order, sizes, params["evaluate"]["batch_tokens"])
    batches = [[test[at] for at in batch] for batch in at_once]
    likelihood.token_losses(base, test[:4], params["evaluate"]["batch_tokens"])
    began = time.process_time()
    likelihood.token_losses(base, test, params["evaluate"]["batch_tokens"])
    spent = time.process_time() - began
    note("scoring the test replies", batches, spent, floor(base, batches, back=False))

    learnt = encode_table(tokenizer, parts["train"], wanted["loss"])
    learnt.sort(key=lambda row: len(row["input_ids"]))
    size = wanted["batch_size"]
    starts = range(0, len(learnt) - size + 1, max(size, (len(learnt) - size) // STEPS))
    batches = [learnt[start : start + size] for start in starts][:STEPS]
    clock = Steps()
    with tempfile.TemporaryDirectory() as scratch:
        training.train(
            base,
            tokenizer,
            [row for batch in batches for row in batch],
            learnt[:1],
            wanted | {"epochs": 1, "gradient_accumulation": 1, "evaluations": 1, "max_steps": -1},
            Path(scratch),
            watchers=[clock],
        )
    # Which of the batches came first, chance decided: a mean step stands for those left out.
    spent = sum(clock.spent[WARM_UP:]) / len(clock.spent[WARM_UP:]) * len(clock.spent)
    note("training", batches, spent, floor(base, batches, back=wanted["method"] == "lora"))
    print("\n".join(table))


if __name__ == "__main__":
    main()
