"""Training on tiny models: what is learnt, what is refused, and that two runs agree bit by bit."""

import json
import tempfile
from pathlib import Path

import pytest
import torch
import trl.trainer.utils
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
def wanted(composed):
    """The default training settings, hastened."""
    return composed()["train"] | {"epochs": 2, "batch_size": 2, "evals_per_run": 2, "log_steps": 1}


@pytest.fixture
def tokenizer():
    return tiny.tokenizer(["<s>", "</s>"], "</s>")


def adapter(trained):
    return {
        name: weight.detach().clone()
        for name, weight in trained.model.named_parameters()
        if "lora" in name
    }


def run(wanted, tokenizer, tmp_path, rows=PAIRS, **model):
    fresh = Path(tempfile.mkdtemp(dir=tmp_path))  # nothing to go on with
    return sft.train(tiny.llama(VOCABULARY, **model), tokenizer, rows, rows, wanted, fresh)


def test_a_model_learns_the_replies_and_the_curve_shows_it(wanted, tokenizer, tmp_path):
    trained = run(
        wanted | {"epochs": 60, "learning_rate": 0.02, "method": "full"}, tokenizer, tmp_path
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


def test_what_the_trainer_logs_was_measured(wanted, tokenizer, tmp_path):
    seen = Logged()
    longer = wanted | {"epochs": 60, "learning_rate": 0.02}
    model = tiny.llama(VOCABULARY)
    sft.train(model, tokenizer, PAIRS, PAIRS, longer, tmp_path, watchers=[seen])
    steps = [entry for entry in seen.entries if "loss" in entry]
    # The random model foretells next to nothing, the trained one most, through the same head.
    assert steps[0]["mean_token_accuracy"] < 0.2
    assert steps[-1]["mean_token_accuracy"] > 0.6
    assert not [entry for entry in seen.entries if any("entropy" in key for key in entry)]


def test_adapters_can_stand_in_the_last_layers_alone(wanted, tokenizer, tmp_path):
    trained = run(wanted | {"layers": 1}, tokenizer, tmp_path)
    assert {name.split("layers.")[1][0] for name in adapter(trained)} == {"1"}  # of 0 and 1
    # Half of what both layers hold: see the count of both below.
    assert (
        trained.facts["trainable_parameters"] * 2
        == run(wanted, tokenizer, tmp_path).facts["trainable_parameters"]
    )


@pytest.mark.parametrize(
    "key", ["epochs", "batch_size", "micro_batch_size", "evals_per_run", "log_steps", "layers"]
)
def test_a_number_that_leaves_nothing_to_do_is_named(wanted, tokenizer, tmp_path, key):
    with pytest.raises(UserError, match=rf"train\.{key} is 0: it must be 1 or more"):
        run(wanted | {key: 0}, tokenizer, tmp_path)


def test_facts_count_steps_and_tokens(wanted, tokenizer, tmp_path):
    facts = run(wanted, tokenizer, tmp_path).facts
    # 8 examples of 5 tokens, 3 of them labelled, in batches of 2, twice over.
    assert facts["steps"] == 8
    assert facts["tokens_per_epoch"] == 40
    assert facts["learnt_tokens_per_epoch"] == 24
    # 2 layers, rank 16, hidden 32: q and o are 32 to 32, k and v 32 to 16.
    assert facts["trainable_parameters"] == 2 * 16 * (2 * (32 + 32) + 2 * (32 + 16))


class Read(TrainerCallback):
    """The second tokens of the rows that are learnt from, up to each step; of PAIRS 20, 21 …"""

    def __init__(self):
        self.rows, self.until = [], {}

    def on_train_begin(self, args, state, control, model=None, **_):
        model.get_input_embeddings().register_forward_hook(self._given)

    def _given(self, module, given, out):
        if torch.is_grad_enabled():
            self.rows += given[0][:, 1].tolist()

    def on_step_end(self, args, state, control, **_):
        self.until[state.global_step] = {token - 20 for token in self.rows}


@pytest.mark.parametrize(("batch_size", "at_once"), [(2, None), (4, 2)])
def test_only_what_the_kept_state_came_to_is_learnt(
    wanted, tokenizer, tmp_path, batch_size, at_once
):
    # So large a step that each look is worse than the one before: the first is kept.
    worse = wanted | {
        "epochs": 1,
        "evals_per_run": 4,
        "learning_rate": 3.0,
        "scheduler": "constant",
    }
    worse |= {"batch_size": batch_size, "micro_batch_size": at_once}
    worse |= {"method": "full", "warmup_ratio": 0.0}
    read, model = Read(), tiny.llama(VOCABULARY)
    trained = sft.train(model, tokenizer, PAIRS, PAIRS, worse, tmp_path, watchers=[read])
    assert trained.facts["best_step"] < trained.facts["steps"]
    assert trained.learnt == sorted(read.until[trained.facts["best_step"]])
    assert 0 < len(trained.learnt) < 8
    assert run(wanted, tokenizer, tmp_path).learnt == list(range(8))


def test_texts_one_by_one_learn_what_a_whole_batch_learns(wanted, tokenizer, tmp_path):
    def learnt(**batches):
        trained = run(wanted | batches, tokenizer, tmp_path)
        return trained.facts["steps"], torch.cat([w.ravel() for w in adapter(trained).values()])

    (steps, whole), (same_steps, single) = (
        learnt(batch_size=4, micro_batch_size=at_once) for at_once in (None, 1)
    )
    assert steps == same_steps == 4  # 8 texts, 4 a step, twice over
    assert torch.allclose(single, whole, atol=1e-5)
    assert not torch.allclose(learnt(batch_size=1)[1], whole, atol=1e-3)


def test_two_runs_give_the_same_adapter_and_another_seed_gives_another(wanted, tokenizer, tmp_path):
    first, second = (adapter(run(wanted, tokenizer, tmp_path)) for _ in range(2))
    other = adapter(run(wanted | {"seed": 8}, tokenizer, tmp_path))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


def test_logits_at_labels_only_give_the_same_adapter_as_all_logits(
    wanted, tokenizer, tmp_path, monkeypatch
):
    asked = []

    def switch(value):
        def use(device):
            asked.append(value)
            return value

        monkeypatch.setattr(trl.trainer.utils, "_use_triton", use)

    assert trl.trainer.utils._use_triton(torch.device("cpu")) is True  # as espejo sets it
    switch(True)
    few = adapter(run(wanted, tokenizer, tmp_path))
    switch(False)
    every = adapter(run(wanted, tokenizer, tmp_path))
    assert {True, False} == set(asked)  # the setting is still read by TRL's loss
    for name in few:
        torch.testing.assert_close(few[name], every[name], rtol=0, atol=1e-6)


class Seen(TrainerCallback):
    """The shapes that a model is given in training, and the type it computes in."""

    def __init__(self):
        self.shapes, self.types = set(), set()

    def on_train_begin(self, args, state, control, model=None, **_):
        model.get_input_embeddings().register_forward_hook(self._given)
        model.get_decoder().layers[0].self_attn.v_proj.register_forward_hook(self._computed)

    def _given(self, module, given, out):
        if torch.is_grad_enabled():
            self.shapes.add(tuple(given[0].shape))

    def _computed(self, module, given, out):
        self.types.add(out.dtype)


# Pairs of PAIRS are 5 tokens long; one example of 9 goes over a multiple of 8.
LONG = example([1, 20, 21, 22, 23, 24, 25], [IDS[0], 2])


@pytest.mark.parametrize(
    ("padding", "shapes"), [(None, {(2, 5), (2, 9)}), (8, {(2, 8), (2, 16)}), (256, {(2, 256)})]
)
def test_texts_are_padded_to_the_longest_of_their_batch_or_to_a_multiple(
    wanted, tokenizer, tmp_path, padding, shapes
):
    seen = Seen()
    settings = wanted | {"padding": padding, "epochs": 1}
    rows = [*PAIRS[:7], LONG]
    model = tiny.llama(VOCABULARY)
    sft.train(model, tokenizer, rows, rows, settings, tmp_path, watchers=[seen])
    assert seen.shapes == shapes


def test_padding_is_not_learnt(wanted, tokenizer, tmp_path):
    narrow = adapter(run(wanted, tokenizer, tmp_path))
    wide = adapter(run(wanted | {"padding": 64}, tokenizer, tmp_path))
    for name in narrow:
        torch.testing.assert_close(wide[name], narrow[name], rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("precision", "computed"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_all_weights_are_trained_in_the_precision_of_the_model(
    wanted, tokenizer, tmp_path, precision, computed
):
    seen = Seen()
    model, settings = tiny.llama(VOCABULARY), wanted | {"method": "full", "max_steps": 1}
    sft.train(
        *(model, tokenizer, PAIRS, PAIRS, settings, tmp_path),
        precision=precision,
        watchers=[seen],
    )
    assert seen.types == {computed}
    assert model.dtype == torch.float32


def test_what_is_not_labelled_is_not_learnt(wanted, tokenizer, tmp_path):
    # The same labels behind prompts whose own tokens differ in what would be learnt of them.
    trained = run(
        wanted | {"epochs": 60, "learning_rate": 0.02, "method": "full"}, tokenizer, tmp_path
    )
    with torch.no_grad():
        logits = trained.model(input_ids=torch.tensor([[1]])).logits[0, -1]
    prompts = logits.softmax(-1)[[20 + n for n in range(8)]].sum()
    assert prompts < 0.5  # a model that had learnt the prompts would give them nearly all


def test_loss_on_text_trains_all_weights(wanted, tokenizer, tmp_path):
    before = tiny.llama(VOCABULARY)
    trained = run(wanted | {"method": "full", "learning_rate": 0.01}, tokenizer, tmp_path)
    assert trained.facts["trainable_parameters"] == before.num_parameters()
    changed = [
        not torch.equal(a, b)
        for a, b in zip(before.parameters(), trained.model.parameters(), strict=True)
    ]
    assert all(changed)


def test_targets_that_match_nothing_are_an_error(wanted, tokenizer, tmp_path):
    with pytest.raises(UserError, match="does not have: gate_up_proj, qkv_proj"):
        run(wanted | {"targets": ["qkv_proj", "gate_up_proj", "o_proj"]}, tokenizer, tmp_path)


def test_a_loss_that_is_no_number_stops_with_advice(wanted, tokenizer, tmp_path):
    settings = wanted | {"learning_rate": 1e30, "method": "full", "max_grad_norm": 1e30}
    with pytest.raises(UserError, match=r"lower train\.learning_rate"):
        run(settings, tokenizer, tmp_path)


def test_saving_twice_gives_the_same_bytes_and_no_path(wanted, tokenizer, tmp_path):
    facts = {"model": {"id": "tiny"}, "train": wanted}
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        trained = run(wanted, tokenizer, tmp_path)
        loading.save(trained.model, tokenizer, folder, facts)
    first, second = (
        {file.name: file.read_bytes() for file in sorted(folder.iterdir())} for folder in folders
    )
    assert first == second
    assert "adapter_model.safetensors" in first
    config = json.loads(first["adapter_config.json"])
    assert config["target_modules"] == sorted(wanted["targets"])
    assert config["base_model_name_or_path"] == "tiny"
    assert not [name for name, content in first.items() if str(tmp_path).encode() in content]


@pytest.mark.parametrize(
    ("name", "architecture"), [("phi3", Phi3Config), ("smollm3", SmolLM3Config)]
)
def test_every_target_of_a_hub_model_is_a_module_of_its_architecture(composed, name, architecture):
    params = composed(f"model={name}")
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4}
    config = architecture(
        vocab_size=VOCABULARY, num_hidden_layers=2, num_key_value_heads=2, pad_token_id=0, **shape
    )
    model = sft.adapted(AutoModelForCausalLM.from_config(config), params["train"])
    touched = [name for name, _ in model.named_modules() if name.endswith("lora_A.default")]
    assert len(touched) == 2 * len(params["train"]["targets"])


def test_a_mac_trains_on_its_processor(wanted, tokenizer, tmp_path, apple):
    assert TrainingArguments(str(tmp_path)).device.type == "mps"  # what would be taken by default
    trained = run(wanted | {"max_steps": 1}, tokenizer, tmp_path)
    assert {weight.device.type for weight in trained.model.parameters()} == {"cpu"}
