"""The picture of a training run."""

import pandas as pd
from matplotlib.figure import Figure

from espejo.plots.style import BASE, REAL, TUNED, axes_with, plain
from espejo.report.wording import Wording


def loss(curve: pd.DataFrame, wording: Wording) -> Figure:
    """Training and validation loss by step: columns step, train, validation (nats per token).

    After preference tuning there is a column preference: another loss, on an axis of its own.
    """
    title, x, y = (wording.text(f"plots.loss.{part}") for part in ("title", "x", "y"))
    figure, axes = axes_with(title, x, y)
    for column, colour in (("train", BASE), ("validation", TUNED)):
        points = curve[["step", column]].dropna()
        if len(points):
            end = wording.number(float(points[column].iloc[-1]))
            label = wording.text(f"plots.loss.{column}", end=end)
            axes.plot(points["step"], points[column], "o-", ms=3, color=colour, label=label)
    plain(axes, wording)
    if "preference" in curve:
        points = curve[["step", "preference"]].dropna()
        other = axes.twinx()
        end = wording.number(float(points["preference"].iloc[-1]))
        label = wording.text("plots.loss.preference", end=end)
        other.plot(points["step"], points["preference"], "o-", ms=3, color=REAL, label=label)
        other.set_ylabel(wording.text("plots.loss.preference_y"))
        plain(other, wording)
        axes.plot([], [], "o-", ms=3, color=REAL, label=label)  # one legend for both axes
    axes.legend(frameon=False)
    return figure
