"""The pictures of plots/: numbers only, no word or name from the chats.

Each picture has a CSV file beside it, which `dvc plots diff` overlays across experiments.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # draws without a screen

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BASE, HELPED, TUNED, REAL = "#9aa0a6", "#6b8fb5", "#2a7f62", "#c2571a"
SIZE = (7.0, 3.8)  # inches


def save(figure: Figure, path: Path) -> None:
    """Write a PNG whose bytes depend on the picture alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, bbox_inches="tight", metadata={"Software": None})
    plt.close(figure)


def _axes(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=SIZE)
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def loss(curve: pd.DataFrame) -> Figure:
    """The loss curves of training: columns step, train, validation (nats a token)."""
    figure, axes = _axes("Loss while training", "step", "nats per learnt token")
    for column, colour in (("train", BASE), ("validation", TUNED)):
        points = curve[["step", column]].dropna()
        axes.plot(points["step"], points[column], marker="o", markersize=3, color=colour)
        if len(points):
            last = points.iloc[-1]
            axes.annotate(
                f" {column} {last[column]:.2f}", (last["step"], last[column]), color=colour
            )
    axes.margins(x=0.16)
    return figure


def base_against_tuned(scores: Mapping[str, Mapping]) -> Figure:
    """Bits per character with their intervals: base, with examples in its prompt, tuned."""
    figure, panels = plt.subplots(1, 3, figsize=(9.5, 3.8))
    shown = (
        ("perplexity", "Perplexity\n(all of the reply)"),
        ("bits_per_character", "Bits per character\n(all of the reply)"),
        ("own_bits_per_character", "Bits per character\n(the messages' own)"),
    )
    bars = {
        "base": (scores["base"], BASE),
        "same\nexamples": (scores["prompted"]["same_examples"], HELPED),
        "nearest\nexamples": (scores["prompted"]["nearest_examples"], HELPED),
        "tuned": (scores["tuned"], TUNED),
    }
    for axes, (key, title) in zip(panels, shown, strict=True):
        for at, (measures, colour) in enumerate(bars.values()):
            measure = measures[key]
            value = measure["value"]
            axes.bar(at, value, color=colour, width=0.7)
            if "low" in measure:
                spread = [[value - measure["low"]], [measure["high"] - value]]
                axes.errorbar(at, value, yerr=spread, color="black", capsize=3)
            top = measure.get("high", value)
            axes.annotate(f"{value:.3g}", (at, top), ha="center", va="bottom", fontsize=9)
        axes.set_xticks(range(len(bars)), list(bars), fontsize=8)
        axes.set_title(title, fontsize=10)
        axes.margins(y=0.12)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("How well the author's test replies are foreseen (lower is better)")
    figure.tight_layout()
    return figure


def at_a_glance(scores: Mapping[str, Mapping]) -> Figure:
    """Style, answers and memory on one picture, each beside what chance or other people give."""
    style, told = scores["style"]["author_score"], scores["style"]["told_apart"]
    memory, relevance = scores["memory"], scores["relevance"]
    chance = relevance["base"]["chance"]["mrr"]
    own = memory["overlap"]["author"]["copied"]
    panels = (
        (
            "Sounds like the author\n(author score)",
            [
                ("others", style["floor"], BASE),
                ("base", style["base"], BASE),
                ("base + examples", style["examples"], HELPED),
                ("tuned", style["tuned"], TUNED),
                ("the author", style["ceiling"], REAL),
            ],
            None,
        ),
        (
            "Told apart from real replies\n(AUC, 0.5: cannot be told)",
            [
                ("base", told["base"], BASE),
                ("base + examples", told["examples"], HELPED),
                ("tuned", told["tuned"], TUNED),
            ],
            0.5,
        ),
        (
            "Answers what was said\n(MRR of the true reply)",
            [
                ("base", relevance["base"]["mrr"], BASE),
                ("tuned", relevance["tuned"]["mrr"], TUNED),
            ],
            chance,
        ),
        (
            f"Knows training replies by heart\n(verdict: {memory['verdict']})",
            [
                ("copied: author", own, REAL),
                ("copied: tuned", memory["overlap"]["tuned"]["copied"], TUNED),
                ("membership AUC", memory["membership"], TUNED),
            ],
            0.5,
        ),
    )
    figure, axes = plt.subplots(2, 2, figsize=(9.5, 5.6))
    for panel, (title, rows, line) in zip(axes.flat, panels, strict=True):
        for at, (_, measure, colour) in enumerate(reversed(rows)):
            if "value" not in measure:
                panel.annotate("not measured", (0.02, at), va="center", fontsize=8)
                continue
            panel.plot(measure["value"], at, "o", color=colour)
            if "low" in measure:
                panel.plot([measure["low"], measure["high"]], [at, at], color=colour, linewidth=2)
            few = "" if "low" in measure else f"  (too few: n = {measure['n']})"
            panel.annotate(
                f"{measure['value']:.2f}{few}",
                (measure["value"], at),
                xytext=(0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=8,
            )
        if line is not None:
            panel.axvline(line, color="black", linewidth=0.8, linestyle=":")
        panel.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)], fontsize=9)
        panel.set_xlim(-0.03, 1.03)
        panel.set_ylim(-0.5, len(rows) - 0.3)
        panel.set_title(title, fontsize=10, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    return figure


def funnel_table(accounts: Mapping[str, Mapping]) -> pd.DataFrame:
    """Where the rows went, from the metric files of the stages: columns step, rows."""
    messages = accounts["clean"]["messages"]
    turns = accounts["group"]["turns"]
    train = accounts["filter"]["train"]
    steps = [
        ("messages exported", messages["in"]),
        ("messages kept", messages["out"]),
        ("turns", turns["in"]),
        ("the author's replies", turns["out"]),
        ("… for training", train["in"]),
        ("… after the filter", train["out"]),
    ]
    return pd.DataFrame(steps, columns=["step", "rows"])


def funnel(table: pd.DataFrame) -> Figure:
    """`funnel_table` as bars."""
    figure, axes = _axes("From messages to what is learnt", "rows", "")
    at = np.arange(len(table))[::-1]
    axes.barh(at, table["rows"], color=TUNED)
    for y, rows in zip(at, table["rows"], strict=True):
        axes.annotate(f" {rows:,}", (rows, y), va="center")
    axes.set_yticks(at, table["step"])
    axes.margins(x=0.12)
    return figure


def lengths_table(replies: Mapping[str, Sequence[Sequence[str]]]) -> pd.DataFrame:
    """Lengths of replies (lists of messages) by who wrote them: columns percentile, one a writer.

    A length is the characters of all messages of a reply.
    """
    percentiles = np.arange(0, 101, 5)
    columns = {
        who: np.percentile([sum(map(len, reply)) for reply in written], percentiles)
        for who, written in replies.items()
    }
    return pd.DataFrame({"percentile": percentiles, **columns})


def lengths(table: pd.DataFrame) -> Figure:
    """`lengths_table` as curves: where they lie on each other, the lengths agree."""
    figure, axes = _axes("Length of replies", "percentile of replies", "characters in the reply")
    for who, colour in (("base", BASE), ("tuned", TUNED), ("real", REAL)):
        axes.plot(table["percentile"], table[who], color=colour, label=who, marker=".")
    axes.set_yscale("symlog", linthresh=10)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure
