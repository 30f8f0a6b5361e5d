"""Relevance: ranks by hand, and who must be at chance."""

import math

import numpy as np
import pytest

from espejo.core.text import words
from espejo.evaluation import relevance
from tests.helpers.synthetic import WANTED, chats, pairs

BASE = [[4, 1, 2, 3], [4, 1, 3, 2], [4, 1, 2, 3]]  # of [0, 2, 1] the ranks are 1, 2 and 4
TUNED = [[4, 1, 2, 3], [2, 1, 3, 4], [4, 1, 0, 3]]  # 1, 2 and 3


def both(base, tuned=None):
    """Scores of both models, the same where one is given."""
    return {"base": np.array(base), "tuned": np.array(base if tuned is None else tuned)}


def test_ranks_by_hand():
    got = relevance.ranked(both(BASE, TUNED), [0, 2, 1], [1, 2, 3], WANTED)
    assert (got["contexts"], got["candidates"]) == (3, 4)
    # (1 + 1/2 + 1/4) / 3 and (1 + 1/2 + 1/3) / 3
    assert got["base"]["mrr"] == {"value": pytest.approx(7 / 12), "n": 3, "interval": "too few"}
    assert got["tuned"]["mrr"]["value"] == pytest.approx(11 / 18)
    # (1 + 1/2 + 1/3 + 1/4) / 4
    assert got["chance"] == {"mrr": pytest.approx(25 / 48), "hits_at_1": 0.25}
    for name in ("base", "tuned"):
        hits = got[name]["hits_at_1"]
        assert (hits["value"], hits["n"]) == (pytest.approx(1 / 3), 3)
        assert 0 < hits["low"] < 1 / 3 < hits["high"] < 1  # a share has an interval of any n
    assert got["gain"]["mrr"]["value"] == pytest.approx(1 / 36)  # (1/3 - 1/4) / 3
    assert got["gain"]["hits_at_1"]["value"] == 0
    assert got["gain"]["hits_at_1"]["low"] < 0 < got["gain"]["hits_at_1"]["high"]


