"""Many replies at once: drawn as the settings say, whatever the shortcut."""

import pytest
import torch
from scipy.stats import chisquare
from transformers import GenerationConfig

from espejo.model import generation
from tests.helpers import tiny


def drawn(how, scores, times):
    """How often each token comes out of `times` draws from the same scores."""
    torch.manual_seed(5)
    greedy, steps = generation._sampling(how)
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


def test_what_was_said_is_penalized_as_transformers_does_it():
    # Said: tokens 0 and 2. 2.2 / 1.1 = 2 and -0.5 * 1.1 = -0.55, at temperature 0.5 twice as much.
    how = GenerationConfig(
        do_sample=True, temperature=0.5, top_k=4, top_p=1.0, repetition_penalty=1.1
    )
    torch.manual_seed(5)
    _, steps = generation._sampling(how)
    times = 12_000
    said = torch.tensor([[0, 2]] * times)
    chosen = steps(said, torch.tensor([[2.2, 1.5, -0.5, 0.0, -9.0]] * times)).argmax(dim=-1)
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
    values, places = generation._highest(scores, k)
    assert torch.equal(values, scores.topk(k).values)
    assert torch.equal(scores.gather(1, places), values)
    assert all(len(set(row)) == k for row in places.tolist())


def test_without_temperature_nothing_is_drawn():
    how = GenerationConfig(do_sample=False)
    assert not generation._sampling(how)[1]


def test_the_head_sees_rows_in_one_piece_only_while_replies_are_written():
    model = tiny.llama(50)
    seen = []
    head = model.get_output_embeddings()
    with generation._last_states_in_one_piece(model):
        watch = head.register_forward_hook(lambda _, states, out: seen.append(states[0]))
        model(torch.ones(3, 5, dtype=torch.long), logits_to_keep=1)
        watch.remove()
    assert seen[0].is_contiguous()
    assert not head._forward_pre_hooks


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_replies_come_in_the_order_of_the_prompts(batch, smollm2):
    from espejo.model.loading import load_tokenizer

    tokenizer = load_tokenizer(smollm2)
    model = tiny.llama(len(tokenizer))
    how = generation.settings(tokenizer, "<|im_end|>", {**smollm2["generate"], "temperature": 0})
    prompts = ["uno dos tres cuatro", "a", "hola q tal", "bien y vos", "x"]
    alone = [
        generation.reply_all(model, tokenizer, [prompt], how, [], seed=1)[0] for prompt in prompts
    ]
    got = generation.reply_all(model, tokenizer, prompts, how, [], seed=1, batch=batch)
    assert got == alone


def test_replies_that_end_early_leave_the_others_as_they_are():
    tokenizer = tiny.tokenizer(["<s>", "</s>"], "</s>")
    model = tiny.llama(len(tokenizer), seed=4)
    prompts = ["hola", "che bien vos", "dale dale", "voy", ": … bien"]
    asked = tokenizer(prompts, padding=True, padding_side="left", return_tensors="pt")
    plain = GenerationConfig(
        do_sample=False, max_new_tokens=30, pad_token_id=tokenizer.pad_token_id
    )
    unending = GenerationConfig(**plain.to_diff_dict(), eos_token_id=[len(tokenizer) + 1])
    whole = model.generate(**asked, generation_config=plain)[:, asked["input_ids"].shape[1] :]
    # A token that some rows come to early, some late and some perhaps never ends a reply.
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
    read = []
    model.get_input_embeddings().register_forward_pre_hook(
        lambda _, given: read.append(given[0].shape[0])
    )
    nothing = generation.LogitsProcessorList()
    texts = generation._written(model, tokenizer, asked, ending, nothing, stops=())
    for row, at, text in zip(whole.tolist(), first[end], texts, strict=True):
        assert text.startswith(tokenizer.decode(row[: at + 1]))
    assert read[0] == len(prompts) > read[-1] > 0  # who is done is not computed any further
    # A text that ends a reply counts as well as a token.
    alike = generation._written(model, tokenizer, asked, unending, nothing, [tokenizer.decode(end)])
    assert [generation.ended(text, [tokenizer.decode(end)]) for text in alike] == [
        generation.ended(text, [tokenizer.decode(end)]) for text in texts
    ]
