import json

import pytest

from espejo.sources import signal
from espejo.sources.export import ExportError
from tests.sources.files import CORDOBA, read_one, source_file

NOON = 1_714_564_800_000  # 2024-05-01 12:00 UTC, in milliseconds

HEADER = {"version": "1", "backupTimeMs": "1780401600000"}
ACCOUNT = {"account": {"profileKey": "AA", "givenName": "Teo", "familyName": "Ríos"}}
SELF = {"recipient": {"id": "1", "self": {}}}
ROCIO = {"recipient": {"id": "2", "contact": {"aci": "QUJD", "profileGivenName": "Rocío"}}}
GROUP = {
    "recipient": {
        "id": "3",
        "group": {"masterKey": "c2VjcmV0", "snapshot": {"title": {"title": "Fútbol"}}},
    }
}
APP = {"recipient": {"id": "4", "releaseNotes": {}}}
CHATS = [
    {"chat": {"id": "10", "recipientId": "2"}},
    {"chat": {"id": "11", "recipientId": "3"}},
    {"chat": {"id": "12", "recipientId": "1"}},
    {"chat": {"id": "13", "recipientId": "4"}},
]
FRAMES = [HEADER, ACCOUNT, SELF, ROCIO, GROUP, APP, *CHATS]


def item(chat="10", author="2", **fields):
    if "text" in fields:
        fields["standardMessage"] = {"text": {"body": fields.pop("text")}}
    item = {"chatId": chat, "authorId": author, "dateSent": str(NOON), "incoming": {}, **fields}
    return {"chatItem": item}


def export_of(*frames, start=FRAMES):
    lines = "".join(json.dumps(frame, ensure_ascii=False) + "\n" for frame in [*start, *frames])
    return read_one(signal, source_file("signal/main.jsonl", lines))


def record_of(**fields):
    (record,) = export_of(item(**fields)).records
    return record


def test_chats():
    export = export_of(
        item(text="hola"),
        item(author="1", text="buenas"),
        item(chat="11", text="al grupo"),
        item(chat="12", author="1", text="nota"),
        {"stickerPack": {"packId": "x"}},
        {},
    )
    first, *others = export.records
    assert first == (
        *("QUJD", "Rocío", 11, NOON * 1000, "QUJD", "Rocío", "message", "hola"),
        *("", False, f"{NOON * 1000} QUJD", None, False, None),
    )
    assert [(r.chat, r.author_id, r.author, r.text) for r in others] == [
        ("Rocío", "self", "Teo Ríos", "buenas"),
        ("Fútbol", "QUJD", "Rocío", "al grupo"),
        ("Note to Self", "self", "Teo Ríos", "nota"),
    ]
    assert export.items == 4
    assert export.decisions == "experimental, 3 chats"


def test_ids_are_those_of_all_exports_and_keys_stay_secret():
    again = json.loads(json.dumps(FRAMES).replace('"3"', '"33"').replace('"2"', '"22"'))
    first = export_of(item(chat="11", text="x")).records[0]
    second = export_of(item(chat="11", author="22", text="x"), start=again).records[0]
    assert first[:1] + first[3:] == second[:1] + second[3:]
    assert first.chat_id.startswith("group ")
    assert "c2VjcmV0" not in first.chat_id


@pytest.mark.parametrize(
    ("contact", "name"),
    [
        ({"nickname": {"given": "Ro", "family": ""}, "systemGivenName": "Rocío"}, "Ro"),
        ({"systemGivenName": "Rocío", "systemFamilyName": "Paz", "username": "r"}, "Rocío Paz"),
        ({"profileGivenName": "ro", "profileFamilyName": "p", "username": "ro.01"}, "ro p"),
        ({"username": "ro.01", "e164": "5493510000001"}, "ro.01"),
        ({"e164": "5493510000001"}, "+5493510000001"),
        ({"e164": 5493510000001}, "+5493510000001"),
        ({"systemGivenName": 5, "nickname": "x"}, "Unknown"),
    ],
)  # fmt: skip
def test_names_of_contacts(contact, name):
    recipient = {"recipient": {"id": "2", "contact": contact}}
    (record,) = export_of(item(text="x"), start=[HEADER, recipient, CHATS[0]]).records
    assert (record.author, record.chat) == (name, name)


@pytest.mark.parametrize(
    ("account", "name"),
    [
        ({"givenName": "Teo", "familyName": ""}, "Teo"),
        ({"givenName": "", "username": "teo.02"}, "teo.02"),
        ({}, "Me"),
    ],
)
def test_own_name(account, name):
    start = [HEADER, SELF, {"account": account}, CHATS[2]]
    (record,) = export_of(item(chat="12", author="1", text="x"), start=start).records
    assert record.author == name


IMAGE = {"pointer": {"contentType": "image/jpeg", "fileName": "cielo.jpg"}, "wasDownloaded": True}
VOICE = {"pointer": {"contentType": "audio/aac"}, "flag": "VOICE_MESSAGE"}
QUOTE = {"authorId": "1", "text": {"body": "palabras de otro"}}


@pytest.mark.parametrize(
    ("content", "kind", "text", "caption"),
    [
        ({"text": {"body": "sí"}, "quote": QUOTE}, "message", "sí", ""),
        ({"text": {"body": "https://a.example"}, "linkPreview": [{"title": "A"}]}, "message",
         "https://a.example", ""),
        ({"text": {"body": "mirá"}, "attachments": [IMAGE]}, "media", "mirá", "mirá"),
        ({"attachments": [IMAGE, {"pointer": {}}]}, "media", "<image> <file>", ""),
        ({"attachments": [VOICE]}, "media", "<voice message>", ""),
        ({"attachments": "odd", "text": 7}, "media", "<media>", ""),
        ({}, "media", "<media>", ""),
    ],
)  # fmt: skip
def test_standard_messages(content, kind, text, caption):
    assert record_of(standardMessage=content)[6:9] == (kind, text, caption)


