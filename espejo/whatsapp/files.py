"""The exports in a folder, their texts, and the names of their chats."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from espejo.whatsapp import zips
from espejo.whatsapp.errors import ADVICE, ExportError
from espejo.whatsapp.notices import forms
from espejo.whatsapp.text import Source, decode

MAX_BYTES = 1 << 28  # of a chat, or of all texts in a zip; real ones stay below 100 MB
MAX_LINES = 5_000_000  # of a chat
MAX_LINE_BYTES = 1 << 21  # of a line; a message has at most 65,536 characters


@dataclass(frozen=True)
class ChatText:
    """The text of one chat, and where it comes from."""

    source: Source
    path_in_zip: str  # "" if it is not from a zip
    one_of_several: bool  # whether the zip holds several chats
    encoding: str  # "" for UTF-8
    replaced: int  # number of invalid bytes
    attached_size: tuple[int, int]  # lines and characters of texts in the zip that are not chats


def exports_in(folder: str | Path) -> list[Path]:
    """Return what `find_exports` does; raises ExportError also if there are none."""
    folder = Path(folder)
    files = find_exports(folder)
    if not files:
        raise ExportError(
            f"{folder}: expected WhatsApp exports (.txt or .zip) in this folder; copy yours there, "
            "or run `make mine`."
        )
    return files


def find_exports(folder: Path) -> list[Path]:
    """Return the .txt and .zip files of a folder and its subfolders, sorted.

    A subfolder is read like a zip: it may be an unpacked export, in which not every .txt is a chat.
    Raises ExportError for a path that is no folder, and for a file with an unusable name or kind.
    """
    if not folder.is_dir():
        raise ExportError(f"{folder.name}: expected a folder of WhatsApp exports; {ADVICE}.")
    try:
        return sorted(_find_exports(folder, top=True))
    except OSError as error:
        raise _unreadable_error(folder, error) from None


def _find_exports(folder: Path, top: bool) -> Iterator[Path]:
    texts = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__MACOSX")):
            continue
        printable = os.fsencode(path.name).decode("utf-8", "backslashreplace")
        if printable != path.name:
            raise ExportError(f"{printable}: the file's name is no UTF-8; rename the file.")
        if path.is_dir():
            if not path.is_symlink():
                yield from _find_exports(path, top=False)
        elif path.exists() and not path.is_file():
            raise ExportError(f"{path.name}: {_NOT_A_FILE}; move it out of {folder.name}.")
        elif path.suffix.lower() == ".zip":
            yield path
        elif path.suffix.lower() == ".txt":
            texts.append(path)
    if top or len(texts) < 2:
        yield from texts
    else:
        names = [path.name for path in texts]
        yield from (folder / name for name in zips.choose_chats(names, folder.name, _count_as_chat))


def _count_as_chat(_: str) -> int:
    """Take a text for a chat: in a folder, unlike in a zip, texts are chosen by name alone."""
    return 1


_NOT_A_FILE = "this is no ordinary file (a pipe, a socket or a device), expected a .txt or .zip"


def _unreadable_error(path: Path, error: OSError) -> ExportError:
    if isinstance(error, FileNotFoundError):
        return ExportError(f"{path.name}: there is no such file; {ADVICE}.")
    if isinstance(error, PermissionError):
        return ExportError(
            f"{path.name}: there is no permission to read it; allow it (chmod u+r) or copy it anew."
        )
    return ExportError(f"{path.name}: cannot be opened ({error.strerror or 'error'}); {ADVICE}.")


def read_texts(path: Path) -> list[ChatText]:
    """Return the texts of the chats in a file: one of a .txt, one or more of a .zip.

    Raises ExportError if the file is missing, unreadable, damaged, empty or far too large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would block
            problem = "this is a folder, expected a .txt or .zip" if path.is_dir() else _NOT_A_FILE
            raise ExportError(f"{path.name}: {problem}; rename it or move it away.")
        with path.open("rb") as file:
            is_zip = path.suffix.lower() == ".zip" or file.read(4) == b"PK\x03\x04"
        if status.st_size > MAX_BYTES and not is_zip:
            raise ExportError(
                f"{path.name}: holds more than {MAX_BYTES:,} bytes, far beyond any export; "
                f"{ADVICE}."
            )
        chats, others = (
            zips.read_texts(path, MAX_BYTES) if is_zip else ([("", path.read_bytes())], [])
        )
    except OSError as error:
        raise _unreadable_error(path, error) from None
    other_texts = [decode(other).data.decode() for other in others]
    attached_size = (
        sum(sum(map(bool, map(str.strip, text.split("\n")))) for text in other_texts),
        sum(map(len, other_texts)),
    )
    texts: list[ChatText] = []
    for path_in_zip, data in chats:
        name = path.name + (f" ({path_in_zip})" if len(chats) > 1 else "")
        text = decode(data)
        texts.append(
            ChatText(
                source=_check_size(Source(text.data), name),
                path_in_zip=path_in_zip,
                one_of_several=len(chats) > 1,
                encoding=text.encoding,
                replaced=text.replaced,
                attached_size=(0, 0) if texts else attached_size,
            )
        )
    return texts


