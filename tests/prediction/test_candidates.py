"""Which replies are ranked together: blocks in which neither style nor length gives it away."""

import numpy as np

from espejo.core.text import words
from espejo.prediction.candidates import candidates


def test_of_no_replies_there_are_no_blocks():
    assert candidates([], [], 10, 7).shape == (0, 0)


def test_candidates_are_as_long_in_the_characters_of_the_messages_themselves():
    # With a mark between messages "a b c d" is as long as "gggg hhh"; without, as "eeee".
    replies = [["a", "b", "c", "d"], ["eeee"], ["gggg", "hhh"], ["iiiiiii"]]
    table = candidates(replies, range(4), 2, seed=7)
    assert sorted(map(tuple, table.tolist())) == [(0, 1), (1, 0), (2, 3), (3, 2)]


def test_candidates_are_of_other_sessions_and_say_other_things():
    replies = [["si"], ["¡Sí!"], ["SÍ"], ["no"], ["😭"], ["dale", "vamos"], ["dale vamos!"], ["eh"]]
    sessions = [1, 2, 3, 4, 5, 6, 7, 1]
    for seed in range(20):
        table = candidates(replies, sessions, 3, seed)
        assert len(table) >= 6
        for row in table:
            texts = [
                " ".join(words(" ".join(replies[index]))) or replies[index][0] for index in row
            ]
            assert len(set(texts)) == len({sessions[index] for index in row}) == 3


def test_candidates_are_of_like_length_and_each_is_once_the_true_one_among_them():
    # Lengths 3, 6, … 300; session 0 has those of 90 to 120 characters, a block for each.
    replies = [[f"{index:03}" * (index + 1)] for index in range(100)]
    sessions = [0 if 30 <= index < 40 else index for index in range(100)]
    table = candidates(replies, sessions, 5, seed=7)
    assert table[:, 0].tolist() == list(range(100))
    assert len({tuple(sorted(row)) for row in table.tolist()}) == 20
    assert np.median(np.abs(table[:, 1:] - table[:, :1])) < 10
    assert (table == candidates(replies, sessions, 5, seed=7)).all()


def test_among_equal_lengths_chance_decides():
    replies = [[f"{index:03}"] for index in range(100)]
    first, same, other = (candidates(replies, range(100), 5, seed) for seed in (7, 7, 8))
    assert (first == same).all()
    assert (first != other).any()


def test_what_fits_into_no_block_is_left_out():
    # Three of session 1, one each of two others: one block of three, and two replies without.
    table = candidates([["a"], ["bb"], ["ccc"], ["dd"], ["e"]], [1, 1, 1, 2, 3], 3, 7)
    assert len(table) == 3
    assert {3, 4} < set(table[:, 0])


def test_with_fewer_sessions_there_are_fewer_candidates():
    assert candidates([["a"], ["b"], ["c"]], [1, 1, 2], 10, 7).shape == (2, 2)
    # With one session there is none but the true reply.
    assert candidates([["a"], ["b"]], [1, 1], 10, 7).shape == (0, 1)


def test_replies_of_the_same_words_are_in_no_block():
    assert candidates([["dale"], ["¡Dale!"], ["DALE"]], [1, 2, 3], 3, 7).shape == (0, 3)
