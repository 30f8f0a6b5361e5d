"""Relevance: ranks by hand, and models that must be at chance."""

import math

import numpy as np
import pandas as pd
import pytest

from espejo.core import tables
from espejo.core.text import words
from espejo.evaluation import relevance
from espejo.prediction.candidates import candidates
from tests.helpers.configs import EVALUATE
from tests.helpers.synthetic import chats, pairs

BASE = [[4, 1, 2, 3], [4, 1, 3, 2], [4, 1, 2, 3]]  # of [0, 2, 1] the ranks are 1, 2 and 4
TUNED = [[4, 1, 2, 3], [2, 1, 3, 4], [4, 1, 0, 3]]  # 1, 2 and 3


def both(base, tuned=None):
    """Scores of both models; the same for both where only one is given."""
    return {"base": np.array(base), "tuned": np.array(base if tuned is None else tuned)}


def test_ranks_by_hand():
    got = relevance.ranking(both(BASE, TUNED), [0, 2, 1], [1, 2, 3], EVALUATE)
    assert (got["contexts"], got["candidates"]) == (3, 4)
    # (1 + 1/2 + 1/4) / 3 and (1 + 1/2 + 1/3) / 3
    mrr = got["base"]["mrr"]
    assert (mrr["value"], mrr["n"]) == (pytest.approx(7 / 12), 3)
    assert 0 <= mrr["low"] < 0.1  # of three sessions, nearly all is possible
    assert 0.9 < mrr["high"] <= 1
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
    # or not at all, in turn: the two intervals overlap, but the gain is above zero.
    ranks = [
        (4, 4) if index % 2 else ((3, 2), (2, 1), (2, 2))[index // 2 % 3] for index in range(24)
    ]

    def scores(place):  # column 0 is the true reply; `place` others are ranked before it
        return [[0.5, *(1 if other < rank[place] else 0 for other in (1, 2, 3))] for rank in ranks]

    got = relevance.ranking(both(scores(0), scores(1)), [0] * 24, range(24), EVALUATE)
    assert got["base"]["mrr"]["high"] > got["tuned"]["mrr"]["low"]
    # Of 12 contexts 4 from 1/3 to 1/2, 4 from 1/2 to 1, 4 as they were.
    assert got["gain"]["mrr"]["value"] == pytest.approx((4 / 6 + 4 / 2) / 24)
    assert 0 < got["gain"]["mrr"]["low"] < got["gain"]["mrr"]["high"]
    assert got["gain"]["hits_at_1"]["value"] == pytest.approx(4 / 24)


def test_ties_are_worth_what_chance_would_give():
    got = relevance.ranking(both(np.zeros((12, 4))), [0] * 12, range(12), EVALUATE)
    for name in ("mrr", "hits_at_1"):
        assert got["tuned"][name]["value"] == pytest.approx(got["chance"][name])
        assert got["gain"][name]["value"] == 0
    # Second or third: (1/2 + 1/3) / 2.
    got = relevance.ranking(both([[1, 1, 5, 0]]), [0], [1], EVALUATE)
    assert got["tuned"]["mrr"]["value"] == pytest.approx(5 / 12)
    assert got["tuned"]["hits_at_1"]["value"] == 0


@pytest.mark.parametrize("score", [math.nan, -math.inf, math.inf])
def test_a_score_that_is_not_finite_is_told_with_its_model(score):
    with pytest.raises(ValueError, match="score of tuned is not finite"):
        relevance.ranking(both([[2.0, 1.0]], [[score, 1.0]]), [0], [1], EVALUATE)


@pytest.mark.parametrize("candidates", [0, 1, 10])
def test_nothing_to_rank(candidates):
    got = relevance.ranking(both(np.empty((0, candidates))), [], [], EVALUATE)
    assert got["contexts"] == 0
    for name in ("base", "tuned", "gain"):
        for measure in got[name].values():
            assert measure == {"n": 0, "interval": "too few"}


def table_of(losses, characters):
    """Table RANKS of the losses [model][context][candidate]; the true reply is the first."""
    contexts = len(next(iter(losses.values())))
    rows = [
        {
            "context": f"reply-{index}",
            "session": 100 + index,
            "candidate": f"reply-{(index + place) % contexts}",
            "model": model,
            "own_nats": nats,
            "own_chars": characters[index][place],
        }
        for model, each in losses.items()
        for index, row in enumerate(each)
        for place, nats in enumerate(row)
    ]
    return pd.DataFrame(rows, columns=tables.RANKS.names)


def test_table_ranks_is_scored_by_character_by_hand():
    # By total nats the true reply of context 0 would lose (8 to 6); per character it wins (2 to 3).
    # In context 1 it loses for base (4 to 3) and wins for tuned (2 to 3).
    characters = [[4, 2], [2, 4]]
    ranks = table_of({"base": [[8, 6], [8, 12]], "tuned": [[8, 6], [4, 12]]}, characters)
    got = relevance.evaluate(ranks, EVALUATE)
    assert (got["contexts"], got["candidates"]) == (2, 2)
    assert got["base"]["mrr"] == {"value": pytest.approx(3 / 4), "n": 2, "interval": "too few"}
    assert got["tuned"]["mrr"]["value"] == 1
    assert got["base"]["hits_at_1"]["value"] == 1 / 2
    assert got["gain"]["mrr"]["value"] == pytest.approx(1 / 4)


def test_the_true_reply_of_table_ranks_is_found_by_its_id_and_counted_with_its_session():
    # Second of three by loss, wherever it stands among the candidates; ten contexts in one session.
    ranks = table_of({name: [[5, 4, 6]] * 10 for name in ("base", "tuned")}, [[1, 1, 1]] * 10)
    drawn = np.random.default_rng(1).permutation(3)
    places = [block + index for block in range(0, len(ranks), 3) for index in drawn]
    got = relevance.evaluate(ranks.iloc[places], EVALUATE)
    assert got["tuned"]["mrr"]["value"] == 1 / 2
    assert got["tuned"]["mrr"]["n"] == 10
    got = relevance.evaluate(ranks.assign(session=1), EVALUATE)
    assert got["tuned"]["mrr"] == {"value": 1 / 2, "n": 1, "interval": "too few"}


def test_of_an_empty_table_ranks_nothing_is_said():
    got = relevance.evaluate(table_of({"base": [], "tuned": []}, []), EVALUATE)
    assert got["contexts"] == 0
    assert got["tuned"]["mrr"] == {"n": 0, "interval": "too few"}


@pytest.fixture(scope="module")
def tested():
    return pairs(chats(sessions=240), "test")


@pytest.fixture(scope="module")
def table(tested):
    table = candidates(tested["reply"].tolist(), tested["session"].tolist(), 10, seed=7)
    assert len(table) == len(tested)  # sixteen blocks of ten
    return table


def overlap(context, reply):
    """A toy model: log-likelihood of each word -1 where it stands in the context, else -4."""
    context_words = set(words(context))
    return sum(-1.0 if word in context_words else -4.0 for word in words(" ".join(reply)))


def ranked(tested, table, contexts, scorer=overlap):
    """The ranks of the true replies when each is asked for in one of `contexts` [n]."""
    replies = tested["reply"]
    likelihood = np.array(
        [[scorer(contexts[row[0]], replies[index]) for index in row] for row in table.tolist()]
    )
    characters = np.array(
        [[len("".join(replies[index])) for index in row] for row in table.tolist()]
    )
    scores = both(likelihood / characters)
    measures = relevance.ranking(scores, [0] * len(table), tested["session"][table[:, 0]], EVALUATE)
    return {"chance": measures["chance"], **measures["tuned"]}


def test_who_answers_is_above_chance(tested, table):
    got = ranked(tested, table, tested["context"])
    assert got["mrr"]["low"] > got["chance"]["mrr"] + 0.2
    assert got == ranked(tested, table, tested["context"])


def test_the_author_shuffled_among_contexts_is_at_chance(tested, table):
    drawn = np.random.default_rng(1)
    got = [
        ranked(tested, table, tested["context"][drawn.permutation(len(tested))].to_numpy())
        for _ in range(10)
    ]
    held = sum(
        measures["mrr"]["low"] < measures["chance"]["mrr"] < measures["mrr"]["high"]
        for measures in got
    )
    assert held >= 7
    mean = np.mean([measures["mrr"]["value"] for measures in got])
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
def test_who_looks_at_the_reply_alone_is_at_chance_exactly(tested, table, scorer):
    got = ranked(tested, table, tested["context"], scorer)
    assert got["mrr"]["value"] == pytest.approx(got["chance"]["mrr"])
    assert got["hits_at_1"]["value"] == pytest.approx(got["chance"]["hits_at_1"])
