"""`espejo repeat`: the same training with several seeds, and how far its numbers are apart.

Each training is a DVC experiment in a folder of its own (`dvc exp run --temp`), one after another:
the model that lies here stays, an error ends in the terminal, and Ctrl-C ends all of it. (Workers
of `dvc queue start` go on in the background, and what fails there is only in their logs.) Its name
holds a hash of everything that decides the result, but for the seed: what ran already under that
name is not run again.
"""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import yaml
from dvc.utils.hydra import compose_and_dump
from hydra.errors import HydraException

from espejo.commands import inputs, own_chats
from espejo.core import escaping, faults, files
from espejo.core.config import checked_all
from espejo.core.errors import UserError
from espejo.evaluation import repeated as repeats
from espejo.evaluation.headlines import HEADLINES, measure
from espejo.report import trainings
from espejo.report.verdicts import is_trial
from espejo.report.wording import Wording

PAGE, LOG = Path("reports/repeat.md"), Path("reports/repeat.log")
RESULT = Path("metrics") / repeats.FILE
# Stages and sections of params.yaml that change no headline measure.
_ASIDE_STAGES, _ASIDE = ("statistics", "report"), ("statistics", "report", "chat")
_STAGE = re.compile(r"Running stage '(\w+)'")
_LAST_LINES = 3  # of what DVC printed, named when a training fails


@dataclass(frozen=True)
class Plan:
    """Trainings that differ in train.seed only."""

    settings: Sequence[str]  # as `dvc exp run -S` takes them
    params: Mapping  # all sections that they compose to
    name: str  # of the experiments, but for the seed

    def experiment(self, seed: int) -> str:
        """The name of the experiment with that seed."""
        return f"{self.name}-seed-{seed}"

    def command(self, seed: int) -> list[str]:
        """The command that runs it."""
        raw = self.params["data"]["raw"]
        ignored = not subprocess.run(["git", "check-ignore", "-q", raw]).returncode
        overrides = [*self.settings, f"train.seed={seed}"]
        return [
            *(sys.executable, "-m", "dvc", "exp", "run", "--temp", "-n", self.experiment(seed)),
            *(["-C", raw] if ignored else []),
            *(word for override in overrides for word in ("-S", override)),
        ]


def plan(settings: Sequence[str]) -> Plan:
    """The trainings with these `settings`, and the name of their experiments.

    Raises UserError for settings that do not compose, and for data that cannot be read.
    """
    if any(setting.lstrip("+").startswith("train.seed=") for setting in settings):
        raise UserError("train.seed is what differs between the trainings: leave it out.")
    with tempfile.TemporaryDirectory() as scratch, faults.about(Path("conf")):
        path = Path(scratch) / "params.yaml"
        try:
            compose_and_dump(path, str(Path("conf").resolve()), None, "config", ".", [*settings])
        except HydraException as error:
            raise UserError(
                f"conf/ does not compose with {' '.join(settings)}: `python conf/compose.py` with "
                "the same settings says why."
            ) from error
        params = yaml.safe_load(path.read_text("utf-8"))
    checked_all(params, inputs.CONFIGS, Path("params.yaml"))
    inputs.check(Path(params["data"]["raw"]))
    model = re.sub(r"[^\w.-]", "-", params["model"]["name"])
    return Plan(settings, params, f"{model}-{_fingerprint(params)[:6]}")


def _fingerprint(params: Mapping) -> str:
    """A hash of the settings, the data and the code that decide the numbers, but for train.seed."""
    kept = {name: section for name, section in params.items() if name not in _ASIDE}
    kept["train"] = {key: value for key, value in params["train"].items() if key != "seed"}
    digest = hashlib.sha256(json.dumps(kept, sort_keys=True).encode())
    stages = files.mapping(Path("dvc.yaml"), yaml.safe_load)["stages"]
    deps = {
        dep.replace("${data.raw}", params["data"]["raw"])
        for name, stage in stages.items()
        if name not in _ASIDE_STAGES
        for dep in stage["deps"]
    }
    outs = {
        out if isinstance(out, str) else next(iter(out))
        for stage in stages.values()
        for out in stage["outs"]
    }
    for path in sorted(_files(map(Path, sorted(deps - outs)))):
        digest.update(f"{path.as_posix()}\0".encode())
        with faults.about(path):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _files(paths: Iterator[Path]) -> Iterator[Path]:
    for path in paths:
        for each in [path] if path.is_file() else path.rglob("*"):
            if each.is_file() and "__pycache__" not in each.parts:
                yield each


