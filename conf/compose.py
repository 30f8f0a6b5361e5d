"""Write params.yaml from conf/, or check that it is up to date.

    python conf/compose.py                 # after editing conf/
    python conf/compose.py model=smollm2   # with choices, as `dvc exp run -S` takes them
    python conf/compose.py --check         # in CI and before a commit

`dvc exp run` composes by itself; `dvc repro` reads params.yaml as it stands. This calls the same
function of DVC as `dvc exp run` does, so that the bytes agree.
"""

import re
import shutil
import sys
import tempfile
from pathlib import Path

try:
    import yaml
    from dvc.utils.hydra import compose_and_dump
    from hydra.errors import HydraException, MissingConfigException
except ModuleNotFoundError as error:
    sys.exit(
        f"This Python has no {error.name}: `source .venv/bin/activate`, and then the same command "
        "(.venv is made by `make setup`)."
    )

ROOT = Path(__file__).resolve().parent.parent


def compose(output: Path, overrides: list[str] | None = None) -> str:
    """Compose conf/ with Hydra overrides into `output`; returns what was written."""
    compose_and_dump(output, str(ROOT / "conf"), None, "config", str(ROOT), overrides or [])
    return output.read_text("utf-8")


def why(error: Exception) -> str:
    """Why conf/ does not compose, in one sentence: what is not there, and what is."""
    lines = [" ".join(line.split()) for line in str(error).splitlines()]
    if isinstance(error, MissingConfigException) and error.options:
        choices = [name for name in error.options if not name.startswith("_")]
        return f"{lines[0]}; there are {', '.join(choices)}"
    if key := re.match(r"Could not override '(.+)'", lines[0]):
        with tempfile.TemporaryDirectory() as scratch:
            return unknown(key[1], yaml.safe_load(compose(Path(scratch) / "params.yaml")))
    return lines[0] if isinstance(error, HydraException) else ", ".join(lines)


def unknown(key: str, params: dict) -> str:
    """What a setting such as train.epoch may be, which `params` (all sections) do not have."""
    from espejo.core.config import RENAMED, nearest  # slow to load, so only here

    inside, before = params, ""
    for part in key.split("."):
        if f"{before}{part}" in RENAMED:
            return f"{before}{part} is called {RENAMED[before + part]} now"
        if not isinstance(inside.get(part), dict):
            break
        inside, before = inside[part], f"{before}{part}."
    return f"{key} is no setting; {nearest(part, inside, before)}"


def refuse_wrong_values(params: dict) -> None:
    """Exit with a sentence where a value in `params` is none that the stages take."""
    from espejo.commands.inputs import CONFIGS  # slow to load, so only here
    from espejo.core.config import checked_all
    from espejo.core.errors import UserError

    try:
        checked_all(params, CONFIGS, Path("params.yaml"))
    except UserError as error:
        sys.exit(str(error))


def main() -> None:
    """Write params.yaml, or with --check exit with 1 when conf/ would give another."""
    params = ROOT / "params.yaml"
    if "--check" not in sys.argv:
        try:
            # Elsewhere first, so that what is refused leaves params.yaml as it was.
            with tempfile.TemporaryDirectory() as scratch:
                draft = Path(scratch) / "params.yaml"
                composed = yaml.safe_load(compose(draft, sys.argv[1:]))
                refuse_wrong_values(composed)
                shutil.copyfile(draft, params)
        except (HydraException, yaml.YAMLError, OSError) as error:
            sys.exit(f"conf/ does not compose with {' '.join(sys.argv[1:])}: {why(error)}.")
        raw = composed["data"]["raw"]
        own = (ROOT / "conf" / "data" / "mine.yaml").exists() and raw != "data/raw/mine"
        print(
            f"params.yaml: data {raw}, model {composed['model']['name']}"
            + (" (for your own chats, add data=mine)" if own else "")
        )
        return
    with tempfile.TemporaryDirectory() as scratch:
        if compose(Path(scratch) / "params.yaml") != params.read_text("utf-8"):
            sys.exit("params.yaml is not what conf/ composes to: run `python conf/compose.py`.")


if __name__ == "__main__":
    main()
