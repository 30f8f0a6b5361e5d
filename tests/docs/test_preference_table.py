"""The table on preference tuning: what it says of a win, and of nothing measured."""

import pytest

from docs import preference_table


def measure(value, low=None, high=None):
    return {"value": value, "low": low, "high": high, "n": 40} if low is not None else {
        "value": value, "n": 4, "interval": "too few",
    }  # fmt: skip


def variants(told, score, repeats):
    against = {"told_apart": told, "author_score": score, "repeated_trigrams": repeats}
    return {"supervised": {"against_supervised": {}}, "DPO": {"against_supervised": against}}


NONE = measure(0.0, -0.1, 0.1)


@pytest.mark.parametrize(
    ("told", "score", "repeats", "wins"),
    [
        (measure(-0.2, -0.3, -0.1), NONE, NONE, True),
        (measure(-0.2, -0.3, 0.1), NONE, NONE, False),  # it may be chance
        (measure(-0.2), NONE, NONE, False),  # too few for an interval
        (measure(-0.2, -0.3, -0.1), measure(-0.2, -0.3, -0.1), NONE, False),  # less like the author
        (measure(-0.2, -0.3, -0.1), NONE, measure(0.2, 0.1, 0.3), False),  # it repeats itself
        (measure(-0.2, -0.3, -0.1), measure(0.1), NONE, True),
    ],
)
def test_a_win_is_certain_and_loses_nothing_else(told, score, repeats, wins):
    sentence = preference_table.verdict(variants(told, score, repeats))
    assert sentence.startswith("**Wins with its interval: DPO.") == wins
    assert sentence.startswith("**None wins") != wins


def test_what_was_not_measured_is_said(tmp_path):
    assert preference_table.table(tmp_path / "preference.json") == "Not measured yet."
