"""Two processors: do the demo's numbers agree between bfloat16 and float32?

    python -m benchmarks.processors --folder /tmp/other --emulate   # half an hour of a processor
    python -m benchmarks.processors --compare                       # only the two recorded files

Runs the demo in a copy of the working tree in float32, with --emulate on a processor held to AVX2,
as most laptops are; the same --folder again runs only what changed since. Its metrics/eval.json is
recorded in docs/results/processors/ beside that of this working tree, whose model was trained in
bfloat16. Exits with 1 where they disagree:

- the likelihood of the base and of the tuned model differs by more than 0.01 bits per character;
- a headline measure of either run lies outside the interval that the other one gives;
- of replies drawn at random, which are others after the first rounding: the interval of the
  difference of two draws leaves out zero (MOVER, Zou and Donner 2008). A value of another draw lies
  outside an interval of 95 % about one time in six (Schenker and Gentleman 2001).
"""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from espejo.evaluation.headlines import HEADLINES, OF_BASE, measure

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results" / "processors"
RUNS = ("bfloat16", "float32-avx2")
# What holds oneDNN, MKL and torch's own kernels to AVX2.
AVX2 = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
}
MAX_BITS = 0.01  # by which likelihoods may differ
DRAWN = ("author_score", "told_apart", "copied")  # headlines that look at what a model wrote
_WRITTEN = ("dvc.lock", "params.yaml", "metrics/", "plots/")  # by a run, in its own folder


@dataclass(frozen=True)
class Row:
    """A measure in both runs; `agrees` is None where neither run gives an interval."""

    name: str
    first: Mapping
    second: Mapping
    agrees: bool | None


def compared(first: Mapping, second: Mapping) -> list[Row]:
    """The likelihoods of base and tuned model, then every headline, of two metrics/eval.json."""
    rows = []
    for name, path in (("base", OF_BASE["own_bits"]), ("tuned", HEADLINES["own_bits"])):
        pair = measure(first, path), measure(second, path)
        difference = abs(pair[0]["value"] - pair[1]["value"])
        rows.append(Row(f"likelihood_{name}", *pair, difference <= MAX_BITS))
    for name, path in HEADLINES.items():
        pair = measure(first, path), measure(second, path)
        if "value" in pair[0] or "value" in pair[1]:
            rows.append(Row(name, *pair, _agree(*pair, drawn=name in DRAWN)))
    return rows


def _agree(first: Mapping, second: Mapping, drawn: bool) -> bool | None:
    """Whether two runs agree in a measure; None where there is no interval.

    Each value lies in the interval of the other; or, of two draws, their difference may be zero.
    """
    if not ("value" in first and "value" in second):
        return False  # measured in one of the runs only
    if ("low" in first) != ("low" in second):
        return False
    if "low" not in first:
        return None
    if drawn:
        lower, higher = sorted((first, second), key=lambda measured: measured["value"])
        apart = higher["value"] - lower["value"]
        return apart <= math.hypot(higher["value"] - higher["low"], lower["high"] - lower["value"])
    pairs = ((first, second), (second, first))
    return all(measured["low"] <= other["value"] <= measured["high"] for measured, other in pairs)


def disagreements(first: Mapping, second: Mapping) -> Iterator[str]:
    """A sentence for each measure in which two runs disagree."""
    for row in compared(first, second):
        if row.agrees is False:
            yield f"{row.name}: {dict(row.first)} against {dict(row.second)}"


def recorded(name: str) -> dict:
    """The metrics/eval.json of a recorded run (one of RUNS)."""
    return json.loads((RESULTS / name / "eval.json").read_text("utf-8"))


def _copy(folder: Path) -> None:
    """Copy the working tree to `folder` as a repository; what a run left there stays."""
    names = subprocess.check_output(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, text=True
    ).split("\0")
    for name in filter(None, names):
        if not name.startswith(_WRITTEN) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)


def main(
    folder: Annotated[Path | None, typer.Option(help="Where the other run is made.")] = None,
    emulate: Annotated[bool, typer.Option("--emulate", help="Hold it to AVX2.")] = False,
    compare: Annotated[bool, typer.Option("--compare", help="Run nothing.")] = False,
) -> None:
    """Run the demo in float32 (unless --compare), record both runs, and say where they disagree."""
    if not compare:
        if folder is None:
            sys.exit("Say where: --folder /tmp/other")
        precision = json.loads((ROOT / "model" / "espejo.json").read_text("utf-8"))
        if (used := precision["hardware"]["precision"]) != "bfloat16":
            sys.exit(f"The model here was trained in {used}: run this where auto takes bfloat16.")
        folder = folder.resolve()
        _copy(folder)
        env = {**os.environ, "PYTHONPATH": str(folder), **(AVX2 if emulate else {})}
        settings = [sys.executable, "conf/compose.py", "model.precision=float32"]
        for command in (settings, [sys.executable, "-m", "dvc", "repro", "evaluate"]):
            subprocess.run(command, cwd=folder, env=env, check=True)
        for name, source in zip(RUNS, (ROOT, folder), strict=True):
            (RESULTS / name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / "metrics" / "eval.json", RESULTS / name / "eval.json")
    first, second = map(recorded, RUNS)
    for row in compared(first, second):
        words = {True: "agrees", False: "DISAGREES", None: "no interval"}[row.agrees]
        values = (each.get("value", float("nan")) for each in (row.first, row.second))
        print(f"{row.name:17} {' '.join(f'{value:8.4f}' for value in values)}  {words}")
    if wrong := list(disagreements(first, second)):
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    typer.run(main)
