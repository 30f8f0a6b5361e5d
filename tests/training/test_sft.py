"""Training on tiny models: what is learnt, which settings are refused, and reproducible runs."""

import json
import tempfile
from pathlib import Path

import pytest
import torch
import trl.trainer.utils
from pydantic import ValidationError
from transformers import (
    AutoModelForCausalLM,
    Phi3Config,
    SmolLM3Config,
    TrainerCallback,
    TrainingArguments,
)

from espejo.core.errors import UserError
from espejo.model import loading
from espejo.training import sft
from tests.helpers import tiny
from tests.helpers.configs import changed

VOCABULARY = 40
IDS = [5, 6, 7, 8, 9, 10, 11, 12]


def example(prompt, reply):
    """A prompt and a reply as token ids, the reply labelled."""
    return {
        "input_ids": prompt + reply,
        "labels": [-100] * len(prompt) + reply,
        "kinds": [""] * len(prompt) + ["message"] * len(reply),
    }


PAIRS = [example([1, 20 + n], [IDS[n], IDS[n - 1], 2]) for n in range(8)]


@pytest.fixture
def config(configs):
    """The default training settings, with a short training."""
    return changed(configs().train, epochs=2, batch_size=2, evals_per_run=2, log_steps=1)


@pytest.fixture
def tokenizer():
    return tiny.tokenizer(["<s>", "</s>"], "</s>")


def adapter(trained):
    return {
        name: weight.detach().clone()
        for name, weight in trained.model.named_parameters()
        if "lora" in name
    }


def run(config, tokenizer, tmp_path, rows=PAIRS, **model):
    fresh = Path(tempfile.mkdtemp(dir=tmp_path))  # no checkpoints to resume from
    return sft.train(tiny.llama(VOCABULARY, **model), tokenizer, rows, rows, config, fresh)


def test_a_model_learns_the_replies_and_the_curve_shows_it(config, tokenizer, tmp_path):
    trained = run(
        changed(config, epochs=60, learning_rate=0.02, method="full"), tokenizer, tmp_path
    )
    assert trained.curve["validation"].dropna().iloc[-1] < 0.1
    ids = torch.tensor([PAIRS[3]["input_ids"][:2]])
    with torch.no_grad():
        for _ in range(3):
            following = trained.model(input_ids=ids).logits[:, -1].argmax(-1, keepdim=True)
            ids = torch.cat([ids, following], dim=1)
    assert ids[0].tolist() == PAIRS[3]["input_ids"]


class Logged(TrainerCallback):
    def __init__(self):
        self.entries = []

    def on_log(self, args, state, control, logs=None, **_):
        self.entries.append(dict(logs))


def test_what_the_trainer_logs_is_measured(config, tokenizer, tmp_path):
    logged = Logged()
    longer = changed(config, epochs=60, learning_rate=0.02)
    model = tiny.llama(VOCABULARY)
    sft.train(model, tokenizer, PAIRS, PAIRS, longer, tmp_path, callbacks=[logged])
    steps = [entry for entry in logged.entries if "loss" in entry]
    # With the same head, the random model predicts almost nothing and the trained one most.
    assert steps[0]["mean_token_accuracy"] < 0.2
    assert steps[-1]["mean_token_accuracy"] > 0.6
    assert not [entry for entry in logged.entries if any("entropy" in key for key in entry)]


def test_adapters_can_stand_in_the_last_layers_alone(config, tokenizer, tmp_path):
    trained = run(changed(config, layers=1), tokenizer, tmp_path)
    assert {name.split("layers.")[1][0] for name in adapter(trained)} == {"1"}  # of 0 and 1
    # Half of what both layers hold: see the count of both below.
    assert (
        trained.metrics["trainable_parameters"] * 2
        == run(config, tokenizer, tmp_path).metrics["trainable_parameters"]
    )


@pytest.mark.parametrize(
    "key", ["epochs", "batch_size", "micro_batch_size", "evals_per_run", "log_steps", "layers"]
)
def test_a_number_that_leaves_nothing_to_do_is_refused(config, key):
    with pytest.raises(
        ValidationError, match=rf"{key}\n  Input should be greater than or equal to 1"
    ):
        changed(config, **{key: 0})


def test_metrics_count_steps_and_tokens(config, tokenizer, tmp_path):
    metrics = run(config, tokenizer, tmp_path).metrics
    # 8 examples of 5 tokens, 3 of them labelled, in batches of 2, twice over.
    assert metrics["steps"] == 8
    assert metrics["tokens_per_epoch"] == 40
    assert metrics["learnt_tokens_per_epoch"] == 24
    assert (metrics["texts"], metrics["learnt_texts"]) == (8, 8)
    # 2 layers, rank 16, hidden 32: q and o are 32 to 32, k and v 32 to 16.
    assert metrics["trainable_parameters"] == 2 * 16 * (2 * (32 + 32) + 2 * (32 + 16))


