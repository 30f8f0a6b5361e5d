"""Splits of what has no time: dialogues and questions, near-duplicates on one side."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo.core.errors import UserError
from espejo.dataset import duplicates, splits
from espejo.dataset.turns import examples
from tests.helpers.configs import group

WORDS = [
    *("alfa", "beta", "gama", "delta", "eta", "zeta", "theta", "iota", "kappa", "lambda", "mi"),
    *("ni", "omicron", "pi", "ro", "sigma"),
]


def config(**changed):
    return group(**{"test": 0.2, "min_replies": 1, **changed})


def dialogues(*texts, given_splits=None):
    """Turns of dialogues, each of two turns: A says the text, B says its number in words."""
    rows = []
    for session, text in enumerate(texts):
        for author, words in (("A", text), ("B", WORDS[session % len(WORDS)])):
            rows.append(
                {
                    "chat": str(session),
                    "session": session,
                    "turn": len(rows),
                    "author": author,
                    "start": pd.NaT,
                    "end": pd.NaT,
                    "messages": [words],
                    "split": given_splits[session] if given_splits else None,
                }
            )
    return pd.DataFrame(rows).astype({"start": "datetime64[us]", "end": "datetime64[us]"})


def split_of(turns, **changed):
    """The split of each session."""
    parted = splits.split(turns, frozenset({"B"}), config(**changed))
    return parted.groupby("session")["split"].first().tolist()


DIFFERENT = [f"{a} {b} {a} {b} {a}" for a in WORDS[:5] for b in WORDS[5:9]]  # 20 texts


def test_each_split_has_its_share_of_whole_dialogues():
    names = split_of(dialogues(*DIFFERENT))
    assert {name: names.count(name) for name in names} == {"train": 14, "test": 4, "validation": 2}


def test_the_same_dialogues_in_another_order_are_split_alike():
    names = dict(zip(DIFFERENT, split_of(dialogues(*DIFFERENT)), strict=True))
    turned = DIFFERENT[::-1]
    # B's words number the dialogues, so that here they are of the opening turn alone.
    parted = splits.split(dialogues(*turned), frozenset({"B"}), config(), by_opening=True)
    again = splits.split(dialogues(*DIFFERENT), frozenset({"B"}), config(), by_opening=True)
    openings = (
        parted[parted["author"].eq("A")],
        again[again["author"].eq("A")],
    )
    first, second = (
        dict(zip(rows["messages"].map(" ".join), rows["split"], strict=True)) for rows in openings
    )
    assert first == second
    assert set(names.values()) == set(first.values())


def test_another_seed_gives_another_split():
    assert split_of(dialogues(*DIFFERENT)) != split_of(dialogues(*DIFFERENT), seed=8)


def test_the_splits_that_the_data_name_hold():
    names = ["train"] * 10 + ["validation"] * 4 + ["test"] * 6
    assert split_of(dialogues(*DIFFERENT, given_splits=names)) == names


def test_validation_is_drawn_from_train_where_the_data_name_none():
    names = ["train"] * 15 + ["test"] * 5
    result = split_of(dialogues(*DIFFERENT, given_splits=names))
    assert result[15:] == ["test"] * 5
    assert {name: result[:15].count(name) for name in result[:15]} == {"train": 13, "validation": 2}


def test_a_dialogue_without_a_split_follows_one_that_says_the_same():
    texts = [*DIFFERENT, DIFFERENT[19], DIFFERENT[0]]
    names = ["train"] * 15 + ["test"] * 5 + [None, None]
    turns = dialogues(*texts, given_splits=names)
    turns.loc[turns["author"].eq("B"), "messages"] = [["sí"]] * len(texts)
    result = split_of(turns)
    assert result[20] == "test"
    assert result[21] == result[0]


@given(st.permutations(WORDS), st.integers(0, 30))
@settings(max_examples=20)
def test_near_duplicates_are_on_one_side(words, seed):
    # Copies of one dialogue that differ in their last word: 15 of 17 3-grams in common.
    copies = [f"{' '.join(words)} {number}" for number in range(6)]
    turns = dialogues(*DIFFERENT, *copies)
    turns.loc[turns["author"].eq("B"), "messages"] = [["sí"]] * (len(DIFFERENT) + 6)
    names = split_of(turns, seed=seed)
    assert len(set(names[len(DIFFERENT) :])) == 1


def test_questions_are_compared_by_what_is_asked():
    # Two rows ask the same, with other answers; by the whole text they would have little in common.
    asked_twice = "cuánto cuesta el curso de panadería y cuándo empieza"
    turns = dialogues(*DIFFERENT, asked_twice, f"{asked_twice} ahora")
    turns.loc[turns.index[-3], "messages"] = [" ".join(WORDS)]
    turns.loc[turns.index[-1], "messages"] = [" ".join(WORDS[::-1])]
    for seed in range(12):
        parted = splits.split(turns, frozenset({"B"}), config(seed=seed), by_opening=True)
        assert parted["split"].iloc[-1] == parted["split"].iloc[-3]


def test_it_is_counted_what_the_data_themselves_have_on_both_sides():
    texts = [*DIFFERENT[:18], DIFFERENT[0], DIFFERENT[1]]
    names = ["train"] * 16 + ["validation"] * 2 + ["test"] * 2
    turns = dialogues(*texts, given_splits=names)
    turns.loc[turns["author"].eq("B"), "messages"] = [["sí"]] * len(texts)
    parted = splits.split(turns, frozenset({"B"}), config())
    assert parted.groupby("session")["split"].first().tolist() == names  # as the data have it
    assert splits.held_out_again(parted, True, config(), by_opening=False) == 2


def test_data_that_name_one_split_only_cannot_be_used():
    with pytest.raises(UserError, match=r"as in test\.csv\), and nothing is left for train"):
        split_of(dialogues(*DIFFERENT, given_splits=["test"] * 20))


def test_chats_with_times_beside_dialogues_without_are_split_by_time():
    timed = dialogues(*DIFFERENT[:10])
    starts = pd.date_range("2025-01-01", periods=10, freq="D").repeat(2).as_unit("us")
    timed = timed.assign(start=starts, end=starts)
    untimed = dialogues(*DIFFERENT[10:]).assign(
        session=lambda rows: rows["session"] + 10, turn=lambda rows: rows["turn"] + 20
    )
    names = split_of(pd.concat([timed, untimed], ignore_index=True))
    # Two tenths of ten replies are the last two days; a tenth is the day before.
    assert names[:10] == ["train"] * 7 + ["validation"] + ["test"] * 2
    assert {name: names[10:].count(name) for name in names[10:]} == {
        "train": 7,
        "test": 2,
        "validation": 1,
    }


def test_groups_are_of_texts_that_say_the_same_directly_or_through_a_third():
    #       0        1 as 0        2: other       3 near 0           4 near 3, not 0
    base = " ".join(WORDS[:12])
    third = " ".join([*WORDS[:11], "x"])  # 9 of 11 3-grams in common with the first: 0.82
    fourth = " ".join(["y", *WORDS[1:11], "x"])  # with the third 9 of 11; with the first 8 of 12
    texts = [base, base.upper() + "!", "otra cosa", third, fourth, "otra", "otra cosa"]
    assert duplicates.groups(texts, 0.75).tolist() == [0, 0, 2, 0, 0, 5, 2]
    assert duplicates.groups(texts, 1.0).tolist() == [0, 0, 2, 3, 4, 5, 2]


# Both sides of a dialogue


def one_session(rows):
    """Turns of one message each, from (author, text)."""
    fixed = {"chat": "1", "session": 0, "split": "train"}
    return pd.DataFrame(
        [
            fixed | {"turn": turn, "author": author, "messages": [text]}
            for turn, (author, text) in enumerate(rows)
        ]
    )


def test_where_both_speakers_are_learnt_each_turn_but_the_first_is_a_reply_of_the_author():
    rows = [("A", "hola"), ("B", "buenas"), ("A", "¿qué tal?"), ("B", "bien")]
    turns = one_session(rows)
    result = examples(turns, "B", 4, ["A"])
    assert dict(zip(result["id"], result["reply"], strict=True)) == {
        "s0t1": ["buenas"],
        "s0t3": ["bien"],
        "s0t2": ["¿qué tal?"],
    }
    (swapped,) = result.loc[result["id"].eq("s0t2"), "context"]
    assert swapped == [
        {"author": "B", "messages": ["hola"]},
        {"author": "A", "messages": ["buenas"]},
    ]
    assert len(examples(turns, "B", 4)) == 2


def test_what_is_forwarded_is_a_turn_of_its_own_and_no_reply():
    rows = [("Cami", "hola"), ("Juli", "mirá"), ("forwarded", "GRAN SORTEO"), ("Juli", "jaja")]
    turns = one_session(rows)
    result = examples(turns, "Juli", 4)
    assert result["reply"].tolist() == [["mirá"], ["jaja"]]
    assert result["context"].iloc[1][-1] == {"author": "forwarded", "messages": ["GRAN SORTEO"]}
    assert not result["group"].any()  # nobody more speaks
