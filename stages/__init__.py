"""The stages, each a script; `python -m stages.parse` comes here first."""

import sys

from espejo.core import faults

if sys.argv[0] == "-m":  # so it is while Python looks for the script, and not where tests import it
    faults.guard(next(name for name in sys.orig_argv if name.startswith("stages.")).split(".")[1])
