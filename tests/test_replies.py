"""Many replies at once: drawn as the settings say, whatever the shortcut."""

import pytest
import torch
from scipy.stats import chisquare
from transformers import GenerationConfig

from espejo.talk import replies
from tests import tiny


def drawn(how, scores, times):
    """How often each token comes out of `times` draws from the same scores."""
    torch.manual_seed(5)
    greedy, steps = replies._sampling(how)
    assert not greedy.do_sample
    rows = torch.tensor([scores] * times)
    chosen = steps(torch.zeros(times, 1, dtype=torch.long), rows).argmax(dim=-1)
    return torch.bincount(chosen, minlength=len(scores)).tolist()


def test_draws_are_those_of_softmax_among_the_best():
    # exp(2 * ln 2 / 2) = 2, exp(0) = 1, exp(2 * ln 3 / 2) = 3; the two others are not among three.
    scores = [2 * 0.6931472, 0.0, 2 * 1.0986123, -1.0, -2.0]
    how = GenerationConfig(do_sample=True, temperature=2.0, top_k=3, top_p=1.0)
    counts = drawn(how, scores, 12_000)
    assert counts[3:] == [0, 0]
    assert chisquare(counts[:3], [4000, 2000, 6000]).pvalue > 0.001


def test_top_p_leaves_the_likely_ones():
    # 0.5, 0.3 and 0.2: the first two reach 0.75
    scores = torch.tensor([0.5, 0.3, 0.2]).log().tolist()
    counts = drawn(
        GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=0.75), scores, 8000
    )
    assert counts[2] == 0
    assert chisquare(counts[:2], [5000, 3000]).pvalue > 0.001


def test_without_temperature_nothing_is_drawn():
    how = GenerationConfig(do_sample=False)
    assert not replies._sampling(how)[1]


def test_the_head_sees_rows_in_one_piece_only_while_replies_are_written():
    model = tiny.llama(50)
    seen = []
    head = model.get_output_embeddings()
    with replies._last_states_in_one_piece(model):
        watch = head.register_forward_hook(lambda _, states, out: seen.append(states[0]))
        model(torch.ones(3, 5, dtype=torch.long), logits_to_keep=1)
        watch.remove()
    assert seen[0].is_contiguous()
    assert not head._forward_pre_hooks


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_replies_come_in_the_order_of_the_prompts(batch, smollm2):
    from espejo.models import load_tokenizer

    tokenizer = load_tokenizer(smollm2)
    model = tiny.llama(len(tokenizer))
    how = replies.settings(tokenizer, "<|im_end|>", {**smollm2["generate"], "temperature": 0})
    prompts = ["uno dos tres cuatro", "a", "hola q tal", "bien y vos", "x"]
    alone = [
        replies.reply_all(model, tokenizer, [prompt], how, [], seed=1)[0] for prompt in prompts
    ]
    got = replies.reply_all(model, tokenizer, prompts, how, [], seed=1, batch=batch)
    assert got == alone
