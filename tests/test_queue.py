"""Two experiments at the same time: each gets what it gets alone."""

import time

import pytest

from tests import workshop
from tests.workshop import run

SEEDS = (1, 2)


def settings(seed):
    return ("-S", "data=mine", "-S", "experiment=smoke", "-S", f"train.seed={seed}", "train")


def made(folder):
    """What a training leaves: its lock entry (hashes of all outputs) and its numbers."""
    lock = (folder / "dvc.lock").read_text().split("  train:\n")[1].split("    outs:\n")[1]
    return lock, (folder / "metrics" / "train.json").read_text()


@pytest.mark.slow
def test_two_experiments_in_parallel_do_not_disturb_each_other(tmp_path):
    alone = workshop.clone(tmp_path / "alone")
    workshop.mine(alone)
    expected = {}
    for seed in SEEDS:
        run("dvc", "exp", "run", *settings(seed), cwd=alone)
        expected[seed] = made(alone)
    assert expected[1] != expected[2]

    both = workshop.clone(tmp_path / "both")
    workshop.mine(both)
    for seed in SEEDS:
        queue = ("--queue", "-n", f"seed-{seed}", "-C", "data/raw/mine")
        run("dvc", "exp", "run", *queue, *settings(seed), cwd=both)
    run("dvc", "queue", "start", "-j", "2", cwd=both)
    most, until = 0, time.monotonic() + 900
    while time.monotonic() < until:
        status = run("dvc", "queue", "status", cwd=both).stdout
        most = max(most, status.count("Running"))
        if not status.count("Running") + status.count("Queued"):
            break
        time.sleep(1)
    run("dvc", "queue", "stop", cwd=both, check=False)
    assert most == 2  # they did run at the same time
    assert status.count("Success") == 2, status
    for seed in SEEDS:
        run("dvc", "exp", "apply", f"seed-{seed}", cwd=both)
        assert made(both) == expected[seed]
