"""Which split a name states: of a file, of a folder, or in a table's column."""

import re
from pathlib import PurePosixPath

SPLITS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
    "test": "test",
    "testing": "test",
}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")  # trainSet is two words, TRAIN one


def split_in(name: str) -> str | None:
    """Return the split that a name states ("dialogues_train", "Dev set"): train, validation, test.

    None if it states none, or more than one ("train_test").
    """
    splits = {SPLITS[word.lower()] for word in _WORD.findall(name) if word.lower() in SPLITS}
    return splits.pop() if len(splits) == 1 else None


def split_of_path(path: PurePosixPath) -> str | None:
    """Return the split that a file's name states, or else the nearest folder that states one."""
    for name in (path.stem, *reversed(path.parts[:-1])):
        if split := split_in(name):
            return split
    return None
