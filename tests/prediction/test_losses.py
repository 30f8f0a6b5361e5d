"""Losses of tokens: sums by hand, batching that changes nothing, and losses that are NaN."""

import math

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from espejo.core.errors import UserError
from espejo.prediction.losses import of_candidates, of_reply, per_example, token_losses
from tests.helpers import tiny


def rows(lengths, first_label, seed=1, vocabulary=50):
    """Random examples; labels from place `first_label` on, the last token being the end."""
    drawn = np.random.default_rng(seed)
    examples = []
    for length in lengths:
        ids = drawn.integers(1, vocabulary, length).tolist()
        labels = [-100] * first_label + ids[first_label:]
        kinds = [""] * first_label + ["message"] * (length - first_label - 1) + ["end"]
        examples.append({"input_ids": ids, "labels": labels, "kinds": kinds})
    return examples


def one_by_one(model, row):
    """The losses of one example, the plain way: log-softmax over all logits, no padding."""
    with torch.no_grad():
        logits = model(torch.tensor([row["input_ids"]])).logits[0]
    log_probs = torch.log_softmax(logits.double(), dim=-1)
    return [
        -log_probs[position - 1, label].item()
        for position, label in enumerate(row["labels"])
        if label != -100 and position > 0
    ]


@pytest.mark.parametrize("batch_tokens", [10, 64, 10_000])
def test_batches_give_the_losses_of_one_by_one(batch_tokens):
    model = tiny.llama(50)
    examples = rows([12, 5, 30, 7, 30, 19], first_label=4)
    got = token_losses(model, examples, batch_tokens)
    for losses, row in zip(got, examples, strict=True):
        assert losses.tolist() == pytest.approx(one_by_one(model, row), abs=1e-3)


@pytest.mark.parametrize(("batch_tokens", "batches"), [(10, 6), (10_000, 1)])
def test_what_all_texts_begin_with_is_read_once_a_batch(batch_tokens, batches):
    model = tiny.llama(50)
    examples = rows([32, 25, 50, 27, 40, 39], first_label=21)
    for row in examples:
        row["input_ids"][:20] = examples[0]["input_ids"][:20]
    for place, row in enumerate(examples):
        row["input_ids"][20] = place + 1  # from here on they differ
    other = rows([30, 22], first_label=5, seed=2)  # of another beginning, and too few
    examples = [other[0], *examples, other[1]]
    expected = [one_by_one(model, row) for row in examples]
    read = []
    model.get_input_embeddings().register_forward_pre_hook(
        lambda _, inputs: read.append(inputs[0].numel())
    )
    got = token_losses(model, examples, batch_tokens)
    for losses, expected_losses in zip(got, expected, strict=True):
        assert losses.tolist() == pytest.approx(expected_losses, abs=1e-3)
    shared, alone = read[: 2 * batches], read[2 * batches :]
    assert shared[::2] == [20] * batches
    rests = [12, 5, 30, 7, 20, 19]
    assert sum(shared[1::2]) == (sum(rests) if batches == 6 else 6 * 30)
    assert sum(alone) == (30 + 22 if batches == 6 else 2 * 30)


@pytest.mark.parametrize("batch_tokens", [10, 120, 10_000])
@pytest.mark.parametrize("shared", [1, 3, 4])
def test_candidates_behind_one_prompt_get_the_losses_of_whole_texts(shared, batch_tokens):
    model = tiny.llama(50)
    prompts = [  # prompts of different length, read together where batch_tokens lets them
        rows([12, 5, 9, 20], first_label=4),
        rows([15, 13, 30, 14], first_label=11),
        rows([9, 8, 40, 9], first_label=7),
    ]
    for candidates, first in zip(prompts, (4, 11, 7), strict=True):
        for row in candidates:  # of the prompt all but the last 4 - `shared` are one state
            same = first - 4 + shared
            row["input_ids"][:same] = candidates[0]["input_ids"][:same]
    got = of_candidates(model, prompts, batch_tokens)
    alone = [[sum(one_by_one(model, row)) for row in candidates] for candidates in prompts]
    assert got == pytest.approx(np.array(alone), abs=1e-3)


def test_candidates_are_scored_by_the_adapter_as_well():
    model = get_peft_model(tiny.llama(50), LoraConfig(target_modules=["q_proj"], r=2))
    torch.nn.init.normal_(
        model.base_model.model.model.layers[0].self_attn.q_proj.lora_B.default.weight
    )
    candidates = rows([12, 9], first_label=4)
    candidates[1]["input_ids"][:4] = candidates[0]["input_ids"][:4]
    with_it = of_candidates(model, [candidates], 1000)[0]
    assert with_it.tolist() == pytest.approx(
        [sum(one_by_one(model, row)) for row in candidates], abs=1e-3
    )
    with model.disable_adapter():
        without = of_candidates(model, [candidates], 1000)[0]
    assert not np.allclose(with_it, without)


