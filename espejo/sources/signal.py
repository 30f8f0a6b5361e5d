"""Signal: the JSON export of the phone app (2026), main.jsonl. Experimental.

No export of a real account was at hand: the frames are read as Signal's backup.proto and public
readers describe them. A frame is a line: the account, a recipient, a chat, a message (chatItem)
or something else. Ids of frames count within one file; what identifies a person or a chat in all
of them is the recipient's account (aci), number, or group key.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from espejo.sources.account import Account, Unreadable
from espejo.sources.export import Export, Options, Record, SourceFile
from espejo.sources.json_text import decode, decode_lines, identifier, outline, text_in
from espejo.sources.times import epoch_instant

NAME = "signal"
_ADVICE = "export the chats again from Signal on the phone and copy the whole folder"
_METADATA = "metadata.json"
_KINDS = frozenset({"account", "recipient", "chat", "chatItem"})
_MENTION = "\ufffc"  # stands in a text where somebody is mentioned


class _Frame(msgspec.Struct):
    account: Any = UNSET
    recipient: Any = UNSET
    chat: Any = UNSET
    chatItem: Raw | UnsetType = UNSET


class _Item(msgspec.Struct, gc=False):
    """The fields of a chatItem that are read; the last ones are its content, of which it has one.

    All are Any, so that a field of a wrong type does not lose the message.
    """

    chatId: Any = None
    authorId: Any = None
    dateSent: Any = None
    revisions: Any = None
    standardMessage: Any = None
    directStoryReplyMessage: Any = None
    updateMessage: Any = None
    remoteDeletedMessage: Any = None
    adminDeletedMessage: Any = None
    contactMessage: Any = None
    stickerMessage: Any = None
    viewOnceMessage: Any = None
    paymentNotification: Any = None
    giftBadge: Any = None
    poll: Any = None


class _Recipient(NamedTuple):
    id: str
    name: str
    chat_title: str
    aci: str | None = None
    is_app: bool = False


_FRAMES = msgspec.json.Decoder(_Frame)
_ITEMS = msgspec.json.Decoder(_Item)
_MEDIA = {
    "contactMessage": "<contact>",
    "stickerMessage": "<sticker>",
    "viewOnceMessage": "<view-once media>",
    "paymentNotification": "<payment>",
    "giftBadge": "<gift badge>",
    "poll": "<poll>",
}
_ATTACHMENTS = frozenset({"image", "video", "audio", "voice message"})


def recognises(file: SourceFile) -> bool:
    """Whether a file is a main.jsonl or the metadata.json beside it, judging by its head."""
    values = outline(file)
    if _is_metadata(file):
        return True
    if "backupTimeMs" in values and "version" in values:
        return True
    frames = _KINDS & values.keys()
    if len(values) != 1 or not frames:
        return False
    keys = {"profileKey", "givenName", "id", "chatId"}
    return any(isinstance(values[frame], dict) and keys & values[frame].keys() for frame in frames)


def read(files: Sequence[SourceFile], options: Options) -> list[Export]:
    """Read each main.jsonl. Raises ExportError for a file that cannot be read."""
    return [_read_file(file) for file in files if not _is_metadata(file)]


def _is_metadata(file: SourceFile) -> bool:
    return file.path.name == _METADATA and outline(file).keys() == {"version"}


def _read_file(file: SourceFile) -> Export:
    account = Account(file, _ADVICE)
    frames = _Frames()
    items: list[tuple[int, Raw | Unreadable]] = []
    for line, frame in decode_lines(file, file.read(), _FRAMES, _ADVICE):
        if isinstance(frame, Unreadable):
            items.append((line, frame))
        elif frame.chatItem is not UNSET:
            items.append((line, frame.chatItem))
        else:
            frames.add(frame)
    records = list(account.records("line", items, partial(_record, frames)))
    account.check()
    chats = len({record.chat_id for record in records})
    decisions = f"experimental, {chats} {'chat' if chats == 1 else 'chats'}"
    return Export(file.name, NAME, records, account.items, account.dropped, decisions)


class _Frames:
    """The account, recipients and chats of a file."""

    def __init__(self) -> None:
        self.recipients: dict[str, _Recipient] = {}  # by the frame's id
        self.chats: dict[str, str] = {}  # id of a chat -> of its recipient
        self.names: dict[str, str] = {}  # by aci
        self.own_name = "Me"

    def add(self, frame: _Frame) -> None:
        """Keep what a frame says; what is odd in it is left out."""
        if isinstance(frame.account, dict):
            name = _full_name(frame.account, "givenName", "familyName")
            self.own_name = name or text_in(frame.account.get("username")) or "Me"
        if isinstance(frame.recipient, dict) and (id_ := identifier(frame.recipient.get("id"))):
            recipient = self.recipients[id_] = _recipient(frame.recipient, id_)
            if recipient.aci:
                self.names[recipient.aci] = recipient.name
        if isinstance(frame.chat, dict) and (id_ := identifier(frame.chat.get("id"))):
            self.chats[id_] = identifier(frame.chat.get("recipientId")) or ""

    def recipient(self, id_: object) -> _Recipient:
        """Return the recipient with a frame's id."""
        key = identifier(id_) or ""
        recipient = self.recipients.get(key)
        if recipient is None:
            return _Recipient(f"recipient {key}", "Unknown", "Unknown")
        # The account may come after the recipient that it names.
        return recipient if recipient.id != "self" else recipient._replace(name=self.own_name)

    def chat(self, id_: object) -> _Recipient:
        """Return the recipient of the chat with a frame's id. Raises Unreadable for no id."""
        key = identifier(id_)
        if key is None:
            raise Unreadable("expected a chatId")
        if key not in self.chats:
            return _Recipient(f"chat {key}", "Unknown", "Unknown")
        return self.recipient(self.chats[key])


