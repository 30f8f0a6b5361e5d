"""How the pictures of plots/ look: colours, sizes, axes.

Most pictures come with a CSV file, which `dvc plots diff` overlays across experiments.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws without a screen

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espejo.core import faults, files
from espejo.core.errors import UserError
from espejo.report.wording import Wording

BASE, WITH_EXAMPLES, TUNED, REAL = "#9aa0a6", "#6b8fb5", "#2a7f62", "#c2571a"
FIGURE_INCHES = (7.0, 3.8)
plt.rcParams["text.parse_math"] = False  # a name may hold a $


def read_csv(path: Path) -> pd.DataFrame:
    """The numbers of a picture, as an earlier stage wrote them.

    Raises UserError naming the file where it is missing, broken or empty.
    """
    with faults.about(path):
        try:
            return pd.read_csv(path)
        except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
            raise UserError(f"{path} holds no table of numbers; {faults.again(path)}.") from error


def save(figure: Figure, path: Path) -> None:
    """Write `figure` as PNG, whose bytes depend on the picture alone, and close it."""
    with files.written(path) as draft:
        figure.savefig(draft, dpi=120, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def axes_with(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    """A figure of one panel with a title and labels of its axes."""
    figure, axes = plt.subplots(figsize=FIGURE_INCHES)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def sentence(text: str) -> Figure:
    """A picture that says why there is nothing to draw."""
    figure = plt.figure(figsize=(FIGURE_INCHES[0], 1.0))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def plain(axes: Axes, wording: Wording) -> None:
    """No frame at the top and right; numbers of the y axis as the language writes them."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.yaxis.set_major_formatter(
        lambda value, _: wording.number(value, 0 if float(value).is_integer() else 1)
    )
