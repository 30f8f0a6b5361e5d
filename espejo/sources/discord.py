"""DiscordChatExporter: JSON files, each a channel or a part of one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from espejo.sources.account import Account
from espejo.sources.export import Export, Options, Record, SourceFile
from espejo.sources.json_text import decode, decode_file, identifier, outline, text_in
from espejo.sources.times import iso_instant

NAME = "discord"
_ADVICE = "export the channel again with DiscordChatExporter (format JSON)"

# Types of messages; the exporter writes those that it does not know as a number in a text.
_WRITTEN = frozenset({"Default", "Reply", "ThreadStarterMessage", "0", "19", "21"})
_COMMANDS = frozenset({"ChatInputCommand", "ContextMenuCommand", "20", "23"})
_CALLS = frozenset({"Call", "3"})
# What a message may hold besides words, and its placeholder. An embed beside words is mostly the
# preview of a link, so that it counts only where there are no words.
_MEDIA = (("attachments", "<attachment>"), ("stickers", "<sticker>"))


class _Message(msgspec.Struct, gc=False):
    """The fields of a message that are read.

    All are Any, so that a field of a wrong type does not lose the message.
    """

    id: Any = None
    type: Any = None
    timestamp: Any = None
    timestampEdited: Any = None
    content: Any = None
    author: Any = None
    attachments: Any = None
    stickers: Any = None
    embeds: Any = None
    forwardedMessage: Any = None
    reference: Any = None


class _Root(msgspec.Struct):
    messages: list[Raw]
    guild: Any = None
    channel: Any = None


class _Channel(NamedTuple):
    id: str
    title: str


_FILES = msgspec.json.Decoder(_Root)
_MESSAGES = msgspec.json.Decoder(_Message)


def recognises(file: SourceFile) -> bool:
    """Whether a file is a channel of DiscordChatExporter, judging by the head of its content."""
    values = outline(file)
    return isinstance(values.get("guild"), dict) and "channel" in values


def read(files: Sequence[SourceFile], options: Options) -> list[Export]:
    """Read each file. Raises ExportError for a file that cannot be read.

    The parts of a channel become an Export each, with one chat_id. A forwarded message has no
    author, but the id of the original, which may stand in any of the files.
    """
    originals: dict[str, str] = {}  # id of a forwarded message -> of the original
    exports = [_read_file(file, options.timezone, originals) for file in files]
    if not originals:
        return exports
    author_of = {
        record.message_id: record.author
        for export in exports
        for record in export.records
        if record.kind != "forwarded"
    }
    origin_of = {id_: author_of.get(original) for id_, original in originals.items()}
    return [
        replace(
            export,
            records=[
                record._replace(origin=origin_of.get(record.message_id))
                for record in export.records
            ],
        )
        for export in exports
    ]


def _read_file(file: SourceFile, timezone: tzinfo, originals: dict[str, str]) -> Export:
    root = decode_file(file, file.read(), _FILES, _ADVICE)
    account = Account(file, _ADVICE)
    channel = _channel(root)
    messages = enumerate(root.messages, 1)
    read_one = partial(_record, channel, timezone, originals)
    records = list(account.records("message", messages, read_one))
    account.check()
    if records and (records[0].instant or 0) > (records[-1].instant or 0):
        records.reverse()  # exported newest first
    return Export(file.name, NAME, records, account.items, account.dropped, "1 channel")


def _channel(root: _Root) -> _Channel:
    """Return a channel's id and title: "guild - channel", or for direct messages its name."""
    channel = root.channel if isinstance(root.channel, dict) else {}
    guild = root.guild if isinstance(root.guild, dict) else {}
    title, server = (text_in(part.get("name")) for part in (channel, guild))
    is_direct = guild.get("id") in ("0", 0) or text_in(channel.get("type")).startswith("Direct")
    id_ = identifier(channel.get("id")) or f"{server} - {title}"
    if not is_direct and server:
        title = f"{server} - {title}"
    return _Channel(id_, title or id_)


def _record(
    channel: _Channel, timezone: tzinfo, originals: dict[str, str], line: int, raw: Raw
) -> Record:
    """Return the record of a message; of a forwarded one, `originals` gets the original's id.

    Raises Unreadable.
    """
    message = decode(_MESSAGES, raw)
    record = Record(
        chat_id=channel.id,
        chat=channel.title,
        line=line,
        instant=iso_instant(message.timestamp, timezone),
        author_id=None,
        author=None,
        kind="system",
        text=text_in(message.content),
        edited=isinstance(message.timestampEdited, str),
        message_id=identifier(message.id) or "",
    )
    type_ = identifier(message.type)
    if type_ in _CALLS:
        author_id, author, _ = _author(message.author)
        text = record.text or "<call>"
        return record._replace(kind="call", author_id=author_id, author=author, text=text)
    if type_ not in _WRITTEN and type_ not in _COMMANDS:
        return record
    author_id, author, is_bot = _author(message.author)
    is_bot = is_bot or type_ in _COMMANDS  # the answer to a command is the bot's
    content = {key: getattr(message, key) for key in ("attachments", "stickers", "embeds")}
    reference = message.reference if isinstance(message.reference, dict) else {}
    is_forwarded = isinstance(message.forwardedMessage, dict) or (
        # Until 2025 the exporter left out what was forwarded.
        reference.get("type") == "Forward"
    )
    if is_forwarded and (original := identifier(reference.get("messageId"))):
        originals[record.message_id] = original
    if isinstance(message.forwardedMessage, dict):
        content = message.forwardedMessage
        inner = text_in(content.get("content"))
        record = record._replace(text="\n".join(text for text in (record.text, inner) if text))
    media = [placeholder for key, placeholder in _MEDIA if content.get(key)]
    kind, text, caption = "message", record.text, ""
    if media or not text:
        kind, caption = "media", text
        media = media or ["<embed>" if content.get("embeds") else "<media>"]
        text = text or " ".join(media)
    if is_forwarded or is_bot:
        kind, text, caption = "forwarded", record.text, ""  # no placeholder: nobody's words
    return record._replace(
        author_id=author_id, author=author, kind=kind, text=text, caption=caption, bot=is_bot
    )


def _author(author: object) -> tuple[str, str, bool]:
    """Return an author's id, the name that is shown, and whether it is a bot."""
    author = author if isinstance(author, dict) else {}
    name = text_in(author.get("nickname")) or text_in(author.get("name")) or "Deleted User"
    return identifier(author.get("id")) or f"name {name}", name, author.get("isBot") is True
