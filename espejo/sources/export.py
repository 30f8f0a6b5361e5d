"""What every reader takes and gives: files in, records out, and an account of both.

A reader is a module with `NAME`, `recognises(file)` and `read(files, options)`; `registry` lists
them. It turns the items of a file (the messages of a chat, the utterances of a dialogue, the rows
of a table) into `Record`s, and says of every item that gives none why.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from pathlib import PurePosixPath
from typing import NamedTuple

from espejo.whatsapp.errors import ExportError

HEAD_BYTES = 1 << 16  # of a file: enough to tell what it is


@dataclass(frozen=True)
class SourceFile:
    """A file, on the disk or in a .zip."""

    path: PurePosixPath  # below the folder that is read; the .zip counts as a folder
    load: Callable[[int | None], bytes]  # the first so many bytes; None for all

    @property
    def name(self) -> str:
        """The file as messages call it: "ana_1/message_1.json", "a.zip (ana_1/message_1.json)"."""
        parts = self.path.parts
        packed = next((i for i, part in enumerate(parts) if part.lower().endswith(".zip")), None)
        if packed is None or packed == len(parts) - 1:
            return "/".join(parts[-2:])  # each chat of an app is in a file of the same name
        return f"{parts[packed]} ({'/'.join(parts[packed + 1 :])})"

    @cached_property
    def head(self) -> bytes:
        """The first HEAD_BYTES bytes."""
        return self.load(HEAD_BYTES)

    def read(self) -> bytes:
        """All bytes. Raises ExportError for a file that cannot be read."""
        return self.load(None)


@dataclass(frozen=True)
class Options:
    """What a reader may need to know besides the files."""

    timezone: tzinfo  # for times that are instants, and for local times without an offset
    # What a column is for -> its name in a table: {"question": "Pregunta", "answer": "Respuesta"}.
    columns: Mapping[str, str] = field(default_factory=dict)


class Record(NamedTuple):
    """One message. Records of a chat are in the order of the conversation, oldest first."""

    chat_id: str  # what tells this chat from others of the same app, in all of its files
    chat: str  # its title
    line: int  # position in the file's array of messages (or line, or row), from 1
    instant: int | None  # microseconds since 1970 UTC; None where the source has no time
    author_id: str | None  # what tells this person from others of the same app; None: the app's own
    author: str | None  # the name that is shown; None for the app's own rows
    kind: str  # message, media, deleted, call, system, forwarded
    text: str  # of a medium its caption, or a placeholder; "" where there is none
    caption: str = ""  # of a medium: the words that came with it
    edited: bool = False  # only where the export proves it
    message_id: str = ""  # what tells this message from others of its chat in all of its files
    origin: str | None = None  # of a forwarded text: whose words they are, where the export says it
    bot: bool = False  # sent by a program: nobody who could consent
    split: str | None = None  # train, validation, test where the source names it


@dataclass(frozen=True)
class Export:
    """The records of one file (or of the files of one chat), and where its items went."""

    name: str  # of the file, for messages
    app: str  # NAME of the reader
    records: Sequence[Record]
    items: int  # in the file
    dropped: Mapping[str, int]  # items that gave no record, by reason
    # What was decided about the file, for a summary: "3 chats, times in …". DVC keeps what stages
    # print, so that no name stands in it, nor a chat's title.
    decisions: str
    records_per_item: int = 1  # of an item that was kept; a row with a question and its answer: 2

    @property
    def kept(self) -> int:
        """Items that gave records. Of a right account, `items` are these and those dropped."""
        return len(self.records) // self.records_per_item


__all__ = ["HEAD_BYTES", "Export", "ExportError", "Options", "Record", "SourceFile"]
