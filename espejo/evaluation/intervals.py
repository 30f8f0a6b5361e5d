"""Confidence intervals for the scores; the unit is the session, since its replies are correlated.

A measure is `{"value", "low", "high", "n"}`, n being the number of sessions. Below three sessions
it has no interval: `{"value", "n", "interval": "too few"}`. Where there are enough but they do not
differ, which says nothing about the next one, `interval` is "no spread". Where nothing could be
measured, the value is missing too. Each kind of number has a method of its own:

- means and ratios: bootstrap-t over sessions (Efron 1982; Davison and Hinkley 1997, 5.2), because
  the percentile bootstrap of a dozen sessions is too narrow: it covers the true value in 85 to 90 %
  of cases where it claims 95 %. With fewer than ten sessions no narrower than Student's t with the
  corrections for few clusters (`few_sessions`);
- shares of yes and no: Clopper-Pearson with the effective sample size (Korn and Graubard 1998),
  which gives an upper limit even where none of 32 was a yes; n is then the number of answers;
- areas under the ROC curve: Newcombe's (2006) score method, with the effective sample size and a
  t quantile, which gives a lower limit even where all pairs were won.

Their coverage is simulated in tests/evaluation/test_coverage.py.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from scipy import stats
from scipy.optimize import brentq

from espejo.evaluation.config import EvaluateConfig
from espejo.evaluation.few_sessions import MIN_SESSIONS, ratio_ends

MIN_N = 10  # fewer sessions need corrections; fewer answers are counted, without a share
MIN_JUDGED = (
    5  # sessions for a cross-validation: with fewer its classifiers learn from two or three
)
Numbers: TypeAlias = Sequence[float] | np.ndarray
Groups: TypeAlias = Sequence[int] | np.ndarray  # the session of each number
UNBOUNDED = (-math.inf, math.inf)


def mean(
    values: Numbers,
    groups: Groups,
    config: EvaluateConfig,
    bounds: tuple[float, float] = UNBOUNDED,
) -> dict:
    """The mean of `values` [n], which lie within `bounds`, and its interval.

    `groups` [n] is the session of each. Raises ValueError for a value that is not finite.
    """
    return ratio(values, np.ones(len(values)), groups, config, bounds=bounds)


def ratio(
    numerators: Numbers,
    denominators: Numbers,
    groups: Groups,
    config: EvaluateConfig,
    scale: Callable[[float], float] = float,
    bounds: tuple[float, float] = UNBOUNDED,
) -> dict:
    """`scale(sum(numerators) / sum(denominators))`, both [n], and its interval.

    `scale` is increasing; `bounds` are those of the ratio before scaling. Otherwise as `mean`.
    """
    top, bottom = _by_group(_finite(numerators), groups), _by_group(_finite(denominators), groups)
    n = len(top)
    if not bottom.sum():
        return {"n": 0, "interval": "too few"}
    value = top.sum() / bottom.sum()
    few = (bottom > 0).sum() < MIN_SESSIONS
    ends = None if few else _bootstrap_t(top, bottom, config)
    if not few and ends is None and all(map(math.isfinite, bounds)):
        # All sessions have the same value. No values within the bounds vary more than yes and no
        # would.
        low, width = bounds[0], bounds[1] - bounds[0]
        exact = _exact((value - low) / width * n, n, config.confidence)
        ends = low + width * exact[0], low + width * exact[1]
    if few or ends is None or not np.isfinite(np.clip(ends, *bounds)).all():
        reason = "too few" if few else "no spread"
        return {"value": float(scale(value)), "n": n, "interval": reason}
    low, high = (float(scale(end)) for end in np.clip(ends, *bounds))
    return {"value": float(scale(value)), "low": low, "high": high, "n": n}


def _bootstrap_t(
    top: np.ndarray, bottom: np.ndarray, config: EvaluateConfig
) -> tuple[float, float] | None:
    """Ends for sum(top) / sum(bottom) of the groups [n]; None where the groups do not differ.

    The error of each resample is divided by its own linearized standard error. A resample of equal
    groups, whose standard error is 0, counts as infinite. Neither end is closer to the value than
    with Student's t and n - 1 degrees of freedom: the resamples show on which side the long tail
    is, but ten sessions cannot show that the other tail is lighter than a normal's. Nor is it, with
    fewer than ten sessions, closer than in `few_sessions.ratio_ends`; an end that the resamples
    put at infinity (they are few, and some of them of equal groups) is the one from there.
    """

    def ratio_and_error(top: np.ndarray, bottom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value = top.sum(-1) / bottom.sum(-1)
        residuals = top - value[..., None] * bottom
        return value, np.sqrt((residuals**2).sum(-1) * n / (n - 1)) / bottom.sum(-1)

    n = len(top)
    value, error = ratio_and_error(top, bottom)
    if error <= 1e-9 * np.maximum(1, np.abs(value)):
        return None
    resamples = np.random.default_rng(config.seed).integers(0, n, (config.bootstrap, n))
    resamples = resamples[bottom[resamples].any(axis=1)]
    values, errors = ratio_and_error(top[resamples], bottom[resamples])
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.nan_to_num((values - value) / errors, nan=0.0, posinf=np.inf, neginf=-np.inf)
    tail = (1 - config.confidence) / 2
    student = float(stats.t.ppf(1 - tail, n - 1))
    low = min(-student, float(np.quantile(t, tail, method="lower")))
    high = max(student, float(np.quantile(t, 1 - tail, method="higher")))
    ends = float(value - high * error), float(value - low * error)
    corrected = ratio_ends(top, bottom, config.confidence) if n < MIN_N else None
    if corrected is None:
        return ends
    down, up = (end if math.isfinite(end) else float(value) for end in ends)
    return min(down, corrected[0]), max(up, corrected[1])


def share(hits: Numbers, groups: Groups, config: EvaluateConfig) -> dict:
    """The share of `hits` [n] that are true and its interval, which never has width zero.

    n is the number of answers. Answers of one session are alike, which makes their effective number
    smaller. That cannot be seen where all answers are the same; then each of them counts (as in the
    standards of the US National Center for Health Statistics, Parker et al. 2017). Raises
    ValueError for an answer that is not finite, which would otherwise count as a yes.
    """
    yes = _finite(hits).astype(bool)
    n = len(yes)
    if not n:
        return {"n": 0, "interval": "too few"}
    value, effective = float(yes.mean()), float(n)
    if 0 < value < 1:
        residuals = _by_group(yes - value, groups)
        sessions = max(len(residuals), 2)
        variance = (residuals**2).sum() * sessions / (sessions - 1) / n**2
        if variance:
            effective = min(n, value * (1 - value) / variance * n / (n - 1))
        tail = (1 + config.confidence) / 2
        effective *= (stats.t.ppf(tail, max(n - 1, 1)) / stats.t.ppf(tail, sessions - 1)) ** 2
    low, high = _exact(value * effective, effective, config.confidence)
    return {"value": value, "low": low, "high": high, "n": n}


def _exact(successes: float, n: float, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson's ends; n and the successes need not be whole."""
    tail = (1 - confidence) / 2
    failures = n - successes
    low = stats.beta.ppf(tail, successes, failures + 1) if successes > 0 else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, failures) if failures > 0 else 1.0
    return float(low), float(high)


