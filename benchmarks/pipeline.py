"""What the pipeline costs: time and peak memory of each stage, and of a run with nothing to do.

    python -m benchmarks.pipeline            # runs everything anew in a clone: some minutes

Writes docs/results/pipeline.json, which `make docs` makes a table of. Times on shared machines are
noisy: processor time tells more than the clock, and the speed of matrix products before and after
says what the machine could do.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "pipeline.json"
_MULTIPLY = """
import time, torch
torch.set_num_threads(2)
a, b = torch.randn(2, 2048, 2048, dtype=torch.bfloat16)
a @ b
start = time.perf_counter()
for _ in range(20): a @ b
print(20 * 2 * 2048**3 / (time.perf_counter() - start) / 1e12)
"""


def multiply_speed() -> float:
    """10^12 operations a second in bfloat16 products of 2048 x 2048 matrices, on two threads."""
    return float(subprocess.check_output([sys.executable, "-c", _MULTIPLY], text=True))


def measured(command: list[str], folder: Path) -> dict[str, float]:
    """Seconds, processor seconds and peak memory in GB of a command.

    It stops the benchmark when the command fails.
    """
    start = time.perf_counter()
    child = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    # ru_maxrss is the largest process of the command's tree, in KiB on Linux and bytes on a Mac.
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "seconds": round(time.perf_counter() - start, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "memory_gb": round(used.ru_maxrss * unit / 1e9, 2),
    }


def main() -> None:
    """Clone the last commit, run its stages one by one, then ask for nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "espejo"
        subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
        stages = yaml.safe_load((folder / "dvc.yaml").read_text("utf-8"))["stages"]
        speed = [multiply_speed()]
        rows = {}
        for stage in stages:
            command = ["dvc", "repro", "--force", "--single-item", "--no-run-cache", stage]
            rows[stage] = measured(command, folder)
        speed.append(multiply_speed())
        rows["`dvc repro` with nothing to do"] = measured(["dvc", "repro"], folder)
        rows["`dvc --version`"] = measured(["dvc", "--version"], folder)
    result = {"steps": rows, "stages": len(stages), "multiply_tera": [round(x, 2) for x in speed]}
    RESULT.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(f"written to {RESULT.relative_to(ROOT)}; `make docs` makes a table of it")


if __name__ == "__main__":
    main()
