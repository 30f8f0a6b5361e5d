"""Settings of the process: idle threads must not keep a core busy. Needs no torch.

torch's OpenMP reads the environment when it is loaded, so `espejo/__init__.py` sets it before
anything can import torch. If torch was imported before that, entry points restart the program.
"""

import os
import sys

WAITING = "OMP_WAIT_POLICY"

# Whether torch was loaded before these settings were made: its idle threads then spin.
torch_came_first = False


def settle() -> None:
    """Set the environment that torch reads when it is loaded; called when `espejo` is imported."""
    global torch_came_first
    torch_came_first = "torch" in sys.modules and WAITING not in os.environ
    # Two runs on one machine (`dvc queue start -j 2`) must not burn each other's cores: a thread
    # that spins while it waits took 2.4 to 5 times the processor time under load.
    os.environ.setdefault(WAITING, "PASSIVE")
    # When OpenMP grants fewer threads than torch 2.13 asked for, torch leaves parts of some results
    # unwritten: the loss became NaN.
    os.environ["OMP_DYNAMIC"] = "false"


def restart_if_torch_came_first() -> None:
    """Restart this program with the same arguments if torch was loaded too early.

    For entry points, before they do anything else: it costs about a second.
    """
    if torch_came_first:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
