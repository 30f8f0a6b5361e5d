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
_ALL = 10**6  # more tokens than any vocabulary has


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


def of_gguf(file: Path, rows: Sequence[Row], end: int, checkout: Path | None = None) -> float:
    """Bits per character of the replies in `rows` under a GGUF file in llama.cpp.

    `end` is the token of the end of text.

    Its server tells the probabilities of tokens that it generates only. So each token of a reply is
    made the next one by a bias; the probability that it tells is the one before biases.

    Raises UserError where there is no llama.cpp, or it cannot run the file.
    """
    longest = max(len(row.encoded["input_ids"]) for row in rows)
    server = Server(file, longest + 1, checkout=checkout)
    try:
        return _bits([_token_losses(server, row.encoded, end) for row in rows], rows)
    finally:
        server.close()


def _token_losses(server: Server, row: Encoded, whole: int) -> np.ndarray:
    """The loss in nats of each labelled token of `row`; `whole` is any token of whole characters.

    The server keeps no probability of a token that ends inside a character, as some of emoji do.
    Then `whole` is made the next token, and the list of all others is read: some megabytes.
    """
    nats = []
    for place, label in enumerate(row["labels"]):
        if label == IGNORED:
            continue
        prompt = row["input_ids"][:place]
        tokens = _next(server, prompt, label, 1) or _next(server, prompt, whole, _ALL)
        listed = (tokens[0], *tokens[0]["top_logprobs"])
        nats.append(-next(token["logprob"] for token in listed if token["id"] == label))
    return np.array(nats)


def _next(server: Server, prompt: Sequence[int], token: int, number: int) -> list[dict]:
    """`token` after the `prompt` with its log-probability, and the `number` most probable ones."""
    request = {
        "prompt": prompt,
        "n_predict": 1,
        "n_probs": number,
        "temperature": 0,
        "repeat_penalty": 1,
        "logit_bias": [[token, _BIAS]],
    }
    return server.ask("/completion", request).get("completion_probabilities", [])


def _bits(nats: Sequence[np.ndarray], rows: Sequence[Row]) -> float:
    sums = losses.per_example(nats, [row.encoded for row in rows], [row.spans for row in rows])
    return sums["nats"].sum() / sums["chars"].sum() / math.log(2)


def cost(
    trained: Trained, file: Path, rows: Sequence[Row], exact: float, checkout: Path | None = None
) -> str:
    """What the precision of `file` costs: its bits per character of `rows` less the `exact` ones.

    A sentence; one that says why, where it was not measured.
    """
    if not rows:
        return f"What this precision costs was not measured: {_EXAMPLES} is missing."
    try:
        bits = of_gguf(file, rows, trained.prompter.tokenizer.eos_token_id, checkout)
    except UserError as error:
        return f"What this precision costs was not measured. {error}"
    return (
        f"This precision costs {bits - exact:+.4f} bits per character on {len(rows)} test replies "
        f"({bits:.4f}; {exact:.4f} in float32)."
    )
