"""What all stage scripts share: reading their params, and running `main` with readable errors."""

import sys
from collections.abc import Callable
from pathlib import Path

import typer
import yaml

from espejo.core import faults, files, runtime
from espejo.core.config import Config, checked, refuse_renamed
from espejo.core.errors import UserError


def params(config: type[Config], path: Path = Path("params.yaml")) -> Config:
    """The section of params.yaml that `config` describes.

    `@hydra.main` is not used: it would not see `dvc exp run -S`. Raises UserError when the section
    is missing or holds a setting that is unknown or has a wrong value.
    """
    sections = files.mapping(path, yaml.safe_load)
    refuse_renamed(sections, path)  # also those that only a later stage reads
    section = sections[config.section]
    if not isinstance(section, dict):
        raise UserError(f"{path}: {config.section} holds no settings; {faults.again(path)}.")
    return checked(config, section, path)


def run(main: Callable) -> None:
    """Run a stage's `main` with typed command-line paths; errors end in one sentence."""
    runtime.restart_if_torch_came_first()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    with faults.told(Path(sys.argv[0]).stem):
        app()
