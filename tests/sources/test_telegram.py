import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espejo.sources import telegram
from espejo.sources.export import ExportError
from tests.sources.files import CORDOBA, MADRID, read_one, rows, source_file

NOON = 1_714_564_800  # 2024-05-01 12:00 UTC


def message(number, text="", **fields):
    return {
        "id": number,
        "type": "message",
        "date": "2024-05-01T09:00:00",
        "date_unixtime": str(NOON + number),
        "from": "Rocío",
        "from_id": "user7001",
        "text": text,
        "text_entities": [{"type": "plain", "text": "not read"}],
        **fields,
    }


def chat(*messages, **fields):
    return {"name": "Rocío", "type": "personal_chat", "id": 7001, "messages": messages, **fields}


def export_of(*messages, options=CORDOBA, **fields):
    return read_one(telegram, source_file("result.json", chat(*messages, **fields)), options)


def record_of(**fields):
    (record,) = export_of(message(1, **fields)).records
    return record


def test_a_chat():
    export = export_of(
        message(5, "hola"), message(6, "qué tal?", **{"from": "Teo", "from_id": "user42"})
    )
    first, second = export.records
    assert first == (
        *("user7001", "Rocío", 1, (NOON + 5) * 1_000_000, "user7001", "Rocío", "message", "hola"),
        *("", False, "5", None, False, None),
    )
    assert (second.author_id, second.author, second.line) == ("user42", "Teo", 2)
    assert (export.name, export.items, export.dropped) == ("result.json", 2, {})
    assert export.decisions == "1 chat"


def test_an_account():
    account = {
        "about": "Aquí están los datos que pediste.",
        "personal_information": {"user_id": 42, "first_name": "Teo", "last_name": "Ríos"},
        "contacts": {"about": "", "list": [{"user_id": 7001}]},
        "chats": {
            "about": "",
            "list": [
                chat(message(1, "una")),
                chat(message(1, "otra", from_id="user7002"), id=7002),
                chat(message(9, "en el grupo"), name="Fútbol", type="private_group", id=7001),
            ],
        },
        "left_chats": {
            "about": "",
            "list": [chat(message(3, "chau"), name="Viejos", type="private_supergroup", id=55)],
        },
    }
    export = read_one(telegram, source_file("result.json", account))
    assert [(r.chat_id, r.chat, r.author_id, r.line, r.text) for r in export.records] == [
        ("user7001", "Rocío", "user7001", 1, "una"),
        ("user7002", "Rocío", "user7002", 1, "otra"),
        ("chat7001", "Fútbol", "user7001", 1, "en el grupo"),
        ("channel55", "Viejos", "user7001", 1, "chau"),
    ]
    assert export.decisions == "4 chats"


@pytest.mark.parametrize("personal", [{"user_id": 42, "first_name": "Teo", "last_name": ""}, None])
def test_saved_messages_are_sent_by_the_owner(personal):
    own = {"from": "Teo", "from_id": "user42"}
    saved = {
        "type": "saved_messages",
        "id": 42,
        "messages": [
            message(1, "dice Rocío", forwarded_from="Rocío"),
            message(2, "comprar pan", **own),
            message(3, "receta", forwarded_from="Cocina", **own),
            message(4, "sin marca"),
        ],
    }
    account = {"personal_information": personal, "chats": {"list": [saved]}}
    export = read_one(telegram, source_file("result.json", account))
    assert [(r.chat, r.author_id, r.author, r.kind, r.origin) for r in export.records] == [
        ("Saved Messages", "user42", "Teo", "forwarded", "Rocío"),
        ("Saved Messages", "user42", "Teo", "message", None),
        ("Saved Messages", "user42", "Teo", "forwarded", "Cocina"),
        ("Saved Messages", "user42", "Teo", "forwarded", "Rocío"),
    ]


def test_text_as_a_list_is_joined_as_it_stands():
    parts = ["mirá ", {"type": "link", "text": "https://a.example"}, "!", {"type": "bold"}, ""]
    assert record_of(text=parts).text == "mirá https://a.example!"


