"""The original notebooks' perplexity, kept for comparison: easy to compute, and flattering.

It averages the loss over all tokens of an example, with the constant system prompt and the template
that any model soon knows by heart, gives each example the same weight, and looks at the first
examples only (the notebooks at a hundred, here `predict.notebook_examples`). It is computed on our
split, whole sessions later in time. Theirs, random over overlapping windows, flattered it
further: `leak` says how many test replies training would have seen, and nothing says what the
perplexity would then have been.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd


def perplexity(means: Sequence[float]) -> float:
    """exp of the mean over examples of their mean loss: nats a token, of all tokens of the text."""
    return math.exp(np.mean(means))


def leak(examples: pd.DataFrame, share: float) -> float:
    """Share of test replies that a random split is expected to put into training examples as well.

    `examples` is the table EXAMPLES, of which a `share` is drawn as test without replacement, as
    the notebooks did. A reply leaks when its messages are a turn in the context of a train example
    of the same session. So it does not leak only where all c examples that hold it, other than its
    own, are drawn too: with T of N drawn, and itself among them, the chance of that is
    (T-1)/(N-1) * (T-2)/(N-2) * ..., c factors. The mean over all replies is the expectation over
    all splits: each reply is as likely to be drawn.
    """
    rows = examples[["session", "context", "reply"]].reset_index(drop=True)
    drawn = round(share * len(rows))
    if not drawn:
        return 0.0
    # The chance that c examples, chosen beforehand, are all drawn beside one that is, for each c.
    others = np.arange(len(rows) - 1)
    more = np.maximum(drawn - 1 - others, 0)
    missed = np.cumprod([1.0, *(more / (len(rows) - 1 - others))])
    holding: dict[tuple, set[int]] = {}
    for row in rows.itertuples():
        for turn in row.context:
            holding.setdefault((row.session, tuple(turn["messages"])), set()).add(row.Index)
    seen = [
        1 - missed[len(holding.get((row.session, tuple(row.reply)), set()) - {row.Index})]
        for row in rows.itertuples()
    ]
    return float(np.mean(seen))
