"""Texts that say the same again, exactly or nearly."""

from collections.abc import Sequence
from functools import cache

import numpy as np
from datasketch import MinHash, MinHashLSH

from espejo.core.text import ngrams, words

_SHINGLE_WORDS = 3
_PERMUTATIONS = 128


def exact(texts: Sequence[str]) -> np.ndarray:
    """bool[n]: whether an earlier text has the same words in the same order."""
    seen: set[str] = set()
    again = np.zeros(len(texts), dtype=bool)
    for index, text in enumerate(texts):
        # Texts without words (emoji, "?") are compared as they are.
        key = " ".join(words(text)) or text
        again[index] = key in seen
        seen.add(key)
    return again


def near(texts: Sequence[str], similarity: float, at_least: int = 8) -> np.ndarray:
    """bool[n]: whether an earlier, kept text has at least this similarity of word 3-grams.

    Jaccard similarity of the sets of 3-grams, candidates found by MinHash with locality-sensitive
    hashing (Broder, 1997; Leskovec et al., Mining of Massive Datasets, 3.4) and then computed
    exactly, so that no text is a duplicate by chance. Texts of fewer than `at_least` words never
    are.
    """
    hashed = _index(similarity)
    kept: dict[int, set[str]] = {}
    again = np.zeros(len(texts), dtype=bool)
    for index, text in enumerate(texts):
        text_words = words(text)
        if len(text_words) < at_least:
            continue
        grams = _grams(text_words)
        sketch = _sketch(grams)
        again[index] = any(
            _jaccard(grams, kept[other]) >= similarity for other in hashed.query(sketch)
        )
        if not again[index]:
            hashed.insert(index, sketch)
            kept[index] = grams
    return again


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
