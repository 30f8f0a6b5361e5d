"""What the original notebooks measured: their perplexity, and the leak of their random split."""

import math

import numpy as np
import pandas as pd
import pytest

from espejo.dataset.turns import examples
from espejo.evaluation import legacy


def test_legacy_perplexity_averages_the_examples_means():
    # Means 1 and 3, whatever the lengths: exp(2), while all tokens together would give exp(1.2).
    losses = [np.ones(9), np.array([3.0])]
    means = [loss.mean() for loss in losses]
    assert legacy.perplexity(means) == pytest.approx(math.exp(2))


def test_legacy_scores_the_prompt_too_and_so_flatters():
    # A model that has memorized the prompt (loss 0) and knows nothing of the reply (loss 4).
    losses = np.concatenate([np.zeros(30), np.full(10, 4.0)])
    assert legacy.perplexity([losses.mean()]) == pytest.approx(math.e)


def context_of(*texts):
    return [{"author": "Juli", "messages": [text]} for text in texts]


# A session of replies a, b, c: b's context holds a, c's context holds a and b.
TABLE = pd.DataFrame(
    {
        "session": [1, 1, 1],
        "context": [context_of(), context_of("a"), context_of("a", "b")],
        "reply": [["a"], ["b"], ["c"]],
    }
)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        # One drawn of three: a and b leak whenever they are, c never does.
        (1 / 3, 2 / 3),
        # Two drawn. {a, b}: c is learnt and holds both, 2 of 2. {a, c}: b holds a, 1 of 2.
        # {b, c}: what is learnt holds nothing, 0 of 2.
        (2 / 3, 1 / 2),
        (1.0, 0.0),  # nothing is left to learn from
        (0.0, 0.0),  # nor to test
    ],
)
def test_the_expected_leak_of_a_random_split_by_hand(share, expected):
    assert legacy.leak(TABLE, share) == pytest.approx(expected)


def test_a_reply_leaks_inside_its_session_only():
    assert legacy.leak(TABLE.assign(session=[1, 2, 3]), 1 / 3) == 0.0


def test_a_reply_in_its_own_context_does_not_leak_by_that():
    # Both are "dale" after "dale": each leaks only through the other, whenever that one is in
    # train.
    again = TABLE.iloc[:2].assign(context=[context_of("dale")] * 2, reply=[["dale"]] * 2)
    assert legacy.leak(again, 1 / 2) == 1.0
    assert legacy.leak(again.iloc[:1], 1.0) == 0.0


def drawn(holds, tested, rng):
    """The leak of one random split; `holds[i, j]`: reply i is a turn in the context of row j."""
    order = rng.permutation(len(holds))
    test, train = order[:tested], order[tested:]
    return holds[np.ix_(test, train)].any(axis=1).mean()


def test_the_expected_leak_is_the_mean_over_many_splits():
    rng = np.random.default_rng(0)
    turns = pd.DataFrame(
        [
            # Some turns say the same, some sessions are short.
            {
                "chat": "c",
                "session": session,
                "turn": 10 * session + number,
                "author": ("Flor", "Juli")[number % 2],
                "messages": [str(rng.integers(20))],
                "split": "train",
            }
            for session in range(6)
            for number in range(2 * session)
        ]
    )
    table = examples(turns, "Juli", history=4)
    rows = list(table.itertuples())
    holds = np.array(
        [
            [
                row.session == other.session
                and row.reply in [turn["messages"] for turn in other.context]
                for other in rows
            ]
            for row in rows
        ]
    )
    for tested in (3, 8):
        leaks = [drawn(holds, tested, rng) for _ in range(5000)]
        error = np.std(leaks) / len(leaks) ** 0.5
        assert 0.2 < np.mean(leaks) < 0.9
        expected = pytest.approx(np.mean(leaks), abs=4 * error)
        assert legacy.leak(table, tested / len(rows)) == expected
