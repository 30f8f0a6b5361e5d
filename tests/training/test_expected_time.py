"""The estimated duration of a training, from its first two steps."""

from types import SimpleNamespace

import pytest
import torch

from espejo.training import expected_time
from espejo.training.expected_time import ExpectedTime, duration, sentence
from tests.helpers import tiny


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.2, "2 seconds"),
        (89, "89 seconds"),
        (91, "2 minutes"),
        (359, "6 minutes"),
        (3599, "1 h 0 min"),
        (7800, "2 h 10 min"),
    ],
)
def test_durations_are_written_for_people(seconds, expected):
    assert duration(seconds) == expected


def test_a_long_training_comes_with_advice(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert sentence(360, "79 steps") == "about 6 minutes on this processor; 79 steps"
    advice = sentence(4000, "900 steps")
    assert advice.startswith("about 1 h 7 min on this processor; 900 steps. ")
    for words in ("experiment=smoke", "train.epochs", "GPU"):
        assert words in advice
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert sentence(360, "79 steps") == "about 6 minutes on this GPU; 79 steps"


class Clocked:
    """Runs the callback through steps of given tokens and seconds, with a fake clock."""

    def __init__(self, monkeypatch, callback, max_steps, from_step=0, first=True):
        self.now = 100.0
        monkeypatch.setattr(expected_time.time, "perf_counter", lambda: self.now)
        self.model = DummyModel()
        self.state = SimpleNamespace(
            max_steps=max_steps, global_step=from_step, is_world_process_zero=first
        )
        self.callback = callback
        callback.on_train_begin(None, self.state, None, model=self.model)

    def step(self, tokens, labels, seconds):
        self.callback.on_step_begin(None, self.state, None)
        self.forward(tokens, labels, seconds)
        self.state.global_step += 1
        self.callback.on_step_end(None, self.state, None)

    def forward(self, tokens, labels, seconds):
        ids = torch.zeros(1, tokens, dtype=torch.long)
        self.model(input_ids=ids, labels=torch.tensor([[-100] * (tokens - labels) + [1] * labels]))
        self.now += seconds


class DummyModel(torch.nn.Module):
    def forward(self, **_):
        return None


def test_the_remaining_work_is_counted_in_tokens_and_labels(monkeypatch, capsys):
    # A label is the work of two tokens; an epoch of 10 steps is 1,000, and there are two; the
    # validation is 400, twice, at half the cost.
    clock = Clocked(monkeypatch, ExpectedTime(2.0, 1000, 10, 400, 2, "lora", 1), max_steps=20)
    clock.step(180, 10, 100)
    assert capsys.readouterr().out == ""
    clock.forward(500, 100, 50)  # a validation between two steps does not count
    clock.step(40, 30, 20)  # in all 200 + 100 in 120 s: 0.4 s each
    # 18 steps of 100 and 18/20 of 800 / 2: (1800 + 360) * 0.4 = 864 s
    assert capsys.readouterr().out == f"train: {sentence(864, '20 steps')}\n"
    clock.step(50, 10, 10)
    assert capsys.readouterr().out == ""


def test_a_resumed_training_counts_the_remaining_steps(monkeypatch, capsys):
    callback = ExpectedTime(0.0, 1000, 10, 0, 2, "full", 1)
    clock = Clocked(monkeypatch, callback, max_steps=20, from_step=15)
    clock.step(100, 10, 60)
    clock.step(100, 10, 60)
    assert capsys.readouterr().out == f"train: {sentence(3 * 60, '3 of 20 steps left')}\n"


def test_processes_share_the_work_and_the_first_prints(monkeypatch, capsys):
    def steps(first):
        callback = ExpectedTime(0.0, 1000, 10, 0, 1, "lora", 2)
        clock = Clocked(monkeypatch, callback, max_steps=10, first=first)
        clock.step(50, 10, 60)  # each of two processes reads half of a step's 100 tokens
        clock.step(50, 10, 60)
        return capsys.readouterr().out

    assert steps(first=True) == f"train: {sentence(8 * 60, '10 steps')}\n"
    assert steps(first=False) == ""


def test_two_steps_need_no_estimate(monkeypatch, capsys):
    clock = Clocked(monkeypatch, ExpectedTime(0.0, 100, 2, 0, 1, "lora", 1), max_steps=2)
    clock.step(50, 10, 60)
    clock.step(50, 10, 60)
    assert capsys.readouterr().out == ""


def test_the_work_of_a_label_is_that_of_the_head_over_the_layers():
    model = tiny.llama(50)
    # Two layers of q and o 32 x 32, k and v 32 x 16, and three of 32 x 64; the head 50 x 32.
    layers = 2 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64)
    assert expected_time.label_work(model) == pytest.approx(50 * 32 / layers)
    rows = [{"input_ids": [1, 2, 3], "labels": [-100, 2, 3], "kinds": []}]
    assert expected_time.work_of(rows, 0.5) == 4.0
