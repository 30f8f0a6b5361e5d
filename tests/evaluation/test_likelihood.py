"""Likelihood: measures by hand, from tables of losses, and intervals that mean something."""

import math

import numpy as np
import pandas as pd
import pytest

from espejo.core.errors import UserError
from espejo.evaluation import likelihood
from tests.helpers.configs import EVALUATE, changed

CONFIG = changed(EVALUATE, bootstrap=500)


def sessions(nats, number=None):
    """Rows of table LOSSES: a reply of so many nats, ten tokens and 20 characters a session."""
    table = pd.DataFrame({"nats": nats, "tokens": 10, "chars": 20})
    table = table.assign(own_nats=table["nats"], own_tokens=10, own_chars=20)
    return table.assign(session=range(len(table)) if number is None else number)


def table(**nats):
    """Table LOSSES of the test replies "0", "1", … with so many nats under each model."""
    parts = [
        sessions(each).assign(
            id=[str(index) for index in range(len(each))],
            split="test",
            model=model,
            text_nats_per_token=np.nan,
        )
        for model, each in nats.items()
    ]
    return pd.concat(parts, ignore_index=True)


def test_measures_weigh_tokens_and_characters_not_examples():
    sums = pd.DataFrame(
        {
            "nats": [30.0, 1.0],
            "tokens": [10, 2],
            "chars": [40, 4],
            "own_nats": [27.0, 0.5],
            "own_tokens": [9, 1],
            "own_chars": [39, 3],
            "session": [1, 2],
        }
    )
    got = likelihood.measures(sums, CONFIG)
    assert got["perplexity"]["value"] == pytest.approx(math.exp(31 / 12))
    assert got["bits_per_character"]["value"] == pytest.approx(31 / math.log(2) / 44)
    assert got["own_perplexity"]["value"] == pytest.approx(math.exp(27.5 / 10))
    assert got["own_bits_per_character"]["value"] == pytest.approx(27.5 / math.log(2) / 42)
    # Two sessions give no interval.
    assert got["perplexity"]["interval"] == "too few"
    assert "low" not in got["perplexity"]


def test_replies_without_characters_of_their_own_count_with_their_marks_alone():
    some = sessions([8.0, 9.0])
    none = some.assign(own_nats=0.0, own_tokens=0, own_chars=0)
    both = pd.concat([some, none.assign(session=[3, 4])], ignore_index=True)
    got = likelihood.measures(both, CONFIG)
    assert got["own_bits_per_character"]["value"] == pytest.approx(17 / 40 / math.log(2))
    got = likelihood.measures(none, CONFIG)
    nothing = {"n": 0, "interval": "too few"}
    assert got["own_perplexity"] == got["own_bits_per_character"] == nothing
    assert got["perplexity"]["value"] == pytest.approx(math.exp(17 / 20))
    assert likelihood.gain(none, none, CONFIG)["own_bits_per_character"] == nothing


def test_a_loss_beyond_any_perplexity_is_told():
    with pytest.raises(UserError, match=r"The loss is 900 nats per token.*train\.learning_rate"):
        likelihood.measures(sessions([9000.0]), CONFIG)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_sums_that_are_not_finite_are_measured_nowhere(value):
    good, bad = [30.0, 32.0, 31.0], [30.0, value, 31.0]
    with pytest.raises(ValueError, match="finite"):
        likelihood.measures(sessions(bad), CONFIG)
    with pytest.raises(ValueError, match="finite"):
        likelihood.gain(sessions(bad), sessions(good), CONFIG)
    with pytest.raises(ValueError, match="finite"):
        likelihood.gain(sessions(good), sessions(bad), CONFIG)
    examples = pd.DataFrame({"id": list("012"), "session": [0, 1, 2]})
    for each in ({"base": bad, "tuned": good}, {"base": good, "tuned": bad}):
        with pytest.raises(ValueError, match="finite"):
            likelihood.evaluate(table(**each), CONFIG)
        with pytest.raises(ValueError, match="finite"):
            likelihood.sliced(table(**each), examples)


def test_the_gain_is_paired_by_session():
    # Sessions of very different difficulty, each a little easier after training: 20 characters and
    # 2 to 3 nats saved in each. Apart the intervals overlap widely; the gain's is narrow.
    hard = np.random.default_rng(5).normal(60, 25, 40)
    saved = np.linspace(2, 3, 40)
    before, after = sessions(hard), sessions(hard - saved)
    apart = [likelihood.measures(rows, CONFIG) for rows in (before, after)]
    assert apart[1]["bits_per_character"]["high"] > apart[0]["bits_per_character"]["low"]
    got = likelihood.gain(before, after, CONFIG)["own_bits_per_character"]
    assert got["value"] == pytest.approx(2.5 / 20 / math.log(2))
    assert 2 / 20 / math.log(2) < got["low"] < got["value"] < got["high"] < 3 / 20 / math.log(2)


def test_no_training_is_no_gain():
    sums = sessions(np.random.default_rng(5).normal(60, 25, 40))
    got = likelihood.gain(sums, sums, CONFIG)["bits_per_character"]
    # Sessions that do not differ must not give an interval of width zero.
    assert got == {"value": 0.0, "n": 40, "interval": "no spread"}


