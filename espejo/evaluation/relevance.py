"""Does it answer? The true reply is ranked among other replies of the same author.

All candidates are the author's own, so that style decides nothing: whoever knows only how the
author writes ranks by chance (retrieval evaluation as in Lowe et al. 2015 and Zhang et al. 2018,
with log-likelihood for the score).

Which likelihood: that of the messages' own characters. What a separator or the end of a reply costs
tells nothing of what is said, and most of all an untrained model, to which they are strange: scored
with the rest, training would seem to help a model that learnt its marks alone. A sum over the reply
prefers short replies, a mean per character the common ones ("dale") somewhat less so, and
candidates are of like length besides: `per_character` is the measure.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from espejo.core.text import words
from espejo.evaluation import intervals


def candidates(
    replies: Sequence[Sequence[str]], sessions: Sequence[int], k: int, seed: int
) -> np.ndarray:
    """int[m, k]: places of replies that are ranked in the context of the first of them.

    Replies are put into blocks of k of like length (in the messages' own characters), of different
    sessions and with different words, and each is ranked against the rest of its block, in the
    order of `replies`. So every candidate is the true one in one of k contexts, and whoever looks
    at the replies alone gets every rank once: chance, exactly. (With neighbours in length drawn for
    each apart, a taste for short replies got an MRR of 0.37 on real chats where chance is 0.29.)
    What fits into no block is left out; with fewer than k sessions k is their number, and with one
    there is nothing to rank among.
    """
    sessions = list(sessions)
    k = min(k, len(set(sessions)))
    if k < 2:
        return np.empty((0, k), dtype=int)
    texts = [" ".join(said) for said in replies]
    lengths = [sum(map(len, said)) for said in replies]
    # What has no words (emoji, "?") is compared as it is.
    same = [" ".join(words(text)) or text.strip() for text in texts]
    left = np.random.default_rng(seed).permutation(len(texts)).tolist()
    left.sort(key=lambda at: lengths[at])  # stable: among equal lengths chance decides
    rows = []
    while left:
        # The session with most replies left first, since its replies need a block each.
        often = Counter(sessions[at] for at in left)
        fullest = max(often, key=lambda session: (often[session], -session))
        first = next(at for at in left if sessions[at] == fullest)
        block = [first]
        for at in sorted(left, key=lambda other: abs(lengths[other] - lengths[first])):
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
    """Log-likelihood [n, k] in nats a character of the messages' own, which are never none."""
    return likelihood / characters


def ranked(
    scores: Mapping[str, np.ndarray], truth: Sequence[int], sessions: Sequence[int], wanted: dict
) -> dict[str, dict | float]:
    """`mrr` and `hits_at_1` of "base" and "tuned", what chance gives, and the `gain` of training.

    `scores` [n, k] of each, higher being better, are of the same n contexts and k candidates, of
    which `truth` [n] is the column of the true reply. Among equal scores every order counts alike,
    so that a model to which all candidates are the same is at chance. Intervals over `sessions`
    [n]; the gain is tuned - base in each context, since how hard a context is cancels out.

    Raises ValueError for a score that is not finite.
    """
    n, k = scores["tuned"].shape
    alone = max(k, 1)  # where there was nothing to rank, chance is that of one candidate
    # The mean of 1 / rank over the ranks that a tie leaves open, from the sums 1/1 + … + 1/r.
    sums = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, alone + 1))])
    reciprocal, first = {}, {}
    for name, each in scores.items():
        if not np.isfinite(each).all():
            raise ValueError(f"a candidate's score of {name} is not finite")
        true = each[np.arange(n), np.asarray(truth, int)][:, None]
        better, tied = (each > true).sum(axis=1), (each == true).sum(axis=1)  # itself as well
        reciprocal[name] = (sums[better + tied] - sums[better]) / tied
        first[name] = (better == 0) / tied
    found = {
        name: {
            "mrr": intervals.mean(reciprocal[name], sessions, wanted, (0, 1)),
            "hits_at_1": _hits(first[name], sessions, wanted),
        }
        for name in scores
    }
    gain = {
        "mrr": intervals.mean(reciprocal["tuned"] - reciprocal["base"], sessions, wanted, (-1, 1)),
        "hits_at_1": _more_hits(first["tuned"], first["base"], sessions, wanted),
    }
    chance = {"mrr": float(sums[-1] / alone), "hits_at_1": 1 / alone}
    return {"contexts": n, "candidates": k, "chance": chance, **found, "gain": gain}


def _hits(first: np.ndarray, sessions: Sequence[int], wanted: dict) -> dict:
    """The share of `first` [n], or their mean where a tie makes some of them fractions."""
    if np.isin(first, (0, 1)).all():
        return intervals.share(first == 1, sessions, wanted)
    return intervals.mean(first, sessions, wanted, (0, 1))


def _more_hits(first: np.ndarray, other: np.ndarray, sessions: Sequence[int], wanted: dict) -> dict:
    """How many more of `first` [n] than of `other` [n] were hits, context by context."""
    if np.isin([first, other], (0, 1)).all():
        return intervals.share_difference(first == 1, other == 1, sessions, wanted)
    return intervals.mean(first - other, sessions, wanted, (-1, 1))
