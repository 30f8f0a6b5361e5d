"""Habits: distances by hand, and which habits are off for which model."""

import math
from collections import Counter

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from espejo.core.text import words
from espejo.evaluation import habits
from tests.helpers.configs import EVALUATE
from tests.helpers.synthetic import chats, pairs


def compared(real, generated, endless=()):
    return habits.compare(real, generated, endless)


def test_a_text_is_at_no_distance_from_itself():
    replies = [["hola!!", "jajaja 😭"], ["q se yo, no"], ["si"]]
    table = compared(replies, replies, [False] * 3)
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
    # In the whole reply, two of six are aaa: one of them repeats.
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
        ("ksksks jjjj _jaja_ jajsja", ["ks+", "jj", "ja", "ja+"]),  # as statistics counts them
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
def tested(turns):
    return pairs(turns, "test")


def table_of(turns, tested, generated):
    train = pairs(turns, "train")
    return habits.habits(
        tested["reply"].tolist(),
        generated,
        [False] * len(generated),
        train["reply"].tolist(),
        train["session"].tolist(),
        EVALUATE.seed,
    )


def off(table):
    return {name for name, row in table.items() if row["distance"] > row["own_high"]}


def test_the_author_is_hardly_ever_off(turns, tested):
    # 95 % of halves are below own_high: of 14 habits one may be off by chance.
    other = pairs(turns, "validation")["reply"].tolist()
    table = table_of(turns, tested, other)
    assert len(off(table)) <= 2
    assert table == table_of(turns, tested, other)
    assert all(0 <= row["own"] <= row["own_high"] for row in table.values())


def test_a_friend_is_off(turns, tested):
    friend = turns[turns["author"].eq("Cami") & turns["split"].eq("test")]["messages"].tolist()
    wrong = {"character_bigrams", "punctuation", "laughter", "emoji"}
    assert off(table_of(turns, tested, friend)) >= wrong


@pytest.mark.parametrize("bot", [["jaja"], []])
def test_a_bot_that_laughs_or_says_nothing_is_off(turns, tested, bot):
    wrong = off(table_of(turns, tested, [bot] * len(tested)))
    assert wrong >= {"character_bigrams", "function_words", "distinct_1", "word_entropy"}


def plain(real, generated, most):
    """Distances of two samples, written plainly with Counters and SciPy."""

    def messages(replies):
        return [text for reply in replies for text in reply if text.strip()]

    def apart(ours, theirs):
        keys = sorted({*ours, *theirs})
        return jensenshannon(*([side[key] for key in keys] for side in (ours, theirs)), base=2)

    def shares(pieces):
        counted = (
            [piece for text in messages(side) for piece in pieces(text) or [""]]
            for side in (real, generated)
        )
        return apart(*map(Counter, counted))

    def sizes(size):
        return wasserstein_distance(*([size(text) for text in messages(side)] for side in both))

    def repeated(replies):
        again = every = 0
        for reply in replies:
            tokens = words(" ".join(reply))
            grams = [tuple(tokens[index : index + 3]) for index in range(len(tokens) - 2)]
            again, every = again + len(grams) - len(set(grams)), every + len(grams)
        return again / every

    both = (real, generated)
    joined = [" ".join(messages(side)).split() for side in both]
    equal = min(most, *map(len, joined))
    texts = [f" {' '.join(side[:equal])} " for side in joined]
    cut = [words(text) for text in texts]
    pairs = [list(zip(side, side[1:], strict=False)) for side in cut]
    shared = [np.array([*Counter(side).values()]) / len(side) for side in cut]
    return {
        "character_bigrams": apart(
            *(Counter(map("".join, zip(t, t[1:], strict=False))) for t in texts)
        ),
        "emoji": shares(habits._emoji),
        "punctuation": shares(habits._punctuation),
        "function_words": shares(habits._function_words),
        "laughter": shares(habits._laughter),
        "characters_per_message": sizes(len),
        "words_per_message": sizes(lambda text: len(text.split())),
        "messages_per_turn": wasserstein_distance(*([len(r) for r in side] for side in both)),
        "distinct_1": abs(np.subtract(*(len(set(side)) / len(side) for side in cut))),
        "distinct_2": abs(np.subtract(*(len(set(side)) / len(side) for side in pairs))),
        "word_entropy": abs(np.subtract(*(-(p * np.log2(p)).sum() for p in shared))),
        "repeated_trigrams": abs(np.subtract(*map(repeated, both))),
        "empty": 0.0,
        "endless": 0.0,
    }


