"""What lies at a path that somebody names in `espejo init`: which files hold data, of what kind."""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from espejo import whatsapp
from espejo.commands.init_wording import InitWording
from espejo.sources import files, meta, questions, roles
from espejo.sources.delimited import read_table
from espejo.sources.export import Export, ExportError, Options, SourceFile
from espejo.sources.files import Contents
from espejo.sources.folder import WHATSAPP
from espejo.sources.items import first_item, is_json, parquet_schema
from espejo.sources.json_text import head_text
from espejo.sources.registry import READERS, Kind, Reader

MAX_FILES = 20_000  # of data in one folder: an account's chats, a file or more each
TABLE_SUFFIXES = (".csv", ".tsv", ".tab", ".parquet", ".json", ".jsonl", ".ndjson")
TABLES: tuple[Kind, ...] = ("questions", "dialogues")
# Folders of Meta's downloads: by them the reader tells which app it is, and chats from each other.
_META_FOLDER = re.compile(
    r"(?:your_)?(?:facebook|instagram|messenger)[\w-]*|messages|inbox|\w+_threads|message_requests",
    re.IGNORECASE,
)
MAX_META_DEPTH = 6


@dataclass(frozen=True)
class Gathered:
    """Files with data at one path, and what was read in them.

    The path of a SourceFile is its place below data/raw/mine.
    """

    kind: Kind
    texts: Sequence[Path]  # and zips, of WhatsApp
    files: Sequence[tuple[Reader, SourceFile]]
    chats: Sequence[whatsapp.Export]  # in the texts
    exports: Sequence[Export]  # in the files
    probes: int  # questions that are only put to the model
    digests: frozenset[str]  # of the contents of all files
    again: int  # files left out since their content is there already
    left_out: Sequence[str]  # why, of each file that holds no data

    @property
    def names(self) -> list[str]:
        """The names of the files, each once."""
        sources = (file.path.name for _, file in self.files)
        return list(dict.fromkeys((*(path.name for path in self.texts), *sources)))

    @property
    def only_roles(self) -> bool:
        """Whether all of it names roles and no people."""
        return {reader for reader, _ in self.files} == {roles} and not self.texts


def check(path: Path, wording: InitWording) -> None:
    """Raise UserError where there is no file, nothing that may hold data, or a whole disk."""
    if path.is_dir():
        if path.resolve() in (Path.home(), *Path.home().parents):
            raise wording.error("home", path=path)
        count = sum(1 for _ in files.paths(path))
        if not count:
            raise wording.error("empty", path=path)
        if count > MAX_FILES:
            raise wording.error("too_many", path=path, count=wording.number(count))
    elif not path.exists():
        raise wording.error("nowhere", path=path)
    elif path.suffix.lower() not in files.SUFFIXES:
        raise wording.error("other_kind", path=path)


