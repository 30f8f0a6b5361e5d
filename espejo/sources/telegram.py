"""Telegram Desktop: the result.json of one chat, or of a whole account.

`edited` in these files is no proof that somebody edited a message (a reaction sets it), so no
record is edited.
"""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET, Raw, UnsetType

from espejo.sources.account import Account, Unreadable
from espejo.sources.export import Export, ExportError, Options, Record, SourceFile
from espejo.sources.json_text import decode, decode_file, identifier, outline, text_in
from espejo.sources.times import epoch_instant, iso_instant

NAME = "telegram"
_ADVICE = "export it again from Telegram Desktop (format JSON) and use result.json as it comes"
_DELETED_ACCOUNT = "Deleted Account"

# Types of chats -> what their ids count: users, groups, or supergroups and channels. A public
# supergroup that becomes private keeps its id, so the type alone is no part of it.
_ID_SPACES = {
    "saved_messages": "user",
    "replies": "user",
    "verification_codes": "user",
    "personal_chat": "user",
    "bot_chat": "user",
    "private_group": "chat",
    "private_supergroup": "channel",
    "public_supergroup": "channel",
    "private_channel": "channel",
    "public_channel": "channel",
}
_TITLES = {
    "saved_messages": "Saved Messages",
    "replies": "Replies",
    "verification_codes": "Verification Codes",
}
_CALLS = frozenset({"phone_call", "group_call", "conference_call"})

# Until 2021 an id was one number: the kind of what it identifies in the bits above the 32nd.
_OLD_ID_BITS = 32
_OLD_ID_SPACES = ("user", "chat", "channel")

# The placeholder of a medium, by the first of these keys that a message has.
_MEDIA = (
    ("media_type", ""),  # says it itself
    ("photo", "<photo>"),
    ("file", "<file>"),
    ("sticker_emoji", "<sticker>"),
    ("contact_information", "<contact>"),
    ("place_name", "<location>"),
    ("live_location_period_seconds", "<location>"),
    ("poll", "<poll>"),
    ("todo_list", "<checklist>"),
    ("game_title", "<game>"),
    ("invoice_information", "<invoice>"),
    ("giveaway_information", "<giveaway>"),
    ("giveaway_results", "<giveaway>"),
    ("paid_stars_amount", "<paid media>"),
    ("self_destruct_period_seconds", "<self-destructing media>"),
)
_MEDIA_BLOCKS = frozenset({"photo", "video", "audio", "file", "map"})  # of a rich message
_MAX_DEPTH = 50  # of a rich message's blocks


class _Message(msgspec.Struct, gc=False):
    """The fields of a message that are read; text_entities repeats `text` and is skipped.

    All are Any, so that a field of a wrong type does not lose the message.
    """

    id: Any = None
    type: Any = None
    date: Any = None
    date_unixtime: Any = None
    from_: Any = msgspec.field(name="from", default=None)
    from_id: Any = None
    actor: Any = None
    actor_id: Any = None
    action: Any = None
    information_text: Any = None
    text: Any = None
    rich_message: Any = None
    forwarded_from: Any = UNSET  # null says something too
    forwarded_from_id: Any = None
    via_bot: Any = None
    inline_bot_buttons: Any = None
    media_type: Any = None
    photo: Any = None
    file: Any = None
    sticker_emoji: Any = None
    contact_information: Any = None
    place_name: Any = None
    location_information: Any = UNSET  # null says something too
    live_location_period_seconds: Any = None
    poll: Any = None
    todo_list: Any = None
    game_title: Any = None
    invoice_information: Any = None
    giveaway_information: Any = None
    giveaway_results: Any = None
    paid_stars_amount: Any = None
    self_destruct_period_seconds: Any = None


class _Chat(msgspec.Struct):
    messages: list[Raw]
    name: Any = None
    type: Any = None
    id: Any = None


class _Chats(msgspec.Struct):
    chats: list[_Chat] = msgspec.field(name="list", default_factory=list)


class _Root(msgspec.Struct):
    """One chat has `messages`; an account has `chats`, and `left_chats` if they were exported."""

    name: Any = None
    type: Any = None
    id: Any = None
    messages: list[Raw] | UnsetType = UNSET
    personal_information: Any = None
    chats: _Chats | UnsetType = UNSET
    left_chats: _Chats | UnsetType = UNSET


_FILES = msgspec.json.Decoder(_Root)
_MESSAGES = msgspec.json.Decoder(_Message)


class _Person(NamedTuple):
    id: str
    name: str


def recognises(file: SourceFile) -> bool:
    """Whether a file is a result.json, judging by the head of its content."""
    values = outline(file)
    if "messages" in values:
        is_chat = str(values.get("type")) in _ID_SPACES or b'"from_id"' in file.head
        return is_chat and {"type", "id"} <= values.keys()
    personal = values.get("personal_information")
    if isinstance(personal, dict) and "user_id" in personal:
        return True
    about = values.get("about")
    if isinstance(about, str) and "Telegram" in about:
        return True
    has_chat = any(f'"{type_}"'.encode() in file.head for type_ in _ID_SPACES)
    return has_chat and ("chats" in values or "left_chats" in values)


