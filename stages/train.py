"""Fine-tune the base model on the author's training replies.

python -m stages.train data/formatted.parquet model metrics/train.json plots
"""

import tempfile
from pathlib import Path

from espejo import metrics, models, tables
from espejo.labels import encode
from espejo.plots import loss, save
from espejo.stage import params, run
from espejo.training import train


def main(formatted: Path, folder: Path, report: Path, plots: Path) -> None:
    """Table FORMATTED -> adapter (or all weights) in FOLDER, REPORT, loss curves in PLOTS."""
    wanted, model = params("train"), params("model")
    table = tables.read(formatted, tables.FORMATTED)
    tokenizer = models.load_tokenizer(model)
    sets = {
        name: [
            encode(tokenizer, row.text, row.spans, wanted["loss"], row.never)
            for row in part.itertuples()
        ]
        for name, part in table.groupby("split")
        if name != "test"
    }
    base = models.load_base(model, dtype="float32" if wanted["method"] == "full" else None)
    with tempfile.TemporaryDirectory() as workplace:
        trained = train(base, tokenizer, sets["train"], sets["validation"], wanted, Path(workplace))

    made = {
        "data": params("data")["raw"],
        "model": model,
        "resolved_revision": models.locate(model)[1],
        "format": params("format"),
        "history": params("group")["history"],
        "train": wanted,
    }
    models.save(trained.model, tokenizer, folder, made)
    metrics.write(trained.facts, report)
    trained.curve.to_csv(plots / "loss.csv", index=False)
    save(loss(trained.curve), plots / "loss.png")
    print(
        f"train: {len(sets['train'])} replies, {trained.facts['steps']} steps, validation loss "
        f"{trained.facts['loss_validation']:.3f} nats a token"
    )


if __name__ == "__main__":
    run(main)
