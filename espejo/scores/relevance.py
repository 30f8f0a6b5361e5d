"""Does it answer? The true reply is ranked among other replies of the same author.

All candidates are the author's own, so that style decides nothing: whoever knows only how the
author writes ranks by chance (retrieval evaluation as in Lowe et al. 2015 and Zhang et al. 2018,
with log-likelihood for the score).

Which likelihood: a sum over the reply prefers short replies, a mean per character the common ones
("dale") somewhat less so, and candidates are of like length besides: `per_character` is the
measure. Neither knows that a reply is likely anywhere; `lift`, the gain in likelihood that the
context brings, does (Li et al. 2016, maximum mutual information), for one more pass over each reply
without a context.
"""

from collections.abc import Sequence

import numpy as np

from espejo.duplicates import words
from espejo.scores import intervals


def distractors(
    replies: Sequence[Sequence[str]], sessions: Sequence[int], k: int, seed: int
) -> np.ndarray:
    """int[n, k]: for each reply the places of its k candidates, the true one (itself) first.

    The others are drawn from replies of other sessions, out of 2 (k - 1) that stand next to each
    other in order of length, no two with the same words. The true one may stand anywhere among
    them: were it always in the middle, a taste for long or short replies would rank below chance.
    Where a reply has fewer, all replies get as few, because chance must be the same for all; with a
    single session none but the true one is left.
    """
    texts = [" ".join(said) for said in replies]
    # What has no words (emoji, "?") is compared as it is.
    same = [" ".join(words(text)) or text.strip() for text in texts]
    length = np.array([len(text) for text in texts])
    drawn = np.random.default_rng(seed)
    window, chosen = 2 * (k - 1), []
    for at, session in enumerate(sessions):
        seen, others = {same[at]}, []
        for other in drawn.permutation(len(texts)):  # of the same words, chance takes one
            if sessions[other] != session and same[other] not in seen:
                seen.add(same[other])
                others.append(other)
        others.sort(key=lambda other: length[other])
        place = np.searchsorted(length[others], length[at], side=drawn.choice(["left", "right"]))
        start = int(place - drawn.integers(0, window + 1))
        start = max(0, min(start, len(others) - window))
        chosen.append(drawn.permutation(others[start : start + window])[: k - 1])
    fewest = min((len(others) for others in chosen), default=0)
    rows = [[at, *others[:fewest]] for at, others in enumerate(chosen)]
    return np.array(rows, dtype=int).reshape(len(rows), fewest + 1)


def per_character(likelihood: np.ndarray, characters: np.ndarray) -> np.ndarray:
    """Log-likelihood [n, k] in nats a character; the end of a reply counts as one, as it scores."""
    return likelihood / (characters + 1)


def lift(likelihood: np.ndarray, without_context: np.ndarray) -> np.ndarray:
    """Log-likelihood [n, k] minus that of the same candidates without any context [n, k], nats."""
    return likelihood - without_context


def ranked(
    scores: np.ndarray, truth: Sequence[int], sessions: Sequence[int], wanted: dict
) -> dict[str, dict | float]:
    """`mrr` and `hits_at_1` of scores [n, k], higher being better, and what chance gives.

    `truth` [n] is the column of the true reply. Among equal scores every order counts alike, so
    that a model to which all candidates are the same is at chance. Intervals over `sessions` [n].

    Raises ValueError for a score that is not a number.
    """
    scores = np.asarray(scores, float)
    if np.isnan(scores).any():
        raise ValueError("a candidate's score is not a number")
    n, k = scores.shape
    true = scores[np.arange(n), np.asarray(truth, int)][:, None]
    better, tied = (scores > true).sum(axis=1), (scores == true).sum(axis=1)  # tied: itself as well
    # The mean of 1 / rank over the ranks that a tie leaves open, from the sums 1/1 + … + 1/r.
    sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, k + 1))])
    reciprocal = (sums[better + tied] - sums[better]) / tied
    first = (better == 0) / tied
    return {
        "mrr": intervals.mean(reciprocal, sessions, wanted),
        "hits_at_1": intervals.mean(first, sessions, wanted),
        "candidates": k,
        "chance": {"mrr": float(sums[k] / k), "hits_at_1": 1 / k},
    }
