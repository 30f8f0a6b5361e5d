"""The files of a folder, what they hold as text, and whom a chat is with."""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from espejo.whatsapp import zips
from espejo.whatsapp.errors import HOW, ExportError
from espejo.whatsapp.notices import forms
from espejo.whatsapp.text import Source, decoded

LIMIT = 1 << 28  # bytes of a chat, or of all in a zip; real ones stay below 100 MB
MOST_LINES = 5_000_000  # of a chat
LINE_LIMIT = 1 << 21  # bytes of a line; a message has at most 65,536 characters


@dataclass(frozen=True)
class Text:
    """The text of one chat, and where it comes from."""

    source: Source
    inner: str  # its path inside a zip, "" outside
    one_of_several: bool  # chats in the zip
    encoding: str  # "" for UTF-8
    replaced: int  # bytes that are no text
    attached: tuple[int, int]  # lines and characters of the zip's texts that are no chat


def exports_in(folder: str | Path) -> list[Path]:
    """The .txt and .zip files of a folder and of those in it, sorted.

    In a folder inside, an unpacked export, only what a zip of it would give is a chat. Raises
    ExportError when there are none, and for what is neither file nor folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ExportError(f"{folder.name}: expected a folder of WhatsApp exports; {HOW}.")
    try:
        files = sorted(_exports(folder, top=True))
    except OSError as error:
        raise _unreadable(folder, error) from None
    if not files:
        raise ExportError(
            f"{folder}: expected WhatsApp exports (.txt or .zip) in this folder; copy yours there, "
            "or run `make mine`."
        )
    return files


def _exports(folder: Path, top: bool) -> Iterator[Path]:
    texts = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__MACOSX")):
            continue
        plain = os.fsencode(path.name).decode("utf-8", "backslashreplace")
        if plain != path.name:
            raise ExportError(f"{plain}: the file's name is no UTF-8; rename the file.")
        if path.is_dir():
            if not path.is_symlink():
                yield from _exports(path, top=False)
        elif path.exists() and not path.is_file():
            raise ExportError(f"{path.name}: {_ODD}; move it out of {folder.name}.")
        elif path.suffix.lower() == ".zip":
            yield path
        elif path.suffix.lower() == ".txt":
            texts.append(path)
    if top or len(texts) < 2:
        yield from texts
    else:
        names = [path.name for path in texts]
        yield from (folder / name for name in zips.chats_among(names, folder.name, _one))


def _one(_: str) -> int:
    """Every text of an unpacked folder whose names tell nothing is taken for a chat."""
    return 1


_ODD = "this is no ordinary file (a pipe, a socket or a device), expected a .txt or .zip"


def _unreadable(path: Path, error: OSError) -> ExportError:
    if isinstance(error, FileNotFoundError):
        return ExportError(f"{path.name}: there is no such file; {HOW}.")
    if isinstance(error, PermissionError):
        return ExportError(
            f"{path.name}: there is no permission to read it; allow it (chmod u+r) or copy it anew."
        )
    return ExportError(f"{path.name}: cannot be opened ({error.strerror or 'error'}); {HOW}.")


def contents(path: Path) -> list[Text]:
    """The texts of the chats in a file: one of a .txt, one or more of a .zip.

    Raises ExportError when the file is missing, unreadable, damaged, empty or far too large.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # reading a pipe would wait for ever
            odd = "this is a folder, expected a .txt or .zip" if path.is_dir() else _ODD
            raise ExportError(f"{path.name}: {odd}; rename it or move it away.")
        with path.open("rb") as file:
            packed = path.suffix.lower() == ".zip" or file.read(4) == b"PK\x03\x04"
        if about.st_size > LIMIT and not packed:
            raise ExportError(
                f"{path.name}: holds more than {LIMIT:,} bytes, far beyond any export; {HOW}."
            )
        chats, others = zips.texts(path, LIMIT) if packed else ([("", path.read_bytes())], [])
    except OSError as error:
        raise _unreadable(path, error) from None
    plain = [decoded(other).data.decode() for other in others]
    attached = (
        sum(sum(map(bool, map(str.strip, text.split("\n")))) for text in plain),
        sum(map(len, plain)),
    )
    texts: list[Text] = []
    for inner, data in chats:
        name = path.name + (f" ({inner})" if len(chats) > 1 else "")
        text = decoded(data)
        texts.append(
            Text(
                source=_checked(Source(text.data), name),
                inner=inner,
                one_of_several=len(chats) > 1,
                encoding=text.encoding,
                replaced=text.replaced,
                attached=(0, 0) if texts else attached,
            )
        )
    return texts


def _checked(source: Source, name: str) -> Source:
    """A text that may be a chat. Raises ExportError for an empty one and beyond the limits."""
    if not source.data or source.data.isspace():
        raise ExportError(f"{name}: the file is empty, expected a WhatsApp export; {HOW}.")
    lines = source.data.count(b"\n")
    if lines > MOST_LINES:
        raise ExportError(
            f"{name}: holds {lines:,} lines, far beyond any export (at most {MOST_LINES:,}); {HOW}."
        )
    number, length = source.longest_line()
    if length > LINE_LIMIT:
        raise ExportError(
            f"{name}: line {number} holds {length:,} bytes, far beyond any message; {HOW}."
        )
    return source


def no_chat(name: str, data: bytes) -> ExportError:
    """The error about a file in which no line is a message: what it is instead, if that shows."""
    start = data[:1000].lstrip().lower()
    what = "no line looks like a message of WhatsApp"
    if b"\0" in data or start.startswith(b"%pdf"):
        what = "this is no text, but a picture or some other binary file"
    elif start.startswith((b"{", b"[")) and b'":' in data[:1000]:
        what = "this is JSON, as Telegram and others export, and no chat of WhatsApp"
    elif start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        what = "this is a web page, as Telegram and others export, and no chat of WhatsApp"
    elif _VIEWER.match(data[:1000].decode("utf-8", "ignore")):
        what = "this is a table with semicolons, as WhatsApp Viewer writes, and no export"
    return ExportError(f"{name}: {what}; {HOW}.")


_VIEWER = re.compile(r"\W*\d{1,4}[./-]\d{1,2}[./-]\d{1,4}[^;\n]{0,20}\d:\d\d[^;\n]{0,12};")
_CHAT_FILES = [
    re.compile(re.escape(form).replace(r"\{name\}", "(.+)"), re.IGNORECASE)
    for form in forms("chat_file")
]
# What systems add to the name of a second copy, and people to one whose end Windows does not show.
_COPY = re.compile(
    r"(?: ?\(\d{1,3}\)| (?:- )?(?:copy|copia|cópia|copie|kopie|копия)(?: \d+)?|\.(?:txt|zip))+\Z",
    re.I,
)


def chat_name(path: Path, text: Text) -> str:
    """Whom a chat is with, as its file's name tells, else the file's stem.

    Where a zip holds several chats, their names in it alone tell them apart.
    """
    inner = PurePosixPath(text.inner)
    stems = [inner.stem, inner.parent.name] if text.one_of_several else [path.stem, inner.stem]
    folder = [path.parent.name] if path.stem == "_chat" else []  # of an unpacked zip
    for stem in stems + folder:
        plain = _COPY.sub("", stem if " " in stem else stem.replace("_", " "))
        for form in _CHAT_FILES:  # some systems put _ for every space
            if match := form.fullmatch(plain):
                return match[1].strip()
    return next((_COPY.sub("", stem) for stem in stems if stem not in ("_chat", "")), path.stem)
