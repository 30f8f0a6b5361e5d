import json

import pytest

from espejo.sources import discord
from espejo.sources.export import ExportError
from tests.sources.files import CORDOBA, read_one, rows, source_file

NOON = 1_714_564_800_000_000  # 2024-05-01 12:00 UTC


def author(id_="11", **fields):
    return {"id": id_, "name": "rocio_r", "nickname": "Rocío", "isBot": False, **fields}


def message(number, content="", **fields):
    return {
        "id": str(number),
        "type": "Default",
        "timestamp": f"2024-05-01T09:00:{number:02}.5-03:00",
        "timestampEdited": None,
        "content": content,
        "author": author(),
        "attachments": [],
        "embeds": [],
        "stickers": [],
        **fields,
    }


def channel(*messages, guild=("77", "Los pibes"), type_="GuildTextChat", **fields):
    return {
        "guild": dict(zip(("id", "name"), guild, strict=True)),
        "channel": {"id": "900", "type": type_, "category": "Texto", "name": "general"},
        "dateRange": {"after": None, "before": None},
        "exportedAt": "2025-09-01T08:00:00.0000000-03:00",
        "messages": messages,
        "messageCount": len(messages),
        **fields,
    }


def export_of(*messages, **fields):
    return read_one(discord, source_file("general [900].json", channel(*messages, **fields)))


def record_of(**fields):
    (record,) = export_of(message(1, **fields)).records
    return record


def test_a_channel():
    export = export_of(message(1, "hola"), message(2, "sí", type="Reply", reference={}))
    first, second = export.records
    assert first == (
        *("900", "Los pibes - general", 1, NOON + 1_500_000, "11", "Rocío", "message", "hola"),
        *("", False, "1", None, False, None),
    )
    assert (second.kind, second.line, second.message_id) == ("message", 2, "2")
    assert (export.name, export.decisions) == ("general [900].json", "1 channel")


@pytest.mark.parametrize(
    ("guild", "type_", "title"),
    [
        (("0", "Direct Messages"), "DirectTextChat", "general"),
        (("0", "Direct Messages"), "DirectGroupTextChat", "general"),
        (("77", "Los pibes"), "GuildPublicThread", "Los pibes - general"),
    ],
)
def test_titles(guild, type_, title):
    (record,) = export_of(message(1, "x"), guild=guild, type_=type_).records
    assert record.chat == title


def test_parts_of_a_channel_are_one_chat():
    files = [
        source_file("general [900] [part 2].json", channel(message(2, "dos"))),
        source_file("general [900].json", channel(message(1, "uno"))),
    ]
    exports = discord.read(files, CORDOBA)
    assert [export.name for export in exports] == [file.name for file in files]
    assert {r.chat_id for export in exports for r in export.records} == {"900"}


def test_people_by_id():
    people = [
        author("1", nickname="El Tano"),
        author("2", nickname="El Tano"),
        author("3", nickname="Deleted User", name="deleted_user_1"),
        {"id": "4", "name": "mechi"},
        {"id": "5", "name": "", "nickname": None},
        None,
    ]
    records = export_of(
        *(message(n, "x", author=person) for n, person in enumerate(people))
    ).records
    assert [(r.author_id, r.author) for r in records] == [
        ("1", "El Tano"),
        ("2", "El Tano"),
        ("3", "Deleted User"),
        ("4", "mechi"),
        ("5", "Deleted User"),
        ("name Deleted User", "Deleted User"),
    ]


@pytest.mark.parametrize(
    ("type_", "kind", "author_name", "bot"),
    [
        ("ThreadStarterMessage", "message", "Rocío", False),
        ("19", "message", "Rocío", False),
        ("ChatInputCommand", "forwarded", "Rocío", True),
        ("23", "forwarded", "Rocío", True),
        ("Call", "call", "Rocío", False),
        ("3", "call", "Rocío", False),
        ("RecipientAdd", "system", None, False),
        ("ChannelPinnedMessage", "system", None, False),
        ("GuildMemberJoin", "system", None, False),
        ("46", "system", None, False),
        (46, "system", None, False),
        ("SomethingNew", "system", None, False),
        (None, "system", None, False),
        ([], "system", None, False),
    ],
)
def test_types(type_, kind, author_name, bot):
    record = record_of(type=type_, content="texto")
    assert (record.kind, record.author, record.bot) == (kind, author_name, bot)
    assert record.text == "texto"
    assert record.author_id == ("11" if author_name else None)


