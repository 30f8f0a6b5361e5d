"""Experiments that answer the field's open questions: the runs behind docs/findings.md.

    python -m benchmarks.ablations                            # the demo: every run that is missing
    python -m benchmarks.ablations --chats NAME=FOLDER        # chats with their people.yaml
    python -m benchmarks.ablations --only rank history        # some of the questions
    python -m benchmarks.ablations --worker 1/2               # two at once, on a core each

A run trains one model with one change from the defaults and one seed, and scores what it predicts
of the author's replies. It adds a line to docs/results/ablations.jsonl, so that it can be stopped
and gone on with; `make docs` writes the page. A line quotes nobody: sums by session.

What is scored is the *validation* split, enlarged to three of ten replies. The test sessions, on
which README's figures are measured, take no part: whatever defaults follow from these runs, the
test has not chosen them. Nothing else is chosen on validation: each training runs to its end.
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.core import runtime, tables
from espejo.model import hardware, loading, tokenizers
from espejo.training import sft

# isort: split
import argparse
import contextlib
import json
import resource
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple, cast

import pandas as pd
from peft import PeftModel
from transformers import AutoConfig, PreTrainedModel, PreTrainedTokenizerBase

from benchmarks.chats import prepared
from benchmarks.recipes import composed, some
from espejo.core.tables import Turn
from espejo.dataset import leaks
from espejo.formatting import prompts
from espejo.formatting.labels import encode_table
from espejo.formatting.training_texts import training_texts
from espejo.model.pair import ModelPair
from espejo.prediction import few_shot
from espejo.prediction.predictor import Predictor
from espejo.privacy.cleaning import apply_recipe
from tests.helpers.configs import typed

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "ablations.jsonl"
SEEDS = (1, 2, 3)
SCORED = 0.3  # of the replies: ten to fifteen times the sessions that the test has
WATCHED = 4  # texts on which the trainer looks at its loss: nothing is chosen by it
SHOTS = (("same", 3), ("nearest", 3))  # examples in the prompt: kind, number
MORE_SHOTS = ("nearest", 8)  # on the demo only, since such long prompts take an hour


DEFAULT = "default"
OTHER = {"gemma3": "smollm2", "smollm2": "gemma3"}


@dataclass(frozen=True)
class Change:
    """What a run does otherwise than the defaults.

    `settings` go to conf/. What no setting does: the `share` of the training sessions that is
    learnt from, `stripped` for the notebooks' cleaning of what is learnt only, and `alone` for
    replies without any context, in training and scoring.
    """

    settings: tuple[str, ...] = ()
    share: float = 1.0
    stripped: bool = False
    alone: bool = False
    other_model: bool = False  # the bundled model that the chats' language does not suggest
    model: str | None = None  # in place of the suggested one, to which it would be no change
    context: bool = False  # whether it may change how much the model uses what was said


# By question; docs/ablations.py says what each change is.
CHANGES: dict[str, dict[str, Change]] = {
    DEFAULT: {DEFAULT: Change(context=True)},
    "replies_per_text": {
        "one reply a text": Change(("format.replies_per_text=1", "train.batch_size=8"))
    },
    "learning_rate": {
        "a third of the rate": Change(("train.learning_rate={rate/3}",)),
        "three times the rate": Change(("train.learning_rate={rate*3}",)),
    },
    "epochs": {
        "2 epochs": Change(("train.epochs=2",)),
        "3 epochs": Change(("train.epochs=3",)),
    },
    "loss": {"loss on everything": Change(("train.loss=text",), context=True)},
    "history": {
        "no history": Change(("group.history=1",), alone=True),
        "history 1": Change(("group.history=1",), context=True),
        "history 8": Change(("group.history=8",), context=True),
    },
    "data": {
        "10 % of the data": Change(share=0.1, context=True),
        "30 % of the data": Change(share=0.3, context=True),
    },
    "similarity": {
        "similarity filter": Change(
            ("filter.similarity={{encoder:bundled,least:0.3}}",), context=True
        )
    },
    "adapters": {
        "adapters on all linear layers": Change(
            ("train.targets=[q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj]",)
        ),
        "adapters in the upper half": Change(("train.layers={layers/2}",)),
    },
    "cleaning": {"the notebooks' cleaning": Change(stripped=True)},
    "rank": {
        "rank 4": Change(("train.rank=4", "train.alpha=8")),
        "rank 64": Change(("train.rank=64", "train.alpha=128")),
    },
    "model": {"the other model": Change(other_model=True, context=True)},
    "form": {"tags in place of roles": Change(("format=turns",), model="smollm2", context=True)},
}


class Run(NamedTuple):
    """One training: on which chats, which model, which change, which seed."""

    chats: str
    model: str
    change: str
    seed: int


def runs(chats: Sequence[str], only: Sequence[str]) -> Iterator[Run]:
    """All runs in the order in which they are most useful: the defaults, then all else by seed."""
    order = [(DEFAULT, seed) for seed in SEEDS]
    order += [(name, seed) for seed in SEEDS for name in CHANGES if name != DEFAULT]
    for question, seed in order:
        for change, what in CHANGES[question].items() if not only or question in only else ():
            for name in chats:
                model = what.model or suggested(name)
                yield Run(name, OTHER[model] if what.other_model else model, change, seed)


def suggested(chats: str) -> str:
    """The model for those chats: the demo is in Spanish, the public chats in English."""
    return "gemma3" if chats == "demo" else "smollm2"


def settings(run: Run, folder: Path) -> list[str]:
    """What is set for conf/ in `run` on the chats in `folder`."""
    overrides = [
        *(f"data.raw={folder}", f"model={run.model}", f"train.seed={run.seed}"),
        *(f"group.validation={SCORED}", "train.evals_per_run=1", "model.threads=1"),
    ]
    if run.chats != "demo":  # English, public, and read as the published reference read them
        overrides += [
            "format.system=Reply as you always do.",
            *("clean.pseudonyms=null", "clean.pii=keep"),
        ]
    defaults = typed(composed(overrides))
    layers = AutoConfig.from_pretrained(tokenizers.locate(defaults.model)[0]).num_hidden_layers
    rate = defaults.train.learning_rate
    values = {"layers/2": layers // 2, "rate/3": rate / 3, "rate*3": rate * 3}
    for setting in change_of(run.change).settings:
        for name, value in values.items():
            setting = setting.replace(f"{{{name}}}", str(value))
        overrides.append(setting.replace("{{", "{").replace("}}", "}"))
    return overrides


def change_of(name: str) -> Change:
    """The change of that name."""
    return next(changes[name] for changes in CHANGES.values() if name in changes)


def examples(params: Mapping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables EXAMPLES and PEOPLE of the data that `params` name.

    What is to be scored is called test, and the real test sessions are gone.
    """
    table, _, people = prepared(params)
    table = table[table["split"].ne("test")]
    split = table["split"].replace("validation", "test")
    return table.assign(split=split).reset_index(drop=True), people


