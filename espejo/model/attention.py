"""Attention for CPUs, registered as `grouped`: the result of eager attention, with less memory
traffic.

transformers' eager copies keys and values for each query head that shares them (grouped-query
attention, Ainslie et al., 2023) and writes the attention weights in float32. Here the heads of a
group become additional rows of one matrix product, and softmax computes in float32 but writes the
model's dtype. On two cores a training step of a small model is limited by memory bandwidth.
"""

import torch
from torch import nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

NAME = "grouped"  # the value of train.attention


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
    """softmax(scaling · query · keyᵀ + mask) · value, with the signature transformers asks for.

    `query` [n, heads, t, width], `key` and `value` [n, groups, s, width], `attention_mask`
    [n, 1, t, s], added to the scores. Returns [n, t, heads, width], and None for the weights.
    """
    n, heads, t, width = query.shape
    groups, s = key.shape[1:3]
    rows = (query * scaling).reshape(n, groups, -1, width)
    scores = (rows @ key.transpose(2, 3)).view(n, groups, heads // groups, t, s)
    if attention_mask is not None:
        scores += attention_mask[:, :, None]
    weights = nn.functional.dropout(scores.softmax(-1), dropout, module.training)
    output = weights.view(n, groups, -1, s) @ value
    return output.view(n, heads, t, width).transpose(1, 2).contiguous(), None


def register() -> None:
    """Register `grouped` with transformers, with the same masks as eager."""
    AttentionInterface.register(NAME, grouped)
    AttentionMaskInterface.register(NAME, eager_mask)
