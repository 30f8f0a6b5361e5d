"""The files of one's own data: the exports, people.yaml and the settings. Git ignores them all.

`espejo init` asks for their contents.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

import yaml

from espejo.commands import exports
from espejo.commands.exports import Gathered
from espejo.commands.init_wording import InitWording
from espejo.core import faults, files
from espejo.privacy import people, people_file
from espejo.sources.registry import READERS, Kind

RAW = Path("data/raw/mine")
PEOPLE_YAML = RAW / people.FILE
CONF = Path("conf/data/mine.yaml")
# The settings of conf/data that those of a kind begin with.
DEFAULTS: Mapping[Kind, str] = {"questions": "qa", "dialogues": "dialogues"}


def kind_there() -> Kind | None:
    """The kind of data that the settings are for or, without any, of what is in data/raw/mine."""
    if not CONF.exists():
        return exports.kind_in(RAW) if RAW.is_dir() else None
    settings = files.mapping(CONF, yaml.safe_load)
    defaults = settings.get("defaults") or []
    of_defaults = next((kind for kind, name in DEFAULTS.items() if name in defaults), "chats")
    name = (settings.get("data") or {}).get("kind", of_defaults)
    return name if name in READERS else "chats"


def columns_there() -> dict[str, str]:
    """What the settings say that columns are called."""
    settings = files.mapping(CONF, yaml.safe_load) if CONF.exists() else {}
    columns = (settings.get("data") or {}).get("columns") or {}
    return {use: name for use, name in columns.items() if name}


def write(new: Sequence[Gathered], people_text: str | None, settings: str) -> list[Path]:
    """Copy files to data/raw/mine, write people.yaml, and the settings where there are none.

    All of it, or nothing. Returns the copies. A file that is there already stays: the copy goes to
    another place, like another export of the same chat, and parse merges the two.
    """
    with _all_or_nothing() as created:
        _create_folder(RAW, created)
        copies = [_copy(path, created) for part in new for path in part.texts]
        for part in new:
            copies += _copy_files(part, created)
        if not CONF.exists():
            created.append(CONF)
            files.write(settings, CONF)
        there = PEOPLE_YAML.read_bytes() if PEOPLE_YAML.exists() else None
        if people_text is not None and there != people_text.encode():
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


def _copy_files(part: Gathered, created: list[Path]) -> list[Path]:
    """Copy files of apps and tables, in folders as they were: readers look at their names."""
    sources = [file for _, file in part.files]
    number, places = 1, [file.path for file in sources]
    while not all(map(_is_free, places)):
        number += 1
        places = [_numbered(file.path, number) for file in sources]
    for file, place in zip(sources, places, strict=True):
        target = RAW / place
        _create_folder(target.parent, created)
        created.append(target)
        with files.written(target) as draft:
            draft.write_bytes(file.read())
    return [RAW / place for place in places]


def _is_free(place: PurePosixPath) -> bool:
    return not (RAW / place).exists() and not any(
        (RAW / folder).is_file() for folder in place.parents
    )


def _numbered(place: PurePosixPath, number: int) -> PurePosixPath:
    """Another place: of a file by itself another name, of one in a folder another folder above."""
    if len(place.parts) == 1:
        return place.with_stem(f"{place.stem} ({number})")
    return PurePosixPath(str(number), place)


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
