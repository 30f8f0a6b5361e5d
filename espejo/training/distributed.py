"""Several processes that train one model, each on a GPU (or on a share of the processor).

torchrun or accelerate starts them (`launch` in conf/config.yaml) and TRL's trainer joins their
gradients. What is here keeps a training the same however many they are.
"""

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from accelerate import PartialState
from datasets import Dataset
from torch.utils.data import DataLoader, Sampler
from transformers.trainer_pt_utils import LengthGroupedSampler
from transformers.trainer_utils import EvalLoopOutput
from transformers.utils.logging import disable_progress_bar
from trl import SFTTrainer

from espejo.core.errors import UserError
from espejo.formatting.labels import IGNORED

# A row without labels: it fills up a batch and weighs nothing.
BLANK = {"input_ids": [0, 0], "labels": [IGNORED, IGNORED]}
_HOLD = 5  # seconds; a launcher ends the other processes in less when one has failed


def state() -> PartialState:
    """How many processes there are, and which of them this is."""
    return PartialState(cpu=not torch.cuda.is_available())


def sharded() -> bool:
    """Whether each process holds a part of the model only (FSDP), and not all of it."""
    return os.environ.get("ACCELERATE_USE_FSDP") == "true"


def shares(batch_size: int, micro_batch_size: int | None, processes: int) -> tuple[int, int]:
    """The rows that all processes take at once, and how often they do so before a step.

    A step is `batch_size` rows, however many processes share them; each takes the same number at
    once, at most `micro_batch_size` (None: as many as there are).

    Raises UserError when a step cannot be shared evenly.
    """
    if batch_size % processes:
        raise UserError(
            f"A step of {batch_size} texts (train.batch_size) cannot be shared by {processes} "
            f"processes: make it a multiple of {processes}."
        )
    each = batch_size // processes
    most = min(micro_batch_size or each, each)
    at_once = max(size for size in range(1, most + 1) if each % size == 0)
    return at_once * processes, each // at_once


@contextmanager
def one_voice() -> Iterator[None]:
    """What all processes have to say is said by the first.

    Another that fails speaks only if it still lives a while later: when the first has failed too,
    the launcher ends the rest.
    """
    first = int(os.environ.get("RANK", 0)) == 0
    if not first:
        disable_progress_bar()
    try:
        yield
    except BaseException as error:
        if not first and not (isinstance(error, SystemExit) and not error.code):
            time.sleep(_HOLD)
        raise


class SteadyTrainer(SFTTrainer):
    """A trainer that goes on from a checkpoint as if it had never stopped.

    As it comes, the trainer draws rows of like length together from the random numbers that all
    else draws from, so that a run that goes on inside an epoch would go through other rows; and
    PEFT reads the adapters of a checkpoint as float32, whatever they were trained as.
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        return _Ordered(super()._get_train_sampler(train_dataset), self)

    def taken(self, steps: int) -> list[int]:
        """The places of the rows from which so many steps learn, the first to be learnt first."""
        step = self.args.train_batch_size * self.args.gradient_accumulation_steps
        return self._get_train_sampler().of(0)[: steps * step]

    def log(self, logs: dict[str, float], *arguments: object, **named: object) -> None:
        """As TRL's, without the entropy, which is not computed (frozen_head.py)."""
        for measured in self._metrics.values():
            measured.pop("entropy", None)
        super().log(logs, *arguments, **named)

    def _load_from_checkpoint(self, *arguments: object, **named: object) -> None:
        with same_types(self.model):
            super()._load_from_checkpoint(*arguments, **named)

    def _load_best_model(self) -> None:
        with same_types(self.model):
            super()._load_best_model()


@contextmanager
def same_types(model: torch.nn.Module) -> Iterator[None]:
    """Parameters that are read anew, or cast, inside keep the types that they had."""
    before = {name: parameter.dtype for name, parameter in model.named_parameters()}
    yield
    for name, parameter in model.named_parameters():
        if parameter.dtype != before[name]:
            parameter.data = parameter.data.to(before[name])


class _Ordered(Sampler[int]):
    def __init__(self, drawn: LengthGroupedSampler, trainer: SteadyTrainer) -> None:
        self._drawn, self._trainer = drawn, trainer

    def __len__(self) -> int:
        return len(self._drawn)

    def __iter__(self) -> Iterator[int]:
        # Of a run that goes on: the epoch it stopped in.
        return iter(self.of(int(self._trainer.state.epoch)))

    def of(self, epoch: int) -> list[int]:
        """The order of all rows in an epoch."""
        self._drawn.generator = torch.Generator().manual_seed(self._trainer.args.seed + epoch)
        return list(self._drawn)


class SharedTrainer(SteadyTrainer):
    """A trainer whose processes together take the batches that one process takes, in its order.

    As it comes, the trainer fills the last batch with rows of the first, which then count twice,
    and means losses over processes whatever they learnt. The last row of both data sets must be
    `BLANK`.
    """

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> Sampler:
        rows = train_dataset if train_dataset is not None else self.train_dataset
        return _Filled(super()._get_train_sampler(_real(rows)), self.args.train_batch_size)

    def _get_eval_sampler(self, eval_dataset: Dataset) -> Sampler:
        return _Filled(super()._get_eval_sampler(_real(eval_dataset)), self.args.eval_batch_size)

    def prediction_step(
        self,
        model: torch.nn.Module,
        inputs: Mapping[str, torch.Tensor],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """As the trainer's own, with the loss per learnt token of the whole batch."""
        loss, logits, labels = super().prediction_step(
            model, inputs, prediction_loss_only, ignore_keys
        )
        learnt = (inputs["labels"][:, 1:] != IGNORED).sum().to(loss)
        total, tokens = self.accelerator.reduce(torch.stack([loss * learnt, learnt]), "sum")
        return total / tokens, logits, labels

    def evaluation_loop(
        self, dataloader: DataLoader, *arguments: object, **named: object
    ) -> EvalLoopOutput:
        """As the trainer's own, where a batch weighs as many rows as it holds."""
        left = len(_real(dataloader.dataset))

        def weighed(losses: torch.Tensor) -> torch.Tensor:
            # The loss of one batch, once for each row that fits in. All processes have the same.
            nonlocal left
            rows = min(left, len(losses))
            left -= rows
            return losses[:rows]

        self.gather_function = weighed  # the trainer's own comes back at the end of its loop
        return super().evaluation_loop(dataloader, *arguments, **named)


class _Filled(Sampler[int]):
    """An order, and `BLANK` until the last batch is full."""

    def __init__(self, order: Sampler[int], batch: int) -> None:
        self._order = order
        self._blanks = -len(order) % batch

    def __len__(self) -> int:
        return len(self._order) + self._blanks

    def of(self, epoch: int) -> list[int]:
        """The order of all rows in an epoch, without any `BLANK`."""
        return self._order.of(epoch)

    def __iter__(self) -> Iterator[int]:
        yield from self._order
        yield from [len(self._order)] * self._blanks


def _real(rows: Dataset) -> Dataset:
    return rows.select(range(len(rows) - 1))