def read(files: Sequence[SourceFile], options: Options) -> list[Export]:
    """Read the chats of each file. Raises ExportError for a file that cannot be read."""
    return [_read_file(file, options.timezone) for file in files]


def _read_file(file: SourceFile, timezone: tzinfo) -> Export:
    root = decode_file(file, file.read(), _FILES, _ADVICE)
    if root.messages is not UNSET:
        chats = [_Chat(root.messages, root.name, root.type, root.id)]
    else:
        lists = [part.chats for part in (root.chats, root.left_chats) if part is not UNSET]
        if not lists:
            raise ExportError(
                f"{file.name}: expected messages or chats, found none; export it again from "
                "Telegram Desktop with the chats ticked."
            )
        chats = [chat for list_ in lists for chat in list_]
    account = Account(file, _ADVICE)
    owner = _owner(root.personal_information)
    bots = frozenset(_peer_id(chat.id, "user") for chat in chats if chat.type == "bot_chat")
    records: list[Record] = []
    local_times = 0
    for number, chat in enumerate(chats, 1):
        path = "message" if root.messages is not UNSET else f"chat {number}, message"
        reader = _ChatReader(chat, owner, bots, timezone)
        records += account.records(path, enumerate(chat.messages, 1), reader.record)
        local_times += reader.local_times
    account.check()
    records = _with_known_names(records)
    decisions = f"{len(chats)} {'chat' if len(chats) == 1 else 'chats'}"
    if local_times:
        decisions += f", {local_times} times without an offset read in {timezone}"
    if unsupported := account.dropped["unsupported"]:
        decisions += f", {unsupported} messages left out that Telegram Desktop could not export"
    return Export(file.name, NAME, records, account.items, account.dropped, decisions)


def _with_known_names(records: Sequence[Record]) -> list[Record]:
    """Name those deleted accounts that have a name in another message of the file."""
    names = {
        record.author_id: record.author for record in records if record.author != _DELETED_ACCOUNT
    }
    return [
        record._replace(author=names.get(record.author_id, _DELETED_ACCOUNT))
        if record.author == _DELETED_ACCOUNT
        else record
        for record in records
    ]


def _owner(personal: object) -> _Person | None:
    """The account's owner, by the export's personal_information."""
    if not isinstance(personal, dict) or not (id_ := identifier(personal.get("user_id"))):
        return None
    names = (personal.get("first_name"), personal.get("last_name"))
    name = " ".join(name for name in names if isinstance(name, str) and name)
    return _Person(f"user{id_}", name or "Me")


class _ChatReader:
    """Makes records of the messages of a chat; `bots` are the ids of bots that are known."""

    def __init__(
        self,
        chat: _Chat,
        owner: _Person | None,
        bots: frozenset[str | None],
        timezone: tzinfo,
    ) -> None:
        self.bots, self.timezone = bots, timezone
        self.type = text_in(chat.type)
        space = _ID_SPACES.get(self.type, "chat")
        name = text_in(chat.name)
        self.id = _peer_id(chat.id, space) or f"{self.type} {name}"
        unnamed = _DELETED_ACCOUNT if space == "user" else self.id
        self.title = name or _TITLES.get(self.type, unnamed)
        self.owner = owner
        self.is_saved = self.type == "saved_messages"
        if self.is_saved and owner is None:  # the chat with oneself has one's own id
            self.owner = _Person(self.id, _name_of(self.id, chat.messages) or "Me")
        self.people: dict[tuple[Any, Any], _Person] = {}  # by name and id as in the file
        self.previous: int | None = None  # the instant of the message before
        self.local_times = 0

    def record(self, line: int, raw: Raw) -> Record | str:
        """Return the record of a message, or why there is none. Raises Unreadable."""
        message = decode(_MESSAGES, raw)
        if message.type == "unsupported" and message.date_unixtime is None:
            return "unsupported"  # it has neither a time nor an author nor words
        self.previous = self._instant(message)
        return self._record(message, line, self.previous)

    def _instant(self, message: _Message) -> int:
        if message.date_unixtime is not None:
            try:
                return epoch_instant(message.date_unixtime, 1_000_000)
            except Unreadable:
                if message.date is None:
                    raise
        instant = iso_instant(message.date, self.timezone, self.previous)
        self.local_times += 1
        return instant

    def _record(self, message: _Message, line: int, instant: int) -> Record:
        text = message.text
        if not isinstance(text, str):
            text = rich_text(text)
        message_id = identifier(message.id) or ""
        if message.type != "message":
            person, kind = None, "system"
            action = _first_text(message.action).replace("_", " ")
            text = _first_text(message.information_text, action, text)
            if isinstance(message.action, str) and message.action in _CALLS:
                person, kind, text = self._person(message.actor, message.actor_id), "call", "<call>"
            author_id, author = person or (None, None)
            return Record(
                chat_id=self.id,
                chat=self.title,
                line=line,
                instant=instant,
                author_id=author_id,
                author=author,
                kind=kind,
                text=text,
                message_id=message_id,
            )
        kind, caption, origin, bot = "message", "", None, False
        placeholder = None if message.location_information is UNSET else "<location>"
        for key, label in _MEDIA:
            if getattr(message, key) is not None:
                placeholder = label
                break
        if message.rich_message is not None:
            lines, has_media = _rich_lines(message.rich_message)
            text = text or "\n".join(lines)
            placeholder = placeholder or ("<photo>" if has_media else None)
        words = text
        if placeholder is not None or not text:
            kind, caption = "media", text
            text = text or _placeholder(message, placeholder)
        person = self._person(message.from_, message.from_id)
        if message.forwarded_from is not UNSET or message.forwarded_from_id is not None:
            kind = "forwarded"
            origin = _first_text(message.forwarded_from) or None
        elif isinstance(message.via_bot, str):
            kind, origin = "forwarded", message.via_bot
        elif person.id in self.bots or message.inline_bot_buttons is not None:
            kind, bot = "forwarded", True  # only bots send buttons
        if self.is_saved and self.owner and person.id != self.owner.id:
            # Whoever wrote it, its sender to this chat is the owner.
            if kind != "forwarded":
                kind, origin = "forwarded", person.name
            person = self.owner
        if kind == "forwarded":
            text, caption = words, ""  # not the sender's; a placeholder would be nobody's
        return Record(
            chat_id=self.id,
            chat=self.title,
            line=line,
            instant=instant,
            author_id=person.id,
            author=person.name,
            kind=kind,
            text=text,
            caption=caption,
            message_id=message_id,
            origin=origin,
            bot=bot,
        )

    def _person(self, name: object, id_: object) -> _Person:
        name = name if isinstance(name, str) and name else None
        id_ = id_ if isinstance(id_, str | int) and id_ else None
        person = self.people.get((name, id_))
        if person is None:
            person = self.people[name, id_] = self._new_person(name, id_)
        return person

    def _new_person(self, name: str | None, id_: str | int | None) -> _Person:
        if isinstance(id_, int):
            id_ = _peer_id(id_, _OLD_ID_SPACES[min(abs(id_) >> _OLD_ID_BITS, 2)])
        if id_ is None and name is None and self.type not in ("personal_chat", "bot_chat"):
            return _Person(self.id, self.title)  # a channel's post, a group's own message
        return _Person(id_ or f"name {name}", name or _DELETED_ACCOUNT)


