"""Which replies the true one is ranked among, so that style and length decide nothing."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from espejo.core.text import words


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