class RowsSeen(TrainerCallback):
    """Records which of PAIRS (identified by their second token: 20, 21 …) training saw at each
    step."""

    def __init__(self):
        self.rows, self.until = [], {}

    def on_train_begin(self, args, state, control, model=None, **_):
        model.get_input_embeddings().register_forward_hook(self._embedded)

    def _embedded(self, module, arguments, output):
        if torch.is_grad_enabled():
            self.rows += arguments[0][:, 1].tolist()

    def on_step_end(self, args, state, control, **_):
        self.until[state.global_step] = {token - 20 for token in self.rows}


@pytest.mark.parametrize(("batch_size", "at_once"), [(2, None), (4, 2)])
def test_only_what_the_kept_state_came_to_is_learnt(
    config, tokenizer, tmp_path, batch_size, at_once
):
    # Steps so large that each evaluation is worse than the last: the first checkpoint is kept.
    worse = changed(
        config,
        epochs=1,
        evals_per_run=4,
        learning_rate=3.0,
        scheduler="constant",
        batch_size=batch_size,
        micro_batch_size=at_once,
        method="full",
        warmup_ratio=0.0,
    )
    seen, model = RowsSeen(), tiny.llama(VOCABULARY)
    trained = sft.train(model, tokenizer, PAIRS, PAIRS, worse, tmp_path, callbacks=[seen])
    assert trained.metrics["best_step"] < trained.metrics["steps"]
    assert trained.learnt == sorted(seen.until[trained.metrics["best_step"]])
    assert 0 < len(trained.learnt) < 8
    assert run(config, tokenizer, tmp_path).learnt == list(range(8))


def test_texts_one_by_one_learn_what_a_whole_batch_learns(config, tokenizer, tmp_path):
    def learnt(**batches):
        trained = run(changed(config, **batches), tokenizer, tmp_path)
        return trained.metrics["steps"], torch.cat([w.ravel() for w in adapter(trained).values()])

    (steps, whole), (same_steps, single) = (
        learnt(batch_size=4, micro_batch_size=at_once) for at_once in (None, 1)
    )
    assert steps == same_steps == 4  # 8 texts, 4 a step, twice over
    assert torch.allclose(single, whole, atol=1e-5)
    assert not torch.allclose(learnt(batch_size=1)[1], whole, atol=1e-3)