def test_rich_message():
    blocks = [
        {"type": "heading", "level": 1, "text": {"type": "plain", "text": "Lista"}},
        {
            "type": "paragraph",
            "text": {
                "type": "concat",
                "text": [
                    {"type": "plain", "text": "para "},
                    {"type": "bold", "text": {"type": "plain", "text": "hoy"}},
                ],
            },
        },
        {
            "type": "list",
            "kind": "unordered",
            "items": [
                {"content": "text", "text": {"type": "plain", "text": "pan"}},
                {"content": "blocks", "blocks": [{"type": "paragraph", "text": "yerba"}]},
            ],
        },
        {"type": "table", "rows": [{"cells": [{"text": "a"}, {"text": "b"}]}]},
        {"type": "divider"},
    ]
    record = record_of(text="", rich_message={"rtl": False, "part": False, "blocks": blocks})
    assert (record.kind, record.text) == ("message", "Lista\npara hoy\npan\nyerba\na b")
    blocks.append({"type": "photo", "photo_id": "1", "caption": {"text": "el perro"}})
    record = record_of(text="", rich_message={"blocks": blocks[-1:]})
    assert record[6:9] == ("media", "el perro", "el perro")


def test_a_reaction_sets_edited_which_is_no_proof():
    assert not record_of(text="hola", edited="2024-05-01T09:01:00", edited_unixtime="1").edited


@pytest.mark.parametrize(
    ("fields", "text", "caption"),
    [
        ({"photo": "photos/1.jpg", "text": "mirá"}, "mirá", "mirá"),
        ({"photo": "(File not included.)"}, "<photo>", ""),
        ({"file": "a.pdf", "file_name": "a.pdf"}, "<file>", ""),
        ({"file": "a.ogg", "media_type": "voice_message"}, "<voice message>", ""),
        ({"file": "a.webp", "media_type": "sticker", "sticker_emoji": "😀"}, "<sticker>", ""),
        ({"media_type": "sticker", "text": "😀"}, "😀", "😀"),
        ({"contact_information": {"first_name": "Ana"}}, "<contact>", ""),
        ({"location_information": None}, "<location>", ""),
        ({"place_name": "Plaza", "location_information": {"latitude": 1}}, "<location>", ""),
        ({"poll": {"question": "Vamos?", "answers": []}}, "Vamos?", ""),
        ({"poll": {"question": ["Vamos ", {"type": "bold", "text": "hoy"}]}}, "Vamos hoy", ""),
        ({"poll": {"question": []}}, "<poll>", ""),
        ({"game_title": "Ajedrez"}, "<game>", ""),
        ({"invoice_information": {"title": "x"}}, "<invoice>", ""),
        ({"self_destruct_period_seconds": 5, "photo": "(File unavailable)"}, "<photo>", ""),
        ({"self_destruct_period_seconds": 5}, "<self-destructing media>", ""),
        ({}, "<media>", ""),
        ({"text": None}, "<media>", ""),
    ],
)
def test_media(fields, text, caption):
    assert record_of(**fields)[6:9] == ("media", text, caption)


@pytest.mark.parametrize(
    ("fields", "origin", "bot"),
    [
        ({"forwarded_from": "Cocina"}, "Cocina", False),
        ({"forwarded_from": None}, None, False),
        ({"forwarded_from": "Cocina", "photo": "p.jpg"}, "Cocina", False),
        ({"via_bot": "@gif"}, "@gif", False),
    ],
)
def test_words_that_are_not_the_senders(fields, origin, bot):
    record = record_of(text="pan y sal", **fields)
    assert (record.kind, record.text, record.caption) == ("forwarded", "pan y sal", "")
    assert (record.author, record.origin, record.bot) == ("Rocío", origin, bot)


def test_a_bot_in_its_chat():
    bot, person = export_of(
        message(1, "Elija una opción"), message(2, "/ayuda", from_id="user42"), type="bot_chat"
    ).records
    assert (bot.kind, bot.bot) == ("forwarded", True)
    assert (person.kind, person.bot) == ("message", False)


def test_bots_in_groups():
    bot_chat = chat(name="Ayuda", type="bot_chat", id=99)
    group = chat(
        message(1, "Bienvenido", from_id="user99"),
        message(2, "Votá", from_id="user98", inline_bot_buttons=[[{"type": "callback"}]]),
        message(3, "gracias"),
        type="private_group",
    )
    account = {"chats": {"list": [group, bot_chat]}, "personal_information": {"user_id": 1}}
    records = read_one(telegram, source_file("result.json", account)).records
    assert [(r.kind, r.bot) for r in records] == [
        ("forwarded", True),
        ("forwarded", True),
        ("message", False),
    ]


def test_chats_without_a_name():
    fields = {"name": None, "type": "private_group", "id": 5}
    assert export_of(message(1, "x"), **fields).records[0].chat == "chat5"
    assert export_of(message(1, "x"), name=None).records[0].chat == "Deleted Account"


