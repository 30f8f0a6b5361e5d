"""What the benchmarks of training share: the texts of a recipe, a clock, and its curve on the test.

Nothing here imports espejo's training, which changes trl as it is imported: benchmarks/peers.py
trains with trl as it is.
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.core import tables
from espejo.model import tokenizers

# isort: split
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from dvc.utils.hydra import compose_and_dump
from transformers import PreTrainedModel, TrainerCallback, TrainerState

from espejo.formatting import prompts
from espejo.formatting.labels import Encoded
from espejo.formatting.training_texts import training_texts
from espejo.prediction.losses import per_example, token_losses
from tests.helpers.configs import typed

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "data" / "filtered.parquet"
LOOK_TOKENS = 1024  # tokens in a batch of an evaluation: less memory than training takes
MODEL = "model=smollm2"


def composed(overrides: Sequence[str]) -> dict:
    """The params that `overrides` of conf/ give."""
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "params.yaml"
        compose_and_dump(output, str(ROOT / "conf"), None, "config", str(ROOT), list(overrides))
        return yaml.safe_load(output.read_text("utf-8"))


def some(rows: pd.DataFrame, share: float) -> pd.DataFrame:
    """The `rows` of an evenly spaced `share` of the sessions, of two at least."""
    sessions = rows["session"].unique()
    number = min(len(sessions), max(2, round(share * len(sessions))))
    places = np.linspace(0, len(sessions) - 1, number).round().astype(int)
    return rows[rows["session"].isin(sessions[places])]


def texts(
    params: Mapping, share: float, test_share: float | None = None
) -> dict[str, pd.DataFrame]:
    """Each split of that share of the demo, as the stage format writes it (tables.FORMATTED).

    `test_share` is that of the test sessions, None for the same.
    """
    shares = {"test": share if test_share is None else test_share}
    config = typed(params)
    people = tables.read(ROOT / "data" / "people.parquet", tables.PEOPLE)
    author, read_only = tables.author_of(people), tables.names_with(people, "context")
    prompter = prompts.prompter(
        tokenizers.load_tokenizer(config.model), config.model, config.format
    )
    several = config.format.replies_per_text
    return {
        split: training_texts(
            some(rows, shares.get(str(split), share)),
            *(prompter, author, read_only, 1 if split == "test" else several),
        )
        for split, rows in tables.read(DATA, tables.EXAMPLES).groupby("split")
    }


def reached(curve: Mapping[float, float], figure: float) -> float | None:
    """Seconds until `curve` (seconds -> bits) reaches `figure` for good; None if it never does.

    A curve that dips below at one evaluation and rises again has not reached it. Between two
    evaluations it is interpolated linearly: a convex loss lies below the line, so the time is an
    overestimate.
    """
    points = sorted(curve.items())
    if points[-1][1] > figure:
        return None
    for (before, above), (after, below) in reversed(list(pairwise(points))):
        if above > figure:
            return before + (after - before) * (above - figure) / (above - below)
    return points[0][0]


class Clock(TrainerCallback):
    """Counts the seconds spent in training steps only, and evaluates the model between some of
    them.

    `curve` holds what `look` gave after so many seconds of training, from 0 on. `now` tells the
    time in seconds: of the wall where it is None.
    """

    def __init__(
        self,
        look: Callable[[PreTrainedModel], float],
        looks: int,
        now: Callable[[], float] | None = None,
    ) -> None:
        self._look, self._looks = look, looks
        self._now = now or time.perf_counter
        self._began = 0.0
        self.seconds = 0.0
        self.curve: dict[float, float] = {}

    def on_train_begin(self, *_: object, **around: Any) -> None:  # noqa: ANN401
        """Look before anything is learnt."""
        self._note(around["model"])

    def on_step_begin(self, *_: object, **__: object) -> None:
        """Start the clock."""
        self._began = self._now()

    def on_step_end(self, args: object, state: TrainerState, *_: object, **around: Any) -> None:  # noqa: ANN401
        """Stop the clock, and look where a look is due."""
        self.seconds += self._now() - self._began
        due = {round(state.max_steps * look / self._looks) for look in range(1, self._looks + 1)}
        if state.global_step in due:
            self._note(around["model"])

    def _note(self, model: PreTrainedModel) -> None:
        model.eval()
        self.curve[self.seconds] = self._look(model)
        model.train()
        print(
            f"  {self.seconds:7.1f} s: {self.curve[self.seconds]:.4f} bits a character", flush=True
        )


def bits(model: PreTrainedModel, test: Sequence[Encoded], table: pd.DataFrame) -> float:
    """Bits per own character of the replies of `table` (FORMATTED), `test` as tokens."""
    losses = token_losses(model, test, LOOK_TOKENS)
    sums = per_example(losses, test, table["spans"])
    return float(sums["own_nats"].sum() / sums["own_chars"].sum() / np.log(2))


class Padded(TrainerCallback):
    """Counts the tokens that go through the model in training, padding included."""

    def __init__(self) -> None:
        self.tokens = 0

    def on_train_begin(self, *_: object, **around: Any) -> None:  # noqa: ANN401
        """Listen to what goes into the model."""
        around["model"].get_input_embeddings().register_forward_hook(self._count)

    def _count(self, _: torch.nn.Module, inputs: tuple[torch.Tensor], __: torch.Tensor) -> None:
        self.tokens += inputs[0].numel() if torch.is_grad_enabled() else 0


def peak_memory() -> int:
    """Peak memory of this process, in bytes."""
    try:  # getrusage would include the parent's memory from before the fork
        status = Path("/proc/self/status").read_text("utf-8")
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024
    except OSError:
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return used if sys.platform == "darwin" else used * 1024
