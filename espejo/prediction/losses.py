"""The loss in nats of each labelled token, and its sums for each reply."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import PreTrainedModel

from espejo.core.errors import UserError
from espejo.core.tables import Span
from espejo.formatting.labels import IGNORED, Encoded

SUMS = ["nats", "tokens", "chars", "own_nats", "own_tokens", "own_chars"]  # see `per_example`
LOGIT_ROWS = 256  # in memory at once
MIN_PREFIX_TOKENS = 16  # a shorter common prefix is read with each text ...
MIN_PREFIX_TEXTS = 4  # ... and so is one that fewer texts share
REMEDY = "lower train.learning_rate and train again, or set model.precision=float32"


def token_losses(
    model: PreTrainedModel, rows: Sequence[Encoded], batch_tokens: int, label: str = "scoring"
) -> list[np.ndarray]:
    """The loss in nats of each labelled token, one array per example, in the order of `rows`.

    Examples of similar length are scored together, at most `batch_tokens` padded tokens at a time.
    A common prefix of many (a system text, the same few-shot examples) is read once per batch.

    Raises UserError, after the batch in which it occurs, for a loss that is not finite.
    """
    losses: list[np.ndarray] = [np.empty(0)] * len(rows)
    with tqdm(total=len(rows), desc=label, unit="reply", leave=False) as bar:
        for prefix, indices in _by_prefix(rows):
            sizes = {index: len(rows[index]["input_ids"]) - prefix for index in indices}
            for batch in batches(sorted(indices, key=sizes.__getitem__), sizes, batch_tokens):
                chosen = [rows[index] for index in batch]
                if prefix:
                    batch_losses = _losses_after_prefix(model, [chosen], [prefix])
                else:
                    batch_losses = _batch_losses(model, chosen)
                _check_finite(batch_losses, label)
                for index, loss in zip(batch, batch_losses, strict=True):
                    losses[index] = loss
                bar.update(len(batch))
    return losses


def _check_finite(losses: Sequence[np.ndarray], label: str) -> None:
    """Raise UserError where a loss is not finite: a sum would ignore it, or become NaN itself.

    `losses` are those of one batch, so that the evaluation stops at once.
    """
    finite = np.isfinite(np.concatenate(losses))
    if not finite.all():
        raise UserError(
            f"While {label}, {(~finite).sum()} of the {len(finite)} losses of a batch were not "
            f"finite numbers, so that nothing can be measured: {REMEDY}."
        )


def _by_prefix(rows: Sequence[Encoded]) -> list[tuple[int, list[int]]]:
    """Groups of rows with a common prefix: its length in tokens, none labelled, and their indices.

    Rows that share theirs with too few others form the last group, of prefix 0.
    """
    by_beginning = defaultdict(list)
    for index, row in enumerate(rows):
        by_beginning[tuple(row["input_ids"][:MIN_PREFIX_TOKENS])].append(index)
    groups: list[tuple[int, list[int]]] = []
    rest: list[int] = []
    for indices in by_beginning.values():
        prefix = _common_prefix([rows[index] for index in indices])
        if len(indices) >= MIN_PREFIX_TEXTS and prefix >= MIN_PREFIX_TOKENS:
            groups.append((prefix, indices))
        else:
            rest += indices
    return [*groups, (0, rest)]


def batches(
    order: Sequence[int], lengths: Sequence[int] | Mapping[int, int], max_tokens: int
) -> list[list[int]]:
    """The indices in `order`, shortest first, in batches of at most `max_tokens` padded tokens."""
    batched: list[list[int]] = []
    for index in order:  # the last one sets the padded length of its batch
        if batched and (len(batched[-1]) + 1) * lengths[index] <= max_tokens:
            batched[-1].append(index)
        else:
            batched.append([index])
    return batched


def _padded(lists: Sequence[Sequence[int]], fill: int, side: str = "right") -> torch.Tensor:
    tensors = [torch.tensor(numbers, dtype=torch.long) for numbers in lists]
    return pad_sequence(tensors, batch_first=True, padding_value=fill, padding_side=side)


def _mask(lengths: Sequence[int], side: str = "right") -> torch.Tensor:
    """True for the tokens of each text, False for padding."""
    return _padded([[1] * length for length in lengths], 0, side).bool()


@torch.inference_mode()
def _batch_losses(model: PreTrainedModel, rows: Sequence[Encoded]) -> list[np.ndarray]:
    ids = [row["input_ids"] for row in rows]
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    states = whole.base_model(
        input_ids=_padded(ids, 0).to(model.device),
        attention_mask=_mask([*map(len, ids)]).to(model.device),
        use_cache=False,
    ).last_hidden_state[:, :-1]  # logits at position t predict token t + 1
    return _losses(whole, states, _padded([row["labels"] for row in rows], IGNORED)[:, 1:])


def _losses(model: PreTrainedModel, states: torch.Tensor, labels: torch.Tensor) -> list[np.ndarray]:
    """Losses of the `labels` [n, length] that the last hidden `states` [n, length, width] predict.

    One array per text, of its labelled tokens.
    """
    labelled = labels != IGNORED
    targets = labels[labelled].to(states.device)
    head = model.get_output_embeddings()
    cap = getattr(model.config, "final_logit_softcapping", None)  # of Gemma 2 and 4

    def logits(state: torch.Tensor) -> torch.Tensor:
        raw = head(state).float()
        return raw if cap is None else cap * torch.tanh(raw / cap)

    # Logits take the most memory: only those of labelled tokens, a few rows at a time.
    loss = torch.cat(
        [
            cross_entropy(logits(state), target, reduction="none")
            for state, target in zip(
                states[labelled.to(states.device)].split(LOGIT_ROWS),
                targets.split(LOGIT_ROWS),
                strict=True,
            )
        ]
    )
    sizes = labelled.sum(dim=1).tolist()
    return [part.cpu().numpy().astype(np.float64) for part in loss.split(sizes)]


def of_candidates(
    model: PreTrainedModel,
    candidates: Sequence[Sequence[Encoded]],
    batch_tokens: int,
    label: str = "ranking",
) -> np.ndarray:
    """The summed loss in nats [n, k] of the labelled tokens of k candidates in n contexts.

    The k candidates in a context share a prompt, which is read once: for ten short replies after a
    long context that takes a quarter of the time of ten whole texts. Prompts of similar length are
    read together, `batch_tokens` padded tokens (candidates included) at a time.

    Raises UserError as `token_losses` does.
    """
    prefixes = [_common_prefix(rows) for rows in candidates]
    sizes = [
        prefix + len(rows) * (max(len(row["input_ids"]) for row in rows) - prefix)
        for rows, prefix in zip(candidates, prefixes, strict=True)
    ]
    losses = np.empty((len(candidates), len(candidates[0]) if candidates else 0))
    order = sorted(range(len(candidates)), key=sizes.__getitem__)
    with tqdm(total=len(candidates), desc=label, unit="context", leave=False) as bar:
        for batch in batches(order, sizes, batch_tokens):
            batch_losses = _losses_after_prefix(
                model, [candidates[index] for index in batch], [prefixes[index] for index in batch]
            )
            _check_finite(batch_losses, label)
            losses[batch] = np.array([loss.sum() for loss in batch_losses]).reshape(len(batch), -1)
            bar.update(len(batch))
    return losses


def _common_prefix(rows: Sequence[Encoded]) -> int:
    """Length of the common prefix of all `rows`, which ends before the first label of any."""
    first = min(
        next(i for i, label in enumerate(row["labels"]) if label != IGNORED) for row in rows
    )
    return next((i for i in range(first) if len({row["input_ids"][i] for row in rows}) > 1), first)


@torch.inference_mode()
def _losses_after_prefix(
    model: PreTrainedModel, groups: Sequence[Sequence[Encoded]], prefixes: Sequence[int]
) -> list[np.ndarray]:
    """The losses of n `groups` of k texts; the first `prefixes` [n] tokens are read only once."""
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    k, device = len(groups[0]), model.device
    # Padded on the left, so that every prefix ends right before its continuations.
    prompts = [rows[0]["input_ids"][:prefix] for rows, prefix in zip(groups, prefixes, strict=True)]
    prefix_mask = _mask(prefixes, "left")
    prefix_output = whole.base_model(
        input_ids=_padded(prompts, 0, "left").to(device),
        attention_mask=prefix_mask.to(device),
        position_ids=(prefix_mask.cumsum(1) - 1).clamp(min=0).to(device),
        use_cache=True,
    )
    cache = prefix_output.past_key_values
    # Repeat each k times; the cache of linear attention (Qwen3.5) has no batch_repeat_interleave.
    cache.reorder_cache(torch.arange(len(groups), device=device).repeat_interleave(k))
    starts = torch.tensor(prefixes).repeat_interleave(k)
    rows = [row for group in groups for row in group]
    ids, labels = (
        [values[start:] for values, start in zip(column, starts.tolist(), strict=True)]
        for column in ([row["input_ids"] for row in rows], [row["labels"] for row in rows])
    )
    mask = _mask([*map(len, ids)])
    states = whole.base_model(
        input_ids=_padded(ids, 0).to(device),
        attention_mask=torch.cat([prefix_mask.repeat_interleave(k, dim=0), mask], dim=1).to(device),
        position_ids=(starts[:, None] + torch.arange(mask.shape[1])).to(device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    # The first token of a continuation is predicted by the end of its prefix.
    last = prefix_output.last_hidden_state[:, -1:].repeat_interleave(k, dim=0)
    return _losses(whole, torch.cat([last, states[:, :-1]], dim=1), _padded(labels, IGNORED))


def of_reply(losses: Sequence[np.ndarray], rows: Sequence[Encoded]) -> list[np.ndarray]:
    """The author's tokens' losses, from those of whole texts (every token labelled)."""
    return [
        loss[[kind != "" for kind in row["kinds"][1:]]]
        for loss, row in zip(losses, rows, strict=True)
    ]


def per_example(
    losses: Sequence[np.ndarray], rows: Sequence[Encoded], spans: Sequence[Sequence[Span]]
) -> pd.DataFrame:
    """Sums for each example: nats, tokens, chars of the whole reply and (own_) of its messages."""
    table = []
    for loss, row, row_spans in zip(losses, rows, spans, strict=True):
        own = np.array([kind == "message" for kind in row["kinds"] if kind], dtype=bool)
        own_chars = sum(
            span["end"] - span["start"] for span in row_spans if span["kind"] == "message"
        )
        marks = sum(span["kind"] in ("separator", "end") for span in row_spans)
        table.append(
            {
                "nats": loss.sum(),
                "tokens": len(loss),
                "chars": own_chars + marks,  # separators and ends count as one character each
                "own_nats": loss[own].sum(),
                "own_tokens": int(own.sum()),
                "own_chars": own_chars,
            }
        )
    return pd.DataFrame(table, columns=SUMS)
