"""Write params.yaml from conf/, or check that it is in step.

    python conf/compose.py                 # after editing conf/
    python conf/compose.py model=smollm2   # with choices, as `dvc exp run -S` takes them
    python conf/compose.py --check         # in CI and before a commit

`dvc exp run` composes by itself; `dvc repro` reads params.yaml as it stands. This calls the same
function of DVC as `dvc exp run` does, so that the bytes agree.
"""

import sys
import tempfile
from pathlib import Path

from dvc.utils.hydra import compose_and_dump
from hydra.errors import HydraException
from yaml import YAMLError

ROOT = Path(__file__).resolve().parent.parent


def compose(output: Path, overrides: list[str] | None = None) -> str:
    """Compose conf/ with Hydra overrides into `output`; returns what was written."""
    compose_and_dump(output, str(ROOT / "conf"), None, "config", str(ROOT), overrides or [])
    return output.read_text("utf-8")


def main() -> None:
    """Write params.yaml, or with --check exit with 1 when conf/ would give another."""
    params = ROOT / "params.yaml"
    if "--check" not in sys.argv:
        try:
            compose(params, sys.argv[1:])
        except (HydraException, YAMLError, OSError) as error:
            lines = [" ".join(line.split()) for line in str(error).splitlines()]
            said = lines[0] if isinstance(error, HydraException) else ", ".join(lines)
            models = ", ".join(
                sorted(path.stem for path in (ROOT / "conf/model").glob("[!_]*.yaml"))
            )
            sys.exit(
                f"conf/ does not compose with {' '.join(sys.argv[1:])}: "
                f"{said}. The models are {models}."
            )
        return
    with tempfile.TemporaryDirectory() as scratch:
        if compose(Path(scratch) / "params.yaml") != params.read_text("utf-8"):
            sys.exit("params.yaml is not what conf/ composes to: run `python conf/compose.py`.")


if __name__ == "__main__":
    main()
