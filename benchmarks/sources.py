"""Time and memory of reading an invented Telegram account, and of splitting many dialogues.

    python -m benchmarks.sources                      # a million messages, 100,000 dialogues
    python -m benchmarks.sources --messages 100000 --dialogues 10000

Each measurement is a process of its own: processor seconds, since shared machines are noisy, and
peak memory. `json.load` of the same account is the measure of what is quick.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from espejo import sources
from espejo.core.config import GroupConfig
from espejo.dataset import splits
from espejo.dataset.turns import examples, turns

WORDS = tuple(
    """
    hola che mañana vamos al río o no sé todavía hay que ver si llueve dale traé mate y yerba jajaja
    qué decís ya salgo llego en diez minutos esperame abajo te llamo después 😂 ok perfecto nos
    vemos a las ocho en la plaza no te olvides las llaves por favor gracias
    """.split()  # noqa: SIM905
)
CHATS = 50
OWNER = ("Bruno", 480117902)


def write_account(path: Path, messages: int) -> None:
    """Write an account of CHATS chats as Telegram Desktop does, with its indentation."""
    rng = random.Random(1)
    others = [(f"Persona {number}", 510_000_000 + 7919 * number) for number in range(CHATS)]
    now, number = 1_400_000_000, 0
    with path.open("w", encoding="utf-8") as out:
        out.write('{\n "about": "Here is the data you requested.",\n "chats": {\n  "list": [\n')
        for index, other in enumerate(others):
            head = {"name": other[0], "type": "personal_chat", "id": other[1]}
            out.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "messages": [\n')
            rows = []
            for _ in range(messages // CHATS):
                number, now = number + 1, now + rng.randrange(1, 600)
                rows.append(_message(number, now, rng.choice((OWNER, other)), rng))
            out.write(",\n".join(rows) + "\n]}" + (",\n" if index < CHATS - 1 else "\n"))
        out.write("  ]\n }\n}\n")


def _message(number: int, now: int, sender: tuple[str, int], rng: random.Random) -> str:
    text = " ".join(rng.choices(WORDS, k=rng.randrange(1, 18)))
    message = {
        "id": number,
        "type": "message",
        "date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now - 10800)),
        "date_unixtime": str(now),
        "from": sender[0],
        "from_id": f"user{sender[1]}",
        "text": text,
        "text_entities": [{"type": "plain", "text": text}],
    }
    if rng.random() < 0.05:
        link = {"type": "link", "text": "https://ejemplo.com.ar/x"}
        message |= {"text": [f"{text} ", link], "text_entities": [link]}
    elif rng.random() < 0.08:
        message |= {"photo": f"photos/photo_{number}.jpg", "width": 960, "height": 1280}
    return json.dumps(message, ensure_ascii=False, indent=1)


def write_dialogues(path: Path, dialogues: int) -> None:
    """Write dialogues of four to twelve utterances as JSON Lines."""
    rng = random.Random(2)
    words = [f"{word}{ending}" for word in WORDS for ending in ("", "s", "n", "ito")]
    with path.open("w", encoding="utf-8") as out:
        for _ in range(dialogues):
            utterances = [
                " ".join(rng.choices(words, k=rng.randint(3, 18)))
                for _ in range(rng.randint(4, 12))
            ]
            out.write(json.dumps({"dialog": utterances}, ensure_ascii=False) + "\n")


def _load(path: Path) -> int:
    with path.open(encoding="utf-8") as file:
        return len(json.load(file)["chats"]["list"])


def _read(path: Path) -> int:
    return len(sources.read(path, timezone="America/Argentina/Cordoba"))


def _group(path: Path) -> int:
    config = GroupConfig(
        turn_gap="1h",
        session_gap="3h",
        history=6,
        validation=0.1,
        test=0.1,
        min_replies=1,
        near_duplicates=0.7,
        seed=7,
    )
    grouped = turns(sources.read(path), config.turn_gap, config.session_gap)
    with_splits = splits.split(grouped.drop(columns="withheld"), frozenset({"B"}), config)
    return len(examples(with_splits, "B", config.history))


MEASURED = {
    "load": ("json.load of the account", _load),
    "read": ("sources.read of the account", _read),
    "group": ("reading and grouping the dialogues", _group),
}


def measure(name: str, path: Path) -> dict:
    """One measurement in a process of its own: rows, processor seconds, peak memory in GB."""
    command = [sys.executable, "-m", "benchmarks.sources", "--measure", name, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout.splitlines()[-1])


def main() -> None:
    """Print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--dialogues", type=int, default=100_000)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        start = time.process_time()
        rows = MEASURED[arguments.measure[0]][1](Path(arguments.measure[1]))
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # from kilobytes
        print(json.dumps({"rows": rows, "seconds": seconds, "gigabytes": peak}))
        return
    with tempfile.TemporaryDirectory() as folder:
        account, dialogues = Path(folder) / "result.json", Path(folder) / "dialogues.jsonl"
        write_account(account, arguments.messages)
        write_dialogues(dialogues, arguments.dialogues)
        size = account.stat().st_size / 1e6
        print(f"{arguments.messages:,} messages ({size:.0f} MB), {arguments.dialogues:,} dialogues")
        print("\n| what | rows | processor seconds | peak memory |\n| --- | --- | --- | --- |")
        for name, (words, _) in MEASURED.items():
            result = measure(name, dialogues if name == "group" else account)
            print(
                f"| {words} | {result['rows']:,} | {result['seconds']:.1f} "
                f"| {result['gigabytes']:.2f} GB |"
            )


if __name__ == "__main__":
    main()
