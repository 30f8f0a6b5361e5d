"""The files of a folder, on the disk and in zips, each with the reader that recognises it."""

import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import IO

from espejo import whatsapp
from espejo.sources import questions
from espejo.sources.export import ExportError, SourceFile
from espejo.sources.registry import Reader
from espejo.whatsapp.headers import HEADER
from espejo.whatsapp.text import decode

MAX_BYTES = 1 << 31  # of a file; the largest account that was seen has some 500 MB
MAX_MEMBERS = 200_000  # of a zip
_DATA = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".tab", ".parquet", ".txt")
_PAGE = ".html"
SUFFIXES = (*_DATA, _PAGE, ".zip")  # of files that may hold data
_HIDDEN = re.compile(r"(?:\A|/)(?:\.|__MACOSX/)")
_WORKBOOKS = (".xlsx", ".xlsm", ".xls", ".ods", ".numbers")
# The latter are DailyDialog's: numbers that say what its dialogues are about.
_NO_DATA = re.compile(
    r"(?:README|LICENSE|NOTICE)\b|dialogues_(?:act|emotion|topic)(?:_[a-z]+)?\.txt\Z", re.IGNORECASE
)
# How the web pages are called that Telegram, Meta and DiscordChatExporter write.
_CHAT_PAGE = re.compile(r"(?:messages\d*|message_\d+)\.html\Z")
_CHANNEL_PAGE = re.compile(r".* \[\d+\](?: \[part \d+\])?\.html\Z")
# The folders of Meta's downloads that hold chats; beside them lie files without any.
_META_FOLDERS = frozenset(
    {"inbox", "archived_threads", "filtered_threads", "message_requests", "e2ee_cutover"}
)
_TO_JSON = "export the chats again and choose JSON as the format (docs/sources.md says where)"


@dataclass(frozen=True)
class Contents:
    """The files with data in a folder, by who reads them, and those that nobody reads."""

    by_reader: dict[Reader, list[SourceFile]]
    whatsapp: list[Path] = field(default_factory=list)  # .txt and .zip
    unknown: list[SourceFile] = field(default_factory=list)  # that no reader recognises
    # Web pages of chats that are nowhere as JSON.
    pages: list[SourceFile] = field(default_factory=list)
    # About files and zips that cannot be read, and workbooks of spreadsheets.
    damaged: list[ExportError] = field(default_factory=list)


def contents(
    folder: Path,
    readers: Sequence[Reader],
    with_whatsapp: bool,
    columns: Mapping[str, str] | None = None,
) -> Contents:
    """What lies in `folder`, or in the one file `folder`, which should hold nothing but data.

    As `inventory`, but without `with_whatsapp`, what is not recognised goes to the last of the
    `readers`, which says what is wrong with it.

    Raises ExportError for a file that lies in `folder` itself and that nobody recognises, for chats
    as web pages, for tables as workbooks, and for a damaged or locked zip.
    """
    inside = inventory(folder, readers, with_whatsapp, columns)
    for error in inside.damaged:
        raise error
    for page in inside.pages:
        raise ExportError(f"{page.name}: this is a web page, and espejo reads JSON; {_TO_JSON}.")
    if not with_whatsapp and inside.unknown:
        inside.by_reader.setdefault(readers[-1], []).extend(inside.unknown)
        return replace(inside, unknown=[])
    chats = (file for files in inside.by_reader.values() for file in files)
    if any(file.path.parts[0] in _META_FOLDERS for file in chats):
        return inside  # the folder itself is a part of a download
    for file in inside.unknown:
        if len(file.path.parts) == 1:  # deeper, it belongs to an app's download
            raise ExportError(
                f"{file.name}: no export that espejo knows (docs/sources.md lists them); remove "
                "it, or put the app's whole download here as it came, zipped or in a folder of "
                "its own."
            )
    return inside


def inventory(
    folder: Path,
    readers: Sequence[Reader],
    with_whatsapp: bool,
    columns: Mapping[str, str] | None = None,
) -> Contents:
    """What lies in `folder`, or in the one file `folder`, which may hold other files too.

    With `with_whatsapp`, texts and zips that no reader recognises are exports of WhatsApp. A zip
    or file that cannot be read is not raised, but listed as damaged. `columns` says what those of
    a table are called, as in Options.
    """
    by_reader: dict[Reader, list[SourceFile]] = {}
    exports, unknown, pages = [], [], []
    damaged = [] if with_whatsapp and folder.is_dir() else _workbooks(folder)
    candidates = _whatsapp_candidates(folder) if with_whatsapp else frozenset()
    for path in paths(folder):
        try:
            members = list(_members(path, folder))
            if path in candidates and path.suffix.lower() == ".zip" and _holds_whatsapp(members):
                exports.append(path)
                continue
            pages += [file for file in members if file.path.suffix.lower() == _PAGE]
            data = [file for file in members if file.path.suffix.lower() != _PAGE]
            readers_of = [reader_of(file, readers, columns) for file in data]
        except ExportError as error:
            damaged.append(error)
            continue
        if path in candidates and not any(readers_of) and not any(map(_is_chat_page, members)):
            exports.append(path)
            continue
        for file, reader in zip(data, readers_of, strict=True):
            if reader is None:
                unknown.append(file)
            else:
                by_reader.setdefault(reader, []).append(file)
    read = [file.path for files in by_reader.values() for file in files]
    alone = [page for page in filter(_is_chat_page, pages) if not _is_there_as_json(page, read)]
    return Contents(by_reader, exports, unknown, alone, damaged)


