"""How the stages that read chats grow: time and memory from 1 to 100 times the demo, and beyond.

    python -m benchmarks.scale                       # 1, 3, 10, 30 and 100 times the demo
    python -m benchmarks.scale --sizes 570           # 1,500,000 messages: a quarter of an hour

Each copy of the demo has its own chats, people, dates and words, so that no filter takes it for a
duplicate. All are written to a scratch folder, and every stage runs there as `dvc repro` would run
it, in a process of its own. A size is kept in docs/results/scale.json when it is measured, so that
a run can be stopped and gone on with; `make docs` writes the table of docs/benchmarks.md.
"""

import argparse
import os
import random
import re
import shlex
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pyarrow.parquet as parquet
import yaml

from benchmarks.pipeline import measured
from demo import render
from espejo.core import metrics

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "scale.json"
STAGES = ("parse", "clean", "group", "filter", "format", "statistics")
SIZES = (1, 3, 10, 30, 100)
AUTHOR = "Juli"
OTHERS = {"C": "Cami", "T": "Tincho", "R": "Rocco", "K": "Mechi", "M": "Mamá"}
# Screenplays, what their chats are called (the group's own title differs from its people), and
# whether the phone shows twelve hours: as demo.render writes them.
CHATS = (("cami", "Cami", False), ("mama", "Mamá", True), ("grupo", "Asado", False))
_WORD = re.compile(r"[^\W\d_]{4,}")  # shorter words make grammar and laughter: they stay


def copies(number: int) -> Iterator[tuple[str, str]]:
    """File names and texts of `number` copies of the demo's chats, the first with its own words."""
    cast = {"J": AUTHOR, **OTHERS}
    names = ("tincho", *(name for name, *_ in CHATS))
    played = {name: render.lines(name, cast) for name in names}
    vocabulary: dict[int, list[str]] = defaultdict(list)
    texts = [line.text for lines in played.values() for line in lines if line.author]
    for word in sorted({word for text in texts for word in _WORD.findall(text)}):
        vocabulary[len(word)].append(word)
    for copy in range(number):
        words = _Words(vocabulary, random.Random(copy)) if copy else None
        for name, chat, twelve_hours in CHATS:
            exported = (
                render.android(line, place, twelve_hours)
                for place, line in enumerate(_copied(played[name], copy, words), 1)
            )
            yield f"Chat de WhatsApp con {renamed(chat, copy)}.txt", "".join(exported)
        exported = (
            render.iphone(line, place)
            for place, line in enumerate(_copied(played["tincho"], copy, words), 1)
        )
        yield f"WhatsApp Chat - {renamed('Tincho', copy)}.txt", "".join(exported)


def renamed(name: str, copy: int) -> str:
    """What somebody, or a chat, is called in a copy; the author is one and the same."""
    return name if name == AUTHOR or not copy else f"{name} {copy}"


class _Words:
    """Other words of the demo in place of its words: of the same length, drawn anew each time."""

    def __init__(self, vocabulary: Mapping[int, Sequence[str]], rng: random.Random) -> None:
        self._vocabulary, self._rng = vocabulary, rng

    def __call__(self, match: re.Match) -> str:
        return self._rng.choice(self._vocabulary[len(match[0])])


def _copied(lines: Sequence[render.Line], copy: int, words: _Words | None) -> Iterator[render.Line]:
    """`lines` some minutes later, by other people, in other words; placeholders stay."""
    for line in lines:
        text = line.text
        if words and line.author:
            # What stands in <> is what a phone writes, and links are dropped by their form.
            parts = re.split(r"(<[^>]*>|\S*(?:https?:|www\.)\S*)", text)
            parts[::2] = [_WORD.sub(words, part) for part in parts[::2]]
            text = "".join(parts)
        author = line.author and renamed(line.author, copy)
        yield render.Line(line.time + timedelta(minutes=7 * copy), author, text)


def write(folder: Path, number: int) -> None:
    """Exports of `number` copies with their people.yaml, and the params.yaml of the pipeline."""
    raw = folder / "raw"
    raw.mkdir()
    for name, text in copies(number):
        (raw / name).write_bytes(text.encode())
    everybody = (renamed(name, copy) for copy in range(number) for name in OTHERS.values())
    people = {"author": AUTHOR, "people": dict.fromkeys(everybody, "train")}
    (raw / "people.yaml").write_text(yaml.safe_dump(people, allow_unicode=True), "utf-8")
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params["data"]["raw"] = "raw"
    (folder / "params.yaml").write_text(yaml.safe_dump(params, allow_unicode=True), "utf-8")
    for name in ("data", "metrics", "plots", "reports"):
        (folder / name).mkdir()


def stage_commands() -> dict[str, list[str]]:
    """The command of each of STAGES, as dvc.yaml has it."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    commands = {name: stages[name]["cmd"].replace("${data.raw}", "raw") for name in STAGES}
    return {name: [sys.executable, *shlex.split(cmd)[1:]] for name, cmd in commands.items()}


def measure(number: int, folder: Path) -> dict:
    """Messages in `number` copies of the demo, and what each stage takes on them."""
    write(folder, number)
    os.environ["PYTHONPATH"] = str(ROOT)
    taken = {}
    for stage, command in stage_commands().items():
        taken[stage] = measured(command, folder)
        print(f"  {number} times, {stage}: {taken[stage]}", flush=True)
    messages = parquet.read_metadata(folder / "data" / "messages.parquet").num_rows
    examples = parquet.read_metadata(folder / "data" / "filtered.parquet").num_rows
    return {"messages": messages, "examples": examples, "stages": taken}


def growth(sizes: Mapping[int, Mapping], stage: str, small: int, large: int) -> float:
    """Processor seconds per message at `large` over those at `small`: 1 where time is linear.

    What a stage takes on one demo (Python, its imports, the tokenizer) is its start, and is
    subtracted from both, as are the demo's messages.
    """
    start = sizes[1]

    def per_message(size: int) -> float:
        seconds = "processor_seconds"
        spent = sizes[size]["stages"][stage][seconds] - start["stages"][stage][seconds]
        return spent / (sizes[size]["messages"] - start["messages"])

    return per_message(large) / per_message(small)


def main() -> None:
    """Measure the sizes that are missing."""
    parser = argparse.ArgumentParser(description="Time the data stages on copies of the demo.")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="times the demo")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--again", action="store_true", help="also sizes that are there")
    options = parser.parse_args()
    result = metrics.read(options.out) if options.out.is_file() else {"sizes": {}}
    for number in options.sizes:
        if str(number) in result["sizes"] and not options.again:
            continue
        with tempfile.TemporaryDirectory() as scratch:
            result["sizes"][str(number)] = measure(number, Path(scratch))
        result["processor"] = processor()
        metrics.write(result, options.out)


def processor() -> str:
    """The processor's name, asked in a process of its own: torch would count as our memory."""
    code = "from espejo.model import hardware; print(hardware.processor())"
    return subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).strip()


if __name__ == "__main__":
    main()
