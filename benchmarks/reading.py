"""How quickly exports are read, by espejo and by the other readers on PyPI, in one run.

    python -m benchmarks.reading                       # peers installed beside espejo, if any
    python -m benchmarks.reading --peers /tmp/peers/bin/python   # peers in an environment of theirs

Prints a Markdown table and the reader's score on the cases of the tests. The chat is generated
(seeded, no one's words) with a header that all of the peers read. Each reader runs in a process of
its own, three times, and the best counts. The floor is what Python needs to iterate over the lines
and match one compiled pattern; each process measures it beside its reader, and in processor
seconds, since shared machines are noisy.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks import cases

ROOT = Path(__file__).resolve().parent.parent
LINES = 153_700
MANY = 1_500_000
WORDS = """
dale bueno nada che mañana hoy después casa llegó viene sé querés tenés jaja jajaja re posta mate
lluvia perro feria entrada ensayo domingo micro llave cuándo dónde por qué obvio igual además
todavía ahí un una la el los de con para sin que no sí más tarde temprano 😂 ❤️ 🙌🏽 🥲
"""  # the words of the two people, drawn at random

# How each reader reads the file `path`; `rows` is how many messages it found.
READERS = {
    "floor": ("", "floor()"),
    "espejo": ("from espejo import whatsapp", "rows = len(whatsapp.read(path))"),
    "whatstk": (
        "from whatstk import WhatsAppChat",
        "rows = len(WhatsAppChat.from_source(path).df)",
    ),
    "chatpack": ("import chatpack", "rows = len(chatpack.parse_whatsapp(path))"),
    "chat-miner": (
        "import logging\nfrom chatminer.chatparsers import WhatsAppParser\nlogging.disable()",
        "parser = WhatsAppParser(path)\nparser.parse_file()\n"
        "rows = len(parser.parsed_messages.get_df())",
    ),
    "wakit": (
        "from datetime import timezone\nfrom wakit.export_import import detect_date_order, "
        "parse_lines, to_ms",
        "found, _ = parse_lines(path)\norder = detect_date_order(found, 'auto')\n"
        "rows = len([to_ms(m, order, timezone.utc) for m in found])",
    ),
}
CHILD = r"""
import contextlib, io, json, re, resource, sys, time
path, repeats = sys.argv[1], int(sys.argv[2])
head = re.compile(r"(\d\d/\d\d/\d{4}), (\d\d:\d\d) - (?:([^:]+): )?(.*)").match
def floor():
    with open(path, encoding="utf-8", newline="\n") as file:
        return sum(1 for line in file if head(line))
with contextlib.redirect_stdout(io.StringIO()):
    FIRST
    seconds, floors = [], []
    for _ in range(repeats):
        start = time.process_time()
        rows = floor()
        floors.append(time.process_time() - start)
        start = time.process_time()
        READ
        seconds.append(time.process_time() - start)
try:  # getrusage would count what the parent had before this process began
    memory = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024
except OSError:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([min(seconds), min(seconds) / min(floors), memory / 1e6, rows]))
"""


def generate(path: Path, lines: int) -> None:
    """Write a chat of two people with that many lines: bursts, media, lists, notices, emoji."""
    chance, words = random.Random(lines), WORDS.split()
    now, written = datetime(2019, 3, 1, 8), 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while written < lines:
            if chance.random() < 0.4:  # otherwise it belongs to a burst; all span six years
                now += timedelta(minutes=chance.expovariate(lines / 8e6))
            author = chance.choice(["Romina", "Lautaro P. 🎸"])
            text = " ".join(chance.choices(words, k=1 + int(chance.expovariate(1 / 6))))
            kind = chance.random()
            if kind < 0.06:
                text = "<Multimedia omitido>"
            elif kind < 0.12:
                text += "".join(
                    "\n" + " ".join(chance.choices(words, k=4)) for _ in range(chance.randint(1, 4))
                )
            elif kind < 0.13:
                text += " <Se editó este mensaje.>"
            elif kind < 0.14:
                text = "Se eliminó este mensaje."
            elif kind < 0.16:
                text = f"https://example.org/{written} (mirá)"
            name = "" if kind > 0.999 else f"{author}: "
            file.write(f"{now:%d/%m/%Y, %H:%M} - {name}{text}\n")
            written += 1 + text.count("\n")


def measured(python: str, reader: str, path: Path, repeats: int) -> list[float] | str:
    """Seconds, multiple of the floor, memory (MB) and rows of a reader; or its error."""
    first, read = READERS[reader]
    code = CHILD.replace("FIRST", first.replace("\n", "\n    ") or "pass")
    code = code.replace("READ", read.replace("\n", "\n        "))
    command = [python, "-c", code, str(path), str(repeats)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if child.returncode == 0:
        return json.loads(child.stdout.splitlines()[-1])
    last = (child.stderr.strip().splitlines() or ["no message"])[-1]
    if "ModuleNotFoundError" in last:
        return f"not installed: pip install {reader}"
    return f"crashes: {last[:80]}"


def table(python: str, chat: Path, many: Path) -> list[str]:
    """The lines of the Markdown table."""
    plan = [(name, chat, LINES, 3) for name in READERS]
    plan += [("floor", many, MANY, 2), ("espejo", many, MANY, 2)]
    results = []
    for name, path, lines, repeats in plan:
        result = measured(
            sys.executable if name in ("floor", "espejo") else python, name, path, repeats
        )
        if isinstance(result, str):
            results.append(f"| {name} | {lines:,} | {result} | – | – | – |")
            continue
        seconds, floors, memory, rows = result
        results.append(
            f"| {name} | {lines:,} | {lines / seconds:,.0f} | {floors:.1f} "
            f"| {memory:,.0f} | {rows:,} |"
        )
    head = "| reader | lines | lines/processor s | times the floor | peak memory, MB | messages |"
    return [head, "| --- | --- | --- | --- | --- | --- |", *results]


def main() -> None:
    """Generate the chats, run every reader and print the table."""
    parser = argparse.ArgumentParser(description="Time espejo's reader and its peers.")
    parser.add_argument("--peers", default=sys.executable, help="the Python that has the peers")
    python = parser.parse_args().peers
    with tempfile.TemporaryDirectory() as scratch:
        chat, many = (Path(scratch) / f"WhatsApp Chat with {n}.txt" for n in ("Romina", "all"))
        generate(chat, LINES)
        generate(many, MANY)
        print("\n".join(table(python, chat, many)))
    print()
    cases.main(cases.CASES)


if __name__ == "__main__":
    main()
