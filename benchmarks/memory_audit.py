"""What a model remembers: the audit of models that should remember little, and of some much.

    python -m benchmarks.memory_audit default          # some minutes on one core
    python -m benchmarks.memory_audit --list           # the runs, and what is set in each
    python -m benchmarks.memory_audit default --again  # the numbers anew, from what the run left

Each run trains and audits (`experiment=audit`) in a clone of its own under --work and writes
numbers, never text, to docs/results/audit/NAME.json. A run that was killed goes on where it
stopped. Beside what `evaluate` measures it compares membership attacks that need nothing but the
losses of tokens.
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.core import metrics, tables

# isort: split
import argparse
import json
import os
import resource
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from espejo.dataset import canaries
from espejo.dataset.canaries import AuditConfig
from espejo.evaluation import membership
from espejo.evaluation.config import EvaluateConfig
from espejo.formatting.labels import encode
from espejo.formatting.prompts import trained_prompter
from espejo.model.pair import ModelPair
from espejo.prediction import losses
from espejo.prediction.predictor import learnt_examples

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "docs" / "results" / "audit"
WORK = ROOT / ".dvc" / "tmp" / "memory_audit"
# Of no use here, and it costs more than the audit: examples in the prompt, ranked replies.
CHOICES = ("experiment=audit", "predict.shots=0", "predict.ranked_contexts=10")
# What is set beside. A tenth of the replies, learnt ten times: what must be seen.
RUNS: dict[str, tuple[str, ...]] = {
    "default": (),
    "whole-texts": ("train.loss=text",),
    "three-epochs": ("train.epochs=3",),
    "triple-rate": ("train.learning_rate=3e-3",),
    "all-linear": ("train.targets=[q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj]",),
    "overfitted": ("audit.set_aside=0.9", "train.epochs=10", "train.evals_per_run=1"),
}
TOKENS = "tokens.parquet"
LOWEST = 0.2  # of the tokens, those that Min-K% looks at
CONTROL = 200  # random halves
SIZES = (25, 50, 100, 200, 400)  # learnt replies
DRAWS = 200


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", nargs="?", choices=RUNS)
    parser.add_argument("--work", type=Path, default=WORK, help="folder for clones")
    parser.add_argument("--again", action="store_true", help="only the numbers, no model")
    parser.add_argument("--tokens", action="store_true", help=argparse.SUPPRESS)  # in the clone
    parser.add_argument("--list", action="store_true", help="the runs")
    arguments = parser.parse_args()
    if arguments.tokens:
        score_tokens(ROOT).to_parquet(ROOT / TOKENS)
        return
    if arguments.list or not arguments.name:
        for name, overrides in RUNS.items():
            print(f"{name:14} {' '.join((*CHOICES, *overrides))}")
        return
    folder = arguments.work.resolve() / arguments.name
    if not arguments.again:
        run(folder, RUNS[arguments.name])
    RESULTS.mkdir(parents=True, exist_ok=True)
    written = numbers(folder, RUNS[arguments.name])
    metrics.write(written, RESULTS / f"{arguments.name}.json")
    print(f"memory_audit: docs/results/audit/{arguments.name}.json")


def run(folder: Path, overrides: tuple[str, ...]) -> None:
    """Train, audit and score in a clone in `folder`."""
    if not (folder / ".git").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "-q", ROOT, folder], check=True)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    choices = [*CHOICES, *overrides]
    for part in (
        ("compose", ["conf/compose.py", *choices]),
        ("train", ["-m", "dvc", "repro", "train"]),
        ("evaluate", ["-m", "dvc", "repro", "evaluate"]),
        ("tokens", ["-m", "benchmarks.memory_audit", folder.name, "--tokens"]),
    ):
        name, command = part
        seconds = folder / f"{name}.seconds"
        if seconds.exists():
            continue
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True, cwd=folder, env=environment)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        seconds.write_text(f"{used:.0f}\n", "utf-8")


def score_tokens(root: Path) -> pd.DataFrame:
    """The losses of the tokens of all replies that are learnt, set aside or tested in `root`.

    A row a reply: id, session, split, chars (of its messages), zipped (bytes of these compressed),
    base and tuned (nats of each token of its messages) and base_all, tuned_all (with separators and
    the end, summed).
    """
    params = yaml.safe_load((root / "params.yaml").read_text("utf-8"))
    audit, batch_tokens = AuditConfig(**params["audit"]), params["predict"]["batch_tokens"]
    pair = ModelPair(root / "model")
    texts = tables.read(root / "data" / "formatted.parquet", tables.FORMATTED)
    examples = tables.read(root / "data" / "filtered.parquet", tables.EXAMPLES)
    author = tables.author_of(tables.read(root / "data" / "people.parquet", tables.PEOPLE))
    rows = learnt_examples(canaries.set_aside(examples, audit), texts["id"], pair.manifest)
    rows = rows[rows["split"].ne("validation")].reset_index(drop=True)
    prompter = trained_prompter(pair.tokenizer, pair.manifest)
    encoded = [
        encode(pair.tokenizer, *prompter.example(row.context, row.reply, author, row.group))
        for row in rows.itertuples()
    ]
    lines = rows["reply"].map("\n".join)
    columns = {
        "chars": rows["reply"].map(lambda messages: sum(map(len, messages))),
        "zipped": lines.map(lambda text: len(zlib.compress(text.encode()))),
    }
    for name, model in pair.both():
        scored = losses.token_losses(model, encoded, batch_tokens, f"tokens {name}")
        own = [
            np.array([kind == "message" for kind in row["kinds"] if kind], bool) for row in encoded
        ]
        columns[name] = [nats[mask].tolist() for nats, mask in zip(scored, own, strict=True)]
        columns[f"{name}_all"] = [float(nats.sum()) for nats in scored]
    table = rows[["id", "session", "split"]].assign(**columns)
    return table[table["chars"].gt(0)].reset_index(drop=True)


def attacks(table: pd.DataFrame) -> pd.DataFrame:
    """Scores of membership of each reply of `score_tokens`, the higher the likelier it was learnt.

    The tuned model alone: its loss (Yeom et al. 2018), beside the compressed length (Carlini et al.
    2021), of the least likely tokens (Min-K%, Shi et al. 2024). With the base model as reference
    (Carlini et al. 2022): the difference of the losses in several forms, and their ratio. The base
    model alone, which cannot know.
    """
    base, tuned = ([np.asarray(nats) for nats in table[name]] for name in ("base", "tuned"))
    saved = [before - after for before, after in zip(base, tuned, strict=True)]
    sums = {
        name: np.array([nats.sum() for nats in rows])
        for name, rows in (("base", base), ("tuned", tuned), ("saved", saved))
    }
    chars = table["chars"].to_numpy()
    sizes = np.array([len(nats) for nats in tuned])
    least = {
        name: np.array([_largest(nats).mean() for nats in rows])
        for name, rows in (("base", base), ("tuned", tuned))
    }
    scores = {
        "base_alone": -sums["base"] / chars,
        "loss": -sums["tuned"] / chars,
        "loss_per_token": -sums["tuned"] / sizes,
        "loss_by_zlib": -sums["tuned"] / table["zipped"].to_numpy(),
        "min_k": -least["tuned"],
        "difference": sums["saved"] / chars,
        "difference_per_token": sums["saved"] / sizes,
        "difference_summed": sums["saved"],
        "difference_with_marks": (table["base_all"] - table["tuned_all"]).to_numpy() / chars,
        "min_k_difference": least["base"] - least["tuned"],
        "ratio": -sums["tuned"] / sums["base"],
    }
    return table[["id", "session", "split"]].assign(**scores)


def _largest(nats: np.ndarray) -> np.ndarray:
    """The LOWEST share of the tokens by likelihood, at least one."""
    return np.sort(nats)[-max(1, round(LOWEST * len(nats))) :]


def numbers(folder: Path, overrides: tuple[str, ...]) -> dict:
    """What a run showed: what `evaluate` measured, the attacks, and how sure they are."""
    params = yaml.safe_load((folder / "params.yaml").read_text("utf-8"))
    config = EvaluateConfig(**params["evaluate"])
    scores = json.loads((folder / "metrics" / "eval.json").read_text("utf-8"))
    trained = json.loads((folder / "metrics" / "train.json").read_text("utf-8"))
    table = attacks(pd.read_parquet(folder / TOKENS))
    learnt, aside, test = (
        table[table["split"].eq(name)].reset_index(drop=True)
        for name in ("train", "set_aside", "test")
    )
    return {
        "command": f"python -m benchmarks.memory_audit {folder.name}",
        "choices": [*CHOICES, *overrides],
        "model": params["model"]["name"],
        "processor_seconds": {
            name: int((folder / f"{name}.seconds").read_text("utf-8"))
            for name in ("train", "evaluate", "tokens")
        },
        "replies": {"learnt": len(learnt), "set_aside": len(aside), "test": len(test)},
        "steps": trained["steps"],
        "loss_train": trained["loss_train"],
        "own_bits_per_character": {
            name: scores[name]["own_bits_per_character"] for name in ("base", "tuned")
        },
        "memory": scores["memory"],
        "attacks": {
            name: {
                split: {
                    "auc": membership.auc(learnt, others, name, config),
                    "recognized": {
                        str(share): membership.recognized(learnt, others, name, share, config)
                        for share in membership.FALSE_ALARMS
                    },
                }
                for split, others in (("set_aside", aside), ("test", test))
            }
            for name in table.columns.drop(["id", "session", "split"])
        },
        "sizes": {
            name: sizes(learnt, others, config)
            for name, others in (("set_aside", aside), ("test", test))
        },
        "control": control(aside, config),
    }


def sizes(learnt: pd.DataFrame, others: pd.DataFrame, config: EvaluateConfig) -> dict:
    """How the AUC and the width of its interval depend on how many learnt replies are scored.

    Of DRAWS random samples of each size: mean width, and the standard deviation of the AUC.
    """
    rng, rows = np.random.default_rng(config.seed), {}
    for size in [*(size for size in SIZES if size < len(learnt)), len(learnt)]:
        drawn = []
        for _ in range(DRAWS if size < len(learnt) else 1):
            some = learnt.iloc[rng.choice(len(learnt), size, replace=False)]
            drawn.append(membership.auc(some, others, "difference", config))
        rows[str(size)] = {
            "width": float(
                np.mean([each["high"] - each["low"] for each in drawn if "low" in each])
            ),
            "deviation": float(np.std([each["value"] for each in drawn])),
        }
    return rows


def control(aside: pd.DataFrame, config: EvaluateConfig) -> dict:
    """The AUC between two random halves of the sessions that were never learnt: 0.5 on average.

    `excluded`: how often the interval does not hold 0.5; for one of 95 % about one in twenty.
    """
    rng, measures = np.random.default_rng(config.seed), []
    names = aside["session"].unique()
    for _ in range(CONTROL):
        first = aside["session"].isin(rng.permutation(names)[: len(names) // 2])
        measures.append(membership.auc(aside[first], aside[~first], "difference", config))
    ends = [(each["low"], each["high"]) for each in measures if "low" in each]
    return {
        "mean": float(np.mean([each["value"] for each in measures])),
        "excluded": float(np.mean([not low <= 0.5 <= high for low, high in ends]))
        if ends
        else None,
        "halves": len(measures),
    }


if __name__ == "__main__":
    main()
