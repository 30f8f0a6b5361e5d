"""The folders of checkpoints from which interrupted trainings resume.

They are not DVC outputs: `persist: true` would resume from old weights under new settings. A folder
belongs to exactly one training: the same data, settings, code and libraries.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

PARENT = Path("checkpoints")  # ignored by git
_LIBRARIES = ("accelerate", "bitsandbytes", "peft", "torch", "transformers", "trl")


def libraries() -> dict[str, str]:
    """The versions of the libraries that a training depends on."""
    # Without the build after "+": 2.13.0+cpu computes the same as 2.13.0.
    return {library: version(library).partition("+")[0] for library in _LIBRARIES}


def folder(settings: Mapping, files: Sequence[Path]) -> Path:
    """The folder for the training with these `settings` and the contents of these `files`."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for library, number in libraries().items():
        digest.update(f"{library}=={number}\n".encode())
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return PARENT / digest.hexdigest()[:16]
