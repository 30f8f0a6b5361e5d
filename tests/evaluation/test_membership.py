"""Membership by hand, its controls, and shares of replies recognized at a few false alarms."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from espejo.evaluation import membership
from tests.helpers.configs import EVALUATE


def losses(train, test, characters=10):
    """Table LOSSES of replies for which training saved so many nats a character; both cost 50."""
    parts = []
    for split, saved in (("train", train), ("test", test)):
        replies = pd.DataFrame(
            {
                "id": [f"{split}-{index}" for index in range(len(saved))],
                "session": [index + 1000 * (split == "test") for index in range(len(saved))],
                "split": split,
                "own_chars": characters,
            }
        )
        less = np.asarray(saved, float) * characters
        parts += [
            replies.assign(model="base", own_nats=50.0),
            replies.assign(model="tuned", own_nats=50.0 - less),
        ]
    return pd.concat(parts, ignore_index=True)


def test_an_auc_of_membership_by_hand():
    # More saved means learnt: pairs (3, 2) (3, 1) (1.5, 2) (1.5, 1): 3 of 4.
    measured = membership.evaluate(losses([3, 1.5], [2, 1]), EVALUATE)
    assert measured["members"] == 2
    assert measured["membership"] == {"value": 0.75, "n": 2, "interval": "too few"}


def test_membership_is_of_nats_a_character_of_base_and_tuned_alone():
    table = losses([3, 1.5], [2, 1])
    # Twice as long and as much easier is the same; a reply with no character says nothing.
    long = table["id"].eq("train-0")
    table.loc[long, "own_chars"] = 20
    table.loc[long & table["model"].eq("tuned"), "own_nats"] = 50.0 - 60.0
    marks = losses([9, 9], []).assign(id=["m", "n"] * 2, own_chars=0, own_nats=0.0)
    prompted = losses([], [9, 9]).assign(model="same_examples")
    measured = membership.evaluate(pd.concat([table, marks, prompted])[::-1], EVALUATE)
    assert measured["members"] == 2
    assert measured["membership"] == {"value": 0.75, "n": 2, "interval": "too few"}


def test_membership_of_a_model_that_learnt_nothing_is_a_coin():
    drawn = np.random.default_rng(1)
    measured = membership.evaluate(losses(drawn.normal(size=200), drawn.normal(size=200)), EVALUATE)
    assert measured["members"] == 200
    same = measured["membership"]
    assert same["low"] < 0.5 < same["high"]
    learnt = membership.evaluate(losses(drawn.normal(2, 1, 200), drawn.normal(size=200)), EVALUATE)[
        "membership"
    ]
    assert learnt["low"] > 0.85
    equal = membership.evaluate(losses([0.0] * 20, [0.0] * 20), EVALUATE)["membership"]
    assert equal["value"] == 0.5
    assert equal["low"] < 0.4
    assert equal["high"] > 0.6


def test_without_a_member_nothing_is_measured():
    nothing = {"n": 0, "interval": "too few"}
    assert membership.evaluate(losses([], [1.0, 2.0]), EVALUATE) == {
        "members": 0,
        "membership": nothing,
        "membership_against": {
            "test": {
                "n": 2,
                "auc": nothing,
                "base_auc": nothing,
                "recognized": {"0.05": nothing, "0.01": nothing},
            }
        },
    }


def test_a_loss_that_is_no_number_is_told():
    with pytest.raises(ValueError, match="not finite"):
        membership.evaluate(losses([math.nan], [0.0]), EVALUATE)


def scored(values, split="train", sessions=None):
    """Replies as `membership.scores` gives them, each in a session of its own."""
    return pd.DataFrame(
        {"saved": values, "session": sessions or range(len(values)), "split": split}
    )


def test_the_share_recognized_at_a_few_false_alarms_by_hand():
    # Of 40 others a twentieth is two, so the third highest, 38, is the threshold: 39 and 50 exceed
    # it, 38 does not.
    others = scored([float(number) for number in range(1, 41)], "test")
    learnt = scored([1.0, 20.0, 37.0, 38.0, 39.0, 50.0, 2.0, 3.0, 4.0, 5.0])
    measure = membership.recognized(learnt, others, "saved", 0.05, EVALUATE)
    assert (measure["value"], measure["n"]) == (0.2, 10)
    assert measure["low"] < 0.2 < measure["high"]
    # Not one of 40 can be a hundredth of them.
    assert membership.recognized(learnt, others, "saved", 0.01, EVALUATE) == {
        "n": 10,
        "interval": "too few",
    }


def test_the_threshold_is_as_uncertain_as_the_others_are_few():
    # All ten learnt replies lie above all others: with 40 of these, possibly no more than the
    # highest of them is a false alarm, or none is; with 4,000 there is no doubt.
    learnt = scored([1e6] * 10)
    few, many = (
        membership.recognized(
            learnt, scored(np.arange(number, dtype=float), "test"), "saved", 0.05, EVALUATE
        )
        for number in (40, 4000)
    )
    assert few == {"value": 1.0, "low": 0.0, "high": 1.0, "n": 10}
    # Clopper and Pearson: ten of ten, with 98.75 % on this side.
    assert many["low"] == pytest.approx(0.0125 ** (1 / 10))


def test_intervals_of_the_share_recognized_hold_it_as_often_as_they_claim():
    drawn = np.random.default_rng(5)
    # Scores of learnt replies are normal around 1, of others around 0.
    true = float(stats.norm.sf(stats.norm.isf(0.05) - 1))
    held = []
    for _ in range(300):
        learnt, others = scored(drawn.normal(1, 1, 100)), scored(drawn.normal(size=85), "test")
        measure = membership.recognized(learnt, others, "saved", 0.05, EVALUATE)
        held.append(measure["low"] <= true <= measure["high"])
    assert np.mean(held) >= 0.94


def shifted(train, test, set_aside, seed=6):
    """Table LOSSES: means of the nats a character saved by training in the three splits; the base
    model finds the test harder by one standard deviation."""
    drawn = np.random.default_rng(seed)
    parts = []
    for offset, (split, mean) in enumerate(
        {"train": train, "test": test, "set_aside": set_aside}.items()
    ):
        base = drawn.normal(30 + 10 * (split == "test"), 10, 150)
        replies = pd.DataFrame({"own_chars": 10, "split": split}, index=range(150))
        replies = replies.assign(
            id=[f"{split}-{number}" for number in range(150)],
            session=np.arange(150) // 3 + 1000 * offset,
        )
        saved = 10 * drawn.normal(mean, 1, 150)
        parts += [
            replies.assign(model="base", own_nats=base),
            replies.assign(model="tuned", own_nats=base - saved),
        ]
    return pd.concat(parts, ignore_index=True)


def test_replies_set_aside_show_what_is_time_and_what_is_memory():
    """Training helps later replies less, and nothing was learnt by heart: no memory, though the
    test alone would say so."""
    measured = membership.evaluate(shifted(train=1, test=0, set_aside=1), EVALUATE)
    test, aside = (measured["membership_against"][name] for name in ("test", "set_aside"))
    assert measured["membership"] == test["auc"]
    # Normal scores one standard deviation apart: 76 %.
    assert test["auc"]["value"] == pytest.approx(stats.norm.cdf(1 / math.sqrt(2)), abs=0.06)
    assert aside["auc"]["low"] < 0.5 < aside["auc"]["high"]
    by_chance = aside["recognized"]["0.05"]
    assert by_chance["low"] <= 0.05 <= by_chance["high"] < 0.5
    # The base model never saw any: it tells the test from what was learnt, and not those set aside.
    assert test["base_auc"]["low"] > 0.6
    assert aside["base_auc"]["low"] < 0.5 < aside["base_auc"]["high"]


def test_memory_shows_against_replies_set_aside_too():
    measured = membership.evaluate(shifted(train=2, test=0, set_aside=0), EVALUATE)
    aside = measured["membership_against"]["set_aside"]
    assert aside["auc"]["low"] > 0.8
    assert aside["recognized"]["0.05"]["low"] > 0.2


def test_without_an_audit_nothing_is_set_aside():
    table = shifted(1, 0, 1)
    measured = membership.evaluate(table[table["split"].ne("set_aside")], EVALUATE)
    assert set(measured["membership_against"]) == {"test"}
