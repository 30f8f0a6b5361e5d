"""A chat of Juli and Cami as each app exports it, written to a folder."""

import json
from datetime import UTC, datetime

JULI, CAMI = "Juli Roca", "Cami"
IDS = {JULI: "user71", CAMI: "user72"}


def talk(number):
    """(minute, author, text) of `number` exchanges, each in a session of its own, all different."""
    for index in range(number):
        minute = index * 24 * 60
        yield minute, CAMI, f"¿viste la película {index} del ciclo {index}?"
        yield minute + 1, JULI, f"siii {index} veces la vi, con {index} amigas"


def instant(minute):
    return int(datetime(2025, 3, 1, 15, 0, tzinfo=UTC).timestamp()) + 60 * minute


def whatsapp(folder, messages):
    lines = []
    for minute, author, text in messages:
        moment = datetime.fromtimestamp(instant(minute) - 3 * 3600, UTC)
        lines.append(f"{moment:%d/%m/%Y, %H:%M} - {author}: {text}\n")
    (folder / "Chat de WhatsApp con Cami.txt").write_text("".join(lines), "utf-8")


def telegram(folder, messages):
    rows = [
        {
            "id": number,
            "type": "message",
            "date": "2025-03-01T12:00:00",
            "date_unixtime": str(instant(minute)),
            "from": author,
            "from_id": IDS[author],
            "text": text,
            "text_entities": [{"type": "plain", "text": text}],
        }
        for number, (minute, author, text) in enumerate(messages, 1)
    ]
    chat = {"name": CAMI, "type": "personal_chat", "id": 72, "messages": rows}
    write(folder / "ChatExport_2025-06-01" / "result.json", chat)


def discord(folder, messages):
    rows = [
        {
            "id": str(number),
            "type": "Default",
            "timestamp": datetime.fromtimestamp(instant(minute), UTC).isoformat(),
            "timestampEdited": None,
            "isPinned": False,
            "content": text,
            "author": {
                "id": IDS[author].removeprefix("user"),
                "name": author.lower(),
                "nickname": author,
                "isBot": False,
            },
            "attachments": [],
            "embeds": [],
            "stickers": [],
            "reactions": [],
            "mentions": [],
        }
        for number, (minute, author, text) in enumerate(messages, 1)
    ]
    chat = {
        "guild": {"id": "0", "name": "Direct Messages"},
        "channel": {"id": "9", "type": "DirectTextChat", "name": CAMI},
        "exportedAt": "2025-06-01T00:00:00+00:00",
        "messages": rows,
        "messageCount": len(rows),
    }
    write(folder / "Direct Messages - Cami [9].json", chat)


def messenger(folder, messages):
    rows = [
        {"sender_name": author, "timestamp_ms": instant(minute) * 1000, "content": text}
        for minute, author, text in messages
    ]
    thread = {
        "participants": [{"name": CAMI}, {"name": JULI}],
        "messages": rows[::-1],
        "title": CAMI,
        "thread_path": "inbox/cami_8",
    }
    write(folder / "facebook-juli" / "messages" / "inbox" / "cami_8" / "message_1.json", thread)


def signal(folder, messages):
    frames = [
        {"version": "1", "backupTimeMs": "1751328000000"},
        {"account": {"givenName": JULI, "familyName": "", "username": "juli.01"}},
        {"recipient": {"id": "1", "self": {}}},
        {
            "recipient": {
                "id": "2",
                "contact": {"aci": "AAAA", "profileGivenName": CAMI, "registered": {}},
            }
        },
        {"chat": {"id": "5", "recipientId": "2"}},
        *(
            {
                "chatItem": {
                    "chatId": "5",
                    "authorId": "1" if author == JULI else "2",
                    "dateSent": str(instant(minute) * 1000),
                    ("outgoing" if author == JULI else "incoming"): {},
                    "standardMessage": {"text": {"body": text}},
                }
            }
            for minute, author, text in messages
        ),
    ]
    path = folder / "signal-export" / "main.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(frame) + "\n" for frame in frames), "utf-8")


def roles(folder, messages):
    """Each exchange is a conversation: roles have no times."""
    pairs = list(messages)
    lines = [
        json.dumps(
            {
                "messages": [
                    {"role": "user" if author == CAMI else "assistant", "content": text}
                    for _, author, text in pairs[start : start + 2]
                ]
            }
        )
        for start in range(0, len(pairs), 2)
    ]
    (folder / "chats.jsonl").write_text("\n".join(lines) + "\n", "utf-8")


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), "utf-8")


WRITERS = {
    "whatsapp": whatsapp,
    "telegram": telegram,
    "discord": discord,
    "messenger": messenger,
    "signal": signal,
    "roles": roles,
}
