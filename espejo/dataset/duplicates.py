"""Texts that say the same again, exactly or nearly."""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import pandas as pd
from datasketch import MinHash, MinHashLSH

from espejo.core import fingerprints
from espejo.core.text import ngrams, words

_SHINGLE_WORDS = 3
_PERMUTATIONS = 128


def exact(texts: Sequence[str]) -> np.ndarray:
    """bool[n]: whether an earlier text has the same words in the same order.

    Texts without words (emoji, "?") are compared as they are.
    """
    return pd.Series(fingerprints.of_texts(texts)).duplicated().to_numpy()


def near(texts: Sequence[str], similarity: float, at_least: int = 8) -> np.ndarray:
    """bool[n]: whether an earlier, kept text has at least this similarity of word 3-grams.

    Jaccard similarity of the sets of 3-grams, candidates found by MinHash with locality-sensitive
    hashing (Broder, 1997; Leskovec et al., Mining of Massive Datasets, 3.4) and then computed
    exactly, so that no text is a duplicate by chance. Texts of fewer than `at_least` words never
    are.
    """
    held = pd.array(texts, dtype="str", copy=False)  # in a tenth of the memory of Python's strings
    places = np.flatnonzero([len(words(text)) >= at_least for text in held])
    hashed = _index(similarity)
    shape = hashed.b, hashed.r
    keys = np.empty((len(places), hashed.b), np.uint64)
    for row, index in enumerate(places):
        sketch = _sketch(_grams(words(held[index]))).hashvalues
        keys[row] = _band_keys(sketch[: shape[0] * shape[1]].reshape(shape))
    again = np.zeros(len(held), dtype=bool)
    alike: dict[tuple[int, int], list[int]] = {}  # band and key -> kept texts; of shared keys only
    for row, shared in _shared_keys(keys):
        grams = _grams(words(held[places[row]]))
        candidates = {other for key in shared for other in alike.get(key, ())}
        again[places[row]] = any(
            _jaccard(grams, _grams(words(held[places[other]]))) >= similarity
            for other in candidates
        )
        if not again[places[row]]:
            for key in shared:
                alike.setdefault(key, []).append(row)
    return again


def _band_keys(bands: np.ndarray) -> np.ndarray:
    """uint64[b]: a key for each of the bands [b, r] of a sketch, equal where a band is equal.

    The bands themselves take ten times the memory. Two that differ have the same key by a chance of
    2^-32 or less, and then a pair too many is compared.
    """
    return (bands.astype(np.uint64) * _multipliers(bands.shape[1])).sum(axis=1, dtype=np.uint64)


@cache
def _multipliers(size: int) -> np.ndarray:
    """uint64[size]: odd numbers, always the same."""
    return np.random.default_rng(1).integers(1 << 63, size=size, dtype=np.uint64) * 2 + 1


def _shared_keys(keys: np.ndarray) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each row of `keys` [n, b] with a key that another row has in the same column, and those keys
    with their columns.
    """
    shared = np.zeros(keys.shape, bool)
    for band, column in enumerate(keys.T):
        _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        shared[:, band] = counts[inverse] > 1
    for row in np.flatnonzero(shared.any(axis=1)).tolist():
        bands = np.flatnonzero(shared[row]).tolist()
        yield row, [(band, int(keys[row, band])) for band in bands]


def groups(texts: Sequence[str], similarity: float) -> np.ndarray:
    """int[n]: the index of the first text of the group of each: texts that say the same, nearly.

    Two texts are of one group if they have the same words, or a similarity as in `near`, of any
    length from three words on; and with them whatever is of a group with either.
    """
    first: dict[str, int] = {}
    group = np.array(
        [first.setdefault(" ".join(words(text)) or text, i) for i, text in enumerate(texts)]
    )

    def root(index: int) -> int:
        while group[index] != index:
            group[index] = group[group[index]]
            index = int(group[index])
        return index

    if similarity == 1:
        return group
    hashed, grams = _index(similarity), dict[int, set[str]]()
    for text, index in first.items():
        if len(text_words := text.split()) < _SHINGLE_WORDS:
            continue
        grams[index] = _grams(text_words)
        sketch = _sketch(grams[index])
        for other in hashed.query(sketch):
            if _jaccard(grams[index], grams[other]) >= similarity:
                low, high = sorted((root(index), root(other)))
                group[high] = low
        hashed.insert(index, sketch)
    return np.array([root(index) for index in range(len(group))], dtype=int)


def _index(similarity: float) -> MinHashLSH:
    """An empty index of sketches; its candidates are checked, so that a low threshold costs time
    only, while a high one would miss duplicates."""
    return MinHashLSH(threshold=similarity, num_perm=_PERMUTATIONS, weights=(0.05, 0.95))


def _grams(text_words: Sequence[str]) -> set[str]:
    return set(map(" ".join, ngrams(text_words, _SHINGLE_WORDS)))


@cache
def _first_sketch() -> MinHash:
    return MinHash(num_perm=_PERMUTATIONS, seed=1)


def _sketch(grams: set[str]) -> MinHash:
    first = _first_sketch()  # whose permutations are used again: drawing them takes longer
    sketch = MinHash(
        num_perm=_PERMUTATIONS, seed=1, permutations=first.permutations, scheme=first.scheme
    )
    sketch.update_batch([gram.encode() for gram in sorted(grams)])
    return sketch


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)
