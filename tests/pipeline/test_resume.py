"""A training that is killed, once or twenty times, ends with the result of an uninterrupted one."""

import json
import multiprocessing
import os
import random
import shutil
import signal
import time

import pytest
import torch
from transformers import TrainerCallback
from trl import SFTTrainer

from espejo.core.errors import UserError
from espejo.core.stage import params
from espejo.training import checkpoints, sft
from espejo.training.config import TrainConfig
from tests.helpers import tiny
from tests.helpers.configs import changed
from tests.training.test_sft import PAIRS, VOCABULARY

# 8 examples in batches of 2, 20 epochs: 80 steps, a checkpoint after every fourth.
STEPS = 80
FORK = multiprocessing.get_context("fork")


CONFIG = changed(
    params(TrainConfig), epochs=20, batch_size=2, evals_per_run=20, log_steps=2, dropout=0.1
)


def trained(
    folder,
    after_epoch=lambda model, epoch: None,
    config=CONFIG,
    callbacks=(),
    precision=torch.float32,
):
    torch.set_num_threads(1)
    model = tiny.llama(VOCABULARY).to(precision)
    tokenizer = tiny.tokenizer(["<s>", "</s>"], "</s>")
    return sft.train(
        model, tokenizer, PAIRS, PAIRS, config, folder, after_epoch, callbacks=callbacks
    )


def result(training):
    """Adapter, loss curve and metrics as plain values that compare bit for bit."""
    adapter = {
        name: weight.detach().clone()
        for name, weight in training.model.named_parameters()
        if "lora" in name
    }
    return adapter, training.curve.to_json(double_precision=15), training.metrics


def assert_same(first, second):
    assert first[0].keys() == second[0].keys()
    assert all(torch.equal(first[0][name], second[0][name]) for name in first[0])
    assert first[1:] == second[1:]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return result(trained(tmp_path_factory.mktemp("whole")))


def test_ctrl_c_keeps_what_was_learnt_and_the_next_run_ends_the_same(uninterrupted, tmp_path):
    def interrupt(model, epoch):
        if epoch == 7:
            raise KeyboardInterrupt

    with pytest.raises(UserError, match=r"Stopped at step 28; the next run resumes"):
        trained(tmp_path, interrupt)
    assert sft.last_checkpoint(tmp_path).name == "checkpoint-28"
    finished = []
    assert_same(
        result(trained(tmp_path, lambda model, epoch: finished.append(epoch))), uninterrupted
    )
    assert finished[0] == 8  # it did not start from the beginning
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
def test_a_run_that_resumes_inside_an_epoch_ends_the_same(tmp_path, step, precision):
    config = changed(CONFIG, evals_per_run=40)  # a checkpoint after every second step of four
    whole = trained(tmp_path / "whole", config=config, precision=precision)
    assert {weight.dtype for weight in result(whole)[0].values()} == {precision}
    with pytest.raises(UserError, match=f"Stopped at step {step}"):
        trained(tmp_path / "stopped", config=config, callbacks=[Stop(step)], precision=precision)
    last = sft.last_checkpoint(tmp_path / "stopped")
    assert last.name == f"checkpoint-{step - 1}"
    assert_same(
        result(trained(tmp_path / "stopped", config=config, precision=precision)), result(whole)
    )


def test_an_incomplete_checkpoint_is_skipped(tmp_path):
    running, ended = (
        json.dumps(
            {"stateful_callbacks": {"TrainerControl": {"args": {"should_training_stop": end}}}}
        )
        for end in (False, True)
    )
    for step, content in ((4, running), (8, running[:-9]), (12, None), (16, ended)):
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
    first = checkpoints.folder({"rank": 16}, [data, code])
    assert checkpoints.folder({"rank": 16}, [data, code]) == first
    assert checkpoints.folder({"rank": 8}, [data, code]) != first
    code.write_text("c")
    assert checkpoints.folder({"rank": 16}, [data, code]) != first


