"""Supervised fine-tuning on the author's replies, with TRL's SFTTrainer and PEFT's LoRA."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd
import torch
import trl.trainer.utils
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl import SFTConfig

from espejo.core.errors import UserError
from espejo.formatting.labels import IGNORED, Encoded
from espejo.model import hardware
from espejo.model.config import Precision
from espejo.model.loading import needs_float32_adapters
from espejo.training import distributed, failures, frozen_head
from espejo.training.config import TrainConfig
from espejo.training.expected_time import ExpectedTime, label_work, work_of

# TRL computes logits at labels only, but on GPUs alone: elsewhere changing shapes would recompile.
# PyTorch's eager mode on a CPU compiles nothing: the same adapter at twice the speed.
trl.trainer.utils._use_triton = lambda device: True
frozen_head.install()


@dataclass(frozen=True)
class Trained:
    """The trained model, its loss curve (step, train, validation; after preference tuning also
    preference) and what metrics/train.json says.

    `learnt` are the indices of the training rows that the best state was trained on: not all of
    them where the training ended, or was best, inside the first epoch. `weights` are those of a
    model that was sharded over several processes, gathered in the first; else None.
    """

    model: PreTrainedModel | PeftModel
    curve: pd.DataFrame
    metrics: dict[str, Any]
    learnt: list[int]
    weights: dict[str, torch.Tensor] | None


def add_lora(model: PreTrainedModel, config: TrainConfig) -> PeftModel:
    """`model` with LoRA adapters (Hu et al., 2021) on the modules named in `config.targets`.

    Raises UserError naming the targets that match no module, which PEFT silently skips.
    """
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    missing = sorted(set(config.targets) - names)
    if missing:
        raise UserError(
            f"train.targets names modules this model does not have: {', '.join(missing)}. It has "
            f"{', '.join(sorted(name for name in names if name.endswith(('proj', 'attn', 'fc'))))}."
        )
    if getattr(model, "is_loaded_in_4bit", False):
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=config.gradient_checkpointing
        )
    layers = list(range(model.config.num_hidden_layers))
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=sorted(config.targets),
        layers_to_transform=None if config.layers is None else layers[-config.layers :],
    )
    return get_peft_model(model, lora, autocast_adapter_dtype=needs_float32_adapters(model))


class MixedPrecision(TypedDict):
    """The trainer's settings for mixed precision."""

    bf16: bool
    fp16: bool


