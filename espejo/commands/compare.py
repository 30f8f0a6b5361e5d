"""`espejo compare`: all experiments at hand in one table, and their replies to the same prompts.

`dvc exp show` has the numbers in a hundred columns, and no replies.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import dvc.api
import matplotlib.pyplot as plt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from dvc.exceptions import DvcException
from matplotlib.figure import Figure

from espejo.core import escaping, faults, files, tables
from espejo.core.errors import UserError, not_made_yet
from espejo.evaluation import repeated as repeats
from espejo.evaluation.headlines import HEADLINES
from espejo.plots.style import BASE, TUNED, save
from espejo.report import verdicts
from espejo.report.wording import Wording

PAGE, PICTURE = Path("reports/compare.md"), Path("reports/compare.png")
REPLIES, EXAMPLES = "data/replies.parquet", "data/examples.parquet"
QUESTIONS = 10  # of the test split, whose answers are shown side by side
HEADS = (
    *("experiment", "model", "chats", "perplexity: base → tuned"),
    *("bits per character, own: base → tuned", "author score, tuned", "MRR, tuned"),
    *("safe to share", "size, MB", "settings"),
)
# Those columns that fit a terminal of 80 characters.
SHORT = ("experiment", "model", "chats", "bits/char", "author", "MRR", "share")
LEGEND = (
    "bits/char: of the messages' own, base → tuned, lower is better.\n"
    "author: author score of the tuned model; MRR: of the true reply among others\n"
    "(chance: 0.29 among ten, 0.46 among five, 0.61 among three); higher is better.\n"
    "share: the verdict on sharing it, as in metrics/eval.json. A ? stands after\n"
    "what was measured on too little for an interval, and after a pass of older\n"
    "rules, which did not look at intervals. A trial learned from fewer than half\n"
    "of the texts: its numbers say nothing yet."
)
# A second table for answers to questions: on the page, and in the terminal.
CORRECT_HEADS = (
    *("experiment", "model", "data", "facts held: base → with rows → tuned", "facts right, tuned"),
    *("chrF: base → with rows → tuned", "outside the field: refused", "with a fact of the table"),
    "settings",
)
CORRECT_SHORT = ("experiment", "facts held", "chrF", "refused", "invented")
CORRECT_LEGEND = (
    "facts held: of the reference answers' facts, base → with retrieved rows → tuned;\n"
    "chrF: wording like the reference, 0 to 100; refused, invented: of the questions\n"
    "outside the field, those refused and those answered with a fact of the table."
)
_PARAMS = Path("params.yaml")
MODELS = ("base", "tuned")
_ANSWERING = ("base", "examples", "tuned")  # examples: with rows of the table in its prompt
# Sections of params.yaml that decide what a model learns and how it is measured.
SECTIONS = (
    *("data", "clean", "group", "filter", "format", "audit", "train", "model", "generate"),
    *("predict", "evaluate"),
)
MAX_SETTINGS = 4  # named for an experiment
REPEATED = Path("metrics") / repeats.FILE
# Headlines by which experiments are compared: name in the terminal, and higher for a better value.
_GOODNESS: Mapping[str, tuple[str, Callable[[float], float]]] = {
    "own_bits": ("bits/char", lambda value: -value),
    "author_score": ("author", lambda value: value),
    "told_apart": ("told apart (AUC)", lambda value: -abs(value - 0.5)),
    "mrr": ("MRR", lambda value: value),
    "facts_held": ("facts held", lambda value: value),
    "chrf": ("chrF", lambda value: value),
}
_BITS, _DASH, _WORDING = "own_bits_per_character", "–", Wording("en")


@dataclass(frozen=True)
class Experiment:
    """A row of `dvc exp show`: name, revision (None: the workspace), and what its files hold."""

    name: str
    rev: str | None
    params: Mapping  # params.yaml
    scores: Mapping  # metrics/eval.json
    size: int | None  # bytes of the model, an adapter or all weights
    trained: Mapping = field(default_factory=dict)  # metrics/train.json

    @property
    def names(self) -> tuple[str, str, str]:
        """Its own name, that of its model, and of the folder of its chats."""
        model = self.params.get("model", {}).get("name", _DASH)
        return self.name, model, _chats(self.params)

    @property
    def verdict(self) -> str:
        """The verdict on sharing in metrics/eval.json, with a `?` after older rules; or `trial`.

        A dash for answers to questions, which are meant to be repeated.
        """
        if verdicts.is_trial(self.trained):
            return "trial"
        if self.of_questions:
            return _DASH
        memory = self.scores.get("memory", {})
        verdict = memory.get("verdict", _DASH)
        # Older experiments, which have no members, passed whatever the intervals were.
        return f"{verdict}?" if verdict == "pass" and "members" not in memory else verdict

    def settings(self) -> dict[str, str]:
        """What SECTIONS of its params.yaml hold, by flat keys such as train.rank."""
        settings: dict[str, str] = {}

        def add(key: str, value: object) -> None:
            if isinstance(value, Mapping):
                for name, inner in value.items():
                    add(f"{key}.{name}", inner)
            else:
                plain = isinstance(value, str) and value.split() == [value]
                settings[key] = str(value) if plain else json.dumps(value, ensure_ascii=False)

        for section in SECTIONS:
            add(section, self.params.get(section, {}))
        return settings

    def measure(self, *keys: str) -> Mapping:
        """The measure in its scores below `keys`, or an empty one."""
        measure = self.scores
        for key in keys:
            measure = measure.get(key, {})
        return measure

    @property
    def of_questions(self) -> bool:
        """Whether it learnt to answer questions, so that its answers can be right or wrong."""
        return "correctness" in self.scores

    def replies(self) -> pd.DataFrame | None:
        """Its table REPLIES, or None where this machine's cache does not have it."""
        return self._table(REPLIES, tables.REPLIES)

    def tested(self) -> pd.DataFrame | None:
        """The first test questions of its table EXAMPLES, or None where it is not in the cache."""
        examples = self._table(EXAMPLES, tables.EXAMPLES)
        return None if examples is None else examples[examples["split"].eq("test")].head(QUESTIONS)

    def _table(self, path: str, schema: pa.Schema) -> pd.DataFrame | None:
        try:
            if self.rev is None:
                content = Path(path).read_bytes()
            else:
                with dvc.api.open(path, rev=self.rev, mode="rb") as file:
                    content = file.read()
        except (OSError, DvcException):
            return None
        with faults.about(Path(path)):
            table = pq.read_table(BytesIO(content))
        # Older experiments have other columns.
        return table.to_pandas() if table.schema.names == schema.names else None


