"""The blocks of docs/findings.md: what each change of the settings does, from the runs on record.

`python -m benchmarks.ablations` makes the runs, `make docs` the page. The sentences that say what
came out are chosen by the intervals, so that they cannot fall out of step with them.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from benchmarks.paired import Effect, bits, effect, training_variance, unstable

ROOT = Path(__file__).resolve().parent.parent
RUNS = ROOT / "docs" / "results" / "ablations.jsonl"
# The pipeline on the demo, as it comes and with that change: what the runs above do not measure.
WHOLE_RUNS = {
    "attention (the default)": ROOT / "metrics",
    "all linear layers": ROOT / "docs" / "results" / "all-linear",
}
CONFIDENCE = 0.95
USEFUL = 0.02  # bits per character, one in a hundred: less is called no difference
DEFAULTS = ("default", "the other model")  # runs with all settings as they come, of either model
ELSEWHERE = ", another context"
MODELS = {"gemma3": "Gemma 3 270M", "smollm2": "SmolLM2 135M"}


@dataclass(frozen=True)
class Question:
    """A question, in one sentence what was tried, and what to type for each change."""

    title: str
    tried: str
    commands: Mapping[str, str]  # change -> command


_RUN = "python -m benchmarks.ablations --only"
QUESTIONS = (
    Question(
        "Does the similarity filter help?",
        "The notebooks dropped training replies whose meaning is far from what was said before "
        "them: a cosine of sentence embeddings of 0.3 or less. Here by the bundled encoder, which "
        "is not theirs and drops other replies at 0.3.",
        {"similarity filter": "dvc exp run -S 'filter.similarity={encoder:bundled,least:0.3}'"},
    ),
    Question(
        "Tags or roles?",
        "SmolLM2 knows a chat template with roles (user, assistant); the notebooks for smaller "
        "models wrote plain tags between turns instead.",
        {"tags in place of roles": "dvc exp run -S model=smollm2 -S format=turns"},
    ),
    Question(
        "How much of the conversation does it need?",
        "By default it reads four turns before a reply; here none, one or eight, in training and "
        "in scoring. With none or one each text holds one reply, so that training takes two to "
        "four times the steps, of fewer replies each; and the filters keep some other replies "
        "(ActionParsnip: 291, 260 and 244 with one, four and eight turns). Most of what is lost "
        "without context is lost in scoring: the base model misses it as much.",
        {
            "no history": f"{_RUN} history",
            "history 1": "dvc exp run -S group.history=1",
            "history 8": "dvc exp run -S group.history=8",
        },
    ),
    Question(
        "One reply a text, or several?",
        "By default a training text holds up to eight replies of a conversation, so that what "
        "they share is read once; the notebooks wrote one text for each reply. With eight of those "
        "in a batch a step learns about as many replies as before on the demo, and twice as many "
        "on the public chats, in half as many steps.",
        {"one reply a text": "dvc exp run -S format.replies_per_text=1 -S train.batch_size=8"},
    ),
    Question(
        "Emoji, capitals and accents: kept or stripped?",
        "The notebooks put training texts into lower case and dropped emoji and rare characters; "
        "the test keeps what people really wrote.",
        {"the notebooks' cleaning": f"{_RUN} cleaning"},
    ),
    Question(
        "Learn the replies only, or everything?",
        "By default only the author's words are learnt; the notebooks learnt every token of the "
        "text, the others' turns and the template too.",
        {"loss on everything": "dvc exp run -S train.loss=text"},
    ),
    Question(
        "How large must the adapters be?",
        "The rank of LoRA's matrices is 16 by default; here 4 and 64, with alpha twice the rank.",
        {
            "rank 4": "dvc exp run -S train.rank=4 -S train.alpha=8",
            "rank 64": "dvc exp run -S train.rank=64 -S train.alpha=128",
        },
    ),
    Question(
        "Adapters on what?",
        "By default on the attention of every layer; here on all linear layers, and on attention "
        "in the upper half of the layers only, which makes a step cheaper.",
        {
            "adapters on all linear layers": "dvc exp run -S 'train.targets=[q_proj,k_proj,v_proj,"
            "o_proj,gate_proj,up_proj,down_proj]'",
            "adapters in the upper half": "dvc exp run -S train.layers=9    # SmolLM2: 15",
        },
    ),
    Question(
        "Which learning rate?",
        "The default is 1e-3 for Gemma and 3e-3 for SmolLM2; here a third of it and three times "
        "it.",
        {
            "a third of the rate": "dvc exp run -S train.learning_rate=3.3e-4    # SmolLM2: 1e-3",
            "three times the rate": "dvc exp run -S train.learning_rate=3e-3     # SmolLM2: 9e-3",
        },
    ),
    Question(
        "One, two or three epochs?",
        "By default each reply is learnt once; each training here ran to its end, where the "
        "pipeline would have kept its best checkpoint.",
        {
            "2 epochs": "dvc exp run -S train.epochs=2",
            "3 epochs": "dvc exp run -S train.epochs=3",
        },
    ),
    Question(
        "How many chats does it take?",
        "A tenth and a third of the training sessions, evenly spread over time.",
        {
            "10 % of the data": f"{_RUN} data",
            "30 % of the data": f"{_RUN} data",
        },
    ),
)
NOTHING_YET = "Nothing is on record yet."
_WORDS = {  # of the verdicts of an Effect: fewer bits are better
    "lower": "better",
    "higher": "worse",
    "alike": f"no difference of {USEFUL} bits or more",
    "unclear": "cannot be told from the defaults",
}


def runs(path: Path = RUNS) -> list[dict]:
    """The runs on record, of the chats on which the defaults were trained with two seeds or more.

    Without two seeds nobody knows how much training itself varies.
    """
    lines = path.read_text("utf-8").splitlines() if path.is_file() else []
    recorded = [json.loads(line) for line in lines]
    seeds = Counter(run["chats"] for run in recorded if run["change"] == DEFAULTS[0])
    return [run for run in recorded if seeds[run["chats"]] > 1]


@dataclass(frozen=True)
class Record:
    """The runs on record, and what they say together."""

    lines: Sequence[Mapping]

    def of(self, chats: str, model: str, *changes: str) -> list[Mapping]:
        """The runs of one of the `changes`, one a seed, in order of the seeds."""
        key = chats, model
        chosen = [
            line
            for line in self.lines
            if (line["chats"], line["model"]) == key and line["change"] in changes
        ]
        return sorted(chosen, key=lambda line: line["seed"])

    def pairs(self, change: str) -> list[tuple[str, str]]:
        """The chats and models on which a `change` was tried and the defaults too."""
        tried = {(row["chats"], row["model"]) for row in self.lines if row["change"] == change}
        return sorted(pair for pair in tried if self.of(*pair, *DEFAULTS))

    def trainings(self, chats: str) -> dict[tuple[str, str], list[float]]:
        """The bits of the trainings on `chats` by model and change, one a seed."""

        def key(line: Mapping) -> tuple[str, str]:
            return line["model"], line["change"]

        lines = sorted((row for row in self.lines if row["chats"] == chats), key=key)
        return {
            name: [bits(line["own_nats"]["tuned"], line["own_chars"]) for line in group]
            for name, group in groupby(lines, key)
        }

    def training(self, chats: str) -> tuple[float, int]:
        """How much trainings on `chats` vary by the seed alone, all settings but `unstable`."""
        groups = self.trainings(chats)
        outliers = unstable(groups)
        return training_variance([of for name, of in groups.items() if name not in outliers])

    def unstable(self) -> dict[str, list[str]]:
        """Change -> the chats on which its trainings vary more than all others."""
        chats_of: dict[str, list[str]] = {}
        for chats in sorted({line["chats"] for line in self.lines}):
            for _, change in sorted(unstable(self.trainings(chats))):
                chats_of.setdefault(change, []).append(chats)
        return chats_of

    def comparisons(self) -> int:
        """How many differences the page shows: so many intervals hold together."""
        changes = {change for question in QUESTIONS for change in question.commands}
        return sum(len(self.pairs(change)) for change in changes)

    def effect(self, change: str, chats: str, model: str) -> Effect:
        """What a `change` does to the bits per character of the replies' own characters."""
        groups = self.trainings(chats)
        own = (model, change) in unstable(groups)
        return effect(
            [line["own_nats"]["tuned"] for line in self.of(chats, model, change)],
            [line["own_nats"]["tuned"] for line in self.of(chats, model, *DEFAULTS)],
            self.of(chats, model, *DEFAULTS)[0]["own_chars"],
            self.training(chats),
            1 - (1 - CONFIDENCE) / self.comparisons(),
            training_variance([groups[model, change]]) if own else None,
        )

    def seconds(self, change: str, chats: str, model: str) -> float:
        """Processor seconds of training, as a multiple of what the defaults take."""
        changed, default = self.of(chats, model, change), self.of(chats, model, *DEFAULTS)
        return _seconds(changed) / _seconds(default)