@pytest.mark.parametrize(
    ("content", "kind", "text"),
    [
        ({"contactMessage": {"contact": {}}}, "media", "<contact>"),
        ({"stickerMessage": {"sticker": {"emoji": "😀"}}}, "media", "<sticker>"),
        ({"viewOnceMessage": {}}, "media", "<view-once media>"),
        ({"paymentNotification": {"amountMob": "1"}}, "media", "<payment>"),
        ({"giftBadge": {}}, "media", "<gift badge>"),
        ({"poll": {"question": "Vamos?", "options": []}}, "media", "Vamos?"),
        ({"remoteDeletedMessage": {}}, "deleted", "<deleted>"),
        ({"adminDeletedMessage": {"adminId": "1"}}, "deleted", "<deleted>"),
        ({"directStoryReplyMessage": {"emoji": "🔥"}}, "message", "🔥"),
        ({"directStoryReplyMessage": {"textReply": {"text": {"body": "a"}}}}, "message", "a"),
        ({"updateMessage": {"individualCall": {"state": "MISSED"}}}, "call", "<call>"),
        ({"updateMessage": {"groupCall": {}}}, "call", "<call>"),
    ],
)  # fmt: skip
def test_other_content(content, kind, text):
    record = record_of(**content)
    assert (record.author, record.kind, record.text) == ("Rocío", kind, text)


@pytest.mark.parametrize(
    ("update", "text"),
    [
        ({"simpleUpdate": {"type": "IDENTITY_UPDATE"}}, "identity update"),
        ({"expirationTimerChange": {"expiresInMs": "0"}}, "expirationTimerChange"),
        ({"groupChange": {"updates": []}}, "groupChange"),
        ({}, ""),
    ],
)
def test_notices(update, text):
    record = record_of(updateMessage=update)
    assert (record.author_id, record.author, record.kind, record.text) == (
        *(None, None),
        *("system", text),
    )


def test_revisions_prove_an_edit():
    assert record_of(text="bien", revisions=[item(text="bein")["chatItem"]]).edited
    assert not record_of(text="bien", revisions=[]).edited


def test_mentions_become_names():
    body = "😀 \ufffc y \ufffc"
    ranges = [
        {"start": 3, "length": 1, "mentionAci": "QUJD"},
        {"start": 7, "length": 1, "mentionAci": "Wlla"},
        {"length": 2, "style": "BOLD"},
    ]
    record = record_of(standardMessage={"text": {"body": body, "bodyRanges": ranges}})
    assert record.text == "😀 @Rocío y @Unknown"


def test_the_apps_own_words():
    record = record_of(chat="13", author="4", text="Novedades")
    assert (record.kind, record.author, record.bot) == ("forwarded", "Signal", True)


def test_unknown_content_and_ids():
    export = export_of(item(), item(chat="99", author="98", text="x"))
    assert export.dropped == {"unknown_content": 1}
    assert (export.records[0].chat, export.records[0].author) == ("Unknown", "Unknown")


def test_metadata_belongs_to_the_export():
    metadata = source_file("signal/metadata.json", {"version": 1})
    main = source_file("signal/main.jsonl", json.dumps(HEADER))
    assert signal.recognises(metadata)
    assert [export.name for export in signal.read([metadata, main], CORDOBA)] == [
        "signal/main.jsonl"
    ]


def test_broken_lines():
    items = [item(text="x")] * 98
    export = export_of(*items, "no frame", item(text="x", dateSent="1"))
    assert export.dropped == {"unreadable": 2}
    with pytest.raises(ExportError, match="main.jsonl, line 11: expected a time between 1990"):
        export_of(item(text="x", dateSent="0"))
    with pytest.raises(ExportError, match="main.jsonl, line 11: expected a chatId"):
        export_of(item(chat=None, text="x"))


def test_cut_off():
    data = "\n".join(json.dumps(frame) for frame in [*FRAMES, item(text="hola")])
    assert read_one(signal, source_file("main.jsonl", data)).items == 1
    with pytest.raises(ExportError, match="main.jsonl, line 11: the JSON is cut off"):
        signal.read([source_file("main.jsonl", data[:-5])], CORDOBA)


def test_blank_lines_and_a_byte_order_mark():
    frames = [json.dumps(frame) for frame in [*FRAMES, item(text="hola")]]
    data = "\ufeff" + "\r\n\r\n".join(frames) + "\r\n"
    (record,) = read_one(signal, source_file("main.jsonl", data)).records
    assert (record.text, record.line) == ("hola", 21)


@pytest.mark.parametrize(
    ("name", "content", "is_signal"),
    [
        ("main.jsonl", HEADER, True),
        ("main.jsonl", SELF, True),
        ("main.jsonl", item(text="x"), True),
        ("main.jsonl", {"chat": "hola"}, False),
        ("x.jsonl", {"messages": []}, False),
        ("x.json", {"version": 1}, False),
        ("metadata.json", {"version": 1, "title": "x"}, False),
        ("main.jsonl", b"", False),
    ],
)
def test_recognises(name, content, is_signal):
    assert signal.recognises(source_file(name, content)) == is_signal