def _chats(params: Mapping) -> str:
    """The name of the folder of chats in `params`."""
    return Path(params.get("data", {}).get("raw", _DASH)).name


def experiments(folder: Path = Path()) -> list[Experiment]:
    """The last commit, its experiments, and the workspace where its scores are not those of one.

    Raises UserError where `dvc exp show` fails, or nothing was evaluated.
    """
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if ran.returncode:
        reason = ran.stderr.strip() or "no reason given"
        raise UserError(f"`dvc exp show` failed, so there is nothing to compare: {reason}")
    evaluated = [each for each in _parsed(json.loads(ran.stdout)) if each.scores]
    if not evaluated:
        raise not_made_yet("Nothing was evaluated here yet")
    saved = [each for each in evaluated if each.rev]
    scores = [each.scores for each in saved]
    workspace = [each for each in evaluated if not each.rev and each.scores not in scores]
    return workspace + saved


def _parsed(commits: Sequence[Mapping]) -> Iterator[Experiment]:
    """The experiments in the output of `dvc exp show --json`."""
    for commit in commits:
        rev = None if commit["rev"] == "workspace" else commit["rev"]
        yield _experiment(commit, commit["name"] or "workspace", rev)
        for group in commit["experiments"] or []:
            # What stands there is left over from the workspace, and was measured by another run.
            if (group.get("executor") or {}).get("state", "").lower() in ("failed", "queued"):
                continue
            last = group["revs"][0]
            yield _experiment(last, group["name"] or last["rev"][:7], last["rev"])


def _experiment(entry: Mapping, name: str, rev: str | None) -> Experiment:
    data = entry["data"] or {}

    def content(kind: str, path: str) -> Mapping:
        return data.get(kind, {}).get(path, {}).get("data", {})

    size = data.get("outs", {}).get("model", {}).get("size")
    params, scores = content("params", "params.yaml"), content("metrics", "metrics/eval.json")
    return Experiment(name, rev, params, scores, size, content("metrics", "metrics/train.json"))


