"""What training costs with trl's own command, with the notebooks' recipe, and with ours.

    python -m benchmarks.peers                     # each recipe that is missing in the result
    python -m benchmarks.peers --only "trl sft"    # some of them

All learn the same training replies on the same base model (SmolLM2, bundled) and are scored on the
same test replies, by our scorer (bits per own character). Each trains in a process of its own, on
one thread, and the clock is that of the processor: it runs in training steps only, not while a
model is loaded, scored or saved. A recipe is kept in docs/results/peers.json when it is measured.

For trl a user writes CONVERT and runs a command. Both are executed here as they stand, the command
by the function that `trl sft` calls: so that the clock can listen, the process adds a callback to
trl's trainer, and nothing else. Of espejo, which changes trl where it trains, only the scorer is in
that process.
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.core import metrics, tables
from espejo.model import bundled, hardware, tokenizers

# isort: split
import argparse
import contextlib
import functools
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence, Sized
from importlib.metadata import version
from pathlib import Path
from typing import cast
from unittest import mock

import torch
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, TrainerCallback, TrainerState, TrainingArguments

from benchmarks.recipes import (
    DATA,
    MODEL,
    Clock,
    Padded,
    bits,
    composed,
    peak_memory,
    reached,
    some,
    texts,
)
from espejo.formatting.labels import encode_table
from tests.helpers.configs import typed

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "peers.json"
SHARE, TEST_SHARE = 0.15, 0.2  # of the sessions of the demo: an hour of one core in all
LOOKS = 6  # evaluations on the test replies while a recipe trains

# From the table of replies to what trl reads. Its assistant-only loss needs a chat template with
# {% generation %}, and trl refuses SmolLM2's, which has none. Its documented alternative for a loss
# on the answer alone is a data set of prompts and completions. The form is that of our own texts.
CONVERT = """
import json
from itertools import groupby
import pandas as pd

AUTHOR, SYSTEM, BETWEEN = "Juli", "Respondé como siempre.", "<|msg_sep|>"
examples = pd.read_parquet("filtered.parquet")
with open("chats/train.jsonl", "w", encoding="utf-8") as file:
    for row in examples[examples["split"] == "train"].itertuples():
        prompt = []
        for own, turns in groupby(row.context, lambda turn: turn["author"] == AUTHOR):
            texts = [(turn["author"], BETWEEN.join(turn["messages"])) for turn in turns]
            named = [f"{name}: {text}" if row.group and not own else text for name, text in texts]
            prompt.append({"role": "assistant" if own else "user", "content": BETWEEN.join(named)})
        if not prompt or prompt[0]["role"] == "assistant":
            prompt.insert(0, {"role": "user", "content": "…"})
        if prompt[-1]["role"] == "assistant":
            prompt.append({"role": "user", "content": "…"})
        prompt.insert(0, {"role": "system", "content": SYSTEM})
        completion = [{"role": "assistant", "content": BETWEEN.join(row.reply)}]
        file.write(json.dumps({"prompt": prompt, "completion": completion}) + "\\n")
"""
# The flags of trl's documentation for LoRA, and --use_cpu, without which it refuses to train here;
# all else is what trl takes where nothing is said.
COMMAND = """
trl sft --model_name_or_path MODEL --dataset_name chats --output_dir tuned \\
    --use_peft --learning_rate 2e-4 --use_cpu
"""
# What who knows our settings can tell trl: whatever is left is not in the settings.
OUR_SETTINGS = """
trl sft --model_name_or_path MODEL --dataset_name chats --output_dir tuned \\
    --use_peft --lora_target_modules TARGETS --lora_dropout 0 --learning_rate RATE \\
    --lr_scheduler_type cosine --warmup_steps 0.03 --num_train_epochs 1 \\
    --per_device_train_batch_size 8 --dtype bfloat16 --gradient_checkpointing false --use_cpu