def _is_there_as_json(page: SourceFile, read: Sequence[PurePosixPath]) -> bool:
    """Whether the chat of a web page is among the files that are read.

    A folder of Telegram or Meta is one export, in one format or both; of Discord each file is one.
    """
    if _CHANNEL_PAGE.match(page.path.name):
        return page.path.with_suffix(".json") in read
    return page.path.parent in {path.parent for path in read}


def reader_of(
    file: SourceFile, readers: Sequence[Reader], columns: Mapping[str, str] | None = None
) -> Reader | None:
    """The first of the `readers` that recognises a file, None if none does.

    `columns` are those of tables of questions, where they have not the usual names.
    """
    reader = next((reader for reader in readers if reader.recognises(file)), None)
    if reader is None and columns and questions in readers:
        return questions if questions.recognises(file, columns) else None
    return reader


def _workbooks(folder: Path) -> list[ExportError]:
    """What is wrong with each table that would be overlooked, since it is no text."""
    return [
        ExportError(
            f"{path.name}: this is a workbook of a spreadsheet, and espejo reads CSV; save the "
            "table as CSV, and move the workbook away."
        )
        for path in paths(folder, _WORKBOOKS)
        if path.suffix.lower() in _WORKBOOKS and not path.name.startswith("~$")  # open in Excel
    ]


def _whatsapp_candidates(folder: Path) -> frozenset[Path]:
    if folder.is_dir():
        return frozenset(whatsapp.find_exports(folder))
    return frozenset({folder} if folder.suffix.lower() in (".txt", ".zip") else ())


def paths(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> Iterator[Path]:
    """The files in a folder and its subfolders that may hold data, sorted; or the file `folder`.

    Raises ExportError for a device or a pipe.
    """
    if not folder.is_dir():
        if folder.exists() and not stat.S_ISREG(folder.stat().st_mode):
            raise ExportError(f"{folder.name}: this is no ordinary file; move it away.")
        yield folder
        return
    for path in sorted(folder.rglob("*")):
        if _may_hold_data(path.relative_to(folder), suffixes) and path.is_file():
            yield path


def _may_hold_data(place: PurePath, suffixes: Sequence[str]) -> bool:
    """Whether a path in a folder or zip is neither hidden nor a README, and ends as data do."""
    is_hidden = _HIDDEN.search(place.as_posix()) or _NO_DATA.match(place.name)
    return place.suffix.lower() in suffixes and not is_hidden


def _members(path: Path, folder: Path) -> Iterator[SourceFile]:
    """A file itself, or the files with data and the web pages in a zip. Raises ExportError."""
    inside = path.relative_to(folder).as_posix() if path != folder else path.name
    place = PurePosixPath(inside)
    if path.suffix.lower() != ".zip":
        yield SourceFile(place, partial(_load, lambda: path.open("rb"), path.name))
        return
    with _readable(path.name):
        archive = zipfile.ZipFile(path)
    members = archive.infolist()
    if len(members) > MAX_MEMBERS:
        raise ExportError(
            f"{path.name}: the zip holds {len(members):,} files, more than {MAX_MEMBERS:,}; unpack "
            "it, and put only the chats here."
        )
    for member in sorted(members, key=lambda member: member.filename):
        inner = PurePosixPath(member.filename)
        if _may_hold_data(inner, (*_DATA, _PAGE)):
            opened = partial(archive.open, member)
            yield SourceFile(place / inner, partial(_load, opened, path.name))


def _load(opened: Callable[[], IO[bytes]], name: str, size: int | None) -> bytes:
    """The first `size` bytes of a file, or all. A zip may declare a false size: these are counted.

    Raises ExportError, about the file or zip `name`.
    """
    with _readable(name), opened() as file:
        data = file.read(MAX_BYTES + 1 if size is None else size)
    if len(data) > MAX_BYTES:
        raise ExportError(
            f"{name}: holds more than {MAX_BYTES:,} bytes, far beyond any export; export fewer "
            "chats at once."
        )
    return data


@contextmanager
def _readable(name: str) -> Iterator[None]:
    """Turn what a disk or a zip may raise into an ExportError about the file `name`."""
    try:
        yield
    except PermissionError:
        raise ExportError(
            f"{name}: there is no permission to read it; allow it (chmod u+r) or copy it anew."
        ) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError):
        raise ExportError(f"{name}: the zip is damaged; copy or download it again.") from None
    except (RuntimeError, NotImplementedError):
        raise ExportError(
            f"{name}: the zip is locked or packed oddly; unpack it, and put its files here."
        ) from None
    except OSError as error:
        reason = error.strerror or "error"
        raise ExportError(f"{name}: cannot be read ({reason}); copy it anew.") from None


def _holds_whatsapp(members: Sequence[SourceFile]) -> bool:
    """Whether a zip is an export of WhatsApp: a text in it begins with a message's header."""
    texts = (file for file in members if file.path.suffix.lower() == ".txt")
    return any(
        any(map(HEADER.match, decode(file.head).data.decode().split("\n")[:5])) for file in texts
    )


def _is_chat_page(file: SourceFile) -> bool:
    return bool(_CHAT_PAGE.match(file.path.name) or _CHANNEL_PAGE.match(file.path.name))
