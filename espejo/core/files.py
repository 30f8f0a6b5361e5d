"""Files of ours: written whole or not at all, and read with a sentence where they are broken."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from espejo.core import faults
from espejo.core.errors import UserError


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Where to write what becomes the file `path` at the end: all of it, or it stays as it was.

    Raises UserError naming `path` where the disk is full, read-only …
    """
    draft = path.with_name(f".{path.name}")  # of the same ending, which may decide the format
    with faults.about(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)


def write(text: str, path: Path) -> None:
    """Write `text` as the whole of the file `path`; raises UserError as `written` does."""
    with written(path) as draft:
        draft.write_text(text, "utf-8", newline="\n")


def mapping(path: Path, parse: Callable[[str], object]) -> dict:
    """The mapping in the file `path`, by `yaml.safe_load` or `json.loads`.

    Raises UserError for a file that cannot be read or holds none; so does a key that is not there.
    """
    with faults.about(path):
        content = parse(path.read_text("utf-8"))
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds no settings or numbers by name; {faults.again(path)}.")
    return _Known(content, path)


class _Known(dict):
    """A dictionary, and those inside it, that names its file and the key that it lacks."""

    def __init__(self, content: Mapping, path: Path, place: str = "") -> None:
        super().__init__(
            (key, _Known(inner, path, f"{place}{key}.") if isinstance(inner, Mapping) else inner)
            for key, inner in content.items()
        )
        self._path, self._place = path, place

    def __missing__(self, key: object) -> None:
        raise UserError(f"{self._path} lacks {self._place}{key}; {faults.again(self._path)}.")
