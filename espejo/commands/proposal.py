"""Which model of conf/model suits this machine: what `espejo init` proposes."""

from dataclasses import dataclass
from pathlib import Path

import psutil

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


def proposed(machine: Machine) -> tuple[str, str]:
    """The name of a model, and a sentence that says why."""
    for size, name in FOR_CARDS.items():
        if machine.card_bytes >= size * 1e9:
            return name, (
                f"it fits your graphics card ({machine.card}, {machine.card_bytes / 1e9:.0f} GB; "
                "`espejo estimate` compares all). The first run downloads it."
            )
    if machine.card:
        small = f"your graphics card has less than {min(FOR_CARDS)} GB"
    else:
        small = "there is no graphics card that torch can use"
    free = f"{machine.free_bytes / 1e9:.1f} GB of memory are free"
    if machine.free_bytes < MIN_FREE_BYTES:
        return SMALL, f"{small}, and only {free}. It is small, and better at English."
    return DEFAULT, f"{small}, and {free}. It knows Spanish, and needs no download."


def models() -> list[str]:
    """The names of conf/model. Raises UserError outside the project's folder."""
    names = sorted(path.stem for path in Path("conf/model").glob("[!_]*.yaml"))
    if not names:
        raise UserError("There is no conf/model/ here: run this in the folder of the project.")
    return names