def test_the_gain_is_paired_context_by_context():
    # Every second context is hard for both; training brings the true reply from 3 to 2, from 2 to 1
    # or nowhere in turn: apart the intervals overlap, the gain is above zero.
    ranks = [(4, 4) if at % 2 else ((3, 2), (2, 1), (2, 2))[at // 2 % 3] for at in range(24)]

    def scores(place):  # the true reply is column 0, and so many of the others come before it
        return [[0.5, *(1 if other < rank[place] else 0 for other in (1, 2, 3))] for rank in ranks]

    got = relevance.ranked(both(scores(0), scores(1)), [0] * 24, range(24), WANTED)
    assert got["base"]["mrr"]["high"] > got["tuned"]["mrr"]["low"]
    # Of 12 contexts 4 from 1/3 to 1/2, 4 from 1/2 to 1, 4 as they were.
    assert got["gain"]["mrr"]["value"] == pytest.approx((4 / 6 + 4 / 2) / 24)
    assert 0 < got["gain"]["mrr"]["low"] < got["gain"]["mrr"]["high"]
    assert got["gain"]["hits_at_1"]["value"] == pytest.approx(4 / 24)


def test_ties_are_worth_what_chance_would_give():
    got = relevance.ranked(both(np.zeros((12, 4))), [0] * 12, range(12), WANTED)
    for name in ("mrr", "hits_at_1"):
        assert got["tuned"][name]["value"] == pytest.approx(got["chance"][name])
        assert got["gain"][name]["value"] == 0
    # Second or third: (1/2 + 1/3) / 2.
    got = relevance.ranked(both([[1, 1, 5, 0]]), [0], [1], WANTED)
    assert got["tuned"]["mrr"]["value"] == pytest.approx(5 / 12)
    assert got["tuned"]["hits_at_1"]["value"] == 0


@pytest.mark.parametrize("score", [math.nan, -math.inf, math.inf])
def test_a_score_that_is_not_finite_is_told_with_its_model(score):
    with pytest.raises(ValueError, match="score of tuned is not finite"):
        relevance.ranked(both([[2.0, 1.0]], [[score, 1.0]]), [0], [1], WANTED)


@pytest.mark.parametrize("candidates", [0, 1, 10])
def test_nothing_to_rank(candidates):
    got = relevance.ranked(both(np.empty((0, candidates))), [], [], WANTED)
    assert got["contexts"] == 0
    for name in ("base", "tuned", "gain"):
        for measure in got[name].values():
            assert measure == {"n": 0, "interval": "too few"}
    assert relevance.candidates([], [], 10, 7).shape == (0, 0)


def test_per_character_by_hand():
    likelihood = np.array([[-8.0, -6.0]])
    assert relevance.per_character(likelihood, np.array([[4, 2]])).tolist() == [[-2, -3]]


def test_candidates_are_as_long_in_the_characters_of_the_messages_themselves():
    # With a mark between messages "a b c d" is as long as "gggg hhh"; without, as "eeee".
    replies = [["a", "b", "c", "d"], ["eeee"], ["gggg", "hhh"], ["iiiiiii"]]
    table = relevance.candidates(replies, range(4), 2, seed=7)
    assert sorted(map(tuple, table.tolist())) == [(0, 1), (1, 0), (2, 3), (3, 2)]


def test_candidates_are_of_other_sessions_and_say_other_things():
    replies = [["si"], ["¡Sí!"], ["SÍ"], ["no"], ["😭"], ["dale", "vamos"], ["dale vamos!"], ["eh"]]
    sessions = [1, 2, 3, 4, 5, 6, 7, 1]
    for seed in range(20):
        table = relevance.candidates(replies, sessions, 3, seed)
        assert len(table) >= 6
        for row in table:
            said = [" ".join(words(" ".join(replies[at]))) or replies[at][0] for at in row]
            assert len(set(said)) == len({sessions[at] for at in row}) == 3


def test_candidates_are_of_like_length_and_each_is_once_the_true_one_among_them():
    # Lengths 3, 6, … 300; session 0 has those of 90 to 120 characters, a block for each.
    replies = [[f"{at:03}" * (at + 1)] for at in range(100)]
    sessions = [0 if 30 <= at < 40 else at for at in range(100)]
    table = relevance.candidates(replies, sessions, 5, seed=7)
    assert table[:, 0].tolist() == list(range(100))
    assert len({tuple(sorted(row)) for row in table.tolist()}) == 20
    assert np.median(np.abs(table[:, 1:] - table[:, :1])) < 10
    assert (table == relevance.candidates(replies, sessions, 5, seed=7)).all()


def test_among_equal_lengths_chance_decides():
    replies = [[f"{at:03}"] for at in range(100)]
    one, again, other = (relevance.candidates(replies, range(100), 5, seed) for seed in (7, 7, 8))
    assert (one == again).all()
    assert (one != other).any()


def test_what_fits_into_no_block_is_left_out():
    # Three of session 1, one each of two others: one block of three, and two replies without.
    table = relevance.candidates([["a"], ["bb"], ["ccc"], ["dd"], ["e"]], [1, 1, 1, 2, 3], 3, 7)
    assert len(table) == 3
    assert {3, 4} < set(table[:, 0])


def test_with_fewer_sessions_there_are_fewer_candidates():
    assert relevance.candidates([["a"], ["b"], ["c"]], [1, 1, 2], 10, 7).shape == (2, 2)
    # With one session there is none but the true reply.
    assert relevance.candidates([["a"], ["b"]], [1, 1], 10, 7).shape == (0, 1)


def test_replies_of_the_same_words_are_in_no_block():
    assert relevance.candidates([["dale"], ["¡Dale!"], ["DALE"]], [1, 2, 3], 3, 7).shape == (0, 3)


@pytest.fixture(scope="module")
def asked():
    return pairs(chats(sessions=240), "test")


@pytest.fixture(scope="module")
def table(asked):
    table = relevance.candidates(asked["reply"].tolist(), asked["session"].tolist(), 10, seed=7)
    assert len(table) == len(asked)  # sixteen blocks of ten
    return table


def overlap(context, reply):
    """A toy model: log-likelihood of each word -1 where it stands in the context, else -4."""
    known = set(words(context))
    return sum(-1.0 if word in known else -4.0 for word in words(" ".join(reply)))


def ranked(asked, table, contexts, scorer=overlap):
    """The ranks of the true replies when each is asked for in one of `contexts` [n]."""
    replies = asked["reply"]
    likelihood = np.array(
        [[scorer(contexts[row[0]], replies[at]) for at in row] for row in table.tolist()]
    )
    characters = np.array([[len("".join(replies[at])) for at in row] for row in table.tolist()])
    scores = both(relevance.per_character(likelihood, characters))
    found = relevance.ranked(scores, [0] * len(table), asked["session"][table[:, 0]], WANTED)
    return {"chance": found["chance"], **found["tuned"]}


def test_who_answers_is_above_chance(asked, table):
    got = ranked(asked, table, asked["context"])
    assert got["mrr"]["low"] > got["chance"]["mrr"] + 0.2
    assert got == ranked(asked, table, asked["context"])


def test_the_author_shuffled_among_contexts_is_at_chance(asked, table):
    drawn = np.random.default_rng(1)
    got = [
        ranked(asked, table, asked["context"][drawn.permutation(len(asked))].to_numpy())
        for _ in range(10)
    ]
    held = sum(one["mrr"]["low"] < one["chance"]["mrr"] < one["mrr"]["high"] for one in got)
    assert held >= 7
    mean = np.mean([one["mrr"]["value"] for one in got])
    assert mean == pytest.approx(got[0]["chance"]["mrr"], abs=0.02)


@pytest.mark.parametrize(
    "scorer",
    [
        lambda context, reply: -float(len("".join(reply)) ** 2),  # short ones first
        lambda context, reply: float(len("".join(reply)) ** 2),  # long ones first
        lambda context, reply: -float(sum(map(ord, "".join(reply))) % 97),  # any order
        lambda context, reply: 1.0 if "ja" in "".join(reply) else 0.0,  # the author's habits
        lambda context, reply: -float(len(words(" ".join(reply)))),  # common words are likely
    ],
)
def test_who_looks_at_the_reply_alone_is_at_chance_exactly(asked, table, scorer):
    got = ranked(asked, table, asked["context"], scorer)
    assert got["mrr"]["value"] == pytest.approx(got["chance"]["mrr"])
    assert got["hits_at_1"]["value"] == pytest.approx(got["chance"]["hits_at_1"])