def test_the_interval_holds_the_value_and_narrows_with_more_sessions():
    drawn = np.random.default_rng(3)
    few, many = drawn.normal(30, 5, 12), drawn.normal(30, 5, 1200)
    widths = []
    for nats in (few, many):
        got = likelihood.measures(sessions(nats), CONFIG)
        measure = got["bits_per_character"]
        assert measure["low"] < measure["value"] < measure["high"]
        assert measure["n"] == len(nats)
        widths.append(measure["high"] - measure["low"])
    # The width goes with 1 / √n: a hundred times n gives a tenth of it.
    assert widths[1] < widths[0] / 5


def test_the_interval_is_that_of_the_normal_theory_where_that_holds():
    # All sessions have 20 characters: the ratio is a mean, whose 95 % interval is ± 1.96 s / √n.
    nats = np.random.default_rng(5).normal(30, 5, 400)
    got = likelihood.measures(sessions(nats), CONFIG)
    half = 1.96 * nats.std(ddof=1) / math.sqrt(400) / 20 / math.log(2)
    measure = got["bits_per_character"]
    assert measure["value"] - measure["low"] == pytest.approx(half, rel=0.2)
    assert measure["high"] - measure["value"] == pytest.approx(half, rel=0.2)


def test_replies_of_one_session_are_drawn_together():
    # Ten sessions of a hundred equal replies: as replies there are 1,000, as sessions ten.
    nats = np.repeat(np.random.default_rng(5).normal(30, 5, 10), 100)
    together = likelihood.measures(sessions(nats, np.repeat(range(10), 100)), CONFIG)
    apart = likelihood.measures(sessions(nats), CONFIG)
    widths = [
        measures["bits_per_character"]["high"] - measures["bits_per_character"]["low"]
        for measures in (together, apart)
    ]
    assert widths[0] > 5 * widths[1]


def test_slices_by_position_and_length():
    # Session 1: three replies, the first two in train; session 2: two replies.
    examples = pd.DataFrame({"id": list("abcde"), "session": [1, 1, 1, 2, 2]})
    nats = math.log(2) * np.array([20.0, 30.0, 8.0])  # 20, 30 and 8 bits
    test = {"id": list("cde"), "own_chars": [10, 10, 11]}  # third; first and second
    losses = table(base=nats, tuned=nats / 2, same_examples=nats * 9)
    losses = losses.assign(**{name: values * 3 for name, values in test.items()})
    learnt = table(base=nats * 7, tuned=nats * 7).assign(split="train", id=list("abcabc"))
    got = likelihood.sliced(pd.concat([learnt, losses]), examples)
    assert got[["by", "slice", "replies"]].values.tolist() == [
        ["position", "1", 1],
        ["position", "2", 1],
        ["position", "3–4", 1],
        ["length", "1–10", 2],  # c and d: 50 bits for 20 characters
        ["length", "11–20", 1],
    ]
    assert got["base"].tolist() == pytest.approx([3.0, 8 / 11, 2.0, 2.5, 8 / 11])
    assert got["tuned"].tolist() == pytest.approx([1.5, 4 / 11, 1.0, 1.25, 4 / 11])


def test_of_table_losses_each_model_is_measured_on_the_test_replies_alone():
    tests = table(
        base=[30.0, 10.0],
        same_examples=[26.0, 10.0],
        nearest_examples=[22.0, 10.0],
        tuned=[12.0, 8.0],
    )
    learnt = table(base=[900.0], tuned=[900.0]).assign(split="train", id="t")
    losses = pd.concat([learnt, tests], ignore_index=True)
    # Of the first test reply all tokens of the text were scored, 0.5 and 0.25 nats each.
    for name, mean in (("base", 0.5), ("tuned", 0.25)):
        losses.loc[losses["model"].eq(name) & losses["id"].eq("0"), "text_nats_per_token"] = mean
    got = likelihood.evaluate(losses, CONFIG)
    assert set(got) == {"base", "tuned", "gain", "prompted"}
    bits = {"base": 1.0, "same_examples": 0.9, "nearest_examples": 0.8, "tuned": 0.5}  # of 40 nats
    measures = {"base": got["base"], "tuned": got["tuned"], **got["prompted"]}
    assert set(measures) == set(bits)
    for name, share in bits.items():
        expected = pytest.approx(share * 40 / math.log(2) / 40)
        assert measures[name]["own_bits_per_character"]["value"] == expected
        assert measures[name]["perplexity"]["value"] == pytest.approx(math.exp(share * 40 / 20))
    assert got["base"]["legacy_perplexity"] == pytest.approx(math.exp(0.5))
    assert got["tuned"]["legacy_perplexity"] == pytest.approx(math.exp(0.25))
    assert got["gain"]["own_bits_per_character"]["value"] == pytest.approx(0.5 / math.log(2))
    gains = {name: measures[name]["gain_of_training"] for name in got["prompted"]}
    assert gains["same_examples"]["bits_per_character"]["value"] == pytest.approx(0.4 / math.log(2))
    assert gains["nearest_examples"]["bits_per_character"]["value"] == (
        pytest.approx(0.3 / math.log(2))
    )


def test_where_no_example_fits_the_prompt_nothing_is_measured_of_it():
    got = likelihood.evaluate(table(base=[30.0, 10.0], tuned=[12.0, 8.0]), CONFIG)
    nothing = {"n": 0, "interval": "too few"}
    assert set(got["prompted"]) == {"same_examples", "nearest_examples"}
    for measures in got["prompted"].values():
        gains = measures.pop("gain_of_training")
        assert set(map(str, [*measures.values(), *gains.values()])) == {str(nothing)}
    assert got["gain"]["bits_per_character"]["value"] == pytest.approx(0.5 / math.log(2))
