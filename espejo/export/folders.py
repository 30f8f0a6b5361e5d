"""The folder of an export: written beside its place and moved there when it is complete."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from espejo.core import faults, files
from espejo.core.errors import UserError

MARK = "espejo-export.json"  # only a folder that holds it is ever replaced


def check(folder: Path) -> None:
    """Raise UserError if `folder` holds anything but an earlier export, or git would take it."""
    if (repository := files.repository_taking(folder)) is not None:
        raise UserError(
            f"{folder} lies in the git repository {repository}, which does not ignore it, and a "
            "model may repeat what it learned: name a folder elsewhere with `--out`, or leave it "
            "out."
        )
    if not folder.exists() or (folder / MARK).is_file():
        return
    if not folder.is_dir() or any(folder.iterdir()):
        raise UserError(
            f"{folder} is there and is no earlier export, so it stays as it is: name another "
            "folder with `--out`."
        )


@contextmanager
def written(folder: Path, about: Mapping[str, object]) -> Iterator[Path]:
    """A draft of `folder` that takes its place at the end; after an error `folder` is unchanged.

    `about` goes into the file MARK. Raises UserError as `check` does, and on a full disk.
    """
    check(folder)
    folder = folder.resolve()
    draft, before = (folder.with_name(f".{folder.name}.{what}") for what in ("draft", "before"))
    with faults.about(folder):
        if before.exists() and not folder.exists():  # killed between the two moves below
            before.rename(folder)
        for leftover in (draft, before):  # of an export that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            files.write(json.dumps(about, indent=2) + "\n", draft / MARK)
            if folder.exists():
                folder.rename(before)
            draft.rename(folder)
            shutil.rmtree(before, ignore_errors=True)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def size(path: Path) -> str:
    """The size of a file or folder, in words: "551 MB"."""
    paths = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    number = sum(file.stat().st_size for file in paths)
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.0f} MB"
