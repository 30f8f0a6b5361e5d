"""Two experiments at the same time: each has the result that it has alone."""

import subprocess
import sys
import time

import psutil
import pytest
import yaml

from tests.helpers import workshop
from tests.helpers.workshop import run

pytestmark = pytest.mark.model

SEEDS = (1, 2)


def settings(seed):
    chosen = ("data=mine", "model=smollm2", "experiment=smoke", f"train.seed={seed}")
    return (*(word for choice in chosen for word in ("-S", choice)), "train")


def results(folder, rev):
    """The results of a training in a commit: the hashes of all its outputs, and its numbers."""

    def held(path):
        return run("git", "show", f"{rev}:{path}", cwd=folder).stdout

    lock = yaml.safe_load(held("dvc.lock"))
    return lock["stages"]["train"]["outs"], held("metrics/train.json")


def experiment(folder, name):
    """The commit of the experiment of that name."""
    refs = run("git", "for-each-ref", "--format=%(refname)", "refs/exps", cwd=folder).stdout
    (ref_found,) = [ref for ref in refs.split() if ref.endswith(f"/{name}")]
    return ref_found


def training_in(folder):
    """The folders below `folder` in which the stage train runs now."""
    processes = psutil.process_iter(["cmdline", "cwd"])
    return {
        process.info["cwd"]
        for process in processes
        if "stages.train" in (process.info["cmdline"] or ())
        and (process.info["cwd"] or "").startswith(str(folder))
    }


@pytest.mark.slow
def test_two_experiments_in_parallel_do_not_disturb_each_other(tmp_path):
    alone = workshop.clone(tmp_path / "alone")
    workshop.mine(alone)
    expected = {}
    for seed in SEEDS:
        run("dvc", "exp", "run", "-n", f"seed-{seed}", *settings(seed), cwd=alone)
        expected[seed] = results(alone, experiment(alone, f"seed-{seed}"))
    assert expected[1] != expected[2]

    both = workshop.clone(tmp_path / "both")
    workshop.mine(both)
    for seed in SEEDS:
        queue = ("--queue", "-n", f"seed-{seed}", "-C", "data/raw/mine")
        run("dvc", "exp", "run", *queue, *settings(seed), cwd=both)
    start = subprocess.Popen(  # its workers would keep a pipe open, and `run` would wait for them
        [sys.executable, "-m", "dvc", "queue", "start", "-j", "2"],
        cwd=both,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert start.wait() == 0
    most, until = 0, time.monotonic() + 900
    status = "Queued"
    while time.monotonic() < until:
        most = max(most, len(training_in(both)))
        if not training_in(both):  # `dvc queue status` takes seconds, so the loop needs no sleep
            status = run("dvc", "queue", "status", cwd=both).stdout
            if not status.count("Running") + status.count("Queued"):
                break
        time.sleep(0.2)
    run("dvc", "queue", "stop", cwd=both, check=False)
    assert most == 2  # they did run at the same time
    assert status.count("Success") == 2, status
    for seed in SEEDS:
        assert results(both, experiment(both, f"seed-{seed}")) == expected[seed]
