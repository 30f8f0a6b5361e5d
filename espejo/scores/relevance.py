"""Does it answer? The true reply is ranked among other replies of the same author.

All candidates are the author's own, so that style decides nothing: whoever knows only how the
author writes ranks by chance (retrieval evaluation as in Lowe et al. 2015 and Zhang et al. 2018,
with log-likelihood for the score).

Which likelihood: a sum over the reply prefers short replies, a mean per character the common ones
("dale") somewhat less so, and candidates are of like length besides: `per_character` is the
measure.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from espejo.duplicates import words
from espejo.scores import intervals


def candidates(
    replies: Sequence[Sequence[str]], sessions: Sequence[int], k: int, seed: int
) -> np.ndarray:
    """int[m, k]: places of replies that are ranked in the context of the first of them.

    Replies are put into blocks of k of like length, of different sessions and with different words,
    and each is ranked against the rest of its block, in the order of `replies`. So every candidate
    is the true one in one of k contexts, and whoever looks at the replies alone gets every rank
    once: chance, exactly. (With neighbours in length drawn for each apart, a taste for short
    replies got an MRR of 0.37 on real chats where chance is 0.29.) What fits into no block is left
    out; with fewer than k sessions k is their number.
    """
    sessions = list(sessions)
    k = min(k, len(set(sessions)))
    texts = [" ".join(said) for said in replies]
    # What has no words (emoji, "?") is compared as it is.
    same = [" ".join(words(text)) or text.strip() for text in texts]
    left = np.random.default_rng(seed).permutation(len(texts)).tolist()
    left.sort(key=lambda at: len(texts[at]))  # stable: among equal lengths chance decides
    rows = []
    while left:
        # The session with most replies left first, since its replies need a block each.
        often = Counter(sessions[at] for at in left)
        fullest = max(often, key=lambda session: (often[session], -session))
        first = next(at for at in left if sessions[at] == fullest)
        block = [first]
        for at in sorted(left, key=lambda other: abs(len(texts[other]) - len(texts[first]))):
            if len(block) < k and all(
                sessions[at] != sessions[other] and same[at] != same[other] for other in block
            ):
                block.append(at)
        if len(block) == k:
            rows += [[at, *(other for other in block if other != at)] for at in block]
        else:
            block = block[:1]
        left = [at for at in left if at not in block]
    return np.array(sorted(rows), dtype=int).reshape(len(rows), k)


def per_character(likelihood: np.ndarray, characters: np.ndarray) -> np.ndarray:
    """Log-likelihood [n, k] in nats a character; the end of a reply counts as one, as it scores."""
    return likelihood / (characters + 1)


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
