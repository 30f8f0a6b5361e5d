"""Likelihood: sums by hand, batches that change nothing, intervals that mean something."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from peft import LoraConfig, get_peft_model

from espejo.core.errors import UserError
from espejo.evaluation import likelihood
from tests.helpers import tiny

WANTED = {"bootstrap": 500, "confidence": 0.95, "seed": 7}


def rows(lengths, first_label, seed=1, vocabulary=50):
    """Random examples; labels from place `first_label` on, the last token being the end."""
    drawn = np.random.default_rng(seed)
    made = []
    for length in lengths:
        ids = drawn.integers(1, vocabulary, length).tolist()
        labels = [-100] * first_label + ids[first_label:]
        kinds = [""] * first_label + ["message"] * (length - first_label - 1) + ["end"]
        made.append({"input_ids": ids, "labels": labels, "kinds": kinds})
    return made


def one_by_one(model, row):
    """The losses of one example by another way: log-softmax over all logits, no padding."""
    with torch.no_grad():
        logits = model(torch.tensor([row["input_ids"]])).logits[0]
    foretold = torch.log_softmax(logits.double(), dim=-1)
    return [
        -foretold[at - 1, label].item()
        for at, label in enumerate(row["labels"])
        if label != -100 and at > 0
    ]


@pytest.mark.parametrize("batch_tokens", [10, 64, 10_000])
def test_batches_give_the_losses_of_one_by_one(batch_tokens):
    model = tiny.llama(50)
    examples = rows([12, 5, 30, 7, 30, 19], first_label=4)
    got = likelihood.token_losses(model, examples, batch_tokens)
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
        lambda _, given: read.append(given[0].numel())
    )
    got = likelihood.token_losses(model, examples, batch_tokens)
    for losses, wanted in zip(got, expected, strict=True):
        assert losses.tolist() == pytest.approx(wanted, abs=1e-3)
    shared, alone = read[: 2 * batches], read[2 * batches :]
    assert shared[::2] == [20] * batches
    rests = [12, 5, 30, 7, 20, 19]
    assert sum(shared[1::2]) == (sum(rests) if batches == 6 else 6 * 30)
    assert sum(alone) == (30 + 22 if batches == 6 else 2 * 30)


@pytest.mark.parametrize("batch_tokens", [10, 120, 10_000])
@pytest.mark.parametrize("shared", [1, 3, 4])
def test_candidates_behind_one_prompt_get_the_losses_of_whole_texts(shared, batch_tokens):
    model = tiny.llama(50)
    asked = [  # prompts of different length, read together where batch_tokens lets them
        rows([12, 5, 9, 20], first_label=4),
        rows([15, 13, 30, 14], first_label=11),
        rows([9, 8, 40, 9], first_label=7),
    ]
    for candidates, first in zip(asked, (4, 11, 7), strict=True):
        for row in candidates:  # of the prompt all but the last 4 - `shared` are one state
            same = first - 4 + shared
            row["input_ids"][:same] = candidates[0]["input_ids"][:same]
    got = likelihood.of_candidates(model, asked, batch_tokens)
    alone = [[sum(one_by_one(model, row)) for row in candidates] for candidates in asked]
    assert got == pytest.approx(np.array(alone), abs=1e-3)


def test_candidates_are_scored_by_the_adapter_as_well():
    model = get_peft_model(tiny.llama(50), LoraConfig(target_modules=["q_proj"], r=2))
    torch.nn.init.normal_(
        model.base_model.model.model.layers[0].self_attn.q_proj.lora_B.default.weight
    )
    candidates = rows([12, 9], first_label=4)
    candidates[1]["input_ids"][:4] = candidates[0]["input_ids"][:4]
    with_it = likelihood.of_candidates(model, [candidates], 1000)[0]
    assert with_it.tolist() == pytest.approx(
        [sum(one_by_one(model, row)) for row in candidates], abs=1e-3
    )
    with model.disable_adapter():
        without = likelihood.of_candidates(model, [candidates], 1000)[0]
    assert not np.allclose(with_it, without)


def test_labels_from_the_first_token_on_are_scored_but_for_the_first():
    model = tiny.llama(50)
    examples = rows([9, 6], first_label=0)
    got = likelihood.token_losses(model, examples, 1000)
    assert [len(losses) for losses in got] == [8, 5]
    assert got[1].tolist() == pytest.approx(one_by_one(model, examples[1]), abs=1e-3)


def test_the_losses_of_replies_are_picked_out_of_those_of_whole_texts():
    model = tiny.llama(50)
    replies = rows([9, 14, 6], first_label=4)
    whole = [{**row, "labels": row["input_ids"]} for row in replies]
    got = likelihood.of_reply(likelihood.token_losses(model, whole, 1000), whole)
    for losses, row in zip(got, replies, strict=True):
        assert losses.tolist() == pytest.approx(one_by_one(model, row), abs=1e-3)


def broken(token=None):
    """A model that loses its numbers at all tokens, or behind one of them."""
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
        likelihood.token_losses(broken(token), marked(12, 9, 5), 1000, "scoring tuned")
    assert str(told.value) == (
        f"While scoring tuned, {bad} of the 14 losses of a batch were not finite numbers, so that "
        "nothing can be measured: lower train.learning_rate and train again, or set "
        "model.precision=float32."
    )


def test_losses_that_are_no_numbers_end_the_scoring_at_once():
    model, read = broken(), []
    model.get_input_embeddings().register_forward_hook(lambda *_: read.append(1))
    with pytest.raises(UserError):
        likelihood.token_losses(model, marked(12, 9, 5), 10)  # three batches of one
    assert read == [1]


@pytest.mark.parametrize(("token", "bad"), [(None, 14), (45, 8)], ids=["all", "a few"])
def test_candidates_whose_losses_are_no_numbers_are_told(token, bad):
    asked = [rows([9, 7], 4, vocabulary=40), rows([8, 6], 4, seed=2, vocabulary=40)]
    for candidates in asked:  # 5 + 3 and 4 + 2 labels
        candidates[1]["input_ids"][:4] = candidates[0]["input_ids"][:4]
    for candidate in asked[0]:
        candidate["input_ids"][1] = 45
    with pytest.raises(UserError, match=f"While ranking tuned, {bad} of the 14 losses of a batch"):
        likelihood.of_candidates(broken(token), asked, 1000, "ranking tuned")


def test_nothing_to_score():
    model = tiny.llama(50)
    assert likelihood.of_candidates(model, [], 1000).size == 0
    assert likelihood.token_losses(model, [], 1000) == []
    assert likelihood.per_example([], [], [])["own_nats"].tolist() == []


def test_an_adapter_is_scored_with_and_without():
    model = get_peft_model(tiny.llama(50), LoraConfig(target_modules=["q_proj"], r=4)).eval()
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=5.0)
    examples = rows([9, 14], first_label=4)
    tuned = likelihood.token_losses(model, examples, 1000)
    with model.disable_adapter():
        base = likelihood.token_losses(model, examples, 1000)
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
    (row,) = likelihood.per_example([losses], [{"kinds": kinds}], [spans]).to_dict("records")
    assert row == {
        "nats": 3.875,
        "tokens": 5,
        "chars": 8,
        "own_nats": 3.0,
        "own_tokens": 2,
        "own_chars": 6,
    }


def test_measures_weigh_tokens_and_characters_not_examples():
    sums = pd.DataFrame(
        {
            "nats": [30.0, 1.0],
            "tokens": [10, 2],
            "chars": [40, 4],
            "own_nats": [27.0, 0.5],
            "own_tokens": [9, 1],
            "own_chars": [39, 3],
        }
    )
    got = likelihood.measured(sums, pd.Series([1, 2]), WANTED)
    assert got["perplexity"]["value"] == pytest.approx(math.exp(31 / 12))
    assert got["bits_per_character"]["value"] == pytest.approx(31 / math.log(2) / 44)
    assert got["own_perplexity"]["value"] == pytest.approx(math.exp(27.5 / 10))
    assert got["own_bits_per_character"]["value"] == pytest.approx(27.5 / math.log(2) / 42)
    # Two sessions give no interval.
    assert got["perplexity"]["interval"] == "too few"
    assert "low" not in got["perplexity"]


def test_replies_without_characters_of_their_own_count_with_their_marks_alone():
    some = sessions([8.0, 9.0])
    none = some.assign(own_nats=0.0, own_tokens=0, own_chars=0)
    both, number = pd.concat([some, none], ignore_index=True), pd.Series([1, 2, 3, 4])
    got = likelihood.measured(both, number, WANTED)
    assert got["own_bits_per_character"]["value"] == pytest.approx(17 / 40 / math.log(2))
    got = likelihood.measured(none, pd.Series([1, 2]), WANTED)
    nothing = {"n": 0, "interval": "too few"}
    assert got["own_perplexity"] == got["own_bits_per_character"] == nothing
    assert got["perplexity"]["value"] == pytest.approx(math.exp(17 / 20))
    assert likelihood.gain(none, none, pd.Series([1, 2]), WANTED)["own_bits_per_character"] == (
        nothing
    )


def test_a_loss_beyond_any_perplexity_is_told():
    with pytest.raises(UserError, match=r"The loss is 900 nats a token.*train\.learning_rate"):
        likelihood.measured(sessions([9000.0]), pd.Series([1]), WANTED)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_sums_that_are_not_finite_are_measured_nowhere(value):
    some = sessions(np.array([30.0, value, 31.0]))
    number = pd.Series([1, 2, 3])
    with pytest.raises(ValueError, match="finite"):
        likelihood.measured(some, number, WANTED)
    with pytest.raises(ValueError, match="finite"):
        likelihood.gain(some, some, number, WANTED)
    everything = pd.DataFrame({"id": list("abc"), "session": number})
    with pytest.raises(ValueError, match="finite"):
        likelihood.sliced({"base": some}, everything, everything)


def test_the_gain_is_paired_by_session():
    # Sessions of very different difficulty, each a little easier after training: 20 characters and
    # 2 to 3 nats saved in each. Apart the intervals overlap widely; the gain's is narrow.
    hard = np.random.default_rng(5).normal(60, 25, 40)
    saved = np.linspace(2, 3, 40)
    before, after = sessions(hard), sessions(hard - saved)
    number = pd.Series(range(40))
    apart = [likelihood.measured(sums, number, WANTED) for sums in (before, after)]
    assert apart[1]["bits_per_character"]["high"] > apart[0]["bits_per_character"]["low"]
    got = likelihood.gain(before, after, number, WANTED)["own_bits_per_character"]
    assert got["value"] == pytest.approx(2.5 / 20 / math.log(2))
    assert 2 / 20 / math.log(2) < got["low"] < got["value"] < got["high"] < 3 / 20 / math.log(2)


def test_no_training_is_no_gain():
    sums = sessions(np.random.default_rng(5).normal(60, 25, 40))
    got = likelihood.gain(sums, sums, pd.Series(range(40)), WANTED)["bits_per_character"]
    # No session differs: that is no ground for an interval of width zero.
    assert got == {"value": 0.0, "n": 40, "interval": "no spread"}


def sessions(nats):
    table = pd.DataFrame({"nats": nats, "tokens": 10, "chars": 20})
    return table.assign(own_nats=table["nats"], own_tokens=10, own_chars=20)


def test_the_interval_holds_the_value_and_narrows_with_more_sessions():
    drawn = np.random.default_rng(3)
    few, many = drawn.normal(30, 5, 12), drawn.normal(30, 5, 1200)
    widths = []
    for nats in (few, many):
        got = likelihood.measured(sessions(nats), pd.Series(range(len(nats))), WANTED)
        measure = got["bits_per_character"]
        assert measure["low"] < measure["value"] < measure["high"]
        assert measure["n"] == len(nats)
        widths.append(measure["high"] - measure["low"])
    # The width goes with one over the root of n: a hundredfold n, a tenth of it.
    assert widths[1] < widths[0] / 5


def test_the_interval_is_that_of_the_normal_theory_where_that_holds():
    # All sessions have 20 characters: the ratio is a mean, whose 95 % interval is ± 1.96 s / √n.
    nats = np.random.default_rng(5).normal(30, 5, 400)
    got = likelihood.measured(sessions(nats), pd.Series(range(400)), WANTED)
    half = 1.96 * nats.std(ddof=1) / math.sqrt(400) / 20 / math.log(2)
    measure = got["bits_per_character"]
    assert measure["value"] - measure["low"] == pytest.approx(half, rel=0.2)
    assert measure["high"] - measure["value"] == pytest.approx(half, rel=0.2)


def test_replies_of_one_session_are_drawn_together():
    # Ten sessions of a hundred equal replies: as replies there are 1,000, as sessions ten.
    nats = np.repeat(np.random.default_rng(5).normal(30, 5, 10), 100)
    together = likelihood.measured(sessions(nats), pd.Series(np.repeat(range(10), 100)), WANTED)
    apart = likelihood.measured(sessions(nats), pd.Series(range(1000)), WANTED)
    widths = [
        measures["bits_per_character"]["high"] - measures["bits_per_character"]["low"]
        for measures in (together, apart)
    ]
    assert widths[0] > 5 * widths[1]


def test_slices_by_position_and_length():
    # Session 1: three replies, the first two in train; session 2: two replies.
    everything = pd.DataFrame({"id": list("abcde"), "session": [1, 1, 1, 2, 2]})
    rows = everything.iloc[2:].reset_index(drop=True)  # c is third; d and e are first and second
    nats = math.log(2) * np.array([20.0, 30.0, 8.0])  # 20, 30 and 8 bits
    base = pd.DataFrame({"own_nats": nats, "own_chars": [10, 10, 11]})
    sums = {"base": base, "tuned": base.assign(own_nats=nats / 2)}
    got = likelihood.sliced(sums, rows, everything)
    assert got[["by", "slice", "replies"]].values.tolist() == [
        ["position", "1", 1],
        ["position", "2", 1],
        ["position", "3–4", 1],
        ["length", "1–10", 2],  # c and d: 50 bits for 20 characters
        ["length", "11–20", 1],
    ]
    assert got["base"].tolist() == pytest.approx([3.0, 8 / 11, 2.0, 2.5, 8 / 11])
    assert got["tuned"].tolist() == pytest.approx([1.5, 4 / 11, 1.0, 1.25, 4 / 11])
