"""The first part of `espejo init`: which files hold data, of what kind, and in which columns."""

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pandas as pd
from rich.text import Text

from espejo import whatsapp
from espejo.commands import asking, exports, own_chats
from espejo.commands.asking import ask, tell
from espejo.commands.exports import Gathered
from espejo.commands.init_wording import InitWording
from espejo.commands.own_chats import CONF, RAW
from espejo.core import escaping, faults
from espejo.core.text import fold
from espejo.privacy import consents
from espejo.sources import folder
from espejo.sources.delimited import find_column
from espejo.sources.export import Options
from espejo.sources.questions import NAMES
from espejo.sources.registry import READERS, Kind

MAX_NAMES = 5  # files in a list
USES = ("question", "answer")  # what columns are for
_TABLES = (".csv", ".tsv", ".tab", ".parquet")


@dataclass(frozen=True)
class Collection:
    """The data that there is so far."""

    kind: Kind | None  # None before there is any
    options: Options
    present: Gathered | None = None  # in data/raw/mine
    new: tuple[Gathered, ...] = ()

    @property
    def all(self) -> list[Gathered]:
        """What is there, and what is new."""
        return [part for part in (self.present, *self.new) if part]

    @property
    def count(self) -> int:
        """Files of WhatsApp and of other apps."""
        return sum(len(part.texts) + len(part.files) for part in self.all)

    @property
    def digests(self) -> frozenset[str]:
        """Of the contents of all files."""
        return frozenset().union(*(part.digests for part in self.all))

    def joined(self) -> folder.Folder:
        """All of it in one table, as the stage parse will read it."""
        chats = [chat for part in self.all for chat in part.chats]
        items = [export for part in self.all for export in part.exports]
        of_whatsapp = None
        if chats:
            merged = whatsapp.merge_exports([chat.messages for chat in chats])
            of_whatsapp = whatsapp.Folder(len(chats), chats, *merged)
        return folder.join(self.count, items, of_whatsapp, self.options.timezone)

    def writers(self) -> tuple[pd.DataFrame, dict[str, int], int]:
        """The messages, who wrote how many, and how many stand in several exports."""
        joined = self.joined()
        repeated = joined.accounts["messages"]["dropped"]["exported_twice"]
        return joined.messages, consents.writers(joined.messages, joined.bots), repeated


def kind_named(name: str | None, wording: InitWording) -> Kind | None:
    """The kind of the flag --kind. Raises UserError for none that there is."""
    if name is None:
        return None
    for kind in READERS:
        if kind == name:
            return kind
    raise wording.error("no_such_kind", name=repr(name), names=", ".join(READERS))


def collect(
    flags: Sequence[str], kind: Kind | None, columns: Sequence[str], wording: InitWording
) -> Collection:
    """The data in data/raw/mine, and that of the flags or, without flags, of the paths typed in.

    Raises UserError for data that cannot be read, and for two kinds of data.
    """
    collection = collect_present(kind, columns, wording)
    for flag in flags:
        collection = _added(Path(os.path.expanduser(flag)), collection, wording)
    if flags or (collection.present and not asking.in_terminal()):
        return collection
    asking.need_terminal(wording, "exports")
    if collection.present:
        names = listed(collection.present.names, wording)
        tell(wording.text("exports.present", raw=RAW, names=names))
    tell(wording.text(f"where.{collection.kind or 'any'}", raw=RAW))
    tell(wording.text("exports.until_the_end", raw=RAW))
    while True:
        key = {0: "question", 1: "one_more"}.get(collection.count, "more")
        question = wording.text(f"exports.{key}", count=collection.count)
        more = ask(question, partial(_typed, collection=collection, wording=wording), wording)
        if more is None:
            return collection
        collection = more


def collect_present(kind: Kind | None, columns: Sequence[str], wording: InitWording) -> Collection:
    """The data in data/raw/mine. Raises UserError as `collect` does."""
    there = own_chats.kind_there()
    if there and kind and kind != there:
        name = wording.text(f"kinds.{there}")
        raise wording.error("other_kind_there", raw=RAW, conf=CONF, kind=name)
    by_use = own_chats.columns_there() | dict(_column(flag, wording) for flag in columns)
    options = Options(folder.zone(None), by_use)
    collection = Collection(there or kind, options)
    if not (collection.kind and RAW.is_dir() and exports.kind_in(RAW)):
        return collection
    return replace(collection, present=exports.present(RAW, collection.kind, options, wording))


def _column(flag: str, wording: InitWording) -> tuple[str, str]:
    use, _, name = flag.partition("=")
    if use not in USES or not name:
        raise wording.error("column_form", flag=repr(flag))
    return use, name


def _typed(line: str, collection: Collection, wording: InitWording) -> Collection | None:
    """With the data at the paths of a line; None for no line or a no, if there are some already."""
    if not line or (collection.count and fold(line) in ("no", "n")):
        if not collection.count:
            raise wording.error("no_path")
        return None
    for path in paths_in(line):
        with faults.about(path):
            collection = _added(path, collection, wording)
    return collection