def test_early_stopping_keeps_the_best_state(tmp_path):
    # At this learning rate the loss soon rises: training ends before its last step.
    config = changed(CONFIG, patience=2, learning_rate=0.5)
    done = trained(tmp_path, config=config)
    evaluated = done.curve.dropna(subset="validation")
    assert done.metrics["steps"] < STEPS
    assert done.metrics["loss_validation"] == pytest.approx(evaluated["validation"].min())
    assert done.metrics["best_step"] == evaluated.loc[evaluated["validation"].idxmin(), "step"]
    assert done.metrics["steps"] == done.metrics["best_step"] + 2 * 4


@pytest.mark.parametrize(
    "settings",
    [
        {"max_steps": 6, "evals_per_run": 3},  # ends inside an epoch
        {"patience": 2, "learning_rate": 0.5},  # ends early
    ],
)
def test_a_training_that_was_killed_after_its_last_step_takes_no_other(tmp_path, settings):
    config = changed(CONFIG, **settings)
    ended = result(trained(tmp_path, config=config))
    assert ended[2]["steps"] < STEPS
    assert_same(result(trained(tmp_path, config=config)), ended)


def test_out_of_memory_is_one_sentence(tmp_path, monkeypatch):
    def allocate(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 TB")

    monkeypatch.setattr(SFTTrainer, "training_step", allocate)
    with pytest.raises(UserError, match=r"Out of memory at step 0: set train\.micro_batch_size=1"):
        trained(tmp_path)


def test_a_full_disk_is_one_sentence_and_the_next_run_goes_on(uninterrupted, tmp_path, monkeypatch):
    save, saves = SFTTrainer._save_checkpoint, []

    def full(self, *arguments, **named):
        saves.append(self.state.global_step)
        if len(saves) == 4:
            (tmp_path / f"checkpoint-{self.state.global_step}").mkdir()
            raise OSError(28, "No space left on device")
        return save(self, *arguments, **named)

    monkeypatch.setattr(SFTTrainer, "_save_checkpoint", full)
    with pytest.raises(UserError, match="The disk is full: make room"):
        trained(tmp_path)
    monkeypatch.undo()
    assert saves == [4, 8, 12, 16]
    assert_same(result(trained(tmp_path)), uninterrupted)


class StepCounter(TrainerCallback):
    """Publishes the number of each step to the parent process."""

    def __init__(self, step):
        self._step = step

    def on_step_end(self, args, state, control, **_):
        self._step.value = state.global_step


def _work(folder, end, step):
    done = trained(folder, callbacks=[StepCounter(step)])
    torch.save(result(done), end)
    os._exit(0)


def killed(folder, end, rng, kill_step, inside_a_save):
    """Start a training in a process of its own and kill it soon after `kill_step`, or in a save.

    Returns the step from which it can resume, and whether an incomplete checkpoint is left.
    """
    before, step = {path.name for path in folder.glob("checkpoint-*")}, FORK.Value("i", 0)
    process = FORK.Process(target=_work, args=(folder, end, step))
    process.start()
    if inside_a_save:
        while process.is_alive():
            fresh = [p for p in folder.glob("checkpoint-*") if p.name not in before]
            if any(not (p / "trainer_state.json").exists() for p in fresh):
                break
    else:
        while process.is_alive() and step.value < kill_step:
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
def test_after_twenty_kills_the_result_is_that_of_an_uninterrupted_run(uninterrupted, tmp_path):
    rng, end = random.Random(5), tmp_path / "end.pt"
    reached = []
    for number in range(20):
        kill_step = 3 * number + rng.randint(0, 3)  # 60 of 80 at most, however fast the machine
        step, partial = killed(tmp_path, end, rng, kill_step, inside_a_save=number % 4 == 3)
        reached.append((step, partial))
        assert step < STEPS
    assert sum(partial for _, partial in reached) >= 3  # some were inside a save
    steps = [step for step, _ in reached]
    assert steps == sorted(steps)
    assert steps[-1] > 0  # later runs did resume
    process = FORK.Process(target=_work, args=(tmp_path, end, FORK.Value("i", 0)))
    process.start()
    process.join(300)
    assert_same(torch.load(end, weights_only=False), uninterrupted)
    assert json.loads(uninterrupted[1])
