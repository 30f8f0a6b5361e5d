"""How long a training will take, told from its first two steps on this machine."""

import time
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from tqdm import tqdm
from transformers import PreTrainedModel, TrainerCallback, TrainerControl, TrainerState
from trl import SFTConfig

from espejo.formatting.labels import IGNORED, Encoded

LONG_SECONDS = 3600
_STEPS_TIMED = 2
# A pass without gradients against one with: half of the products for adapters, a third for all
# weights. The loss on the validation set is computed that way.
_FORWARD_SHARE = {"lora": 1 / 2, "full": 1 / 3}


class ExpectedTime(TrainerCallback):
    """Prints one line after the first two steps: the time that the rest will take.

    Batches differ, so that seconds are counted by work (`work_of`): `train_work` is that of the
    `steps_per_epoch` of an epoch, and `validation_work` is done `evaluations` times. Processes that
    a launcher started each do their share. A training that goes on from a checkpoint counts what is
    left.
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
        self._began, self._goes_on, self._in_step = 0.0, False, False

    def on_train_begin(
        self,
        args: SFTConfig,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **_: object,
    ) -> None:
        """Count the work that goes through the model from now on."""
        self._goes_on = state.global_step > 0

        def count(_: torch.nn.Module, __: tuple, batch: Mapping[str, torch.Tensor]) -> None:
            if self._in_step:  # a validation between two steps is not timed
                labelled = int((batch["labels"] != IGNORED).sum())
                self._work += batch["input_ids"].numel() + self._label_work * labelled

        self._counting = model.register_forward_pre_hook(count, with_kwargs=True)

    def on_step_begin(self, *_: object, **__: object) -> None:
        """Start the clock."""
        self._began, self._in_step = time.perf_counter(), True

    def on_step_end(
        self, args: SFTConfig, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        """After the second step, say what the others will take."""
        if self._steps == _STEPS_TIMED:
            return
        self._seconds += time.perf_counter() - self._began
        self._in_step = False
        self._steps += 1
        if self._steps < _STEPS_TIMED:
            return
        self._counting.remove()
        left = state.max_steps - state.global_step
        if left and state.is_world_process_zero:
            work = self._work_per_step * left + self._validation * left / state.max_steps
            seconds = self._seconds / self._work * work
            steps = f"{state.max_steps} steps"
            if self._goes_on:
                steps = f"{left} of {steps} left"
            with tqdm.external_write_mode():  # or the trainer's bar would go on in the same line
                print(f"train: {sentence(seconds, steps)}", flush=True)


def label_work(model: PreTrainedModel) -> float:
    """What a label costs in tokens: weights of the output head by those of all other layers.

    A token goes through the layers, and only one with a label through the head as well. Models with
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
    """Tokens of `rows`, and of each label what it costs in tokens."""
    return sum(
        len(row["input_ids"]) + label_work * sum(label != IGNORED for label in row["labels"])
        for row in rows
    )


def sentence(seconds: float, steps: str) -> str:
    """What a person wants to know before the training: how long, and what to do if it is long."""
    where = "GPU" if torch.cuda.is_available() else "processor"
    text = f"about {duration(seconds)} on this {where}; {steps}"
    if seconds < LONG_SECONDS:
        return text
    return (
        f"{text}. To see first that everything runs: `-S experiment=smoke`. Fewer epochs "
        "(train.epochs), a smaller model or a GPU take less; Ctrl-C stops, and the same command "
        "goes on from the last checkpoint."
    )


def duration(seconds: float) -> str:
    """`seconds` as a person says it: "20 seconds", "6 minutes", "2 h 10 min"."""
    if seconds < 90:
        return f"{max(2, round(seconds))} seconds"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} minutes"
    return f"{minutes // 60} h {minutes % 60} min"