def test_deleted_accounts_stay_apart():
    first, second, third = export_of(
        message(1, "a", **{"from": None, "from_id": "user1"}),
        message(2, "b", **{"from": None, "from_id": "user2"}),
        message(3, "c", **{"from": None, "from_id": None}),
    ).records
    assert [r.author for r in (first, second, third)] == ["Deleted Account"] * 3
    assert len({first.author_id, second.author_id, third.author_id}) == 3


def test_a_deleted_account_keeps_the_name_that_another_message_has():
    records = export_of(
        message(1, "a", **{"from": None, "from_id": "user1"}),
        message(2, "b", **{"from": "Bea", "from_id": "user1"}),
        message(3, "c", **{"from": None, "from_id": "user1"}),
        message(4, "d", **{"from": None, "from_id": "user2"}),
    ).records
    assert [r.author for r in records] == ["Bea", "Bea", "Bea", "Deleted Account"]


def test_a_post_without_sender_is_the_channels():
    post = {"id": 1, "type": "message", "date_unixtime": str(NOON), "text": "novedades"}
    (record,) = export_of(post, name="Club", type="public_channel", id=5).records
    assert (record.author_id, record.author) == ("channel5", "Club")


@pytest.mark.parametrize(
    ("fields", "author", "kind", "text"),
    [
        ({"action": "phone_call", "duration_seconds": 60}, "Rocío", "call", "<call>"),
        ({"action": "group_call"}, "Rocío", "call", "<call>"),
        ({"action": "pin_message", "message_id": 3}, None, "system", "pin message"),
        ({"information_text": "de_a_dos"}, None, "system", "de_a_dos"),
        ({}, None, "system", ""),
    ],
)
def test_service_rows(fields, author, kind, text):
    row = {"id": 1, "type": "service", "date_unixtime": str(NOON), "text": "", **fields}
    row |= {"actor": "Rocío", "actor_id": "user7001"}
    (record,) = export_of(row).records
    assert (record.author, record.kind, record.text) == (author, kind, text)
    assert record.author_id == ("user7001" if author else None)


def test_unsupported_rows_are_dropped_with_a_reason():
    export = export_of({"id": 1, "type": "unsupported"}, message(2, "hola"))
    assert rows(export) == [("Rocío", "message", "hola")]
    assert export.records[0].line == 2
    assert export.dropped == {"unsupported": 1}
    assert "1 messages left out" in export.decisions


def test_control_characters():
    data = json.dumps(chat(message(1, "a@b"), message(2, r"\x01 \@ @")), ensure_ascii=False)
    # Telegram Desktop writes U+0001 as \x01; a backslash that somebody typed is written twice.
    data = data.replace("@", r"\x1F")
    assert r"\\x01 \\\x1F \x1F" in data
    export = read_one(telegram, source_file("result.json", data))
    assert [r.text for r in export.records] == ["a\x1fb", "\\x01 \\\x1f \x1f"]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5))
def test_any_text_survives(texts):
    def in_telegrams_way(text):
        escaped = json.dumps(text, ensure_ascii=False)[1:-1]
        for code in range(32):
            escaped = escaped.replace(f"\\u{code:04x}", f"\\x{code:02X}")
        return escaped if "\\u00" not in text and "\\b" not in text else None

    written = [(text, in_telegrams_way(text)) for text in texts]
    pairs = [(text, escaped) for text, escaped in written if escaped is not None and text]
    messages = [message(1, f"<<{number}>>") for number in range(len(pairs))]
    data = json.dumps(chat(*messages), ensure_ascii=False)
    for number, (_, escaped) in enumerate(pairs):
        data = data.replace(f"<<{number}>>", escaped, 1)
    if any("<<" in text for text, _ in pairs):
        return
    export = read_one(telegram, source_file("result.json", data))
    assert [r.text for r in export.records] == [text for text, _ in pairs]


def old(number, date, text):
    row = message(number, text, date=date, from_id=7001)
    del row["date_unixtime"], row["text_entities"]
    return row


def test_exports_of_2019_have_local_times_and_numbers_as_ids():
    group = (2 << 32) + 1234
    export = export_of(
        old(1, "2019-07-05T16:55:32", "hola"),
        old(2, "2019-07-05T16:55:33", "che") | {"from_id": group, "from": "Fútbol"},
        name="Fútbol",
        type="private_supergroup",
        id=group,
    )
    first, second = export.records
    assert first.instant == 1_562_356_532_000_000  # 19:55:32 UTC
    assert (first.author_id, second.author_id) == ("user7001", "channel1234")
    assert first.chat_id == "channel1234"
    assert export.decisions.endswith("2 times without an offset read in America/Argentina/Cordoba")