def share_difference(
    hits: Numbers, other_hits: Numbers, groups: Groups, config: EvaluateConfig
) -> dict:
    """The share of `hits` [n] minus that of `other_hits` [n], answers to the same questions.

    Computed from the ends of both shares and the correlation of the answers (Newcombe 1998, method
    10, with the ends of `share`). If all answers agree, from the upper limit of how often they
    differ.
    """
    first, second = (_finite(answers).astype(bool) for answers in (hits, other_hits))
    if len(first) and (first == second).all():
        end = _exact(0, len(first), config.confidence)[1]
        return {"value": 0.0, "low": -end, "high": end, "n": len(first)}
    varied = len(first) and first.std() and second.std()
    correlation = float(np.corrcoef(first, second)[0, 1]) if varied else 0.0
    return _mover(share(first, groups, config), share(second, groups, config), correlation)


def difference(measure: Mapping, other: Mapping | float) -> dict:
    """`measure` minus `other`, which is another measure or a fixed number.

    MOVER (Zou and Donner 2008): the ends come from those of the two, taken as independent; where
    both rest on the same sessions the interval is wider than it need be. Both must have an
    interval.
    """
    if not isinstance(other, Mapping):
        other = {"value": other, "low": other, "high": other, "n": measure["n"]}
    return _mover(measure, other)