def gather(
    path: Path,
    kind: Kind | None,
    options: Options,
    seen: frozenset[str],
    wording: InitWording,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Gathered:
    """The data at `path`, of one kind or (None) of the first kind that is there, chats first.

    Contents in `seen` (digests) are left out. `progress` is told the number of a file of WhatsApp,
    of how many, and its name. Raises UserError where there is no data.
    """
    check(path, wording)
    reasons: dict[Kind, Sequence[str]] = {}
    likeliest: Kind | None = kind  # of which a reader recognises a file, although it is broken
    pages: list[SourceFile] = []
    for tried in [kind] if kind else READERS:
        inside = files.inventory(path, READERS[tried], tried == "chats", options.columns)
        pages += inside.pages
        gathered = _read(_placed(inside, path), tried, options, seen, wording, progress)
        if gathered.names or gathered.again:
            return gathered
        reasons[tried] = gathered.left_out
        likeliest = likeliest or (tried if inside.by_reader else None)
    if pages and kind in (None, "chats"):
        raise wording.error("web_page", page=pages[0].path.name)
    told = likeliest or "chats"
    key = "no_export" if told == "chats" else f"no_{told}"
    raise wording.error(key, path=path, reason=next(iter(reasons[told]), "-"))


def present(folder: Path, kind: Kind, options: Options, wording: InitWording) -> Gathered:
    """The data in data/raw/mine. Raises ExportError for a file that parse could not read either."""
    inside = files.contents(folder, READERS[kind], kind == "chats")
    gathered = _read(inside, kind, options, frozenset(), wording)
    for reason in gathered.left_out:
        raise ExportError(reason)
    return gathered


def kind_in(path: Path) -> Kind | None:
    """The kind of the data in a folder or file, None for no data."""
    for kind, readers in READERS.items():
        inside = files.inventory(path, readers, kind == "chats")
        if inside.by_reader or inside.whatsapp:
            return kind
    return None


def unknown_tables(path: Path) -> list[tuple[str, list[str]]]:
    """The tables at `path` whose columns have none of the usual names: file names and columns.

    None of them if there is a table of questions that has them.
    """
    inside = files.inventory(path, READERS["questions"], False)
    if not all(map(questions.is_probes, inside.by_reader.get(questions, ()))):
        return []
    named = [file for file in inside.unknown if file.path.suffix.lower() in TABLE_SUFFIXES]
    tables = [(file.path.name, columns(file)) for file in named]
    return [(name, header) for name, header in tables if len(header) > 1]


def columns(file: SourceFile) -> list[str]:
    """What the columns of a table, or the fields of its first row, are called; [] if it is none."""
    try:
        if schema := parquet_schema(file):
            return list(schema.names)
        text = head_text(file)
        if is_json(text):
            row = first_item(text, questions.PAIRS)
            return list(row) if isinstance(row, dict) else []
        header = read_table(text, file.name, lambda _: False).header if text.strip() else []
        return header if all(header) else []
    except ExportError:
        return []


def _placed(inside: Contents, path: Path) -> Contents:
    """The same, with the places of the copies: in folders as they are at `path`, zips unpacked."""
    by_reader = {}
    for reader, sources in inside.by_reader.items():
        is_part_of_chat = reader is meta and path.suffix.lower() != ".zip"
        top = _top(path) if path.is_dir() else _top(path.parent) if is_part_of_chat else ()
        by_reader[reader] = [replace(file, path=_place(top, file.path)) for file in sources]
    return replace(inside, by_reader=by_reader)


def _top(folder: Path) -> tuple[str, ...]:
    """The folder's name, with the folders above it that belong to a download of Meta's."""
    parts = folder.resolve().parts[1:]
    depths = range(MAX_META_DEPTH, 0, -1)
    start = next((d for d in depths if _META_FOLDER.fullmatch("".join(parts[-d:][:1]))), 1)
    return parts[-start:]


def _place(top: Sequence[str], path: PurePosixPath) -> PurePosixPath:
    """Where a copy goes: no name in a zip may lead out of data/raw/mine, or hide there."""
    *folders, name = (
        part.encode("utf-8", "replace").decode().lstrip("./ ") for part in (*top, *path.parts)
    )
    folders = [re.sub(r"\.zip\Z", "", folder, flags=re.IGNORECASE) for folder in folders]
    return PurePosixPath(*filter(None, folders), name)


def _read(
    inside: Contents,
    kind: Kind,
    options: Options,
    seen: frozenset[str],
    wording: InitWording,
    progress: Callable[[int, int, str], None] = lambda *_: None,
) -> Gathered:
    digests = set(seen)
    left_out = [
        *map(str, inside.damaged),
        *(wording.text("errors.web_page", page=page.path.name) for page in inside.pages),
    ]
    fresh, chats, again = [], [], 0
    for number, path in enumerate(inside.whatsapp, 1):
        progress(number, len(inside.whatsapp), path.name)
        try:
            read = whatsapp.read_file(path)
        except ExportError as error:
            left_out.append(str(error))
            continue
        if (digest := _digest_of_file(path)) in digests:
            again += 1
            continue
        digests.add(digest)
        fresh.append(path)
        chats += read
    sources: list[tuple[Reader, SourceFile]] = []
    exports: list[Export] = []
    probes = 0
    for reader, of_reader in inside.by_reader.items():
        new: dict[str, SourceFile] = {}  # by digest
        repeated = []
        for file in of_reader:
            digest = hashlib.sha256(file.read()).hexdigest()
            if digest in digests or digest in new:
                repeated.append((digest, file))
            else:
                new[digest] = file
        readable, read_exports, reasons = _readable(reader, [*new.values()], options)
        left_out += reasons
        places = {file.path for file in readable}
        digests.update(digest for digest, file in new.items() if file.path in places)
        for digest, file in repeated:
            if digest in digests:
                again += 1
            else:  # as broken as the first of them
                left_out.append(_problem(reader, file, options))
        sources += [(reader, file) for file in readable]
        exports += read_exports
        if reader is questions:
            probes = len(questions.probes(readable, options))
    for file in inside.unknown:
        # Deeper in a folder, it belongs to an app's download.
        if kind in TABLES or len(file.path.parts) == 1:
            is_table = kind in TABLES and file.path.suffix.lower() in TABLE_SUFFIXES
            is_told = is_table or not file.head  # by the reader, as parse will tell it
            reason = _problem(READERS[kind][-1], file, options) if is_told else ""
            unknown = wording.text(f"exports.unknown_{kind}", name=file.path.name)
            left_out.append(reason or unknown)
    return Gathered(
        *(kind, fresh, sources, chats, exports, probes, frozenset(digests), again, left_out)
    )


def _readable(
    reader: Reader, sources: Sequence[SourceFile], options: Options
) -> tuple[Sequence[SourceFile], list[Export], list[str]]:
    """Those of `sources` that can be read, what is in them, and why the others cannot."""
    if not sources:
        return [], [], []
    try:
        return sources, reader.read(sources, options), []
    except ExportError:
        reasons = {file.path: _problem(reader, file, options) for file in sources}
        good = [file for file in sources if not reasons[file.path]]
        return good, reader.read(good, options) if good else [], [*filter(None, reasons.values())]


def _problem(reader: Reader, file: SourceFile, options: Options) -> str:
    try:
        reader.read([file], options)
    except ExportError as error:
        return str(error)
    return ""


def _digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class OfApp(NamedTuple):
    """What files of one app hold."""

    app: str
    names: list[str]  # of the files, each once
    chats: int
    messages: int  # that somebody wrote


def by_app(gathered: Gathered) -> list[OfApp]:
    """What was read, by app."""
    parts = []
    if gathered.chats:
        written = sum(int(chat.messages["author"].notna().sum()) for chat in gathered.chats)
        names = [path.name for path in gathered.texts]
        parts.append(OfApp(WHATSAPP, names, len(gathered.chats), written))
    for app in dict.fromkeys(export.app for export in gathered.exports):
        exports = [export for export in gathered.exports if export.app == app]
        records = [record for export in exports for record in export.records]
        names = list(dict.fromkeys(export.name for export in exports))
        chats = len({record.chat_id for record in records})
        written = sum(record.author is not None for record in records)
        parts.append(OfApp(app, names, chats, written))
    return parts
