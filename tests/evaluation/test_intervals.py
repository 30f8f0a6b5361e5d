"""Intervals: by hand, from published examples, and with almost no data. test_coverage measures how
often they hold the true value.
"""

import math

import numpy as np
import pytest
from scipy import stats

from espejo.evaluation import intervals
from tests.helpers.configs import EVALUATE, changed

CONFIG = changed(EVALUATE, bootstrap=2000)


def ends(measure):
    return measure["low"], measure["high"]


def test_a_mean_by_hand_and_too_few():
    got = intervals.mean([1.0, 0.0, 0.5], [1, 1, 2], CONFIG)
    assert got == {"value": 0.5, "n": 2, "interval": "too few"}
    assert intervals.mean([], [], CONFIG) == {"n": 0, "interval": "too few"}
    assert "low" in intervals.mean([0.25, 0.5] * 5, range(10), CONFIG)


def test_three_equal_sessions_give_the_interval_of_the_textbook():
    # Mean 7 / 3, standard error 0.88192, and 4.30265, the 97.5 % quantile of t with 2 degrees.
    got = intervals.mean([1.0, 2.0, 4.0], range(3), CONFIG)
    assert ends(got) == pytest.approx((7 / 3 - 3.79461, 7 / 3 + 3.79461), abs=1e-4)


@pytest.mark.parametrize("number", [4, 6, 9])
def test_with_few_sessions_an_interval_is_no_narrower_than_students(number):
    values = np.random.default_rng(number).normal(size=number)
    got = intervals.mean(values, range(number), CONFIG)
    low, high = stats.t.interval(0.95, number - 1, values.mean(), stats.sem(values))
    assert got["low"] <= low + 1e-9
    assert got["high"] >= high - 1e-9


def test_sessions_without_anything_to_divide_by_are_none():
    got = intervals.ratio([1.0, 2.0, 0.0, 0.0], [2, 2, 0, 0], range(4), CONFIG)
    assert got == {"value": 0.75, "n": 4, "interval": "too few"}


def test_a_mean_of_many_sessions_is_that_of_the_textbook():
    values = np.random.default_rng(1).normal(3, 2, 400)
    got = intervals.mean(values, range(400), CONFIG)
    error = stats.sem(values)
    expected = stats.t.interval(0.95, 399, values.mean(), error)
    assert ends(got) == pytest.approx(expected, abs=0.15 * error)


def test_a_long_tail_is_allowed_for_on_its_side():
    values = np.random.default_rng(1).exponential(1, 20)
    got = intervals.mean(values, range(20), CONFIG)
    assert got["high"] - got["value"] > 1.1 * (got["value"] - got["low"])


def test_the_scale_is_put_on_value_and_ends():
    drawn = np.random.default_rng(4)
    nats, tokens = drawn.gamma(9, 10, 30), drawn.integers(20, 40, 30)
    plain = intervals.ratio(nats, tokens, range(30), CONFIG)
    scaled = intervals.ratio(nats, tokens, range(30), CONFIG, math.exp)
    for key in ("value", "low", "high"):
        assert scaled[key] == pytest.approx(math.exp(plain[key]))


def test_no_end_lies_beyond_the_bounds():
    values = [1.0] * 9 + [0.99, 0.98, 0.97, 0.95, 0.9, 0.3]
    assert intervals.mean(values, range(15), CONFIG)["high"] > 1
    got = intervals.mean(values, range(15), CONFIG, bounds=(0, 1))
    assert got["low"] < got["value"] < got["high"] == 1
    # Only one session differs: resamples without it do not vary, so the bound is the end of the
    # range.
    lone = [1.0] * 14 + [0.2]
    assert intervals.mean(lone, range(15), CONFIG)["interval"] == "no spread"
    got = intervals.mean(lone, range(15), CONFIG, bounds=(0, 1))
    assert got["low"] == 0


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_equal_sessions_make_no_interval_of_width_zero(value):
    free = intervals.mean([value] * 12, range(12), CONFIG)
    assert free == {"value": value, "n": 12, "interval": "no spread"}
    bounded = intervals.mean([value] * 12, range(12), CONFIG, bounds=(0, 1))
    # Treated as yes or no: the exact lower limit of 12 of 12 is 0.025 ** (1 / 12) = 0.735.
    assert bounded["high"] - bounded["low"] > 0.26
    if value == 1:
        assert ends(bounded) == pytest.approx((0.025 ** (1 / 12), 1.0))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_raises(wrong):
    values = [1.0, 2.0] * 8 + [wrong]
    places = range(17)
    for measure in (
        lambda: intervals.mean(values, places, CONFIG),
        lambda: intervals.ratio(values, [1] * 17, places, CONFIG),
        lambda: intervals.ratio([1] * 17, values, places, CONFIG),
        lambda: intervals.auc(values, [1.0] * 17, places, places, CONFIG),
        lambda: intervals.auc([1.0] * 17, values, places, places, CONFIG),
        lambda: intervals.share(values, places, CONFIG),
        lambda: intervals.share_difference(values, [True] * 17, places, CONFIG),
        lambda: intervals.share_difference([True] * 17, values, places, CONFIG),
    ):
        with pytest.raises(ValueError, match="1 of 17 values to measure are not finite"):
            measure()


