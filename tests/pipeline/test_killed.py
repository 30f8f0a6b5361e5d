"""`dvc repro`, killed between and during saves, ends with the result of an uninterrupted run."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
import yaml

from espejo.training import sft
from tests.helpers import workshop
from tests.helpers.workshop import run

pytestmark = pytest.mark.model

STEPS = 6
SETTINGS = (
    *("data=mine", "model=smollm2", "experiment=smoke", f"train.max_steps={STEPS}"),
    *(f"train.evals_per_run={STEPS}", "train.log_steps=1"),
)


def prepared(folder):
    """A clone with own chats, whose params.yaml trains STEPS steps."""
    workshop.clone(folder)
    workshop.mine(folder)
    code = "import sys, compose; compose.compose(compose.ROOT / 'params.yaml', sys.argv[1:])"
    run(sys.executable, "-c", code, *SETTINGS, cwd=folder, PYTHONPATH=str(folder / "conf"))
    return folder


def outs(folder):
    """The outputs of the stage train, as DVC's hashes."""
    return yaml.safe_load((folder / "dvc.lock").read_text("utf-8"))["stages"]["train"]["outs"]


def saves(folder):
    """The checkpoints by name, and whether each is complete."""
    paths = folder.glob("checkpoints/*/checkpoint-*")
    return {path.name: (path / "trainer_state.json").is_file() for path in paths}


def kill_when(folder, due):
    """Start `dvc repro train`, and kill all of its processes once due(saves) holds."""
    pipeline = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "train"],
        cwd=folder,
        env=workshop.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while not due(saves(folder)):  # without a pause: a save is short
        assert pipeline.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
    children = psutil.Process(pipeline.pid).children(recursive=True)
    assert any("stages.train" in process.cmdline() for process in children)
    for process in children:
        process.kill()
    pipeline.kill()
    assert pipeline.wait() == -signal.SIGKILL
    psutil.wait_procs(children)


@pytest.mark.slow
def test_a_killed_pipeline_resumes_and_ends_the_same(tmp_path):
    whole = prepared(tmp_path / "whole")
    assert "Resuming" not in run("dvc", "repro", "train", cwd=whole).stdout
    folder = prepared(tmp_path / "killed")

    kill_when(folder, lambda complete: any(complete.values()))
    first = sft.last_checkpoint(next(folder.glob("checkpoints/*")))
    assert first.name != f"checkpoint-{STEPS}"  # it came before the last step

    kept = set(saves(folder))
    kill_when(folder, lambda complete: any(not complete[name] for name in complete.keys() - kept))
    assert f"checkpoint-{STEPS}" not in saves(folder)
    assert not (folder / "model" / "adapter_model.safetensors").exists()

    again = run("dvc", "repro", "train", cwd=folder)
    assert "Resuming from checkpoints/" in again.stdout
    assert outs(folder) == outs(whole)
    assert not list(folder.glob("checkpoints/*"))
