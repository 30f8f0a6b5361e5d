"""The model card, for whoever is given the model's folder. It names nobody."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData

from espejo.core import escaping
from espejo.model import bundled, hardware
from espejo.model import manifest as manifests
from espejo.report import verdicts

CARD = Path("reports/model_card.md")


# What each verdict on sharing means to whoever is given the model.
VERDICTS = {
    "pass": "nothing speaks against it",
    "pass_with_doubts": "nothing speaks against it, but too little was measured to be sure",
    "fail": "better not: a measure is above its limit",
    "none": "nobody knows: whether it repeats its training text was not measured",
    "trial": "nobody knows: training was stopped after some steps, to try things out",
    "audit": "it learned invented codes, planted to see whether they can be got out again",
}
TRIAL = "a trial, which says nothing yet"
REPEATS = "only where its table may be read, which it is meant to repeat"
# By kind of data: a title, what the model learned from, and what it is not for.
TEXTS = {
    "chats": (
        "A model that writes like one person",
        "Fine-tuned by espejo on private chat messages of one person. Those who wrote them are not "
        "named here; **the weights may still hold what they wrote**. Whether this model repeats "
        "its training messages was measured; the verdict is below.",
        "What it says need not be true, and it is not to be passed off as the person it imitates.",
    ),
    "dialogues": (
        "A model that keeps up a conversation",
        "Fine-tuned by espejo on dialogues between two speakers whom nobody knows; it imitates no "
        "person. **The weights may still hold what they said**: whether this model repeats its "
        "training replies was measured; the verdict is below. Write here where the dialogues come "
        "from, and under what licence, before you give it away.",
        "What it says need not be true: dialogues teach how to answer, not facts.",
    ),
    "questions": (
        "A model that answers the questions of a table",
        "Fine-tuned by espejo on questions and their answers, which it is meant to repeat: **share "
        "it only where the table itself may be read**. Write here where the table comes from, and "
        "under what licence, before you give it away.",
        "Its answers may be wrong and state facts that stand nowhere: compare them with the table "
        "before anybody relies on them. It knows nothing that came into the table after training, "
        "and need not refuse what lies outside its subject.",
    ),
}


def sharing(metrics: Mapping[str, float], verdict: str, kind: str = "chats") -> str:
    """The answer to "Safe to share?", from metrics/train.json and the verdict in eval.json.

    `kind` is that of the data; what was learnt from questions is meant to be repeated.
    """
    if verdicts.is_trial(metrics):
        return TRIAL
    return REPEATS if kind == "questions" else f"{verdict}: {VERDICTS[verdict]}"


def card(
    manifest: Mapping,
    metrics: Mapping[str, float],
    verdict: str,
    whole: bool = False,
    notes: Sequence[str] = (),
) -> str:
    """The card in the hub's format, from a manifest (espejo.json) and metrics/train.json.

    `metrics` may be empty. `verdict` is the one on sharing in metrics/eval.json. The folder holds
    an adapter if one was trained, unless the weights are `whole`. `notes` are further paragraphs,
    in Markdown.
    """
    model, train = manifest["model"], manifest["train"]
    adapter = train["method"] == "lora"
    package = bundled.PACKAGES.get(model["id"])
    data = ModelCardData(
        license=package.licence if package else None,
        base_model=model["id"],
        library_name="peft" if adapter and not whole else "transformers",
        pipeline_tag="text-generation",
        tags=["espejo", "sft"],
    )
    kind = manifests.kind_of(manifest)
    title, origin, limits = TEXTS[kind]
    unit = "answers" if kind == "questions" else "replies"
    whose = "the author's replies" if kind == "chats" else unit
    learnt = f"{whose} only" if train["loss"] == "reply" else "whole texts"
    amount = f"{manifest['learnt_replies']:,} {unit}"
    if metrics:
        amount = f"{metrics['learnt_tokens_per_epoch']:,} tokens of {amount}"
    safe = REPEATS if kind == "questions" else f"`{verdict}`: {VERDICTS[verdict]}"
    warning = ""
    if verdicts.is_trial(metrics):
        amount = f"{metrics['learnt_texts']:,} of {metrics['texts']:,} texts"
        safe = TRIAL
        warning = (
            f"\n**This is a trial.** It learned from {amount}: its measures say nothing yet.\n"
        )
    base = escaping.markdown(model["id"])
    revision = manifest.get("resolved_revision", model.get("revision"))  # older manifests lack some
    rows = {
        "base model": f"{base}, revision `{revision}`",
        "terms of the base model": package.terms if package else "those of its page on the hub",
        "method": f"LoRA, rank {train['rank']}, alpha {train['alpha']}"
        if adapter
        else "all weights",
        "quantization": escaping.markdown(model["quantization"] or "none"),
        "learnt": f"{learnt}: {amount}",
        "epochs and steps": str(train["epochs"])
        + (f", of which step {metrics['best_step']} is kept" if metrics else ""),
        "learning rate": f"{train['learning_rate']:g}, {escaping.markdown(train['scheduler'])}",
        "validation loss": f"{metrics['loss_validation']:.3f} nats a token"
        if metrics
        else "not known",
        "format": escaping.markdown(manifest["format"]["name"])
        + f", {manifest['history']} turns of context",
        "computed with": escaping.markdown(hardware.describe(manifest["hardware"])),
        "training table (SHA-256)": f"`{manifest.get('data_sha256', 'not known')}`",
        "safe to share?": safe,
        "libraries": ", ".join(
            f"{name} {version}" for name, version in manifest["libraries"].items()
        ),
    }
    table = escaping.table(["", ""], rows.items())
    further = "".join(f"\n{note}\n" for note in notes)
    text = f"""
# {title}
{warning}
{origin}

{table}

All settings are in `espejo.json`. Talk to it with `espejo chat`.
{limits}
{further}"""
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n{text}"))
