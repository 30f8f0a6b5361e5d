"""Texts that say the same again, exactly or nearly."""

from collections.abc import Sequence

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
    # Candidates are checked, so a low threshold costs time only; a high one would miss duplicates.
    hashed = MinHashLSH(threshold=similarity, num_perm=_PERMUTATIONS, weights=(0.05, 0.95))
    kept: dict[int, set[str]] = {}
    again = np.zeros(len(texts), dtype=bool)
    for index, text in enumerate(texts):
        text_words = words(text)
        if len(text_words) < at_least:
            continue
        grams = set(map(" ".join, ngrams(text_words, _SHINGLE_WORDS)))
        sketch = MinHash(num_perm=_PERMUTATIONS, seed=1)
        sketch.update_batch([gram.encode() for gram in sorted(grams)])
        again[index] = any(
            _jaccard(grams, kept[other]) >= similarity for other in hashed.query(sketch)
        )
        if not again[index]:
            hashed.insert(index, sketch)
            kept[index] = grams
    return again


def _jaccard(a: set[str], b: set[str]) -> float:
    return len(a & b) / len(a | b)
