"""Waiting threads must not burn a core, even where torch was imported before espejo."""

import os
import subprocess
import sys

import pytest

from tests.helpers.workshop import ROOT

# Products on two threads with pauses between them: threads that spin burn the pauses.
# torch is loaded first, as a notebook, a test runner or sitecustomize.py may do.
PAUSES = """\
import time, torch
torch.set_num_threads(2)
left = right = torch.ones(256, 256)
left @ right
began = time.process_time()
for _ in range(150):
    left @ right
    time.sleep(0.01)
print(time.process_time() - began)
"""
ENTRY = f"""\
from pathlib import Path
from espejo.core.stage import run

def main(unused: Path) -> None:
    exec({PAUSES!r})

run(main)
"""


def processor_seconds(folder, first, code, **environment):
    """What `code` prints, run as a script whose interpreter imports `first` as it starts."""
    (folder / "sitecustomize.py").write_text(f"import {first}\n", "utf-8")
    (folder / "entry.py").write_text(code, "utf-8")
    kept = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    ran = subprocess.run(
        [sys.executable, str(folder / "entry.py"), "argument"],
        cwd=ROOT,
        env=kept | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"} | environment,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    return float(ran.stdout.split()[-1])


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core: nobody waits spinning")
def test_an_entry_point_waits_without_spinning_even_if_torch_came_first(tmp_path):
    def sleeps():
        spinning = processor_seconds(tmp_path, "torch", PAUSES)
        ours = processor_seconds(tmp_path, "torch", ENTRY)
        passive = processor_seconds(tmp_path, "json", PAUSES, OMP_WAIT_POLICY="PASSIVE")
        # Unless spinning shows, this measures nothing.
        return spinning > 2 * passive and ours < (spinning + passive) / 2

    assert any(sleeps() for _ in range(3))  # on a busy machine, threads that spin get little time


@pytest.mark.parametrize(
    ("policy", "first", "expected"),
    [
        (None, "json", "False PASSIVE"),
        (None, "torch", "True PASSIVE"),  # an entry point restarts with it
        ("ACTIVE", "torch", "False ACTIVE"),  # a user's own value is kept
    ],
)
def test_when_torch_came_first_and_what_it_reads(policy, first, expected):
    kept = {key: value for key, value in os.environ.items() if key != "OMP_WAIT_POLICY"}
    code = (
        f"import os, {first}; from espejo import runtime; "
        "print(runtime.torch_came_first, os.environ['OMP_WAIT_POLICY'])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=kept | ({"OMP_WAIT_POLICY": policy} if policy else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == expected