def ablations() -> str:
    """Each question whose runs are on record: what was tried, the differences, what they say."""
    record = Record(runs())
    parts = []
    for question in QUESTIONS:
        tried = [change for change in question.commands if record.pairs(change)]
        if not tried:
            continue
        effects = {
            change: {pair: record.effect(change, *pair) for pair in record.pairs(change)}
            for change in tried
        }
        rows = [
            (
                change,
                f"{chats}, {MODELS[model]}",
                _signed(difference),
                f"{difference.seeds}",
                f"{record.seconds(change, chats, model):.2f}",
            )
            for change, of_chats in effects.items()
            for (chats, model), difference in of_chats.items()
        ]
        sentences = [
            _sentence(change, {chats: value for (chats, _), value in of_chats.items()})
            for change, of_chats in effects.items()
        ]
        commands = list(dict.fromkeys(question.commands[change] for change in tried))
        heads = ("change", "chats, model", "bits per character", "trainings", "training time")
        parts += [
            f"### {question.title}",
            f"{question.tried} **{' '.join(sentences)}**",
            table(heads, rows),
            "```bash\n" + "\n".join(commands) + "\n```",
        ]
    return "\n\n".join(parts) or NOTHING_YET


def _sentence(change: str, effects: Mapping[str, Effect]) -> str:
    """What a `change` did on which chats, in a sentence."""
    clauses = []
    for verdict, words in _WORDS.items():
        where = [chats for chats, each in effects.items() if each.verdict(USEFUL) == verdict]
        if not where:
            continue
        clause = f"{words} {_places(where, len(effects))}"
        if verdict in ("lower", "higher"):
            ends = sorted({f"{effects[chats].value:+.3f}" for chats in where}, key=float)
            clause += f" ({' to '.join(dict.fromkeys((ends[0], ends[-1])))} bits)"
        clauses.append(clause)
    return f"{change[0].upper()}{change[1:]}: {'; '.join(clauses)}."


