"""Corrections for few sessions, by hand and by simulation."""

import numpy as np
import pytest
from scipy import stats

from espejo.evaluation import few_sessions
from espejo.evaluation.few_sessions import Pool


def test_ends_of_unequal_sessions_by_hand():
    top, bottom = np.array([0.0, 1.0, 3.0]), np.array([1.0, 1.0, 2.0])
    # Residuals -1, 0, 1; leverages 1/4, 1/4, 1/2: the variance is (1 / 0.75 + 1 / 0.5) / 16.
    error = (10 / 3 / 16) ** 0.5
    leverage = bottom / 4
    # Of independent replies: the trace is 4, the squares are 1 + 1 + 4 + 2 (1/9 + 2/3 + 2/3).
    assert few_sessions._degrees(leverage, bottom) == pytest.approx(16 / (80 / 9))
    fewer = few_sessions._degrees(leverage, bottom**2)
    assert fewer < 1.8
    low, high = few_sessions.ratio_ends(top, bottom, 0.95)
    assert high - 1 == pytest.approx(1 - low) == pytest.approx(stats.t.ppf(0.975, fewer) * error)


def test_degrees_of_freedom_are_those_of_the_simulated_variance():
    """Satterthwaite: of a chi-squared with d degrees, twice the squared mean over the variance."""
    bottom = np.array([1.0, 2.0, 3.0, 8.0])
    leverage = bottom / bottom.sum()
    totals = np.random.default_rng(5).normal(size=(200_000, 4)) * bottom
    residuals = totals - totals.sum(axis=1, keepdims=True) * leverage
    variances = (residuals**2 / (1 - leverage)).sum(axis=1)
    simulated = 2 * variances.mean() ** 2 / variances.var()
    assert few_sessions._degrees(leverage, bottom**2) == pytest.approx(simulated, rel=0.03)


def test_two_sessions_and_equal_ones_have_no_ends():
    assert few_sessions.ratio_ends(np.array([1.0, 2.0]), np.array([1.0, 1.0]), 0.95) is None
    assert (
        few_sessions.ratio_ends(np.array([1.0, 2.0, 1.0]), np.array([2.0, 4.0, 2.0]), 0.95) is None
    )


def pool(scores, inside, orders=None):
    inside = np.array(inside, dtype=bool)
    orders = np.zeros(len(scores), int) if orders is None else np.array(orders)
    return Pool(np.array(scores), inside, orders, np.full(inside.shape[1], 4))


def test_ends_of_bundles_of_one_session_each_are_those_of_the_textbook():
    """Where each bundle is of one session, the jackknife's variance is that of a mean."""
    values = np.array([0.3, 0.5, 0.6, 0.4])
    inside = np.tile(np.eye(4, dtype=bool), (10, 1))
    low, high = few_sessions.bundles_ends(0.45, pool(np.tile(values, 10), inside), 0.95)
    margin = stats.t.ppf(0.975, 3) * stats.sem(values) / (0.45 * 0.55)
    log_odds = np.log(0.45 / 0.55)
    expected = 1 / (1 + np.exp(-np.array([log_odds - margin, log_odds + margin])))
    assert (low, high) == pytest.approx(expected)


def test_the_order_of_sessions_adds_to_the_variance():
    scores, inside = np.tile([0.3, 0.5, 0.6, 0.4], 10), np.tile(np.eye(4, dtype=bool), (10, 1))
    still = few_sessions.bundles_ends(0.45, pool(scores, inside), 0.95)
    scores = scores + np.repeat([0.05, -0.05], 20)
    moved = few_sessions.bundles_ends(0.45, pool(scores, inside, np.repeat([0, 1], 20)), 0.95)
    assert moved[1] - moved[0] > 1.2 * (still[1] - still[0])


def test_bundles_that_need_every_session_have_no_ends():
    every = np.ones((40, 5), dtype=bool)
    assert few_sessions.bundles_ends(0.5, pool(np.linspace(0.3, 0.7, 40), every), 0.95) is None
    two = np.tile(np.eye(2, dtype=bool), (20, 1))
    assert few_sessions.bundles_ends(0.5, pool(np.linspace(0.3, 0.7, 40), two), 0.95) is None
    nothing = Pool(np.empty(0), np.empty((0, 4), bool), np.empty(0, int), np.full(4, 2))
    assert few_sessions.bundles_ends(0.5, nothing, 0.95) is None
