"""The two-sample test: which replies can be told from the author's, and by which n-grams."""

import numpy as np
import pytest

from espejo.core import tables
from espejo.evaluation import two_sample
from tests.helpers.configs import EVALUATE
from tests.helpers.synthetic import chats, pairs


@pytest.fixture(scope="module")
def turns():
    return chats(sessions=240)


@pytest.fixture(scope="module")
def real(turns):
    return pairs(turns, "test")


def judged(real, generated):
    return two_sample.told_apart(
        real["reply"].tolist(), generated, real["session"].tolist(), EVALUATE
    )


def test_other_replies_of_the_author_cannot_be_told():
    # A copy bot writes like the author: only memorization reveals it. One AUC of so few replies
    # varies a lot, so the test runs eight times.
    told_of = []
    for seed in range(8):
        turns = chats(sessions=96, seed=seed)
        real = pairs(turns, "test")
        train = pairs(turns, "train")["reply"].tolist()
        order = np.random.default_rng(seed).permutation(len(train))[: len(real)]
        told_of.append(judged(real, [train[index] for index in order]))
    assert np.mean([got["value"] for got in told_of]) == pytest.approx(0.5, abs=0.08)
    assert sum(got["low"] <= 0.5 <= got["high"] for got in told_of) >= 6


def test_a_friend_is_told_and_the_giveaways_say_by_what(turns, real):
    friend = turns[turns["author"].eq("Cami") & turns["split"].eq("test")]["messages"].tolist()
    friend = (friend * 2)[: len(real)]
    got = judged(real, friend)
    assert got["low"] > 0.95
    assert got["n"] == real["session"].nunique()
    assert got == judged(real, friend)
    table = two_sample.giveaways(real["reply"].tolist(), friend)
    assert table.columns.tolist() == tables.GIVEAWAYS.names
    tells = table.to_dict("records")
    assert len(tells) <= 10
    assert tells[0]["weight"] == max(tell["weight"] for tell in tells)
    typical = {tell["typical_of"]: [] for tell in tells}
    for tell in tells:
        typical[tell["typical_of"]].append(tell["ngram"])
    assert any("." in ngram for ngram in typical["generated"])
    for ngrams in typical.values():
        assert not any(a != b and a in b for a in ngrams for b in ngrams)


def test_replies_of_other_sessions_are_told_too(turns, real):
    """More of them, in other sessions and fewer: n is the smaller number of sessions."""
    friend = turns[turns["author"].eq("Cami") & turns["split"].eq("train")].head(88)
    got = two_sample.told_apart(
        real["reply"].tolist(),
        friend["messages"].tolist(),
        real["session"].tolist(),
        EVALUATE,
        friend["session"].tolist(),
    )
    assert got["low"] > 0.95
    assert got["n"] == friend["session"].nunique() == 22 < real["session"].nunique()


@pytest.mark.parametrize("bot", [["jaja"], []])
def test_laughter_and_silence_are_told(real, bot):
    got = judged(real, [bot] * len(real))
    assert got["value"] > 0.99
    assert got["low"] > 0.9


def test_half_of_the_replies_empty_are_told_in_half_of_the_cases(turns, real):
    train = pairs(turns, "train")["reply"].tolist()
    got = judged(real, [train[index] if index % 2 else [] for index in range(len(real))])
    # An empty reply is always told apart, one of the author's by chance: 1/2 + 1/4.
    assert got["value"] == pytest.approx(0.75, abs=0.1)


def test_how_a_reply_is_cut_into_bubbles_does_not_count(real):
    joined = [[" ".join(reply)] for reply in real["reply"]]
    got = judged(real, joined)
    assert got["value"] == 0.5


def test_too_few_sessions():
    real, generated = [["hola che"], ["que tal"]] * 3, [["Hola."], ["Bien."]] * 3
    got = two_sample.told_apart(real, generated, [1, 1, 2, 2, 3, 3], EVALUATE)
    assert got["n"] == 3
    assert got["interval"] == "too few"
    alone = two_sample.told_apart(real, generated, [1] * 6, EVALUATE)
    assert alone == {"n": 1, "interval": "too few"}
    assert two_sample.told_apart([], [], [], EVALUATE) == {"n": 0, "interval": "too few"}
    nothing = two_sample.giveaways([], [])
    assert nothing.columns.tolist() == tables.GIVEAWAYS.names
    assert nothing.empty
