"""Attention `grouped` gives what transformers' eager gives, forward and backward."""

import pytest
import torch

from espejo.model import attention
from tests.helpers import tiny

TEXTS = [[5, 6, 7, 8, 9, 10], [11, 12, 13, 0, 0, 0]]
LEFT = [[5, 6, 7, 8, 9, 10], [0, 0, 0, 11, 12, 13]]


def computed(name, ids, **shape):
    """Logits where there is text, and the gradients of all weights, of the same tiny model."""
    torch.manual_seed(3)
    model = tiny.llama(40, **shape).train()
    model.set_attn_implementation(name)
    ids = torch.tensor(ids)
    mask = ids != 0
    logits = model(input_ids=ids, attention_mask=mask.long()).logits[mask]
    logits.logsumexp(-1).sum().backward()
    return logits.detach(), {name: weight.grad for name, weight in model.named_parameters()}


@pytest.mark.parametrize("ids", [TEXTS, LEFT])
@pytest.mark.parametrize("groups", [1, 2, 4])  # of 4 heads
def test_it_computes_what_eager_computes(ids, groups):
    logits, gradients = computed(attention.NAME, ids, num_key_value_heads=groups)
    expected, expected_gradients = computed("eager", ids, num_key_value_heads=groups)
    torch.testing.assert_close(logits, expected)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=1e-4, atol=1e-5)


def test_a_later_word_changes_nothing_before_it():
    first, _ = computed(attention.NAME, [[5, 6, 7, 8]])
    second, _ = computed(attention.NAME, [[5, 6, 7, 9]])
    torch.testing.assert_close(first[:3], second[:3], rtol=0, atol=0)
    assert not torch.allclose(first[3], second[3])


def test_it_continues_from_a_cache_as_from_the_whole_text():
    torch.manual_seed(3)
    model = tiny.llama(40, num_key_value_heads=2).eval()
    model.set_attn_implementation(attention.NAME)
    whole = torch.tensor(LEFT)
    mask = (whole != 0).long()
    options = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
    cached, uncached = (
        model.generate(input_ids=whole, attention_mask=mask, use_cache=use, **options)
        for use in (True, False)
    )
    assert cached.shape == (2, 11)
    assert torch.equal(cached, uncached)


def test_weights_are_dropped_in_training_only():
    torch.manual_seed(3)
    module = torch.nn.Module()
    query, key, value = torch.randn(3, 1, 2, 4, 8)
    dropped, _ = attention.grouped(module.train(), query, key, value, None, 1.0, dropout=0.5)
    kept, _ = attention.grouped(module.eval(), query, key, value, None, 1.0, dropout=0.5)
    by_hand = (query @ key.transpose(2, 3)).softmax(-1) @ value
    torch.testing.assert_close(kept, by_hand.transpose(1, 2))
    assert not torch.allclose(dropped, kept)
