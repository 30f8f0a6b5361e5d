"""Habits: distances by hand, and what is off for whom."""

import math

import numpy as np
import pytest

from espejo.scores import habits
from tests.synthetic import WANTED, chats, pairs


def compared(real, generated, endless=()):
    return habits.compared(real, generated, endless)


def test_a_text_is_at_no_distance_from_itself():
    said = [["hola!!", "jajaja 😭"], ["q se yo, no"], ["si"]]
    table = compared(said, said, [False] * 3)
    assert {row["distance"] for row in table.values()} == {0.0}


@pytest.mark.parametrize(
    ("habit", "real", "generated"),
    [
        ("function_words", "yo", "perro"),
        ("emoji", "a 😭", "a 🎉"),
        ("punctuation", "a! b! c!", "a. b. c."),
        ("punctuation", "a!", "a!!"),
        ("function_words", "el", "casa"),
        ("laughter", "jaja", "jajaja"),
        ("laughter", "jaja", "lol"),
    ],
)
def test_nothing_in_common_is_at_distance_one(habit, real, generated):
    table = compared([[real]], [[generated]])
    assert table[habit]["distance"] == pytest.approx(1)


def test_a_distance_of_shares_by_hand():
    # Shares of "no emoji" and 😭: (1/2, 1/2) against (1, 0). The mean is (3/4, 1/4);
    # JSD = ½ (½ log2(2/3) + ½ log2 2) + ½ log2(4/3) = 0.3113 bits, and its root 0.5579.
    table = compared([["a"], ["😭"]], [["a"], ["b"]])
    divergence = 0.25 * math.log2(2 / 3) + 0.25 + 0.5 * math.log2(4 / 3)
    assert table["emoji"]["distance"] == pytest.approx(math.sqrt(divergence))


def test_sizes_by_hand():
    # Messages of 2 and 4 characters against 7 and 9: each 5 apart. One word against 1 and 2.
    table = compared([["si", "dale"]], [["perfect"], ["por ahora"]])
    assert table["characters_per_message"] == {"distance": 5, "real": 3, "generated": 8}
    assert table["words_per_message"] == {"distance": 0.5, "real": 1, "generated": 1.5}
    assert table["messages_per_turn"] == {"distance": 1, "real": 2, "generated": 1}


def test_variety_is_of_as_many_words_of_both():
    # The first four words: a b c d, and a a a a of a reply of eight.
    table = compared([["a b c d"]], [["a a a a b c d e"]])
    assert table["distinct_1"] == {"distance": 0.75, "real": 1, "generated": 0.25}
    assert table["distinct_2"]["generated"] == pytest.approx(1 / 3)  # aa of aa aa aa
    assert table["word_entropy"] == {"distance": 2, "real": 2, "generated": 0}
    # In the whole reply aaa stands twice among six: one repeats.
    assert table["repeated_trigrams"]["generated"] == pytest.approx(1 / 6)


def test_empty_and_endless_replies_are_counted():
    table = compared([["a"], ["b"]], [[], ["", " "], ["c"], ["d"]], [False, False, True, False])
    assert table["empty"] == {"distance": 0.5, "real": 0, "generated": 0.5}
    assert table["endless"] == {"distance": 0.25, "real": 0, "generated": 0.25}


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("jaja Jajajaja JEJE", ["ja", "ja+", "je"]),
        ("ajajaj lol LOOOL xD xdd", ["aj+", "lo", "lo+", "xd", "xd"]),
        ("haha jsjsjs kkkk", ["ha", "js+", "kk"]),
        ("hijo jarra hoja bajaron ajo", []),
    ],
)
def test_laughter_and_what_only_looks_like_it(text, kinds):
    assert habits._laughter(text) == kinds


def test_punctuation_and_its_runs():
    assert habits._punctuation("¿qué?? eh... si :) ok 😭 3€") == [
        *("¿", "??+", "..+", "", ":", ")", "", "", "")
    ]


@pytest.fixture(scope="module")
def turns():
    return chats(sessions=90)


@pytest.fixture(scope="module")
def test_set(turns):
    return pairs(turns, "test")


def table_of(turns, test_set, generated):
    train = pairs(turns, "train")
    return habits.habits(
        test_set["reply"].tolist(),
        generated,
        [False] * len(generated),
        train["reply"].tolist(),
        train["session"].tolist(),
        WANTED["seed"],
    )


def off(table):
    return {name for name, row in table.items() if row["distance"] > row["own_high"]}


def test_the_author_is_hardly_ever_off(turns, test_set):
    # 95 % of halves are below own_high: of 14 habits one may be off by chance.
    other = pairs(turns, "validation")["reply"].tolist()
    table = table_of(turns, test_set, other)
    assert len(off(table)) <= 2
    assert table == table_of(turns, test_set, other)
    assert all(0 <= row["own"] <= row["own_high"] for row in table.values())


def test_a_friend_is_off(turns, test_set):
    friend = turns[turns["author"].eq("Cami") & turns["split"].eq("test")]["messages"].tolist()
    wrong = {"character_bigrams", "punctuation", "laughter", "emoji"}
    assert off(table_of(turns, test_set, friend)) >= wrong


@pytest.mark.parametrize("bot", [["jaja"], []])
def test_a_bot_that_laughs_or_says_nothing_is_off(turns, test_set, bot):
    wrong = off(table_of(turns, test_set, [bot] * len(test_set)))
    assert wrong >= {"character_bigrams", "function_words", "distinct_1", "word_entropy"}


def test_with_a_single_session_there_is_no_noise_floor():
    table = habits.habits([["a"]], [["b"]], [False], [["a"], ["b"]], [1, 1], 7)
    assert "own" not in table["emoji"]
    assert np.isfinite([row["distance"] for row in table.values()]).all()
