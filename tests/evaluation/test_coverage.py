"""How often an interval holds the true value, by simulation: it should be 95 % of the time.
Sessions are as in the demo: about five replies each, correlated within a session (a third of the
variance is between sessions), normal or with a long tail.
"""

import numpy as np
import pytest
from scipy import stats

from espejo.evaluation import intervals, style
from tests.helpers.configs import EVALUATE, changed

TIMES = 1500  # 95 % of them: ± 0.6 points
CONFIG = changed(EVALUATE, bootstrap=1000)
TAILS = {
    "normal": lambda drawn, size: drawn.normal(size=size),
    "skewed": lambda drawn, size: drawn.exponential(size=size) - 1,
}


def sessions(drawn, number, tail, share=0.3):
    """Values of replies with mean 0 and standard deviation 1, and the session of each."""
    sizes = 1 + drawn.poisson(3.7, number)
    group = np.repeat(np.arange(number), sizes)
    common, own = TAILS[tail](drawn, number), TAILS[tail](drawn, len(group))
    return share**0.5 * common[group] + (1 - share) ** 0.5 * own, group


def held(measure, truth):
    return measure["low"] <= truth <= measure["high"]


def percentile(values, group):
    """The method of older versions: the percentile bootstrap over sessions."""
    sums = np.array(
        [[values[group == session].sum(), (group == session).sum()] for session in set(group)]
    )
    drawn = np.random.default_rng(7).integers(0, len(sums), (1000, len(sums)))
    means = sums[drawn, 0].sum(axis=1) / sums[drawn, 1].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {"low": low, "high": high}


@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("number", [10, 18, 30])
def test_95_percent_of_intervals_of_a_mean_hold_the_truth(number, tail):
    drawn = np.random.default_rng(number)
    held_both = []
    for _ in range(TIMES):
        values, group = sessions(drawn, number, tail)
        held_both.append(
            (held(intervals.mean(values, group, CONFIG), 0), held(percentile(values, group), 0))
        )
    ours, before = np.mean(held_both, axis=0)
    assert ours == pytest.approx(0.95, abs=0.02)
    assert ours > before
    if number < 18:
        assert before < 0.92