def test_labels_from_the_first_token_on_are_scored_but_for_the_first():
    model = tiny.llama(50)
    examples = rows([9, 6], first_label=0)
    got = token_losses(model, examples, 1000)
    assert [len(losses) for losses in got] == [8, 5]
    assert got[1].tolist() == pytest.approx(one_by_one(model, examples[1]), abs=1e-3)


def test_the_losses_of_replies_are_picked_out_of_those_of_whole_texts():
    model = tiny.llama(50)
    replies = rows([9, 14, 6], first_label=4)
    whole = [{**row, "labels": row["input_ids"]} for row in replies]
    got = of_reply(token_losses(model, whole, 1000), whole)
    for losses, row in zip(got, replies, strict=True):
        assert losses.tolist() == pytest.approx(one_by_one(model, row), abs=1e-3)


def broken(token=None):
    """A model whose losses are NaN at all tokens, or after one of them."""
    model = tiny.llama(50)
    with torch.no_grad():
        model.get_input_embeddings().weight[slice(None) if token is None else token] = math.nan
    return model


def marked(*lengths):
    """Examples whose tokens are below 40; the second text alone holds token 45, in its prompt."""
    examples = rows(lengths, first_label=4, vocabulary=40)
    examples[1]["input_ids"][2] = 45
    return examples


@pytest.mark.parametrize(("token", "bad"), [(None, 14), (45, 5)], ids=["all", "a few"])
def test_losses_that_are_no_numbers_are_told_with_what_to_do(token, bad):
    # Labels from place 4 on: 8, 5 and 1.
    with pytest.raises(UserError) as told:
        token_losses(broken(token), marked(12, 9, 5), 1000, "scoring tuned")
    assert str(told.value) == (
        f"While scoring tuned, {bad} of the 14 losses of a batch were not finite numbers, so that "
        "nothing can be measured: lower train.learning_rate and train again, or set "
        "model.precision=float32."
    )


def test_losses_that_are_no_numbers_end_the_scoring_at_once():
    model, read = broken(), []
    model.get_input_embeddings().register_forward_hook(lambda *_: read.append(1))
    with pytest.raises(UserError):
        token_losses(model, marked(12, 9, 5), 10)  # three batches of one
    assert read == [1]


@pytest.mark.parametrize(("token", "bad"), [(None, 14), (45, 8)], ids=["all", "a few"])
def test_candidates_whose_losses_are_no_numbers_are_told(token, bad):
    prompts = [rows([9, 7], 4, vocabulary=40), rows([8, 6], 4, seed=2, vocabulary=40)]
    for candidates in prompts:  # 5 + 3 and 4 + 2 labels
        candidates[1]["input_ids"][:4] = candidates[0]["input_ids"][:4]
    for candidate in prompts[0]:
        candidate["input_ids"][1] = 45
    with pytest.raises(UserError, match=f"While ranking tuned, {bad} of the 14 losses of a batch"):
        of_candidates(broken(token), prompts, 1000, "ranking tuned")


def test_nothing_to_score():
    model = tiny.llama(50)
    assert of_candidates(model, [], 1000).size == 0
    assert token_losses(model, [], 1000) == []
    assert per_example([], [], [])["own_nats"].tolist() == []


def test_an_adapter_is_scored_with_and_without():
    model = get_peft_model(tiny.llama(50), LoraConfig(target_modules=["q_proj"], r=4)).eval()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=5.0)
    examples = rows([9, 14], first_label=4)
    tuned = token_losses(model, examples, 1000)
    with model.disable_adapter():
        base = token_losses(model, examples, 1000)
        assert base[1].tolist() == pytest.approx(one_by_one(model, examples[1]), abs=1e-3)
    assert tuned[1].tolist() == pytest.approx(one_by_one(model, examples[1]), abs=1e-3)
    assert np.abs(tuned[1] - base[1]).max() > 0.01


def test_sums_count_a_separator_and_an_end_as_one_character_each():
    # "hola" + separator + "si" + end: 4 + 1 + 2 + 1 = 8 characters, 6 of them the messages' own.
    spans = [
        {"start": 10, "end": 14, "kind": "message"},
        {"start": 14, "end": 25, "kind": "separator"},
        {"start": 25, "end": 27, "kind": "message"},
        {"start": 27, "end": 37, "kind": "end"},
    ]
    kinds = ["", "", "message", "separator", "separator", "message", "end"]
    losses = np.array([1.0, 0.5, 0.25, 2.0, 0.125])
    (row,) = per_example([losses], [{"kinds": kinds}], [spans]).to_dict("records")
    assert row == {
        "nats": 3.875,
        "tokens": 5,
        "chars": 8,
        "own_nats": 3.0,
        "own_tokens": 2,
        "own_chars": 6,
    }


def test_logits_that_a_model_caps_are_scored_capped():
    # No model of conf/ does so, but Gemma 2 and 4 do, which somebody may add.
    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        initializer_range=0.5,
        final_logit_softcapping=2.0,
    )
    model = Gemma3ForCausalLM(config).eval()
    (row,) = rows([12], first_label=4)
    (losses,) = token_losses(model, [row], 64)
    assert losses.tolist() == pytest.approx(one_by_one(model, row), abs=1e-3)
