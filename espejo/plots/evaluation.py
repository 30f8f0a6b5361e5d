"""Plots of an evaluation: numbers only, no word or name from the chats."""

from collections.abc import Callable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from espejo.plots.style import BASE, REAL, TUNED, WITH_EXAMPLES, axes_with, plain
from espejo.report.wording import Wording

_MODELS = {"base": BASE, "tuned": TUNED}
_ANSWERING = {"base": BASE, "examples": WITH_EXAMPLES, "tuned": TUNED}


def base_against_tuned(scores: Mapping, wording: Wording) -> Figure:
    """Perplexity and bits per character with their intervals: base, base with examples, tuned."""
    figure, panels = plt.subplots(1, 3, figsize=(9.5, 3.8))
    digits = {"perplexity": 1, "bits_per_character": 2, "own_bits_per_character": 2}
    bars = {
        "base": (scores["base"], BASE),
        "same_examples": (scores["prompted"]["same_examples"], WITH_EXAMPLES),
        "nearest_examples": (scores["prompted"]["nearest_examples"], WITH_EXAMPLES),
        "tuned": (scores["tuned"], TUNED),
    }
    for axes, key in zip(panels, digits, strict=True):
        for x, (measures, colour) in enumerate(bars.values()):
            measure = measures[key]
            if "value" not in measure:
                continue
            value = measure["value"]
            axes.bar(x, value, color=colour, width=0.7)
            if "low" in measure:
                spread = [[value - measure["low"]], [measure["high"] - value]]
                axes.errorbar(x, value, yerr=spread, color="black", capsize=3)
            top, text = measure.get("high", value), wording.number(value, digits[key])
            axes.annotate(text, (x, top), ha="center", va="bottom", fontsize=9)
        names = [wording.text(f"plots.models.{name}") for name in bars]
        axes.set_xticks(range(len(bars)), names, fontsize=8)
        axes.set_title(wording.text(f"plots.base_against_tuned.{key}"), fontsize=10)
        axes.margins(y=0.12)
        plain(axes, wording)
    figure.suptitle(wording.text("plots.base_against_tuned.title"))
    figure.tight_layout()
    return figure


Panel = tuple[list[tuple[str, Mapping, str]], float | None]  # (row, measure, colour); chance