def test_bots():
    record = record_of(content="Pista agregada", author=author(isBot=True))
    assert (record.kind, record.bot, record.author) == ("forwarded", True, "Rocío")


@pytest.mark.parametrize(
    ("fields", "kind", "text", "caption"),
    [
        ({"attachments": [{"fileName": "a.png"}]}, "media", "<attachment>", ""),
        ({"attachments": [{}], "content": "mirá"}, "media", "mirá", "mirá"),
        ({"stickers": [{"name": "Laugh"}]}, "media", "<sticker>", ""),
        ({"embeds": [{"title": "x"}]}, "media", "<embed>", ""),
        ({"embeds": [{}], "content": "https://a.example"}, "message", "https://a.example", ""),
        ({}, "media", "<media>", ""),
        ({"content": None}, "media", "<media>", ""),
    ],
)
def test_media(fields, kind, text, caption):
    assert record_of(**fields)[6:9] == (kind, text, caption)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"forwardedMessage": {"content": "de otro canal"}}, "de otro canal"),
        ({"forwardedMessage": {"content": "", "attachments": [{}]}}, ""),
        ({"forwardedMessage": {"content": "mirá", "attachments": [{}]}}, "mirá"),
        ({"reference": {"type": "Forward", "messageId": "5"}}, ""),
    ],
)
def test_forwards(fields, text):
    record = record_of(**fields)
    assert record[5:9] == ("Rocío", "forwarded", text, "")


def test_edits():
    assert record_of(content="x", timestampEdited="2024-05-01T09:05:00-03:00").edited
    assert not record_of(content="x").edited


@pytest.mark.parametrize(
    ("timestamp", "after_noon"),
    [
        ("2024-05-01T12:00:00Z", 0),
        ("2024-05-01T17:30:00+05:30", 0),
        ("2024-05-01T12:00:00.1+00:00", 100_000),
        ("2024-05-01T09:00:00.1234567-03:00", 123_456),
        ("2024-05-01T09:00:00", 0),  # without an offset: local
    ],
)
def test_times(timestamp, after_noon):
    assert record_of(content="x", timestamp=timestamp).instant == NOON + after_noon


def test_newest_first():
    export = export_of(message(9, "c"), message(5, "b"), message(5, "a"))
    assert [(r.text, r.line) for r in export.records] == [("a", 3), ("b", 2), ("c", 1)]


def test_unreadable_messages():
    good = [message(1, "x")] * 98
    export = export_of(*good, message(2, "y", timestamp=5), None)
    assert export.dropped == {"unreadable": 2}
    with pytest.raises(ExportError, match=r"general \[900\].json, message 1: expected `object`"):
        export_of(7, message(1, "x"), 7)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda data: data[:-30], "the JSON is cut off, expected its end"),
        (lambda data: data.replace('"messages"', '"rows"'), "missing required field `messages`"),
        (lambda data: data.replace('"hola"', "hola"), "expected JSON (invalid character"),
        (
            lambda data: data.replace("hola", "ñ" * 1_000_001),
            "message 1: a text of 2,000,002 bytes",
        ),
    ],
)
def test_errors(change, part):
    data = change(json.dumps(channel(message(1, "hola")), ensure_ascii=False))
    with pytest.raises(ExportError) as error:
        discord.read([source_file("general.json", data)], CORDOBA)
    assert str(error.value).startswith("general.json")
    assert part in str(error.value)


@pytest.mark.parametrize(
    ("content", "is_discord"),
    [
        (channel(), True),
        (channel(message(1, "x" * 99_999)), True),
        ({"guild": "x", "channel": {}}, False),
        ({"type": "personal_chat", "id": 1, "messages": []}, False),
        (b"", False),
    ],
)
def test_recognises(content, is_discord):
    assert discord.recognises(source_file("x.json", content)) == is_discord


def test_empty_channel():
    assert rows(export_of()) == []
