"""Membership by hand, its controls, and shares of replies recognized at a few false alarms."""

import math

import numpy as np
import pandas as pd
import pytest

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
