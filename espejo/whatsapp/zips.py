"""The chats in a .zip, whether Android, an iPhone, macOS or a person packed it."""

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

from espejo.whatsapp.errors import ADVICE, ExportError
from espejo.whatsapp.headers import HEADER
from espejo.whatsapp.text import decode

SAMPLE_BYTES = 1 << 20  # of each text that may be a chat
MAX_TEXTS = 1_000  # in one zip
MIN_SHARE_OF_HEADERS = 0.05  # among a text's lines; with no more it is not a chat


def read_texts(path: Path, max_bytes: int) -> tuple[list[tuple[str, bytes]], list[bytes]]:
    """Return the chats of a zip (name and bytes), and its other texts: people send .txt files too.

    Nothing is written to disk. Raises ExportError if the zip is damaged, locked, has no chat, or
    unpacks to more than `max_bytes`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)

            def count_headers(name: str) -> int:
                with archive.open(members[name]) as file:
                    lines = decode(file.read(SAMPLE_BYTES)).data.decode().split("\n")
                count = sum(1 for line in lines if HEADER.match(line))
                return count if count > MIN_SHARE_OF_HEADERS * len(lines) else 0

            chosen = choose_chats(sorted(members), path.stem, count_headers)
            data, bytes_left = {}, max_bytes
            for name in [*chosen, *(other for other in sorted(members) if other not in chosen)]:
                data[name] = _unpack(archive, members[name], path, bytes_left, max_bytes)
                bytes_left -= len(data[name])
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"{path.name}: the zip is damaged; copy it again or {ADVICE}.") from None
    except (RuntimeError, NotImplementedError):
        raise ExportError(f"{path.name}: the zip is locked or packed oddly; {ADVICE}.") from None
    others = [text for name, text in data.items() if name not in chosen]
    return [(name, data[name]) for name in chosen], others


def choose_chats(names: Sequence[str], stem: str, count_headers: Callable[[str], int]) -> list[str]:
    """Return which texts (paths in a zip called `stem`) are chats.

    In each folder: `_chat.txt` if there is one; else the text named like the zip, as Android packs
    it; else those with WhatsApp in their name and headers inside. If no folder has any of these:
    all texts with headers, or the one with the most if all have few. `count_headers` returns the
    number of headers in a text.
    """
    chats = []
    for _, grouped in groupby(sorted(names, key=_parent), _parent):
        in_folder = sorted(grouped)
        file_names = {name: PurePosixPath(name).name.lower() for name in in_folder}
        named = [name for name in in_folder if file_names[name] == "_chat.txt"]
        named = named or [name for name in in_folder if file_names[name] == f"{stem.lower()}.txt"]
        named = named or [
            name for name in in_folder if "whatsapp" in file_names[name] and count_headers(name)
        ]
        chats.append((bool(named), named or in_folder))
    sure = [name for is_named, in_folder in chats if is_named for name in in_folder]
    if sure or len(names) == 1:
        return sure or list(names)
    counts = {name: count_headers(name) for _, in_folder in chats for name in in_folder}
    return [name for name in counts if counts[name]] or [max(counts, key=lambda name: counts[name])]


def _parent(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """Return the texts of a zip by name. Raises ExportError for names and zips that are unsafe."""
    for name in archive.namelist():
        if name.startswith("/") or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise ExportError(
                f"{path.name}: the zip holds a path that leads out of it ({name[:60]!r}), "
                f"as no export does; {ADVICE}."
            )
    members = {
        member.filename: member
        for member in archive.infolist()
        if not member.is_dir()
        and member.filename.lower().endswith(".txt")
        and not re.search(r"(?:\A|/)(?:__MACOSX/|\._)", member.filename)
    }
    duplicates = [name for name, count in Counter(archive.namelist()).items() if count > 1]
    if any(name in members for name in duplicates):
        raise ExportError(
            f"{path.name}: the zip holds two files called {duplicates[0][:60]!r}; unpack it, "
            "rename one and use both."
        )
    if not members and any(name.lower().endswith(".zip") for name in archive.namelist()):
        raise ExportError(f"{path.name}: the zip holds other zips; unpack it and use those.")
    if not members:
        raise ExportError(f"{path.name}: expected a chat (.txt) in the zip, found none; {ADVICE}.")
    if len(members) > MAX_TEXTS:
        raise ExportError(
            f"{path.name}: the zip holds {len(members):,} texts, more than {MAX_TEXTS:,}; put "
            "fewer exports into one zip."
        )
    return members


def _unpack(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, bytes_left: int, max_bytes: int
) -> bytes:
    with archive.open(member) as file:
        data = file.read(bytes_left + 1)  # the size that a zip declares may be false
    if len(data) > bytes_left:
        raise ExportError(
            f"{path.name}: the texts in the zip unpack to more than {max_bytes:,} bytes, "
            f"far beyond any export; {ADVICE}."
        )
    return data
