"""Measure how quickly espejo and other readers on PyPI read exports, in one run.

    python -m benchmarks.reading                       # peers in espejo's environment, if any
    python -m benchmarks.reading --peers /tmp/peers/bin/python   # peers in another environment

Prints a Markdown table and the reader's score on the cases of the tests. The chat is generated
(with a seed, from nobody's words) and has a header that all peers read. Each reader runs in its own
process, three times, and the best counts. The floor is the time that Python takes to iterate over
the lines and match one compiled pattern; each process measures it next to its reader. Times are
processor seconds, because shared machines are noisy.
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
SHORT_CHAT_LINES = 153_700
LONG_CHAT_LINES = 1_500_000
WORDS = """
dale bueno nada che mañana hoy después casa llegó viene sé querés tenés jaja jajaja re posta mate
lluvia perro feria entrada ensayo domingo micro llave cuándo dónde por qué obvio igual además
todavía ahí un una la el los de con para sin que no sí más tarde temprano 😂 ❤️ 🙌🏽 🥲
"""  # the two people's words, drawn at random

# How each reader reads the file `path`; `rows` is the number of messages it returns.
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
        "lines, _ = parse_lines(path)\norder = detect_date_order(lines, 'auto')\n"
        "rows = len([to_ms(m, order, timezone.utc) for m in lines])",
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
try:  # getrusage would count the memory of the parent before the fork
    memory = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1]) * 1024
except OSError:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([min(seconds), min(seconds) / min(floors), memory / 1e6, rows]))
"""


def generate(path: Path, lines: int) -> None:
    """Write a chat of two people with `lines` lines: bursts, media, lists, notices, emoji."""
    rng, words = random.Random(lines), WORDS.split()
    time, num_lines = datetime(2019, 3, 1, 8), 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        while num_lines < lines:
            if rng.random() < 0.4:  # else it belongs to a burst; the chat covers six years
                time += timedelta(minutes=rng.expovariate(lines / 8e6))
            author = rng.choice(["Romina", "Lautaro P. 🎸"])
            text = " ".join(rng.choices(words, k=1 + int(rng.expovariate(1 / 6))))
            kind = rng.random()
            if kind < 0.06:
                text = "<Multimedia omitido>"
            elif kind < 0.12:
                text += "".join(
                    "\n" + " ".join(rng.choices(words, k=4)) for _ in range(rng.randint(1, 4))
                )
            elif kind < 0.13:
                text += " <Se editó este mensaje.>"
            elif kind < 0.14:
                text = "Se eliminó este mensaje."
            elif kind < 0.16:
                text = f"https://example.org/{num_lines} (mirá)"
            prefix = "" if kind > 0.999 else f"{author}: "
            file.write(f"{time:%d/%m/%Y, %H:%M} - {prefix}{text}\n")
            num_lines += 1 + text.count("\n")


def measure(python: str, reader: str, path: Path, repeats: int) -> list[float] | str:
    """Return a reader's seconds, multiple of the floor, memory (MB) and rows; or its error."""
    setup, read = READERS[reader]
    code = CHILD.replace("FIRST", setup.replace("\n", "\n    ") or "pass")
    code = code.replace("READ", read.replace("\n", "\n        "))
    command = [python, "-c", code, str(path), str(repeats)]
    child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if child.returncode == 0:
        return json.loads(child.stdout.splitlines()[-1])
    error = (child.stderr.strip().splitlines() or ["no message"])[-1]
    if "ModuleNotFoundError" in error:
        return f"not installed: pip install {reader}"
    return f"crashes: {error[:80]}"


def table(python: str, short_chat: Path, long_chat: Path) -> list[str]:
    """Return the lines of the Markdown table."""
    runs = [(name, short_chat, SHORT_CHAT_LINES, 3) for name in READERS]
    runs += [("floor", long_chat, LONG_CHAT_LINES, 2), ("espejo", long_chat, LONG_CHAT_LINES, 2)]
    table_rows = []
    for name, path, lines, repeats in runs:
        result = measure(
            sys.executable if name in ("floor", "espejo") else python, name, path, repeats
        )
        if isinstance(result, str):
            table_rows.append(f"| {name} | {lines:,} | {result} | – | – | – |")
            continue
        seconds, times_floor, memory, rows = result
        table_rows.append(
            f"| {name} | {lines:,} | {lines / seconds:,.0f} | {times_floor:.1f} "
            f"| {memory:,.0f} | {rows:,} |"
        )
    head = "| reader | lines | lines/processor s | times the floor | peak memory, MB | messages |"
    return [head, "| --- | --- | --- | --- | --- | --- |", *table_rows]


def main() -> None:
    """Generate the chats, run every reader and print the measurements."""
    parser = argparse.ArgumentParser(description="Time espejo's reader and its peers.")
    parser.add_argument("--peers", default=sys.executable, help="the Python that has the peers")
    python = parser.parse_args().peers
    with tempfile.TemporaryDirectory() as scratch:
        short_chat, long_chat = (
            Path(scratch) / f"WhatsApp Chat with {n}.txt" for n in ("Romina", "all")
        )
        generate(short_chat, SHORT_CHAT_LINES)
        generate(long_chat, LONG_CHAT_LINES)
        print("\n".join(table(python, short_chat, long_chat)))
    print()
    cases.main(cases.CASES)


if __name__ == "__main__":
    main()
