"""Preference tuning after the supervised training: the real replies against the model's own.

Direct preference optimization (DPO: Rafailov et al., 2023) with TRL's DPOTrainer. Rejected replies
are the trained model's own, chosen ones the author's, as in self-play fine-tuning (SPIN: Chen et
al., 2024); no person or second model judges. Nothing is chosen on validation.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from datasets import Dataset
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch.nn.utils.rnn import pad_sequence
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl import DPOConfig, DPOTrainer

from espejo.core import files
from espejo.core.errors import UserError
from espejo.formatting.labels import IGNORED, Encoded
from espejo.formatting.prompts import Prompter
from espejo.model import hardware
from espejo.model.config import Precision
from espejo.training import distributed, failures, sft
from espejo.training.config import PreferenceConfig, TrainConfig
from espejo.training.pairs import Pair, own_replies

_PAIRS_AT_ONCE = 4  # in memory, where train.micro_batch_size does not say; each is two texts
_SCORED_AT_ONCE = 8  # validation texts in a batch


class PreferenceTrainer(distributed.Resumable, DPOTrainer):
    """TRL's trainer on pairs that are tokens already.

    TRL's would tokenize prompts and replies itself, and end each reply with the tokenizer's own end
    token, whatever ended the replies in training.
    """

    def _prepare_dataset(self, dataset: Dataset, *_: object) -> Dataset:
        return dataset


def train(
    table: pd.DataFrame,
    prompter: Prompter,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Sequence[Encoded],
    validation_set: Sequence[Encoded],
    config: TrainConfig,
    checkpoints: Path,
    after_epoch: Callable[[PreTrainedModel, int], None] = lambda model, epoch: None,
    precision: Precision = "auto",
    callbacks: Sequence[TrainerCallback] = (),
) -> sft.Trained:
    """`sft.train`, and then `config.preference` on pairs from the texts that were learnt.

    `table` (tables.FORMATTED) are the rows of which `train_set` are the tokens, and `prompter`
    wrote them. `callbacks` are added to the second trainer's; the other arguments are those of
    `sft.train`. What is finished is kept in the folder `checkpoints`: the supervised model, the
    pairs, and checkpoints of the second phase, from which it resumes.

    Raises UserError as `sft.train` does, where several processes train or all weights are trained,
    and where there is no pair.
    """
    settings = config.preference
    assert settings is not None
    _refuse(config)
    trained = supervised(
        *(model, tokenizer, train_set, validation_set, config, checkpoints, after_epoch, precision)
    )
    learner = trained.model
    assert isinstance(learner, PeftModel)
    learner.eval()
    file = checkpoints / "pairs.json"
    if not file.is_file():
        learnt = table.iloc[trained.learnt]
        answered = own_replies(learner, prompter, learnt, settings.pairs, config.seed)
        files.write(json.dumps(answered), file)
    pairs, account = json.loads(file.read_text("utf-8"))
    if not pairs:
        raise UserError(
            f"There is nothing to prefer: of the {account['in']} replies that were learnt, the "
            "model's own are all empty or the same. Train without train.preference."
        )
    print(f"train: prefers {len(pairs)} real replies to the model's own", flush=True)
    return _preferring(
        trained,
        tokenizer,
        pairs,
        account,
        validation_set,
        config,
        checkpoints,
        precision,
        callbacks,
    )


def _refuse(config: TrainConfig) -> None:
    if config.method != "lora":
        raise UserError(
            "train.preference needs adapters, beside which the model before them stays as the "
            "reference: set train.method=lora, or train.preference=null."
        )
    if distributed.state().num_processes > 1:
        raise UserError(
            "train.preference trains in one process: set train.launcher=single, or "
            "train.preference=null."
        )


def supervised(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train_set: Sequence[Encoded],
    validation_set: Sequence[Encoded],
    config: TrainConfig,
    checkpoints: Path,
    after_epoch: Callable[[PreTrainedModel, int], None] = lambda model, epoch: None,
    precision: Precision = "auto",
) -> sft.Trained:
    """`sft.train`, or what it gave where it has ended before an interruption.

    The arguments are those of `sft.train`.
    """
    weights, rest = checkpoints / "supervised.safetensors", checkpoints / "supervised.json"
    if rest.is_file():
        set_seed(config.seed)
        model.set_attn_implementation(hardware.resolve_attention(config.attention, model.config))
        learner = sft.add_lora(model, config)
        learner.load_state_dict(load_file(weights), strict=False)
        kept = json.loads(rest.read_text("utf-8"))
        curve = pd.DataFrame(kept["curve"], dtype="float64").astype({"step": int})
        return sft.Trained(learner, curve, kept["metrics"], kept["learnt"], None)
    trained = sft.train(
        *(model, tokenizer, train_set, validation_set, config, checkpoints, after_epoch, precision)
    )
    learnt = {
        name: parameter.detach().cpu().contiguous()
        for name, parameter in trained.model.named_parameters()
        if parameter.requires_grad
    }
    save_file(learnt, weights)
    kept = {
        "curve": trained.curve.to_dict("list"),
        "metrics": trained.metrics,
        "learnt": trained.learnt,
    }
    files.write(json.dumps(kept), rest)  # last: where it is, the weights are complete
    return trained


def _preferring(
    trained: sft.Trained,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    account: dict,
    validation_set: Sequence[Encoded],
    config: TrainConfig,
    checkpoints: Path,
    precision: Precision,
    callbacks: Sequence[TrainerCallback],
) -> sft.Trained:
    """`trained` after the second phase: its model is changed in place."""
    settings, model = config.preference, trained.model
    assert settings is not None
    assert isinstance(model, PeftModel)
    folder = checkpoints / "preference"
    with distributed.keep_dtypes(model):
        trainer = _trainer(model, tokenizer, pairs, config, settings, folder, precision, callbacks)
        before = validation_loss(model, validation_set, tokenizer.pad_token_id)
        last = sft.last_checkpoint(folder)
        if last:
            print(f"Resuming from {last} …", flush=True)
        with failures.readable(trainer, checkpoints):
            trainer.train(resume_from_checkpoint=str(last) if last else None)
        trainer.end()
        model.delete_adapter("ref")
    model.eval()
    after = validation_loss(model, validation_set, tokenizer.pad_token_id)
    logs = [entry for entry in trainer.state.log_history if "loss" in entry]
    first_step = int(trained.curve["step"].max())
    steps = pd.DataFrame(
        {
            "step": [first_step + entry["step"] for entry in logs],
            "preference": [entry["loss"] for entry in logs],
        }
    )
    numbers = {
        "replies": account,
        "pairs": len(pairs),
        "steps": trainer.state.global_step,
        "loss": logs[-1]["loss"],
        "reward_accuracy": logs[-1]["rewards/accuracies"],
        "reward_margin": logs[-1]["rewards/margins"],
        "reward_chosen": logs[-1]["rewards/chosen"],
        "reward_rejected": logs[-1]["rewards/rejected"],
        "loss_validation_before": before,
        "loss_validation_after": after,
    }
    return replace(
        trained,
        curve=pd.concat([trained.curve, steps], ignore_index=True),
        metrics={**trained.metrics, "preference": numbers},
    )


def _trainer(
    model: PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[Pair],
    config: TrainConfig,
    settings: PreferenceConfig,
    folder: Path,
    precision: Precision,
    callbacks: Sequence[TrainerCallback],
) -> PreferenceTrainer:
    """The trainer of the second phase; it gives `model` a second, frozen adapter `ref`.

    That copy of the supervised adapter is DPO's reference. Both are float32 meanwhile: with steps
    as small as these, most updates of a bfloat16 weight would be rounded away.
    """
    batch, accumulation = distributed.split_batch(
        settings.batch_size, config.micro_batch_size or _PAIRS_AT_ONCE, 1
    )
    steps = math.ceil(len(pairs) / settings.batch_size) * settings.epochs
    log_steps = min(config.log_steps, steps)
    on_gpu = torch.cuda.is_available()
    with_likelihood = settings.likelihood_weight > 0
    arguments = DPOConfig(
        output_dir=str(folder),
        use_cpu=not on_gpu,
        beta=settings.beta,
        loss_type=[settings.loss_type, "sft"] if with_likelihood else [settings.loss_type],
        loss_weights=[1.0, settings.likelihood_weight] if with_likelihood else None,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=batch,
        gradient_accumulation_steps=accumulation,
        gradient_checkpointing=config.gradient_checkpointing,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=config.scheduler,
        warmup_steps=round(config.warmup_ratio * steps),
        weight_decay=config.weight_decay,
        max_grad_norm=config.max_grad_norm,
        seed=config.seed,
        **sft.mixed_precision(config.method, precision),
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,  # the sampler reads `length`
        pad_to_multiple_of=config.padding,
        max_length=None,  # a number would silently truncate replies
        logging_nan_inf_filter=False,  # otherwise a NaN would be logged as the mean so far
        logging_steps=log_steps,
        save_strategy="steps",
        save_steps=math.ceil(steps / 4 / log_steps) * log_steps,
        save_total_limit=2,  # the last may have been cut by a kill
        report_to="none",
        dataloader_pin_memory=on_gpu,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several GPUs in one process would multiply batches
    rows = [{**pair, "length": _length(pair)} for pair in pairs]
    for parameter in _trainable(model):
        parameter.data = parameter.data.float()
    trainer = PreferenceTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[_Monitor("train.preference.learning_rate"), *callbacks],
    )
    for parameter in _trainable(model):  # TRL casts those of 4-bit models to bfloat16
        parameter.data = parameter.data.float()
    return trainer


def _trainable(model: PeftModel) -> list[torch.nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _length(pair: Pair) -> int:
    return len(pair["prompt_ids"]) + max(len(pair["chosen_ids"]), len(pair["rejected_ids"]))


@torch.no_grad()
def validation_loss(model: torch.nn.Module, rows: Sequence[Encoded], pad: int) -> float:
    """Nats per label of `rows`, for a model that TRL gave its fused head."""
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    nats, labelled = 0.0, 0
    by_length = sorted(rows, key=lambda row: len(row["input_ids"]))
    for start in range(0, len(by_length), _SCORED_AT_ONCE):
        batch = by_length[start : start + _SCORED_AT_ONCE]
        ids = _padded([row["input_ids"] for row in batch], pad)
        labels = _padded([row["labels"] for row in batch], IGNORED)
        mask = _padded([[1] * len(row["input_ids"]) for row in batch], 0)
        output = model(
            input_ids=ids.to(device),
            attention_mask=mask.to(device),
            labels=labels.to(device),
            use_cache=False,
            fused_lm_head=True,
        )
        nats -= float(output.log_probs.sum())
        labelled += int((labels[:, 1:] != IGNORED).sum())
    model.train(was_training)
    return nats / labelled


def _padded(rows: Sequence[list[int]], value: int) -> torch.Tensor:
    return pad_sequence([torch.tensor(row) for row in rows], True, value)


class _Monitor(failures.StopsAtNaN):
    """Stops at a NaN loss, and logs the last step."""

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: object
    ) -> None:
        if state.global_step >= state.max_steps:
            control.should_log = True
