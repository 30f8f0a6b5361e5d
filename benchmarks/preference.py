"""Is preference tuning worth it? The supervised model against the same after DPO.

    python -m benchmarks.preference --work FOLDER                    # the demo, seed 1
    python -m benchmarks.preference --work FOLDER --seeds 1 2 3
    python -m benchmarks.preference --work FOLDER --chats NAME=DIR   # chats with their people.yaml

For each seed a model is trained once, and once more from there for each variant. What it replies
and what each reply costs stay in FOLDER, so that a run goes on where it stopped; what they come to,
over all seeds, goes into docs/results/preference.json, and `make docs` fills the page. That file
quotes nobody.

Everything is measured on the *validation* split, enlarged to three of ten replies: whatever follows
from it, the test has not chosen it.
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.core import metrics, runtime, tables
from espejo.model import hardware, loading, tokenizers
from espejo.training import preference

# isort: split
import argparse
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple, cast

import pandas as pd
from peft import PeftModel
from transformers import PreTrainedModel

from benchmarks.chats import prepared
from benchmarks.recipes import composed
from espejo.core.text import ngrams, words
from espejo.dataset import leaks
from espejo.evaluation import habits, intervals, membership, style, two_sample
from espejo.evaluation.config import EvaluateConfig
from espejo.formatting import prompts
from espejo.formatting.labels import encode, encode_table
from espejo.formatting.training_texts import training_texts
from espejo.model.generation import generation_config, reply_all
from espejo.prediction import losses
from espejo.prediction.predictor import evenly_spaced, own_characters
from tests.helpers.configs import typed

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "preference.json"
SCORED = 0.3  # of the replies are validation
CONTEXTS = 80  # of them are answered
LIKELIHOODS = 160  # of them are scored
MEMBERS = 100  # replies that were learnt are scored
SUPERVISED = "supervised"
# What is set on top of `-S train=dpo`.
VARIANTS: dict[str, tuple[str, ...]] = {
    SUPERVISED: (),
    "DPO, beta 0.1": (),
    "DPO, beta 0.3": ("train.preference.beta=0.3",),
    "DPO, beta 0.1, four times the rate": ("train.preference.learning_rate=2e-4",),
    "DPO, beta 0.1, four times the rate, likelihood beside it": (
        *("train.preference.learning_rate=2e-4", "train.preference.likelihood_weight=1.0"),
    ),
}


class Data(NamedTuple):
    """Tables EXAMPLES (without the test) and TURNS of some chats, and who their author is."""

    examples: pd.DataFrame
    turns: pd.DataFrame
    author: str
    read_only: frozenset[str]

    def answered(self) -> pd.DataFrame:
        """The validation examples whose contexts are answered."""
        return evenly_spaced(self._split("validation"), CONTEXTS)

    def scored(self) -> pd.DataFrame:
        """The examples of validation, and those that were learnt, whose replies are scored."""
        held_out, train = (
            rows[own_characters(rows) > 0]
            for rows in (self._split("validation"), self._split("train"))
        )
        parts = [evenly_spaced(held_out, LIKELIHOODS), evenly_spaced(train, MEMBERS)]
        return pd.concat(parts, ignore_index=True)

    def _split(self, name: str) -> pd.DataFrame:
        rows = self.examples
        return rows[rows["split"].eq(name)].reset_index(drop=True)


def settings(chats: str, folder: Path, seed: int, variant: str) -> list[str]:
    """What is set for conf/ in the run of a `variant` on the chats in `folder`."""
    public = [
        *("model=smollm2", "format.system=Reply as you always do."),
        *("clean.pseudonyms=null", "clean.pii=keep"),
    ]
    return [
        *(f"data.raw={folder}", "train=dpo", f"train.seed={seed}", "train.evals_per_run=1"),
        *(f"group.validation={SCORED}", "model.threads=1"),
        *(public if chats != "demo" else ["model=gemma3"]),  # which are in English, and public
        *VARIANTS[variant],
    ]


def read(params: Mapping) -> Data:
    """The data that `params` name, without the test."""
    examples, turns, people = prepared(params)
    examples, turns = (rows[rows["split"].ne("test")] for rows in (examples, turns))
    return Data(
        examples.reset_index(drop=True),
        turns.reset_index(drop=True),
        tables.author_of(people),
        frozenset(tables.names_with(people, "context")),
    )


def measure(params: Mapping, data: Data, variant: str, seed: int, work: Path, shared: Path) -> None:
    """Train and ask one variant; writes `work`: losses.parquet, replies.parquet, run.json.

    The folder `shared` holds the supervised model and the pairs of the seed, for all its variants.
    """
    config = typed(params)
    tokenizer = tokenizers.load_tokenizer(config.model)
    prompter = prompts.prompter(tokenizer, config.model, config.format)
    training = data.examples["split"].eq("train")
    train = data.examples[training].reset_index(drop=True)
    masked = leaks.unlearnt(train, data.author, leaks.hashed(data.examples[~training]))
    several = config.format.replies_per_text
    texts = training_texts(train, prompter, data.author, data.read_only, several, masked)
    rows = encode_table(tokenizer, texts, config.train.loss)
    scored, answered = data.scored(), data.answered()
    written = [
        prompter.example(row.context, row.reply, data.author, row.group)
        for row in scored.itertuples()
    ]
    encoded = [encode(tokenizer, text, spans) for text, spans in written]
    base = loading.load_base(config.model)
    checkpoints = work / "checkpoints"
    for file in ("supervised.safetensors", "supervised.json", "pairs.json"):
        if (shared / file).is_file():
            checkpoints.mkdir(parents=True, exist_ok=True)
            shutil.copy(shared / file, checkpoints)
    began = time.process_time()
    arguments = (base, tokenizer, rows, encoded[:4], config.train, checkpoints)
    if variant == SUPERVISED:
        trained = preference.supervised(*arguments, precision=config.model.precision)
    else:
        trained = preference.train(texts, prompter, *arguments, precision=config.model.precision)
    seconds = time.process_time() - began
    shared.mkdir(parents=True, exist_ok=True)
    for kept in checkpoints.glob("*.*"):
        shutil.copy(kept, shared)
    learner = cast(PeftModel, trained.model).eval()
    model = cast(PreTrainedModel, learner)

    def sums(name: str) -> pd.DataFrame:
        nats = losses.token_losses(model, encoded, config.predict.batch_tokens, name)
        table = losses.per_example(nats, encoded, [spans for _, spans in written])
        return table.assign(model=name).join(scored[["id", "session", "split"]])

    parts = [sums("tuned")]
    if variant == SUPERVISED:
        with learner.disable_adapter():
            parts.append(sums("base"))
    replies = reply_all(
        model,
        tokenizer,
        [prompter.prompt(row.context, data.author, row.group) for row in answered.itertuples()],
        generation_config(tokenizer, prompter.end, config.generate),
        prompter.stops,
        seed,
        batch=config.predict.reply_batch,
    )
    pd.concat(parts, ignore_index=True).to_parquet(work / "losses.parquet")
    pd.DataFrame(
        {
            "session": answered["session"].to_numpy(),
            "messages": [prompter.bubbles(reply.text) for reply in replies],
            "finished": [reply.finished for reply in replies],
        }
    ).to_parquet(work / "replies.parquet")
    about = {
        "processor_seconds": seconds,
        "processor": hardware.processor(),
        "precision": str(hardware.dtype_of(config.model.precision)).removeprefix("torch."),
        "training": trained.metrics,
    }
    shutil.rmtree(checkpoints)
    (work / "run.json").write_text(json.dumps(about), "utf-8")  # last: the run is complete


class Runs(NamedTuple):
    """What the runs of one variant gave, one after another by seed."""

    losses: pd.DataFrame
    replies: pd.DataFrame
    about: list[dict]


def collected(place: Path, seeds: Sequence[int], variant: str) -> Runs:
    """The finished runs of a `variant` with these `seeds`."""
    folders = [folder_of(place, seed, variant) for seed in seeds]
    frames = [
        pd.concat(
            [pd.read_parquet(folder / f"{name}.parquet").assign(seed=seed) for seed, folder in
             zip(seeds, folders, strict=True)],
            ignore_index=True,
        )
        for name in ("losses", "replies")
    ]  # fmt: skip
    about = [json.loads((folder / "run.json").read_text("utf-8")) for folder in folders]
    return Runs(frames[0], frames[1], about)


def summary(data: Data, place: Path, seeds: Sequence[int], config: EvaluateConfig) -> dict:
    """The numbers of every variant that all `seeds` have, and its differences to the supervised.

    Replies and losses of all seeds are pooled by session; a difference in likelihood, length and
    repetition is that of pairs, of the same context and seed.
    """
    variants = [
        name
        for name in VARIANTS
        if all((folder_of(place, seed, name) / "run.json").is_file() for seed in seeds)
    ]
    runs = {name: collected(place, seeds, name) for name in variants}
    first = runs[SUPERVISED]
    answered = data.answered()
    real, sessions = answered["reply"].tolist(), answered["session"].tolist()
    sources = {
        name: style.Replies(run.replies["messages"].tolist(), run.replies["session"].tolist())
        for name, run in runs.items()
    }
    scores = style.author_score(data.turns, data.author, sources, config)
    own = data.turns[data.turns["author"].eq(data.author) & data.turns["split"].eq("train")]
    base = first.losses[first.losses["model"].eq("base")]
    result: dict[str, dict] = {}
    for name, run in runs.items():
        replies, tuned = run.replies, run.losses[run.losses["model"].eq("tuned")]
        held_out = tuned[tuned["split"].eq("validation")].reset_index(drop=True)
        of_first = first.losses[first.losses["model"].eq("tuned")]
        reference = of_first[of_first["split"].eq("validation")].reset_index(drop=True)
        texts, places = replies["messages"].tolist(), replies["session"].tolist()
        told = two_sample.told_apart(real, texts, sessions, config, places)
        off, counted = 0, 0
        for _, one_seed in replies.groupby("seed"):
            table = habits.habits(
                *(real, one_seed["messages"].tolist(), (~one_seed["finished"]).tolist()),
                *(own["messages"].tolist(), own["session"].tolist(), config.seed),
            )
            off += sum(row["distance"] > row["own_high"] for row in table.values())
            counted += len(table)
        repeats = [_repeats(reply) for reply in texts]
        before = first.replies["messages"].tolist()
        lengths = [_length(reply) for reply in texts]
        scale = tuned[tuned["seed"].eq(seeds[0])]
        both = pd.concat([base[base["seed"].eq(seeds[0])], scale.assign(model="tuned")])
        both = both.assign(split=both["split"].replace("validation", "test"))
        result[name] = {
            "told_apart": told,
            "author_score": scores[name],
            "own_bits_per_character": intervals.ratio(
                *(held_out["own_nats"], held_out["own_chars"], held_out["session"], config, _bits)
            ),
            "habits_off": off / len(seeds),
            "habits": counted / len(seeds),
            "repeated_trigrams": intervals.share(repeats, places, config),
            "characters": intervals.mean(lengths, places, config),
            "endless": intervals.share((~replies["finished"]).tolist(), places, config),
            "membership": membership.evaluate(both, config)["membership"],
            "processor_seconds": sum(about["processor_seconds"] for about in run.about)
            / len(seeds),
            "preference": _mean_of([about["training"].get("preference") for about in run.about]),
            "against_supervised": {}
            if name == SUPERVISED
            else {
                "told_apart": intervals.difference(told, result[SUPERVISED]["told_apart"]),
                "own_bits_per_character": intervals.ratio(
                    held_out["own_nats"] - reference["own_nats"],
                    *(held_out["own_chars"], held_out["session"], config, _bits),
                ),
                "author_score": intervals.difference(scores[name], scores[SUPERVISED]),
                "repeated_trigrams": intervals.share_difference(
                    repeats, [_repeats(reply) for reply in before], places, config
                ),
                "characters": intervals.mean(
                    [new - _length(old) for new, old in zip(lengths, before, strict=True)],
                    *(places, config),
                ),
            },
        }
    return {
        "seeds": len(seeds),
        "contexts": len(answered),
        "sessions": int(answered["session"].nunique()),
        "scored": int((held_out["seed"] == seeds[0]).sum()),
        "real_characters": float(pd.Series([_length(reply) for reply in real]).mean()),
        "author_ceiling": scores["ceiling"],
        "author_floor": scores["floor"],
        "real_repeated_trigrams": float(pd.Series([_repeats(reply) for reply in real]).mean()),
        "processor": first.about[0]["processor"],
        "precision": first.about[0]["precision"],
        "variants": result,
    }


def _mean_of(phases: Sequence[Mapping | None]) -> dict[str, float]:
    """Means over the seeds of what metrics/train.json says of the second phase."""
    names = ("pairs", "steps", "reward_accuracy", "reward_margin", "reward_chosen")
    some = [phase for phase in phases if phase]
    return {name: sum(phase[name] for phase in some) / len(some) for name in names if some}


def _repeats(reply: Sequence[str]) -> bool:
    """Whether three words come twice in a reply."""
    text = list(chain.from_iterable(words(message) for message in reply))
    every = list(ngrams(text, 3))
    return len(set(every)) < len(every)


def _length(reply: Sequence[str]) -> int:
    return sum(map(len, reply))


def _bits(nats: float) -> float:
    return nats / 0.6931471805599453


def folder_of(place: Path, seed: int, variant: str) -> Path:
    """Where the run of a `variant` and `seed` is kept."""
    return place / f"{list(VARIANTS).index(variant)}-{seed}"


def missing(place: Path, seeds: Sequence[int], variants: Sequence[str]) -> Iterator[tuple]:
    """Each seed and variant without a finished run, in order."""
    for seed in seeds:
        for variant in variants:
            if not (folder_of(place, seed, variant) / "run.json").is_file():
                yield seed, variant


def main(write: Callable[[Mapping, Path], None] = metrics.write) -> None:
    """Every run that is missing, and what all of them come to."""
    parser = argparse.ArgumentParser(description="Measure preference tuning.")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--chats", default=f"demo={ROOT / 'data' / 'raw' / 'demo'}")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--variants", type=int, nargs="*", default=[*range(len(VARIANTS))])
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    chats, _, folder = options.chats.partition("=")
    place = (options.work / chats).resolve()
    chosen = [list(VARIANTS)[index] for index in options.variants]
    data = read(composed(settings(chats, Path(folder).resolve(), 1, SUPERVISED)))
    for seed, variant in missing(place, options.seeds, chosen):
        began = time.perf_counter()
        params = composed(settings(chats, Path(folder).resolve(), seed, variant))
        work = folder_of(place, seed, variant)
        work.mkdir(parents=True, exist_ok=True)
        measure(params, data, variant, seed, work, place / f"shared-{seed}")
        print(seed, variant, f"{time.perf_counter() - began:.0f} s", flush=True)
    config = typed(composed([])).evaluate
    so_far = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else {}
    write(so_far | {chats: summary(data, place, options.seeds, config)}, options.out)


if __name__ == "__main__":
    runtime.restart_if_torch_came_first()
    main()
