"""Which reader reads what: the place where a new source is entered (docs/adding-a-source.md)."""

from collections.abc import Sequence
from typing import Literal, Protocol

from espejo.sources import dialogues, discord, meta, questions, roles, signal, telegram
from espejo.sources.export import Export, Options, SourceFile

Kind = Literal["chats", "dialogues", "questions"]  # of data: params data.kind


class Reader(Protocol):
    """What a module of a source offers."""

    NAME: str

    def recognises(self, file: SourceFile) -> bool:
        """Whether a file is of this source, from its first bytes."""

    def read(self, files: Sequence[SourceFile], options: Options) -> list[Export]:
        """Read all files of this source in a folder."""


# The first that recognises a file reads it. WhatsApp, which has no mark of its own, comes last.
READERS: dict[Kind, tuple[Reader, ...]] = {
    "chats": (telegram, discord, meta, signal, roles),
    "dialogues": (roles, dialogues),
    "questions": (questions,),
}
EVERY_READER = tuple(dict.fromkeys(reader for kind in READERS.values() for reader in kind))
