"""`espejo forget`: removes all that was made from the data, after it said what that is."""

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
    "exports": "the model in other forms",
    "reports": "pages that quote messages",
    "checkpoints": "of the training",
    "dvc_plots": "pages with pictures",
    ".dvc/cache": "earlier versions of all of it",
    ".dvc/tmp/exps": "what experiments printed",
}
NUMBERS = ("dvc.lock", "params.yaml", "metrics", "plots")  # in git, as of the last commit
_YES = {"y", "yes", "s", "si", "sí"}
# How the subjects of commits begin that DVC makes: experiments, and what it stashes to run them.
_DVCS = re.compile(r"dvc: commit experiment |dvc-exp:|On .+: dvc-exp-apply:")
# DVC also stashes changed files as `git stash` does.
_STASH = re.compile(r"WIP on ")


def forget(yes: bool) -> None:
    """Say what would be removed and ask, unless `yes`; then remove it. The exports stay.

    Raises UserError outside the project, without a terminal to ask in, and where git fails.
    """
    if not Path("dvc.yaml").is_file():
        raise UserError("There is no dvc.yaml here: run this in the folder of the project.")
    experiments = _git("for-each-ref", "--format=%(refname)", "refs/exps").split()
    lines = _lines(experiments)
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *NUMBERS)
    elsewhere = [f"Not removed: {place}" for place in _elsewhere()]
    if not (lines or experiments or changed or _of_dvc(_lost())):
        print("\n".join(["Nothing that was made from chats is left in this folder.", *elsewhere]))
        return
    print("\n".join(["This removes what was made from chats in this folder:", *lines]))
    print(
        f"{', '.join(NUMBERS)} become again what the last commit has. Git loses DVC's commits of "
        "experiments, and what was staged but never committed. What stays: your exports and "
        "tables, people.yaml, conf/data/mine.yaml and your own commits, those that no branch holds "
        "too."
    )
    print("".join(f"{line}\n" for line in elsewhere), end="")
    if not yes and not _agreed():
        print("Nothing was removed.")
        return
    for path in (*_paths(ARTEFACTS), *_read_files()):
        with faults.about(path):
            _remove(path)
    _git("checkout", "-q", "HEAD", "--", *NUMBERS)
    for reference in experiments:
        _git("update-ref", "-d", reference)
    _remove_lost()
    print("Removed.")


def _lines(experiments: list[str]) -> list[str]:
    """What there is, with its size; `experiments` are references, of which some are DVC's own."""
    there = {pattern: list(_paths([pattern])) for pattern in ARTEFACTS}
    lines = [
        f"  {pattern:15} {size / 1e6:10,.1f} MB   {ARTEFACTS[pattern]}"
        for pattern, paths in there.items()
        if (size := _bytes(paths))
    ]
    number = sum(bool(re.match("refs/exps/[0-9a-f]{2}/", name)) for name in experiments)
    return [*lines, *([f"  experiments     {number:10,}"] if number else [])]


def _lost() -> list[str]:
    """The commits that no reference holds; reflogs may name them still."""
    told = _git("fsck", "--unreachable", "--no-reflogs", "--connectivity-only", "--no-progress")
    return re.findall(r"^unreachable commit ([0-9a-f]+)$", told, re.MULTILINE)


def _of_dvc(commits: list[str]) -> set[str]:
    """Those of `commits` that DVC made, with the commits of the index that belong to its stashes.

    A stash of git's own form is taken for one of DVC's where it changes NUMBERS.
    """
    of_dvc = set()
    for commit in commits:
        parents, subject = _git("show", "-s", "--format=%P%n%s", commit).split("\n", 1)
        stash = _STASH.match(subject) and _git(
            "diff", "--name-only", f"{commit}^", commit, "--", *NUMBERS
        )
        if _DVCS.match(subject) or stash:
            of_dvc |= {commit, *parents.split()[1:]}
    return of_dvc & set(commits)


def _remove_lost() -> None:
    """Remove the commits of `_of_dvc` and what only they hold; other lost commits stay."""
    lost = _lost()
    removed = _of_dvc(lost)
    entries = _git("log", "--walk-reflogs", "--all", "--format=%H %gD").splitlines()
    for entry in reversed(entries):  # the oldest first, since the numbers of later ones stay then
        commit, name = entry.split(" ", 1)
        if commit in removed:
            _git("reflog", "delete", "--rewrite", name)
    _git("repack", "-A", "-d", "-q")  # prune removes nothing from packs
    _git("prune", "--expire=now", *sorted(set(lost) - removed))


def _agreed() -> bool:
    if not sys.stdin.isatty():
        raise UserError("there is no terminal to ask in: `espejo forget --yes` removes all of it.")
    try:
        return input("Remove all of it? (y/N) › ").strip().casefold() in _YES
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
    """Copies in a shared cache, in storage for `dvc push`, and in branches and tags."""
    cache = Path(_dvc("cache", "dir").strip() or ".dvc/cache")
    if cache.resolve() != Path(".dvc/cache").resolve():
        yield f"DVC's cache in {cache}, since other projects may use it"
    # Not `dvc remote list`, which breaks lines as if a terminal were there.
    for name in re.findall(r"^remote\.(.+)\.url=", _dvc("config", "--list"), re.MULTILINE):
        yield f"what `dvc push` has sent to the remote {name}, since other projects may use it"
    holders = ["log", "--exclude=refs/exps/*", "--all", "--source", "--format=%S"]
    for name in sorted(set(_git(*holders, "--grep=^dvc: commit experiment ").split())):
        yield f"{name}, which holds experiments (as `dvc exp branch` makes)"


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
