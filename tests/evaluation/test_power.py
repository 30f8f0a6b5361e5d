"""What each measure would take, against the intervals that more replies really give."""

import numpy as np
import pytest

from espejo.evaluation import intervals, power
from espejo.prediction.config import CHOICES
from tests.helpers.configs import EVALUATE

CONFIDENCE = EVALUATE.confidence


def measure(value, half, n):
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def test_four_times_the_replies_halve_an_interval_of_many_sessions():
    wide = measure(0.5, 0.2, 4000)
    assert power.replies_needed(wide, 1000, 0.1, CONFIDENCE) == pytest.approx(4000, rel=0.01)
    assert power.expected_half_width(wide, 1000, 4000, CONFIDENCE) == pytest.approx(0.1, rel=0.01)


def test_with_few_sessions_the_quantile_falls_too():
    # t of 4 degrees is 2.776, of 12 it is 2.179: what 5 sessions become with 13.
    wide = measure(0.5, 0.2, 5)
    useful = 0.2 * (5 / 13) ** 0.5 * 2.1788 / 2.7764
    assert power.replies_needed(wide, 50, useful, CONFIDENCE) == pytest.approx(130, abs=1)


@pytest.mark.parametrize("useful", [0.3, 0.5])
def test_what_is_narrow_already_takes_fewer(useful):
    got = power.replies_needed(measure(0.5, 0.2, 20), 100, useful, CONFIDENCE)
    assert 1 <= got < 100


def test_none_among_n_takes_as_many_as_the_exact_limit_says():
    # 1 - 0.025 ** (1 / n) is 0.05 for n = 72: 72 of 72 without a hit.
    none = intervals.share([0] * 32, range(32), EVALUATE)
    assert power.replies_needed(none, 32, 0.05, CONFIDENCE) == 72
    # 18 of 32 replies were long enough: 72 long ones are 128 replies.
    long = intervals.share([0] * 18, range(18), EVALUATE)
    assert power.replies_needed(long, 32, 0.05, CONFIDENCE) == 128


def test_so_many_replies_give_about_that_width():
    """Sessions of five replies, as alike within a session as on average: 20 sessions, then more."""
    drawn = np.random.default_rng(3)

    def halves(sessions, times):
        for _ in range(times):
            group = np.repeat(np.arange(sessions), 5)
            values = drawn.normal(size=sessions)[group] * 0.5 + drawn.normal(size=len(group))
            yield intervals.mean(values, group, EVALUATE)

    now = list(halves(20, 60))
    needed = np.median([power.replies_needed(m, 100, 0.15, CONFIDENCE) for m in now])
    then = np.mean([power.half_width(m) for m in halves(round(needed / 5), 60)])
    assert then == pytest.approx(0.15, rel=0.1)


def scores(**changed):
    mrr = measure(0.4, 0.2, 15)
    return {
        "kind": "chats",
        "gain": {power.BITS: measure(0.3, 0.05, 18)},
        "relevance": {"contexts": 20, "tuned": {"mrr": mrr}},
        "style": {
            "replies": 32,
            "sessions": 18,
            "author_score": {"tuned": {"value": 0.9, "n": 2, "interval": "too few"}},
            "told_apart": {"tuned": measure(0.75, 0.3, 18)},
        },
        "memory": {
            "replies": 32,
            "members": 100,
            "membership": measure(0.6, 0.05, 18),
            "copied_beyond_own": measure(0.1, 0.2, 18),
            "whole_beyond_own": measure(0.1, 0.2, 32),
        },
    } | changed


HELD_OUT = {"test": 85, "validation": 84, "train": 650, "ranked": 80}


def test_each_measure_says_what_there_is_and_what_each_choice_uses():
    rows = power.needs(scores(), HELD_OUT, EVALUATE)
    assert rows["mrr"]["choices"] == {"quick": 10, "default": 20, "thorough": 80}
    assert rows["told_apart"]["choices"] == {"quick": 12, "default": 32, "thorough": 169}
    # The harmonic means of 32, 100 and 500 with 85 test replies.
    assert rows["membership"]["choices"] == {"quick": 46, "default": 92, "thorough": 145}
    assert rows["gain"]["choices"] == dict.fromkeys(CHOICES, 85)
    assert rows["told_apart"]["available"] == 169
    assert "needed" not in rows["author_score"]


def test_outcomes():
    rows = power.needs(scores(), HELD_OUT, EVALUATE)
    outcomes = {name: power.outcome(row) for name, row in rows.items()}
    assert outcomes["gain"] == outcomes["membership"] == ("reached", "")
    assert outcomes["mrr"] == ("choice", "thorough")
    assert outcomes["author_score"] == ("unknown", "thorough")
    assert outcomes["told_apart"][0] == "partly"  # 32 * (0.3 / 0.1) ** 2 = 288, somewhat less by t
    assert outcomes["copied_beyond_own"] == ("partly", "thorough")
    alone = {"gain": {power.BITS: measure(0.3, 0.4, 18)}}
    rows = power.needs(scores(**alone), HELD_OUT, EVALUATE)
    assert power.outcome(rows["gain"]) == ("chats", "")


def test_dialogues_and_questions_have_their_own():
    dialogues = {name: part for name, part in scores(kind="dialogues").items() if name != "style"}
    assert "author_score" not in power.needs(dialogues, HELD_OUT, EVALUATE)
    correct = {
        "answers": 30,
        "facts_held": measure(0.5, 0.2, 40),
        "facts_right": measure(0.5, 0.1, 9),
    }
    questions = scores(kind="questions", correctness={"tuned": correct})
    rows = power.needs(questions, HELD_OUT, EVALUATE)
    assert rows["facts_held"]["choices"] == {power.ALL: 169}
    assert power.outcome(rows["facts_held"]) == ("choice", power.ALL)
    assert "membership" not in rows
