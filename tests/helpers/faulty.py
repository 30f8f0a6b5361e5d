"""Stages and commands in forks of one process that has imported everything, for test_faults.py.

    python -m tests.helpers.faulty < jobs

A line of `jobs` is the JSON of [folder, program, arguments, full]: where it runs, `stages.NAME` or
`espejo`, its arguments, and whether the disk is full. A line of output: [status, output].
"""

import ctypes
import gc
import importlib
import json
import os
import resource
import runpy
import sys
import traceback
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
COMMANDS = (
    "commands.cli",
    "commands.blind",
    "commands.compare",
    "commands.estimate",
    "commands.init",
    "commands.replay",
    "export.model_card",
    "chat.terminal",
    "web.server",
)


def become(folder, program, arguments, full):
    """Run that program in this fork, report its end as Python would, and exit at once."""
    status = 0
    os.chdir(folder)
    # Drop root's privileges, so that file permissions count.
    ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
    sys.argv = [program, *arguments]
    if full:  # the next byte written to a file fails, for root too
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        if program == "espejo":
            sys.modules["espejo.commands.cli"].app()
        else:
            del sys.modules[program]
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        print(end.code if isinstance(end.code, str) else "", file=sys.stderr)
    except BaseException:
        status = 1
        traceback.print_exc()
    sys.stdout.flush()
    os._exit(status)  # unloading libraries would take longer than most tests


def main():
    stages = [f"stages.{name}" for name in STAGES]
    for module in (*stages, *(f"espejo.{name}" for name in COMMANDS), "hydra"):
        importlib.import_module(module)
    gc.freeze()
    for line in sys.stdin:
        folder, program, arguments, full = json.loads(line)
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(writes, 1)
            os.dup2(writes, 2)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            sys.stdin = os.fdopen(0)
            become(folder, program, arguments, full)
        os.close(writes)
        with open(reads, encoding="utf-8", errors="replace") as pipe:
            output = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps([status, output]), flush=True)


if __name__ == "__main__":
    main()
