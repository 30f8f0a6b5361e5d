"""Intervals for the scores, with the session as the unit: what one session holds hangs together.

A measure is `{"value", "low", "high", "n"}`, n being the sessions. Below ten of them it has no
interval: `{"value", "n", "interval": "too few"}` ("no spread" where there are enough, but they do
not differ, which says nothing of the next); where there was nothing to measure the value is missing
too. The kinds of number want each their own method:

- means and ratios: bootstrap-t over sessions (Efron 1982; Davison and Hinkley 1997, 5.2), because
  the percentile bootstrap of a dozen sessions is too narrow: it holds the true value in 85 to 90 of
  100 cases where 95 is said;
- shares of yes and no: Clopper-Pearson with the effective sample size (Korn and Graubard 1998),
  which says something even where none of 32 was a yes; n is then the number of answers;
- areas under the ROC curve: Newcombe's (2006) score method, with the effective sample size and a
  t quantile, which says something even where all pairs were won.

How often they hold the true value is simulated in tests/evaluation/test_coverage.py.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from scipy import stats
from scipy.optimize import brentq

TOO_FEW = 10  # sessions: fewer give no interval worth printing


def mean(
    values: Sequence[float],
    groups: Sequence[int],
    wanted: Mapping,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> dict:
    """The mean of `values` [n], which lie within `bounds`, and its interval.

    `groups` [n] is the session of each; `wanted` holds bootstrap (how many), confidence and seed,
    as params section evaluate does. Raises ValueError for a value that is not finite.
    """
    return ratio(values, np.ones(len(values)), groups, wanted, bounds=bounds)


def ratio(
    over: Sequence[float],
    under: Sequence[float],
    groups: Sequence[int],
    wanted: Mapping,
    scale: Callable[[float], float] = float,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> dict:
    """`scale(sum(over) / sum(under))` of `over` [n] and `under` [n], and its interval.

    `scale` rises; `bounds` are those of the ratio before it. The rest as for `mean`.
    """
    top, bottom = _by_group(_finite(over), groups), _by_group(_finite(under), groups)
    n = len(top)
    if not bottom.sum():
        return {"n": 0, "interval": "too few"}
    value = top.sum() / bottom.sum()
    ends = None if n < TOO_FEW else _bootstrap_t(top, bottom, wanted)
    if n >= TOO_FEW and ends is None and all(map(math.isfinite, bounds)):
        # All sessions gave the same. No value within bounds spreads more than yes and no do.
        low, width = bounds[0], bounds[1] - bounds[0]
        ends = tuple(
            low + width * end for end in _exact((value - low) / width * n, n, wanted["confidence"])
        )
    if n < TOO_FEW or ends is None or not np.isfinite(np.clip(ends, *bounds)).all():
        why = "too few" if n < TOO_FEW else "no spread"
        return {"value": float(scale(value)), "n": n, "interval": why}
    low, high = (float(scale(end)) for end in np.clip(ends, *bounds))
    return {"value": float(scale(value)), "low": low, "high": high, "n": n}


def _bootstrap_t(
    top: np.ndarray, bottom: np.ndarray, wanted: Mapping
) -> tuple[float, float] | None:
    """Ends for sum(top) / sum(bottom) of the groups [n]; None where the groups do not differ.

    The error of each resample is studentized by its own linearized standard error. A resample of
    equal groups, which says that the error may be of any size, counts as infinite. Neither end is
    nearer than Student's t with n - 1 degrees of freedom puts it: the resamples show on which side
    the tail is, but ten sessions are too few to show that there is less of it than in a normal.
    """

    def error(top: np.ndarray, bottom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value = top.sum(-1) / bottom.sum(-1)
        left = top - value[..., None] * bottom
        return value, np.sqrt((left**2).sum(-1) * n / (n - 1)) / bottom.sum(-1)

    n = len(top)
    value, spread = error(top, bottom)
    if spread <= 1e-9 * max(1, abs(value)):
        return None
    drawn = np.random.default_rng(wanted["seed"]).integers(0, n, (wanted["bootstrap"], n))
    drawn = drawn[bottom[drawn].any(axis=1)]
    values, spreads = error(top[drawn], bottom[drawn])
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.nan_to_num((values - value) / spreads, nan=0.0, posinf=np.inf, neginf=-np.inf)
    tail = (1 - wanted["confidence"]) / 2
    student = stats.t.ppf(1 - tail, n - 1)
    least = min(-student, np.quantile(ratios, tail, method="lower"))
    most = max(student, np.quantile(ratios, 1 - tail, method="higher"))
    return float(value - most * spread), float(value - least * spread)


def share(hits: Sequence[bool], groups: Sequence[int], wanted: Mapping) -> dict:
    """The share of `hits` [n] that are true and its interval, which never has width zero.

    n is the number of answers. That those of one session are alike makes their effective number
    smaller. It cannot be seen where all answers are the same; then each counts (as in the standards
    of the US National Center for Health Statistics, Parker et al. 2017). Raises ValueError for an
    answer that is not finite, which would pass for a yes.
    """
    yes = _finite(hits).astype(bool)
    n = len(yes)
    if not n:
        return {"n": 0, "interval": "too few"}
    value, effective = float(yes.mean()), float(n)
    if 0 < value < 1:
        left = _by_group(yes - value, groups)
        known = max(len(left), 2)
        variance = (left**2).sum() * known / (known - 1) / n**2
        if variance:
            effective = min(n, value * (1 - value) / variance * n / (n - 1))
        tail = (1 + wanted["confidence"]) / 2
        effective *= (stats.t.ppf(tail, max(n - 1, 1)) / stats.t.ppf(tail, known - 1)) ** 2
    low, high = _exact(value * effective, effective, wanted["confidence"])
    return {"value": value, "low": low, "high": high, "n": n}


def _exact(successes: float, n: float, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson's ends; n and the successes need not be whole."""
    tail = (1 - confidence) / 2
    failures = n - successes
    low = stats.beta.ppf(tail, successes, failures + 1) if successes > 0 else 0.0
    high = stats.beta.ppf(1 - tail, successes + 1, failures) if failures > 0 else 1.0
    return float(low), float(high)


