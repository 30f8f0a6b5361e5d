"""`espejo compare`: all experiments at hand in one table, and their replies to the same prompts.

`dvc exp show` has the numbers, in a hundred columns, and no replies.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import dvc.api
import matplotlib.pyplot as plt
import pandas as pd
import pyarrow.parquet as pq
from dvc.exceptions import DvcException
from matplotlib.figure import Figure

from espejo.core import escaping, faults, files, tables
from espejo.core.errors import UserError, not_made_yet
from espejo.plots.style import BASE, TUNED, save
from espejo.report.wording import Wording

PAGE, PICTURE = Path("reports/compare.md"), Path("reports/compare.png")
REPLIES = "data/replies.parquet"
HEADS = (
    *("experiment", "model", "chats", "perplexity: base → tuned"),
    *("bits per character, own: base → tuned", "author score, tuned", "MRR, tuned"),
    *("safe to share", "size, MB"),
)
# What of it fits a terminal of 80 columns.
SHORT = ("experiment", "model", "chats", "bits/char", "author", "MRR", "share")
LEGEND = (
    "bits/char: of the messages' own, base → tuned, lower is better.\n"
    "author: author score of the tuned model; MRR: of the true reply among others\n"
    "(chance: 0.29 among ten, 0.46 among five, 0.61 among three); higher is better.\n"
    "share: the verdict on sharing it, as in metrics/eval.json. A ? stands after\n"
    "what was measured on too little for an interval, and after a pass of older\n"
    "rules, which did not look at intervals."
)
MODELS = ("base", "tuned")
_BITS, _DASH, _WORDING = "own_bits_per_character", "–", Wording("en")


@dataclass(frozen=True)
class Experiment:
    """A row of `dvc exp show`: name, revision (None for the workspace), and what stands there."""

    name: str
    rev: str | None
    params: Mapping
    scores: Mapping
    size: int | None  # bytes of the model, an adapter or all weights

    @property
    def called(self) -> tuple[str, str, str]:
        """Its name, its model and the folder of its chats."""
        model = self.params.get("model", {}).get("name", _DASH)
        return self.name, model, Path(self.params.get("data", {}).get("raw", _DASH)).name

    @property
    def verdict(self) -> str:
        """The verdict on sharing as metrics/eval.json has it; a `?` after one of older rules."""
        memory = self.scores.get("memory", {})
        verdict = memory.get("verdict", _DASH)
        # Older experiments, which do not count members, passed without looking at intervals.
        return f"{verdict}?" if verdict == "pass" and "members" not in memory else verdict

    def measure(self, *keys: str) -> Mapping:
        """What stands in its scores below `keys`, or nothing."""
        found = self.scores
        for key in keys:
            found = found.get(key, {})
        return found

    def replies(self) -> pd.DataFrame | None:
        """Its table REPLIES, or None where that is not in the cache of this machine."""
        try:
            if self.rev is None:
                content = Path(REPLIES).read_bytes()
            else:
                with dvc.api.open(REPLIES, rev=self.rev, mode="rb") as file:
                    content = file.read()
        except (OSError, DvcException):
            return None
        with faults.about(Path(REPLIES)):
            found = pq.read_table(BytesIO(content))
        # Older experiments had other tables.
        return found.to_pandas() if found.schema.names == tables.REPLIES.names else None


def experiments(folder: Path = Path()) -> list[Experiment]:
    """The last commit and its experiments, and the workspace where its scores are none of theirs.

    Raises UserError where DVC cannot say, or nothing was evaluated.
    """
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if ran.returncode:
        reason = ran.stderr.strip() or "no reason given"
        raise UserError(f"`dvc exp show` failed, so there is nothing to compare: {reason}")
    rows = [found for found in _rows(json.loads(ran.stdout)) if found.scores]
    if not rows:
        raise not_made_yet("Nothing was evaluated here yet")
    known = [found for found in rows if found.rev]
    scores = [found.scores for found in known]
    here = [found for found in rows if not found.rev and found.scores not in scores]
    return here + known


def _rows(shown: Sequence[Mapping]) -> Iterator[Experiment]:
    for commit in shown:
        at = None if commit["rev"] == "workspace" else commit["rev"]
        yield _row(commit, commit["name"] or "workspace", at)
        for group in commit["experiments"] or []:
            last = group["revs"][0]
            yield _row(last, group["name"] or last["rev"][:7], last["rev"])


def _row(shown: Mapping, name: str, rev: str | None) -> Experiment:
    data = shown["data"] or {}

    def file(kind: str, path: str) -> Mapping:
        return data.get(kind, {}).get(path, {}).get("data", {})

    size = data.get("outs", {}).get("model", {}).get("size")
    params, scores = file("params", "params.yaml"), file("metrics", "metrics/eval.json")
    return Experiment(name, rev, params, scores, size)


def table(found: Sequence[Experiment]) -> list[Sequence[str]]:
    """The rows below `HEADS`; a dash where an experiment did not measure something."""

    def written(measure: Mapping) -> str:
        return _WORDING.interval(measure) if measure else _DASH

    return [
        (
            *one.called,
            " → ".join(_number(one.measure(name, "perplexity"), 1) for name in MODELS),
            " → ".join(_number(one.measure(name, _BITS)) for name in MODELS),
            written(one.measure("style", "author_score", "tuned")),
            written(one.measure("relevance", "tuned", "mrr")),
            one.verdict,
            _DASH if one.size is None else _WORDING.number(one.size / 1e6, 1),
        )
        for one in found
    ]


def short(found: Sequence[Experiment]) -> list[Sequence[str]]:
    """The rows below `SHORT`: `table` without intervals and what else the page is for."""
    return [
        (
            *one.called,
            " → ".join(_number(one.measure(name, _BITS)) for name in MODELS),
            _doubted(one.measure("style", "author_score", "tuned")),
            _doubted(one.measure("relevance", "tuned", "mrr")),
            one.verdict,
        )
        for one in found
    ]


def _doubted(measure: Mapping) -> str:
    return _number(measure) + ("?" if "value" in measure and "low" not in measure else "")


def _number(measure: Mapping, digits: int = 2) -> str:
    return _WORDING.number(measure["value"], digits) if "value" in measure else _DASH


def picture(found: Sequence[Experiment]) -> Figure:
    """Own bits per character and author score of base and tuned, with their intervals."""
    size = (9.5, 1.5 + 0.6 * len(found))
    figure, panels = plt.subplots(1, 2, figsize=size, sharey=True)
    shown = (
        ("bits per character, own (lower is better)", lambda name: (name, _BITS)),
        ("author score (higher is better)", lambda name: ("style", "author_score", name)),
    )
    for panel, (title, keys) in zip(panels, shown, strict=True):
        for name, colour, lift in (("base", BASE, 0.12), ("tuned", TUNED, -0.12)):
            for at, one in enumerate(reversed(found)):
                measure = one.measure(*keys(name))
                if "value" not in measure:
                    continue
                ends = [measure.get(end, measure["value"]) for end in ("low", "high")]
                panel.plot(ends, [at + lift] * 2, color=colour, linewidth=2)
                panel.plot(measure["value"], at + lift, "o", color=colour)
            panel.plot([], [], "o", color=colour, label=name)
        panel.set_title(title, fontsize=10, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
    called = [f"{name}\n{model} · {chats}" for name, model, chats in (one.called for one in found)]
    panels[0].set_yticks(range(len(found)), called[::-1], fontsize=8)
    panels[0].set_ylim(-0.5, len(found) - 0.5)
    panels[1].set_xlim(-0.03, 1.03)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="lower right", ncols=2, frameon=False)
    figure.tight_layout(rect=(0, 0.3 / size[1], 1, 1))
    return figure


def write(found: Sequence[Experiment]) -> None:
    """Write the page, and the picture beside it."""
    save(picture(found), PICTURE)
    files.write(page(found), PAGE)


def page(found: Sequence[Experiment]) -> str:
    """reports/compare.md: the table, and what every model replies to the prompts they share."""
    said: dict[str, dict[str, Sequence[str]]] = {}
    missing = []
    for one in found:
        replies = one.replies()
        if replies is None:
            missing.append(one.name)
            continue
        fixed = replies[replies["kind"].eq("prompt") & replies["model"].isin(MODELS)]
        for row in fixed.itertuples():
            said.setdefault(row.prompt, {})[f"{one.name}, {row.model}"] = list(row.messages)
    columns = list(dict.fromkeys(column for row in said.values() for column in row))
    rows = [
        [
            escaping.markdown(prompt),
            *(
                escaping.quoted(row[name], "(nothing)") if name in row else _DASH
                for name in columns
            ),
        ]
        for prompt, row in said.items()
    ]
    parts = [
        "# Experiments side by side",
        "This page quotes replies: it is not for git. Lines are separate messages. Perplexity "
        "compares models with the same tokenizer only, and nothing compares different chats.",
        _markdown(HEADS, [[*map(escaping.markdown, one[:3]), *one[3:]] for one in table(found)]),
        f"![Bits per character and author score of each experiment]({PICTURE.name})",
        "## The same prompts",
    ]
    parts += [_markdown(["prompt", *map(escaping.markdown, columns)], rows)] if rows else []
    if missing:
        parts.append(
            f"No replies in this machine's cache for {escaping.markdown(', '.join(missing))}: "
            "`dvc exp apply` and `dvc repro`, or `dvc pull`, bring them here."
        )
    return "\n\n".join(parts) + "\n"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(map(escaping.row, [heads, ["---"] * len(heads), *rows]))
