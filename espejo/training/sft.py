"""Fine-tuning on the author's replies, with TRL's SFTTrainer and PEFT's LoRA."""

import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import torch
import trl.trainer.utils
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, prepare_model_for_kbit_training
from safetensors import SafetensorError
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    set_seed,
)
from trl import SFTConfig, SFTTrainer

from espejo.core import faults
from espejo.core.errors import UserError
from espejo.formatting.labels import IGNORED, Encoded
from espejo.model import hardware
from espejo.model.loading import upcast
from espejo.training import distributed, frozen_head
from espejo.training.expected_time import ExpectedTime, label_work, work_of

_SPARE = 50 << 20  # bytes: with less on the disk, a write that failed failed for want of room

# TRL computes logits only where there is a label on GPUs alone, since elsewhere changing shapes
# would recompile. A processor in eager mode compiles nothing: the same adapter, twice the speed.
trl.trainer.utils._use_triton = lambda device: True
frozen_head.install()


@dataclass(frozen=True)
class Trained:
    """The trained model, its loss curve (step, train, validation) and counts for metrics.

    `learnt` are the places of the training rows that the kept state has learnt from: not all where
    training ended, or was best, inside the first epoch.
    `weights` are the first process's, of a model that was sharded over several; else None.
    """

    model: PreTrainedModel | PeftModel
    curve: pd.DataFrame
    facts: dict[str, float]
    learnt: list[int]
    weights: Mapping[str, torch.Tensor] | None


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
    four_bits = getattr(model, "is_loaded_in_4bit", False)
    if four_bits:
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=wanted["gradient_checkpointing"]
        )
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=wanted["rank"],
        lora_alpha=wanted["alpha"],
        lora_dropout=wanted["dropout"],
        target_modules=sorted(wanted["targets"]),
        layers_to_transform=_last_layers(model.config.num_hidden_layers, wanted["layers"]),
    )
    return get_peft_model(model, config, autocast_adapter_dtype=upcast(model))


def _last_layers(number: int, adapted: int | None) -> list[int] | None:
    return None if adapted is None else list(range(number))[-adapted:]


def mixed(method: str, precision: str) -> dict[str, bool]:
    """The trainer's settings of mixed precision on this machine, for a model of that precision.

    On a processor adapters stand beside bfloat16 weights as it is, and where all weights are
    trained float32 weights compute in bfloat16.
    """
    if not torch.cuda.is_available():
        computes = hardware.dtype_of(precision)
        return {"bf16": method == "full" and computes == torch.bfloat16, "fp16": False}
    half = hardware.dtype_of(precision)
    return {"bf16": half == torch.bfloat16, "fp16": half == torch.float16}


