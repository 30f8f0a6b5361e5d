"""reports/samples.md: replies of the base and the tuned model side by side. It quotes messages."""

from collections.abc import Sequence

import pandas as pd

from espejo.core import escaping
from espejo.core.tables import Turn
from espejo.evaluation import questions

TRAINED = ("base", "tuned")  # before and after training
# In the data of each kind: how what is replied to is called, and the reply that really followed.
HEADS = {
    "chats": ("context", "real"),
    "dialogues": ("context", "real"),
    "questions": ("question", "reference"),
}


def page(replies: pd.DataFrame, tested: pd.DataFrame, kind: str = "chats") -> str:
    """In Markdown: table REPLIES to the fixed prompts and to the rows `tested` of EXAMPLES.

    `kind` is that of the data. Answers to questions are shown beside those of the base model with
    retrieved rows too.
    """
    prompts = questions.prompts(replies)
    of_questions = kind == "questions"
    models = [
        name
        for name in (questions.MODELS if of_questions else TRAINED)
        if replies["model"].eq(name).any()
    ]
    to_prompts = [
        _row([prompt], *generated)
        for prompt, *generated in zip(
            prompts["prompt"], *_generated(replies, TRAINED, prompts["id"]), strict=True
        )
    ]
    to_contexts = [
        _row([_turn(turn, of_questions) for turn in context], real, *generated)
        for context, real, *generated in zip(
            tested["context"],
            tested["reply"],
            *_generated(replies, models, tested["id"]),
            strict=True,
        )
    ]
    fixed = [
        "## Questions outside the table" if of_questions else "## The fixed prompts",
        escaping.table(["prompt", *TRAINED], to_prompts),
    ]
    parts = [
        "# What the model replies, before and after training",
        "This page quotes messages: it is not for git. Lines are separate messages.",
        *(fixed if to_prompts or kind == "chats" else []),
        "## Questions from the test set" if of_questions else "## Contexts from the test set",
        escaping.table([*HEADS[kind], *map(_head, models)], to_contexts),
    ]
    return "\n\n".join(parts) + "\n"


def _generated(
    replies: pd.DataFrame, models: Sequence[str], ids: Sequence[str]
) -> list[list[list[str]]]:
    return [questions.messages_of(replies, name, ids) for name in models]


def _head(model: str) -> str:
    return "base with rows" if model == "examples" else model


def _turn(turn: Turn, alone: bool) -> str:
    messages = " / ".join(turn["messages"])
    return messages if alone else f"{turn['author']}: {messages}"


def _row(*cells: Sequence[str]) -> list[str]:
    return [escaping.quoted(messages, "(nothing)") for messages in cells]
