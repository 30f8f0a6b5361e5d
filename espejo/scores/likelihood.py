"""How well a model foresees the author's replies: perplexity and bits per character.

Loss is summed over the tokens of the replies and divided once, so that a long reply weighs more
than a short one and no average of averages arises. Bits per character divide by characters of the
original text, which no tokenizer changes, so that they compare models; perplexity divides by tokens
and does not. Both are given over everything in a reply, its separators and its end (one character
each), and over the messages' own characters alone: separators and ends are learnt in a few steps
and say nothing of style.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from scipy import stats
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import PreTrainedModel

from espejo.labels import IGNORED, Encoded
from espejo.prompts import Span

LOGITS = 512  # rows of logits in memory at once
TOO_FEW = 10  # sessions: fewer give no interval worth printing


def token_losses(
    model: PreTrainedModel, rows: Sequence[Encoded], batch_tokens: int, label: str = "scoring"
) -> list[np.ndarray]:
    """The loss in nats of each labelled token, one array an example, in the order of `rows`.

    Examples of like length are scored together, at most `batch_tokens` padded tokens at a time.
    """
    losses: list[np.ndarray] = [np.empty(0)] * len(rows)
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]["input_ids"]))
    with tqdm(total=len(rows), desc=label, unit="reply", leave=False) as bar:
        for batch in _batches(order, [len(row["input_ids"]) for row in rows], batch_tokens):
            for at, loss in zip(
                batch, _batch_losses(model, [rows[at] for at in batch]), strict=True
            ):
                losses[at] = loss
            bar.update(len(batch))
    return losses


def _batches(order: Sequence[int], lengths: Sequence[int], most: int) -> list[list[int]]:
    batches: list[list[int]] = []
    for at in order:  # shortest first: the newest sets the padded length of its batch
        if batches and (len(batches[-1]) + 1) * lengths[at] <= most:
            batches[-1].append(at)
        else:
            batches.append([at])
    return batches


@torch.inference_mode()
def _batch_losses(model: PreTrainedModel, rows: Sequence[Encoded]) -> list[np.ndarray]:
    longest = max(len(row["input_ids"]) for row in rows)
    ids, labels = (
        torch.tensor([row[key] + [fill] * (longest - len(row[key])) for row in rows])
        for key, fill in (("input_ids", 0), ("labels", IGNORED))
    )
    mask = torch.tensor([[at < len(row["input_ids"]) for at in range(longest)] for row in rows])
    device = model.device
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    states = whole.base_model(
        input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
    ).last_hidden_state[:, :-1]  # a position foretells the next token; nothing foretells the first
    scored = labels[:, 1:] != IGNORED
    targets = labels[:, 1:][scored].to(device)
    # Logits are the largest thing here: only those of labelled tokens, some at a time.
    head = whole.get_output_embeddings()
    loss = torch.cat(
        [
            cross_entropy(head(some).float(), wanted, reduction="none")
            for some, wanted in zip(
                states[scored.to(device)].split(LOGITS), targets.split(LOGITS), strict=True
            )
        ]
    )
    sizes = scored.sum(dim=1).tolist()
    return [part.cpu().numpy().astype(np.float64) for part in loss.split(sizes)]


@torch.inference_mode()
def of_candidates(model: PreTrainedModel, rows: Sequence[Encoded]) -> np.ndarray:
    """The summed loss in nats [k] of the labelled tokens of `rows`, whose prompt is the same.

    The prompt is read once and its state shared: for ten short replies behind a long context a
    quarter of the time that ten whole texts take.
    """
    ids = [row["input_ids"] for row in rows]
    first = min(
        next(at for at, label in enumerate(row["labels"]) if label != IGNORED) for row in rows
    )
    same = next((at for at in range(first) if len({row[at] for row in ids}) > 1), first)
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    prompt = torch.tensor([ids[0][:same]], device=model.device)
    read = whole.base_model(input_ids=prompt, use_cache=True)
    cache = read.past_key_values
    cache.batch_repeat_interleave(len(rows))
    longest = max(map(len, ids)) - same
    rest = torch.tensor([row[same:] + [0] * (longest - len(row) + same) for row in ids])
    labels = torch.tensor(
        [row["labels"][same:] + [IGNORED] * (longest - len(row["labels"]) + same) for row in rows]
    )
    mask = torch.tensor([[at < len(row) for at in range(same + longest)] for row in ids])
    states = whole.base_model(
        input_ids=rest.to(model.device),
        attention_mask=mask.to(model.device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    # What stands before the first token of the rest is the end of the prompt, for all the same.
    last = read.last_hidden_state[:, -1:].expand(len(rows), 1, -1)
    before = torch.cat([last, states[:, :-1]], dim=1)
    logits = whole.get_output_embeddings()(before).float().flatten(0, 1)
    loss = cross_entropy(logits, labels.to(model.device).flatten(), reduction="none")
    return loss.view(len(rows), -1).sum(dim=1).cpu().numpy().astype(np.float64)


def of_reply(losses: Sequence[np.ndarray], rows: Sequence[Encoded]) -> list[np.ndarray]:
    """From the losses of whole texts (every token labelled) those of the author's tokens."""
    return [
        loss[[kind != "" for kind in row["kinds"][1:]]]
        for loss, row in zip(losses, rows, strict=True)
    ]


