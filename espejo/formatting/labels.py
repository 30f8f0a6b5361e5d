"""From text and spans to token ids, labels and the kind of each labelled token."""

from collections.abc import Sequence
from typing import TypedDict

import pandas as pd
from transformers import PreTrainedTokenizerBase

from espejo.core.tables import Span

IGNORED = -100  # torch's cross-entropy leaves out labels of this value


class Encoded(TypedDict):
    """One example as tokens; the three lists have one entry a token."""

    input_ids: list[int]
    labels: list[int]
    kinds: list[str]  # kind of the token's span; "" where the token is not the author's


def encode(
    tokenizer: PreTrainedTokenizerBase,
    text: str,
    spans: Sequence[Span],
    loss: str = "reply",
    masked: Sequence[Span] = (),
) -> Encoded:
    """Tokenize `text` and label the tokens of the author's spans.

    A token belongs to the span of its first character that lies in one. With `loss="text"` every
    token is labelled, as in plain language modelling, but for those that touch a span of `masked`;
    kinds stay those of the spans. No special tokens are added: the text has the template's own
    beginning and end.
    """
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids: list[int] = tokens["input_ids"]
    kinds = _kinds(tokens["offset_mapping"], spans)
    kept_back = _kinds(tokens["offset_mapping"], masked)
    labels = [
        token if kind or (loss == "text" and not foreign) else IGNORED
        for token, kind, foreign in zip(ids, kinds, kept_back, strict=True)
    ]
    return {"input_ids": ids, "labels": labels, "kinds": kinds}


def encode_table(
    tokenizer: PreTrainedTokenizerBase, table: pd.DataFrame, loss: str = "reply"
) -> list[Encoded]:
    """The rows of `table` (tables.FORMATTED) as tokens, one by one (encode)."""
    return [encode(tokenizer, row.text, row.spans, loss, row.masked) for row in table.itertuples()]


def _kinds(offsets: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[str]:
    """For each token the kind of the span that it touches, "" for none.

    In many vocabularies the space before a reply is part of its first word's token: such a token
    belongs to the message.
    """
    kinds, index = [], 0
    for start, end in offsets:
        while index < len(spans) and spans[index]["end"] <= start:
            index += 1
        touched = [span for span in spans[index : index + 2] if end > span["start"]]
        if len(touched) == 2 and touched[0]["kind"] == "lead":
            touched.pop(0)
        kinds.append(touched[0]["kind"] if touched else "")
    return kinds
