"""What every stage script does around its one sentence: read its params, start, fail politely."""

import sys
from collections.abc import Callable
from pathlib import Path

import typer
import yaml

from espejo.errors import UserError


def params(section: str, path: Path = Path("params.yaml")) -> dict:
    """One section of params.yaml. `@hydra.main` is not used: it would not see `dvc exp run -S`."""
    return yaml.safe_load(path.read_text("utf-8"))[section]


def run(main: Callable) -> None:
    """Run a stage's `main` with typed command-line paths; a UserError prints its sentence only."""
    name = Path(sys.argv[0]).stem
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    try:
        app()
    except UserError as error:
        sys.exit(f"\n{name}: {error}\n")
