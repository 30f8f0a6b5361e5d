"""What every stage script does around its one sentence: read its params, start, fail politely."""

import sys
from collections.abc import Callable
from pathlib import Path

import typer
import yaml

from espejo.core import faults, files, runtime, settings
from espejo.core.errors import UserError


def params(section: str, path: Path = Path("params.yaml")) -> dict:
    """One section of params.yaml. `@hydra.main` is not used: it would not see `dvc exp run -S`.

    Raises UserError where it is missing, or a setting in it is none.
    """
    found = files.mapping(path, yaml.safe_load)[section]
    if not isinstance(found, dict):
        raise UserError(f"{path}: {section} holds no settings; {faults.again(path)}.")
    settings.checked(section, found, path)
    return found


def run(main: Callable) -> None:
    """Run a stage's `main` with typed command-line paths; what goes wrong ends in a sentence."""
    runtime.restart_if_torch_came_first()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    with faults.told(Path(sys.argv[0]).stem):
        app()
