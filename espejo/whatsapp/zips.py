"""The chats inside a .zip as Android, an iPhone, macOS or a person makes it."""

import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path, PurePosixPath

from espejo.whatsapp.errors import HOW, ExportError
from espejo.whatsapp.headers import HEADER
from espejo.whatsapp.text import decoded

GLANCE = 1 << 20  # bytes read of each of several texts to find the chats among them
MOST_TEXTS = 1_000
FEW = 0.05  # share of a text's lines with a header up to which it is no chat


def texts(path: Path, limit: int) -> tuple[list[tuple[str, bytes]], list[bytes]]:
    """The chats of a zip as name and bytes, and its other texts: people send .txt files too.

    Nothing is ever written to the disk. Raises ExportError when the zip is damaged, locked, without
    a chat or unpacks beyond `limit` bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path)

            def headers(name: str) -> int:
                with archive.open(members[name]) as file:
                    lines = decoded(file.read(GLANCE)).data.decode().split("\n")
                count = sum(1 for line in lines if HEADER.match(line))
                return count if count > FEW * len(lines) else 0

            chosen = chats_among(sorted(members), path.stem, headers)
            data, left = {}, limit
            for name in [*chosen, *(other for other in sorted(members) if other not in chosen)]:
                data[name] = _unpacked(archive, members[name], path, left, limit)
                left -= len(data[name])
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"{path.name}: the zip is damaged; copy it again or {HOW}.") from None
    except (RuntimeError, NotImplementedError):
        raise ExportError(f"{path.name}: the zip is locked or packed oddly; {HOW}.") from None
    others = [some for name, some in data.items() if name not in chosen]
    return [(name, data[name]) for name in chosen], others


def chats_among(names: Sequence[str], stem: str, headers: Callable[[str], int]) -> list[str]:
    """Which of some texts (paths inside a zip called `stem`) are chats, in each of their folders.

    `_chat.txt` if there is one; else the one called like the zip, as Android packs it; else those
    with WhatsApp in their name; else those that hold headers, or the most like a chat of them.
    """
    chats = []
    for _, of_folder in groupby(sorted(names, key=_folder), _folder):
        some = sorted(of_folder)
        lower = {name: PurePosixPath(name).name.lower() for name in some}
        own = [name for name in some if lower[name] == "_chat.txt"]
        own = own or [name for name in some if lower[name] == f"{stem.lower()}.txt"]
        own = own or [name for name in some if "whatsapp" in lower[name] and headers(name)]
        chats.append((bool(own), own or some))
    sure = [name for named, some in chats if named for name in some]
    if sure or len(names) == 1:
        return sure or list(names)
    counts = {name: headers(name) for _, some in chats for name in some}
    return [name for name in counts if counts[name]] or [max(counts, key=lambda name: counts[name])]


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent)


def _members(archive: zipfile.ZipFile, path: Path) -> dict[str, zipfile.ZipInfo]:
    """The texts of a zip by name."""
    for name in archive.namelist():
        if name.startswith("/") or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise ExportError(
                f"{path.name}: the zip holds a path that leads out of it ({name[:60]!r}), "
                f"as no export does; {HOW}."
            )
    members = {
        member.filename: member
        for member in archive.infolist()
        if not member.is_dir()
        and member.filename.lower().endswith(".txt")
        and not re.search(r"(?:\A|/)(?:__MACOSX/|\._)", member.filename)
    }
    twice = [name for name, count in Counter(archive.namelist()).items() if count > 1]
    if any(name in members for name in twice):
        raise ExportError(
            f"{path.name}: the zip holds two files called {twice[0][:60]!r}; unpack it, rename one "
            "and use both."
        )
    if not members and any(name.lower().endswith(".zip") for name in archive.namelist()):
        raise ExportError(f"{path.name}: the zip holds other zips; unpack it and use those.")
    if not members:
        raise ExportError(f"{path.name}: expected a chat (.txt) in the zip, found none; {HOW}.")
    if len(members) > MOST_TEXTS:
        raise ExportError(
            f"{path.name}: the zip holds {len(members):,} texts, more than {MOST_TEXTS:,}; put "
            "fewer exports into one zip."
        )
    return members


def _unpacked(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, left: int, limit: int
) -> bytes:
    with archive.open(member) as file:
        data = file.read(left + 1)  # the size a zip states may be a lie
    if len(data) > left:
        raise ExportError(
            f"{path.name}: the texts in the zip unpack to more than {limit:,} bytes, "
            f"far beyond any export; {HOW}."
        )
    return data
