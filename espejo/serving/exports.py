"""What `espejo export` has written: where it is, and whether it is of the model at hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from espejo.core.errors import UserError
from espejo.model import manifest as manifests

FOLDER = Path("exports")
# The folders that hold a GGUF file of the whole model, and the one with transformers' files.
GGUF, MERGED = ("gguf", "ollama"), "merged"


def newest_gguf(model: Path, exports: Path = FOLDER) -> Path:
    """The GGUF file that was exported last of the trained model in the folder `model`.

    Raises UserError when there is none, or when it is of another model.
    """
    ggufs = [file for name in GGUF for file in (exports / name).glob("*.gguf")]
    if not ggufs:
        raise missing(exports / GGUF[0], "gguf")
    newest = max(ggufs, key=lambda file: file.stat().st_mtime)
    check_same(newest, model)
    return newest


def folder(name: str, model: Path, exports: Path = FOLDER) -> Path:
    """The folder that `espejo export --to NAME` wrote of the model in the folder `model`.

    Raises UserError when there is none, or when it is of another model.
    """
    if not (exports / name / manifests.FILE).is_file():
        raise missing(exports / name, name)
    check_same(exports / name / manifests.FILE, model)
    return exports / name


def missing(path: Path, target: str) -> UserError:
    """The error when there is no export `path`."""
    return UserError(f"There is no {path}: run `espejo export --to {target}` first.")


def check_same(exported: Path, model: Path) -> None:
    """Raise UserError unless the file `exported` was made from the model in the folder `model`.

    The espejo.json beside it says so: the same settings, data and versions.
    """
    if not exported.is_file():
        raise UserError(f"There is no {exported}: run `espejo export --to gguf` first.")
    manifest = exported.parent / manifests.FILE
    if not manifest.is_file():
        raise UserError(
            f"Of which model {exported} is, nobody knows, since no {manifests.FILE} lies beside "
            "it: export the model again with `espejo export --to gguf`."
        )
    theirs, ours = (_identity(manifests.read(place)) for place in (exported.parent, model))
    if different := sorted(key for key in ours if theirs.get(key) != ours[key]):
        raise UserError(
            f"{exported} is not of the model in {model}/ (they differ in {', '.join(different)}): "
            "export that one again with `espejo export`."
        )


def _identity(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """What two models have in common only if they are one; not what an export leaves out."""
    train = {
        key: value
        for key, value in manifest["train"].items()
        if key not in ("sample_prompts", "method")
    }
    return {**{key: manifest[key] for key in manifest if key != "data"}, "train": train}
