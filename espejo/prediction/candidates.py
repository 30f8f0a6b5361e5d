"""Candidates for each true reply, chosen so that neither style nor length gives it away."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from espejo.core.text import words
from espejo.prediction.config import PredictConfig


def rankable(examples: pd.DataFrame, config: PredictConfig) -> tuple[pd.DataFrame, np.ndarray]:
    """The test replies of `examples` (table EXAMPLES) that have characters of their own, and the
    `candidates` of each that fits into a block.
    """
    rows = examples[examples["split"].eq("test") & examples["reply"].map("".join).ne("")]
    rows = rows.reset_index(drop=True)
    replies, sessions = rows["reply"].tolist(), rows["session"].tolist()
    return rows, candidates(replies, sessions, config.candidates, config.seed)


def candidates(
    replies: Sequence[Sequence[str]], sessions: Sequence[int], k: int, seed: int
) -> np.ndarray:
    """int[m, k]: indices of the replies that are ranked in the context of the first of them.

    Replies are put into blocks of k of similar length (in the messages' own characters), from
    different sessions and with different words. Each is ranked against the rest of its block; rows
    are in the order of `replies`. So every candidate is the true one in exactly one of k contexts,
    and a model that ignores the context gets every rank once, which is exactly chance. (With
    candidates of similar length drawn for each reply separately, a preference for short replies
    reached an MRR of 0.37 on real chats, where chance is 0.29.) Replies that fit into no block are
    left out. With fewer than k sessions, k is their number; with one, there is nothing to rank.
    """
    sessions = list(sessions)
    k = min(k, len(set(sessions)))
    if k < 2:
        return np.empty((0, k), dtype=int)
    texts = [" ".join(messages) for messages in replies]
    lengths = [sum(map(len, messages)) for messages in replies]
    # Replies without words (emoji, "?") are compared as they are.
    contents = [" ".join(words(text)) or text.strip() for text in texts]
    remaining = np.random.default_rng(seed).permutation(len(texts)).tolist()
    remaining.sort(key=lambda index: lengths[index])  # stable: equal lengths stay in random order
    rows = []
    while remaining:
        # From the session with the most remaining replies, since each needs a block of its own.
        counts = Counter(sessions[index] for index in remaining)
        largest = max(counts, key=lambda session: (counts[session], -session))
        first = next(index for index in remaining if sessions[index] == largest)
        block = [first]
        for index in sorted(remaining, key=lambda other: abs(lengths[other] - lengths[first])):
            if len(block) < k and all(
                sessions[index] != sessions[other] and contents[index] != contents[other]
                for other in block
            ):
                block.append(index)
        if len(block) == k:
            rows += [[index, *(other for other in block if other != index)] for index in block]
        else:
            block = block[:1]
        remaining = [index for index in remaining if index not in block]
    return np.array(sorted(rows), dtype=int).reshape(len(rows), k)
