"""Messenger and Instagram: the JSON of Meta's "Download your information".

One thread is a folder with message_1.json, message_2.json, …, newest first, perhaps spread over
several .zip files. Texts and names are UTF-8 that was read as Latin-1. Messenger's end-to-end
encrypted chats come as a download of their own, with other keys and right UTF-8.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

import msgspec

from espejo.sources.account import Account, Unreadable
from espejo.sources.export import Export, Options, Record, SourceFile
from espejo.sources.json_text import decode, decode_file
from espejo.sources.meta_notices import DELETED_ACCOUNTS, EDITED_SUFFIXES, find_notice
from espejo.sources.times import epoch_instant

NAME = "messenger"
INSTAGRAM = "instagram"
EDIT_MICROSECONDS = 16 * 60 * 10**6  # both apps let people edit for 15 minutes
_EDIT_CANDIDATES = 50
_MIN_EDIT_SIMILARITY = 0.5  # share of the characters that an edit leaves as they were
_ADVICE = "download your information from Meta again, in the format JSON, and use it as it comes"

_KEYS = (
    *("participants", "sender_name", "timestamp_ms", "timestamp", "thread_path"),
    *("senderName", "threadName", "isUnsent"),
)
_KEY_PATTERNS = {key: re.compile(rb'"%s"\s*:' % key.encode()) for key in _KEYS}
_LIST = re.compile(rb'"messages"\s*:\s*\[\s*([{\]])')
_NUMBER = re.compile(r"_(\d{1,6})\.json$", re.IGNORECASE)
_ENCRYPTED_NUMBER = re.compile(r"_\d+$")
_ABSENT, _PRESENT = msgspec.Raw(b"null"), msgspec.Raw(b"true")
_EMPTY = (b"null", b"[]", b"{}", b'""', b"false")
# Media by key, with what stands for them where there are no words.
_MEDIA = {
    "photos": "<photo>",
    "videos": "<video>",
    "audio_files": "<audio>",
    "gifs": "<gif>",
    "files": "<file>",
    "sticker": "<sticker>",
}
# What some downloads say of a message: of the app's own words, and of what it cannot show.
_TYPES = {
    "Call": "call",
    "Subscribe": "system",
    "Unsubscribe": "system",
    "Payment": "system",
    "placeholder": "system",
}


class _Heading(msgspec.Struct):
    """A file without its messages."""

    participants: Any = None
    title: Any = None
    thread_path: Any = None
    thread_name: Any = msgspec.field(default=None, name="threadName")


class _File(_Heading):
    messages: list[msgspec.Raw] = []


class _Message(msgspec.Struct):
    """A message as downloads have it. Of media it matters only whether there are any."""

    sender_name: str | None = None
    timestamp_ms: int | float | str | None = None
    timestamp: int | float | str | None = None  # in seconds, before 2018
    content: str | None = None
    photos: msgspec.Raw = _ABSENT
    videos: msgspec.Raw = _ABSENT
    audio_files: msgspec.Raw = _ABSENT
    gifs: msgspec.Raw = _ABSENT
    files: msgspec.Raw = _ABSENT
    sticker: msgspec.Raw = _ABSENT
    share: msgspec.Raw = _ABSENT
    call_duration: msgspec.Raw = _ABSENT
    missed: msgspec.Raw = _ABSENT
    is_unsent: msgspec.Raw = _ABSENT
    is_taken_down: msgspec.Raw = _ABSENT
    type: msgspec.Raw = _ABSENT


class _EncryptedMessage(msgspec.Struct, rename="camel"):
    """A message of an end-to-end encrypted chat."""

    sender_name: str | None = None
    timestamp: int | float | str | None = None
    text: str | None = None
    type: str | None = None  # text, media, link, placeholder
    media: msgspec.Raw = _ABSENT
    is_unsent: msgspec.Raw = _ABSENT


_HEADINGS, _FILES = msgspec.json.Decoder(_Heading), msgspec.json.Decoder(_File)
_MESSAGES = msgspec.json.Decoder(_Message)
_ENCRYPTED = msgspec.json.Decoder(_EncryptedMessage)


class _Chat(NamedTuple):
    """What all files of a thread share."""

    app: str
    chat_id: str
    title: str
    people: tuple[str, ...]  # names
    owner: str | None  # who downloaded it, whom notices call "you"
    encrypted: bool


class _Content(NamedTuple):
    """What a message is."""

    kind: str
    text: str
    caption: str = ""


def recognises(file: SourceFile) -> bool:
    """Whether a file is a thread of Messenger or Instagram, by its content."""
    head = file.head
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return False
    messages = _LIST.search(head)
    if not messages:
        return False
    has = {key: bool(pattern.search(head)) for key, pattern in _KEY_PATTERNS.items()}
    if messages[1] == b"]":  # a thread without messages
        return has["participants"] and (has["thread_path"] or has["threadName"])
    return (has["sender_name"] and (has["timestamp_ms"] or has["timestamp"])) or (
        has["senderName"] and has["timestamp"] and (has["threadName"] or has["isUnsent"])
    )


def read(files: Sequence[SourceFile], options: Options) -> list[Export]:
    """Read threads; the files of one thread give one Export, whichever .zip they lie in.

    Raises ExportError for a file that is no whole thread.
    """
    threads: dict[tuple[str, str], list[tuple[SourceFile, _Chat]]] = {}
    for file in files:
        chat = _describe(file, decode_file(file, file.read(), _HEADINGS, _ADVICE))
        threads.setdefault((chat.app, chat.chat_id), []).append((file, chat))
    owners: dict[str, set[str]] = {NAME: set(), INSTAGRAM: set()}
    for _, chat in (part for parts in threads.values() for part in parts):
        owners[chat.app] |= {chat.owner} if chat.owner else set()
    return [_read_thread(parts, owners[app]) for (app, _), parts in threads.items()]


def _find_owner(title: str, people: tuple[str, ...]) -> str | None:
    """Return who downloaded a chat: a chat of two is called like the other one."""
    others = [name for name in people if name != title]
    return others[0] if len(people) == 2 and len(others) == 1 else None


def mend(text: str) -> str:
    """Return a text whose UTF-8 was read as Latin-1 as it was; others as they are."""
    if text.isascii():
        return text
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _describe(file: SourceFile, heading: _Heading) -> _Chat:
    """Return which chat a file belongs to."""
    encrypted = isinstance(heading.thread_name, str)
    mended = (lambda text: text) if encrypted else mend
    listed = heading.participants if isinstance(heading.participants, list) else []
    names = [item.get("name") if isinstance(item, dict) else item for item in listed]
    people = tuple(mended(name).strip() for name in names if isinstance(name, str))
    if encrypted:
        title = _ENCRYPTED_NUMBER.sub("", heading.thread_name) or ", ".join(people)
        chat_id = "\n".join([heading.thread_name, *sorted(people)])
        return _Chat(NAME, chat_id, title, people, _find_owner(title, people), encrypted)
    app = _find_app(file)
    title = mended(heading.title).strip() if isinstance(heading.title, str) else ""
    folder = file.path.parent.name
    if isinstance(heading.thread_path, str) and heading.thread_path.strip("/ "):
        # Without inbox/ or archived_threads/: people archive a chat between two downloads.
        chat_id = mended(heading.thread_path).strip("/ ").rpartition("/")[2]
    else:
        chat_id = "\n".join([folder, title or ", ".join(sorted(people))])
    owner = _find_owner(title, people)
    title = title or ", ".join(people) or folder or app
    return _Chat(app, chat_id, title, people, owner, encrypted)


def _find_app(file: SourceFile) -> str:
    """Return the app by the folders of a download, else by the paths of media in the file."""
    *folders, last = "", *(part.lower() for part in file.path.parts[:-1])
    apps = {INSTAGRAM: INSTAGRAM, "facebook": NAME, "messenger": NAME}
    for part in reversed(folders):
        for word, app in apps.items():
            if word in part:
                return app
    for word, app in apps.items():  # a chat's own folder is called like a person
        if last.startswith(word):
            return app
    return INSTAGRAM if b"your_instagram_activity" in file.head else NAME


def _read_thread(parts: list[tuple[SourceFile, _Chat]], owners: set[str]) -> Export:
    """Read all files of one thread. `owners`: who downloaded the chats of two in this app."""
    parts = sorted(parts, key=lambda part: -_file_number(part[0]))  # 1 is the newest
    people = tuple({name: None for _, chat in parts for name in chat.people})
    newest_file, newest = parts[-1]
    in_chat = owners & set(people)
    owner = newest.owner or (in_chat.pop() if len(in_chat) == 1 else None)
    chat = newest._replace(people=people, owner=owner)
    records: dict[str, Record] = {}
    dropped: Counter[str] = Counter()
    items = 0
    for file, part in parts:
        in_file, size = _read_file(file, chat._replace(encrypted=part.encrypted), dropped)
        items += size
        before = len(records)
        for record in in_file:
            records.setdefault(record.message_id, record)
        dropped["in_two_files"] += before + len(in_file) - len(records)
    ordered = sorted(records.values(), key=_instant)
    ordered = _drop_unsent(ordered, dropped)
    ordered = sorted(_join_edits(ordered, dropped), key=_instant)
    others = f" and {len(parts) - 1} more" if len(parts) > 1 else ""
    return Export(
        name=newest_file.name + others,
        app=chat.app,
        records=ordered,
        items=items,
        dropped={reason: count for reason, count in dropped.items() if count},
        decisions=f"1 chat from {len(parts)} {'files' if others else 'file'}",
    )


def _file_number(file: SourceFile) -> int:
    match = _NUMBER.search(file.path.name)
    return int(match[1]) if match else 0


def _instant(record: Record) -> int:
    return record.instant or 0


def _read_file(file: SourceFile, chat: _Chat, dropped: Counter[str]) -> tuple[list[Record], int]:
    """Return the records of a file, oldest first, and the number of its items."""
    messages = decode_file(file, file.read(), _FILES, _ADVICE).messages
    account = Account(file, _ADVICE)
    records: list[Record] = []
    repeats: Counter[str] = Counter()
    for record in account.records("message", enumerate(messages, 1), partial(_to_record, chat)):
        id_ = record.message_id
        repeats[id_] += 1
        records.append(record._replace(message_id=f"{id_}:{repeats[id_]}"))
    account.check()
    dropped.update(account.dropped)
    if records and _instant(records[0]) >= _instant(records[-1]):
        records.reverse()
    return records, account.items


def _decode_message(raw: msgspec.Raw, encrypted: bool) -> _Message:
    """Return a message with its text and names mended, of either layout. Raises Unreadable."""
    if not encrypted:
        message = decode(_MESSAGES, raw)
        message.sender_name = mend(message.sender_name or "")
        message.content = mend(message.content or "")
        return message
    other = decode(_ENCRYPTED, raw)
    is_medium = other.type == "media" or _present(other.media)
    return _Message(
        sender_name=other.sender_name or "",
        timestamp_ms=other.timestamp,
        content=other.text or "",
        files=_PRESENT if is_medium else _ABSENT,
        share=_PRESENT if other.type == "link" else _ABSENT,
        is_unsent=other.is_unsent,
        type=msgspec.Raw(b'"placeholder"') if other.type == "placeholder" else _ABSENT,
    )


def _instant_of(message: _Message) -> int:
    """Return the instant of a message. Raises Unreadable."""
    if message.timestamp_ms is not None:
        return epoch_instant(message.timestamp_ms, 1000)
    try:
        return epoch_instant(message.timestamp, 1_000_000)  # as before 2018
    except Unreadable:
        return epoch_instant(message.timestamp, 1000)


def _to_record(chat: _Chat, line: int, raw: msgspec.Raw) -> Record | str:
    """Return the record of a message; "empty" for one with neither words nor a medium.

    Raises Unreadable.
    """
    message = _decode_message(raw, chat.encrypted)
    instant = _instant_of(message)
    sender = (message.sender_name or "").strip()
    content = _classify(message, sender, chat)
    if content is None:
        return "empty"
    author, author_id = sender, sender
    if not sender or sender in DELETED_ACCOUNTS:
        # All deleted accounts have one name: at least those of two chats stay apart.
        author = sender or ("Instagram user" if chat.app == INSTAGRAM else "Facebook user")
        author_id = f"{chat.chat_id}\ndeleted account"
    digest = blake2b("\n".join(content).encode("utf-8", "replace"), digest_size=8).hexdigest()
    is_system = content.kind == "system"
    return Record(
        chat_id=chat.chat_id,
        chat=chat.title,
        line=line,
        instant=instant,
        author_id=None if is_system else author_id,
        author=None if is_system else author,
        kind=content.kind,
        text=content.text,
        caption=content.caption,
        message_id=f"{instant}:{sender}:{digest}",
    )


def _classify(message: _Message, sender: str, chat: _Chat) -> _Content | None:
    """Return what a message is, None where there is neither a word nor a medium."""
    text = message.content or ""
    if _present(message.is_unsent) or _present(message.is_taken_down):
        return _Content("deleted", "")
    if kind := _TYPES.get(bytes(message.type).decode("utf-8", "replace").strip('"')):
        return _Content(kind, text)
    if bytes(message.call_duration) != b"null" or _present(message.missed):
        return _Content("call", text)
    # Beside a share nobody types such a sentence, whoever the chat's title says is the owner.
    may_be_owner = chat.owner in (None, sender) or _present(message.share)
    notice = find_notice(text, sender, chat.people, may_be_owner) if text else None
    placeholder = next(
        (word for key, word in _MEDIA.items() if _present(getattr(message, key))), None
    )
    if placeholder:
        caption = "" if notice or not text.strip() else text
        return _Content("media", caption or placeholder, caption)
    if _present(message.share) and (
        not text.strip() or notice == "media" or (sender and text.startswith(f"{sender} "))
    ):
        # In any language such a notice begins with the sender's name. Other words are the
        # sender's, and `share_text` is nobody's here.
        return _Content("media", "<link>")
    if not text.strip():
        return None
    if notice == "media":
        return _Content("media", "<attachment>")
    if notice == "deleted":
        return _Content("deleted", "")
    return _Content(notice or "message", text)


def _present(raw: msgspec.Raw) -> bool:
    return bytes(raw).strip() not in _EMPTY


def _drop_unsent(records: list[Record], dropped: Counter[str]) -> list[Record]:
    """Drop what an older download still has of messages that were unsent since."""
    unsent = {(record.instant, record.author_id) for record in records if record.kind == "deleted"}
    kept = [
        record
        for record in records
        if record.kind == "deleted" or (record.instant, record.author_id) not in unsent
    ]
    dropped["unsent_later"] += len(records) - len(kept)
    return kept


def _join_edits(records: list[Record], dropped: Counter[str]) -> Iterator[Record]:
    """Give one record for the two that an edit leaves: the text after it, the time before it.

    The later one ends in " (edited)". A person may type that too: it counts only if the same
    person wrote something shortly before.
    """
    joined: dict[int, Record | None] = {}  # by position; None for what was edited afterwards
    for position, record in enumerate(records):
        suffix = next((end for end in EDITED_SUFFIXES if record.text.endswith(end)), None)
        if suffix is None or record.kind not in ("message", "media"):
            continue
        text = record.text.removesuffix(suffix)
        candidates = []
        for earlier in range(position - 1, max(-1, position - 1 - _EDIT_CANDIDATES), -1):
            before = joined.get(earlier, records[earlier])
            if _instant(record) - _instant(records[earlier]) > EDIT_MICROSECONDS:
                break
            if (
                before is not None
                and before.author_id == record.author_id
                and before.kind == record.kind
            ):
                candidates.append((earlier, before))
        if not candidates:
            continue
        edited = record._replace(
            text=text, caption=record.caption.removesuffix(suffix), edited=True
        )
        similarity, (earlier, before) = max(
            ((_similarity(before.text, text), (earlier, before)) for earlier, before in candidates),
            key=lambda pair: pair[0],
        )
        if similarity >= _MIN_EDIT_SIMILARITY or len(candidates) == 1:
            joined[earlier] = None
            dropped["edited_before"] += 1
            edited = edited._replace(instant=before.instant)
        joined[position] = edited
    for position, record in enumerate(records):
        result = joined.get(position, record)
        if result is not None:
            yield result


def _similarity(before: str, after: str) -> float:
    """Return which share of two texts is the same (0 to 1), by their beginnings."""
    before, after = before[:300].casefold(), after[:300].casefold()
    return SequenceMatcher(None, before, after, autojunk=False).ratio()
