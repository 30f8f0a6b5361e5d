"""Replies in batches are sampled from the distribution that the settings define."""

import pytest
import torch
from scipy.stats import chisquare
from transformers import (
    GenerationConfig,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from espejo.model import generation
from espejo.model.tokenizers import load_tokenizer
from tests.helpers import tiny
from tests.helpers.configs import changed


def sampled(config, scores, times):
    """How often each token is sampled in `times` rows of the same scores."""
    torch.manual_seed(5)
    greedy, sampler = generation._as_greedy(config)
    assert not greedy.do_sample
    rows = torch.tensor([scores] * times)
    chosen = sampler(torch.zeros(times, 1, dtype=torch.long), rows).argmax(dim=-1)
    return torch.bincount(chosen, minlength=len(scores)).tolist()


def test_samples_are_those_of_softmax_among_the_best():
    # exp(2 * ln 2 / 2) = 2, exp(0) = 1, exp(2 * ln 3 / 2) = 3; the two others are not among three.
    scores = [2 * 0.6931472, 0.0, 2 * 1.0986123, -1.0, -2.0]
    config = GenerationConfig(do_sample=True, temperature=2.0, top_k=3, top_p=1.0)
    counts = sampled(config, scores, 12_000)
    assert counts[3:] == [0, 0]
    assert chisquare(counts[:3], [4000, 2000, 6000]).pvalue > 0.001


def test_top_p_leaves_the_likely_ones():
    # 0.5, 0.3 and 0.2: the first two reach 0.75
    scores = torch.tensor([0.5, 0.3, 0.2]).log().tolist()
    counts = sampled(
        GenerationConfig(do_sample=True, temperature=1.0, top_k=0, top_p=0.75), scores, 8000
    )
    assert counts[2] == 0
    assert chisquare(counts[:2], [5000, 3000]).pvalue > 0.001


@pytest.mark.parametrize("likely", [(1,), (2, 6), (64,)])
@pytest.mark.parametrize("top_k", [0, 6])
@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.999])
def test_top_p_leaves_the_same_tokens_as_transformers(top_p, top_k, likely, monkeypatch):
    # Rows of one likely token, of some, and of many: the last need more than the `likely` ones.
    monkeypatch.setattr(generation, "_LIKELY", likely)
    torch.manual_seed(2)
    scores = torch.randn(3, 20) * torch.tensor([[8.0], [2.0], [0.1]])
    warped = TemperatureLogitsWarper(0.7)(None, scores)
    warped = TopKLogitsWarper(top_k)(None, warped) if top_k else warped
    warped = TopPLogitsWarper(top_p)(None, warped)
    config = GenerationConfig(do_sample=True, temperature=0.7, top_k=top_k, top_p=top_p)
    times = 6000
    for row, expected in zip(scores, warped.double().softmax(1), strict=True):
        counts = torch.tensor(sampled(config, row.tolist(), times))
        left = expected > 0
        assert counts[~left].sum() == 0
        if left.sum() > 1:
            assert chisquare(counts[left], expected[left] * times).pvalue > 1e-4


def test_a_batch_may_have_rows_that_need_all_tokens_beside_others(monkeypatch):
    monkeypatch.setattr(generation, "_LIKELY", (2,))
    torch.manual_seed(3)
    sampler = generation.Sampler(1.0, 0, 0.9, 1.0)
    sharp, flat = [9.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]
    rows = torch.tensor([sharp, flat] * 4000)
    chosen = sampler(torch.zeros(8000, 1, dtype=torch.long), rows).argmax(1)
    assert set(chosen[::2].tolist()) == {0}
    # Four of 0.25 each: all are needed for 0.9.
    assert chisquare(torch.bincount(chosen[1::2], minlength=4), [1000] * 4).pvalue > 0.001


def test_repeated_tokens_are_penalized_as_transformers_does_it():
    # Repeated: tokens 0 and 2. 2.2 / 1.1 = 2 and -0.5 * 1.1 = -0.55, doubled at temperature 0.5.
    config = GenerationConfig(
        do_sample=True, temperature=0.5, top_k=4, top_p=1.0, repetition_penalty=1.1
    )
    torch.manual_seed(5)
    _, sampler = generation._as_greedy(config)
    times = 12_000
    used = torch.tensor([[0, 2]] * times)
    chosen = sampler(used, torch.tensor([[2.2, 1.5, -0.5, 0.0, -9.0]] * times)).argmax(dim=-1)
    weights = torch.tensor([4.0, 3.0, -1.1, 0.0]).exp()
    counts = torch.bincount(chosen, minlength=5).tolist()
    assert counts[4] == 0
    assert chisquare(counts[:4], (weights / weights.sum() * times).tolist()).pvalue > 0.001


