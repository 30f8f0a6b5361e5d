"""What every stage script does around its one sentence: read its params, start, fail politely."""

import functools
import sys
from collections.abc import Callable
from pathlib import Path

import typer
import yaml

from espejo import escaping, runtime
from espejo.errors import UserError


def params(section: str, path: Path = Path("params.yaml")) -> dict:
    """One section of params.yaml. `@hydra.main` is not used: it would not see `dvc exp run -S`."""
    return yaml.safe_load(path.read_text("utf-8"))[section]


def run(main: Callable) -> None:
    """Run a stage's `main` with typed command-line paths; a UserError prints its sentence only.

    So does Ctrl-C, of which typer says nothing.
    """
    runtime.restart_if_torch_came_first()
    name = Path(sys.argv[0]).stem
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

    @app.command()
    @functools.wraps(main)
    def stoppable(*arguments: object, **named: object) -> None:
        try:
            main(*arguments, **named)
        except KeyboardInterrupt:
            raise UserError(
                "stopped by Ctrl-C. Stages that had ended stay as they are; the same command "
                "runs this one again."
            ) from None

    try:
        app()
    except UserError as error:
        sys.exit(escaping.terminal(f"\n{name}: {error}\n", lines=True))
