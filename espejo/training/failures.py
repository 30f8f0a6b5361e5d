"""What ends a training early, in sentences: Ctrl-C, lack of memory, a full disk, a NaN loss."""

import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import (
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from espejo.core import faults
from espejo.core.errors import UserError

_SPARE_BYTES = 50 << 20  # bytes; a write that fails with less free counts as a full disk


class StopsAtNaN(TrainerCallback):
    """Stops where a loss is no number; `rate` is the setting to lower."""

    def __init__(self, rate: str) -> None:
        self._rate = rate

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401 - the base class has it so
    ) -> None:
        """Raise UserError where the losses in the log are not finite."""
        logs: Mapping[str, float] = kwargs["logs"]
        losses = [logs[key] for key in ("loss", "eval_loss") if key in logs]
        if not all(map(math.isfinite, losses)):
            raise UserError(
                f"The loss became no number at step {state.global_step}: lower "
                f"{self._rate}, or set model.precision=float32."
            )


@contextmanager
def readable(trainer: Trainer, checkpoints: Path) -> Iterator[None]:
    """Raises Ctrl-C, lack of memory and a full disk as UserError."""
    again = "the next run resumes from the last checkpoint"
    try:
        yield
    except KeyboardInterrupt:
        raise UserError(f"Stopped at step {trainer.state.global_step}; {again}.") from None
    except (MemoryError, RuntimeError, OSError, SafetensorError) as error:
        if faults.out_of_memory(error):
            raise UserError(
                f"Out of memory at step {trainer.state.global_step}: set "
                "train.micro_batch_size=1 and train.gradient_checkpointing=true, which change only "
                "memory and time, take `-S train=qlora-8gb`, or choose a smaller model."
            ) from error
        if faults.cannot_write(error) or shutil.disk_usage(checkpoints).free < _SPARE_BYTES:
            raise UserError(
                f"The disk is full: make room under {checkpoints}/ and run again; {again}."
            ) from error
        raise
