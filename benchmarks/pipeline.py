"""What the pipeline costs: time and peak memory of each stage, and how close it is to its floor.

    python -m benchmarks.pipeline            # runs everything anew in a clone: some minutes

Prints Markdown. Times on shared machines are noisy: processor time is more reliable than wall-clock
time; the speed of matrix products before and after shows what the machine could do, and the stolen
share how much of the wall-clock time went to other machines.
The floor is that of benchmarks/floor.py.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

ROOT = Path(__file__).resolve().parent.parent
# The speed of matrix products on an idle machine, and the precision that `auto` chooses.
_MACHINE = """
from espejo.model import hardware
import time, torch
torch.set_num_threads(hardware.threads("auto"))
a, b = torch.randn(2, 2048, 2048)
a @ b
start = time.perf_counter()
for _ in range(10): a @ b
speed = 10 * 2 * 2048**3 / (time.perf_counter() - start) / 1e9
chosen = str(hardware.dtype_of("auto")).removeprefix("torch.")
print(f"{hardware.processor()}, {torch.backends.cpu.get_cpu_capability()}, "
      f"{torch.get_num_threads()} threads: {speed:,.0f} GFLOP a second in float32 products of "
      f"2048 x 2048; bfloat16 takes {hardware.bfloat16_cost():.2g} times as long as float32, and "
      f"auto takes {chosen}.")
"""


def machine() -> str:
    """The processor, its precision, and the current speed of its matrix products, in one line."""
    return subprocess.check_output([sys.executable, "-c", _MACHINE], text=True, cwd=ROOT).strip()


def stolen(before: tuple, after: tuple) -> str:
    """The share of the processor time asked for that went to other machines, between two cpu_times.
    Only a Linux guest knows it.
    """
    if not hasattr(before, "steal"):
        return ""
    used = {
        name: getattr(after, name) - getattr(before, name) for name in ("user", "system", "steal")
    }
    return f" Other machines took {used['steal'] / sum(used.values()):.0%} of the time asked for."


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


def table(steps: dict[str, dict[str, float]]) -> str:
    """What each step took, as Markdown."""
    rows = ["| step | seconds | of processor time | peak memory, GB |", "| --- | --- | --- | --- |"]
    rows += [
        f"| {step} | {used['seconds']} | {used['processor_seconds']} | {used['memory_gb']} |"
        for step, used in steps.items()
    ]
    return "\n".join(rows)


def main() -> None:
    """Clone the last commit, run its stages one by one, then a `dvc repro` with nothing to do; the
    floor."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "espejo"
        subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
        stages = yaml.safe_load((folder / "dvc.yaml").read_text("utf-8"))["stages"]
        before, times = machine(), psutil.cpu_times()
        steps = {}
        for stage in stages:
            command = ["dvc", "repro", "--force", "--single-item", "--no-run-cache", stage]
            steps[stage] = measured(command, folder)
        taken = stolen(times, psutil.cpu_times())
        steps["**all**"] = {
            key: round(combine(used[key] for used in steps.values()), 2)
            for key, combine in (("seconds", sum), ("processor_seconds", sum), ("memory_gb", max))
        }
        steps["`dvc repro` with nothing to do"] = measured(["dvc", "repro"], folder)
        steps["`dvc --version`"] = measured(["dvc", "--version"], folder)
        floor = subprocess.check_output(
            [sys.executable, "-m", "benchmarks.floor"], cwd=folder, text=True
        )
    print(f"{table(steps)}\n\nEvery stage is counted with DVC's own start.{taken}\n")
    print(f"{before}\n\n{floor[floor.index('| work') :].strip()}")


if __name__ == "__main__":
    main()
