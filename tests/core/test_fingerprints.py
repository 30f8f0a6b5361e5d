"""Hashes in place of words and n-grams: equal where these are equal, and found where they stand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espejo.core import fingerprints
from espejo.core.text import ngrams, words

TEXTS = st.lists(
    st.lists(st.sampled_from(["a", "b", "ñandú", "¿", "_x_", "C-3"]), max_size=8).map(" ".join),
    max_size=12,
)


def test_ngrams_of_two_texts_by_hand():
    texts = fingerprints.of_words(["Si dale, ¡si DALE!", "", "dale si dale"])
    assert texts.lengths.tolist() == [4, 0, 3]
    pairs, text = texts.ngrams(2)
    # si dale, dale si, si dale | dale si, si dale: none over the end of a text.
    assert text.tolist() == [0, 0, 0, 2, 2]
    assert pairs[0] == pairs[2] == pairs[4]
    assert pairs[1] == pairs[3]
    assert pairs[0] != pairs[1]
    assert texts.ngrams(5)[0].tolist() == []


@given(texts=TEXTS, size=st.integers(1, 5))
def test_two_ngrams_have_the_same_hash_if_and_only_if_they_have_the_same_words(texts, size):
    hashes, places = fingerprints.of_words(texts).ngrams(size)
    grams = [
        (index, gram) for index, text in enumerate(texts) for gram in ngrams(words(text), size)
    ]
    assert places.tolist() == [index for index, _ in grams]
    pairs = {(gram, value) for (_, gram), value in zip(grams, hashes.tolist(), strict=True)}
    assert len(pairs) == len({gram for gram, _ in pairs}) == len({value for _, value in pairs})


@given(texts=TEXTS, size=st.integers(1, 5))
def test_a_whole_text_has_the_hash_of_the_ngram_of_all_its_words(texts, size):
    of_words = fingerprints.of_words(texts)
    rows, places = of_words.of_length(size)
    assert places.tolist() == [
        index for index, text in enumerate(texts) if len(words(text)) == size
    ]
    whole, alone = of_words.whole(), of_words.ngrams(size)
    assert fingerprints.of_rows(rows).tolist() == whole[places].tolist()
    assert [alone[0][alone[1] == index].tolist() for index in places] == [
        [value] for value in whole[places].tolist()
    ]
    assert not whole[of_words.lengths == 0].any()


@given(TEXTS)
def test_two_texts_are_the_same_with_the_same_words_or_as_they_are_without_any(texts):
    keys = [" ".join(words(text)) or text for text in texts]
    same = fingerprints.of_texts(texts)[:, None] == fingerprints.of_texts(texts)
    assert same.tolist() == [[key == other for other in keys] for key in keys]


@pytest.mark.parametrize("size", [0, 1, 50])
def test_more_texts_than_fit_a_batch_are_the_same_as_each_by_itself(monkeypatch, size):
    monkeypatch.setattr(fingerprints, "_BATCH_TEXTS", 7)
    texts = [f"{index} y {index % 3}" for index in range(size)]
    together = fingerprints.of_words(iter(texts))
    alone = [fingerprints.of_words([text]) for text in texts]
    assert together.lengths.tolist() == [3] * size
    assert together.whole().tolist() == [value for each in alone for value in each.whole()]


@given(st.lists(st.integers(0, 20)), st.lists(st.integers(0, 20)))
def test_lookups_agree_with_those_in_a_set(hashes, others):
    looked_up = fingerprints.isin(
        np.array(hashes, np.uint64), np.unique(np.array(others, np.uint64))
    )
    assert looked_up.tolist() == [value in set(others) for value in hashes]
