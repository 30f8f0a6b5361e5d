"""What every stage script does around its one sentence: read its params, start, fail politely."""

import sys
from collections.abc import Callable
from pathlib import Path
from pkgutil import resolve_name
from typing import overload

import typer
import yaml

from espejo.core import faults, files, runtime
from espejo.core.config import Config, checked, refuse_renamed
from espejo.core.errors import UserError

# Sections that some stages still read by name, as a dictionary: until those take the config itself.
_BY_NAME = {
    "clean": "espejo.privacy.cleaning:CleanConfig",
    "group": "espejo.dataset.turns:GroupConfig",
    "format": "espejo.formatting.config:FormatConfig",
    "data": "espejo.core.config:DataConfig",
    "report": "espejo.report.config:ReportConfig",
    "model": "espejo.model.config:ModelConfig",
    "predict": "espejo.prediction.config:PredictConfig",
    "evaluate": "espejo.evaluation.config:EvaluateConfig",
}


@overload
def params(config: type[Config], path: Path = ...) -> Config: ...
@overload
def params(config: str, path: Path = ...) -> dict: ...
def params(config: type[Config] | str, path: Path = Path("params.yaml")) -> Config | dict:
    """The section of params.yaml that `config` describes; by name, it as a checked dictionary.

    `@hydra.main` is not used: it would not see `dvc exp run -S`. Raises UserError where the section
    is missing, or a setting in it is none.
    """
    typed = resolve_name(_BY_NAME[config]) if isinstance(config, str) else config
    everything = files.mapping(path, yaml.safe_load)
    refuse_renamed(everything, path)  # a setting of the last stage need not wait for it
    settings = everything[typed.section]
    if not isinstance(settings, dict):
        raise UserError(f"{path}: {typed.section} holds no settings; {faults.again(path)}.")
    parsed = checked(typed, settings, path)
    return settings if isinstance(config, str) else parsed


def run(main: Callable) -> None:
    """Run a stage's `main` with typed command-line paths; what goes wrong ends in a sentence."""
    runtime.restart_if_torch_came_first()
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(main)
    with faults.told(Path(sys.argv[0]).stem):
        app()