def _places(chats: Sequence[str], tried: int) -> str:
    if len(chats) == tried > 1:
        return "on both" if tried == 2 else f"on all {tried}"
    return f"on {' and '.join(filter(None, (', '.join(chats[:-1]), chats[-1])))}"


def ablations_summary() -> str:
    """All changes beside each other: the difference on each of the chats, bold where it is sure."""
    record = Record(runs())
    everywhere = sorted({line["chats"] for line in record.lines})
    rows = []
    for change in (change for question in QUESTIONS for change in question.commands):
        cells = dict.fromkeys(everywhere, "")
        seconds = []
        for chats, model in record.pairs(change):
            difference = record.effect(change, chats, model)
            sure = difference.verdict(USEFUL) in ("lower", "higher")
            cells[chats] = f"**{difference.value:+.3f}**" if sure else f"{difference.value:+.3f}"
            seconds.append(record.seconds(change, chats, model))
        if seconds:
            rows.append((change, *cells.values(), f"{sum(seconds) / len(seconds):.2f}"))
    return table(("change", *everywhere, "training time"), rows)


def _signed(difference: Effect) -> str:
    ends = f"[{difference.low:+.3f}, {difference.high:+.3f}]"
    return f"{difference.value:+.3f} {ends}"


def ablations_examples() -> str:
    """The base and the tuned model with examples of the author in the prompt."""
    record = Record(runs())
    rows = []
    for chats, model in record.pairs("default"):
        lines = record.of(chats, model, "default")[:1]  # the one with examples
        chars, training = lines[0]["own_chars"], record.training(chats)
        names = [name for name in lines[0]["own_nats"] if not name.endswith(ELSEWHERE)]
        tuned = [line["own_nats"]["tuned"] for line in lines]
        confidence = 1 - (1 - CONFIDENCE) / ((len(names) - 1) * len(record.pairs("default")))
        for name in names:
            nats = [line["own_nats"][name] for line in lines]
            value = sum(bits(each, chars) for each in nats) / len(nats)
            # Of one and the same training, so that only the sessions vary ...
            varies = training if name.startswith("base") else (0.0, training[1])
            difference = effect(nats, tuned, chars, varies, confidence)
            rows.append(
                (
                    f"{chats}, {MODELS[model]}",
                    name,
                    f"{value:.3f}",
                    "" if name == "tuned" else _signed(difference),
                )
            )
    heads = ("chats, model", "in the prompt", "bits per character", "against the tuned model alone")
    return table(heads, rows)


def ablations_context() -> str:
    """How many bits a reply's own context saves, against that of another conversation."""
    record = Record(runs())
    rows = []
    lines_of = [
        (chats, model, change)
        for change in dict.fromkeys(line["change"] for line in record.lines)
        for chats, model in record.pairs(change)
        if "tuned" + ELSEWHERE in record.of(chats, model, change)[0]["own_nats"]
    ]
    confidence = 1 - (1 - CONFIDENCE) / max(1, len(lines_of))
    for chats, model, change in lines_of:
        lines = record.of(chats, model, change)
        for name in ("base", "tuned") if change in DEFAULTS else ("tuned",):
            saved = effect(
                [line["own_nats"][name + ELSEWHERE] for line in lines],
                [line["own_nats"][name] for line in lines],
                lines[0]["own_chars"],
                (0.0, 1),
                confidence,
            )
            what = "defaults" if change in DEFAULTS else change
            row = f"{chats}, {MODELS[model]}", f"{name}: {what}", _signed(saved)
            rows.append((*row, f"{saved.seeds}"))
    heads = ("chats, model", "", "bits per character that its own context saves", "trainings")
    return table(heads, rows)


