"""Intervals for the scores: bootstrap over sessions, since what one session holds hangs together.

An interval is `{"value", "low", "high", "n"}`, n being the sessions drawn (percentile bootstrap,
Efron 1979). Below ten it is `{"value", "n", "interval": "too few"}`, and where there was nothing to
measure the value is missing too.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from scipy import stats

TOO_FEW = 10  # units: fewer give no interval worth printing


def mean(values: Sequence[float], groups: Sequence[int], wanted: dict) -> dict:
    """The mean of `values` [n] and its interval; `groups` [n] is the session of each.

    `wanted` holds bootstrap (how many), confidence and seed, as params section evaluate does.
    """
    return ratio(values, np.ones(len(values)), groups, wanted)


def ratio(
    over: Sequence[float],
    under: Sequence[float],
    groups: Sequence[int],
    wanted: dict,
    scale: Callable[[float], float] = float,
) -> dict:
    """`scale(sum(over) / sum(under))` of `over` [n] and `under` [n], and its interval.

    `groups` [n] and `wanted` as for `mean`.
    """
    table = pd.DataFrame({"over": np.asarray(over, float), "under": np.asarray(under, float)})
    per_group = table.groupby(np.asarray(groups)).sum()
    top, bottom = per_group["over"].to_numpy(), per_group["under"].to_numpy()
    return _interval(
        lambda drawn: scale(top[drawn].sum() / bottom[drawn].sum()), [np.arange(len(top))], wanted
    )


def auc(
    high: Sequence[float],
    low: Sequence[float],
    groups_high: Sequence[int],
    groups_low: Sequence[int],
    wanted: dict,
    folds: tuple[Sequence[int], Sequence[int]] | None = None,
) -> dict:
    """How often a value of `high` [n] exceeds one of `low` [m]: the area under the ROC curve.

    A tie counts half. With `folds` ([n], [m]), only values of the same fold are compared, because
    classifiers of different folds are not on one scale (Forman and Scholz 2010), and the groups of
    both sides are the same sessions, drawn together; without, each side's are drawn apart and n is
    the smaller number of them.
    """
    one, other = np.asarray(high, float)[:, None], np.asarray(low, float)[None, :]
    if not one.size or not other.size:
        return {"n": 0, "interval": "too few"}
    if np.isnan(one).any() or np.isnan(other).any():
        raise ValueError("a value to compare is not a number")
    wins = (one > other) + 0.5 * (one == other)
    counted = np.ones_like(wins)
    if folds is not None:
        counted = np.equal.outer(np.asarray(folds[0]), np.asarray(folds[1])).astype(float)
    names = [np.unique(groups_high), np.unique(groups_low)]
    if folds is not None:
        names = [np.union1d(*names)] * 2
    left, right = (
        np.equal.outer(known, np.asarray(groups)).astype(float)
        for known, groups in zip(names, (groups_high, groups_low), strict=True)
    )
    won, pairs = left @ (wins * counted) @ right.T, left @ counted @ right.T

    def area(drawn: np.ndarray, against: np.ndarray | None = None) -> float:
        cells = np.ix_(drawn, drawn if against is None else against)
        # Folds that a draw leaves without a pair tell nothing: half, as for a coin.
        return won[cells].sum() / pairs[cells].sum() if pairs[cells].any() else 0.5

    sides = [np.arange(len(known)) for known in names]
    return _interval(area, sides[:1] if folds is not None else sides, wanted)


def _interval(statistic: Callable[..., float], sides: list[np.ndarray], wanted: dict) -> dict:
    """`statistic` of the places of the groups in `sides`, each side drawn again on its own."""
    n = min(len(side) for side in sides)
    if not n:
        return {"n": 0, "interval": "too few"}
    value = float(statistic(*sides))
    if n < TOO_FEW:
        return {"value": value, "n": n, "interval": "too few"}
    drawn = stats.bootstrap(
        sides,
        statistic,
        vectorized=False,
        n_resamples=wanted["bootstrap"],
        confidence_level=wanted["confidence"],
        method="percentile",
        rng=np.random.default_rng(wanted["seed"]),
    ).confidence_interval
    return {"value": value, "low": float(drawn.low), "high": float(drawn.high), "n": n}