def _recipient(frame: Mapping[str, Any], id_: str) -> _Recipient:
    contact, group = frame.get("contact"), frame.get("group")
    if isinstance(contact, dict):
        return _contact(contact, id_)
    if isinstance(group, dict):
        title = text_in(_inner(group, "snapshot", "title", "title")) or "Group"
        key = text_in(group.get("masterKey"))
        # Whoever has a group's key can join it: a digest identifies the group as well.
        group_id = f"group {sha256(key.encode()).hexdigest()[:16]}" if key else f"group {id_}"
        return _Recipient(group_id, title, title)
    if "self" in frame:
        return _Recipient("self", "Me", "Note to Self")
    if "releaseNotes" in frame:
        return _Recipient("signal", "Signal", "Signal", is_app=True)
    name = text_in(_inner(frame, "distributionList", "distributionList", "name")) or "My Story"
    return _Recipient(f"recipient {id_}", name, name)


def _contact(contact: Mapping[str, Any], id_: str) -> _Recipient:
    """Name a contact as the app does: by nickname, address book, profile, username, number."""
    nickname = contact.get("nickname")
    number = identifier(contact.get("e164"))
    name = (
        _full_name(nickname if isinstance(nickname, dict) else {}, "given", "family")
        or _full_name(contact, "systemGivenName", "systemFamilyName")
        or _full_name(contact, "profileGivenName", "profileFamilyName")
        or text_in(contact.get("username"))
        or (f"+{number.removeprefix('+')}" if number else "Unknown")
    )
    aci = text_in(contact.get("aci")) or None
    key = aci or number or text_in(contact.get("pni")) or f"recipient {id_}"
    return _Recipient(key, name, name, aci)