def stripped(table: pd.DataFrame, characters: str) -> pd.DataFrame:
    """`table` with the notebooks' cleaning of what is learnt; what is scored stays as written."""

    def cleaned(messages: Sequence[str]) -> list[str]:
        texts = apply_recipe(pd.Series(messages, dtype="str"), True, characters)
        return [text for text in texts if text]

    rows = []
    for row in table.to_dict("records"):
        if row["split"] == "train":
            context = [{**turn, "messages": cleaned(turn["messages"])} for turn in row["context"]]
            row["context"] = [turn for turn in context if turn["messages"]]
            row["reply"] = cleaned(row["reply"])
        rows.append(row)
    return pd.DataFrame([row for row in rows if row["reply"]], columns=table.columns)


class InMemory(ModelPair):
    """A model that was just trained, and the same without its adapter; not read from a folder."""

    def __init__(
        self,
        model: PeftModel,
        tokenizer: PreTrainedTokenizerBase,
        manifest: dict,
        names: tuple[str, ...],
    ) -> None:
        self.tokenizer, self.manifest = cast(Any, tokenizer), manifest
        self._model, self._names = model, names

    @contextlib.contextmanager
    def base(self) -> Iterator[PreTrainedModel]:
        """The model before training."""
        with self._model.disable_adapter():
            yield cast(PreTrainedModel, self._model)

    @contextlib.contextmanager
    def tuned(self) -> Iterator[PreTrainedModel]:
        """The trained model."""
        yield cast(PreTrainedModel, self._model)

    def both(self) -> Iterator[tuple[str, PreTrainedModel]]:
        """The models that are measured, by their names."""
        for name in self._names:
            with self.base() if name == "base" else self.tuned() as model:
                yield name, model


