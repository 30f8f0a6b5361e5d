"""Attention for processors, under the name `grouped`: what eager computes, moving less memory.

Where several heads of queries share keys and values (Ainslie et al., "GQA", 2023) they are more
rows of one product, in place of copies of the keys and values; and the weights, tokens by tokens,
are never written in float32: softmax computes in it and rounds once. transformers' eager does both,
and on two cores moving memory is what a training step of a small model waits for.
"""

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

NAME = "grouped"  # in train.attention


def grouped(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """softmax(query · key / scale + mask) · value, as transformers wants it of an attention.

    `query` [n, heads, t, width], `key` and `value` [n, groups, s, width], `attention_mask`
    [n, 1, t, s], added to the scores. Returns [n, t, heads, width], and no weights.
    """
    n, heads, t, width = query.shape
    groups, s = key.shape[1:3]
    rows = (query * scaling).reshape(n, groups, -1, width)
    scores = (rows @ key.transpose(2, 3)).view(n, groups, heads // groups, t, s)
    if attention_mask is not None:
        scores += attention_mask[:, :, None]
    weights = nn.functional.dropout(scores.softmax(-1), dropout, module.training)
    found = weights.view(n, groups, -1, s) @ value
    return found.view(n, heads, t, width).transpose(1, 2).contiguous(), None


def register() -> None:
    """Make `grouped` known to transformers, with the masks that eager has."""
    AttentionInterface.register(NAME, grouped)
    AttentionMaskInterface.register(NAME, eager_mask)
