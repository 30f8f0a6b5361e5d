"""A reply while it is being written: however it arrives in pieces, the same bubbles are shown."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo.chat.stream import messages

SEPARATOR = "<|msg_sep|>"
STOPS = ["<|im_end|>", "</s>", "<|endoftext|>"]
MARKS = [SEPARATOR, *STOPS]
# Words, whole marks, and what begins or looks like one.
BITS = [
    *("dale", " ", "\n", "🥹", "a < b", "|>", "msg_sep"),
    *("<", "<|", "<|m", "<|msg_sep", "<|msg_sep|", "<|im_en", "<|e", "</", "<|im_start|>"),
    *(SEPARATOR, SEPARATOR, *STOPS),
]


@st.composite
def cut_up(draw):
    """A text in pieces, cut anywhere."""
    text = "".join(draw(st.lists(st.sampled_from(BITS), max_size=12)))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=15)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert "".join(pieces) == text
    return pieces


def meant(text):
    """The messages of a whole text: all up to the first stop, cut at the separators.

    No mark can begin inside another, so a text can be read in one way only. An unfinished separator
    at the end is not part of a message.
    """
    before, *stopped = re.split("|".join(map(re.escape, STOPS)), text, maxsplit=1)
    begun = [n for n in range(len(SEPARATOR)) if stopped and before.endswith(SEPARATOR[:n])]
    return before[: len(before) - max(begun, default=0)].split(SEPARATOR)


def certain(text):
    """The messages that can be shown of a text so far: an end that may begin a mark is left out."""
    if any(stop in text for stop in STOPS):
        return meant(text)
    undecided = max(n for mark in MARKS for n in range(len(mark)) if text.endswith(mark[:n]))
    text, waits = text[: len(text) - undecided], undecided > 0
    begun = [n for n in range(len(SEPARATOR)) if waits and text.endswith(SEPARATOR[:n])]
    return meant(text[: len(text) - max(begun, default=0)])


def joined(pieces):
    """Pieces as they are shown, as messages."""
    texts = [""]
    for piece in pieces:
        if piece is None:
            texts.append("")
        else:
            texts[-1] += piece
    return texts


@given(cut_up())
@settings(max_examples=300)
def test_the_same_messages_however_the_text_is_cut(pieces):
    assert joined(messages(pieces, SEPARATOR, STOPS)) == certain("".join(pieces))


@given(cut_up())
@settings(max_examples=300)
def test_after_each_piece_all_that_is_certain_is_shown_and_nothing_else(pieces):
    pieces_shown, came = [], ""

    def arriving():
        nonlocal came
        for piece in pieces:
            assert joined(pieces_shown) == certain(came)
            came += piece
            yield piece
        assert joined(pieces_shown) == certain(came)

    for text in messages(arriving(), SEPARATOR, STOPS):
        assert text != ""
        pieces_shown.append(text)
    assert joined(pieces_shown) == certain(came)


def test_a_separator_that_comes_character_by_character_is_never_shown():
    pieces_shown = list(messages("hola<|msg_sep|>che", SEPARATOR, STOPS))
    assert pieces_shown == [*"hola", None, *"che"]


def test_what_only_looked_like_a_separator_is_shown_once_it_is_decided():
    arriving = iter(["te quiero <", "3", " <|m", "ate|>"])
    pieces_shown = messages(arriving, SEPARATOR, STOPS)
    assert [next(pieces_shown) for _ in range(4)] == ["te quiero ", "<3", " ", "<|mate|>"]
    assert list(pieces_shown) == []


def test_a_mark_that_the_limit_of_tokens_left_unfinished_is_not_shown():
    assert joined(messages(["mirá <|im", "_en"], SEPARATOR, STOPS)) == ["mirá "]


@pytest.mark.parametrize("stop", STOPS)
def test_nothing_is_shown_or_asked_for_after_the_stop(stop):
    def endless():
        yield "dale" + SEPARATOR + "voy" + stop[:3]
        yield stop[3:] + "user" + SEPARATOR + "otra"
        pytest.fail("the model was asked to write on after its stop")

    assert list(messages(endless(), SEPARATOR, STOPS)) == ["dale", None, "voy"]


def test_a_stop_before_the_first_word_shows_nothing():
    assert list(messages(["</s>hola"], SEPARATOR, STOPS)) == []


def test_a_separator_that_is_also_among_the_stops_separates():
    # Tokenizers list an added separator with their special tokens, all of which are stops.
    pieces_shown = messages(["dale<|msg", "_sep|>voy</s>"], SEPARATOR, [*STOPS, SEPARATOR])
    assert list(pieces_shown) == ["dale", None, "voy"]


def test_a_separator_that_repeats_a_sign_is_held_back_whole():
    # "##" is the beginning of "###": showing its first sign would lose the separator.
    assert list(messages(["hola##", "#chau"], "###", STOPS)) == ["hola", None, "chau"]


def test_a_separator_in_the_middle_of_which_a_reply_ends_is_not_shown():
    assert joined(messages(["lo besaste asi<|msg", "_sep|", "</s>"], SEPARATOR, STOPS)) == [
        "lo besaste asi"
    ]
