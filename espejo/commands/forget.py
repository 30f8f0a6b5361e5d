"""`espejo forget`: removes all that was made from chats, after it said what that is."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from espejo.core import faults
from espejo.core.errors import UserError

# What a run leaves behind, with what it is; DVC's list of files that it has read comes to it.
ARTEFACTS = {
    "data/*.parquet": "tables",
    "model": "the trained model",
    "reports": "pages that quote messages",
    "checkpoints": "of the training",
    "dvc_plots": "pages with pictures",
    ".dvc/cache": "earlier versions of all of it",
    ".dvc/tmp/exps": "what queued runs printed",
}
NUMBERS = ("dvc.lock", "params.yaml", "metrics", "plots")  # in git, as of the last commit
_YES = {"y", "yes", "s", "si", "sí"}


def forget(yes: bool) -> None:
    """Say what would be removed and ask, unless `yes`; then remove it. The exports stay.

    Raises UserError outside the project, without a terminal to ask in, and where git fails.
    """
    if not Path("dvc.yaml").is_file():
        raise UserError("There is no dvc.yaml here: run this in the folder of the project.")
    experiments = _git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    print(
        "\n".join(["This removes what was made from chats in this folder:", *_lines(experiments)])
    )
    print(
        f"{', '.join(NUMBERS)} become again what the last commit has. What stays: your exports, "
        "people.yaml and conf/data/mine.yaml."
    )
    for place in _elsewhere():
        print(f"Not removed, since other projects may use it: {place}")
    if not yes and not _agreed():
        print("Nothing was removed.")
        return
    for path in (*_paths(ARTEFACTS), *_read_files()):
        with faults.about(path):
            _remove(path)
    _git("checkout", "-q", "HEAD", "--", *NUMBERS)
    for reference in experiments:
        _git("update-ref", "-d", reference)
    print("Removed.")


def _lines(experiments: list[str]) -> list[str]:
    """What there is, with its size; `experiments` are references, of which some are DVC's own."""
    lines = [
        f"  {pattern:15} {_bytes(paths) / 1e6:10,.1f} MB   {what}"
        for pattern, what in ARTEFACTS.items()
        if (paths := list(_paths([pattern])))
    ]
    number = sum(bool(re.match("refs/exps/[0-9a-f]{2}/", name)) for name in experiments)
    return [*lines, f"  experiments     {number:10,}"]


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask in: `espejo forget --yes` removes all of it.")
    try:
        return input("Remove all of it? (yes; Enter: no) › ").strip().casefold() in _YES
    except EOFError:
        return False


def _paths(patterns: Iterable[str]) -> Iterator[Path]:
    for pattern in patterns:
        yield from Path().glob(pattern)


def _bytes(paths: Iterable[Path]) -> int:
    """Bytes on the disk, each file once: those of the cache may be links to others."""
    files = (file for path in paths for file in (path, *path.rglob("*")) if file.is_file())
    return sum({(stat.st_dev, stat.st_ino): stat.st_size for stat in map(os.stat, files)}.values())


def _read_files() -> list[Path]:
    """The folder outside of the project in which DVC lists the files that it has read."""
    told = _dvc("doctor")
    return [Path(path) for path in re.findall(r"^Repo\.site_cache_dir: (.+)$", told, re.MULTILINE)]


def _elsewhere() -> Iterator[str]:
    """Where copies may lie outside of the project: a shared cache, and storage for `dvc push`."""
    cache = Path(_dvc("cache", "dir").strip() or ".dvc/cache")
    if cache.resolve() != Path(".dvc/cache").resolve():
        yield f"DVC's cache in {cache}"
    # Not `dvc remote list`, which breaks lines as if a terminal were there.
    for name in re.findall(r"^remote\.(.+)\.url=", _dvc("config", "--list"), re.MULTILINE):
        yield f"what `dvc push` has sent to the remote {name}"


def _dvc(*arguments: str) -> str:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, capture_output=True, text=True).stdout


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if ran.returncode:
        raise UserError(f"`git {' '.join(arguments)}` failed: {ran.stderr.strip()}")
    return ran.stdout
