"""The headline measures of metrics/eval.json, and how much training itself moves them.

Two trainings that differ in their seed alone give two models. The standard deviation between them
says which differences between two runs the seed explains. Its interval is that of a variance of
normal numbers (chi-square; Fisher 1925), and the margin of a difference Student's (1908).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# Name -> where it stands in metrics/eval.json. A kind of data has those that it measures.
HEADLINES: Mapping[str, tuple[str, ...]] = {
    "own_bits": ("tuned", "own_bits_per_character"),
    "gain": ("gain", "own_bits_per_character"),
    "author_score": ("style", "author_score", "tuned"),
    "told_apart": ("style", "told_apart", "tuned"),
    "mrr": ("relevance", "tuned", "mrr"),
    "membership": ("memory", "membership"),
    "copied": ("memory", "overlap", "tuned", "copied"),
    "facts_held": ("correctness", "tuned", "facts_held"),
    "chrf": ("correctness", "tuned", "chrf"),
}
# The same measures of the base model, which no training moves.
OF_BASE: Mapping[str, tuple[str, ...]] = {
    "own_bits": ("base", "own_bits_per_character"),
    "author_score": ("style", "author_score", "base"),
    "told_apart": ("style", "told_apart", "base"),
    "mrr": ("relevance", "base", "mrr"),
    "facts_held": ("correctness", "base", "facts_held"),
    "chrf": ("correctness", "base", "chrf"),
}


def measure(scores: Mapping, path: Sequence[str]) -> Mapping:
    """The measure at that path in metrics/eval.json; an empty one where it was not measured."""
    for key in path:
        if key not in scores:
            return {}
        scores = scores[key]
    return scores


@dataclass(frozen=True)
class Spread:
    """A measure over n trainings: in its own unit, but for n."""

    n: int
    mean: float
    sd: float  # standard deviation between trainings, with n - 1
    sd_low: float  # its interval
    sd_high: float
    low: float  # the lowest value
    high: float

    def margin(self, runs: int, confidence: float) -> float:
        """The difference that trainings alone stay below with that `confidence`.

        `runs` is 2 between two trained models, and 1 between one and a number that no training
        moves: t(n - 1) standard deviations, times the square root of `runs`.
        """
        return float(stats.t.ppf((1 + confidence) / 2, self.n - 1)) * self.sd * math.sqrt(runs)


def spread(values: Sequence[float], confidence: float) -> Spread:
    """How far `values` [n], one of each training, are apart. ValueError with fewer than two."""
    n = len(values)
    if n < 2:
        raise ValueError(f"{n} trainings have no spread")
    sd = float(np.std(values, ddof=1))
    tail = (1 - confidence) / 2
    sd_low, sd_high = (
        sd * math.sqrt((n - 1) / float(stats.chi2.ppf(quantile, n - 1)))
        for quantile in (1 - tail, tail)
    )
    return Spread(n, float(np.mean(values)), sd, sd_low, sd_high, min(values), max(values))
