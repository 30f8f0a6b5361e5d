"""A training that is killed, and killed again, ends as one that never was."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import time

import pytest
import torch
import yaml
from transformers import TrainerCallback

from espejo.core.errors import UserError
from espejo.training import checkpoints, sft
from tests.helpers import tiny
from tests.helpers.workshop import ROOT
from tests.training.test_sft import PAIRS, VOCABULARY

# 8 examples in batches of 2, 20 epochs: 80 steps, a checkpoint after every fourth.
STEPS = 80
FORK = multiprocessing.get_context("fork")


def settings():
    wanted = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["train"]
    hastened = {"epochs": 20, "batch_size": 2, "evals_per_run": 20, "log_steps": 2, "dropout": 0.1}
    return wanted | hastened


def trained(
    folder,
    after_epoch=lambda model, epoch: None,
    wanted=None,
    watchers=(),
    precision=torch.float32,
):
    torch.set_num_threads(1)
    model = tiny.llama(VOCABULARY).to(precision)
    tokenizer = tiny.tokenizer(["<s>", "</s>"], "</s>")
    wanted = wanted or settings()
    return sft.train(model, tokenizer, PAIRS, PAIRS, wanted, folder, after_epoch, watchers=watchers)


def result(done):
    """Adapter and loss curve as plain values that compare bit for bit."""
    adapter = {
        name: weight.detach().clone()
        for name, weight in done.model.named_parameters()
        if "lora" in name
    }
    return adapter, done.curve.to_json(double_precision=15), done.facts


def same(one, other):
    assert one[0].keys() == other[0].keys()
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])
    assert one[1:] == other[1:]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return result(trained(tmp_path_factory.mktemp("whole")))


def test_ctrl_c_keeps_what_was_learnt_and_the_next_run_ends_the_same(undisturbed, tmp_path):
    def interrupt(model, epoch):
        if epoch == 7:
            raise KeyboardInterrupt

    with pytest.raises(UserError, match=r"Stopped at step 28; the next run goes on"):
        trained(tmp_path, interrupt)
    assert sft.last_checkpoint(tmp_path).name == "checkpoint-28"
    finished = []
    same(result(trained(tmp_path, lambda model, epoch: finished.append(epoch))), undisturbed)
    assert finished[0] == 8  # it did not begin anew
    assert finished[-1] == 20


class Stop(TrainerCallback):
    """Ctrl-C at a step."""

    def __init__(self, step):
        self._step = step

    def on_step_end(self, args, state, control, **_):
        if state.global_step == self._step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("step", [3, 27])  # in the first epoch, and in a later one
def test_a_run_that_goes_on_inside_an_epoch_ends_the_same(tmp_path, step, precision):
    wanted = settings() | {"evals_per_run": 40}  # a checkpoint after every second step of four
    whole = trained(tmp_path / "whole", wanted=wanted, precision=precision)
    assert {weight.dtype for weight in result(whole)[0].values()} == {precision}
    with pytest.raises(UserError, match=f"Stopped at step {step}"):
        trained(tmp_path / "stopped", wanted=wanted, watchers=[Stop(step)], precision=precision)
    last = sft.last_checkpoint(tmp_path / "stopped")
    assert last.name == f"checkpoint-{step - 1}"
    same(result(trained(tmp_path / "stopped", wanted=wanted, precision=precision)), result(whole))


def test_a_part_of_a_checkpoint_is_passed_over(tmp_path):
    going_on, ended = (
        json.dumps(
            {"stateful_callbacks": {"TrainerControl": {"args": {"should_training_stop": end}}}}
        )
        for end in (False, True)
    )
    for step, content in ((4, going_on), (8, going_on[:-9]), (12, None), (16, ended)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if content is not None:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(content)
    assert sft.last_checkpoint(tmp_path).name == "checkpoint-4"
    shutil.rmtree(tmp_path / "checkpoint-4")
    assert sft.last_checkpoint(tmp_path) is None


def test_a_checkpoint_belongs_to_its_settings_data_and_code(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, code = tmp_path / "data", tmp_path / "code.py"
    data.write_text("a")
    code.write_text("b")
    first = checkpoints.place({"rank": 16}, [data, code])
    assert checkpoints.place({"rank": 16}, [data, code]) == first
    assert checkpoints.place({"rank": 8}, [data, code]) != first
    code.write_text("c")
    assert checkpoints.place({"rank": 16}, [data, code]) != first


def test_early_stopping_keeps_the_best_state(tmp_path):
    # At this rate the loss soon rises: training ends before its last step.
    wanted = settings() | {"patience": 2, "learning_rate": 0.5}
    done = trained(tmp_path, wanted=wanted)
    seen = done.curve.dropna(subset="validation")
    assert done.facts["steps"] < STEPS
    assert done.facts["loss_validation"] == pytest.approx(seen["validation"].min())
    assert done.facts["best_step"] == seen.loc[seen["validation"].idxmin(), "step"]
    assert done.facts["steps"] == done.facts["best_step"] + 2 * 4


@pytest.mark.parametrize(
    "settled",
    [
        {"max_steps": 6, "evals_per_run": 3},  # ends inside an epoch
        {"patience": 2, "learning_rate": 0.5},  # ends early
    ],
)
def test_a_training_that_was_killed_after_its_last_step_takes_no_other(tmp_path, settled):
    wanted = settings() | settled
    ended = result(trained(tmp_path, wanted=wanted))
    assert ended[2]["steps"] < STEPS
    same(result(trained(tmp_path, wanted=wanted)), ended)


def test_out_of_memory_is_one_sentence(tmp_path, monkeypatch):
    def allocate(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 TB")

    monkeypatch.setattr(sft.SFTTrainer, "training_step", allocate)
    with pytest.raises(UserError, match=r"Out of memory at step 0: set train\.micro_batch_size=1"):
        trained(tmp_path)


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(undisturbed, tmp_path, monkeypatch):
    save, saves = sft.SFTTrainer._save_checkpoint, []

    def full(self, *arguments, **named):
        saves.append(self.state.global_step)
        if len(saves) == 4:
            (tmp_path / f"checkpoint-{self.state.global_step}").mkdir()
            raise OSError(28, "No space left on device")
        return save(self, *arguments, **named)

    monkeypatch.setattr(sft.SFTTrainer, "_save_checkpoint", full)
    with pytest.raises(UserError, match="The disk is full: make room"):
        trained(tmp_path)
    monkeypatch.undo()
    assert saves == [4, 8, 12, 16]
    same(result(trained(tmp_path)), undisturbed)


class Told(TrainerCallback):
    """Tells another process of each step."""

    def __init__(self, step):
        self._step = step

    def on_step_end(self, args, state, control, **_):
        self._step.value = state.global_step


def _work(folder, end, step):
    done = trained(folder, watchers=[Told(step)])
    torch.save(result(done), end)
    os._exit(0)


def killed(folder, end, rng, at, inside_a_save):
    """Start a training in a process of its own, kill it some time after step `at`, or in a save.

    The step that it can go on from, and whether a part of a checkpoint was left.
    """
    begun, step = {path.name for path in folder.glob("checkpoint-*")}, FORK.Value("i", 0)
    process = FORK.Process(target=_work, args=(folder, end, step))
    process.start()
    if inside_a_save:
        while process.is_alive():
            fresh = [p for p in folder.glob("checkpoint-*") if p.name not in begun]
            if any(not (p / "trainer_state.json").exists() for p in fresh):
                break
    else:
        while process.is_alive() and step.value < at:
            pass
        time.sleep(rng.uniform(0, 0.05))
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not end.exists()  # it had not finished
    last = sft.last_checkpoint(folder)
    partial = any(not (p / "trainer_state.json").exists() for p in folder.glob("checkpoint-*"))
    return (int(last.name.rpartition("-")[2]) if last else 0), partial


@pytest.mark.slow
def test_twenty_kills_leave_the_result_of_a_run_that_was_never_killed(undisturbed, tmp_path):
    rng, end = random.Random(5), tmp_path / "end.pt"
    reached = []
    for number in range(20):
        at = 3 * number + rng.randint(0, 3)  # 60 of 80 at most, however quick the machine is
        step, partial = killed(tmp_path, end, rng, at, inside_a_save=number % 4 == 3)
        reached.append((step, partial))
        assert step < STEPS
    assert sum(partial for _, partial in reached) >= 3  # some came inside a save
    steps = [step for step, _ in reached]
    assert steps == sorted(steps)
    assert steps[-1] > 0  # later runs did go on
    process = FORK.Process(target=_work, args=(tmp_path, end, FORK.Value("i", 0)))
    process.start()
    process.join(300)
    same(torch.load(end, weights_only=False), undisturbed)
    assert json.loads(undisturbed[1])
