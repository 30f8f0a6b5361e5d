"""How the pictures of plots/ look. Numbers only, no word from the chats.

Most pictures have a CSV file beside them, which `dvc plots diff` overlays across experiments.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws without a screen

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espejo.core import files
from espejo.report.wording import Wording

BASE, HELPED, TUNED, REAL = "#9aa0a6", "#6b8fb5", "#2a7f62", "#c2571a"
SIZE = (7.0, 3.8)  # inches
plt.rcParams["text.parse_math"] = False  # a name with $ in it is no formula


def save(figure: Figure, path: Path) -> None:
    """Write a PNG whose bytes depend on the picture alone."""
    with files.written(path) as draft:
        figure.savefig(draft, dpi=120, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def axes_with(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """A figure of one panel with its title and what its axes show."""
    figure, axes = plt.subplots(figsize=SIZE)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def plain(axes: Axes, wording: Wording) -> None:
    """No frame above and on the right, and numbers as the language writes them."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_formatter(
        lambda value, _: wording.number(value, 0 if float(value).is_integer() else 1)
    )
