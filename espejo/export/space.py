"""A folder for a private Hugging Face Space with the page of `espejo web`; nothing is pushed."""

import ast
import importlib.metadata
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

import espejo
from espejo.chat.decline import Blocklist
from espejo.core import files
from espejo.model import bundled
from espejo.model import manifest as manifests
from espejo.model.config import GenerateConfig

_SOURCE = Path(espejo.__file__).parent
_STARTS = ("web/start.py", "web/server.py", "chat/local.py")
_APP = '''\
"""The page of `espejo web` as a Space: private, and behind the password of its secret."""

import os
from pathlib import Path

HERE = Path(__file__).parent
os.chdir(HERE)
os.environ["XDG_CACHE_HOME"] = str(HERE / "cache")  # where a bundled base model is

from espejo.core import faults  # noqa: E402
from espejo.web import start  # noqa: E402

with faults.told("espejo"):
    start.space(HERE / "model", os.environ)
'''
_README = """\
---
title: espejo
emoji: 💬
colorFrom: green
colorTo: gray
sdk: gradio
sdk_version: {gradio}
python_version: "3.11"
app_file: app.py
pinned: false
disable_embedding: true
models: []
---

# A chat with a bot that imitates how a person writes

Keep this Space **private**: the model may repeat what it learned from somebody's chats.

It starts only with a password. In the Space's settings, under *Variables and secrets*, add a new
**secret** called `ESPEJO_PASSWORD`, of at least 8 characters. The page asks for it; any user name
does.

What people write is kept in memory only, and forgotten when they close the page.
"""


def write(
    folder: Path,
    model: Path,
    manifest: Mapping,
    generate: GenerateConfig,
    blocklist: Blocklist,
) -> None:
    """Write into `folder` a Space with the model in the folder `model`, as the stage train left it.

    `manifest` is espejo.json as it may be given away. The model's base is copied too where it comes
    as a package; others the Space downloads from the hub.
    """
    files.write(_APP, folder / "app.py")
    files.write(_README.format(gradio=importlib.metadata.version("gradio")), folder / "README.md")
    sources = _needed(_SOURCE / start for start in _STARTS)
    for source in sources:
        _copy(source, folder / "espejo" / source.relative_to(_SOURCE))
    for room in {source.parent for source in sources} - {_SOURCE}:
        for data in (*room.glob("*.yaml"), *room.glob("*.css")):
            _copy(data, folder / "espejo" / data.relative_to(_SOURCE))
    files.write("\n".join(requirements(sources)) + "\n", folder / "requirements.txt")
    for part in model.iterdir():
        if part.is_file() and part.suffix in (".safetensors", ".json", ".jinja", ".model"):
            _copy(part, folder / "model" / part.name)
    manifests.write(manifest, folder / "model")
    config = manifests.model_config(manifest)
    if config.source == "bundled":
        base = bundled.folder(config.id)
        shutil.copytree(base, folder / "cache" / "espejo" / "models" / base.name)
    sections = {
        "generate": generate.model_dump(),
        "chat": {"decline": list(blocklist.phrases), "declined": blocklist.answer},
    }
    files.write(yaml.safe_dump(sections, allow_unicode=True), folder / "params.yaml")


def requirements(sources: Iterable[Path]) -> list[str]:
    """What `sources` import and what that needs, pinned to what is installed here, from the lock.

    torch without the libraries of a GPU, which a free Space does not have.
    """
    owners = importlib.metadata.packages_distributions()
    waiting = {_key(owner) for name in _imported(sources) for owner in owners.get(name, [])}
    waiting -= {"espejo"}
    pins: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another system
        pins[name] = distribution.version.split("+")[0]
        for needed in distribution.requires or ():
            match = re.match(r"[\w.-]+", needed)
            if match and "extra ==" not in needed:
                waiting |= {_key(match[0])} - pins.keys()
    gpu = re.compile(r"nvidia|cuda|triton")
    return [
        "--extra-index-url https://download.pytorch.org/whl/cpu",
        *(f"{name}=={pins[name]}" for name in sorted(pins) if not gpu.match(name)),
    ]


def _key(name: str) -> str:
    """A distribution's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _needed(starts: Iterable[Path]) -> list[Path]:
    """Files of espejo that `starts` import, directly or not, and those packages' __init__.py."""
    seen: set[Path] = {_SOURCE / "__init__.py"}
    waiting = set(starts)
    while waiting:
        file = waiting.pop()
        seen |= {file, file.parent / "__init__.py"}
        ours = {_file(name) for name in _names(file) if name.startswith("espejo")}
        waiting |= {path for path in ours if path} - seen
    return sorted(seen)


def _file(name: str) -> Path | None:
    path = _SOURCE.parent / Path(*name.split("."))
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def _imported(sources: Iterable[Path]) -> set[str]:
    """The first parts of the modules that `sources` import."""
    return {name.split(".")[0] for source in sources for name in _names(source)}


def _names(file: Path) -> set[str]:
    """The modules that a file imports; `from a import b` may name a module b."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
