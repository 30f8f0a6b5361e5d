"""Files of Messenger, of Instagram and of conversations, as tests write them."""

import json
import random

from espejo.sources.export import SourceFile
from tests.sources.files import source_file

NOON = 1_700_000_000_000  # milliseconds
MINUTE = 60_000


def message(sender: str, minute: float, content: str | None = None, **fields: object) -> dict:
    row = {"sender_name": sender, "timestamp_ms": NOON + int(minute * MINUTE), **fields}
    return row if content is None else {**row, "content": content}


def thread(
    *newest_first: dict,
    path: str = "inbox/lucia_777/message_1.json",
    title: str = "Lucía Roca",
    people: tuple[str, ...] = ("Lucía Roca", "Teo"),
    garbled: bool = False,
    **fields: object,
) -> SourceFile:
    """Write a file of one thread; `garbled`: as Meta does, UTF-8 read as Latin-1."""
    content = {
        "participants": [{"name": name} for name in people],
        "messages": list(newest_first),
        "title": title,
        "thread_path": "inbox/lucia_777",
        **fields,
    }
    content = {key: value for key, value in content.items() if value is not None}
    return source_file(path, json.dumps(garble(content) if garbled else content).encode())


def garble(value: object) -> object:
    if isinstance(value, str):
        return value.encode().decode("latin-1")
    if isinstance(value, list):
        return [garble(item) for item in value]
    if isinstance(value, dict):
        return {key: garble(item) for key, item in value.items()}
    return value


def encrypted_thread(*messages: dict, name: str = "Lucía Roca_12") -> SourceFile:
    content = {
        "participants": ["Lucía Roca", "Teo"],
        "threadName": name,
        "messages": list(messages),
    }
    return source_file(f"{name}.json", json.dumps(content, ensure_ascii=False).encode())


def encrypted(sender: str, minute: float, text: str = "", **fields: object) -> dict:
    defaults = {"type": "text", "isUnsent": False, "media": [], "reactions": []}
    time = NOON + int(minute * MINUTE)
    return {"senderName": sender, "timestamp": time, "text": text, **defaults, **fields}


def mutate(data: bytes, dice: random.Random) -> bytes:
    """Damage a file: bytes, its end, or values of its JSON."""
    choice = dice.randrange(4)
    if choice == 0:
        changed = bytearray(data)
        for _ in range(dice.randint(1, 4)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        return bytes(changed)
    if choice == 1:
        return data[: dice.randrange(len(data))]
    odd_values = [
        *(b"null", b"1e400", b"-1", b"true", b"[]", b"{}", b'""', b'"\\ud83d"', b"[{}]", b"NaN"),
        *(
            b"9" * 30,
            b"[" * 3000,
            b'{"a":' * 2000,
            b'"9999999999999"',
            b"0.5",
            b'[null,{"name":[]}]',
        ),
    ]
    starts = [index for index, byte in enumerate(data) if byte in b":,["]
    start = dice.choice(starts) + 1
    ends = [index for index in range(start, len(data)) if data[index] in b",}]"]
    end = ends[min(len(ends) - 1, dice.choice([0, 0, 0, 1, 5]))] if ends else len(data)
    return data[:start] + dice.choice(odd_values) + data[end:]