def ablations_models() -> str:
    """Both bundled models on all chats, with all settings as they come, against the first."""
    record = Record(runs())
    of_chats = {
        chats: {model: lines for model in MODELS if (lines := record.of(chats, model, *DEFAULTS))}
        for chats in dict.fromkeys(line["chats"] for line in record.lines)
    }
    compared = sum(len(models) == len(MODELS) for models in of_chats.values())
    rows = []
    for chats, models in of_chats.items():
        first = next(iter(models.values()))
        for model, lines in models.items():
            chars = lines[0]["own_chars"]
            base, tuned = (
                [bits(line["own_nats"][name], chars) for line in lines]
                for name in ("base", "tuned")
            )
            difference = ""
            if lines is not first:
                nats, reference = (
                    [line["own_nats"]["tuned"] for line in each] for each in (lines, first)
                )
                confidence = 1 - (1 - CONFIDENCE) / compared
                spread = record.training(chats)
                difference = _signed(effect(nats, reference, chars, spread, confidence))
            rows.append(
                (
                    *(chats, MODELS[model]),
                    *(f"{sum(each) / len(each):.3f}" for each in (base, tuned)),
                    difference,
                    f"{_seconds(lines) / _seconds(first):.2f}",
                    f"{len(lines)}",
                )
            )
    heads = ("chats", "model", "base", "tuned", f"tuned, minus {next(iter(MODELS.values()))}")
    return table((*heads, "training time", "trainings"), rows)


def _seconds(lines: Sequence[Mapping]) -> float:
    return sum(line["processor_seconds"] for line in lines) / len(lines)


def ablations_memory() -> str:
    """What adapters on all linear layers change in a whole run of the demo: bits and memory."""
    rows = []
    for name, folder in WHOLE_RUNS.items():
        trained, scores = (
            json.loads((folder / file).read_text("utf-8")) for file in ("train.json", "eval.json")
        )
        memory = scores["memory"]
        measures = (
            scores["tuned"]["own_bits_per_character"],
            memory["membership"],
            memory["membership_against"]["test"]["recognized"]["0.05"],
        )
        rows.append(
            (
                name,
                f"{trained['trainable_parameters'] / 1e6:.1f} M",
                *(
                    f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]"
                    for value in measures
                ),
                memory["verdict"],
            )
        )
    heads = ("adapters on", "trained", "bits per character", "AUC of membership")
    return table((*heads, "recognized at 5 % false alarms", "safe to share?"), rows)


def ablations_runs() -> str:
    """How many runs there are, on what, and how much trainings differ by the seed alone."""
    record = Record(runs())
    sessions = {
        line["chats"]: (line["replies"], len(line["own_chars"]))
        for line in record.lines
        if line["change"] == "default"
    }
    spread = {chats: record.training(chats)[0] ** 0.5 for chats in sessions}
    rows = [
        (chats, f"{replies}", f"{scored}", f"{spread[chats]:.4f}")
        for chats, (replies, scored) in sessions.items()
    ]
    if not rows:
        return NOTHING_YET
    hours = sum(line["processor_seconds"] for line in record.lines) / 3600
    processors = " and ".join(sorted({line["processor"] for line in record.lines}))
    heads = ("chats", "replies learnt", "sessions scored", "spread between trainings, bits")
    apart = "".join(
        f" Trainings with *{change}* differ on {' and '.join(chats)} by more than all others do: "
        "their spread counts for them alone."
        for change, chats in record.unstable().items()
    )
    return (
        f"{len(record.lines)} trainings, {hours:.1f} hours of processor time for training alone, "
        f"on {processors}. The {record.comparisons()} differences below hold together: each has an "
        f"interval of {1 - (1 - CONFIDENCE) / record.comparisons():.2%}.{apart}\n\n"
        f"{table(heads, rows)}"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; without rows it says that there is nothing yet."""
    if not rows:
        return NOTHING_YET
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


FILLS: tuple[Callable[[], str], ...] = (
    *(
        ablations,
        ablations_summary,
        ablations_examples,
        ablations_context,
        ablations_models,
        ablations_memory,
        ablations_runs,
    ),
)
