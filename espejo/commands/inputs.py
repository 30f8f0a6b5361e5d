"""`make repro` begins here: what the pipeline will read, and whether DVC can.

DVC reads every file of the chats' folder before any stage begins. At a pipe it waits for ever, and
of a name that is not UTF-8 it complains without saying which.
"""

import os
from pathlib import Path

from espejo.core import faults
from espejo.core.errors import UserError
from espejo.core.stage import params


def check(folder: Path) -> None:
    """Raise UserError for a folder of chats that is missing, or holds what DVC cannot read."""
    if not folder.is_dir():
        raise UserError(
            f"{folder} is no folder: `make mine` makes data/raw/mine for your own chats, and "
            "`git checkout data/raw/demo` brings the demo's back."
        )
    for path in sorted(folder.rglob("*")):
        if not (path.is_file() or path.is_dir()):
            raise UserError(
                f"{path} is no ordinary file (a pipe, a socket, a device or a link to nothing): "
                "move it away."
            )
        if os.fsencode(path) != str(path).encode("utf-8", "replace"):
            raise UserError(
                f"{path}: the name is not in UTF-8, as DVC needs it: rename the file, for "
                "example to chat.txt."
            )


def main() -> None:
    """Say which data and model params.yaml has, once the data were looked at."""
    raw, model = params("data")["raw"], params("model")["name"]
    check(Path(raw))
    print(
        f"espejo: data {raw}, model {model} (as params.yaml has it; the demo with another model: "
        "make repro MODEL=smollm2)"
    )


if __name__ == "__main__":
    with faults.told("espejo"):
        main()
