"""How the process itself runs: threads that wait without burning a core. Needs no torch.

torch's OpenMP reads the environment when it is loaded, so `espejo/__init__.py` sets it before
anything can import torch. Where something imported torch first, entry points start anew.
"""

import os
import sys

WAITING = "OMP_WAIT_POLICY"

# Whether torch was loaded before it could be told how its threads wait: they then spin.
torch_came_first = False


def settle() -> None:
    """Set what torch reads when it is loaded; called once, when `espejo` is imported."""
    global torch_came_first
    torch_came_first = "torch" in sys.modules and WAITING not in os.environ
    # Two runs on one machine (`dvc queue start -j 2`) must not burn each other's cores: a thread
    # that spins while it waits took 2.4 to 5 times the processor time under load.
    os.environ.setdefault(WAITING, "PASSIVE")
    # With fewer threads than it asked for torch 2.13 leaves a part of some results unwritten: the
    # loss became NaN.
    os.environ["OMP_DYNAMIC"] = "false"


def restart_if_torch_came_first() -> None:
    """Start this program anew, with the same arguments, where torch was loaded too early.

    For entry points, before they do anything: nothing is lost but the second of the start.
    """
    if torch_came_first:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
