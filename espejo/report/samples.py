"""reports/samples.md: replies of the base and the tuned model side by side. It quotes messages."""

from collections.abc import Sequence

import pandas as pd

from espejo.core import escaping
from espejo.core.tables import Turn
from espejo.evaluation import questions

MODELS = ("base", "tuned")


def page(replies: pd.DataFrame, tested: pd.DataFrame) -> str:
    """In Markdown: table REPLIES to the fixed prompts and to the rows `tested` of EXAMPLES."""
    prompts = questions.prompts(replies)
    to_prompts = [
        _row([prompt], *generated)
        for prompt, *generated in zip(
            prompts["prompt"], *_generated(replies, prompts["id"]), strict=True
        )
    ]
    to_contexts = [
        _row([_turn(turn) for turn in context], real, *generated)
        for context, real, *generated in zip(
            tested["context"], tested["reply"], *_generated(replies, tested["id"]), strict=True
        )
    ]
    parts = [
        "# What the model replies, before and after training",
        "This page quotes messages: it is not for git. Lines are separate messages.",
        "## The fixed prompts",
        escaping.table(["prompt", *MODELS], to_prompts),
        "## Contexts from the test set",
        escaping.table(["context", "real", *MODELS], to_contexts),
    ]
    return "\n\n".join(parts) + "\n"


def _generated(replies: pd.DataFrame, ids: Sequence[str]) -> list[list[list[str]]]:
    return [questions.messages_of(replies, name, ids) for name in MODELS]


def _turn(turn: Turn) -> str:
    return f"{turn['author']}: {' / '.join(turn['messages'])}"


def _row(*cells: Sequence[str]) -> list[str]:
    return [escaping.quoted(messages, "(nothing)") for messages in cells]