def share_difference(
    hits: Sequence[bool], others: Sequence[bool], groups: Sequence[int], wanted: Mapping
) -> dict:
    """The share of `hits` [n] minus that of `others` [n], answers to the same questions.

    From the ends of both shares and how the answers go together (Newcombe 1998, method 10, with
    the ends of `share`). Where all go together, from how often they may still differ.
    """
    one, other = (_finite(answers).astype(bool) for answers in (hits, others))
    if len(one) and (one == other).all():
        most = _exact(0, len(one), wanted["confidence"])[1]
        return {"value": 0.0, "low": -most, "high": most, "n": len(one)}
    varied = len(one) and one.std() and other.std()
    together = float(np.corrcoef(one, other)[0, 1]) if varied else 0.0
    return _mover(share(one, groups, wanted), share(other, groups, wanted), together)


def difference(one: Mapping, other: Mapping | float) -> dict:
    """Measure `one` minus `other`, a measure taken apart from it or a fixed number.

    MOVER (Zou and Donner 2008): the ends come from those of the two. Where both rest on the same
    sessions it is wider than it need be. Without an interval of both there is none.
    """
    if not isinstance(other, Mapping):
        other = {"value": other, "low": other, "high": other, "n": one["n"]}
    return _mover(one, other)


def _mover(one: Mapping, other: Mapping, together: float = 0.0) -> dict:
    n = min(one["n"], other["n"])
    if "value" not in one or "value" not in other:
        return {"n": 0, "interval": "too few"}
    value = one["value"] - other["value"]
    if "low" not in one or "low" not in other:
        missing = one if "low" not in one else other
        return {"value": value, "n": n, "interval": missing["interval"]}

    def reach(own: float, others: float) -> float:
        return math.sqrt(max(0.0, own**2 + others**2 - 2 * together * own * others))

    down = reach(one["value"] - one["low"], other["high"] - other["value"])
    up = reach(one["high"] - one["value"], other["value"] - other["low"])
    return {"value": value, "low": value - down, "high": value + up, "n": n}


def auc(
    high: Sequence[float],
    low: Sequence[float],
    groups_high: Sequence[int],
    groups_low: Sequence[int],
    wanted: Mapping,
) -> dict:
    """How often a value of `high` [n] exceeds one of `low` [m]: the area under the ROC curve.

    A tie counts half. The sessions of both sides are different ones; n is the smaller number.
    Raises ValueError for a value that is not finite.
    """
    one, other = _finite(high), _finite(low)
    if not len(one) or not len(other):
        return {"n": 0, "interval": "too few"}
    wins = _wins(one, other)
    sides = [(_by_group(wins, groups_high), _sizes(groups_high))]
    sides += [(_by_group(wins.T, groups_low), _sizes(groups_low))]
    value, variance = float(wins.mean()), 0.0
    for won, sizes in sides:
        # Jackknife: the area without each session.
        without = (wins.sum() - won.sum(axis=1)) / (
            np.maximum(sizes.sum() - sizes, 1) * wins.size / sizes.sum()
        )
        variance += (len(sizes) - 1) / len(sizes) * ((without - without.mean()) ** 2).sum()
    n = min(len(sizes) for _, sizes in sides)
    return _area(value, variance, (len(one), len(other)), n, wanted)


