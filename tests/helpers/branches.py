"""The last output of `make test`: how many lines and branches of each room the tests ran.

    python -m tests.helpers.branches

Fails where a room of the data or of the evaluation is below LEAST. Only code that runs inside
pytest counts, not the stages that tests start as subprocesses.
"""

import os
import sys
from pathlib import Path

from coverage import Coverage

from tests.helpers.workshop import ROOT

LEAST = 90  # percent
HELD = ("core", "whatsapp", "privacy", "dataset", "evaluation")  # to that


def shares(coverage: Coverage, rooms: list[str]) -> dict[str, float]:
    """Room -> percent of its lines and branches that ran."""
    with Path(os.devnull).open("w") as nowhere:
        return {room: coverage.report(include=f"*/espejo/{room}/*", file=nowhere) for room in rooms}


def main() -> None:
    """Print the shares, and exit with 1 where a room is below its limit."""
    coverage = Coverage(config_file=str(ROOT / "pyproject.toml"))
    coverage.load()
    rooms = sorted(path.parent.name for path in (ROOT / "espejo").glob("*/__init__.py"))
    covered = shares(coverage, rooms)
    print("branches: " + ", ".join(f"{room} {share:.0f} %" for room, share in covered.items()))
    low = [room for room in HELD if covered[room] < LEAST]
    if low:
        sys.exit(f"Tests reach less than {LEAST} % of {', '.join(low)}: see `coverage report -m`.")


if __name__ == "__main__":
    main()