def _check_size(source: Source, name: str) -> Source:
    """Return `source`. Raises ExportError if it is empty or exceeds a limit."""
    if not source.data or source.data.isspace():
        raise ExportError(f"{name}: the file is empty, expected a WhatsApp export; {ADVICE}.")
    num_lines = source.data.count(b"\n")
    if num_lines > MAX_LINES:
        raise ExportError(
            f"{name}: holds {num_lines:,} lines, far beyond any export (at most {MAX_LINES:,}); "
            f"{ADVICE}."
        )
    number, length = source.longest_line()
    if length > MAX_LINE_BYTES:
        raise ExportError(
            f"{name}: line {number} holds {length:,} bytes, far beyond any message; {ADVICE}."
        )
    return source


def no_chat_error(name: str, data: bytes) -> ExportError:
    """Return the error for a file without any message; it says what the file is, if that shows."""
    start = data[:1000].lstrip().lower()
    problem = "no line looks like a message of WhatsApp"
    if b"\0" in data or start.startswith(b"%pdf"):
        problem = "this is no text, but a picture or some other binary file"
    elif start.startswith((b"{", b"[")) and b'":' in data[:1000]:
        problem = "this is JSON, as Telegram and others export, and no chat of WhatsApp"
    elif start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        problem = "this is a web page, as Telegram and others export, and no chat of WhatsApp"
    elif _VIEWER.match(data[:1000].decode("utf-8", "ignore")):
        problem = "this is a table with semicolons, as WhatsApp Viewer writes, and no export"
    return ExportError(f"{name}: {problem}; {ADVICE}.")


_VIEWER = re.compile(r"\W*\d{1,4}[./-]\d{1,2}[./-]\d{1,4}[^;\n]{0,20}\d:\d\d[^;\n]{0,12};")
_CHAT_FILES = [
    re.compile(re.escape(form).replace(r"\{name\}", "(.+)"), re.IGNORECASE)
    for form in forms("chat_file")
]
# What systems add to the name of a copy, and people who do not see the extension on Windows.
_COPY_SUFFIX = re.compile(
    r"(?: ?\(\d{1,3}\)| (?:- )?(?:copy|copia|cópia|copie|kopie|копия)(?: \d+)?|\.(?:txt|zip))+\Z",
    re.I,
)


def chat_name(path: Path, text: ChatText) -> str:
    """Return the person or group in the file's name, or else the file's stem.

    If a zip holds several chats, only their names inside the zip are used, to tell them apart.
    """
    inner = PurePosixPath(text.path_in_zip)
    stems = [inner.stem, inner.parent.name] if text.one_of_several else [path.stem, inner.stem]
    folder = [path.parent.name] if path.stem == "_chat" else []  # of an unpacked zip
    for stem in stems + folder:
        # Some systems write _ for every space.
        plain = _COPY_SUFFIX.sub("", stem if " " in stem else stem.replace("_", " "))
        for form in _CHAT_FILES:
            if match := form.fullmatch(plain):
                return match[1].strip()
    return next(
        (_COPY_SUFFIX.sub("", stem) for stem in stems if stem not in ("_chat", "")), path.stem
    )