def at_a_glance(scores: Mapping, wording: Wording) -> Figure:
    """What matters for the kind of data in one figure, each compared with chance or other models.
    The title of each panel gives the number of replies or contexts.

    Of chats style, relevance and memorization; of dialogues the last two; of questions the facts,
    the wording, and what becomes of questions outside the field.
    """
    of_questions = "correctness" in scores
    panels = _correct(scores) if of_questions else {**_style(scores), **_relevant_and_new(scores)}
    counts = _counts(scores, wording)
    rows = (len(panels) + 1) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(9.5, 2.8 * rows))
    for panel, (name, (measures, chance)) in zip(axes.flat, panels.items(), strict=True):
        for y, (_, measure, colour) in enumerate(reversed(measures)):
            _draw_measure(panel, y, measure, colour, wording)
        if chance is not None:
            panel.axvline(chance, color="black", linewidth=0.8, linestyle=":")
        names = [wording.text(f"plots.at_a_glance.rows.{row}") for row, *_ in reversed(measures)]
        panel.set_yticks(range(len(measures)), names, fontsize=9)
        panel.set_xlim(-0.03, 1.03)
        panel.set_ylim(-0.5, len(measures) - 0.3)
        title = wording.text(f"plots.at_a_glance.{name}", **counts[name])
        panel.set_title(title, fontsize=10, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
        panel.xaxis.set_major_formatter(lambda value, _: wording.number(value, 1))
    figure.tight_layout()
    return figure


def _counts(scores: Mapping, wording: Wording) -> dict[str, dict]:
    """What the title of each panel says of how much was measured."""
    memory = scores["memory"]
    counts: dict[str, dict] = {
        "answers": {"contexts": scores["relevance"]["contexts"]},
        "copies": {
            "verdict": wording.name("verdicts", memory["verdict"]),
            "replies": memory["replies"],
            "members": memory["members"],
        },
    }
    if "style" in scores:
        replies = {"replies": scores["style"]["replies"]}
        counts |= {"sounds": replies, "told_apart": replies}
    if "correctness" in scores:
        tuned = scores["correctness"]["tuned"]
        answers = {name: tuned[name] for name in ("answers", "with_facts")}
        counts |= dict.fromkeys(("facts_held", "facts_right", "chrf"), answers)
        counts["outside"] = {"replies": _total(scores["outside"], "tuned", "replies")}
    return counts


def _style(scores: Mapping) -> dict[str, Panel]:
    """Panels on how it sounds; none where no person is imitated."""
    if "style" not in scores:
        return {}
    score, auc = scores["style"]["author_score"], scores["style"]["told_apart"]
    return {
        "sounds": (
            [
                ("others", score["floor"], BASE),
                ("base", score["base"], BASE),
                ("examples", score["examples"], WITH_EXAMPLES),
                ("tuned", score["tuned"], TUNED),
                ("author", score["ceiling"], REAL),
            ],
            None,
        ),
        "told_apart": ([(name, auc[name], colour) for name, colour in _ANSWERING.items()], 0.5),
    }


def _relevant_and_new(scores: Mapping) -> dict[str, Panel]:
    """Panels on relevance and memorization."""
    memory, relevance = scores["memory"], scores["relevance"]
    overlap = memory["overlap"]
    return {
        "answers": (
            [(name, relevance[name]["mrr"], colour) for name, colour in _MODELS.items()],
            relevance["chance"]["mrr"],
        ),
        "copies": (
            [
                ("copied_author", overlap["author"]["copied"], REAL),
                ("copied_tuned", overlap["tuned"]["copied"], TUNED),
                ("membership", memory["membership"], TUNED),
            ],
            0.5,
        ),
    }


def _correct(scores: Mapping) -> dict[str, Panel]:
    """Panels on answers to questions, and on questions outside the field."""
    measures, outside = scores["correctness"], scores["outside"]

    def models(measure: Callable[[str], Mapping]) -> Panel:
        return [(name, measure(name), colour) for name, colour in _ANSWERING.items()], None

    def of_100(name: str) -> Mapping:
        ends = ("value", "low", "high")
        chrf = measures[name]["chrf"]
        return {key: part / 100 if key in ends else part for key, part in chrf.items()}

    def share(name: str, outcome: str) -> Mapping:
        replies = _total(outside, name, "replies")
        count = _total(outside, name, outcome)
        return {"value": count / replies, "count": count, "n": replies} if replies else {"n": 0}

    return {
        "facts_held": models(lambda name: measures[name]["facts_held"]),
        "facts_right": models(lambda name: measures[name]["facts_right"]),
        "chrf": models(of_100),
        "outside": (
            [
                (f"{outcome}_{name}", share(name, outcome), colour)
                for outcome in ("refused", "hallucinated")
                for name, colour in _MODELS.items()
            ],
            None,
        ),
    }


def _total(outside: Mapping[str, Mapping], model: str, key: str) -> int:
    """The counts at `key` over all kinds of questions outside the field."""
    return sum(models[model][key] for models in outside.values())


def _draw_measure(panel: Axes, y: int, measure: Mapping, colour: str, wording: Wording) -> None:
    """Draw a measure with its interval at height `y`, or the reason why it has none."""
    if "value" not in measure:
        panel.annotate(wording.text("unmeasured"), (0.02, y), va="center", fontsize=8)
        return
    value, text = measure["value"], wording.number(float(measure["value"]))
    panel.plot(value, y, "o", color=colour)
    if "low" in measure:
        panel.plot([measure["low"], measure["high"]], [y, y], color=colour, linewidth=2)
    elif "count" in measure:
        text = wording.text("plots.counted", count=measure["count"], n=measure["n"])
    else:
        text = wording.text("plots.few", value=text, n=measure["n"])
    panel.annotate(
        text,
        (value, y),
        xytext=(0, 6),
        textcoords="offset points",
        # Near an edge, beside the point, so that it covers no name and stays inside the figure.
        ha=("left", "center", "right")[(value > 0.25) + (value > 0.75)],
        fontsize=8,
    )


def funnel(table: pd.DataFrame, wording: Wording) -> Figure:
    """Rows left after each step, as bars: columns step, rows."""
    title, x = (wording.text(f"plots.funnel.{part}") for part in ("title", "x"))
    figure, axes = axes_with(title, x, "")
    positions = np.arange(len(table))[::-1]
    axes.barh(positions, table["rows"], color=TUNED)
    for y, rows in zip(positions, table["rows"], strict=True):
        axes.annotate(f" {wording.number(int(rows))}", (rows, y), va="center")
    axes.set_yticks(positions, [wording.name("plots.funnel.steps", step) for step in table["step"]])
    axes.margins(x=0.12)
    return figure


def reply_lengths(table: pd.DataFrame, wording: Wording) -> Figure:
    """Lengths of replies by percentile as curves, which coincide where the lengths agree.

    Columns percentile, base, tuned, real (characters).
    """
    title, x, y = (wording.text(f"plots.reply_lengths.{part}") for part in ("title", "x", "y"))
    figure, axes = axes_with(title, x, y)
    for name, colour in {**_MODELS, "real": REAL}.items():
        label = wording.text(f"plots.models.{name}")
        axes.plot(table["percentile"], table[name], color=colour, label=label, marker=".")
    axes.set_yscale("symlog", linthresh=10)
    axes.yaxis.set_major_formatter("{x:g}")  # the default reads $ as a formula
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def likelihood(table: pd.DataFrame, wording: Wording) -> Figure:
    """Table of `evaluation.likelihood.sliced` as curves: a panel by position, one by length."""
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
