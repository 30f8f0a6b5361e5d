"""Likelihood of the author's replies under a model: perplexity and bits per character.

The loss is summed over all tokens of all replies and divided once, so that a long reply weighs more
than a short one; no averages are averaged. Bits per character divide by the characters of the
original text, which do not depend on the tokenizer, and so are comparable between models;
perplexity divides by tokens and is not. Both are given for the whole reply, with its separators and
its end (one character each), and for the messages' own characters alone (own_): separators and ends
are learnt within a few steps and have nothing to do with style.
"""

import math
from collections.abc import Callable

import numpy as np
import pandas as pd

from espejo.core.errors import UserError
from espejo.evaluation import intervals, legacy
from espejo.evaluation.config import EvaluateConfig

PROMPTED = ("same_examples", "nearest_examples")  # the base model with examples in its prompt


def evaluate(losses: pd.DataFrame, config: EvaluateConfig) -> dict[str, dict]:
    """The test replies of table LOSSES: base, tuned, the gain, and base with examples `prompted`.

    Raises UserError for a loss whose perplexity is too large to compute.
    """
    test = losses[losses["split"].eq("test")]
    rows = {
        name: test[test["model"].eq(name)].reset_index(drop=True)
        for name in ("base", *PROMPTED, "tuned")
    }
    models = {
        name: {
            **measures(rows[name], config),
            "legacy_perplexity": legacy.perplexity(rows[name]["text_nats_per_token"].dropna()),
        }
        for name in ("base", "tuned")
    }
    prompted = {
        name: {
            **measures(rows[name], config),
            # If no example fitted the prompt, nothing was scored and there is nothing to compare.
            "gain_of_training": gain(rows[name], rows["tuned"][: len(rows[name])], config),
        }
        for name in PROMPTED
    }
    return {**models, "gain": gain(rows["base"], rows["tuned"], config), "prompted": prompted}


def measures(rows: pd.DataFrame, config: EvaluateConfig) -> dict[str, dict]:
    """Perplexity and bits per character, both kinds, of rows of LOSSES, with intervals.

    Raises UserError for a loss whose perplexity is too large to compute.
    """

    def ratio(numerator: str, denominator: str, scale: Callable[[float], float]) -> dict:
        return intervals.ratio(rows[numerator], rows[denominator], rows["session"], config, scale)

    return {
        "perplexity": ratio("nats", "tokens", _perplexity),
        "bits_per_character": ratio("nats", "chars", _bits),
        "own_perplexity": ratio("own_nats", "own_tokens", _perplexity),
        "own_bits_per_character": ratio("own_nats", "own_chars", _bits),
    }


def gain(base: pd.DataFrame, tuned: pd.DataFrame, config: EvaluateConfig) -> dict[str, dict]:
    """Bits per character that training saved: rows of LOSSES of both models, the same replies.

    The interval is that of the paired difference, session by session: how hard a session is cancels
    out, which makes this the test of whether training helped. Above zero, it did.
    """
    return {
        f"{own}bits_per_character": intervals.ratio(
            base[f"{own}nats"] - tuned[f"{own}nats"],
            tuned[f"{own}chars"],
            tuned["session"],
            config,
            _bits,
        )
        for own in ("", "own_")
    }


def _bits(nats: float) -> float:
    return nats / math.log(2)


def _perplexity(nats: float) -> float:
    try:
        return math.exp(nats)
    except OverflowError:
        raise UserError(
            f"The loss is {nats:.0f} nats per token, whose perplexity is too large to compute: "
            "lower train.learning_rate and train again, or set model.precision=float32."
        ) from None


def sliced(losses: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Bits per own character by position in the conversation and by length of the reply.

    Of the test replies in table LOSSES; the position of a reply is its number among the author's
    replies of its session in table EXAMPLES. Columns: by (position, length), slice (its first and
    last number), replies, base, tuned. Slices without any own character are left out.

    Raises ValueError for a sum that is not finite, which pandas would treat as missing.
    """
    test = losses[losses["split"].eq("test")]
    sums = {name: test[test["model"].eq(name)].reset_index(drop=True) for name in ("base", "tuned")}
    if not all(np.isfinite(rows["own_nats"]).all() for rows in sums.values()):
        raise ValueError("the loss of a reply is not finite")
    position = examples.groupby("session").cumcount().add(1).set_axis(examples["id"])
    chars = sums["tuned"]["own_chars"]
    parts = []
    for by, values, bounds in (
        ("position", position.loc[sums["tuned"]["id"]].to_numpy(), (1, 2, 3, 5, 9)),
        ("length", chars.to_numpy(), (1, 11, 21, 41, 81)),
    ):
        labels = [
            f"{low}" if high == low + 1 else f"{low}–{high - 1}" if high else f"{low}+"
            for low, high in zip(bounds, [*bounds[1:], 0], strict=True)
        ]
        slices = pd.cut(values, [*bounds, math.inf], right=False, labels=labels)
        total = chars.groupby(slices, observed=True).sum()
        bits = {
            name: _bits(rows["own_nats"].groupby(slices, observed=True).sum()) / total
            for name, rows in sums.items()
        }
        replies = chars.groupby(slices, observed=True).size()
        part = pd.DataFrame({"by": by, "slice": total.index, "replies": replies, **bits})
        parts.append(part[total > 0])
    return pd.concat(parts, ignore_index=True)