def table(experiments: Sequence[Experiment]) -> list[Sequence[str]]:
    """The rows below `HEADS`; a dash for what an experiment did not measure."""

    def written(measure: Mapping) -> str:
        return _WORDING.interval(measure) if measure else _DASH

    return [
        (
            *each.names,
            " → ".join(_number(each.measure(name, "perplexity"), 1) for name in MODELS),
            " → ".join(_number(each.measure(name, _BITS)) for name in MODELS),
            written(each.measure("style", "author_score", "tuned")),
            written(each.measure("relevance", "tuned", "mrr")),
            each.verdict,
            _DASH if each.size is None else _WORDING.number(each.size / 1e6, 1),
            settings or _DASH,
        )
        for each, settings in zip(experiments, different_settings(experiments), strict=True)
    ]


def different_settings(experiments: Sequence[Experiment]) -> list[str]:
    """For each experiment, its values of the settings that its chats' experiments differ in.

    A model brings settings of its own, so that only experiments on the same chats with the same
    model tell which ones somebody changed: "" where those are alike. A key that one of them lacks
    belongs to another version, and is no difference.
    """
    all_settings = [each.settings() for each in experiments]
    values: dict[tuple, set[str]] = {}  # by chats, model and key
    for each, settings in zip(experiments, all_settings, strict=True):
        _, model, chats = each.names
        for key, value in settings.items():
            values.setdefault((chats, model, key), set()).add(value)
    changed = {(chats, key) for (chats, _, key), several in values.items() if len(several) > 1}
    texts = []
    for each, settings in zip(experiments, all_settings, strict=True):
        chats = each.names[2]
        named = [f"{key}={settings[key]}" for key in sorted(settings) if (chats, key) in changed]
        more = len(named) - MAX_SETTINGS
        text = ", ".join(named[:MAX_SETTINGS])
        texts.append(f"{text} … and {more} more" if more > 0 else text)
    return texts


def settings_lines(experiments: Sequence[Experiment]) -> list[str]:
    """The lines below the table in the terminal: a head, and one for each with settings to name."""
    pairs = zip(experiments, different_settings(experiments), strict=True)
    lines = [f"  {each.name}: {settings}" for each, settings in pairs if settings]
    return ["Settings that differ:", *lines] if lines else []


def chance_lines(experiments: Sequence[Experiment]) -> list[str]:
    """Which experiments differ from the best one by less than two trainings with other seeds do.

    A head, and a line for each measure; nothing where `espejo repeat` measured no spread, or where
    fewer than two of the experiments are of the test and the base model that it was measured on.
    """
    result = repeats.read(REPEATED) if REPEATED.is_file() else None
    if result is None:
        return []
    alike = [each for each in experiments if result.setup.same_test(each.scores)]
    lines = []
    for key, (label, goodness) in _GOODNESS.items():
        measured = [(each.name, each.measure(*HEADLINES[key]).get("value")) for each in alike]
        values = [(name, value) for name, value in measured if value is not None]
        if key not in result.spreads or len(values) < 2:
            continue
        margin = result.spreads[key].margin
        best, highest = max(values, key=lambda pair: goodness(pair[1]))
        others = [pair for pair in values if pair != (best, highest)]
        close = [name for name, value in others if abs(value - highest) <= margin]
        text = f"no difference from {', '.join(close)}" if close else "ahead of all others"
        lines.append(f"  {label}: {best} is best; {text} (margin {_WORDING.number(margin, 3)})")
    head = (
        "What another training may change (`espejo repeat`), of rows on the same chats and base "
        f"model as {result.name}:"
    )
    return [head, *lines] if lines else []


def several_chats(experiments: Sequence[Experiment]) -> str:
    """A sentence where the experiments are of different chats; "" where all are of the same."""
    chats = list(dict.fromkeys(each.names[2] for each in experiments if each.names[2] != _DASH))
    if len(chats) < 2:
        return ""
    return (
        f"These are experiments on different chats ({', '.join(chats)}): compare only rows that "
        "have the same in the column chats."
    )


def short_table(experiments: Sequence[Experiment]) -> list[Sequence[str]]:
    """The rows below `SHORT`: `table` without intervals, perplexity and size."""
    return [
        (
            *each.names,
            " → ".join(_number(each.measure(name, _BITS)) for name in MODELS),
            _with_doubt(each.measure("style", "author_score", "tuned")),
            _with_doubt(each.measure("relevance", "tuned", "mrr")),
            each.verdict,
        )
        for each in experiments
    ]


def correct_table(experiments: Sequence[Experiment]) -> list[Sequence[str]]:
    """The rows below `CORRECT_HEADS`, of those experiments that learnt to answer questions."""
    return [
        (
            *each.names,
            _arrows(each, "facts_held", _WORDING.shares),
            _WORDING.shares(each.measure("correctness", "tuned", "facts_right")),
            _arrows(each, "chrf", lambda measure: _WORDING.interval(measure, 1)),
            _outside(each, "refused"),
            _outside(each, "hallucinated"),
            settings or _DASH,
        )
        for each, settings in zip(experiments, different_settings(experiments), strict=True)
        if each.of_questions
    ]


def correct_short(experiments: Sequence[Experiment]) -> list[Sequence[str]]:
    """The rows below `CORRECT_SHORT`: `correct_table` without intervals."""
    return [
        (
            each.name,
            _arrows(each, "facts_held", _number),
            _arrows(each, "chrf", lambda measure: _number(measure, 1)),
            _outside(each, "refused"),
            _outside(each, "hallucinated"),
        )
        for each in experiments
        if each.of_questions
    ]


def _arrows(each: Experiment, key: str, write: Callable[[Mapping], str]) -> str:
    measures = (each.measure("correctness", name, key) for name in _ANSWERING)
    return " → ".join(write(measure) if "value" in measure else _DASH for measure in measures)


def _outside(each: Experiment, outcome: str) -> str:
    """How many of the tuned model's replies to questions outside the field are an `outcome`."""
    counts = [models.get("tuned", {}) for models in each.measure("outside").values()]
    replies, hits = (sum(count.get(key, 0) for count in counts) for key in ("replies", outcome))
    return f"{hits} of {replies}" if replies else _DASH


def _with_doubt(measure: Mapping) -> str:
    return _number(measure) + ("?" if "value" in measure and "low" not in measure else "")


def _number(measure: Mapping, digits: int = 2) -> str:
    return _WORDING.number(measure["value"], digits) if "value" in measure else _DASH


# Panels of the picture: title, path to the measure of a model, and its highest value (None: any).
_PANELS: tuple[tuple[str, Callable[[str], tuple[str, ...]], float | None], ...] = (
    ("bits per character, own (lower is better)", lambda name: (name, _BITS), None),
    ("author score (higher is better)", lambda name: ("style", "author_score", name), 1),
    ("facts held (higher is better)", lambda name: ("correctness", name, "facts_held"), 1),
    ("chrF (higher is better)", lambda name: ("correctness", name, "chrf"), 100),
)


def picture(experiments: Sequence[Experiment]) -> Figure:
    """The measures of base and tuned with their intervals, an experiment a row.

    Own bits per character, and of author score, facts held and chrF those that an experiment has.
    """
    kept = [
        (title, keys, highest)
        for title, keys, highest in _PANELS
        if highest is None
        or any(each.measure(*keys(name)) for each in experiments for name in MODELS)
    ]
    size = (max(9.5, 4.0 * len(kept)), 1.5 + 0.6 * len(experiments))  # inches
    figure, panels = plt.subplots(1, len(kept), figsize=size, sharey=True, squeeze=False)
    for panel, (title, keys, highest) in zip(panels[0], kept, strict=True):
        if highest is not None:
            panel.set_xlim(-0.03 * highest, 1.03 * highest)
        for name, colour, shift in (("base", BASE, 0.12), ("tuned", TUNED, -0.12)):
            for y, experiment in enumerate(reversed(experiments)):
                measure = experiment.measure(*keys(name))
                if "value" not in measure:
                    continue
                ends = [measure.get(end, measure["value"]) for end in ("low", "high")]
                panel.plot(ends, [y + shift] * 2, color=colour, linewidth=2)
                panel.plot(measure["value"], y + shift, "o", color=colour)
            panel.plot([], [], "o", color=colour, label=name)
        panel.set_title(title, fontsize=10, loc="left")
        panel.spines[["top", "right"]].set_visible(False)
    names = [each.names for each in reversed(experiments)]
    labels = [f"{name}\n{model} · {chats}" for name, model, chats in names]
    panels[0, 0].set_yticks(range(len(labels)), labels, fontsize=8)
    panels[0, 0].set_ylim(-0.5, len(labels) - 0.5)
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="lower right", ncols=2, frameon=False
    )
    figure.tight_layout(rect=(0, 0.3 / size[1], 1, 1))
    return figure


def write(experiments: Sequence[Experiment]) -> None:
    """Write reports/compare.md, and the picture beside it."""
    save(picture(experiments), PICTURE)
    files.write(page(experiments), PAGE)


