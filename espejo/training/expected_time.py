"""An estimate of the duration of a training, from its first two steps on this machine."""

import time
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from tqdm import tqdm
from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from espejo.formatting.labels import IGNORED, Encoded

LONG_SECONDS = 3600
_STEPS_TIMED = 2
# The validation loss needs the forward pass only: half of the matrix products of a training step
# with adapters, a third of those of one that trains all weights.
_FORWARD_SHARE = {"lora": 1 / 2, "full": 1 / 3}


class ExpectedTime(TrainerCallback):
    """Prints one line after the first two steps: the estimated duration of the training.

    Batches differ in size, so seconds are measured per unit of work (`work_of`): `train_work` is
    that of the `steps_per_epoch` of an epoch, `validation_work` that of each of the `evaluations`.
    Several processes share the work. A training that resumes counts the remaining steps only.
    """

    def __init__(
        self,
        label_work: float,
        train_work: float,
        steps_per_epoch: int,
        validation_work: float,
        evaluations: int,
        method: Literal["lora", "full"],
        processes: int,
    ) -> None:
        self._label_work = label_work
        self._work_per_step = train_work / steps_per_epoch / processes
        self._validation = _FORWARD_SHARE[method] * validation_work * evaluations / processes
        self._work, self._seconds, self._steps = 0.0, 0.0, 0
        self._start, self._resumed, self._in_step = 0.0, False, False

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401 - the base class has it so
    ) -> None:
        """Start counting the work that goes through the model."""
        self._resumed = state.global_step > 0

        def count(_: torch.nn.Module, __: tuple, batch: Mapping[str, torch.Tensor]) -> None:
            if self._in_step:  # not in a validation between two steps
                labelled = int((batch["labels"] != IGNORED).sum())
                self._work += batch["input_ids"].numel() + self._label_work * labelled

        self._hook = kwargs["model"].register_forward_pre_hook(count, with_kwargs=True)

    def on_step_begin(self, *_: object, **__: object) -> None:
        """Start the clock."""
        self._start, self._in_step = time.perf_counter(), True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """After the second step, print the estimate for the others."""
        if self._steps == _STEPS_TIMED:
            return
        self._seconds += time.perf_counter() - self._start
        self._in_step = False
        self._steps += 1
        if self._steps < _STEPS_TIMED:
            return
        self._hook.remove()
        left = state.max_steps - state.global_step
        if left and state.is_world_process_zero:
            work = self._work_per_step * left + self._validation * left / state.max_steps
            seconds = self._seconds / self._work * work
            steps = f"{state.max_steps} steps"
            if self._resumed:
                steps = f"{left} of {steps} left"
            with tqdm.external_write_mode():  # otherwise the line would continue the progress bar
                print(f"train: {sentence(seconds, steps)}", flush=True)


def label_work(model: PreTrainedModel) -> float:
    """The work of a label in units of a token's: the head's weights over those of the layers.

    Each token passes through the layers, but only those with a label through the head. Models with
    a large vocabulary and small layers spend more on labels than on tokens.
    """
    head = model.get_output_embeddings()
    layers = sum(
        module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Linear) and module is not head
    )
    return head.weight.numel() / max(1, layers)


def work_of(rows: Iterable[Encoded], label_work: float) -> float:
    """The work of `rows` in tokens; each label counts as `label_work` of them."""
    return sum(
        len(row["input_ids"]) + label_work * sum(label != IGNORED for label in row["labels"])
        for row in rows
    )


def sentence(seconds: float, steps: str) -> str:
    """The estimate for people, and what to do if it is long."""
    where = "GPU" if torch.cuda.is_available() else "processor"
    text = f"about {duration(seconds)} on this {where}; {steps}"
    if seconds < LONG_SECONDS:
        return text
    return (
        f"{text}. To see first that everything runs: `-S experiment=smoke`. Fewer epochs "
        "(train.epochs), a smaller model or a GPU take less; Ctrl-C stops, and the same command "
        "resumes from the last checkpoint."
    )


def duration(seconds: float) -> str:
    """`seconds` for people: "20 seconds", "6 minutes", "2 h 10 min"."""
    if seconds < 90:
        return f"{max(2, round(seconds))} seconds"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} minutes"
    return f"{minutes // 60} h {minutes % 60} min"
