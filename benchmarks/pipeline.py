"""What the pipeline costs: time and peak memory of each stage, and of a run with nothing to do.

    python -m benchmarks.pipeline            # runs everything anew in a clone: some minutes

Prints a Markdown table. Times on shared machines are noisy: compare within one run.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def measured(command: list[str], folder: Path) -> tuple[float, float]:
    """Seconds and peak memory in GB of a command; it stops the benchmark when the command fails."""
    start = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    # ru_maxrss is the largest process of the command's tree, in KiB on Linux and bytes on a Mac.
    unit = 1 if sys.platform == "darwin" else 1024
    return time.perf_counter() - start, used.ru_maxrss * unit / 1e9


def main() -> None:
    """Clone the last commit, run its stages one by one, then ask twice for nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "espejo"
        subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
        stages = yaml.safe_load((folder / "dvc.yaml").read_text("utf-8"))["stages"]
        rows = []
        for stage in stages:
            command = ["dvc", "repro", "--force", "--single-item", "--no-run-cache", stage]
            rows.append((stage, *measured(command, folder)))
        rows.append(("all", sum(row[1] for row in rows), max(row[2] for row in rows)))
        rows.append(("`dvc repro`, nothing to do", *measured(["dvc", "repro"], folder)))
        rows.append(("`dvc --version`", *measured(["dvc", "--version"], folder)))
    print("| step | seconds | peak memory, GB |\n| --- | --- | --- |")
    for step, seconds, memory in rows:
        print(f"| {step} | {seconds:.1f} | {memory:.2f} |")


if __name__ == "__main__":
    main()
