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
    assert relevance.distractors([], [], 10, 7).shape == (0, 1)


def test_per_character_and_lift_by_hand():
    likelihood = np.array([[-8.0, -6.0]])
    assert relevance.per_character(likelihood, np.array([[3, 1]])).tolist() == [[-2, -3]]
    assert relevance.lift(likelihood, np.array([[-9.0, -6.5]])).tolist() == [[1, 0.5]]


def test_distractors_are_of_other_sessions_and_never_the_truth():
    replies = [["si"], ["¡Sí!"], ["SI"], ["no"], ["😭"], ["dale", "vamos"], ["dale vamos!"], ["eh"]]
    sessions = [1, 2, 3, 4, 5, 6, 7, 1]
    for seed in range(20):
        table = relevance.distractors(replies, sessions, 4, seed)
        assert table.shape == (8, 4)
        assert table[:, 0].tolist() == list(range(8))
        for row in table:
            said = [" ".join(words(" ".join(replies[at]))) or replies[at][0] for at in row]
            assert len(set(said)) == 4
            assert all(sessions[at] != sessions[row[0]] for at in row[1:])


def test_distractors_are_of_like_length():
    # Lengths 3, 6, … 300: of 5 candidates the others come from 8 neighbours, the true one anywhere.
    replies = [[f"{at:03}" * (at + 1)] for at in range(100)]
    table = relevance.distractors(replies, range(100), 5, seed=7)
    apart = table[:, 1:] - table[:, :1]
    assert np.abs(apart).max() <= 8
    assert (apart[10:90] > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert (table == relevance.distractors(replies, range(100), 5, seed=7)).all()
    assert (table != relevance.distractors(replies, range(100), 5, seed=8)).any()


def test_where_a_reply_has_few_distractors_all_have_as_few():
    table = relevance.distractors([["a"], ["b"], ["c"]], [1, 1, 2], 10, seed=7)
    assert table.shape == (3, 2)
    assert relevance.distractors([["a"], ["b"]], [1, 1], 10, seed=7).tolist() == [[0], [1]]


@pytest.fixture(scope="module")
def asked():
    return pairs(chats(sessions=240), "test")


@pytest.fixture(scope="module")
def table(asked):
    return relevance.distractors(asked["reply"].tolist(), asked["session"].tolist(), 10, seed=7)


def overlap(context, reply):
    """A toy model: log-likelihood of each word -1 where it stands in the context, else -4."""
    known = set(words(context))
    return sum(-1.0 if word in known else -4.0 for word in words(" ".join(reply)))


def ranked(asked, table, replies, scorer=overlap):
    """The ranks of `replies` [n], put where the true ones were, against their distractors."""
    true = asked["reply"].tolist()
    candidates = [
        [replies[at], *(true[other] for other in row[1:])] for at, row in enumerate(table)
    ]
    likelihood = np.array(
        [
            [scorer(context, reply) for reply in row]
            for context, row in zip(asked["context"], candidates, strict=True)
        ]
    )
    characters = np.array([[len("".join(reply)) for reply in row] for row in candidates])
    scores = relevance.per_character(likelihood, characters)
    return relevance.ranked(scores, [0] * len(table), asked["session"], WANTED)


def test_who_answers_is_above_chance(asked, table):
    got = ranked(asked, table, asked["reply"].tolist())
    assert got["mrr"]["low"] > got["chance"]["mrr"] + 0.2
    assert got == ranked(asked, table, asked["reply"].tolist())


def test_the_author_shuffled_among_contexts_is_at_chance(asked, table):
    # Each context gets the reply of a session a few further on.
    moved = np.roll(np.arange(len(asked)), 12)
    got = ranked(asked, table, [asked["reply"][at] for at in moved])
    assert got["mrr"]["low"] < got["chance"]["mrr"] < got["mrr"]["high"]
    assert got["mrr"]["value"] == pytest.approx(got["chance"]["mrr"], abs=0.06)


@pytest.mark.parametrize(
    "scorer",
    [
        lambda context, reply: -float(len("".join(reply)) ** 2),  # short ones first
        lambda context, reply: float(len("".join(reply)) ** 2),  # long ones first
        lambda context, reply: -float(sum(map(ord, "".join(reply))) % 97),  # any order
        lambda context, reply: 1.0 if "ja" in "".join(reply) else 0.0,  # the author's habits
    ],
)
def test_who_looks_at_the_reply_alone_is_at_chance(asked, table, scorer):
    got = ranked(asked, table, asked["reply"].tolist(), scorer)
    assert got["mrr"]["value"] == pytest.approx(got["chance"]["mrr"], abs=0.07)
    assert got["mrr"]["low"] < got["chance"]["mrr"] + 0.02
