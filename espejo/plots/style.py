"""How the pictures of plots/ look, and the one of training. Numbers only, no word from the chats.

Most pictures have a CSV file beside them, which `dvc plots diff` overlays across experiments.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws without a screen

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espejo.core import files

BASE, HELPED, TUNED, REAL = "#9aa0a6", "#6b8fb5", "#2a7f62", "#c2571a"
SIZE = (7.0, 3.8)  # inches
plt.rcParams["text.parse_math"] = False  # a name with $ in it is no formula


def save(figure: Figure, path: Path) -> None:
    """Write a PNG whose bytes depend on the picture alone."""
    with files.written(path) as draft:
        figure.savefig(draft, dpi=120, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def save_table(table: pd.DataFrame, path: Path) -> None:
    """Write as CSV the numbers that a picture shows, for `dvc plots diff`."""
    with files.written(path) as draft:
        table.to_csv(draft, index=False)


def axes_with(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """A figure of one panel with its title and what its axes show."""
    figure, axes = plt.subplots(figsize=SIZE)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def loss(curve: pd.DataFrame) -> Figure:
    """The loss curves of training: columns step, train, validation (nats a token)."""
    figure, axes = axes_with("Loss while training", "step", "nats per learnt token")
    for column, colour in (("train", BASE), ("validation", TUNED)):
        points = curve[["step", column]].dropna()
        if len(points):
            end = f"{column}, {points[column].iloc[-1]:.2f} at the end"
            axes.plot(points["step"], points[column], "o-", ms=3, color=colour, label=end)
    axes.legend(frameon=False)
    return figure