@pytest.mark.parametrize("size", [64, 100, 640, 6400])
@pytest.mark.parametrize("k", [1, 5, 40])
def test_the_highest_by_blocks_are_those_of_topk(size, k):
    torch.manual_seed(3)
    scores = torch.randn(4, size)
    scores[0, :k] = 9  # equals, all in the first blocks
    values, tokens = generation._top_k(scores, k)
    assert torch.equal(values, scores.topk(k).values)
    assert torch.equal(scores.gather(1, tokens), values)
    assert all(len(set(row)) == k for row in tokens.tolist())


def test_without_temperature_nothing_is_sampled():
    assert not generation._as_greedy(GenerationConfig(do_sample=False))[1]


def test_the_head_gets_contiguous_rows_only_while_replies_are_generated():
    model = tiny.llama(50)
    seen = []
    head = model.get_output_embeddings()
    with generation._contiguous_last_states(model):
        watch = head.register_forward_hook(lambda _, states, out: seen.append(states[0]))
        model(torch.ones(3, 5, dtype=torch.long), logits_to_keep=1)
        watch.remove()
    assert seen[0].is_contiguous()
    assert not head._forward_pre_hooks


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_replies_come_in_the_order_of_the_prompts(batch, configs):
    params = configs("model=smollm2")
    tokenizer = load_tokenizer(params.model)
    model = tiny.llama(len(tokenizer))
    greedy = changed(params.generate, temperature=0)
    config = generation.generation_config(tokenizer, "<|im_end|>", greedy)
    prompts = ["uno dos tres cuatro", "a", "hola q tal", "bien y vos", "x"]
    alone = [
        generation.reply_all(model, tokenizer, [prompt], config, [], seed=1)[0]
        for prompt in prompts
    ]
    together = generation.reply_all(model, tokenizer, prompts, config, [], seed=1, batch=batch)
    assert together == alone


def test_replies_that_end_early_leave_the_others_as_they_are():
    tokenizer = tiny.tokenizer(["<s>", "</s>"], "</s>")
    model = tiny.llama(len(tokenizer), seed=4)
    prompts = ["hola", "che bien vos", "dale dale", "voy", ": … bien"]
    inputs = tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt")
    plain = GenerationConfig(
        do_sample=False, max_new_tokens=30, pad_token_id=tokenizer.pad_token_id
    )
    unending = GenerationConfig(**plain.to_diff_dict(), eos_token_id=[len(tokenizer) + 1])
    whole = model.generate(**inputs, generation_config=plain)[:, inputs["input_ids"].shape[1] :]
    # The end token is one that some rows reach early, some late and some perhaps never.
    first = {
        token: [row.index(token) if token in row else 99 for row in whole.tolist()]
        for token in set(whole.flatten().tolist())
    }
    end = max(first, key=lambda token: len(set(first[token])))
    assert min(first[end]) < 8 < max(first[end])
    ending = GenerationConfig(
        do_sample=False,
        max_new_tokens=30,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=[end],
    )
    batch_sizes = []
    model.get_input_embeddings().register_forward_pre_hook(
        lambda _, arguments: batch_sizes.append(arguments[0].shape[0])
    )
    nothing = generation.LogitsProcessorList()
    texts = generation._generate(model, tokenizer, inputs, ending, nothing, stops=())
    for row, position, text in zip(whole.tolist(), first[end], texts, strict=True):
        assert text.startswith(tokenizer.decode(row[: position + 1]))
    assert batch_sizes[0] == len(prompts) > batch_sizes[-1] > 0  # ended replies leave the batch
    # A stop string ends a reply as well as an end token.
    by_text = generation._generate(
        model, tokenizer, inputs, unending, nothing, [tokenizer.decode(end)]
    )
    assert [generation.cut_at_stop(text, [tokenizer.decode(end)]) for text in by_text] == [
        generation.cut_at_stop(text, [tokenizer.decode(end)]) for text in texts
    ]