@pytest.mark.parametrize("share", [0.3, 0.7])
@pytest.mark.parametrize("tail", TAILS)
@pytest.mark.parametrize("number", [3, 4, 5, 7, 9])
def test_of_few_sessions_no_fewer_intervals_of_a_mean_hold_the_truth(number, tail, share):
    drawn = np.random.default_rng(number)
    hits = [
        held(intervals.mean(*sessions(drawn, number, tail, share), CONFIG), 0)
        for _ in range(TIMES // 2)
    ]
    assert np.mean(hits) > 0.925  # 93 %, less the error of so many times
    if tail == "normal":
        assert np.mean(hits) > 0.94


class Judge(style.AuthorClassifier):
    """In place of a trained classifier: a curve of the mean of the numbers that messages are."""

    def __init__(self, slope, intercept):
        self.hidden, self.characters = frozenset(), 16 * 6
        self.slope, self.intercept = slope, intercept

    def _probabilities(self, some):
        means = [np.mean([float(word) for word in bundle.text.split()]) for bundle in some]
        return 1 / (1 + np.exp(-(self.intercept + self.slope * np.array(means))))


def numbers(drawn, sessions, replies, share):
    """Replies of one message or more, each a number, alike within a session."""
    messages, group = [], []
    for session in range(sessions):
        common = share**0.5 * drawn.normal()
        for _ in range(1 + drawn.poisson(replies - 1)):
            size = 1 + drawn.poisson(0.6)
            messages.append(
                [f"{common + (1 - share) ** 0.5 * drawn.normal():.2f}" for _ in range(size)]
            )
            group.append(session)
    return style.Replies(messages, group)


@pytest.mark.parametrize(
    ("sessions", "replies", "share"), [(18, 1.8, 0.3), (8, 3, 0.3), (5, 5, 0.5), (3, 12, 0.3)]
)
@pytest.mark.parametrize(("slope", "intercept"), [(1.5, 0.0), (3.0, 3.0)])
def test_of_few_bundles_no_fewer_intervals_of_the_author_score_hold_the_truth(
    sessions, replies, share, slope, intercept, monkeypatch
):
    monkeypatch.setattr(style, "POOL_BUNDLES", 150)
    drawn, judge = np.random.default_rng(sessions), Judge(slope, intercept)
    some = [
        style._measure(judge, [numbers(drawn, sessions, replies, share)], CONFIG)
        for _ in range(TIMES // 5)
    ]
    measured = [measure for measure in some if "value" in measure]
    truth = np.mean([measure["value"] for measure in measured])
    with_interval = [measure for measure in measured if "low" in measure]
    assert len(with_interval) > 0.9 * len(some)
    assert np.mean([measure["bundles"] for measure in with_interval]) < 6
    assert np.mean([held(measure, truth) for measure in with_interval]) > 0.91


@pytest.mark.parametrize("number", [3, 5, 10, 18, 28])
@pytest.mark.parametrize("area", [0.5, 0.8, 0.95])
def test_95_percent_of_intervals_of_an_auc_hold_the_truth(number, area):
    drawn, hits = np.random.default_rng(3), []
    apart = stats.norm.ppf(area) * 2**0.5
    for _ in range(TIMES // 3):
        (high, ours), (low, theirs) = (sessions(drawn, number, "normal") for _ in range(2))
        hits.append(held(intervals.auc(high + apart, low, ours, theirs, CONFIG), area))
    # Newcombe's method is conservative (too wide) where values are few and the AUC is near 1.
    # With fewer than ten sessions they are nearly always wide enough.
    assert 0.93 <= np.mean(hits) <= (0.995 if number >= 10 else 1)


def judged(drawn, number, features=30, apart=0.6):
    """A cross-validated classifier of five folds, five times, on pairs of `number` sessions."""
    group = np.sort(np.concatenate([np.arange(number), drawn.integers(0, number, number // 7)]))
    n = len(group)
    sides = drawn.normal(size=(2, n, features))
    sides += 0.5 * drawn.normal(size=(2, number, features))[:, group]
    sides[0, :, :3] += apart
    scores, folds = np.empty((2, 5, n)), np.empty((5, n), dtype=int)
    for time in range(5):
        fold = (drawn.permutation(number) % 5)[group]
        for each in range(5):
            learnt = np.vstack(sides[:, fold != each])
            sign = np.repeat([1.0, -1.0], (fold != each).sum())
            # Ridge regression in its dual form: fast, and a good enough classifier for this test.
            inner = learnt @ learnt.T + 3 * np.eye(len(learnt))
            weights = learnt.T @ np.linalg.solve(inner, sign)
            scores[:, time, fold == each] = sides[:, fold == each] @ weights
        folds[time] = fold
    return *scores, folds, group


@pytest.mark.parametrize("number", [14, 28])
def test_95_percent_of_intervals_of_a_cross_validated_auc_hold_its_mean(number):
    drawn = np.random.default_rng(number)
    results = [intervals.cross_validated_auc(*judged(drawn, number), CONFIG) for _ in range(300)]
    values = [result["value"] for result in results]
    assert np.mean([held(result, np.mean(values)) for result in results]) == pytest.approx(
        0.95, abs=0.025
    )
    # Not wider than necessary: about four standard deviations over repetitions of the whole.
    width = np.mean([result["high"] - result["low"] for result in results])
    assert width == pytest.approx(2 * 1.96 * np.std(values), rel=0.2)


@pytest.mark.parametrize("number", [5, 8])
def test_of_few_sessions_no_fewer_of_a_cross_validated_auc_do(number):
    drawn = np.random.default_rng(number)
    results = [intervals.cross_validated_auc(*judged(drawn, number), CONFIG) for _ in range(300)]
    truth = np.mean([result["value"] for result in results])
    assert np.mean([held(result, truth) for result in results]) > 0.925


@pytest.mark.parametrize("truth", [0.02, 0.2, 0.6])
def test_95_percent_of_intervals_of_a_share_hold_the_truth(truth):
    drawn, hits = np.random.default_rng(4), []
    border = stats.norm.ppf(1 - truth)
    for _ in range(TIMES):
        values, group = sessions(drawn, 18, "normal")
        hits.append(held(intervals.share(values > border, group, CONFIG), truth))
    assert 0.93 <= np.mean(hits) <= 1  # exact methods are conservative


@pytest.mark.parametrize("together", [0.0, 0.7])
def test_95_percent_of_intervals_of_paired_shares_hold_the_truth(together):
    drawn, hits = np.random.default_rng(6), []
    borders = stats.norm.ppf(1 - np.array([0.2, 0.05]))
    for _ in range(TIMES):
        first, group = sessions(drawn, 18, "normal")
        alone = drawn.normal(size=len(first))
        other = together * first + (1 - together**2) ** 0.5 * alone
        hits.append(
            held(
                intervals.share_difference(first > borders[0], other > borders[1], group, CONFIG),
                0.15,
            )
        )
    assert 0.93 <= np.mean(hits) <= 1


def test_95_percent_of_intervals_of_a_difference_hold_the_truth():
    drawn, hits = np.random.default_rng(9), []
    for _ in range(TIMES // 2):
        first, second = (
            intervals.mean(*sessions(drawn, 14, tail), CONFIG) for tail in ("normal", "skewed")
        )
        hits.append(held(intervals.difference(first, second), 0))
    assert 0.94 <= np.mean(hits) <= 0.985