def main(seeds: int, settings: Sequence[str]) -> None:
    """Train with the seeds 1 to `seeds`, and write what their numbers have in common.

    Raises UserError where git has no name for commits, and where a training fails.
    """
    if not Path("dvc.yaml").is_file():
        raise UserError("There is no dvc.yaml here: run this in the folder of the project.")
    if not own_chats.git_identity():
        raise UserError(
            "DVC keeps experiments as commits, and git has no name for them: once, `git config "
            "--global user.name YOU` and `git config --global user.email YOU@EXAMPLE.COM`."
        )
    trainings_planned = plan(settings)
    missing = [seed for seed in range(1, seeds + 1) if not revision(trainings_planned, seed)]
    there = seeds - len(missing)
    print(
        f"{trainings_planned.name}: {seeds} trainings"
        + (f", of which {there} ran already" if there else "")
        + ". Ctrl-C stops; the same command goes on.",
        flush=True,
    )
    files.write("", LOG)
    with LOG.open("a", encoding="utf-8") if missing else nullcontext() as log:
        started = time.monotonic()
        for number, seed in enumerate(missing):
            print(f"seed {seed} of {seeds}{_left(started, number, len(missing))}:", end="")
            assert log is not None
            _train(trainings_planned, seed, log)
    result = _write(trainings_planned, range(1, seeds + 1))
    wording = Wording("en", trainings_planned.params["data"]["kind"])
    for line in trainings.lines(result, wording):
        print(escaping.terminal(line))
    print(
        f"With each run's numbers: {PAGE}. `espejo compare` uses the margins, and so does the "
        f"report of a run with the same settings (`dvc repro`)."
    )


def _left(started: float, number: int, count: int) -> str:
    """How many minutes are left after `number` of `count` trainings; "" before the first."""
    if not number:
        return ""
    minutes = (time.monotonic() - started) / number * (count - number) / 60
    return f", about {minutes:.0f} minutes left"


def _train(planned: Plan, seed: int, log: TextIO) -> None:
    """Run one experiment; prints its stages as they begin, and all else into LOG."""
    lines: list[str] = []
    with subprocess.Popen(
        planned.command(seed),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            log.write(line)
            log.flush()
            if stage := _STAGE.match(line):
                print(f" {stage[1]}", end="", flush=True)
            lines = [*lines[1 - _LAST_LINES :], line.strip()] if line.strip() else lines
    print(flush=True)
    if process.returncode or not revision(planned, seed):
        raise UserError(
            f"The training with seed {seed} failed: {' '.join(lines)} ({LOG} has all that it "
            "printed). Put that right; the same command goes on with it."
        )


def revision(planned: Plan, seed: int) -> str:
    """The commit of the experiment with that seed; "" where there is none."""
    listed = subprocess.run(
        ["git", "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps"],
        capture_output=True,
        text=True,
    ).stdout
    name = planned.experiment(seed)
    rows = (line.split() for line in listed.splitlines())
    return next((commit for commit, reference in rows if reference.endswith(f"/{name}")), "")


def _held(commit: str, path: str) -> dict:
    """A metric file as an experiment left it."""
    text = subprocess.run(
        ["git", "show", f"{commit}:{path}"], capture_output=True, text=True, check=True
    ).stdout
    return json.loads(text)


def _write(planned: Plan, seeds: Sequence[int]) -> repeats.Repeated:
    """Write RESULT and PAGE from the experiments with these seeds."""
    commits = [revision(planned, seed) for seed in seeds]
    runs = [
        (_held(commit, "metrics/eval.json"), _held(commit, "metrics/train.json"))
        for commit in commits
    ]
    confidence = planned.params["evaluate"]["confidence"]
    data = planned.params["data"]
    of = data["dataset"] or data["raw"]
    result = repeats.repeated(planned.name, of, runs, confidence)
    repeats.write(result, RESULT)
    files.write(page(result, planned, seeds, runs), PAGE)
    return result


def page(
    result: repeats.Repeated,
    planned: Plan,
    seeds: Sequence[int],
    runs: Sequence[tuple[Mapping, Mapping]],
) -> str:
    """reports/repeat.md: the spread of each measure beside one run's interval, and each run."""
    wording = Wording("en", planned.params["data"]["kind"])
    first = runs[0][0]
    settings = " ".join(f"-S {setting}" for setting in planned.settings) or "none but the defaults"
    each = [
        (
            planned.experiment(seed),
            *(
                wording.number(measure(scores, HEADLINES[key])["value"], 3)
                for key in result.spreads
            ),
        )
        for seed, (scores, _) in zip(seeds, runs, strict=True)
    ]
    names = [wording.name("trainings.names", key) for key in result.spreads]
    parts = [
        "# The same training, repeated",
        f"Settings: {escaping.markdown(settings)}. The trainings differ in train.seed only.",
        *(["**These are trials: they say nothing yet.**"] if is_trial(runs[0][1]) else []),
        trainings.method(result, wording),
        trainings.table(result, first, wording),
        "## Each training",
        escaping.table(("experiment", *names), each),
    ]
    return "\n\n".join(parts) + "\n"
