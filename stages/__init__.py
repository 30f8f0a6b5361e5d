"""The stages, each a script; `python -m stages.parse` imports this module first."""

import sys

from espejo.core import faults

if sys.argv[0] == "-m":  # only while `python -m` looks for the script, not when tests import it
    faults.guard(next(name for name in sys.orig_argv if name.startswith("stages.")).split(".")[1])
