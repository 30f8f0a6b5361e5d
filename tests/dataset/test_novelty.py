"""How much of the author's text repeats itself, by hand."""

import pandas as pd
import pytest

from espejo.dataset import novelty


def turned(*rows):
    """Turns from (author, split, messages)."""
    return pd.DataFrame(
        {
            "author": [row[0] for row in rows],
            "split": [row[1] for row in rows],
            "messages": [list(row[2:]) for row in rows],
        }
    )


def test_shares_of_a_small_table():
    shares = novelty.of_author(
        turned(
            ("Juli", "train", "hoy no llego ni a palos"),
            ("Juli", "train", "si dale nos vemos"),  # four words: too short to count as repeated
            ("Juli", "train", "si dale nos vemos"),
            ("Juli", "validation", "Hoy no llego", "ni a palos"),  # repeats, over two messages
            ("Juli", "validation", "el colectivo viene lleno otra vez"),
            ("Juli", "test", "hoy no llego ni en pedo che"),
            ("Juli", "test", "otra vez sopa"),  # three words: no 4-gram
            ("Juli", "test", "colectivo viene lleno otra"),
            ("Cami", "train", "llego ni en pedo che amiga"),
            ("Cami", "test", "hoy no llego ni a palos"),
        ),
        "Juli",
    )
    # Juli's turns of more than four words: "… ni a palos" twice, the bus, "… en pedo che": one of
    # these four repeats another.
    # 4-grams of her test turns: "hoy no llego ni", "no llego ni en", "llego ni en pedo",
    # "ni en pedo che" and the bus; only the first stands in one of her train turns (neither
    # validation, where the bus is, nor Cami's turns count).
    assert shares == {"repeated_turns": 1 / 4, "fourgrams_in_train": 1 / 5}


def test_each_repetition_and_each_fourgram_counts_as_often_as_it_occurs():
    shares = novelty.of_author(
        turned(
            ("Juli", "train", "a b c d e"),
            ("Juli", "train", "a b c d e"),
            ("Juli", "test", "a b c d e"),
            ("Juli", "test", "a b c d x"),
        ),
        "Juli",
    )
    # Two of the four turns repeat the first. Of the test 4-grams abcd, bcde, abcd and bcdx the
    # first three stand in train.
    assert shares == {"repeated_turns": 2 / 4, "fourgrams_in_train": 3 / 4}


def test_case_and_punctuation_do_not_count():
    shares = novelty.of_author(
        turned(
            ("Juli", "train", "hoy no llego ni a palos"),
            ("Juli", "train", "¡Hoy, no llego...", "ni a palos! 😂"),
            ("Juli", "test", "hoy no llego, ni ahí"),
        ),
        "Juli",
    )
    # Of the 4-grams "hoy no llego ni" and "no llego ni ahí" the first stands in train.
    assert shares == {"repeated_turns": 1 / 3, "fourgrams_in_train": 1 / 2}


@pytest.mark.parametrize("text", ["dale", "si dale nos vemos"])
def test_an_author_of_short_turns_only_repeats_nothing(text):
    shares = novelty.of_author(turned(("Juli", "train", text), ("Juli", "train", text)), "Juli")
    assert shares == {"repeated_turns": 0.0, "fourgrams_in_train": 0.0}
