"""What a coarser precision costs: the difference in bits per character on test replies."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedModel

from espejo.core import tables
from espejo.core.errors import UserError
from espejo.core.tables import Span
from espejo.export.merged import Trained
from espejo.formatting.labels import IGNORED, Encoded, encode
from espejo.prediction import losses, predictor
from espejo.serving.llama_cpp import Server

REPLIES = 30
_EXAMPLES, _PEOPLE = Path("data/filtered.parquet"), Path("data/people.parquet")
_BATCH_TOKENS = 1024
_BIAS = 1e6  # above any logit


class Row(NamedTuple):
    """A test reply with its prompt, as tokens, and the spans of the reply."""

    encoded: Encoded
    spans: Sequence[Span]


def test_replies(trained: Trained) -> list[Row]:
    """REPLIES test replies of data/filtered.parquet; none where the tables are not there."""
    if not (_EXAMPLES.is_file() and _PEOPLE.is_file()):
        return []
    author = tables.author_of(tables.read(_PEOPLE, tables.PEOPLE))
    examples = tables.read(_EXAMPLES, tables.EXAMPLES)
    test = examples[examples["split"].eq("test")].reset_index(drop=True)
    rows = []
    for row in predictor.evenly_spaced(test, REPLIES).itertuples():
        text, spans = trained.prompter.example(row.context, row.reply, author, row.group)
        rows.append(Row(encode(trained.prompter.tokenizer, text, spans), spans))
    return rows


def of_model(model: PreTrainedModel, rows: Sequence[Row]) -> float:
    """Bits per character of the replies in `rows` under a model of transformers."""
    return _bits(losses.token_losses(model, [row.encoded for row in rows], _BATCH_TOKENS), rows)


def of_gguf(file: Path, rows: Sequence[Row], checkout: Path | None = None) -> float:
    """Bits per character of the replies in `rows` under a GGUF file in llama.cpp.

    Its server tells the probabilities of tokens that it generates only. So each token of a reply is
    made the next one by a bias; the probability that it tells is the one before biases.

    Raises UserError where there is no llama.cpp, or it cannot run the file.
    """
    longest = max(len(row.encoded["input_ids"]) for row in rows)
    server = Server(file, longest + 1, checkout=checkout)
    try:
        return _bits([_token_losses(server, row.encoded) for row in rows], rows)
    finally:
        server.close()


def _token_losses(server: Server, row: Encoded) -> np.ndarray:
    """The loss in nats of each labelled token of `row`."""
    nats = []
    for place, label in enumerate(row["labels"]):
        if label == IGNORED:
            continue
        request = {
            "prompt": row["input_ids"][:place],
            "n_predict": 1,
            "n_probs": 1,
            "temperature": 0,
            "repeat_penalty": 1,
            "logit_bias": [[label, _BIAS]],
        }
        tokens = [
            token
            for part in server.stream("/completion", request)
            for token in part.get("completion_probabilities", ())
        ]
        assert [token["id"] for token in tokens[:1]] == [label]
        nats.append(-tokens[0]["logprob"])
    return np.array(nats)


def _bits(nats: Sequence[np.ndarray], rows: Sequence[Row]) -> float:
    sums = losses.per_example(nats, [row.encoded for row in rows], [row.spans for row in rows])
    return sums["nats"].sum() / sums["chars"].sum() / math.log(2)


def cost(
    file: Path, rows: Sequence[Row], exact: float, kind: str, checkout: Path | None = None
) -> str:
    """What a file of that `kind` costs against `exact` (bits per character of the same `rows`)."""
    if not rows:
        return f"What {kind} costs was not measured: {_EXAMPLES} is missing."
    try:
        bits = of_gguf(file, rows, checkout)
    except UserError as error:
        return f"What {kind} costs was not measured: {error}"
    return (
        f"{kind} costs {bits - exact:+.4f} bits per character on {len(rows)} test replies "
        f"({bits:.4f}; {exact:.4f} in float32)."
    )