"""
OURS = "dvc exp run -S model=smollm2"
ORIGINAL = f"{OURS} -S experiment=original"

# By name: what a user types, and the settings that espejo takes, or None where trl trains.
RECIPES: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "ours": (OURS, ()),
    "trl sft": (CONVERT + COMMAND, None),
    "trl sft, our settings": (CONVERT + OUR_SETTINGS, None),
    "notebooks, LoRA": (
        f"{ORIGINAL} -S train=lora -S train.learning_rate=2e-4 -S model.precision=bfloat16",
        (
            *("experiment=original", "train=lora", "train.dropout=0.05", "train.padding=null"),
            *("train.learning_rate=2e-4", "model.precision=bfloat16"),
        ),
    ),
    "notebooks, all weights": (ORIGINAL, ("experiment=original",)),
}


def lines(typed_by_user: str) -> int:
    """Lines of code and commands, without blank ones; a continued command counts once a line."""
    return sum(bool(line.strip()) for line in typed_by_user.splitlines())


def convert(folder: Path, share: float) -> None:
    """Run CONVERT in `folder`, on that share of the sessions: writes chats/train.jsonl."""
    parts = [some(rows, share) for _, rows in tables.read(DATA, tables.EXAMPLES).groupby("split")]
    train = next(rows for rows in parts if rows["split"].iloc[0] == "train")
    train.to_parquet(folder / "filtered.parquet")
    (folder / "chats").mkdir()
    with contextlib.chdir(folder):
        exec(compile(CONVERT, "convert.py", "exec"), {})


def flags(command: str, params: Mapping) -> list[str]:
    """What stands after `trl sft` in one of the commands above, with what `params` say."""
    told = {
        "MODEL": str(bundled.folder("smollm2")),
        "RATE": str(params["train"]["learning_rate"]),
        "TARGETS": " ".join(params["train"]["targets"]),
    }
    for name, value in told.items():
        command = command.replace(name, value)
    return shlex.split(command.replace("\\\n", " "))[2:]


def train_with_trl(command: str, share: float, test_share: float) -> dict:
    """Run a command `trl sft` in this process, and what it took."""
    import trl
    from trl.scripts import sft

    if {"espejo.training.sft", "espejo.training.frozen_head"} & set(sys.modules):
        raise RuntimeError("espejo's training is loaded, so that trl is no longer as it comes")
    params = composed([MODEL])
    model = typed(params).model
    test = texts(params, share, test_share)["test"]
    rows = encode_table(tokenizers.load_tokenizer(model), test)
    clock = Clock(lambda trained: bits(trained, rows, test), LOOKS, time.process_time)
    padded = Padded()
    seen = _Seen()
    listened = functools.partial(trl.SFTTrainer, callbacks=[clock, padded, seen])
    arguments = flags(command, params)
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        convert(Path(scratch), share)
        parsed = sft.make_parser().parse_args_and_config(arguments, fail_with_unknown_args=False)
        with mock.patch.object(trl, "SFTTrainer", listened):  # the script imports this name
            sft.main(*parsed)
    assert seen.model is not None  # it has trained
    assert seen.args is not None
    weights = list(seen.model.parameters())
    frozen = str(next(p for p in weights if not p.requires_grad).dtype).removeprefix("torch.")
    mixed = seen.args.bf16 and frozen == "float32"
    return {
        "texts": seen.texts,
        "epochs": int(seen.args.num_train_epochs),
        "steps": seen.steps,
        "trained_parameters": sum(p.numel() for p in weights if p.requires_grad),
        "precision": "float32, products in bfloat16" if mixed else frozen,
        "seconds": clock.seconds,
        "tokens": padded.tokens,
        "peak_memory_gb": peak_memory() / 1e9,
        "bits_per_character": list(clock.curve.values())[-1],
        "curve": {f"{seconds:.2f}": value for seconds, value in clock.curve.items()},
    }


class _Seen(TrainerCallback):
    """What a trainer had when it ended."""

    model: PreTrainedModel | None = None
    args: TrainingArguments | None = None
    texts = steps = 0

    def on_train_end(  # type: ignore[override]  # what transformers passes by keyword
        self,
        args: TrainingArguments,
        state: TrainerState,
        *_: object,
        model: PreTrainedModel,
        train_dataloader: DataLoader,
        **__: object,
    ) -> None:
        """Note the trainer's settings, its model, and how many texts and steps there were."""
        self.args, self.model, self.steps = args, model, state.global_step
        self.texts = len(cast(Sized, train_dataloader.dataset))


def train_with_espejo(overrides: Sequence[str], share: float, test_share: float) -> dict:
    """Train one of our recipes in this process, and what it took."""
    from benchmarks import training  # changes trl

    return training.train(overrides, share, test_share, LOOKS, time.process_time)


def measure(name: str, share: float, test_share: float) -> dict:
    """Train a recipe of RECIPES in this process."""
    torch.set_num_threads(1)
    commands, overrides = RECIPES[name]
    if overrides is None:
        command = commands[commands.index("trl sft") :]
        return train_with_trl(command, share, test_share)
    return train_with_espejo([*overrides, "model.threads=1"], share, test_share)


def seconds_to(recipes: Mapping[str, Mapping], name: str, other: str) -> float | None:
    """Processor seconds that the recipe `name` takes to the figure at which `other` ends."""
    curve = {float(seconds): value for seconds, value in recipes[name]["curve"].items()}
    return reached(curve, recipes[other]["bits_per_character"])


def main() -> None:
    """Train the recipes that are missing, each as a child."""
    parser = argparse.ArgumentParser(description="Time trl's, the notebooks' and our training.")
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--share", type=float, default=SHARE, help="of the sessions learnt from")
    parser.add_argument("--test-share", type=float, default=TEST_SHARE, help="of the test sessions")
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--child", choices=list(RECIPES), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answer = measure(options.child, options.share, options.test_share)
        options.out.write_text(json.dumps(answer), "utf-8")
        return
    if not DATA.is_file():
        sys.exit(f"{DATA} is not there: run `make repro` first.")
    setting = {
        "share": options.share,
        "test_share": options.test_share,
        "processor": hardware.processor(),
        "versions": {name: version(name) for name in ("torch", "transformers", "trl", "peft")},
    }
    result = metrics.read(options.out) if options.out.is_file() else {**setting, "recipes": {}}
    if {key: result[key] for key in setting} != setting:
        sys.exit(f"{options.out} is of another machine or share: name another file with --out.")
    for name in options.only:
        if name not in result["recipes"]:
            print(f"{name}:", flush=True)
            result["recipes"][name] = in_child(name, options.share, options.test_share)
            result["recipes"][name]["lines"] = lines(RECIPES[name][0])
            result["seconds_of_ours"] = {
                other: seconds_to(result["recipes"], "ours", other)
                for other in result["recipes"]
                if "ours" in result["recipes"] and other != "ours"
            }
            metrics.write(result, options.out)


def in_child(name: str, share: float, test_share: float) -> dict:
    """Train a recipe in a process of its own; the benchmark ends if it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"
        command = [sys.executable, "-m", "benchmarks.peers", "--child", name, "--out", str(answer)]
        command += ["--share", str(share), "--test-share", str(test_share)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        if subprocess.run(command, cwd=ROOT, env=environment).returncode:
            sys.exit(f"{name} failed")
        return json.loads(answer.read_text("utf-8"))


if __name__ == "__main__":
    main()
