"""Preference tuning on tiny models: which pairs it learns from, its reference, and resuming."""

import json
import math
import tempfile
from pathlib import Path

import pandas as pd
import pytest
import torch
from transformers import TrainerCallback

from espejo.core.errors import UserError
from espejo.formatting import labels, prompts
from espejo.formatting.config import Tags
from espejo.formatting.training_texts import training_texts
from espejo.model import loading
from espejo.model.generation import Reply
from espejo.training import pairs as pairs_module
from espejo.training import preference, sft
from espejo.training.config import PreferenceConfig
from tests.helpers import tiny
from tests.helpers.configs import changed

WORDS = ["hola", "dale", "voy", "che", "bien", "vos"]
TAGS = Tags(
    start="<s>", other="hola : ", author="vos : ", turn_end="\n", reply="vos : ", end="</s>",
    closed=True,
)  # fmt: skip


@pytest.fixture
def prompter():
    tokenizer = tiny.tokenizer(["<s>", "</s>"], "</s>")
    return prompts.Prompter(
        tokenizer, system="SYS", empty_turn="…", separator="<|msg_sep|>", max_context_chars=500,
        tags=TAGS,
    )  # fmt: skip


def turn(author, *messages):
    return {"author": author, "messages": list(messages)}


@pytest.fixture
def table(prompter):
    """Six sessions of two replies each, which share a text."""
    rows = []
    for session in range(6):
        first = [turn("Ana", WORDS[session])]
        answer = [WORDS[(session + 1) % 6], WORDS[(session + 2) % 6]]
        second = [*first, turn("Eu", *answer), turn("Ana", "bien")]
        for number, (context, reply) in enumerate([(first, answer), (second, ["dale"])]):
            rows.append(
                {
                    "id": f"{session}-{number}",
                    "session": session,
                    "split": "train",
                    "context": context,
                    "reply": reply,
                    "group": False,
                }
            )
    return training_texts(pd.DataFrame(rows), prompter, "Eu", (), 8)


@pytest.fixture
def config(configs):
    train = configs("train=dpo").train
    tuned = changed(
        train.preference, learning_rate=0.003, batch_size=4, epochs=4, pairs=None, beta=0.5
    )
    return changed(
        train,
        epochs=2,
        batch_size=2,
        evals_per_run=1,
        log_steps=1,
        learning_rate=0.01,
        preference=tuned.model_dump(),
    )


def run(table, prompter, config, folder, callbacks=(), precision=torch.float32):
    torch.set_num_threads(1)
    tokenizer = prompter.tokenizer
    rows = labels.encode_table(tokenizer, table)
    model = tiny.llama(len(tokenizer)).to(precision)
    return preference.train(
        *(table, prompter, model, tokenizer, rows, rows, config, folder), callbacks=callbacks
    )


def adapter(model):
    return {
        name: weight.detach().clone() for name, weight in model.named_parameters() if "lora" in name
    }


class Logged(TrainerCallback):
    def __init__(self):
        self.entries, self.models = [], []

    def on_log(self, args, state, control, logs=None, **_):
        self.entries.append(dict(logs))

    def on_train_begin(self, args, state, control, model=None, **_):
        self.models.append({name: w.detach().clone() for name, w in model.named_parameters()})


