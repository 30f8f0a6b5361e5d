"""Files that something broke: an ExportError or an account that adds up, nothing else."""

import copy
import json
import random

import pytest

from espejo.sources import discord, meta, roles, signal, telegram
from espejo.sources.export import ExportError
from tests.sources import files_meta, test_discord, test_roles, test_signal, test_telegram
from tests.sources.files import CORDOBA, source_file

NUM_MUTATIONS = 200  # of each file
ODD_VALUES = (
    *(None, True, -1, 0, 1.5, 10**30, -(10**300), "", "x", "9" * 5000, "\x00", "\ud83d"),
    *([], {}, [[]], [None], [{"text": {"text": ["a"]}}], {"text": 5}, {"id": {}}, "2024-13-01"),
    *({"name": []}, [{"type": []}], "0001-01-01T00:00:00", "9999-12-31T23:59:59+00:00"),
    *(float("nan"), float("inf")),
)


def telegram_file():
    rich = {"blocks": [{"type": "list", "items": [{"text": {"type": "plain", "text": "a"}}]}]}
    service = {"id": 9, "type": "service", "date_unixtime": "1714564800", "action": "phone_call"}
    messages = [
        test_telegram.message(1, "hola"),
        test_telegram.message(2, ["a ", {"type": "bold", "text": "b"}], via_bot="@x"),
        test_telegram.message(3, rich_message=rich),
        test_telegram.message(4, poll={"question": ["a"]}, forwarded_from="Cocina"),
        test_telegram.old(5, "2019-07-05T16:55:32", "vieja"),
        service | {"actor": "Rocío", "actor_id": 7001},
        {"id": 10, "type": "unsupported"},
    ]
    saved = {"type": "saved_messages", "id": 42, "messages": messages}
    chats = {"list": [test_telegram.chat(*messages * 20), saved]}
    return [{"personal_information": {"user_id": 42, "first_name": "Teo"}, "chats": chats}]


def discord_file():
    messages = [
        test_discord.message(1, "hola"),
        test_discord.message(2, "x", type="Call", timestampEdited="2024-05-01T09:00:00-03:00"),
        test_discord.message(3, forwardedMessage={"content": "a", "attachments": [{}]}),
        test_discord.message(4, attachments=[{"id": "1"}], reference={"type": "Default"}),
    ]
    return [test_discord.channel(*messages * 20)]


def signal_file():
    mention = {"body": "\ufffc", "bodyRanges": [{"start": 0, "mentionAci": "QUJD"}]}
    items = [
        test_signal.item(text="hola", revisions=[{}]),
        test_signal.item(standardMessage={"text": mention, "attachments": [test_signal.IMAGE]}),
        test_signal.item(directStoryReplyMessage={"textReply": {"text": {"body": "a"}}}),
        test_signal.item(updateMessage={"simpleUpdate": {"type": "BLOCKED"}}),
        test_signal.item(chat="11", poll={"question": "a"}),
    ]
    return [*test_signal.FRAMES, *items * 20]


def meta_file():
    messages = [
        files_meta.message("Teo", 3, "hola (edited)", photos=[{"uri": "1.jpg"}]),
        files_meta.message("Lucía Roca", 2, "holá", reactions=[{"reaction": "x"}]),
        files_meta.message("Teo", 1, share={"link": "x"}),
    ]
    return [json.loads(files_meta.thread(*messages, garbled=True).read())]


def encrypted_file():
    messages = [
        files_meta.encrypted("Teo", 1, "hola"),
        files_meta.encrypted("Lucía Roca", 0, "é", media=[{}]),
    ]
    return [json.loads(files_meta.encrypted_thread(*messages).read())]


def roles_file():
    parts = [{"type": "text", "text": "é"}, {"type": "image_url"}]
    return [test_roles.FIRST, test_roles.conversation(("user", parts)), test_roles.SECOND]


def replace_a_value(value, rng):
    """Replace a value somewhere inside nested lists and dicts."""
    while isinstance(value, list | dict) and value:
        keys = list(range(len(value)) if isinstance(value, list) else value)
        key = rng.choice(keys)
        if not isinstance(value[key], list | dict) or not value[key] or rng.random() < 0.2:
            value[key] = copy.deepcopy(rng.choice(ODD_VALUES))
            return
        value = value[key]


def mutate(frames, rng):
    frames = json.loads(json.dumps(frames))
    for _ in range(rng.choice((0, 1, 1, 2, 5))):
        replace_a_value(frames, rng)
    data = bytearray("\n".join(json.dumps(frame) for frame in frames).encode())
    match rng.randrange(6):
        case 0:
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
        case 1:
            del data[rng.randrange(len(data)) :]
        case 2:
            start = rng.randrange(len(data))
            del data[start : start + rng.randrange(50)]
        case 3:
            start = rng.randrange(len(data))
            data[start:start] = rng.choice(
                (b"[" * 3000, b'{"a":' * 3000, b"\\x01", b"\\", b"9" * 400)
            )
    return bytes(data)


def check(reader, data):
    """Read a damaged file; return whether it gave records."""
    file = source_file("folder/main.jsonl", data)
    reader.recognises(file)
    try:
        (export,) = reader.read([file], CORDOBA)
    except ExportError as error:
        message = str(error)
        assert "main.jsonl" in message
        assert message.endswith(".")
        assert "\n" not in message
        return False
    assert export.items == len(export.records) + sum(export.dropped.values())
    for record in export.records:
        record.text.encode()
        assert (record.instant is None) == (reader is roles)  # roles have no times
        assert (record.author is None) == (record.author_id is None) == (record.kind == "system")
        assert all(
            isinstance(value, str) for value in (record.chat_id, record.chat, record.caption)
        )
    return bool(export.records)


@pytest.mark.parametrize(
    ("reader", "frames"),
    [
        (telegram, telegram_file()),
        (discord, discord_file()),
        (signal, signal_file()),
        (meta, meta_file()),
        (meta, encrypted_file()),
        (roles, roles_file()),
    ],
)
def test_mutated_files(reader, frames):
    rng = random.Random(20)
    read = sum(check(reader, mutate(frames, rng)) for _ in range(NUM_MUTATIONS))
    assert 0 < read < NUM_MUTATIONS  # some are read, some refused