def per_example(
    losses: Sequence[np.ndarray], rows: Sequence[Encoded], spans: Sequence[Sequence[Span]]
) -> pd.DataFrame:
    """Sums for each example: nats, tokens, chars of all the reply and (own_) of its messages."""
    table = []
    for loss, row, marks in zip(losses, rows, spans, strict=True):
        own = np.array([kind == "message" for kind in row["kinds"] if kind])
        own_chars = sum(mark["end"] - mark["start"] for mark in marks if mark["kind"] == "message")
        table.append(
            {
                "nats": loss.sum(),
                "tokens": len(loss),
                "chars": own_chars + sum(mark["kind"] in ("separator", "end") for mark in marks),
                "own_nats": loss[own].sum(),
                "own_tokens": int(own.sum()),
                "own_chars": own_chars,
            }
        )
    return pd.DataFrame(table)


def measured(sums: pd.DataFrame, sessions: pd.Series, wanted: dict) -> dict[str, dict]:
    """The four measures of the module's docstring, each with its bootstrap interval."""
    per_session = sums.groupby(sessions.to_numpy()).sum()
    return {
        "perplexity": _ratio(per_session, "nats", "tokens", math.exp, wanted),
        "bits_per_character": _ratio(per_session, "nats", "chars", _bits, wanted),
        "own_perplexity": _ratio(per_session, "own_nats", "own_tokens", math.exp, wanted),
        "own_bits_per_character": _ratio(per_session, "own_nats", "own_chars", _bits, wanted),
    }


def gain(
    base: pd.DataFrame, tuned: pd.DataFrame, sessions: pd.Series, wanted: dict
) -> dict[str, dict]:
    """Bits per character that training saved (`per_example` sums of both models, same rows).

    The interval is of the difference, session by session: how hard a session is cancels out,
    which makes this the test of whether training helped. Above zero it did.
    """
    saved = tuned.assign(
        nats=base["nats"] - tuned["nats"], own_nats=base["own_nats"] - tuned["own_nats"]
    )
    per_session = saved.groupby(sessions.to_numpy()).sum()
    return {
        "bits_per_character": _ratio(per_session, "nats", "chars", _bits, wanted),
        "own_bits_per_character": _ratio(per_session, "own_nats", "own_chars", _bits, wanted),
    }


def _bits(nats: float) -> float:
    return nats / math.log(2)


def _ratio(
    table: pd.DataFrame, over: str, under: str, scale: Callable[[float], float], wanted: dict
) -> dict:
    """`scale(sum(over) / sum(under))` and its interval: sessions are drawn again with replacement
    (percentile bootstrap, Efron 1979), since the replies of one session are not independent."""
    value = scale(table[over].sum() / table[under].sum())
    if len(table) < TOO_FEW:
        return {"value": value, "interval": "too few", "sessions": len(table)}
    drawn = stats.bootstrap(
        (table[over].to_numpy(), table[under].to_numpy()),
        lambda top, bottom, axis: top.sum(axis=axis) / bottom.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=wanted["bootstrap"],
        confidence_level=wanted["confidence"],
        method="percentile",
        rng=np.random.default_rng(wanted["seed"]),
    ).confidence_interval
    return {
        "value": value,
        "low": scale(drawn.low),
        "high": scale(drawn.high),
        "sessions": len(table),
    }
