"""The pictures of an evaluation: numbers only, no word or name from the chats."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espejo.plots.style import BASE, HELPED, REAL, TUNED, axes_with, plain
from espejo.report.wording import Wording

_MODELS = {"base": BASE, "tuned": TUNED}


def base_against_tuned(scores: Mapping, wording: Wording) -> Figure:
    """Perplexity and bits per character with their intervals: base, with examples, tuned."""
    figure, panels = plt.subplots(1, 3, figsize=(9.5, 3.8))
    shown = {"perplexity": 1, "bits_per_character": 2, "own_bits_per_character": 2}
    bars = {
        "base": (scores["base"], BASE),
        "same_examples": (scores["prompted"]["same_examples"], HELPED),
        "nearest_examples": (scores["prompted"]["nearest_examples"], HELPED),
        "tuned": (scores["tuned"], TUNED),
    }
    for axes, (key, digits) in zip(panels, shown.items(), strict=True):
        for at, (measures, colour) in enumerate(bars.values()):
            measure = measures[key]
            if "value" not in measure:
                continue
            value = measure["value"]
            axes.bar(at, value, color=colour, width=0.7)
            if "low" in measure:
                spread = [[value - measure["low"]], [measure["high"] - value]]
                axes.errorbar(at, value, yerr=spread, color="black", capsize=3)
            top, text = measure.get("high", value), wording.number(value, digits)
            axes.annotate(text, (at, top), ha="center", va="bottom", fontsize=9)
        names = [wording.text(f"plots.models.{name}") for name in bars]
        axes.set_xticks(range(len(bars)), names, fontsize=8)
        axes.set_title(wording.text(f"plots.base_against_tuned.{key}"), fontsize=10)
        axes.margins(y=0.12)
        plain(axes, wording)
    figure.suptitle(wording.text("plots.base_against_tuned.title"))
    figure.tight_layout()
    return figure


def at_a_glance(scores: Mapping, wording: Wording) -> Figure:
    """Style, answers and memorization on one picture, each beside what chance or others give.

    Each panel says on how many replies or contexts it was measured.
    """
    sound, memory, relevance = scores["style"], scores["memory"], scores["relevance"]
    style, told, copied = sound["author_score"], sound["told_apart"], memory["overlap"]
    counts = {
        "sounds": {"replies": sound["replies"]},
        "told_apart": {"replies": sound["replies"]},
        "answers": {"contexts": relevance["contexts"]},
        "copies": {
            "verdict": wording.name("verdicts", memory["verdict"]),
            "replies": memory["replies"],
            "members": memory["members"],
        },
    }
    panels = {
        "sounds": (
            [
                ("others", style["floor"], BASE),
                ("base", style["base"], BASE),
                ("examples", style["examples"], HELPED),
                ("tuned", style["tuned"], TUNED),
                ("author", style["ceiling"], REAL),
            ],
            None,
        ),
        "told_apart": (
            [
                ("base", told["base"], BASE),
                ("examples", told["examples"], HELPED),
                ("tuned", told["tuned"], TUNED),
            ],
            0.5,
        ),
        "answers": (
            [
                ("base", relevance["base"]["mrr"], BASE),
                ("tuned", relevance["tuned"]["mrr"], TUNED),
            ],
            relevance["chance"]["mrr"],
        ),
        "copies": (
            [
                ("copied_author", copied["author"]["copied"], REAL),
                ("copied_tuned", copied["tuned"]["copied"], TUNED),
                ("membership", memory["membership"], TUNED),
            ],
            0.5,
        ),
    }
    figure, axes = plt.subplots(2, 2, figsize=(9.5, 5.6))
    for panel, (name, (rows, line)) in zip(axes.flat, panels.items(), strict=True):
        for at, (_, measure, colour) in enumerate(reversed(rows)):
            _measure(panel, at, measure, colour, wording)
        if line is not None:
            panel.axvline(line, color="black", linewidth=0.8, linestyle=":")
        names = [wording.text(f"plots.at_a_glance.rows.{row}") for row, *_ in reversed(rows)]
        panel.set_yticks(range(len(rows)), names, fontsize=9)
        panel.set_xlim(-0.03, 1.03)
        panel.set_ylim(-0.5, len(rows) - 0.3)
        title = wording.text(f"plots.at_a_glance.{name}", **counts[name])
        panel.set_title(title, fontsize=10, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.set_major_formatter(lambda value, _: wording.number(value, 1))
    figure.tight_layout()
    return figure


def _measure(panel: Axes, at: int, measure: Mapping, colour: str, wording: Wording) -> None:
    """A measure with its interval, or what there is instead, on the line `at`."""
    if "value" not in measure:
        panel.annotate(wording.text("unmeasured"), (0.02, at), va="center", fontsize=8)
        return
    value, text = measure["value"], wording.number(float(measure["value"]))
    panel.plot(value, at, "o", color=colour)
    if "low" in measure:
        panel.plot([measure["low"], measure["high"]], [at, at], color=colour, linewidth=2)
    else:
        few = "few_bundles" if "bundles" in measure else "few"
        counts = {unit: measure.get(unit, 0) for unit in ("n", "bundles")}
        text = wording.text(f"plots.{few}", value=text, **counts)
    panel.annotate(
        text,
        (value, at),
        xytext=(0, 6),
        textcoords="offset points",
        # At the edges beside the point, lest it runs into the names or out of the picture.
        ha=("left", "center", "right")[(value > 0.2) + (value > 0.8)],
        fontsize=8,
    )


def funnel(table: pd.DataFrame, wording: Wording) -> Figure:
    """Where the rows went, as bars: columns step, rows."""
    title, x = (wording.text(f"plots.funnel.{part}") for part in ("title", "x"))
    figure, axes = axes_with(title, x, "")
    at = np.arange(len(table))[::-1]
    axes.barh(at, table["rows"], color=TUNED)
    for y, rows in zip(at, table["rows"], strict=True):
        axes.annotate(f" {wording.number(int(rows))}", (rows, y), va="center")
    axes.set_yticks(at, [wording.name("plots.funnel.steps", step) for step in table["step"]])
    axes.margins(x=0.12)
    return figure


def reply_lengths(table: pd.DataFrame, wording: Wording) -> Figure:
    """Lengths of replies by percentile as curves: where they lie on each other, they agree.

    Columns percentile, base, tuned, real (characters).
    """
    title, x, y = (wording.text(f"plots.reply_lengths.{part}") for part in ("title", "x", "y"))
    figure, axes = axes_with(title, x, y)
    for name, colour in {**_MODELS, "real": REAL}.items():
        label = wording.text(f"plots.models.{name}")
        axes.plot(table["percentile"], table[name], color=colour, label=label, marker=".")
    axes.set_yscale("symlog", linthresh=10)
    axes.yaxis.set_major_formatter("{x:g}")  # its own writes formulas: see plots.style
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def likelihood(table: pd.DataFrame, wording: Wording) -> Figure:
    """`evaluation.likelihood.sliced` as curves, one panel by position and one by length."""
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    for panel, by in zip(panels, ("position", "length"), strict=True):
        rows = table[table["by"].eq(by)].reset_index(drop=True)
        for name, colour in _MODELS.items():
            label = wording.text(f"plots.models.{name}")
            panel.plot(rows.index, rows[name], marker="o", color=colour, label=label)
        ticks = [f"{row.slice}\n({row.replies})" for row in rows.itertuples()]
        panel.set_xticks(rows.index, ticks, fontsize=8)
        panel.set_xlabel(wording.text(f"plots.likelihood.{by}"))
        plain(panel, wording)
    panels[0].set_ylabel(wording.text("plots.likelihood.y"))
    panels[0].set_ylim(bottom=0)
    panels[1].legend(frameon=False)
    figure.suptitle(wording.text("plots.likelihood.title"))
    figure.tight_layout()
    return figure