def page(experiments: Sequence[Experiment]) -> str:
    """reports/compare.md: the table, and the replies of every model to the fixed prompts.

    For those that answer questions also how right they are, and the answers to the first test
    questions beside the reference.
    """
    fixed, answered = _SideBySide(["prompt"]), _SideBySide(["question", "reference"])
    missing: list[Experiment] = []
    for experiment in experiments:
        replies = experiment.replies()
        if replies is None:
            missing.append(experiment)
            continue
        prompts = replies[replies["kind"].eq("prompt") & replies["model"].isin(MODELS)]
        for row in prompts.itertuples():
            fixed.add([escaping.markdown(row.prompt)], experiment, row.model, row.messages)
        tested = experiment.tested() if experiment.of_questions else None
        if tested is None:
            continue
        answers = replies[replies["id"].isin(tested["id"])].set_index(["id", "model"])["messages"]
        for example in tested.itertuples():
            question = [text for turn in example.context for text in turn["messages"]]
            heads = [escaping.quoted(text, "(nothing)") for text in (question, example.reply)]
            for model in _ANSWERING:
                if (example.id, model) in answers.index:
                    answered.add(heads, experiment, model, answers[example.id, model])
    numbers, correct = (_escaped(rows) for rows in (table(experiments), correct_table(experiments)))
    parts = [
        "# Experiments side by side",
        "This page quotes replies: it is not for git. Lines are separate messages. Perplexity "
        "compares models with the same tokenizer only, and nothing compares different chats.",
        *filter(None, [escaping.markdown(several_chats(experiments))]),
        escaping.table(HEADS, numbers),
        *_listed(chance_lines(experiments)),
        *(["## Answers to questions", escaping.table(CORRECT_HEADS, correct)] if correct else []),
        f"![Measures of each experiment, with their intervals]({PICTURE.name})",
        *(["## The same prompts"] if fixed.rows or not correct else []),
        *fixed.table(),
        *(["## The same test questions"] if answered.rows else []),
        *answered.table(),
    ]
    return "\n\n".join([*parts, *_why_missing(missing)]) + "\n"


def _listed(lines: Sequence[str]) -> list[str]:
    """The first of the lines as a paragraph, the others as a list below it; nothing of none."""
    head, *others = map(escaping.markdown, lines or [""])
    return ["\n".join([head, "", *(f"- {line}" for line in others)])] if lines else []


def _escaped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    """The rows of a table for Markdown; names and settings may hold anything, numbers do not."""
    return [
        [*map(escaping.markdown, row[:3]), *row[3:-1], escaping.markdown(row[-1])] for row in rows
    ]


class _SideBySide:
    """Replies to the same texts: a row for each text, a column for each model of an experiment."""

    def __init__(self, heads: Sequence[str]) -> None:
        self.heads = heads
        self.rows: dict[tuple[str, ...], dict[str, str]] = {}  # by texts, then by column

    def add(
        self, texts: Sequence[str], experiment: Experiment, model: str, messages: Sequence[str]
    ) -> None:
        """Add the reply of a model to `texts`, which are Markdown."""
        name = "base with rows" if model == "examples" else model
        by_column = self.rows.setdefault(tuple(texts), {})
        by_column[f"{experiment.name}, {name}"] = escaping.quoted(list(messages), "(nothing)")

    def table(self) -> Iterator[str]:
        """The table in Markdown; nothing without rows."""
        columns = list(dict.fromkeys(name for row in self.rows.values() for name in row))
        rows = [
            [*texts, *(by_column.get(name, _DASH) for name in columns)]
            for texts, by_column in self.rows.items()
        ]
        if rows:
            yield escaping.table([*self.heads, *map(escaping.markdown, columns)], rows)


def _why_missing(experiments: Sequence[Experiment]) -> Iterator[str]:
    """Markdown on `experiments`, whose replies are not in this machine's cache.

    For other chats than those of params.yaml no command is named: it would put the model of those
    chats in the place of the one that lies here.
    """
    here = _chats(files.mapping(_PARAMS, yaml.safe_load)) if _PARAMS.is_file() else _DASH
    of_here = [each.name for each in experiments if each.names[2] in (here, _DASH)]
    of_others = [each.name for each in experiments if each.name not in of_here]
    if of_here:
        yield (
            f"No replies in this machine's cache for {escaping.markdown(', '.join(of_here))}. "
            "Where they were pushed, `dvc exp apply NAME` and then `dvc pull` bring all of that "
            "experiment here, in the place of the model, tables and numbers that lie here now."
        )
    if of_others:
        yield (
            f"No replies in this machine's cache for {escaping.markdown(', '.join(of_others))}: "
            "of other chats than those that lie here."
        )
