"""The pictures of when people write and how much: numbers only, no word or name from the chats.

`author` is the person whose way of writing is learnt, `others` everybody else together.
"""

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from espejo.core.text import words
from espejo.plots.style import BASE, REAL, axes_with

_COLOURS = {"author": REAL, "others": BASE}
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
# Words in a message or turn: 0, 1, 2, 3-4, 5-8 … 33 and more, so that short ones are told apart.
_BINS = (0, 1, 2, 3, 5, 9, 17, 33)


def over_time(messages: pd.DataFrame, is_author: pd.Series) -> pd.DataFrame:
    """Messages a week, or a month where that would be over 53 weeks, also the empty ones.

    Columns period (its first day, YYYY-MM-DD), author, others.
    """
    time = messages["timestamp"]
    weeks = (time.max() - time.min()).days <= 53 * 7
    period = time.dt.to_period("W-SUN" if weeks else "M")
    who = np.where(is_author, "author", "others")
    counts = pd.crosstab(period, who).reindex(
        index=pd.period_range(period.min(), period.max()), columns=list(_COLOURS), fill_value=0
    )
    first = counts.index.start_time.strftime("%Y-%m-%d")
    return counts.set_axis(first).rename_axis("period").rename_axis(columns=None).reset_index()


def draw_over_time(table: pd.DataFrame) -> Figure:
    """`over_time` as bars, the others' on top of the author's."""
    start = pd.to_datetime(table["period"])
    weeks = len(start) < 2 or (start.diff().dropna().dt.days == 7).all()
    figure, axes = axes_with("Messages over time", "", f"messages a {'week' if weeks else 'month'}")
    # Bars as wide as their period, with a hair of air.
    width = start.diff().shift(-1).dt.days.fillna(7 if weeks else 30) * 0.94
    below = np.zeros(len(table))
    for who, colour in _COLOURS.items():
        axes.bar(start, table[who], width, below, align="edge", color=colour, label=who)
        below += table[who]
    locator = mdates.AutoDateLocator(minticks=4, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%d %b\n%Y" if weeks else "%b\n%Y"))
    axes.margins(y=0.12)
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1, 1), borderpad=0)
    return figure


def hour_weekday(timestamps: pd.Series) -> np.ndarray:
    """int[7, 24]: messages by weekday (from Monday) and hour of the phone's local time."""
    counts = np.zeros((7, 24), dtype=int)
    np.add.at(counts, (timestamps.dt.day_of_week, timestamps.dt.hour), 1)
    return counts


def draw_hour_weekday(counts: np.ndarray) -> Figure:
    """`hour_weekday` as a heat map."""
    figure, axes = axes_with("When the author writes", "hour of the day", "")
    image = axes.imshow(counts, cmap="Oranges", aspect="auto", vmin=0)
    axes.set_xticks(np.arange(0, 24, 3) - 0.5, range(0, 24, 3))  # at the start of an hour
    axes.set_yticks(range(7), _WEEKDAYS)
    axes.tick_params(left=False)
    figure.colorbar(image, ax=axes, label="messages", pad=0.02).outline.set_visible(False)
    return figure


def lengths(messages: pd.DataFrame, turns: pd.DataFrame, author: str) -> pd.DataFrame:
    """What share of the author's messages and turns, and of the others', has how many words.

    Columns words_from (the least of a class), author_messages, others_messages, author_turns,
    others_turns, in percent; who wrote nothing has 0 everywhere.
    """
    edges = (*_BINS, np.inf)
    counts = {
        "messages": messages["text"].map(lambda text: len(words(text))),
        "turns": turns["messages"].map(lambda said: sum(len(words(text)) for text in said)),
    }
    mine = {"messages": messages["author"].eq(author), "turns": turns["author"].eq(author)}
    shares = {
        f"{who}_{unit}": 100 * np.histogram(of, edges)[0] / max(1, len(of))
        for unit, all_of in counts.items()
        for who, of in (("author", all_of[mine[unit]]), ("others", all_of[~mine[unit]]))
    }
    return pd.DataFrame({"words_from": _BINS, **shares}).round(3)


def draw_lengths(table: pd.DataFrame) -> Figure:
    """`lengths` as bars, messages on the left and turns on the right."""
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    ends = [*(str(end - 1) for end in _BINS[1:]), ""]
    names = [
        f"{start}+" if not end else end if end == str(start) else f"{start}–{end}"
        for start, end in zip(_BINS, ends, strict=True)
    ]
    at = np.arange(len(table))
    for axes, unit in zip(panels, ("messages", "turns"), strict=True):
        for shift, (who, colour) in zip((-0.2, 0.2), _COLOURS.items(), strict=True):
            axes.bar(at + shift, table[f"{who}_{unit}"], 0.38, color=colour, label=who)
        axes.set_title(f"Length of {unit}", loc="left", fontweight="bold")
        axes.set_xlabel(f"words in {'a message' if unit == 'messages' else 'all of a turn'}")
        axes.set_xticks(at, names)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("% of all they wrote")
    panels[1].legend(frameon=False)
    figure.tight_layout()
    return figure
