"""What stands beside the weights: how a model was made, and all that a chat needs to know of it."""

import json
from collections.abc import Mapping
from pathlib import Path

from espejo.core import files
from espejo.core.errors import not_made_yet

FILE = "espejo.json"


def write(facts: Mapping, folder: Path) -> None:
    """Write `facts` (sections of the params that made the model) into the model's `folder`."""
    files.write(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", folder / FILE)


def read(folder: Path) -> dict:
    """What `write` wrote. Raises UserError when there is no trained model in `folder`."""
    if not (folder / FILE).is_file():
        raise not_made_yet(f"There is no trained model in {folder}/")
    return files.mapping(folder / FILE, json.loads)