def cross_validated_auc(
    high: np.ndarray, low: np.ndarray, folds: np.ndarray, groups: Sequence[int], wanted: Mapping
) -> dict:
    """`auc` of values [r, n] that classifiers gave in r cross-validations, of pairs in one session.

    `folds` [r, n] says which classifier of the cross-validation judged a pair: only values of one
    are compared, because those of two are not on one scale (Forman and Scholz 2010). Classifiers
    of overlapping training sets err together, which makes the variance larger by the factor
    1 + k / (k - 1) for k folds (Nadeau and Bengio 2003; Bouckaert and Frank 2004).
    """
    won, pairs = 0.0, 0.0
    for one, other, fold in zip(_finite(high), _finite(low), folds, strict=True):
        same = np.equal.outer(fold, fold).astype(float)
        won = won + _by_group(_by_group(_wins(one, other) * same, groups).T, groups)
        pairs = pairs + _by_group(_by_group(same, groups).T, groups)

    def without(cells: np.ndarray) -> np.ndarray:
        return cells.sum() - cells.sum(axis=0) - cells.sum(axis=1) + np.diag(cells)

    left = without(won) / without(pairs)
    n, k = len(won), len(np.unique(folds))
    variance = (n - 1) / n * ((left - left.mean()) ** 2).sum() * (1 + k / (k - 1))
    size = high.shape[1]
    return _area(float(won.sum() / pairs.sum()), variance, (size, size), n, wanted)


def _wins(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one[:, None] > other) + 0.5 * (one[:, None] == other)


def _area(
    value: float, variance: float, sizes: tuple[int, int], groups: int, wanted: Mapping
) -> dict:
    """An AUC of two samples of `sizes` values in `groups` sessions, with its interval.

    Newcombe (2006), method 5: all areas from which `value` is no further than their own standard
    error allows. Where the sessions show more variance than independent values would have, the
    sizes shrink by that factor.
    """
    if groups < TOO_FEW:
        return {"value": value, "n": groups, "interval": "too few"}
    alone = _variance(value, *sizes)
    shrunk = max(1.0, variance / alone) if alone else max(sizes) / groups
    one, other = (max(2.0, size / shrunk) for size in sizes)
    allowed = stats.t.ppf((1 + wanted["confidence"]) / 2, groups - 1) ** 2

    def beyond(area: float) -> float:
        return (area - value) ** 2 - allowed * _variance(area, one, other)

    edge = 1e-9
    low, high = 0.0, 1.0
    if beyond(edge) > 0:
        low = brentq(beyond, edge, min(value, 1 - edge))
    if beyond(1 - edge) > 0:
        high = brentq(beyond, max(value, edge), 1 - edge)
    return {"value": value, "low": float(low), "high": float(high), "n": groups}


def _variance(area: float, one: float, other: float) -> float:
    """Of an AUC of independent values (Hanley and McNeil 1982, with Newcombe's equal sizes)."""
    half = (one + other) / 2 - 1
    spread = 1 + half * (1 - area) / (2 - area) + half * area / (1 + area)
    return area * (1 - area) * spread / (one * other)


def _finite(values: Sequence[float]) -> np.ndarray:
    found = np.asarray(values, float)
    if not np.isfinite(found).all():
        wrong = int((~np.isfinite(found)).sum())
        raise ValueError(f"{wrong} of {found.size} values to measure are not finite numbers")
    return found


def _by_group(values: np.ndarray, groups: Sequence[int]) -> np.ndarray:
    """Sums of `values` [n, ...] for each of the groups, in their order."""
    names, places = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((len(names), *values.shape[1:]))
    np.add.at(sums, places, values)
    return sums


def _sizes(groups: Sequence[int]) -> np.ndarray:
    return np.unique(np.asarray(groups), return_counts=True)[1]


def relation(measure: Mapping, other: Mapping | float, margin: float = 0.0) -> str:
    """Where a measure is from another, or from a fixed number, by the interval of the difference.

    alike (the interval lies within `margin` on both sides of zero; never without a margin), above,
    below, unclear (it includes zero), few (one of them has no interval) or missing (one of them
    was not measured or is not finite). A difference that was measured in pairs is given as
    `measure`, with 0 as `other`.
    """
    if not all(map(is_finite, (measure, other))):
        return "missing"
    found = difference(measure, other)
    if "low" not in found:
        return "few"
    if -margin < found["low"] and found["high"] < margin:
        return "alike"
    if found["low"] > 0:
        return "above"
    return "below" if found["high"] < 0 else "unclear"


def is_finite(measure: Mapping | float) -> bool:
    """Whether a measure was taken, and its value and ends are finite."""
    if not isinstance(measure, Mapping):
        return math.isfinite(measure)
    ends = [measure[end] for end in ("value", "low", "high") if end in measure]
    return "value" in measure and all(map(math.isfinite, ends))