def test_a_share_is_exact_where_answers_are_independent():
    # Clopper-Pearson for 3 of 40, by the inversion of the binomial test in scipy.
    exact = stats.binomtest(3, 40).proportion_ci(0.95, method="exact")
    got = intervals.share([True] * 3 + [False] * 37, range(40), CONFIG)
    assert got["value"] == 3 / 40
    assert got["n"] == 40
    assert ends(got) == pytest.approx((exact.low, exact.high), abs=0.002)


def test_none_of_32_may_still_be_one_in_nine():
    got = intervals.share([False] * 32, [index % 6 for index in range(32)], CONFIG)
    # (1 - p) ** 32 = 0.025
    assert ends(got) == pytest.approx((0, 1 - 0.025 ** (1 / 32)))
    assert got["high"] == pytest.approx(0.109, abs=0.001)
    assert intervals.share([], [], CONFIG) == {"n": 0, "interval": "too few"}


def test_answers_of_one_session_count_for_less():
    hits = [True] * 10 + [False] * 40
    apart = intervals.share(hits, [index % 10 for index in range(50)], CONFIG)
    together = intervals.share(hits, [index // 5 for index in range(50)], CONFIG)
    assert together["value"] == apart["value"] == 0.2
    assert together["high"] - together["low"] > 1.8 * (apart["high"] - apart["low"])
    alone = intervals.share(hits, [0] * 50, CONFIG)
    assert alone["high"] - alone["low"] > together["high"] - together["low"]


def test_the_difference_of_paired_shares_is_that_of_newcombe():
    # The same 100 answered twice: 60 both, 20 only the first, 5 only the second, 15 neither.
    hits = [True] * 60 + [True] * 20 + [False] * 5 + [False] * 15
    others = [True] * 60 + [False] * 20 + [True] * 5 + [False] * 15
    got = intervals.share_difference(hits, others, range(100), CONFIG)
    assert got["value"] == pytest.approx(0.15)
    first, second = (
        stats.binomtest(count, 100).proportion_ci(0.95, method="exact") for count in (80, 65)
    )
    together = (60 * 15 - 20 * 5) / math.sqrt(80 * 20 * 65 * 35)
    down, up = 0.8 - first.low, second.high - 0.65
    low = 0.15 - math.sqrt(down**2 + up**2 - 2 * together * down * up)
    assert got["low"] == pytest.approx(low, abs=0.003)
    # The two always agree: as wide as for one share alone, never of width zero.
    for answers in ([False] * 32, [True, False] * 16):
        same = intervals.share_difference(answers, answers, range(32), CONFIG)
        assert ends(same) == pytest.approx((-0.109, 0.109), abs=0.001)


def test_a_difference_of_measures_taken_apart():
    first = {"value": 0.78, "low": 0.45, "high": 0.97, "n": 12}
    second = {"value": 0.975, "low": 0.96, "high": 0.98, "n": 16}
    got = intervals.difference(first, second)
    # From MOVER's formula: -0.195 - sqrt(0.33² + 0.005²) and -0.195 + sqrt(0.19² + 0.015²).
    assert (got["low"], got["value"], got["high"]) == pytest.approx(
        (-0.525038, -0.195, -0.004409), abs=1e-5
    )
    assert got["n"] == 12
    fixed = intervals.difference(first, 0.5)
    assert (fixed["low"], fixed["high"]) == pytest.approx((-0.05, 0.47))
    few = {"value": 0.3, "n": 2, "interval": "too few"}
    assert intervals.difference(first, few) == {
        "value": pytest.approx(0.48),
        "n": 2,
        "interval": "too few",
    }
    nothing = {"n": 0, "interval": "too few"}
    assert intervals.difference(nothing, first) == nothing
    assert intervals.difference(first, nothing) == nothing


def test_an_auc_by_hand():
    # Pairs (3,2) (3,4) (2,2) (2,4): won, lost, tied, lost.
    got = intervals.auc([3, 2], [2, 4], [0, 1], [0, 1], CONFIG)
    assert got == {"value": 1.5 / 4, "n": 2, "interval": "too few"}
    # Only pairs of one fold: (3,2) won and (2,4) lost; in the second time all four, as above.
    folds = np.array([[0, 1], [0, 0]])
    values = np.array([[3, 2]] * 2), np.array([[2, 4]] * 2)
    got = intervals.cross_validated_auc(*values, folds, [0, 1], CONFIG)
    assert got["value"] == (1 + 1.5) / (2 + 4)
    assert intervals.auc([], [1.0], [], [1], CONFIG) == {"n": 0, "interval": "too few"}


def test_the_auc_interval_is_that_of_its_formula():
    # Normals one deviation apart: AUC = Φ(1/√2) = 0.760; the formula of Hanley and McNeil (1982)
    # gives a standard error of 0.033 for 100 against 100.
    drawn = np.random.default_rng(2)
    got = intervals.auc(
        drawn.normal(1, 1, 100), drawn.normal(0, 1, 100), range(100), range(100), CONFIG
    )
    assert got["value"] == pytest.approx(0.760, abs=0.07)
    assert (got["high"] - got["low"]) / 2 == pytest.approx(1.96 * 0.033, rel=0.25)
    assert got["n"] == 100


def test_all_pairs_won_is_not_certainty():
    got = intervals.auc([2.0] * 20, [1.0] * 20, range(20), range(20), CONFIG)
    assert got["value"] == got["high"] == 1
    assert 0.75 < got["low"] < 0.9
