"""The original notebooks' perplexity, kept for comparison: easy to compute, and flattering.

It averages the loss over all tokens of an example, including the constant system prompt and the
template, which any model soon memorizes; it gives each example the same weight; and it covers the
first examples only (a hundred in the notebooks, here `predict.notebook_examples`). Here it is
computed on our split, whole sessions later in time. The notebooks' split, random over overlapping
windows, made it look even better: `leak` is the share of test replies that training would have
seen. What the perplexity would have been on that split is not known.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd


def perplexity(mean_losses: Sequence[float] | pd.Series) -> float:
    """exp of the mean over examples of their mean loss: nats per token, of all tokens of a text."""
    return math.exp(np.mean(mean_losses))


def leak(examples: pd.DataFrame, test_share: float) -> float:
    """Expected share of test replies that a random split also puts into training examples.

    `examples` is the table EXAMPLES, of which `test_share` is drawn as test without replacement, as
    the notebooks did. A reply leaks when its messages are a turn in the context of a train example
    of the same session. So it does not leak only if all c examples with that turn, other than its
    own, are drawn too: with T of N drawn, the reply among them, the probability of that is
    (T-1)/(N-1) * (T-2)/(N-2) * ..., c factors. Since each reply is equally likely to be drawn, the
    mean over all replies is the expectation over all splits.
    """
    rows = examples[["session", "context", "reply"]].reset_index(drop=True)
    tested = round(test_share * len(rows))
    if not tested:
        return 0.0
    # For each c, the probability that c given examples are all drawn along with the reply.
    others = np.arange(len(rows) - 1)
    more = np.maximum(tested - 1 - others, 0)
    all_drawn = np.cumprod([1.0, *(more / (len(rows) - 1 - others))])
    examples_with: dict[tuple, set[int]] = {}
    for row in rows.itertuples():
        for turn in row.context:
            examples_with.setdefault((row.session, tuple(turn["messages"])), set()).add(row.Index)
    leaks = [
        1 - all_drawn[len(examples_with.get((row.session, tuple(row.reply)), set()) - {row.Index})]
        for row in rows.itertuples()
    ]
    return float(np.mean(leaks))
