"""Fine-tuning on the author's replies, with TRL's SFTTrainer and PEFT's LoRA."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import trl.trainer.utils
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed
from trl import SFTConfig, SFTTrainer

from espejo.errors import UserError
from espejo.labels import IGNORED, Encoded

# TRL computes logits only where there is a label on GPUs alone, since elsewhere changing shapes
# would recompile. A processor in eager mode compiles nothing: the same adapter, twice the speed.
trl.trainer.utils._use_triton = lambda device: True


@dataclass(frozen=True)
class Trained:
    """The trained model, its loss curve (step, train, validation) and counts for metrics."""

    model: PreTrainedModel | PeftModel
    curve: pd.DataFrame
    facts: dict[str, float]


def adapted(model: PreTrainedModel, wanted: Mapping) -> PeftModel:
    """`model` with LoRA adapters (Hu et al., 2021) on the modules named in `wanted["targets"]`.

    Raises UserError naming the targets that match no module; PEFT itself skips those in silence.
    """
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    absent = sorted(set(wanted["targets"]) - names)
    if absent:
        raise UserError(
            f"train.targets names modules this model does not have: {', '.join(absent)}. It has "
            f"{', '.join(sorted(name for name in names if name.endswith(('proj', 'attn', 'fc'))))}."
        )
    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=wanted["gradient_checkpointing"]
        )
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=wanted["rank"],
        lora_alpha=wanted["alpha"],
        lora_dropout=wanted["dropout"],
        target_modules=sorted(wanted["targets"]),
    )
    return get_peft_model(model, config, autocast_adapter_dtype=False)


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Sequence[Encoded],
    validation_set: Sequence[Encoded],
    wanted: Mapping,
    workplace: Path,
) -> Trained:
    """Train `model` as the params section `train` says; `workplace` is a folder for scratch files.

    Raises UserError when the loss is no number any more.
    """
    set_seed(wanted["seed"])
    model.set_attn_implementation(wanted["attention"])
    steps = (
        math.ceil(
            math.ceil(len(train_set) / wanted["batch_size"]) / wanted["gradient_accumulation"]
        )
        * wanted["epochs"]
    )
    steps = min(steps, wanted["max_steps"]) if wanted["max_steps"] > 0 else steps
    if wanted["method"] == "lora":
        model = adapted(model, wanted)
    on_gpu = torch.cuda.is_available()
    config = SFTConfig(
        output_dir=str(workplace),
        use_cpu=not on_gpu,
        num_train_epochs=wanted["epochs"],
        max_steps=wanted["max_steps"],
        per_device_train_batch_size=wanted["batch_size"],
        per_device_eval_batch_size=wanted["batch_size"],
        gradient_accumulation_steps=wanted["gradient_accumulation"],
        gradient_checkpointing=wanted["gradient_checkpointing"],
        learning_rate=wanted["learning_rate"],
        lr_scheduler_type=wanted["scheduler"],
        warmup_steps=round(wanted["warmup_ratio"] * steps),
        weight_decay=wanted["weight_decay"],
        max_grad_norm=wanted["max_grad_norm"],
        seed=wanted["seed"],
        # Adapters stand beside bfloat16 weights as it is; float32 weights compute in bfloat16.
        bf16=torch.cuda.is_bf16_supported() if on_gpu else wanted["method"] == "full",
        train_sampling_strategy="group_by_length",
        max_length=None,  # a number here would cut replies and drop rows in silence
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_nan_inf_filter=False,  # it would write the mean in place of a loss that is none
        logging_steps=min(wanted["log_steps"], steps),
        eval_strategy="steps",
        eval_steps=max(1, steps // wanted["evaluations"]),
        save_strategy="no",
        report_to="none",
        dataloader_pin_memory=on_gpu,
    )
    trainer = SFTTrainer(
        model=model,
        args=config,
        train_dataset=_dataset(train_set),
        eval_dataset=_dataset(validation_set),
        processing_class=tokenizer,
    )
    trainer.train()
    history = trainer.state.log_history
    losses = [entry[key] for entry in history for key in ("loss", "eval_loss") if key in entry]
    if not all(map(math.isfinite, losses)):
        raise UserError(
            "The loss became no number: lower train.learning_rate, or set model.precision=float32."
        )
    curve = _curve(history)
    labels = sum(label != IGNORED for row in train_set for label in row["labels"])
    return Trained(
        model=trainer.model,
        curve=curve,
        facts={
            "steps": trainer.state.global_step,
            "tokens_per_epoch": sum(len(row["input_ids"]) for row in train_set),
            "learnt_tokens_per_epoch": labels,
            "trainable_parameters": trainer.model.num_parameters(only_trainable=True),
            "loss_train": float(curve["train"].dropna().iloc[-1]),
            "loss_validation": float(curve["validation"].dropna().iloc[-1]),
        },
    )


def _dataset(rows: Sequence[Encoded]) -> Dataset:
    columns = [{key: row[key] for key in ("input_ids", "labels")} for row in rows]
    return Dataset.from_list(columns)


def _curve(history: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    rows = [
        {"step": entry["step"], "train": entry.get("loss"), "validation": entry.get("eval_loss")}
        for entry in history
        if "loss" in entry or "eval_loss" in entry
    ]
    # One row a step: a step may log both losses, in two entries.
    return pd.DataFrame(rows).groupby("step", as_index=False).first()
