"""The pictures of an evaluation: numbers only, no word or name from the chats."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from espejo.plots.style import BASE, HELPED, REAL, TUNED, axes_with


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
            if "value" not in measure:
                continue
            value = measure["value"]
            axes.bar(at, value, color=colour, width=0.7)
            if "low" in measure:
                spread = [[value - measure["low"]], [measure["high"] - value]]
                axes.errorbar(at, value, yerr=spread, color="black", capsize=3)
            top = measure.get("high", value)
            text = f"{value:.{1 if key == 'perplexity' else 2}f}"
            axes.annotate(text, (at, top), ha="center", va="bottom", fontsize=9)
        axes.set_xticks(range(len(bars)), list(bars), fontsize=8)
        axes.set_title(title, fontsize=10)
        axes.margins(y=0.12)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle("How well the author's test replies are foreseen (lower is better)")
    figure.tight_layout()
    return figure


def at_a_glance(scores: Mapping[str, Mapping]) -> Figure:
    """Style, answers and memory on one picture, each beside what chance or other people give.

    Each panel says on how many replies or contexts it was measured.
    """
    sound, memory, relevance = scores["style"], scores["memory"], scores["relevance"]
    style, told = sound["author_score"], sound["told_apart"]
    own = memory["overlap"]["author"]["copied"]
    panels = (
        (
            f"Sounds like the author\n(author score; replies: {sound['replies']})",
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
            f"Told apart from real replies\n(AUC, 0.5: as a coin; replies: {sound['replies']})",
            [
                ("base", told["base"], BASE),
                ("base + examples", told["examples"], HELPED),
                ("tuned", told["tuned"], TUNED),
            ],
            0.5,
        ),
        (
            f"Answers what was said\n(MRR of the true reply; contexts: {relevance['contexts']})",
            [
                ("base", relevance["base"]["mrr"], BASE),
                ("tuned", relevance["tuned"]["mrr"], TUNED),
            ],
            relevance["chance"]["mrr"],
        ),
        (
            f"Knows training replies by heart\n(verdict: {memory['verdict']}; replies: "
            f"{memory['replies']}, members: {memory['members']})",
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
            count = (
                f"{measure['bundles']} bundles" if "bundles" in measure else f"n = {measure['n']}"
            )
            few = "" if "low" in measure else f"  ({measure['interval']}: {count})"
            panel.annotate(
                f"{measure['value']:.2f}{few}",
                (measure["value"], at),
                xytext=(0, 6),
                textcoords="offset points",
                # At the edges beside the point, lest it runs into the names or out of the picture.
                ha=("left", "center", "right")[(measure["value"] > 0.2) + (measure["value"] > 0.8)],
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
    figure, axes = axes_with("From messages to what is learnt", "rows", "")
    at = np.arange(len(table))[::-1]
    axes.barh(at, table["rows"], color=TUNED)
    for y, rows in zip(at, table["rows"], strict=True):
        axes.annotate(f" {rows:,}", (rows, y), va="center")
    axes.set_yticks(at, table["step"])
    axes.margins(x=0.12)
    return figure


def lengths_table(replies: Mapping[str, Sequence[Sequence[str]]]) -> pd.DataFrame:
    """Lengths of replies (lists of messages) by who wrote them: columns percentile, one a writer.

    A length is the characters of all messages of a reply. Who wrote none has none.
    """
    percentiles = np.arange(0, 101, 5)
    columns = {
        who: np.percentile([sum(map(len, reply)) for reply in written], percentiles)
        if len(written)
        else np.full(len(percentiles), np.nan)
        for who, written in replies.items()
    }
    return pd.DataFrame({"percentile": percentiles, **columns})


def lengths(table: pd.DataFrame) -> Figure:
    """`lengths_table` as curves: where they lie on each other, the lengths agree."""
    figure, axes = axes_with(
        "Length of replies", "percentile of replies", "characters in the reply"
    )
    for who, colour in (("base", BASE), ("tuned", TUNED), ("real", REAL)):
        axes.plot(table["percentile"], table[who], color=colour, label=who, marker=".")
    axes.set_yscale("symlog", linthresh=10)
    axes.yaxis.set_major_formatter("{x:g}")  # its own writes formulas: see espejo.plots.style
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def sliced(table: pd.DataFrame) -> Figure:
    """`likelihood.sliced` as curves of base and tuned, one panel by position and one by length."""
    figure, panels = plt.subplots(1, 2, figsize=(9.5, 3.8), sharey=True)
    titles = {"position": "which of the author's replies in its session", "length": "characters"}
    for panel, (what, title) in zip(panels, titles.items(), strict=True):
        rows = table[table["by"] == what].reset_index(drop=True)
        for name, colour in (("base", BASE), ("tuned", TUNED)):
            panel.plot(rows.index, rows[name], marker="o", color=colour, label=name)
        ticks = [f"{row.slice}\n({row.replies})" for row in rows.itertuples()]
        panel.set_xticks(rows.index, ticks, fontsize=8)
        panel.set_xlabel(f"{title} (replies)")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("bits per own character")
    panels[0].set_ylim(bottom=0)
    panels[1].legend(frameon=False)
    figure.suptitle("Where the author's test replies are foreseen (lower is better)")
    figure.tight_layout()
    return figure
