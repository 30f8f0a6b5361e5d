"""Which model of conf/model suits this machine: what `espejo init` proposes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from espejo.commands.init_wording import InitWording
from espejo.core.errors import UserError

DEFAULT, SMALL = "gemma3", "smollm2"
MIN_FREE_BYTES = 4e9  # of memory, for the default
# From how many GB on a graphics card can train a model (`espejo estimate`); the largest first. None
# of these models asks for a licence to be accepted on the hub.
FOR_CARDS = {24: "smollm3", 15: "qwen3", 8: "phi3"}


@dataclass(frozen=True)
class Machine:
    """The first graphics card that torch can use ("" for none), and free memory."""

    card: str
    card_bytes: int
    free_bytes: int


def this_machine() -> Machine:
    """The machine at hand. Loads torch, which takes a second or more."""
    import torch

    card, size = "", 0
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        card, size = properties.name, properties.total_memory
    return Machine(card, size, psutil.virtual_memory().available)


def proposed(machine: Machine, wording: InitWording) -> tuple[str, str]:
    """The name of a model, and a sentence that says why."""
    for size, name in FOR_CARDS.items():
        if machine.card_bytes >= size * 1e9:
            return name, wording.text(
                "model.fits", card=machine.card, size=f"{machine.card_bytes / 1e9:.0f}"
            )
    card = wording.text(
        "model.small_card" if machine.card else "model.no_card", size=min(FOR_CARDS)
    )
    little = machine.free_bytes < MIN_FREE_BYTES
    why = wording.text(
        "model.little_memory" if little else "model.default",
        card=card,
        free=wording.number(machine.free_bytes / 1e9, 1),
    )
    return (SMALL if little else DEFAULT), why


def models(conf: Path = Path("conf")) -> list[str]:
    """The names of conf/model; `_defaults`, which they share, is none of them.

    Raises UserError outside the project's folder.
    """
    names = sorted(path.stem for path in (conf / "model").glob("[!_]*.yaml"))
    if not names:
        raise UserError("There is no conf/model/ here: run this in the folder of the project.")
    return names


def named(name: str, models: Sequence[str], wording: InitWording) -> str:
    """The `name`, which must be one of `models`. Raises UserError."""
    if name not in models:
        raise wording.error("no_model", name=repr(name), names=", ".join(models))
    return name