def test_the_margin_grows_from_a_reference_that_is_the_supervised_model(
    table, prompter, config, tmp_path
):
    logged = Logged()
    trained = run(table, prompter, config, tmp_path / "a", [logged])
    steps = [entry for entry in logged.entries if "loss" in entry]
    # The model and its reference are the same before the first step: -log sigmoid(0).
    assert steps[0]["loss"] == pytest.approx(math.log(2), abs=1e-6)
    assert steps[0]["rewards/margins"] == pytest.approx(0, abs=1e-5)
    last_epoch = steps[-len(steps) // 4 :]
    assert min(entry["rewards/margins"] for entry in last_epoch) > 0.1
    assert min(entry["rewards/accuracies"] for entry in last_epoch) > 0.8
    numbers = trained.metrics["preference"]
    assert numbers["reward_margin"] == steps[-1]["rewards/margins"]
    assert numbers["steps"] == 4 * math.ceil(numbers["pairs"] / 4)
    assert not [name for entry in steps for name in entry if "logits" in name or "entropy" in name]
    # What the reference is copied from is what sft.train gives, which is not the base.
    rows = labels.encode_table(prompter.tokenizer, table)
    model = tiny.llama(len(prompter.tokenizer))
    alone = sft.train(model, prompter.tokenizer, rows, rows, config, tmp_path / "b")
    (begun,) = logged.models
    supervised = adapter(alone.model)
    assert any(weight.abs().max() > 0 for name, weight in supervised.items() if "lora_B" in name)
    for name, weight in supervised.items():
        assert torch.equal(begun[name], weight)
        assert torch.equal(begun[name.replace(".default.", ".ref.")], weight)
    # And what is left has one adapter, over the same base.
    assert list(trained.model.peft_config) == ["default"]
    assert not [name for name in adapter(trained.model) if ".ref." in name]
    assert any(not torch.equal(adapter(trained.model)[n], w) for n, w in supervised.items())
    ids = torch.tensor([rows[0]["input_ids"]])
    with torch.no_grad(), trained.model.disable_adapter():
        base = trained.model(input_ids=ids).logits
    with torch.no_grad():
        torch.testing.assert_close(base, tiny.llama(len(prompter.tokenizer))(ids).logits)


def replying(monkeypatch, *texts):
    """The model's own replies, in turn."""

    def reply_all(model, tokenizer, texts_before, *_, **__):
        return [texts[index % len(texts)] for index in range(len(texts_before))]

    monkeypatch.setattr(pairs_module, "reply_all", reply_all)


def tokens(prompter, text):
    return prompter.tokenizer(text, add_special_tokens=False)["input_ids"]


def test_pairs_have_the_tokens_that_the_supervised_training_had(table, prompter, monkeypatch):
    replying(monkeypatch, Reply("che<|msg_sep|>vos", True))
    pairs, account = pairs_module.own_replies(None, prompter, table, None, 7)
    assert account == {
        "unit": "replies",
        "in": 12,
        "out": 12,
        "dropped": {"empty": 0, "not_asked": 0, "prompt_differs": 0, "same": 0},
    }
    encoded = labels.encode_table(prompter.tokenizer, table)
    assert len(encoded) == 6  # two replies in a text
    for index, pair in enumerate(pairs):
        row, prompt = encoded[index // 2], pair["prompt_ids"]
        whole = prompt + pair["chosen_ids"]
        assert row["input_ids"][: len(whole)] == whole
        learnt = row["labels"][len(prompt) : len(whole)]
        assert learnt == pair["chosen_ids"]  # the end token too
        assert pair["chosen_ids"][-1] == tokens(prompter, "</s>")[0]
        assert pair["rejected_ids"] == tokens(prompter, "che<|msg_sep|>vos</s>")


def test_what_is_no_pair_is_dropped_and_counted(table, prompter, monkeypatch):
    replying(
        monkeypatch, Reply("", True), Reply("dale", True), Reply(" ", True), Reply("vos vos", False)
    )
    pairs, account = pairs_module.own_replies(None, prompter, table, None, 7)
    # Of the replies 0 to 11, every other (1, 3 …) is "dale": 1, 5 and 9 are the same.
    assert account["dropped"] == {"empty": 6, "not_asked": 0, "prompt_differs": 0, "same": 3}
    assert len(pairs) == account["out"] == 3
    for pair in pairs:  # the model did not end it
        assert pair["rejected_ids"] == tokens(prompter, "vos vos")


def test_a_number_of_pairs_is_spread_over_the_texts(table, prompter, monkeypatch):
    replying(monkeypatch, Reply("vos", True))
    every, _ = pairs_module.own_replies(None, prompter, table, None, 7)
    some, account = pairs_module.own_replies(None, prompter, table, 3, 7)
    assert some == [every[0], every[6], every[11]]  # 0, 5.5 and 11, rounded to even
    assert account["dropped"]["not_asked"] == 9


def test_two_runs_give_the_same_bytes(table, prompter, config, tmp_path):
    manifest = {"model": {"id": "tiny"}, "train": config.model_dump()}
    written = []
    for name in ("first", "second"):
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        trained = run(table, prompter, config, folder, precision=torch.bfloat16)
        assert {w.dtype for w in adapter(trained.model).values()} == {torch.bfloat16}
        loading.save(trained.model, prompter.tokenizer, tmp_path / name, manifest)
        files = {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()}
        written.append((files, trained.metrics, trained.curve.to_json()))
    assert written[0] == written[1]
    assert set(written[0][0]) >= {"adapter_model.safetensors", "adapter_config.json"}
    assert not [name for name in written[0][0] if "ref" in name]


class Stop(TrainerCallback):
    def __init__(self, step):
        self._step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self._step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_a_stopped_run_repeats_nothing_and_ends_the_same(
    table, prompter, config, tmp_path, monkeypatch, precision
):
    whole = run(table, prompter, config, tmp_path / "whole", precision=precision)
    stopped = tmp_path / "stopped"
    with pytest.raises(UserError, match="Stopped at step 8; the next run resumes"):
        run(table, prompter, config, stopped, [Stop(8)], precision)
    last = sft.last_checkpoint(stopped / "preference")
    assert last is not None
    begun = json.loads((last / "trainer_state.json").read_text())["global_step"]
    assert 0 < begun < 8

    def refused(*_, **__):
        raise AssertionError("done before the interruption")

    monkeypatch.setattr(sft, "train", refused)
    monkeypatch.setattr(preference, "own_replies", refused)
    resumed = run(table, prompter, config, stopped, precision=precision)
    for name, weight in adapter(whole.model).items():
        assert torch.equal(adapter(resumed.model)[name], weight)
    assert resumed.metrics == whole.metrics
    assert resumed.curve.to_json() == whole.curve.to_json()
    assert resumed.learnt == whole.learnt


def test_the_curve_and_the_metrics_of_the_supervised_training_stay(
    table, prompter, config, tmp_path
):
    trained = run(table, prompter, config, tmp_path)
    numbers = trained.metrics.pop("preference")
    assert trained.metrics["steps"] == 6  # 6 texts in batches of 2, twice
    curve = trained.curve
    assert curve["step"].tolist() == list(range(1, 7 + numbers["steps"]))
    assert curve["train"].count() == 6
    assert curve["preference"].count() == numbers["steps"]
    assert curve["preference"].iloc[-1] == numbers["loss"]
    assert numbers["loss_validation_before"] > 0


def test_the_validation_loss_is_the_mean_over_all_labels(table, prompter, config, tmp_path):
    trained = run(table, prompter, config, tmp_path)
    rows = labels.encode_table(prompter.tokenizer, table)
    nats = []
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        with torch.no_grad():
            scores = trained.model(input_ids=ids).logits[0].log_softmax(-1)
        nats += [
            -float(scores[place - 1, label])
            for place, label in enumerate(row["labels"])
            if label != -100
        ]
    expected = sum(nats) / len(nats)
    measured = trained.metrics["preference"]["loss_validation_after"]
    assert measured == pytest.approx(expected, abs=1e-4)


def test_a_weight_of_the_likelihood_keeps_the_real_replies_likely(
    table, prompter, config, tmp_path
):
    def after(weight):
        settings = config.preference.model_dump() | {"likelihood_weight": weight}
        run_config = changed(config, preference=settings)
        folder = tmp_path / str(weight)
        return run(table, prompter, run_config, folder).metrics["preference"]

    without, beside = after(0.0), after(2.0)
    assert beside["loss_validation_after"] < without["loss_validation_after"]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"method": "full"}, "needs adapters"),
        ({"processes": 2}, "trains in one process: set train.launcher=single"),
    ],
)
def test_what_it_cannot_do_is_refused_before_training(
    table, prompter, config, tmp_path, monkeypatch, values, sentence
):
    processes = values.pop("processes", 1)
    monkeypatch.setattr(preference.distributed.state(), "num_processes", processes, raising=False)
    if processes > 1:
        state = type("State", (), {"num_processes": processes})
        monkeypatch.setattr(preference.distributed, "state", lambda: state)
    with pytest.raises(UserError, match=sentence):
        run(table, prompter, changed(config, **values), tmp_path)
    assert not list(tmp_path.iterdir())


def test_no_pair_is_an_error_with_a_way_out(table, prompter, config, tmp_path, monkeypatch):
    replying(monkeypatch, Reply("", True))
    with pytest.raises(UserError, match="of the 12 replies that were learnt"):
        run(table, prompter, config, tmp_path)


def test_a_nan_loss_names_the_rate_of_this_phase(table, prompter, config, tmp_path):
    settings = config.preference.model_dump() | {"learning_rate": 1e30}
    with pytest.raises(UserError, match=r"lower train\.preference\.learning_rate"):
        run(table, prompter, changed(config, preference=settings, max_grad_norm=1e30), tmp_path)


@pytest.mark.parametrize(
    ("key", "value"), [("beta", 0.0), ("pairs", 0), ("loss_type", "dpo"), ("epochs", 0)]
)
def test_a_wrong_setting_is_refused(config, key, value):
    with pytest.raises(ValueError, match=key):
        PreferenceConfig.model_validate(config.preference.model_dump() | {key: value})
