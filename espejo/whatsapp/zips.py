"""The chat inside a .zip as Android, an iPhone or macOS makes it."""

import zipfile
import zlib
from io import BytesIO
from pathlib import Path, PurePosixPath

from espejo.whatsapp.errors import HOW, ExportError
from espejo.whatsapp.headers import HEADER
from espejo.whatsapp.text import utf8

GLANCE = 1 << 20  # bytes read of each of several texts to find the chat among them
MOST_TEXTS = 200


def chat(data: bytes, path: Path, limit: int) -> tuple[bytes, str]:
    """The chat's bytes and its file name in the zip. Nothing is ever written to the disk.

    Raises ExportError when the zip is damaged, locked, without a chat or unpacks beyond `limit`.
    """
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            member = _chat_member(archive, path, limit)
            return _unpack(archive, member, path, limit), _name(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"{path.name}: the zip is damaged; copy it again or {HOW}.") from None
    except (RuntimeError, NotImplementedError):
        raise ExportError(f"{path.name}: the zip is locked or packed oddly; {HOW}.") from None


def _name(member: zipfile.ZipInfo) -> str:
    return PurePosixPath(member.filename).name


def _chat_member(archive: zipfile.ZipFile, path: Path, limit: int) -> zipfile.ZipInfo:
    """The chat among a zip's texts: people also send .txt files as attachments."""
    for name in archive.namelist():
        if name.startswith("/") or ".." in PurePosixPath(name.replace("\\", "/")).parts:
            raise ExportError(
                f"{path.name}: the zip holds a path that leads out of it ({name[:60]!r}), "
                f"as no export does; {HOW}."
            )
    texts = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and member.filename.lower().endswith(".txt")
        and not member.filename.startswith("__MACOSX/")
        and not _name(member).startswith("._")
    ]
    if not texts:
        raise ExportError(f"{path.name}: expected a chat (.txt) in the zip, found none; {HOW}.")
    names = [_name(member).lower() for member in texts]
    for wanted in ("_chat.txt", f"{path.stem.lower()}.txt"):
        if wanted in names:
            return texts[names.index(wanted)]
    named = [member for member, name in zip(texts, names, strict=True) if "whatsapp" in name]
    texts = named or texts
    if len(texts) == 1:
        return texts[0]

    def headers(member: zipfile.ZipInfo) -> int:
        with archive.open(member) as file:
            lines = utf8(file.read(GLANCE)).decode().split("\n")
        return sum(1 for line in lines if HEADER.match(line))

    return max(texts[:MOST_TEXTS], key=headers)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, limit: int) -> bytes:
    with archive.open(member) as file:
        data = file.read(limit + 1)  # the size a zip states may be a lie
    if len(data) > limit:
        raise ExportError(
            f"{path.name}: the chat in the zip unpacks to more than {limit:,} bytes, "
            f"far beyond any export; {HOW}."
        )
    return data
