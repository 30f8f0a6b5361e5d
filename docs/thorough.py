"""Run the demo with evaluate=thorough, and keep its numbers and pictures for README and docs/.

    python -m docs.thorough      # or: make thorough

The run is an experiment of DVC in a folder of its own, so that params.yaml, dvc.lock and the
workspace's metrics stay those of the default run; stages that are cached (training) do not run
again. Then docs/results/thorough/ is written, and every page that shows it is filled.
"""

import subprocess
import sys
from pathlib import Path

from docs import fill

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "results" / "thorough"
NAME = "thorough"  # of the experiment
CHOICE = f"evaluate={NAME}"
# What is shown, by its path in the experiment; tests/docs compares the numbers with metrics/.
KEPT = (
    "params.yaml",
    "metrics/eval.json",
    "plots/at_a_glance.png",
    "plots/base_against_tuned.png",
    "plots/reply_lengths.png",
    "plots/reply_lengths.csv",
)


def experiment() -> str:
    """Run the experiment, and return its name in git. Raises CalledProcessError where it fails."""
    head = _git("rev-parse", "HEAD").decode().strip()
    revision = f"refs/exps/{head[:2]}/{head[2:]}/{NAME}"
    if _git("for-each-ref", revision):  # of an earlier run: `--force` would train again as well
        _dvc("exp", "remove", NAME)
    _dvc("exp", "run", "--temp", "-n", NAME, "-S", CHOICE)
    return revision


def keep(revision: str) -> None:
    """Write `KEPT` of the experiment `revision` to docs/results/thorough/, in one folder."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in KEPT:
        target = FOLDER / Path(path).name
        target.write_bytes(_git("show", f"{revision}:{path}"))
        print(f"docs: {target.relative_to(ROOT)}")


def _dvc(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=ROOT, check=True)


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout


if __name__ == "__main__":
    keep(experiment())
    fill.main()