def mixed_precision(method: str, precision: Precision) -> MixedPrecision:
    """The trainer's settings on this machine, for a model of that `precision`.

    On a CPU, adapters on bfloat16 weights need no mixed precision; if all weights are trained, in
    float32, they compute in bfloat16.
    """
    dtype = hardware.dtype_of(precision)
    if not torch.cuda.is_available():
        return {"bf16": method == "full" and dtype == torch.bfloat16, "fp16": False}
    return {"bf16": dtype == torch.bfloat16, "fp16": dtype == torch.float16}


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Sequence[Encoded],
    validation_set: Sequence[Encoded],
    config: TrainConfig,
    checkpoints: Path,
    after_epoch: Callable[[PreTrainedModel, int], None] = lambda model, epoch: None,
    precision: Precision = "auto",
    callbacks: Sequence[TrainerCallback] = (),
) -> Trained:
    """Train `model` as `config` says; of the states at evaluations the best is returned.

    Resumes from the last complete checkpoint in the folder `checkpoints`, with the result of an
    uninterrupted run. `after_epoch` is called with the model and the number of each finished epoch,
    in the first process only; `callbacks` are added to the trainer's. `precision` is that of the
    params section `model`.

    A training step is `batch_size` rows, whatever the number of processes and however many rows are
    in memory at once (`micro_batch_size`).

    Raises UserError when the processes cannot share a step, the loss becomes NaN, memory or disk
    run out, or Ctrl-C is pressed; the checkpoints stay.
    """
    processes = distributed.state().num_processes
    batch, accumulation = distributed.split_batch(
        config.batch_size, config.micro_batch_size, processes
    )
    set_seed(config.seed)
    model.set_attn_implementation(hardware.resolve_attention(config.attention, model.config))
    steps_per_epoch = math.ceil(len(train_set) / config.batch_size)
    steps = steps_per_epoch * config.epochs
    steps = min(steps, config.max_steps) if config.max_steps > 0 else steps
    work_per_label = label_work(model)
    trained_model = add_lora(model, config) if config.method == "lora" else model
    trainable = trained_model.num_parameters(only_trainable=True)
    on_gpu = torch.cuda.is_available()
    # Evaluate only at logging steps: otherwise the running mean of the loss after a resume would
    # differ from that of an uninterrupted run.
    log_steps = min(config.log_steps, steps)
    eval_steps = math.ceil(steps / config.evals_per_run / log_steps) * log_steps
    arguments = SFTConfig(
        output_dir=str(checkpoints),
        use_cpu=not on_gpu,
        num_train_epochs=config.epochs,
        max_steps=config.max_steps,
        accelerator_config={"split_batches": True},  # a batch is shared by all processes
        per_device_train_batch_size=batch,
        per_device_eval_batch_size=4 * batch,  # no activations are saved for a backward pass
        gradient_accumulation_steps=accumulation,
        ddp_find_unused_parameters=False,  # none are; the search breaks checkpointing
        gradient_checkpointing=config.gradient_checkpointing,
        learning_rate=config.learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=round(config.warmup_ratio * steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        **mixed_precision(config.method, precision),
        train_sampling_strategy="group_by_length",
        pad_to_multiple_of=config.padding,
        max_length=None,  # a number would silently truncate replies and drop rows
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_nan_inf_filter=False,  # otherwise a NaN would be logged as the mean so far
        logging_steps=log_steps,
        eval_strategy="steps",
        eval_steps=eval_steps,
        save_strategy="steps",
        save_steps=eval_steps,
        save_total_limit=2,  # the best checkpoint and the last
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        report_to="none",
        dataloader_pin_memory=on_gpu,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs in one process would multiply batches
    dummy = [distributed.DUMMY] if processes > 1 else []
    # TRL casts adapters of 4-bit models to bfloat16, which the gradient scaler of float16 refuses.
    with distributed.keep_dtypes(trained_model):
        trainer = (
            distributed.DistributedTrainer if processes > 1 else distributed.ResumableTrainer
        )(
            model=trained_model,
            args=arguments,
            train_dataset=_dataset([*train_set, *dummy]),
            eval_dataset=_dataset([*validation_set, *dummy]),
            processing_class=tokenizer,
            callbacks=[
                _Monitor(after_epoch),
                ExpectedTime(
                    work_per_label,
                    work_of(train_set, work_per_label),
                    steps_per_epoch,
                    work_of(validation_set, work_per_label),
                    config.evals_per_run,
                    config.method,
                    processes,
                ),
                *callbacks,
            ],
        )
    if config.patience:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=config.patience))
    last = last_checkpoint(checkpoints)
    if last and trainer.is_world_process_zero():
        print(f"Resuming from {last} …", flush=True)
    with failures.readable(trainer, checkpoints):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    weights = trainer.accelerator.get_state_dict(trainer.model) if distributed.sharded() else None
    trainer.accelerator.wait_for_everyone()  # other ranks may still read what rank 0 removes
    trainer.end()
    curve = _curve(trainer.state.log_history)
    best_checkpoint, best_loss = trainer.state.best_model_checkpoint, trainer.state.best_metric
    assert best_checkpoint is not None  # there is an evaluation at the last step
    assert best_loss is not None
    best_step = _step_of(best_checkpoint)
    learnt = sorted(trainer.rows_seen(best_step))
    labels = sum(label != IGNORED for row in train_set for label in row["labels"])
    return Trained(
        model=trainer.accelerator.unwrap_model(trainer.model),
        curve=curve,
        metrics={
            "processes": processes,
            "steps": trainer.state.global_step,
            "best_step": best_step,
            "texts": len(train_set),
            "learnt_texts": len(learnt),
            "tokens_per_epoch": sum(len(row["input_ids"]) for row in train_set),
            "learnt_tokens_per_epoch": labels,
            "trainable_parameters": trainable,
            "loss_train": float(curve["train"].dropna().iloc[-1]),
            "loss_validation": float(best_loss),
        },
        learnt=learnt,
        weights=weights,
    )


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in `folder` to resume from; a kill during a save leaves a part of one.

    The trainer writes trainer_state.json last: where it can be read, the checkpoint is complete.
    The checkpoint of a training that has ended (killed before the model was written) is skipped,
    since the trainer would take a step more from it: the one before leads to the same result.
    """
    for checkpoint in sorted(folder.glob("checkpoint-*"), key=_step_of, reverse=True):
        with suppress(OSError, ValueError, KeyError):
            state = json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))
            if not state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]:
                return checkpoint
    return None


def _step_of(checkpoint: str | Path) -> int:
    return int(str(checkpoint).rpartition("-")[2])


class _Monitor(failures.StopsAtNaN):
    """Stops at a NaN loss, evaluates at the last step, and calls `after_epoch`."""

    def __init__(self, after_epoch: Callable[[PreTrainedModel, int], None]) -> None:
        super().__init__("train.learning_rate")
        self._after_epoch = after_epoch

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = control.should_evaluate = control.should_save = True

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,  # noqa: ANN401 - the base class has it so
    ) -> None:
        model: PreTrainedModel = kwargs["model"]
        model.eval()
        if state.is_world_process_zero:
            gpus = [torch.cuda.current_device()] if torch.cuda.is_available() else []
            with torch.random.fork_rng(gpus):  # sampling here must not change the training
                self._after_epoch(model, round(state.epoch or 0))
        model.train()


def _dataset(rows: Sequence[Encoded]) -> Dataset:
    columns = [{key: row[key] for key in ("input_ids", "labels")} for row in rows]
    return Dataset.from_list(columns)


def _curve(history: Sequence[Mapping[str, float]]) -> pd.DataFrame:
    rows = [
        {"step": entry["step"], "train": entry.get("loss"), "validation": entry.get("eval_loss")}
        for entry in history
        if "loss" in entry or "eval_loss" in entry
    ]
    # One row for each step: the two losses of a step are separate entries.
    return pd.DataFrame(rows).groupby("step", as_index=False).first()
