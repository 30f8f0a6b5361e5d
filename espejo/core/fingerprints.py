"""64-bit hashes in place of words, n-grams and texts: eight bytes each, not hundreds.

Two that differ have the same hash by a chance of about 2^-64: ten million n-grams looked up among a
million others find a match that is none in one of two million such searches.
"""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import chain, islice

import numpy as np
import pandas as pd

from espejo.core.text import words

_BATCH_TEXTS = 10_000  # cut into words at a time


@dataclass(frozen=True)
class Words:
    """The words (`core.text.words`) of n texts, by their hashes."""

    hashes: np.ndarray  # uint64, of the words of all texts, one text after the other
    lengths: np.ndarray  # int64[n]: how many words each text has

    def ngrams(self, size: int) -> tuple[np.ndarray, np.ndarray]:
        """The hash of each n-gram (uint64[m]) and the index of the text it stands in (int64[m])."""
        text = self._text_of_word()
        starts = np.flatnonzero(np.arange(len(text)) + size <= np.cumsum(self.lengths)[text])
        grams = np.zeros(len(starts), np.uint64)
        for place, multiplier in enumerate(_multipliers(size)):
            grams += self.hashes[starts + place] * multiplier
        return grams, text[starts]

    def whole(self) -> np.ndarray:
        """uint64[n]: the hash of each text, which is that of an n-gram of all its words."""
        ends = np.cumsum(self.lengths)
        place = np.arange(len(self.hashes)) - (ends - self.lengths)[self._text_of_word()]
        weighted = self.hashes * _multipliers(self.lengths.max(initial=0))[place]
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(weighted)])
        return sums[ends] - sums[ends - self.lengths]

    def _text_of_word(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def of_length(self, length: int) -> tuple[np.ndarray, np.ndarray]:
        """The texts of so many words: their words (uint64[m, length]) and indices (int64[m])."""
        texts = np.flatnonzero(self.lengths == length)
        starts = np.cumsum(self.lengths)[texts] - length
        return self.hashes[starts[:, None] + np.arange(length)], texts


def of_words(texts: Iterable[str]) -> Words:
    """The hashes of the words of texts."""
    hashes, lengths = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for batch in _batches(texts):
        rows = list(map(words, batch))
        hashes.append(of_strings(chain.from_iterable(rows)))
        lengths.append(np.array(list(map(len, rows)), np.int64))
    return Words(np.concatenate(hashes), np.concatenate(lengths))


def of_texts(texts: Iterable[str]) -> np.ndarray:
    """uint64[n]: a hash of each text, the same for the same words in the same order.

    Texts without words (emoji, "?") are compared as they are.
    """
    hashes = [np.zeros(0, np.uint64)]
    for batch in _batches(texts):
        hashes.append(of_strings(" ".join(words(text)) or text for text in batch))
    return np.concatenate(hashes)


def of_strings(strings: Iterable[str]) -> np.ndarray:
    """uint64[n]: a hash of each string as it is."""
    return pd.util.hash_array(np.array(list(strings), object), categorize=False)


def of_rows(rows: np.ndarray) -> np.ndarray:
    """uint64[m]: the hashes of the n-grams that are the rows of uint64[m, n]."""
    return (rows * _multipliers(rows.shape[1])).sum(axis=1, dtype=np.uint64)


def isin(hashes: np.ndarray, known_sorted: np.ndarray) -> np.ndarray:
    """bool[n]: which of `hashes` are among others, which are sorted."""
    if not len(known_sorted):
        return np.zeros(len(hashes), bool)
    places = np.searchsorted(known_sorted, hashes)
    return known_sorted[np.minimum(places, len(known_sorted) - 1)] == hashes


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while batch := list(islice(rest, _BATCH_TEXTS)):
        yield batch


def _multipliers(size: int) -> np.ndarray:
    """uint64[size]: an odd number for each place in an n-gram, always the same."""
    return np.array([_multiplier(place) for place in range(size)], np.uint64)


@cache
def _multiplier(place: int) -> int:
    return random.Random(place).getrandbits(64) | 1
