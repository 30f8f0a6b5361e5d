"""Fine-tune the base model on the author's training replies.

    python -m stages.train data/formatted.parquet model metrics/train.json plots/loss.csv \
        reports/epochs.md

With torchrun or accelerate instead of python it runs in several processes; only the first writes.
"""

import hashlib
import shutil
from pathlib import Path

import espejo
from espejo.core import escaping, files, metrics, tables
from espejo.core.config import DataConfig, GroupConfig
from espejo.core.stage import params, run
from espejo.formatting import labels, prompts
from espejo.formatting.config import FormatConfig
from espejo.model import bundled, hardware, loading, tokenizers
from espejo.model.config import ModelConfig
from espejo.training import checkpoints, distributed, preference, sft
from espejo.training.config import TrainConfig
from espejo.training.epoch_samples import EpochSamples

# An interrupted training resumes only with the code it began with: the rooms of this stage.
ROOMS = ("core", "formatting", "model", "training")
CODE = [
    file
    for room in ROOMS
    for file in sorted(Path(espejo.__file__).parent.joinpath(room).rglob("*.py"))
]


def main(
    formatted: Path, folder: Path, metrics_json: Path, loss_csv: Path, epochs_md: Path
) -> None:
    """Texts -> the adapter (or all weights) in FOLDER, losses, and replies after each epoch."""
    config, model, form = params(TrainConfig), params(ModelConfig), params(FormatConfig)
    data, group = params(DataConfig), params(GroupConfig)
    first, sharded = distributed.state().is_main_process, distributed.sharded()
    table = tables.read(formatted, tables.FORMATTED)
    tokenizer = tokenizers.load_tokenizer(model)
    sets = {
        name: labels.encode_table(tokenizer, part, config.loss)
        for name, part in table.groupby("split")
        if name != "test"
    }
    base = loading.load_base(model, "float32" if config.method == "full" else None, sharded=sharded)
    computed_with = hardware.resolve(model, config.attention, base.config)
    manifest = {
        "data": data.raw,
        "kind": data.kind,
        "model": model.model_dump(),
        "resolved_revision": tokenizers.locate(model)[1],
        "format": form.model_dump(),
        "history": group.history,
        # What the chat needs to know besides: which turns belong together, and which context.
        "turn_gap": group.turn_gap,
        "session_gap": group.session_gap,
        "train": config.model_dump(),
        "hardware": computed_with,
    }
    checkpoint_dir = checkpoints.folder(manifest, [formatted, Path(__file__), *CODE])
    prompter = prompts.prompter(tokenizer, model, form)
    samples = EpochSamples(checkpoint_dir, config.sample_prompts, prompter, config.seed, sharded)
    if first:
        package = bundled.PACKAGES.get(model.id)
        terms = f" ({package.terms})" if package else ""
        summary = f"train: {model.name}{terms} in {hardware.describe(computed_with)}"
        print(escaping.terminal(summary), flush=True)
    rows = table[table["split"].eq("train")]
    training = (
        *(base, tokenizer, sets["train"], sets["validation"], config, checkpoint_dir, samples.ask),
        model.precision,
    )
    if config.preference:
        trained = preference.train(rows, prompter, *training)
    else:
        trained = sft.train(*training)
    if not first:
        return
    learnt = sum(span["kind"] == "end" for spans in rows["spans"] for span in spans)
    manifest |= {
        "learnt_replies": learnt,
        "unlearnt": rows["id"].drop(rows.index[trained.learnt]).tolist(),
        "data_sha256": hashlib.sha256(formatted.read_bytes()).hexdigest(),
        "libraries": checkpoints.libraries(),
    }
    loading.save(trained.model, tokenizer, folder, manifest, trained.weights)
    metrics.write(trained.metrics, metrics_json)
    tables.write_csv(trained.curve, loss_csv)
    files.write(samples.page(), epochs_md)
    shutil.rmtree(checkpoint_dir)  # finished: nothing to resume
    print(
        f"train: {len(trained.learnt)} of {len(sets['train'])} texts learnt ({learnt} replies in "
        f"all), {trained.metrics['steps']} steps, validation loss "
        f"{trained.metrics['loss_validation']:.3f} nats a token"
    )


if __name__ == "__main__":
    with distributed.only_rank_0_prints():
        run(main)
