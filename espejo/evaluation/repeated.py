"""How much training itself moves the headline measures: trainings that differ only in their seed.

The standard deviation between n trainings has the interval of that of normal numbers (chi-square),
and two trainings differ by less than a multiple of it (Student's t with n - 1 degrees of freedom):
Snedecor and Cochran, "Statistical Methods" (1989). Where they are not normal, both are rough.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from espejo.core import files, metrics
from espejo.core.errors import UserError
from espejo.evaluation.headlines import HEADLINES, OF_BASE, measure

FILE = "repeat.json"  # in the folder of metrics: written by `espejo repeat`, `{}` before
# Base models that differ by less are the same one: precisions move them by a few thousandths.
_SAME_BITS = 0.01


@dataclass(frozen=True)
class Spread:
    """A measure over n trainings, in its own unit."""

    values: Sequence[float]  # of each training, by seed
    n: int
    mean: float
    sd: float  # standard deviation between trainings, with n - 1
    sd_low: float  # its interval
    sd_high: float
    margin: float  # by which two trainings differ at most, as often as the confidence says


def spread(values: Sequence[float], confidence: float) -> Spread:
    """How far `values` [n], one of each training, are apart. ValueError with fewer than two."""
    n = len(values)
    if n < 2:
        raise ValueError(f"{n} trainings have no spread")
    sd, tail = float(np.std(values, ddof=1)), (1 - confidence) / 2
    sd_low, sd_high = (
        sd * math.sqrt((n - 1) / float(stats.chi2.ppf(quantile, n - 1)))
        for quantile in (1 - tail, tail)
    )
    margin = float(stats.t.ppf(1 - tail, n - 1)) * sd * math.sqrt(2)
    return Spread([*values], n, float(np.mean(values)), sd, sd_low, sd_high, margin)


@dataclass(frozen=True)
class Setup:
    """What two runs share if the spread of one holds for the other."""

    replies: int  # in the test
    base_bits: float  # own bits per character of the base model
    steps: int
    trainable_parameters: int

    def same_test(self, scores: Mapping) -> bool:
        """Whether the metrics/eval.json `scores` are of the same base model on the same test."""
        bits = measure(scores, OF_BASE["own_bits"]).get("value", math.inf)
        replies = measure(scores, ("test",)).get("replies")
        return replies == self.replies and abs(bits - self.base_bits) < _SAME_BITS

    def same_training(self, trained: Mapping) -> bool:
        """Whether metrics/train.json has as many steps and trained weights."""
        steps, weights = (trained.get(key) for key in ("steps", "trainable_parameters"))
        return (steps, weights) == (self.steps, self.trainable_parameters)


@dataclass(frozen=True)
class Repeated:
    """What `espejo repeat` measured."""

    name: str  # of its experiments, but for the seed
    data: str  # the folder, or the id of a data set on the hub
    confidence: float
    setup: Setup
    spreads: Mapping[str, Spread]  # by headline


def repeated(
    name: str, data: str, runs: Sequence[tuple[Mapping, Mapping]], confidence: float
) -> Repeated:
    """The spread of `runs`: metrics/eval.json and metrics/train.json of each training.

    A measure that one of them lacks is left out.
    """
    spreads = {}
    for key, path in HEADLINES.items():
        values = [measure(scores, path).get("value") for scores, _ in runs]
        numbers = [value for value in values if value is not None]
        if len(numbers) == len(runs):
            spreads[key] = spread(numbers, confidence)
    scores, trained = runs[0]
    setup = Setup(
        scores["test"]["replies"],
        measure(scores, OF_BASE["own_bits"]).get("value", 0.0),
        trained["steps"],
        trained["trainable_parameters"],
    )
    return Repeated(name, data, confidence, setup, spreads)


def write(result: Repeated, path: Path) -> None:
    """Write metrics/repeat.json."""
    metrics.write(asdict(result), path)


def read(path: Path) -> Repeated | None:
    """What metrics/repeat.json holds; None before `espejo repeat` ran.

    Raises UserError for a file that is missing or holds something else.
    """
    try:
        content = dict(files.mapping(path, json.loads))
        if not content:
            return None
        spreads = {key: Spread(**each) for key, each in content.pop("spreads").items()}
        return Repeated(setup=Setup(**content.pop("setup")), spreads=spreads, **content)
    except (UserError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is not what `espejo repeat` wrote: `git checkout {path}` brings back that of "
            "the last commit."
        ) from error
