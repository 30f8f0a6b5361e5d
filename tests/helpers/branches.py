"""The last output of `make test`: how many lines and branches of a room its tests ran.

    python -m tests.helpers.branches

Fails where a room of the data or of the evaluation is below LEAST; the others are not counted. Only
code that runs inside pytest counts, not the stages that tests start as subprocesses.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from coverage import Coverage

from tests.helpers.workshop import ROOT

LEAST = 90  # percent
HELD = ("core", "dataset", "evaluation", "privacy", "whatsapp")  # to that
# What runs for long in libraries, or in other processes, and what other tests of the room run too.
UNCOUNTED = ("test_consent_of_apps.py", "test_coverage.py", "test_degenerate.py", "test_faults.py")


def counts(path: Path) -> bool:
    """Whether the lines and branches that this file of tests runs are counted."""
    return path.parent.name in HELD and path.name not in UNCOUNTED


def shares(coverage: Coverage, rooms: Sequence[str]) -> dict[str, float]:
    """Room -> percent of its lines and branches that ran."""
    with Path(os.devnull).open("w") as nowhere:
        return {room: coverage.report(include=f"*/espejo/{room}/*", file=nowhere) for room in rooms}


def main() -> None:
    """Print the shares, and exit with 1 where a room is below its limit."""
    coverage = Coverage(config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    covered = shares(coverage, HELD)
    print("branches: " + ", ".join(f"{room} {share:.0f} %" for room, share in covered.items()))
    low = [room for room, share in covered.items() if share < LEAST]
    if low:
        sys.exit(f"Tests reach less than {LEAST} % of {', '.join(low)}: see `coverage report -m`.")


if __name__ == "__main__":
    main()
