"""Relevance: ranks by hand, and who must be at chance."""

import math

import numpy as np
import pytest

from espejo.duplicates import words
from espejo.scores import relevance
from tests.synthetic import WANTED, chats, pairs


def test_ranks_by_hand():
    # Ranks 1, 2 and 4 of 4: (1 + 1/2 + 1/4) / 3.
    scores = np.array([[4, 1, 2, 3], [4, 1, 3, 2], [4, 1, 2, 3]])
    got = relevance.ranked(scores, [0, 2, 1], [1, 2, 3], WANTED)
    assert got["mrr"] == {"value": pytest.approx(1.75 / 3), "n": 3, "interval": "too few"}
    assert got["hits_at_1"]["value"] == pytest.approx(1 / 3)
    assert got["candidates"] == 4
    # (1 + 1/2 + 1/3 + 1/4) / 4
    assert got["chance"] == {"mrr": pytest.approx(25 / 48), "hits_at_1": 0.25}


def test_ties_are_worth_what_chance_would_give():
    got = relevance.ranked(np.zeros((12, 4)), [0] * 12, range(12), WANTED)
    for name in ("mrr", "hits_at_1"):
        assert got[name]["value"] == pytest.approx(got["chance"][name])
    # Second or third: (1/2 + 1/3) / 2.
    got = relevance.ranked(np.array([[1, 1, 5, 0]]), [0], [1], WANTED)
    assert got["mrr"]["value"] == pytest.approx(5 / 12)
    assert got["hits_at_1"]["value"] == 0


def test_minus_infinity_ranks_last_and_no_number_is_told():
    got = relevance.ranked(np.array([[-np.inf, -3.0]]), [0], [1], WANTED)
    assert got["mrr"]["value"] == 0.5
    with pytest.raises(ValueError, match="not a number"):
        relevance.ranked(np.array([[math.nan, 1.0]]), [0], [1], WANTED)


def test_nothing_to_rank():
    got = relevance.ranked(np.empty((0, 10)), [], [], WANTED)
    assert got["mrr"] == {"n": 0, "interval": "too few"}
    assert relevance.candidates([], [], 10, 7).shape == (0, 0)


def test_per_character_by_hand():
    likelihood = np.array([[-8.0, -6.0]])
    assert relevance.per_character(likelihood, np.array([[3, 1]])).tolist() == [[-2, -3]]


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
    # With one session nothing is to be told: the true reply always comes first, as by chance.
    assert relevance.candidates([["a"], ["b"]], [1, 1], 10, 7).tolist() == [[0], [1]]


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
    scores = relevance.per_character(likelihood, characters)
    return relevance.ranked(scores, [0] * len(table), asked["session"][table[:, 0]], WANTED)


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