def _mover(measure: Mapping, other: Mapping, correlation: float = 0.0) -> dict:
    n = min(measure["n"], other["n"])
    if "value" not in measure or "value" not in other:
        return {"n": 0, "interval": "too few"}
    value = measure["value"] - other["value"]
    if "low" not in measure or "low" not in other:
        missing = measure if "low" not in measure else other
        return {"value": value, "n": n, "interval": missing["interval"]}

    def distance(first: float, second: float) -> float:
        return math.sqrt(max(0.0, first**2 + second**2 - 2 * correlation * first * second))

    down = distance(measure["value"] - measure["low"], other["high"] - other["value"])
    up = distance(measure["high"] - measure["value"], other["value"] - other["low"])
    return {"value": value, "low": value - down, "high": value + up, "n": n}


def auc(
    positives: Numbers,
    negatives: Numbers,
    positive_groups: Groups,
    negative_groups: Groups,
    config: EvaluateConfig,
) -> dict:
    """How often a score of `positives` [n] exceeds one of `negatives` [m]: the area under the ROC
    curve.

    A tie counts half. No session is on both sides; the measure's n is the smaller number of
    sessions. Raises ValueError for a score that is not finite.
    """
    high, low = _finite(positives), _finite(negatives)
    if not len(high) or not len(low):
        return {"n": 0, "interval": "too few"}
    wins = _wins(high, low)
    sides = [
        (_by_group(wins, positive_groups), _sizes(positive_groups)),
        (_by_group(wins.T, negative_groups), _sizes(negative_groups)),
    ]
    value, variance = float(wins.mean()), 0.0
    for won, sizes in sides:
        # Jackknife: the area without each session.
        without = (wins.sum() - won.sum(axis=1)) / (
            np.maximum(sizes.sum() - sizes, 1) * wins.size / sizes.sum()
        )
        variance += (len(sizes) - 1) / len(sizes) * ((without - without.mean()) ** 2).sum()
    n = min(len(sizes) for _, sizes in sides)
    return _area(value, variance, (len(high), len(low)), n, config)


def cross_validated_auc(
    positives: np.ndarray,
    negatives: np.ndarray,
    folds: np.ndarray,
    groups: Groups,
    config: EvaluateConfig,
    negative_folds: np.ndarray | None = None,
    negative_groups: Groups | None = None,
) -> dict:
    """`auc` of scores [r, n] by the classifiers of r cross-validations; pair i is in `groups[i]`.

    `folds` [r, n] is the fold in which a pair was scored: only scores of one classifier are
    compared, because those of two are not on one scale (Forman and Scholz 2010). Classifiers with
    overlapping training sets make correlated errors, which raises the variance by the factor
    1 + k / (k - 1) for k folds (Nadeau and Bengio 2003; Bouckaert and Frank 2004).

    Where the scores are no pairs, `negatives` [r, m] have folds [r, m] and groups [m] of their own.
    """
    other_folds = folds if negative_folds is None else negative_folds
    sides = groups, groups if negative_groups is None else negative_groups
    names = np.unique(np.concatenate([np.asarray(side) for side in sides]))
    rows, columns = (np.searchsorted(names, np.unique(np.asarray(side))) for side in sides)
    won, pairs = (np.zeros((len(names), len(names))) for _ in range(2))
    for high, low, fold, other in zip(
        _finite(positives), _finite(negatives), folds, other_folds, strict=True
    ):
        same = np.equal.outer(fold, other).astype(float)
        for total, values in ((won, _wins(high, low) * same), (pairs, same)):
            total[np.ix_(rows, columns)] += _by_group(_by_group(values, sides[0]).T, sides[1]).T

    def without(cells: np.ndarray) -> np.ndarray:
        """The sum of all cells but those of each group."""
        return cells.sum() - cells.sum(axis=0) - cells.sum(axis=1) + np.diag(cells)

    areas = without(won) / without(pairs)
    n, k = len(names), len(np.unique(folds))
    variance = (n - 1) / n * ((areas - areas.mean()) ** 2).sum() * (1 + k / (k - 1))
    sizes = positives.shape[1], negatives.shape[1]
    value, fewer = float(won.sum() / pairs.sum()), min(len(rows), len(columns))
    if fewer < MIN_JUDGED:
        return {"value": value, "n": fewer, "interval": "too few"}
    return _area(value, variance, sizes, fewer, config)


