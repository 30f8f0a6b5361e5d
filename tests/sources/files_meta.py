"""Files of Messenger and of Instagram, as tests write them."""

import json

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
