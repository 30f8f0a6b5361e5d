"""What tokens cost: the loss in nats of each labelled token, and its sums for each reply."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from peft import PeftModel
from torch.nn.functional import cross_entropy
from tqdm import tqdm
from transformers import PreTrainedModel

from espejo.core.errors import UserError
from espejo.core.tables import Span
from espejo.formatting.labels import IGNORED, Encoded

SUMS = ["nats", "tokens", "chars", "own_nats", "own_tokens", "own_chars"]  # see `per_example`
LOGITS = 256  # rows of logits in memory at once
_WORTH_SHARING = 16  # tokens; a shorter beginning is read with each text ...
_WORTH_SHARING_WITH = 4  # ... and so is one that fewer texts have
MENDED = "lower train.learning_rate and train again, or set model.precision=float32"


def token_losses(
    model: PreTrainedModel, rows: Sequence[Encoded], batch_tokens: int, label: str = "scoring"
) -> list[np.ndarray]:
    """The loss in nats of each labelled token, one array an example, in the order of `rows`.

    Examples of like length are scored together, at most `batch_tokens` padded tokens at a time.
    What many begin with (a system text, the same examples) is read once for each batch of them.

    Raises UserError, after the batch in which it comes up, for a loss that is not finite.
    """
    losses: list[np.ndarray] = [np.empty(0)] * len(rows)
    with tqdm(total=len(rows), desc=label, unit="reply", leave=False) as bar:
        for same, places in _by_beginning(rows):
            sizes = {at: len(rows[at]["input_ids"]) - same for at in places}
            for batch in batches(sorted(places, key=sizes.get), sizes, batch_tokens):
                chosen = [rows[at] for at in batch]
                scored = (
                    _losses_behind(model, [chosen], [same])
                    if same
                    else _batch_losses(model, chosen)
                )
                _check(scored, label)
                for at, loss in zip(batch, scored, strict=True):
                    losses[at] = loss
                bar.update(len(batch))
    return losses


def _check(losses: Sequence[np.ndarray], label: str) -> None:
    """Raise UserError where a loss is not finite: in a sum it would count as nothing, or spoil it.

    `losses` are those of one batch, so that nobody waits for the rest of an evaluation.
    """
    finite = np.isfinite(np.concatenate(losses))
    if not finite.all():
        raise UserError(
            f"While {label}, {(~finite).sum()} of the {len(finite)} losses of a batch were not "
            f"finite numbers, so that nothing can be measured: {MENDED}."
        )


def _by_beginning(rows: Sequence[Encoded]) -> list[tuple[int, list[int]]]:
    """The places of those rows that begin alike, and with how many tokens that are not labelled.

    Rows that begin like few others are together at the end, with 0 in common.
    """
    alike = defaultdict(list)
    for at, row in enumerate(rows):
        alike[tuple(row["input_ids"][:_WORTH_SHARING])].append(at)
    groups, rest = [], []
    for places in alike.values():
        same = _shared([rows[at] for at in places])
        if len(places) >= _WORTH_SHARING_WITH and same >= _WORTH_SHARING:
            groups.append((same, places))
        else:
            rest += places
    return [*groups, (0, rest)]


def batches(
    order: Sequence[int], lengths: Sequence[int] | Mapping[int, int], most: int
) -> list[list[int]]:
    """The places `order`, shortest first, in batches of at most so many padded tokens."""
    found: list[list[int]] = []
    for at in order:  # the newest sets the padded length of its batch
        if found and (len(found[-1]) + 1) * lengths[at] <= most:
            found[-1].append(at)
        else:
            found.append([at])
    return found


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
    ).last_hidden_state[:, :-1]  # logits at position t predict token t + 1
    return _losses(whole, states, labels[:, 1:])


def _losses(model: PreTrainedModel, states: torch.Tensor, labels: torch.Tensor) -> list[np.ndarray]:
    """Losses of the `labels` [n, length] that each of the last hidden `states` predicts."""
    scored = labels != IGNORED
    targets = labels[scored].to(states.device)
    # Logits are the largest thing here: only those of labelled tokens, some at a time.
    head = model.get_output_embeddings()
    loss = torch.cat(
        [
            cross_entropy(head(some).float(), wanted, reduction="none")
            for some, wanted in zip(
                states[scored.to(states.device)].split(LOGITS), targets.split(LOGITS), strict=True
            )
        ]
    )
    sizes = scored.sum(dim=1).tolist()
    return [part.cpu().numpy().astype(np.float64) for part in loss.split(sizes)]


def of_candidates(
    model: PreTrainedModel,
    asked: Sequence[Sequence[Encoded]],
    batch_tokens: int,
    label: str = "ranking",
) -> np.ndarray:
    """The summed loss in nats [n, k] of the labelled tokens of n times k candidates.

    The candidates of one of `asked` have one prompt, which is read once and its state shared: for
    ten short replies behind a long context a quarter of the time that ten whole texts take. Prompts
    of like length are read together, `batch_tokens` padded tokens (candidates included) at a time.

    Raises UserError as `token_losses` does.
    """
    shared = [_shared(rows) for rows in asked]
    sizes = [
        same + len(rows) * (max(len(row["input_ids"]) for row in rows) - same)
        for rows, same in zip(asked, shared, strict=True)
    ]
    losses = np.empty((len(asked), len(asked[0]) if asked else 0))
    order = sorted(range(len(asked)), key=lambda at: sizes[at])
    with tqdm(total=len(asked), desc=label, unit="context", leave=False) as bar:
        for batch in batches(order, sizes, batch_tokens):
            chosen, starts = [asked[at] for at in batch], [shared[at] for at in batch]
            found = _losses_behind(model, chosen, starts)
            _check(found, label)
            losses[batch] = np.array([loss.sum() for loss in found]).reshape(len(batch), -1)
            bar.update(len(batch))
    return losses


def _shared(rows: Sequence[Encoded]) -> int:
    """How many tokens before the first label of any of `rows` are the same in all."""
    first = min(
        next(at for at, label in enumerate(row["labels"]) if label != IGNORED) for row in rows
    )
    return next(
        (at for at in range(first) if len({row["input_ids"][at] for row in rows}) > 1), first
    )


@torch.inference_mode()
def _losses_behind(
    model: PreTrainedModel, asked: Sequence[Sequence[Encoded]], shared: Sequence[int]
) -> list[np.ndarray]:
    """The losses of each text in each of `asked`, whose first `shared` tokens are read once."""
    whole = model.get_base_model() if isinstance(model, PeftModel) else model
    k, longest = len(asked[0]), max(shared)
    # Padded on the left, so that every prompt ends beside the first token of its candidates.
    prompts = torch.tensor(
        [
            [0] * (longest - same) + rows[0]["input_ids"][:same]
            for rows, same in _pairs(asked, shared)
        ]
    )
    seen = torch.tensor([[at >= longest - same for at in range(longest)] for same in shared])
    read = whole.base_model(
        input_ids=prompts.to(model.device),
        attention_mask=seen.to(model.device),
        position_ids=(seen.cumsum(1) - 1).clamp(min=0).to(model.device),
        use_cache=True,
    )
    cache = read.past_key_values
    # Each k times; linear attention (Qwen3.5) knows no batch_repeat_interleave.
    cache.reorder_cache(torch.arange(len(asked), device=model.device).repeat_interleave(k))
    rest = [(row, same) for rows, same in _pairs(asked, shared) for row in rows]
    width = max(len(row["input_ids"]) - same for row, same in rest)
    ids, labels = (
        torch.tensor(
            [row[key][same:] + [fill] * (width - len(row[key]) + same) for row, same in rest]
        )
        for key, fill in (("input_ids", 0), ("labels", IGNORED))
    )
    there = torch.tensor(
        [[at < len(row["input_ids"]) - same for at in range(width)] for row, same in rest]
    )
    places = torch.tensor([[same + at for at in range(width)] for _, same in rest])
    states = whole.base_model(
        input_ids=ids.to(model.device),
        attention_mask=torch.cat([seen.repeat_interleave(k, dim=0), there], dim=1).to(model.device),
        position_ids=places.to(model.device),
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    # What stands before the first token of the rest is the end of the prompt, for all the same.
    last = read.last_hidden_state[:, -1:].repeat_interleave(k, dim=0)
    return _losses(whole, torch.cat([last, states[:, :-1]], dim=1), labels)


def _pairs(
    asked: Sequence[Sequence[Encoded]], shared: Sequence[int]
) -> Iterator[tuple[Sequence[Encoded], int]]:
    return zip(asked, shared, strict=True)


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
    return pd.DataFrame(table, columns=SUMS)
