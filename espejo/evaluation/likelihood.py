"""How likely a model finds the author's replies: perplexity and bits per character.

Loss is summed over the tokens of the replies and divided once, so that a long reply weighs more
than a short one and no average of averages arises. Bits per character divide by characters of the
original text, which no tokenizer changes, so that they compare models; perplexity divides by tokens
and does not. Both are given over everything in a reply, its separators and its end (one character
each), and over the messages' own characters alone: separators and ends are learnt in a few steps
and say nothing of style.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from espejo.core.errors import UserError
from espejo.evaluation import intervals, legacy

PROMPTED = ("same_examples", "nearest_examples")  # the base model with examples in its prompt


def measured(losses: pd.DataFrame, config: Mapping) -> dict[str, dict]:
    """The test replies of table LOSSES: base, tuned, the gain, and base with examples `prompted`.

    Raises UserError for a loss that no perplexity can be given of.
    """
    test = losses[losses["split"].eq("test")]
    of = {
        name: test[test["model"].eq(name)].reset_index(drop=True)
        for name in ("base", *PROMPTED, "tuned")
    }
    found = {
        name: {
            **measures(of[name], config),
            "legacy_perplexity": legacy.perplexity(of[name]["text_nats_per_token"].dropna()),
        }
        for name in ("base", "tuned")
    }
    prompted = {
        name: {
            **measures(of[name], config),
            # Where no example fits the prompt nothing was scored, and nothing is compared.
            "gain_of_training": gain(of[name], of["tuned"][: len(of[name])], config),
        }
        for name in PROMPTED
    }
    return {**found, "gain": gain(of["base"], of["tuned"], config), "prompted": prompted}


def measures(rows: pd.DataFrame, config: Mapping) -> dict[str, dict]:
    """The four measures of the module's docstring for rows of LOSSES, with intervals over sessions.

    Raises UserError for a loss that no perplexity can be given of.
    """

    def ratio(over: str, under: str, scale: Callable[[float], float]) -> dict:
        return intervals.ratio(rows[over], rows[under], rows["session"], config, scale)

    return {
        "perplexity": ratio("nats", "tokens", _perplexity),
        "bits_per_character": ratio("nats", "chars", _bits),
        "own_perplexity": ratio("own_nats", "own_tokens", _perplexity),
        "own_bits_per_character": ratio("own_nats", "own_chars", _bits),
    }


def gain(base: pd.DataFrame, tuned: pd.DataFrame, config: Mapping) -> dict[str, dict]:
    """Bits per character that training saved, from rows of LOSSES of both models, same replies.

    The interval is of the difference, session by session: how hard a session is cancels out,
    which makes this the test of whether training helped. Above zero it did.
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
            f"The loss is {nats:.0f} nats a token, of which no perplexity can be given: lower "
            "train.learning_rate and train again, or set model.precision=float32."
        ) from None


def sliced(losses: pd.DataFrame, examples: pd.DataFrame) -> pd.DataFrame:
    """Bits per own character by position in the conversation and by length of the reply.

    Of the test replies in table LOSSES; `examples` is the table EXAMPLES, by which the author's
    replies of a session are counted. Columns: by (position, length), slice (its least and greatest
    number), replies, base, tuned. Slices without a character of the messages' own are left out.

    Raises ValueError for a sum that is not finite, which pandas would count as nothing.
    """
    test = losses[losses["split"].eq("test")]
    sums = {name: test[test["model"].eq(name)].reset_index(drop=True) for name in ("base", "tuned")}
    if not all(np.isfinite(each["own_nats"]).all() for each in sums.values()):
        raise ValueError("the loss of a reply is not finite")
    number = examples.groupby("session").cumcount().add(1).set_axis(examples["id"])
    chars = sums["tuned"]["own_chars"]
    parts = []
    for by, values, bounds in (
        ("position", number.loc[sums["tuned"]["id"]].to_numpy(), (1, 2, 3, 5, 9)),
        ("length", chars.to_numpy(), (1, 11, 21, 41, 81)),
    ):
        names = [
            f"{low}" if high == low + 1 else f"{low}–{high - 1}" if high else f"{low}+"
            for low, high in zip(bounds, [*bounds[1:], 0], strict=True)
        ]
        place = pd.cut(values, [*bounds, math.inf], right=False, labels=names)
        count = chars.groupby(place, observed=True).sum()
        bits = {
            name: _bits(each["own_nats"].groupby(place, observed=True).sum()) / count
            for name, each in sums.items()
        }
        replies = chars.groupby(place, observed=True).size()
        part = pd.DataFrame({"by": by, "slice": count.index, "replies": replies, **bits})
        parts.append(part[count > 0])
    return pd.concat(parts, ignore_index=True)