def test_the_hour_that_the_clock_repeats():
    # Madrid, 2019-10-27: at 03:00 (01:00 UTC) the clocks went back to 02:00.
    dates = ["02:30:00", "02:59:00", "02:10:00", "02:30:00", "03:10:00"]
    rows = [old(n, f"2019-10-27T{date}", "x") for n, date in enumerate(dates)]
    instants = [r.instant // 60_000_000 for r in export_of(*rows, options=MADRID).records]
    assert [instant - instants[0] for instant in instants] == [0, 29, 40, 60, 100]


def test_odd_fields_do_not_lose_the_message():
    record = record_of(text="hola", **{"from": 5, "from_id": [1], "via_bot": {}, "edited": []})
    assert (record.kind, record.text, record.author) == ("message", "hola", "Deleted Account")
    record = record_of(text="hola", date_unixtime={}, date="2024-05-01T09:00:00")
    assert record.instant == NOON * 1_000_000


def test_few_unreadable_messages_are_counted():
    good = [message(number, "hola") for number in range(98)]
    export = export_of(*good, message(98, "x", date_unixtime="soon", date=""), 5)
    assert export.dropped == {"unreadable": 2}
    with pytest.raises(ExportError) as error:
        export_of(*good, message(98, "x", date_unixtime="99", date=None), 5, None)
    assert str(error.value) == (
        "result.json, message 99: expected a time between 1990 and 2100, and 3 of 101 items "
        "cannot be read; export it again from Telegram Desktop (format JSON) and use result.json "
        "as it comes."
    )


def test_broken_characters():
    data = json.dumps(chat(message(1, "a@b"), message(2, "c#d")))
    data = data.replace("@", r"\ud83d").encode().replace(b"#", b"\xff")
    export = read_one(telegram, source_file("result.json", data))
    assert [r.text for r in export.records] == ["a\ufffdb", "c\ufffdd"]


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda data: data[:-40], ["cut off"]),
        (
            lambda data: data.replace(b'"hola"', b'hola"'),
            ["result.json: expected JSON (", "byte"],
        ),
        (lambda data: data.replace(b"[{", b"{"), ["result.json: "]),
        (
            lambda data: data.replace(b'"messages"', b'"mess"'),
            ["expected messages or chats, found none"],
        ),
        (lambda data: data.replace(b'"hola"', b"[" * 10**6), ["nested too deeply"]),
        (lambda data: data.replace(b"hola", b"a" * 2_000_001), ["message 1", "2,000,001 bytes"]),
    ],
)
def test_errors(change, parts):
    data = json.dumps(chat(message(1, "hola"))).encode()
    with pytest.raises(ExportError) as error:
        telegram.read([source_file("result.json", change(data))], CORDOBA)
    assert all(part in str(error.value) for part in ["result.json", *parts])


def test_too_many_messages(monkeypatch):
    monkeypatch.setattr("espejo.sources.account.MAX_ITEMS", 1)
    with pytest.raises(ExportError, match="more than 1 items"):
        export_of(message(1), message(2))


@pytest.mark.parametrize(
    ("content", "is_telegram"),
    [
        (chat(message(1)), True),
        (json.dumps(chat(message(1, "x" * 100_000))), True),
        (b"\xef\xbb\xbf" + json.dumps(chat()).encode(), True),
        ({"personal_information": {"user_id": 1}, "contacts": {"list": ["x" * 99_999]}}, True),
        ({"about": "Your Telegram data", "sessions": []}, True),
        ({"chats": {"list": [chat()]}}, True),
        ({"type": ["personal_chat"], "id": 1, "messages": []}, False),
        ({"messages": [{"role": "user", "content": "hi"}]}, False),
        ({"participants": [], "title": "x", "messages": []}, False),
        ({"type": "FeatureCollection", "id": 1, "features": []}, False),
        ({"chats": {"list": [1]}}, False),
        ([chat()], False),
        (b"", False),
        (b"\xff\xfe{", False),
        (b'{"a' + b"[" * 70_000, False),
        (b'{"a": ' + b"[" * 70_000, False),
    ],
)
def test_recognises(content, is_telegram):
    assert telegram.recognises(source_file("x.txt", content)) == is_telegram


def test_a_forwarded_photo_without_words_holds_none():
    """Its placeholder would be kept as context, and nobody wrote it."""
    record = record_of(photo="photos/x.jpg", forwarded_from="Noticias")
    assert (record.kind, record.text, record.caption) == ("forwarded", "", "")