def _wins(high: np.ndarray, low: np.ndarray) -> np.ndarray:
    """1 where a score of `high` [n] exceeds one of `low` [m], 0.5 where they tie: [n, m]."""
    return (high[:, None] > low) + 0.5 * (high[:, None] == low)


def _area(
    value: float, variance: float, sizes: tuple[int, int], groups: int, config: EvaluateConfig
) -> dict:
    """An AUC of two samples of `sizes` scores in `groups` sessions, with its interval.

    Newcombe (2006), method 5: all areas from which `value` is no further than their own standard
    error allows. Where the sessions show more variance than independent scores would have, the
    sizes shrink by that factor.
    """
    if groups < MIN_SESSIONS:
        return {"value": value, "n": groups, "interval": "too few"}
    independent = _variance(value, *sizes)
    design_effect = max(1.0, variance / independent) if independent else max(sizes) / groups
    n, m = (max(2.0, size / design_effect) for size in sizes)
    squared_t = stats.t.ppf((1 + config.confidence) / 2, groups - 1) ** 2

    def excess(area: float) -> float:
        return (area - value) ** 2 - squared_t * _variance(area, n, m)

    edge = 1e-9
    low, high = 0.0, 1.0
    if excess(edge) > 0:
        low = brentq(excess, edge, min(value, 1 - edge))
    if excess(1 - edge) > 0:
        high = brentq(excess, max(value, edge), 1 - edge)
    return {"value": value, "low": float(low), "high": float(high), "n": groups}


def _variance(area: float, n: float, m: float) -> float:
    """Of an AUC of independent scores (Hanley and McNeil 1982, with Newcombe's equal sizes)."""
    half = (n + m) / 2 - 1
    spread = 1 + half * (1 - area) / (2 - area) + half * area / (1 + area)
    return area * (1 - area) * spread / (n * m)


def _finite(values: Numbers) -> np.ndarray:
    numbers = np.asarray(values, float)
    if not np.isfinite(numbers).all():
        wrong = int((~np.isfinite(numbers)).sum())
        raise ValueError(f"{wrong} of {numbers.size} values to measure are not finite numbers")
    return numbers


def _by_group(values: np.ndarray, groups: Groups) -> np.ndarray:
    """Sums of `values` [n, ...] for each of the groups, in sorted order."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, index, values)
    return sums


def _sizes(groups: Groups) -> np.ndarray:
    return np.unique(np.asarray(groups), return_counts=True)[1]


def relation(measure: Mapping, other: Mapping | float, margin: float = 0.0) -> str:
    """How a measure compares with another one, or with a fixed number, by the interval of the
    difference.

    alike (the interval lies within `margin` on both sides of zero; never without a margin), above,
    below, unclear (it includes zero), few (one of them has no interval) or missing (one of them
    was not measured or is not finite). A difference that was measured in pairs is given as
    `measure`, with 0 as `other`.
    """
    if not (is_finite(measure) and is_finite(other)):
        return "missing"
    gap = difference(measure, other)
    if "low" not in gap:
        return "few"
    if -margin < gap["low"] and gap["high"] < margin:
        return "alike"
    if gap["low"] > 0:
        return "above"
    return "below" if gap["high"] < 0 else "unclear"


def is_finite(measure: Mapping | float) -> bool:
    """Whether a measure was taken, and its value and ends are finite."""
    if not isinstance(measure, Mapping):
        return math.isfinite(measure)
    ends = [measure[end] for end in ("value", "low", "high") if end in measure]
    return "value" in measure and all(map(math.isfinite, ends))
