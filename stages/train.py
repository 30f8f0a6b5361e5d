"""Fine-tune the base model on the author's training replies.

python -m stages.train data/formatted.parquet model metrics/train.json plots reports/epochs.md

torchrun or accelerate in place of python starts it in several processes; the first one writes.
"""

import hashlib
import shutil
from pathlib import Path

from espejo.commands import model_card
from espejo.core import escaping, files, metrics, tables
from espejo.core.stage import params, run
from espejo.formatting import labels, prompts
from espejo.model import attention, bundled, hardware, loading
from espejo.plots.style import loss, save, save_table
from espejo.training import checkpoints, distributed, frozen_head, sft
from espejo.training.epoch_samples import Diary

# A training that was interrupted goes on only with the code it began with.
CODE = tuple(
    Path(module.__file__)
    for module in (
        attention,
        frozen_head,
        hardware,
        labels,
        loading,
        distributed,
        prompts,
        sft,
    )
)


def main(formatted: Path, folder: Path, report: Path, plots: Path, quotes: Path) -> None:
    """Table FORMATTED -> adapter (or weights) in FOLDER, REPORT, loss curves in PLOTS, QUOTES."""
    wanted, model = params("train"), params("model")
    first, sharded = distributed.state().is_main_process, distributed.sharded()
    table = tables.read(formatted, tables.FORMATTED)
    tokenizer = loading.load_tokenizer(model)
    sets = {
        name: labels.encode_table(tokenizer, part, wanted["loss"])
        for name, part in table.groupby("split")
        if name != "test"
    }
    base = loading.load_base(
        model, dtype="float32" if wanted["method"] == "full" else None, sharded=sharded
    )
    made = {
        "data": params("data")["raw"],
        "model": model,
        "resolved_revision": loading.locate(model)[1],
        "format": params("format"),
        "history": params("group")["history"],
        "train": wanted,
        "hardware": hardware.chosen(model, wanted, base.config),
    }
    place = checkpoints.place(made, [formatted, Path(__file__), *CODE])
    write = prompts.prompter(tokenizer, model, made["format"])
    diary = Diary(
        place, wanted["sample_prompts"], write, model["generate"], wanted["seed"], sharded
    )
    if first:
        package = bundled.PACKAGES.get(model["id"])
        terms = f" ({package.terms})" if package else ""
        here = hardware.described(made["hardware"])
        print(escaping.terminal(f"train: {model['name']}{terms} in {here}"), flush=True)
    trained = sft.train(
        base,
        tokenizer,
        sets["train"],
        sets["validation"],
        wanted,
        place,
        diary.note,
        model["precision"],
    )
    if not first:
        return
    rows = table[table["split"] == "train"]
    learnt = sum(span["kind"] == "end" for one in rows["spans"] for span in one)

    made |= {
        "unlearnt": rows["id"].drop(rows.index[trained.learnt]).tolist(),
        "data_sha256": hashlib.sha256(formatted.read_bytes()).hexdigest(),
        "libraries": checkpoints.libraries(),
    }
    loading.save(trained.model, tokenizer, folder, made, trained.weights)
    model_card.write(folder, made, learnt, trained.facts)
    metrics.write(trained.facts, report)
    save_table(trained.curve, plots / "loss.csv")
    save(loss(trained.curve), plots / "loss.png")
    files.write(diary.page(), quotes)
    shutil.rmtree(place)  # finished: nothing is left to go on with
    print(
        f"train: {learnt} replies in {len(sets['train'])} texts, {trained.facts['steps']} steps, "
        f"validation loss {trained.facts['loss_validation']:.3f} nats a token"
    )


if __name__ == "__main__":
    with distributed.one_voice():
        run(main)
