"""Pairs of replies to the same context: the author's, and the model's own."""

from collections.abc import Sequence
from typing import NamedTuple, TypedDict, cast

import numpy as np
import pandas as pd
from peft import PeftModel
from transformers import PreTrainedModel

from espejo.core import metrics
from espejo.core.tables import Span
from espejo.formatting.labels import IGNORED, encode
from espejo.formatting.prompts import Prompter
from espejo.model.generation import generation_config, reply_all
from espejo.training.epoch_samples import GENERATE

_AT_ONCE = 32  # replies generated in a batch


class Pair(TypedDict):
    """A prompt and two replies to it, as token ids without padding."""

    prompt_ids: list[int]
    chosen_ids: list[int]
    rejected_ids: list[int]


class Answered(NamedTuple):
    """A reply in a training text: the `prompt` before it, and the spans of its parts.

    `text` is the training text up to the end of the reply.
    """

    prompt: str
    text: str
    spans: list[Span]


def answered(table: pd.DataFrame) -> list[Answered]:
    """Each reply in the training texts `table` (tables.FORMATTED), in their order."""
    replies = []
    for row in table.itertuples():
        spans: list[Span] = []
        for span in row.spans:
            spans.append(span)
            if span["kind"] == "end":
                prompt, text = row.text[: spans[0]["start"]], row.text[: span["end"]]
                replies.append(Answered(prompt, text, spans))
                spans = []
    return replies


def own_replies(
    model: PreTrainedModel | PeftModel,
    prompter: Prompter,
    table: pd.DataFrame,
    number: int | None,
    seed: int,
) -> tuple[list[Pair], dict]:
    """Pairs for `number` of the replies in `table`, evenly spaced (None: all), and their account.

    Chosen is the author's reply, rejected what `model` replies itself, sampled as the replies after
    each epoch. Both are tokenized with the text before them, as in training; a reply that the model
    did not end has no end token. No pair has an empty reply of the model's (`empty`), the author's
    own words again (`same`), or a first token that reaches into the prompt (`prompt_differs`).
    """
    every = answered(table)
    count = min(number or len(every), len(every))
    places = np.linspace(0, len(every) - 1, count).round().astype(int)
    chosen_replies = [every[place] for place in places]
    replies = reply_all(
        cast(PreTrainedModel, model),
        prompter.tokenizer,
        [reply.prompt for reply in chosen_replies],
        generation_config(prompter.tokenizer, prompter.end, GENERATE),
        prompter.stops,
        seed,
        batch=_AT_ONCE,
        label="the model's own replies",
    )
    pairs: list[Pair] = []
    dropped = {"not_asked": len(every) - count, "empty": 0, "same": 0, "prompt_differs": 0}
    for real, own in zip(chosen_replies, replies, strict=True):
        real_words = real.text[len(real.prompt) : real.spans[-1]["start"]]
        bubbles = prompter.bubbles(own.text)
        prompt, chosen = _tokens(prompter, real.text, real.spans)
        text = real.prompt + own.text
        spans: list[Span] = [{"start": len(real.prompt), "end": len(text), "kind": "message"}]
        if own.finished:
            text += prompter.end
            spans.append({"start": spans[0]["end"], "end": len(text), "kind": "end"})
        own_prompt, rejected = _tokens(prompter, text, spans)
        if not bubbles:
            dropped["empty"] += 1
        elif bubbles == prompter.bubbles(real_words):
            dropped["same"] += 1
        elif prompt != own_prompt:
            dropped["prompt_differs"] += 1
        else:
            pairs.append({"prompt_ids": prompt, "chosen_ids": chosen, "rejected_ids": rejected})
    return pairs, metrics.account("replies", len(every), len(pairs), dropped)


def _tokens(prompter: Prompter, text: str, spans: Sequence[Span]) -> tuple[list[int], list[int]]:
    """The token ids of `text` before its `spans`, and those of the spans, which end it."""
    row = encode(prompter.tokenizer, text, spans)
    labelled = (index for index, label in enumerate(row["labels"]) if label != IGNORED)
    start = next(labelled, len(row["labels"]))
    return row["input_ids"][:start], row["input_ids"][start:]