def _record(frames: _Frames, line: int, raw: Raw) -> Record | str:
    """Return the record of a chatItem, or why there is none. Raises Unreadable."""
    item = decode(_ITEMS, raw)
    chat, author = frames.chat(item.chatId), frames.recipient(item.authorId)
    instant = epoch_instant(item.dateSent, 1000)
    content = _content(item, frames)
    if content is None:
        return "unknown_content"
    kind, text, caption = content
    if author.is_app and kind in ("message", "media"):
        kind, caption = "forwarded", ""
    is_system = kind == "system"
    return Record(
        chat_id=chat.id,
        chat=chat.chat_title,
        line=line,
        instant=instant,
        author_id=None if is_system else author.id,
        author=None if is_system else author.name,
        kind=kind,
        text=text,
        caption=caption,
        edited=bool(item.revisions) and kind in ("message", "media"),
        # Signal identifies a message by its author and time; a notice may share both.
        message_id=f"{instant} {author.id}" + (f" {text}" if is_system else ""),
        bot=author.is_app,
    )


def _content(item: _Item, frames: _Frames) -> tuple[str, str, str] | None:
    """Return kind, text and caption of a message; None if it has no content that is known."""
    if isinstance(item.standardMessage, dict):
        text = _body(item.standardMessage.get("text"), frames)
        attachments = item.standardMessage.get("attachments")
        if text and not attachments:
            return "message", text, ""
        return "media", text or _placeholder(attachments), text
    if isinstance(item.directStoryReplyMessage, dict):
        reply = item.directStoryReplyMessage
        text = _body(_inner(reply, "textReply", "text"), frames) or text_in(reply.get("emoji"))
        return ("message", text, "") if text else ("media", "<story reply>", "")
    if isinstance(item.updateMessage, dict):
        if "individualCall" in item.updateMessage or "groupCall" in item.updateMessage:
            return "call", "<call>", ""
        return "system", _notice(item.updateMessage), ""
    if item.remoteDeletedMessage is not None or item.adminDeletedMessage is not None:
        return "deleted", "<deleted>", ""
    for key, placeholder in _MEDIA.items():
        if getattr(item, key) is not None:
            question = text_in(_inner(item.poll, "question"))
            return "media", question or placeholder, ""
    return None


def _placeholder(attachments: object) -> str:
    """Return what stands for attachments without words."""
    names = []
    for attachment in attachments if isinstance(attachments, list) else []:
        type_ = text_in(_inner(attachment, "pointer", "contentType")).partition("/")[0]
        if _inner(attachment, "flag") == "VOICE_MESSAGE":
            type_ = "voice message"
        names.append(f"<{type_ if type_ in _ATTACHMENTS else 'file'}>")
    return " ".join(names) or "<media>"


def _notice(update: Mapping[str, Any]) -> str:
    """Return a notice of the app in its own terms: "groupChange", "identity update"."""
    simple = _inner(update, "simpleUpdate", "type")
    if isinstance(simple, str):
        return simple.replace("_", " ").lower()
    return next(iter(update), "")


def _body(text: object, frames: _Frames) -> str:
    """Return a text with the names of those whom it mentions."""
    body = text_in(_inner(text, "body"))
    ranges = _inner(text, "bodyRanges")
    if _MENTION not in body or not isinstance(ranges, list):
        return body
    names: dict[int, str] = {}  # by position in UTF-16 code units
    for range_ in ranges:
        aci, start = _inner(range_, "mentionAci"), _inner(range_, "start") or 0
        if isinstance(aci, str) and isinstance(start, int):
            names[start] = frames.names.get(aci, "Unknown")
    parts, position = [], 0
    for character in body:
        is_mention = character == _MENTION and position in names
        parts.append(f"@{names[position]}" if is_mention else character)
        position += 1 if character <= "\uffff" else 2
    return "".join(parts)


def _full_name(values: Mapping[str, Any], first: str, last: str) -> str:
    return " ".join(part for key in (first, last) if (part := text_in(values.get(key)).strip()))


def _inner(value: object, *keys: str) -> object:
    """Return what is under nested keys; None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
