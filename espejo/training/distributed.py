"""Training in several processes, each on a GPU of its own (or on a share of the CPU).

torchrun or accelerate starts them (`launch` in conf/config.yaml) and TRL's trainer averages their
gradients. What is here makes the result independent of the number of processes.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate import PartialState
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers import Trainer
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils.logging import disable_progress_bar
from trl import SFTTrainer

from espejo.core.errors import UserError
from espejo.formatting.labels import IGNORED, Encoded

# A row without labels: it fills the last batch and contributes nothing to the loss.
DUMMY: Encoded = {"input_ids": [0, 0], "labels": [IGNORED, IGNORED], "kinds": ["", ""]}
_HOLD_SECONDS = 5  # when one process fails, a launcher ends the others sooner than this


def state() -> PartialState:
    """The number of processes, and the rank of this one."""
    return PartialState(cpu=not torch.cuda.is_available())


def sharded() -> bool:
    """Whether the model is sharded over the processes (FSDP) instead of copied to each."""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"


def split_batch(batch_size: int, micro_batch_size: int | None, processes: int) -> tuple[int, int]:
    """The rows of a forward pass in all processes together, and the passes of a training step.

    A step is `batch_size` rows, whatever the number of processes; each of them takes equally many
    at once, at most `micro_batch_size` (None: its whole share).

    Raises UserError when the processes cannot share a step equally.
    """
    if batch_size % processes:
        raise UserError(
            f"A step of {batch_size} texts (train.batch_size) cannot be shared by {processes} "
            f"processes: make it a multiple of {processes}."
        )
    share = batch_size // processes
    limit = min(micro_batch_size or share, share)
    at_once = max(size for size in range(1, limit + 1) if share % size == 0)
    return at_once * processes, share // at_once


@contextmanager
def only_rank_0_prints() -> Iterator[None]:
    """Only rank 0 prints.

    If another rank fails, it waits before it prints its error: if rank 0 failed too, the launcher
    ends this process meanwhile.
    """
    first = int(os.environ.get("RANK", 0)) == 0
    if not first:
        disable_progress_bar()
    try:
        yield
    except BaseException as error:
        if not first and not (isinstance(error, SystemExit) and not error.code):
            time.sleep(_HOLD_SECONDS)
        raise


class Resumable(Trainer):
    """A trainer whose result is the same whether or not it was interrupted and resumed.

    TRL's draws the order of the rows from the same random numbers as everything else, so that a run
    that resumes inside an epoch would see other rows; and PEFT loads the adapters of a checkpoint
    as float32, whatever they were trained as.
    """

    model: torch.nn.Module  # the base class allows for None, before it has one
    _metrics: Any  # of TRL's trainers: lists of numbers by mode and name

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        return self._epoch_sampler(train_dataset)

    def _epoch_sampler(self, rows: Dataset | None = None) -> "_EpochSampler":
        grouped = super()._get_train_sampler(rows)
        assert isinstance(grouped, LengthGroupedSampler)  # because of train_sampling_strategy
        return _EpochSampler(grouped, self)

    def rows_seen(self, steps: int) -> list[int]:
        """The indices of the rows that the first `steps` steps train on, at most an epoch."""
        step = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return self._epoch_sampler().order(0)[: steps * step]

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As TRL's, without what is not computed (frozen_head.py)."""
        for metrics in self._metrics.values():
            for name in ("entropy", "logits/chosen", "logits/rejected"):
                metrics.pop(name, None)
        super().log(logs, start_time)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: torch.nn.Module | None = None
    ) -> None:
        with keep_dtypes(self.model):
            super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        with keep_dtypes(self.model):
            super()._load_best_model()


class ResumableTrainer(Resumable, SFTTrainer):
    """TRL's trainer on labelled texts."""


@contextmanager
def keep_dtypes(model: torch.nn.Module) -> Iterator[None]:
    """Parameters that are loaded or cast inside the context get their dtypes back after it."""
    before = {name: parameter.dtype for name, parameter in model.named_parameters()}
    yield
    for name, parameter in model.named_parameters():
        if parameter.dtype != before[name]:
            parameter.data = parameter.data.to(before[name])


class _EpochSampler(Sampler[int]):
    """The order of a length-grouped sampler, drawn for each epoch from a seed of its own."""

    def __init__(self, grouped: LengthGroupedSampler, trainer: Resumable) -> None:
        self._grouped, self._trainer = grouped, trainer

    def __len__(self) -> int:
        return len(self._grouped)

    def __iter__(self) -> Iterator[int]:
        # When a run resumes, this is the epoch in which it stopped.
        return iter(self.order(int(self._trainer.state.epoch or 0)))

    def order(self, epoch: int) -> list[int]:
        """The indices of all rows in the order of an epoch."""
        self._grouped.generator = torch.Generator().manual_seed(self._trainer.args.seed + epoch)
        return list(self._grouped)


class DistributedTrainer(ResumableTrainer):
    """A trainer whose processes together take the same batches as a single process.

    TRL's fills the last batch with rows of the first, which then count twice, and averages losses
    over processes regardless of their numbers of labels. The last row of both data sets must be
    `DUMMY`.
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler[int]:
        return _PaddedSampler(self._epoch_sampler(train_dataset), self.args.train_batch_size)

    def _epoch_sampler(self, rows: Dataset | None = None) -> "_EpochSampler":
        return super()._epoch_sampler(_without_dummy(self.train_dataset if rows is None else rows))

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler[int]:
        grouped = super()._get_eval_sampler(_without_dummy(eval_dataset))
        assert isinstance(grouped, LengthGroupedSampler)
        return _PaddedSampler(grouped, self.args.eval_batch_size)

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: dict[str, torch.Tensor | Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """As the trainer's own, with the mean loss per label of the whole batch."""
        loss, logits, labels = super().prediction_step(
            model, inputs, prediction_loss_only, ignore_keys
        )
        number = (inputs["labels"][:, 1:] != IGNORED).sum().to(loss)
        total, tokens = self.accelerator.reduce(torch.stack([loss * number, number]), "sum")
        return total / tokens, logits, labels

    def evaluation_loop(
        self,
        dataloader: DataLoader,
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """As the trainer's own, with each batch weighted by its rows, without dummies."""
        left = len(_without_dummy(dataloader.dataset))

        def weighted(losses: torch.Tensor) -> torch.Tensor:
            # The loss of one batch, repeated for each row; it is the same in all processes.
            nonlocal left
            rows = min(left, len(losses))
            left -= rows
            return losses[:rows]

        self.gather_function = weighted  # the trainer restores its own after the loop
        return super().evaluation_loop(
            dataloader, description, prediction_loss_only, ignore_keys, metric_key_prefix
        )


class _PaddedSampler(Sampler[int]):
    """An order of rows, followed by `DUMMY` until the last batch is full."""

    def __init__(self, sampler: _EpochSampler | LengthGroupedSampler, batch: int) -> None:
        self._sampler = sampler
        self._dummies = -len(sampler) % batch

    def __len__(self) -> int:
        return len(self._sampler) + self._dummies

    def __iter__(self) -> Iterator[int]:
        yield from self._sampler
        yield from [len(self._sampler)] * self._dummies


def _without_dummy(rows: Dataset) -> Dataset:
    return rows.select(range(len(rows) - 1))
