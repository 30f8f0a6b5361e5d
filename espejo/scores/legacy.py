"""The original notebooks' perplexity, kept for comparison: easy to compute, and flattering.

It averages the loss over all tokens of an example, with the constant system prompt and the template
that any model soon knows by heart, gives each example the same weight, and looks at the first
examples only (the notebooks at a hundred, here `evaluate.legacy_examples`). Their random split over
overlapping windows flattered it further: `leak` counts how.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd


def perplexity(losses: Sequence[np.ndarray]) -> float:
    """exp of the mean over examples of the mean loss (nats) over all of an example's tokens."""
    return math.exp(np.mean([loss.mean() for loss in losses]))


def leak(examples: pd.DataFrame, share: float, seed: int) -> float:
    """Share of test replies that would stand in a training example if the split were random.

    `examples` is the table EXAMPLES; a random `share` of all of it is taken as test, as the
    notebooks did. A reply leaks when its messages are a turn in the context of a train example of
    the same session.
    """
    rows = examples[["session", "context", "reply"]].reset_index(drop=True)
    drawn = np.random.default_rng(seed).permutation(len(rows)) < round(share * len(rows))
    seen = {
        (row.session, tuple(turn["messages"]))
        for row in rows[~drawn].itertuples()
        for turn in row.context
    }
    tests = [(row.session, tuple(row.reply)) for row in rows[drawn].itertuples()]
    return sum(reply in seen for reply in tests) / len(tests) if tests else 0.0
