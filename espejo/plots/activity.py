"""Plots of when and how much people write: numbers only, no word or name from the chats.

`author` is the person whose style is learnt, `others` everybody else together.
"""

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from espejo.plots.style import BASE, REAL, axes_with, sentence
from espejo.report.wording import Wording

_COLOURS = {"author": REAL, "others": BASE}


def messages_over_time(table: pd.DataFrame, wording: Wording) -> Figure:
    """Messages per week or month as stacked bars, the others' on top of the author's.

    Columns period (its first day, YYYY-MM-DD), author, others; no rows where the data has no times.
    """
    if table.empty:
        return sentence(wording.text("plots.no_times"))
    start = pd.to_datetime(table["period"])
    weeks = len(start) < 2 or (start.diff().dropna().dt.days == 7).all()
    title = wording.text("plots.messages_over_time.title")
    figure, axes = axes_with(
        title, "", wording.text(f"plots.messages_over_time.{'week' if weeks else 'month'}")
    )
    # Bars nearly as wide as their period.
    width = start.diff().shift(-1).dt.days.fillna(7 if weeks else 30) * 0.94
    below = np.zeros(len(table))
    for people, colour in _COLOURS.items():
        label = wording.text(f"plots.people.{people}")
        axes.bar(start, table[people], width, below, align="edge", color=colour, label=label)
        below += table[people]
    months = wording.texts_in("plots.months")

    def date(value: float, _: float) -> str:
        day = mdates.num2date(value)
        return f"{f'{day.day} ' if weeks else ''}{months[day.month - 1]}\n{day.year}"

    axes.xaxis.set_major_locator(mdates.AutoDateLocator(minticks=4, maxticks=10))
    axes.xaxis.set_major_formatter(date)
    axes.margins(y=0.12)
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    return figure


def hour_weekday(table: pd.DataFrame, wording: Wording) -> Figure:
    """The author's messages by hour and weekday (0: Monday) as a heat map.

    Columns weekday, hour, messages; no rows where the data has no times.
    """
    if table.empty:
        return sentence(wording.text("plots.no_times"))
    counts = table.pivot_table("messages", "weekday", "hour", fill_value=0).to_numpy()
    title, x = (wording.text(f"plots.hour_weekday.{part}") for part in ("title", "x"))
    figure, axes = axes_with(title, x, "")
    image = axes.imshow(counts, cmap="Oranges", aspect="auto", vmin=0)
    hours = range(0, 24, 3)
    axes.set_xticks(np.array(hours) - 0.5, [*map(str, hours)])  # at the start of an hour
    axes.set_yticks(range(7), wording.texts_in("plots.weekdays"))
    axes.tick_params(left=False)
    label = wording.text("plots.hour_weekday.messages")
    figure.colorbar(image, ax=axes, label=label, pad=0.02).outline.set_visible(False)
    return figure


def turn_lengths(table: pd.DataFrame, wording: Wording) -> Figure:
    """Lengths of messages (left) and turns (right) as bars.

    Columns words_from (the lower end of a class), author_messages, others_messages, author_turns,
    others_turns (percent of all that these people wrote).
    """
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    starts = table["words_from"].tolist()
    ends = [*(start - 1 for start in starts[1:]), None]
    names = [
        f"{start}+" if end is None else str(start) if end == start else f"{start}–{end}"
        for start, end in zip(starts, ends, strict=True)
    ]
    positions = np.arange(len(table))
    for axes, unit in zip(panels, ("messages", "turns"), strict=True):
        for shift, (people, colour) in zip((-0.2, 0.2), _COLOURS.items(), strict=True):
            label = wording.text(f"plots.people.{people}")
            percent = table[f"{people}_{unit}"]
            axes.bar(positions + shift, percent, 0.38, color=colour, label=label)
        title = wording.text(f"plots.turn_lengths.{unit}.title")
        axes.set_title(title, loc="left", fontweight="bold")
        axes.set_xlabel(wording.text(f"plots.turn_lengths.{unit}.x"))
        axes.set_xticks(positions, names)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel(wording.text("plots.turn_lengths.y"))
    panels[1].legend(frameon=False)
    figure.tight_layout()
    return figure