def _peer_id(value: object, space: str) -> str | None:
    """Return the id of a chat or a person as exports since 2021 write it in from_id: "user12"."""
    text = identifier(value)
    if text is None or not text.isdecimal() or len(text) > 20:
        return text
    number = int(text)
    if space in _OLD_ID_SPACES[1:] and number >> _OLD_ID_BITS == _OLD_ID_SPACES.index(space):
        number &= (1 << _OLD_ID_BITS) - 1
    return f"{space}{number}"


def _name_of(id_: str, messages: Iterable[Raw]) -> str | None:
    """Return the name that a person's messages have."""
    for raw in messages:
        try:
            message = decode(_MESSAGES, raw)
        except Unreadable:
            continue
        if message.from_id == id_ and isinstance(message.from_, str):
            return message.from_
    return None


def _first_text(*values: object) -> str:
    return next((value for value in values if isinstance(value, str) and value), "")


def _placeholder(message: _Message, placeholder: str | None) -> str:
    """Return what stands for a medium without words: a poll's question, or such as "<photo>"."""
    if isinstance(message.poll, dict) and (question := rich_text(message.poll.get("question"))):
        return question
    if isinstance(message.media_type, str):
        return f"<{message.media_type.replace('_', ' ')}>"
    return placeholder or "<media>"


def rich_text(value: object, depth: int = 0) -> str:
    """Join a formatted text: a str, or {"text": ...} with one inside, or a list of both."""
    if isinstance(value, str):
        return value
    if depth > _MAX_DEPTH:
        return ""
    if isinstance(value, list):
        return "".join(rich_text(part, depth + 1) for part in value)
    if isinstance(value, dict):
        return rich_text(value.get("text", value.get("source")), depth + 1)
    return ""


def _rich_lines(value: object, depth: int = 0) -> tuple[list[str], bool]:
    """Return the lines of a rich message's blocks, and whether there is a medium among them."""
    if depth > _MAX_DEPTH:
        return [], False
    if isinstance(value, list):
        parts = [_rich_lines(block, depth + 1) for block in value]
        return [line for lines, _ in parts for line in lines], any(media for _, media in parts)
    if not isinstance(value, dict):
        return [], False
    lines, has_media = [], str(value.get("type")) in _MEDIA_BLOCKS
    for key in ("title", "text", "formula", "caption"):
        lines += [line] if (line := rich_text(value.get(key))) else []
    if isinstance(value.get("cells"), list):
        cells = [rich_text(cell) for cell in value["cells"]]
        lines += [" ".join(cell for cell in cells if cell)]
    for key in ("blocks", "block", "items", "rows"):
        below, media = _rich_lines(value.get(key), depth + 1)
        lines, has_media = lines + below, has_media or media
    return lines, has_media
