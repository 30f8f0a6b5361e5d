"""Files that espejo writes: written atomically, and read with clear errors when broken."""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from espejo.core import faults
from espejo.core.errors import UserError


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """A temporary path that becomes the file `path` at the end; after an error `path` is unchanged.

    Raises UserError naming `path` when the disk is full, read-only …
    """
    draft = path.with_name(f".{path.name}")  # same extension, which may decide the format
    with faults.about(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def write(text: str, path: Path) -> None:
    """Write `text` to the file `path` atomically; raises UserError as `written` does."""
    with written(path) as draft:
        draft.write_text(text, "utf-8", newline="\n")


def repository_taking(folder: Path) -> Path | None:
    """The git repository into which `git add` would take the files of `folder`.

    None where `folder` lies in no repository, or in one that ignores it.
    """
    inside = next((path for path in folder.resolve().parents if (path / ".git").exists()), None)
    if inside is None:
        return None
    command = ["git", "-C", str(inside), "check-ignore", "-q", str(folder.resolve() / "a file")]
    return inside if subprocess.run(command, capture_output=True).returncode else None


def mapping(path: Path, parse: Callable[[str], object]) -> dict:
    """The mapping in the file `path`, parsed by `yaml.safe_load` or `json.loads`.

    Raises UserError when the file cannot be read or holds no mapping. Looking up a missing key in
    the result raises one too.
    """
    with faults.about(path):
        content = parse(path.read_text("utf-8"))
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no settings or numbers by name; {faults.again(path)}.")
    return _FileMapping(content, path)


class _FileMapping(dict):
    """A dictionary whose error for a missing key, at any depth, names the file and the key."""

    def __init__(self, content: Mapping, path: Path, place: str = "") -> None:
        super().__init__(
            (
                key,
                _FileMapping(inner, path, f"{place}{key}.")
                if isinstance(inner, Mapping)
                else inner,
            )
            for key, inner in content.items()
        )
        self._path, self._place = path, place

    def __missing__(self, key: object) -> None:
        raise UserError(f"{self._path} lacks {self._place}{key}; {faults.again(self._path)}.")