def measure(run: Run, folder: Path) -> dict:
    """Train one model and score it: sums by session, and what it took.

    Every reply is scored after its own context and after that of another conversation: the bits
    that its own saves say how much the model uses what was said, with more power than ranks have.
    """
    params = composed(settings(run, folder))
    config, change = typed(params), change_of(run.change)
    with tempfile.TemporaryDirectory() as scratch:
        table, people = examples(params)
        if change.alone:
            table = table.assign(context=[[] for _ in range(len(table))])
        author = tables.author_of(people)
        read_only = tables.names_with(people, "context")
        train, tested = (table[table["split"].eq(name)] for name in ("train", "test"))
        train = some(train, change.share) if change.share < 1 else train
        if change.stripped:
            recipe = typed(composed(["clean=original"])).clean
            train = stripped(train, recipe.characters)
        table = pd.concat([train, tested], ignore_index=True)
        tokenizer = tokenizers.load_tokenizer(config.model)
        prompter = prompts.prompter(tokenizer, config.model, config.format)
        masked = leaks.unlearnt(table, author, leaks.hashed(tested))
        several = config.format.replies_per_text
        learnt = training_texts(train, prompter, author, read_only, several, masked)
        scored = training_texts(tested, prompter, author, read_only, 1)
        sets = encode_table(tokenizer, learnt, config.train.loss)
        rows = encode_table(tokenizer, scored)
        base = loading.load_base(config.model)
        began = resource.getrusage(resource.RUSAGE_SELF)
        trained = sft.train(
            *(base, tokenizer, sets, rows[:WATCHED], config.train, Path(scratch) / "checkpoints"),
            precision=config.model.precision,
        )
        ended = resource.getrusage(resource.RUSAGE_SELF)
    assert isinstance(trained.model, PeftModel)  # no change trains all weights
    trained.model.eval()
    compared = run.change == DEFAULT or change.other_model
    names = ("base", "tuned") if compared else ("tuned",)
    manifest = {"model": params["model"], "format": params["format"]}
    pair = InMemory(trained.model, tokenizer, manifest, names)
    predictor = Predictor(pair, table, author, config.predict, config.generate)
    sums: dict[str, pd.DataFrame] = {}
    for name, chosen in pair.both():
        sums[name] = predictor.sums(tested, chosen, name)
        if change.context:
            elsewhere = tested.assign(context=exchanged(tested["context"].tolist()))
            sums[f"{name}, another context"] = predictor.sums(elsewhere, chosen, name)
    if run.change == DEFAULT and run.seed == SEEDS[0]:  # long prompts: dear, and the base is one
        sums |= prompted(run, predictor, train, tested, author)
    return {
        **run._asdict(),
        "settings": settings(run, folder)[1:],
        "texts": len(sets),
        "replies": len(train),
        "steps": trained.metrics["steps"],
        "processor_seconds": ended.ru_utime + ended.ru_stime - began.ru_utime - began.ru_stime,
        "processor": hardware.processor(),
        "precision": str(hardware.dtype_of(config.model.precision)).removeprefix("torch."),
        "own_nats": {name: by_session(table, tested, "own_nats") for name, table in sums.items()},
        "own_chars": by_session(sums["tuned"], tested, "own_chars"),
    }


def prompted(
    run: Run,
    predictor: Predictor,
    train: pd.DataFrame,
    tested: pd.DataFrame,
    author: str,
) -> dict[str, pd.DataFrame]:
    """Sums with k examples of the author in the prompt, of the base and the tuned model."""
    contexts, most = tested["context"].tolist(), predictor.config.shot_chars
    result = {}
    for kind, k in SHOTS if run.chats != "demo" else (*SHOTS, MORE_SHOTS):
        if kind == "same":
            shots = [few_shot.fixed(train, author, k, most, predictor.config.seed)] * len(tested)
        else:
            shots = few_shot.nearest(train, contexts, author, k, most)
        for name, model in predictor.pair.both():
            label = f"{name}, {k} {kind} examples"
            result[label] = predictor.sums(tested, model, label, shots)
    return result


def exchanged(contexts: Sequence[list[Turn]]) -> list[list[Turn]]:
    """The `contexts` [n] of replies in order of time, each that of a reply n / 2 further on."""
    half = len(contexts) // 2
    return [*contexts[half:], *contexts[:half]]


def by_session(sums: pd.DataFrame, tested: pd.DataFrame, column: str) -> dict[str, float]:
    """Session -> the sum of `column` over its replies."""
    totals = sums[column].groupby(tested["session"].to_numpy()).sum()
    return {str(session): round(float(total), 4) for session, total in totals.items()}


def main() -> None:
    """Every run that is missing."""
    parser = argparse.ArgumentParser(description="Run the experiments behind docs/findings.md.")
    parser.add_argument("--chats", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--only", nargs="*", default=[], choices=list(CHANGES))
    parser.add_argument("--worker", default="1/1", help="which of how many that share the runs")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--list", action="store_true", help="only say what is missing")
    options = parser.parse_args()
    folders = {"demo": ROOT / "data" / "raw" / "demo"}
    for name, folder in (chats.split("=", 1) for chats in options.chats):
        folders[name] = Path(folder).resolve()
    worker, workers = map(int, options.worker.split("/"))
    # A process for each run: in one, what trainings leave behind grew to eight gigabytes.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for number, run in enumerate(runs(list(folders), options.only)):
            if number % workers != worker - 1 or run in done(options.out):
                continue
            if options.list:
                print(*run)
                continue
            began = time.perf_counter()
            line = json.dumps(pool.submit(measure, run, folders[run.chats]).result())
            with options.out.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            print(*run, f"{time.perf_counter() - began:.0f} s", flush=True)


def done(path: Path) -> set[Run]:
    """The runs that the file at `path` holds."""
    if not path.is_file():
        return set()
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return {Run(*(line[name] for name in Run._fields)) for line in lines}


if __name__ == "__main__":
    runtime.restart_if_torch_came_first()
    main()
