"""Intervals where sessions are few: three to nine, or longer bundles than sessions.

The linearized standard error of a ratio is too small with few sessions, and its t statistic has
fewer than n - 1 degrees of freedom where sessions differ in size. Both are corrected as for
regressions with few clusters: residuals by their leverage, degrees of freedom by Satterthwaite's
approximation (Bell and McCaffrey 2002, "CR2"; Imbens and Kolesár 2016; Pustejovsky and Tipton
2018). With one or two sessions nothing shows how much sessions differ: there is no interval.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats

MIN_SESSIONS = 3
MIN_WITHOUT = 20  # bundles in the pool without a session, for the mean without that session


def ratio_ends(
    top: np.ndarray, bottom: np.ndarray, confidence: float
) -> tuple[float, float] | None:
    """Ends for sum(top) / sum(bottom) of the sessions [n]; None where these do not differ.

    The residual of a session with the share h of all of `bottom` is divided by sqrt(1 - h). The
    degrees of freedom are the fewer of two: of independent replies, and of replies that are the
    same throughout a session, since how alike they are cannot be estimated from few sessions.
    """
    some = bottom > 0
    top, bottom = top[some], bottom[some]
    if len(top) < MIN_SESSIONS:
        return None
    value, leverage = top.sum() / bottom.sum(), bottom / bottom.sum()
    residuals = (top - value * bottom) / np.sqrt(1 - leverage)
    error = float(np.sqrt((residuals**2).sum()) / bottom.sum())
    if error <= 1e-9 * max(1.0, abs(value)):
        return None
    degrees = min(_degrees(leverage, bottom), _degrees(leverage, bottom**2))
    margin = float(stats.t.ppf((1 + confidence) / 2, degrees)) * error
    return float(value - margin), float(value + margin)


def _degrees(leverage: np.ndarray, variances: np.ndarray) -> float:
    """Satterthwaite's degrees of freedom, where totals of sessions have these `variances` [n]."""
    n = len(leverage)
    adjusted = (np.eye(n) - np.outer(leverage, np.ones(n))) / np.sqrt(1 - leverage)[:, None]
    form = adjusted @ np.diag(variances) @ adjusted.T
    return float(np.trace(form) ** 2 / (form**2).sum())


class Pool(NamedTuple):
    """Bundles of the same messages with the sessions in many orders."""

    scores: np.ndarray  # [b], each from 0 to 1
    inside: np.ndarray  # bool[b, n]: whether a bundle has a message of a session
    orders: np.ndarray  # int[b]: the order of the sessions that a bundle comes from
    messages: np.ndarray  # int[n]: of each session


def bundles_ends(value: float, pool: Pool, confidence: float) -> tuple[float, float] | None:
    """Ends for the mean score of bundles that span sessions; None where nothing can be said.

    The mean over bundles is a U-statistic of the sessions (Hoeffding 1948): its variance is the
    jackknife's over sessions (Arvesen 1969), the mean without a session being that of the bundles
    in the pool without it (as in Efron 1992). `value` is of one order of the sessions, so the
    variance between orders is added. The interval is symmetric in log-odds, which keeps it within
    0 and 1; degrees of freedom as many as sessions of equal size would give (Kish 1965), less one.
    """
    n, without = pool.inside.shape[1], ~pool.inside
    numbers = without.sum(axis=0)
    if n < MIN_SESSIONS or not len(pool.scores) or numbers.min() < MIN_WITHOUT:
        return None
    means = (without * pool.scores[:, None]).sum(axis=0) / numbers
    orders = np.unique(pool.orders, return_inverse=True)[1]
    by_order = np.bincount(orders, pool.scores) / np.bincount(orders)
    variance = (n - 1) / n * ((means - means.mean()) ** 2).sum() + by_order.var()
    if variance <= 1e-18 or not 0 < value < 1:
        return None
    effective = pool.messages.sum() ** 2 / (pool.messages**2).sum()
    quantile = stats.t.ppf((1 + confidence) / 2, max(1.0, effective - 1))
    log_odds = np.log(value / (1 - value))
    margin = quantile * np.sqrt(variance) / (value * (1 - value))
    low, high = 1 / (1 + np.exp(-(log_odds + margin * np.array([-1, 1]))))
    return float(low), float(high)