def paths_in(line: str) -> list[Path]:
    """The paths in a line, as they are typed or as terminals write what is dragged into them.

    That is with ~, in quotes, with backslashes before blanks, as file://, or several at once.
    """
    whole = Path(os.path.expanduser(line))
    if not line or os.path.exists(whole):
        return [whole] if line else []
    try:
        parts = [_dragged(part) for part in shlex.split(line)]
    except ValueError:  # an apostrophe in a name
        return [whole]
    return parts if any(map(os.path.exists, parts)) else [whole]


def _dragged(part: str) -> Path:
    if part.startswith("file://"):
        return Path(unquote(urlsplit(part).path))
    return Path(os.path.expanduser(part))


def _added(path: Path, collection: Collection, wording: InitWording) -> Collection:
    """With the data at `path` that is not there yet. Prints what it is, and what is left out."""
    exports.check(path, wording)
    kind, options = collection.kind, collection.options
    if kind is None and _may_be_questions(path) and asking.in_terminal():
        _agree("questions", path, wording)
        kind = "questions"
    if kind == "questions" and not options.columns:
        options = replace(options, columns=_columns(path, wording))
    with asking.console.status("") as status:

        def progress(number: int, total: int, name: str) -> None:
            reading = wording.text("exports.reading", number=number, total=total, name=name)
            status.update(Text(escaping.terminal(reading)))

        gathered = exports.gather(path, kind, options, collection.digests, wording, progress)
    if kind is None:
        gathered = _of_agreed_kind(gathered, path, options, wording)
    _print(gathered, wording)
    return replace(collection, kind=gathered.kind, options=options, new=(*collection.new, gathered))


def _may_be_questions(path: Path) -> bool:
    """Whether a file is a table that no reader recognises: its columns may have other names."""
    is_table = path.is_file() and path.suffix.lower() in _TABLES
    return is_table and exports.kind_in(path) is None and bool(exports.unknown_tables(path))


def _of_agreed_kind(
    gathered: Gathered, path: Path, options: Options, wording: InitWording
) -> Gathered:
    """What was gathered, if its kind is what was meant. Raises UserError if not."""
    if gathered.kind != "chats":
        if not asking.in_terminal():
            raise wording.error(f"say_{gathered.kind}", path=path)
        _agree(gathered.kind, path, wording)
        return gathered
    if not (gathered.only_roles and asking.in_terminal()):
        return gathered
    if not asking.agreed(wording.text("offer.roles", name=path.name), wording):
        return gathered
    return exports.gather(path, "dialogues", options, frozenset(), wording)


def _agree(kind: Kind, path: Path, wording: InitWording) -> None:
    if not asking.agreed(wording.text(f"offer.{kind}", name=path.name), wording):
        raise wording.error("not_taken", path=path)


def _columns(path: Path, wording: InitWording) -> Mapping[str, str]:
    """What the columns of a table are called, where they have other names than the usual."""
    tables = exports.unknown_tables(path)
    if not tables:
        return {}
    name, header = tables[0]
    missing = [use for use in USES if find_column(header, NAMES[use]) is None]
    if not missing:
        return {}
    numbered = ", ".join(f"{number} {column}" for number, column in enumerate(header, 1))
    asking.need_terminal(wording, "columns", name=name, columns=", ".join(header))
    tell(wording.text("columns.head", name=name, columns=numbered))
    parse = partial(_chosen_column, header=header, wording=wording)
    return {use: ask(wording.text(f"columns.{use}"), parse, wording) for use in missing}


def _chosen_column(line: str, header: Sequence[str], wording: InitWording) -> str:
    index = find_column(header, [line])
    if index is None and line.isdecimal() and 1 <= int(line) <= len(header):
        index = int(line) - 1
    if index is None:
        raise wording.error("no_column", last=len(header))
    return header[index]


def _print(gathered: Gathered, wording: InitWording) -> None:
    for part in exports.by_app(gathered):
        values = {
            "names": listed(part.names, wording),
            "app": wording.name("apps", part.app),
            "chats": _counted(gathered.kind, part.chats, wording),
            "messages": _counted("messages", part.messages, wording),
        }
        tell(wording.text(f"read.{gathered.kind}", **values))
    if gathered.probes:
        tell(wording.text("read.probes", count=wording.number(gathered.probes)))
    if gathered.again:
        tell(wording.text("exports.again", count=wording.number(gathered.again)))
    for reason in gathered.left_out[:MAX_NAMES]:
        tell(wording.text("exports.left_out", reason=reason), "dim")
    if len(gathered.left_out) > MAX_NAMES:
        count = len(gathered.left_out) - MAX_NAMES
        tell(wording.text("exports.more_left_out", count=count), "dim")


def _counted(unit: str, count: int, wording: InitWording) -> str:
    key = f"counts.one_{unit}" if count == 1 else f"counts.{unit}"
    return wording.text(key, count=wording.number(count))


def listed(names: Sequence[str], wording: InitWording) -> str:
    """The first names, and how many more."""
    first = ", ".join(names[:MAX_NAMES]) or wording.text("exports.none_new")
    more = len(names) - MAX_NAMES
    return wording.text("exports.and_more", names=first, count=more) if more > 0 else first
