"""The model card: what a model is, for whoever is given its folder. It names nobody."""

from collections.abc import Mapping
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from espejo.core import escaping, files
from espejo.model import bundled, hardware

FILE = "README.md"


def write(folder: Path, made: Mapping, replies: int, counts: Mapping[str, float]) -> None:
    """Write the card of the model in `folder`.

    `made` are its facts (espejo.json), `replies` the number it learnt from, `counts` what
    metrics/train.json holds.
    """
    model, train = made["model"], made["train"]
    adapter = train["method"] == "lora"
    package = bundled.PACKAGES.get(model["id"])
    data = ModelCardData(
        license=package.licence if package else None,
        base_model=model["id"],
        library_name="peft" if adapter else "transformers",
        pipeline_tag="text-generation",
        tags=["espejo", "sft"],
    )
    learnt = "the author's replies only" if train["loss"] == "reply" else "whole texts"
    rows = {
        "base model": f"{escaping.markdown(model['id'])}, revision `{made['resolved_revision']}`",
        "terms of the base model": package.terms if package else "those of its page on the hub",
        "method": f"LoRA, rank {train['rank']}, alpha {train['alpha']}"
        if adapter
        else "all weights",
        "quantization": escaping.markdown(model["quantization"] or "none"),
        "learnt": f"{learnt}: {counts['learnt_tokens_per_epoch']:,} tokens of {replies:,} replies",
        "epochs and steps": f"{train['epochs']}, of which step {counts['best_step']} is kept",
        "learning rate": f"{train['learning_rate']:g}, {escaping.markdown(train['scheduler'])}",
        "validation loss": f"{counts['loss_validation']:.3f} nats a token",
        "format": escaping.markdown(made["format"]["name"])
        + f", {made['history']} turns of context",
        "computed with": escaping.markdown(hardware.described(made["hardware"])),
        "training table (SHA-256)": f"`{made['data_sha256']}`",
        "libraries": ", ".join(f"{name} {number}" for name, number in made["libraries"].items()),
    }
    table = "\n".join(map(escaping.row, rows.items()))
    text = f"""
# A model that writes like one person

Fine-tuned by espejo on private WhatsApp messages of one person. Those who wrote them are not named
here; **the weights may still hold what they wrote**. Whether this model repeats its training
messages was measured: see the verdict in `metrics/eval.json` before it is given to anybody.

| | |
| --- | --- |
{table}

All settings stand in `espejo.json`. Talk to it with `espejo chat`. What it says need not be true,
and it is not to be passed off as the person it imitates.
"""
    files.write(str(ModelCard(f"---\n{data.to_yaml()}\n---\n{text}")), folder / FILE)
