"""Counting tokens of many texts quickly."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from transformers import PreTrainedTokenizerBase

from espejo.statistics.measures import CountTokens

_BATCH_TEXTS = 5_000  # texts to the tokenizer at a time: its result for each is large
_MAX_SAMPLES = 5_000  # examples that are cut into tokens: more would only take longer


def token_counter(tokenizer: PreTrainedTokenizerBase) -> CountTokens:
    """A function from texts to the number of tokens of each.

    It calls the tokenizer that transformers wraps, which takes half the time.
    """
    fast = tokenizer.backend_tokenizer
    fast.no_padding()
    fast.no_truncation()

    def count(texts: Sequence[str]) -> list[int]:
        batches = [
            texts[start : start + _BATCH_TEXTS] for start in range(0, len(texts), _BATCH_TEXTS)
        ]
        cut = (fast.encode_batch_fast(batch, add_special_tokens=False) for batch in batches)
        return [len(tokens) for batch in cut for tokens in batch]

    return count


def read_by_model(texts: pd.Series, count: CountTokens) -> dict:
    """Tokens per text of what the model reads: `samples`, mean and 95th percentile.

    Of many texts, only every n-th is counted.
    """
    tokens = count(texts[:: -(-len(texts) // _MAX_SAMPLES) or 1].tolist())
    if not tokens:
        return {"samples": 0}
    return {
        "samples": len(tokens),
        "mean_tokens": float(np.mean(tokens)),
        "p95_tokens": float(np.percentile(tokens, 95)),
    }
