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
import pandas as pd
import pyarrow.parquet as pq
from dvc.exceptions import DvcException

from espejo import tables
from espejo.errors import UserError
from espejo.report.page import quoted
from espejo.report.wording import Wording

PAGE, REPLIES = Path("reports/compare.md"), "data/replies.parquet"
HEADS = (
    *("experiment", "model", "chats", "perplexity: base → tuned"),
    *("bits per character, own: base → tuned", "author score, tuned", "MRR, tuned"),
    *("safe to share", "size, MB"),
)
_DASH = "–"


@dataclass(frozen=True)
class Experiment:
    """A row of `dvc exp show`: name, revision (None for the workspace), and what stands there."""

    name: str
    rev: str | None
    params: Mapping
    scores: Mapping
    size: int | None  # bytes of the model, an adapter or all weights

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
        raise UserError("Nothing was evaluated here yet: run `make repro` first.")
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
    say = Wording("en")

    def value(scores: Mapping, *keys: str) -> Mapping:
        for key in keys:
            scores = scores.get(key, {})
        return scores

    def both(scores: Mapping, key: str, digits: int) -> str:
        measures = [value(scores, name, key) for name in ("base", "tuned")]
        return " → ".join(
            say.number(measure["value"], digits) if "value" in measure else _DASH
            for measure in measures
        )

    def written(measure: Mapping) -> str:
        return say.interval(measure) if measure else _DASH

    return [
        (
            one.name,
            one.params.get("model", {}).get("name", _DASH),
            Path(one.params.get("data", {}).get("raw", _DASH)).name,
            both(one.scores, "perplexity", 1),
            both(one.scores, "own_bits_per_character", 2),
            written(value(one.scores, "style", "author_score", "tuned")),
            written(value(one.scores, "relevance", "tuned", "mrr")),
            one.scores.get("memory", {}).get("verdict", _DASH),
            _DASH if one.size is None else say.number(one.size / 1e6, 1),
        )
        for one in found
    ]


def page(found: Sequence[Experiment]) -> str:
    """reports/compare.md: the table, and what every model replies to the prompts they share."""
    said: dict[str, dict[str, Sequence[str]]] = {}
    missing = []
    for one in found:
        replies = one.replies()
        if replies is None:
            missing.append(one.name)
            continue
        prompts = one.params.get("evaluate", {}).get("prompts", [])
        for name in ("base", "tuned"):
            answers = replies[replies["model"].eq(name)].set_index("id")["messages"]
            column = f"{one.name}, {name}"
            for number, prompt in enumerate(prompts, 1):
                if f"prompt-{number}" in answers:
                    said.setdefault(prompt, {})[column] = list(answers[f"prompt-{number}"])
    columns = list(dict.fromkeys(column for row in said.values() for column in row))
    rows = [
        [
            quoted([prompt], _DASH),
            *(quoted(row[name], "(nothing)") if name in row else _DASH for name in columns),
        ]
        for prompt, row in said.items()
    ]
    parts = [
        "# Experiments side by side",
        "This page quotes replies: it is not for git. Lines are separate messages. Perplexity "
        "compares models with the same tokenizer only, and nothing compares different chats.",
        _markdown(HEADS, table(found)),
        "## The same prompts",
    ]
    parts += [_markdown(["prompt", *columns], rows)] if rows else []
    if missing:
        parts.append(
            f"No replies in this machine's cache for {', '.join(missing)}: `dvc exp apply` and "
            "`dvc repro`, or `dvc pull`, bring them here."
        )
    return "\n\n".join(parts) + "\n"


def _markdown(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
