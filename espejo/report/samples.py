"""reports/samples.md: what the base and the tuned model reply, side by side. It quotes messages."""

from collections.abc import Sequence

import pandas as pd

from espejo.core import escaping
from espejo.core.tables import Turn
from espejo.evaluation import questions

MODELS = ("base", "tuned")


def page(replies: pd.DataFrame, tested: pd.DataFrame) -> str:
    """As Markdown: table REPLIES to the fixed prompts and to the rows `tested` of EXAMPLES."""
    asked = questions.prompts(replies)
    fixed = [
        _row([text], *both)
        for text, *both in zip(asked["prompt"], *_said(replies, asked["id"]), strict=True)
    ]
    contexts = [
        _row([_turn(turn) for turn in context], real, *both)
        for context, real, *both in zip(
            tested["context"], tested["reply"], *_said(replies, tested["id"]), strict=True
        )
    ]
    parts = [
        "# What the model replies, before and after training",
        "This page quotes messages: it is not for git. Lines are separate messages.",
        "## The fixed prompts",
        "\n".join(["| prompt | base | tuned |", "| --- | --- | --- |", *fixed]),
        "## Contexts from the test set",
        "\n".join(["| context | real | base | tuned |", "| --- | --- | --- | --- |", *contexts]),
    ]
    return "\n\n".join(parts) + "\n"


def _said(replies: pd.DataFrame, ids: Sequence[str]) -> list[list[list[str]]]:
    return [questions.answers(replies, name, ids) for name in MODELS]


def _turn(turn: Turn) -> str:
    return f"{turn['author']}: {' / '.join(turn['messages'])}"


def _row(*cells: Sequence[str]) -> str:
    return escaping.row([escaping.quoted(messages, "(nothing)") for messages in cells])
