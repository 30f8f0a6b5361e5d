"""The files of one's own chats: the exports, people.yaml and the settings. Git ignores them all.

`espejo init` asks for their contents.
"""

import filecmp
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from espejo import whatsapp
from espejo.commands.init_wording import InitWording
from espejo.core import faults, files
from espejo.privacy import people, people_file

RAW = Path("data/raw/mine")
PEOPLE_YAML = RAW / people.FILE
CONF = Path("conf/data/mine.yaml")
MAX_FILES = 500  # texts and zips in one folder


@dataclass(frozen=True)
class Source:
    """A file with exported chats, as it lies on the disk."""

    path: Path
    chats: Sequence[whatsapp.Export]


def present() -> list[Path]:
    """The exports that are in data/raw/mine already."""
    return whatsapp.exports_in(RAW) if _holds_exports(RAW) else []


def _holds_exports(folder: Path) -> bool:
    return any(
        path.suffix.lower() in (".txt", ".zip") and not path.name.startswith(".")
        for path in folder.rglob("*")
    )


def files_at(path: Path, wording: InitWording) -> list[Path]:
    """The file `path`, or the files in the folder `path` that may be exports.

    Raises UserError where there is none, or so many that it cannot be a folder of chats.
    """
    if path.is_dir():
        if path.resolve() in (Path.home(), *Path.home().parents):
            raise wording.error("home", path=path)
        if not _holds_exports(path):
            raise wording.error("empty", path=path)
        inside = whatsapp.exports_in(path)
        if len(inside) > MAX_FILES:
            raise wording.error("too_many", path=path, count=wording.number(len(inside)))
        return inside
    if not path.exists():
        raise wording.error("nowhere", path=path)
    if path.suffix.lower() not in (".txt", ".zip"):
        raise wording.error("other_kind", path=path)
    return [path]


def fresh(sources: Iterable[Source], paths: Iterable[Path]) -> list[Source]:
    """Those of `sources` whose content is in none of the files `paths`, each content once."""
    seen, new = list(paths), []
    for source in sources:
        if not any(filecmp.cmp(source.path, path, shallow=False) for path in seen):
            seen.append(source.path)
            new.append(source)
    return new


def write(sources: Iterable[Source], people_text: str, wording: InitWording) -> list[Path]:
    """Copy exports to data/raw/mine, write people.yaml, and the settings where there are none.

    All of it, or nothing. Returns the copies. A file that is there already stays: the copy gets a
    number, like another export of the same chat, and parse merges the two.
    """
    with _all_or_nothing() as created:
        _create_folder(RAW, created)
        copies = [_copy(source.path, created) for source in sources]
        if not CONF.exists():
            created.append(CONF)
            files.write(wording.text("files.settings"), CONF)
        if not PEOPLE_YAML.exists() or PEOPLE_YAML.read_bytes() != people_text.encode():
            with faults.about(PEOPLE_YAML):
                people_file.write(PEOPLE_YAML, people_text)
    return copies


def template(wording: InitWording) -> str:
    """The people.yaml of somebody who has none yet."""
    explained = {answer: wording.text(f"consent.{answer}") for answer in people.ANSWERS}
    text = wording.text("files.people", **explained)
    return people_file.with_salt(text, wording.text("files.salt"))


def git_identity() -> bool:
    """Whether git has a name and an address here: without them `dvc exp run` fails."""
    commands = [["git", "config", f"user.{key}"] for key in ("name", "email")]
    return all(subprocess.run(command, capture_output=True).stdout.strip() for command in commands)


def _copy(path: Path, created: list[Path]) -> Path:
    # Of an unpacked iPhone export only the folder's name tells whom the chat is with.
    name = f"{path.resolve().parent.name}.txt" if path.name == "_chat.txt" else path.name
    name = os.fsencode(name).decode("utf-8", "replace")  # DVC reads no other name
    first = target = RAW / name.lstrip(".")
    number = 2
    while target.exists():
        target = first.with_stem(f"{first.stem} ({number})")
        number += 1
    created.append(target)
    with files.written(target) as draft:
        shutil.copyfile(path, draft)
    return target


def _create_folder(path: Path, created: list[Path]) -> None:
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    created += reversed(missing)
    with faults.about(path):
        path.mkdir(parents=True, exist_ok=True)


@contextmanager
def _all_or_nothing() -> Iterator[list[Path]]:
    """A list for the files and folders created inside, which are removed if it fails."""
    created: list[Path] = []
    try:
        yield created
    except BaseException:
        for path in reversed(created):
            with suppress(OSError):  # not created yet, or with other files in it
                path.rmdir() if path.is_dir() else path.unlink()
        raise