def test_two_runs_give_the_same_adapter_and_another_seed_gives_another(config, tokenizer, tmp_path):
    first, second = (adapter(run(config, tokenizer, tmp_path)) for _ in range(2))
    other = adapter(run(changed(config, seed=8), tokenizer, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_logits_at_labels_only_give_the_same_adapter_as_all_logits(
    config, tokenizer, tmp_path, monkeypatch
):
    calls = []

    def switch(value):
        def use(device):
            calls.append(value)
            return value

        monkeypatch.setattr(trl.trainer.utils, "_use_triton", use)

    assert trl.trainer.utils._use_triton(torch.device("cpu")) is True  # as espejo sets it
    switch(True)
    at_labels = adapter(run(config, tokenizer, tmp_path))
    switch(False)
    everywhere = adapter(run(config, tokenizer, tmp_path))
    assert {True, False} == set(calls)  # TRL's loss still reads it
    for name in at_labels:
        torch.testing.assert_close(at_labels[name], everywhere[name], rtol=0, atol=1e-6)


class Watched(TrainerCallback):
    """The shapes of the batches in training, and the dtypes that the model computes in."""

    def __init__(self):
        self.shapes, self.dtypes = set(), set()

    def on_train_begin(self, args, state, control, model=None, **_):
        model.get_input_embeddings().register_forward_hook(self._embedded)
        model.get_decoder().layers[0].self_attn.v_proj.register_forward_hook(self._computed)

    def _embedded(self, module, arguments, output):
        if torch.is_grad_enabled():
            self.shapes.add(tuple(arguments[0].shape))

    def _computed(self, module, arguments, output):
        self.dtypes.add(output.dtype)


# Pairs of PAIRS are 5 tokens long; one example of 9 goes over a multiple of 8.
LONG = example([1, 20, 21, 22, 23, 24, 25], [IDS[0], 2])


@pytest.mark.parametrize(
    ("padding", "shapes"), [(None, {(2, 5), (2, 9)}), (8, {(2, 8), (2, 16)}), (256, {(2, 256)})]
)
def test_texts_are_padded_to_the_longest_of_their_batch_or_to_a_multiple(
    config, tokenizer, tmp_path, padding, shapes
):
    watched = Watched()
    settings = changed(config, padding=padding, epochs=1)
    rows = [*PAIRS[:7], LONG]
    model = tiny.llama(VOCABULARY)
    sft.train(model, tokenizer, rows, rows, settings, tmp_path, callbacks=[watched])
    assert watched.shapes == shapes


def test_padding_is_not_learnt(config, tokenizer, tmp_path):
    narrow = adapter(run(config, tokenizer, tmp_path))
    wide = adapter(run(changed(config, padding=64), tokenizer, tmp_path))
    for name in narrow:
        torch.testing.assert_close(wide[name], narrow[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("precision", "computed"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_all_weights_are_trained_in_the_precision_of_the_model(
    config, tokenizer, tmp_path, precision, computed
):
    watched = Watched()
    model, settings = tiny.llama(VOCABULARY), changed(config, method="full", max_steps=1)
    sft.train(
        *(model, tokenizer, PAIRS, PAIRS, settings, tmp_path),
        precision=precision,
        callbacks=[watched],
    )
    assert watched.dtypes == {computed}
    assert model.dtype == torch.float32


def test_what_is_not_labelled_is_not_learnt(config, tokenizer, tmp_path):
    # The prompts differ in their second token, which has no label.
    trained = run(
        changed(config, epochs=60, learning_rate=0.02, method="full"), tokenizer, tmp_path
    )
    with torch.no_grad():
        logits = trained.model(input_ids=torch.tensor([[1]])).logits[0, -1]
    prompts = logits.softmax(-1)[[20 + n for n in range(8)]].sum()
    assert prompts < 0.5  # if the prompts were learnt, it would be nearly 1


def test_loss_on_text_trains_all_weights(config, tokenizer, tmp_path):
    before = tiny.llama(VOCABULARY)
    trained = run(changed(config, method="full", learning_rate=0.01), tokenizer, tmp_path)
    assert trained.metrics["trainable_parameters"] == before.num_parameters()
    pairs = zip(before.parameters(), trained.model.parameters(), strict=True)
    assert not any(torch.equal(first, second) for first, second in pairs)


def test_targets_that_match_nothing_are_an_error(config, tokenizer, tmp_path):
    with pytest.raises(UserError, match="does not have: gate_up_proj, qkv_proj"):
        run(changed(config, targets=["qkv_proj", "gate_up_proj", "o_proj"]), tokenizer, tmp_path)


def test_a_nan_loss_stops_with_advice(config, tokenizer, tmp_path):
    settings = changed(config, learning_rate=1e30, method="full", max_grad_norm=1e30)
    with pytest.raises(UserError, match=r"lower train\.learning_rate"):
        run(settings, tokenizer, tmp_path)


def test_saving_twice_gives_the_same_bytes_and_no_path(config, tokenizer, tmp_path):
    manifest = {"model": {"id": "tiny"}, "train": config.model_dump()}
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        trained = run(config, tokenizer, tmp_path)
        loading.save(trained.model, tokenizer, folder, manifest)
    first, second = (
        {file.name: file.read_bytes() for file in sorted(folder.iterdir())} for folder in folders
    )
    assert first == second
    assert "adapter_model.safetensors" in first
    saved = json.loads(first["adapter_config.json"])
    assert saved["target_modules"] == sorted(config.targets)
    assert saved["base_model_name_or_path"] == "tiny"
    assert not [name for name, content in first.items() if str(tmp_path).encode() in content]


@pytest.mark.parametrize(
    ("name", "architecture"), [("phi3", Phi3Config), ("smollm3", SmolLM3Config)]
)
def test_every_target_of_a_hub_model_is_a_module_of_its_architecture(configs, name, architecture):
    train = configs(f"model={name}").train
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    config = architecture(
        vocab_size=VOCABULARY, num_hidden_layers=2, num_key_value_heads=2, pad_token_id=0, **shape
    )
    model = sft.add_lora(AutoModelForCausalLM.from_config(config), train)
    touched = [name for name, _ in model.named_modules() if name.endswith("lora_A.default")]
    assert len(touched) == 2 * len(train.targets)


def test_a_mac_trains_on_its_processor(config, tokenizer, tmp_path, apple):
    assert TrainingArguments(str(tmp_path)).device.type == "mps"  # the default
    trained = run(changed(config, max_steps=1), tokenizer, tmp_path)
    assert {weight.device.type for weight in trained.model.parameters()} == {"cpu"}