def test_the_halves_are_at_the_distances_that_the_plain_way_gives(turns, tested, monkeypatch):
    monkeypatch.setattr(habits, "NUM_PAIRS", 20)
    train = pairs(turns, "train")
    replies = train["reply"].tolist()
    generated = pairs(turns, "validation")["reply"].tolist()[:40]
    table = table_of(turns, tested, generated)
    sample = (len(tested), 40)
    most = min(len(" ".join(map(" ".join, side)).split()) for side in (tested["reply"], generated))
    plain_rows = []
    for left, right in habits.halves(train["session"], sample, EVALUATE.seed):
        assert (len(left), len(right)) == sample
        assert not set(train["session"][left]) & set(train["session"][right])
        plain_rows.append(
            plain([replies[index] for index in left], [replies[index] for index in right], most)
        )
    assert len(plain_rows) == 20
    assert table.keys() == plain_rows[0].keys()
    for name, row in table.items():
        expected = np.array([distances[name] for distances in plain_rows])
        assert row["own"] == pytest.approx(expected.mean(), abs=1e-8), name
        assert row["own_high"] == pytest.approx(np.quantile(expected, 0.95), abs=1e-8), name
        assert row["alarm"] == (expected > row["own_high"] + 1e-8).mean(), name


def test_the_limit_hardly_moves_from_seed_to_seed(turns, tested):
    train, other = pairs(turns, "train"), pairs(turns, "validation")["reply"].tolist()
    tables = [
        habits.habits(
            tested["reply"].tolist(),
            other,
            [False] * len(other),
            train["reply"].tolist(),
            train["session"].tolist(),
            seed,
        )
        for seed in range(5)
    ]
    limits = {name: [table[name]["own_high"] for table in tables] for name in tables[0]}
    moves = [np.std(high) / np.mean(high) for high in limits.values() if any(high)]
    # 40 halves: 0.09 on average and 0.2 at most; a quantile moves by the root of their number.
    assert np.mean(moves) < 0.03
    assert max(moves) < 0.06


def test_as_many_habits_of_the_author_are_off_as_the_alarms_say():
    # Every other pair of sessions is for training; the author's replies of the rest stand for a
    # model's.
    turns = chats(sessions=800, seed=12)
    turns["split"] = np.where(turns["session"] // 2 % 2, "test", "train")
    fresh = pairs(turns, "test")
    drawn = habits.halves(fresh["session"], (32, 32), seed=5)
    real, model = (fresh["reply"][places].tolist() for places in drawn[0])
    train = pairs(turns, "train")
    table = habits.habits(
        real, model, [False] * 32, train["reply"].tolist(), train["session"].tolist(), 7
    )
    most = min(len(" ".join(map(" ".join, side)).split()) for side in (real, model))
    distances = habits._of_pairs(fresh["reply"].tolist(), drawn, most)
    off = [row["distance"] > table[name]["own_high"] for name, row in distances.items()]
    expected = sum(row["alarm"] for row in table.values())
    assert 0.4 < expected < 0.7  # 14 habits, of which three to four never vary
    assert np.sum(off, axis=0).mean() == pytest.approx(expected, abs=0.12)


def test_what_the_author_never_does_has_no_alarm(turns, tested):
    row = table_of(turns, tested, [["dale"]] * len(tested))["endless"]
    assert (row["own"], row["own_high"], row["alarm"]) == (0, 0, 0)
    # Where nothing varies every half is at 0, and none exceeds it.
    same = habits.habits([["a"]], [["a"]], [False], [["a"]] * 8, range(8), 7)
    assert all(row["own_high"] == row["alarm"] == 0 for row in same.values())


def test_a_number_that_is_none_is_no_zero(monkeypatch):
    distance = habits._jensen_shannon(csr_array([[math.nan, 1.0]]), csr_array([[1.0, 1.0]]))
    assert np.isnan(distance).all()
    monkeypatch.setitem(habits.VARIETY, "word_entropy", lambda texts: math.nan)
    with pytest.raises(ValueError, match="habit word_entropy is not finite"):
        compared([["a"]], [["a"]])


def test_rounding_leaves_no_root_of_less_than_zero():
    # SciPy's own distance is NaN for these: rounding gives -1e-16 bits.
    ours, theirs = (csr_array([[a, b, 3.0]]) for a, b in ((1e9, 1e9 + 1), (1e9 + 1, 1e9)))
    assert habits._jensen_shannon(ours, theirs) == [0]


def test_with_a_single_session_there_is_no_noise_floor():
    table = habits.habits([["a"]], [["b"]], [False], [["a"], ["b"]], [1, 1], 7)
    assert "own" not in table["emoji"]
    assert np.isfinite([row["distance"] for row in table.values()]).all()
