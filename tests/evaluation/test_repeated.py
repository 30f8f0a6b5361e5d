"""The spread between trainings: standard deviations, their intervals and margins."""

import json

import numpy as np
import pytest

from espejo.core.errors import UserError
from espejo.evaluation import repeated as repeats
from espejo.evaluation.headlines import HEADLINES, OF_BASE, measure
from tests.helpers import reported
from tests.helpers.workshop import ROOT

TRAINED = {"steps": 78, "trainable_parameters": 1_474_560, "texts": 155, "learnt_texts": 155}


def test_a_spread_by_hand():
    result = repeats.spread([1.0, 2.0, 3.0, 4.0, 5.0], 0.95)
    assert (result.n, result.mean) == (5, 3.0)
    assert result.sd == pytest.approx(1.581139)  # the root of 10 / 4
    # Tables: chi-square of 4 degrees of freedom is 11.143 at 97.5 % and 0.48442 at 2.5 %; t 2.7764.
    assert result.sd_low == pytest.approx((10 / 11.143) ** 0.5, abs=1e-4)
    assert result.sd_high == pytest.approx((10 / 0.48442) ** 0.5, abs=1e-4)
    assert result.margin == pytest.approx(2.7764 * 1.581139 * 2**0.5, abs=1e-3)


def test_values_that_are_all_the_same_have_no_spread():
    result = repeats.spread([0.5] * 5, 0.95)
    assert (result.sd, result.sd_low, result.sd_high, result.margin) == (0, 0, 0, 0)


def test_a_training_alone_has_no_spread():
    with pytest.raises(ValueError, match="1 trainings have no spread"):
        repeats.spread([1.0], 0.95)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_and_the_margin_hold_as_often_as_they_say(n):
    """In a simulation: the true deviation lies in the interval, and two more trainings within the
    margin, in 95 of 100 cases."""
    random = np.random.default_rng(3)
    covered, within, times = 0, 0, 2000
    for _ in range(times):
        *values, first, second = random.normal(0.8, 0.1, n + 2)
        result = repeats.spread(values, 0.95)
        covered += result.sd_low <= 0.1 <= result.sd_high
        within += abs(first - second) <= result.margin
    assert covered / times == pytest.approx(0.95, abs=0.02)
    assert within / times == pytest.approx(0.95, abs=0.02)


def runs(*bits, base=2.94):
    return [(reported.likelihoods(base=base, tuned=each), TRAINED) for each in bits]


def test_a_measure_that_a_training_lacks_is_left_out():
    pair = runs(2.5, 2.6)
    pair[0][0]["style"] = {"told_apart": {"tuned": reported.interval(0.8)}}
    spreads = repeats.repeated("x", "data/raw/demo", pair, 0.95).spreads
    assert set(spreads) == {"own_bits", "gain", "mrr"}


def test_it_holds_for_the_same_test_base_model_and_training_only():
    setup = repeats.repeated("x", "data/raw/demo", runs(2.5, 2.6), 0.95).setup
    ((same, _),) = runs(2.2)
    assert setup.same_test(same)
    ((other_precision, _),) = runs(2.2, base=2.943)
    assert setup.same_test(other_precision)
    ((other_model, _),) = runs(2.2, base=2.80)
    assert not setup.same_test(other_model)
    assert not setup.same_test(same | {"test": {**same["test"], "replies": 79}})
    assert not setup.same_test({})
    assert setup.same_training(TRAINED)
    assert not setup.same_training({**TRAINED, "steps": 156})
    assert not setup.same_training({})


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "metrics" / repeats.FILE
    result = repeats.repeated("gemma3-abc", "data/raw/demo", runs(2.5, 2.75), 0.95)
    repeats.write(result, path)
    again = repeats.read(path)
    assert (again.name, again.setup) == (result.name, result.setup)
    assert again.spreads["own_bits"].values == [2.5, 2.75]
    assert again.spreads["own_bits"].margin == pytest.approx(result.spreads["own_bits"].margin)


def test_before_anything_was_repeated_there_is_nothing(tmp_path):
    path = tmp_path / repeats.FILE
    path.write_text("{}", "utf-8")
    assert repeats.read(path) is None


@pytest.mark.parametrize(
    "text", [None, "", "[]", "{", '{"spreads": 3}', '{"spreads": {"mrr": {"n": 1}}}', '{"name": 1}']
)
def test_a_file_that_is_damaged(text, tmp_path):
    path = tmp_path / repeats.FILE
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(UserError, match=r"repeat\.json is not what `espejo repeat` wrote: `git"):
        repeats.read(path)


def test_the_headlines_are_where_the_demo_has_them():
    scores = json.loads((ROOT / "metrics" / "eval.json").read_text("utf-8"))
    of_chats = set(HEADLINES) - {"facts_held", "chrf"}
    assert {name for name in HEADLINES if "value" in measure(scores, HEADLINES[name])} == of_chats
    assert set(OF_BASE) < set(HEADLINES)
    assert all("value" in measure(scores, OF_BASE[name]) for name in of_chats & set(OF_BASE))
