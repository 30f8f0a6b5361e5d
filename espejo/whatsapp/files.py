"""The files of a folder, what they hold as bytes, and whom a chat is with."""

import re
import stat
from pathlib import Path

from espejo.whatsapp import zips
from espejo.whatsapp.errors import HOW, ExportError
from espejo.whatsapp.notices import forms
from espejo.whatsapp.text import Source, utf8

LIMIT = 1 << 29  # bytes of a chat; real ones stay below 100 MB
LINE_LIMIT = 1 << 21  # bytes of a line; a message has at most 65,536 characters


def exports_in(folder: str | Path) -> list[Path]:
    """The .txt and .zip files of a folder, sorted. Raises ExportError when there are none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ExportError(f"{folder.name}: expected a folder of WhatsApp exports; {HOW}.")
    try:
        files = sorted(
            file
            for file in folder.iterdir()
            if file.suffix.lower() in (".txt", ".zip") and not file.name.startswith(".")
        )
    except OSError as error:
        raise _unreadable(folder, error) from None
    if not files:
        raise ExportError(
            f"{folder}: expected WhatsApp exports (.txt or .zip) in this folder; copy yours there."
        )
    return files


def _unreadable(path: Path, error: OSError) -> ExportError:
    if isinstance(error, FileNotFoundError):
        return ExportError(f"{path.name}: there is no such file; {HOW}.")
    if isinstance(error, PermissionError):
        return ExportError(
            f"{path.name}: there is no permission to read it; allow it (chmod u+r) or copy it anew."
        )
    return ExportError(f"{path.name}: cannot be opened ({error.strerror or 'error'}); {HOW}.")


def contents(path: Path) -> tuple[Source, str]:
    """A chat's text, and the name of its file inside a zip ("" outside).

    Raises ExportError when the file is missing, unreadable, damaged, empty or far too large.
    """
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):  # reading a pipe would wait for ever
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "no ordinary file"
            raise ExportError(
                f"{path.name}: this is {kind}, expected a .txt or .zip; rename it or move it away."
            )
        if about.st_size > LIMIT and path.suffix.lower() != ".zip":
            raise ExportError(
                f"{path.name}: holds more than {LIMIT:,} bytes, far beyond any export; {HOW}."
            )
        data = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None
    inner = ""
    if path.suffix.lower() == ".zip" or data.startswith(b"PK\x03\x04"):
        data, inner = zips.chat(data, path, LIMIT)
    source = Source(utf8(data))
    if not source.data or source.data.isspace():
        raise ExportError(f"{path.name}: the file is empty, expected a WhatsApp export; {HOW}.")
    line = source.longest_line()
    if line[1] > LINE_LIMIT:
        raise ExportError(
            f"{path.name}: line {line[0]} holds {line[1]:,} bytes, far beyond any message; {HOW}."
        )
    return source, inner


def no_chat(path: Path, data: bytes) -> ExportError:
    """The error about a file in which no line is a message: what it is instead, if that shows."""
    start = data[:1000].lstrip().lower()
    what = "no line looks like a message of WhatsApp"
    if b"\0" in data or start.startswith(b"%pdf"):
        what = "this is no text, but a picture or some other binary file"
    elif start.startswith((b"{", b"[")) and b'":' in data[:1000]:
        what = "this is JSON, as Telegram and others export, and no chat of WhatsApp"
    elif start.startswith((b"<!doctype html", b"<html", b"<?xml")):
        what = "this is a web page, as Telegram and others export, and no chat of WhatsApp"
    return ExportError(f"{path.name}: {what}; {HOW}.")


_CHAT_FILES = [
    re.compile(re.escape(form).replace(r"\{name\}", "(.+)"), re.IGNORECASE)
    for form in forms("chat_file")
]


def chat_name(path: Path, inner: str) -> str:
    """Whom the chat is with, as the file's name tells, else the file's stem."""
    folder = path.parent.name if path.stem == "_chat" else ""  # of an unpacked zip
    for stem in (path.stem, Path(inner).stem, folder):
        for form in _CHAT_FILES:  # some systems put _ for every space
            if match := form.fullmatch(stem if " " in stem else stem.replace("_", " ")):
                return match[1].strip()
    return path.stem