def train(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Sequence[Encoded],
    validation_set: Sequence[Encoded],
    wanted: Mapping,
    checkpoints: Path,
    after_epoch: Callable[[PreTrainedModel, int], None] = lambda model, epoch: None,
    precision: str = hardware.AUTO,
    watchers: Sequence[TrainerCallback] = (),
) -> Trained:
    """Train `model` as the params section `train` says; the state with the best validation is kept.

    Goes on from the last whole checkpoint in the folder `checkpoints`, with the result of a run
    that was never interrupted. `after_epoch` is called with the model and the number of each
    finished epoch, in the first process only where there are several; `watchers` are told of each
    step. `precision` is that of the params section `model`.

    All processes take the same steps: each of `batch_size` rows, however many processes
    share them and however few of them (`micro_batch_size`) are in memory at once.

    Raises UserError for a number that leaves nothing to do, when a step cannot be shared, the loss
    is no number any more, memory or disk run out, or Ctrl-C is pressed; what was saved stays.
    """
    for key in (
        "epochs",
        "batch_size",
        "micro_batch_size",
        "evals_per_run",
        "log_steps",
        "layers",
    ):
        if wanted[key] is not None and wanted[key] < 1:
            raise UserError(f"train.{key} is {wanted[key]}: it must be 1 or more.")
    count = distributed.state().num_processes
    batch, accumulation = distributed.shares(
        wanted["batch_size"], wanted["micro_batch_size"], count
    )
    set_seed(wanted["seed"])
    model.set_attn_implementation(hardware.attention(wanted["attention"], model.config))
    steps_per_epoch = math.ceil(len(train_set) / wanted["batch_size"])
    steps = steps_per_epoch * wanted["epochs"]
    steps = min(steps, wanted["max_steps"]) if wanted["max_steps"] > 0 else steps
    of_label = label_work(model)
    if wanted["method"] == "lora":
        model = adapted(model, wanted)
    trainable = model.num_parameters(only_trainable=True)
    on_gpu = torch.cuda.is_available()
    # Looks fall on logs: a loss averaged from a kill on would differ from one that never stopped.
    log_steps = min(wanted["log_steps"], steps)
    look = math.ceil(steps / wanted["evals_per_run"] / log_steps) * log_steps
    config = SFTConfig(
        output_dir=str(checkpoints),
        use_cpu=not on_gpu,
        num_train_epochs=wanted["epochs"],
        max_steps=wanted["max_steps"],
        accelerator_config={"split_batches": True},  # a batch is that of all processes
        per_device_train_batch_size=batch,
        per_device_eval_batch_size=4 * batch,  # nothing is kept for a way back
        gradient_accumulation_steps=accumulation,
        ddp_find_unused_parameters=False,  # there are none, and to look breaks checkpointing
        gradient_checkpointing=wanted["gradient_checkpointing"],
        learning_rate=wanted["learning_rate"],
        lr_scheduler_type=wanted["scheduler"],
        warmup_steps=round(wanted["warmup_ratio"] * steps),
        weight_decay=wanted["weight_decay"],
        max_grad_norm=wanted["max_grad_norm"],
        seed=wanted["seed"],
        **mixed(wanted["method"], precision),
        train_sampling_strategy="group_by_length",
        pad_to_multiple_of=wanted["padding"],
        max_length=None,  # a number here would cut replies and drop rows in silence
        dataset_kwargs={"skip_prepare_dataset": True},
        logging_nan_inf_filter=False,  # it would write the mean in place of a loss that is none
        logging_steps=log_steps,
        eval_strategy="steps",
        eval_steps=look,
        save_strategy="steps",
        save_steps=look,
        save_total_limit=2,  # the best and the last
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        report_to="none",
        dataloader_pin_memory=on_gpu,
    )
    config._n_gpu = min(config.n_gpu, 1)  # several GPUs in one process would take a batch each
    blank = [distributed.BLANK] if count > 1 else []
    # TRL casts adapters beside 4 bits to bfloat16, which the scaler of float16 refuses.
    with distributed.same_types(model):
        trainer = (distributed.SharedTrainer if count > 1 else distributed.SteadyTrainer)(
            model=model,
            args=config,
            train_dataset=_dataset([*train_set, *blank]),
            eval_dataset=_dataset([*validation_set, *blank]),
            processing_class=tokenizer,
            callbacks=[
                _Watch(after_epoch),
                ExpectedTime(
                    of_label,
                    work_of(train_set, of_label),
                    steps_per_epoch,
                    work_of(validation_set, of_label),
                    wanted["evals_per_run"],
                    wanted["method"],
                    count,
                ),
                *watchers,
            ],
        )
    if wanted["patience"]:
        trainer.add_callback(EarlyStoppingCallback(early_stopping_patience=wanted["patience"]))
    last = last_checkpoint(checkpoints)
    if last and trainer.is_world_process_zero():
        print(f"Going on from {last} …", flush=True)
    with _troubles(trainer, checkpoints):
        trainer.train(resume_from_checkpoint=str(last) if last else None)
    weights = trainer.accelerator.get_state_dict(trainer.model) if distributed.sharded() else None
    trainer.accelerator.wait_for_everyone()  # some may still read what the first then removes
    trainer.end()
    curve = _curve(trainer.state.log_history)
    best = _step_of(trainer.state.best_model_checkpoint)
    labels = sum(label != IGNORED for row in train_set for label in row["labels"])
    return Trained(
        model=trainer.accelerator.unwrap_model(trainer.model),
        curve=curve,
        facts={
            "processes": count,
            "steps": trainer.state.global_step,
            "best_step": best,
            "tokens_per_epoch": sum(len(row["input_ids"]) for row in train_set),
            "learnt_tokens_per_epoch": labels,
            "trainable_parameters": trainable,
            "loss_train": float(curve["train"].dropna().iloc[-1]),
            "loss_validation": float(trainer.state.best_metric),
        },
        learnt=sorted(trainer.taken(best)),
        weights=weights,
    )


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint in `folder` to go on from: a kill inside a save leaves a part.

    The trainer writes trainer_state.json last, so where it can be read everything else is there. It
    would take a step more from a training that had ended (a kill before the model was written): the
    checkpoint before leads to the same end.
    """
    for found in sorted(folder.glob("checkpoint-*"), key=_step_of, reverse=True):
        with suppress(OSError, ValueError, KeyError):
            state = json.loads((found / "trainer_state.json").read_text("utf-8"))
            if not state["stateful_callbacks"]["TrainerControl"]["args"]["should_training_stop"]:
                return found
    return None


def _step_of(checkpoint: str | Path) -> int:
    return int(str(checkpoint).rpartition("-")[2])


class _Watch(TrainerCallback):
    """Stops at a loss that is no number, looks once more at the end, and tells of each epoch."""

    def __init__(self, after_epoch: Callable[[PreTrainedModel, int], None]) -> None:
        self._after_epoch = after_epoch

    def on_log(
        self,
        args: SFTConfig,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **_: object,
    ) -> None:
        losses = [logs[key] for key in ("loss", "eval_loss") if key in (logs or {})]
        if not all(map(math.isfinite, losses)):
            raise UserError(
                f"The loss became no number at step {state.global_step}: lower "
                "train.learning_rate, or set model.precision=float32."
            )

    def on_step_end(
        self, args: SFTConfig, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = control.should_evaluate = control.should_save = True

    def on_epoch_end(
        self,
        args: SFTConfig,
        state: TrainerState,
        control: TrainerControl,
        model: PreTrainedModel | None = None,
        **_: object,
    ) -> None:
        model.eval()
        if state.is_world_process_zero:
            own = [torch.cuda.current_device()] if torch.cuda.is_available() else []
            with torch.random.fork_rng(own):  # what is drawn here must not change the training
                self._after_epoch(model, round(state.epoch))
        model.train()


@contextmanager
def _troubles(trainer: SFTTrainer, checkpoints: Path) -> Iterator[None]:
    """Turns what a machine or a person does to a training into sentences."""
    again = "the next run goes on from the last checkpoint"
    try:
        yield
    except KeyboardInterrupt:
        raise UserError(f"Stopped at step {trainer.state.global_step}; {again}.") from None
    except (MemoryError, RuntimeError, OSError, SafetensorError) as error:
        if faults.out_of_memory(error):
            raise UserError(
                f"Out of memory at step {trainer.state.global_step}: set "
                "train.micro_batch_size=1 and train.gradient_checkpointing=true, which change only "
                "memory and time, take `-S train=qlora-8gb`, or choose a smaller model."
            ) from error
        if faults.cannot_write(error) or shutil.disk_usage(checkpoints).free < _SPARE:
            raise UserError(
                f"The disk is full: make room under {checkpoints}/ and run again; {again}."
            ) from error
        raise


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
