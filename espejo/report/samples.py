"""reports/samples.md: what the base and the tuned model reply, side by side. It quotes messages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from espejo.core import escaping, files
from espejo.core.tables import Turn


def write(
    path: Path,
    prompts: Sequence[str],
    replies: Mapping[str, Sequence[Sequence[str]]],
    tested: pd.DataFrame,
    shown: int,
) -> None:
    """Write the Markdown page.

    `replies["base"]` and `replies["tuned"]` hold lists of messages: the replies to `prompts`, then
    those to the contexts of `tested` (rows of EXAMPLES), of which the first `shown` are printed.
    """
    pairs = list(zip(replies["base"], replies["tuned"], strict=True))
    fixed = [
        _row([prompt], before, after)
        for prompt, (before, after) in zip(prompts, pairs, strict=False)
    ]
    contexts = [
        _row([_said(turn) for turn in row.context], row.reply, before, after)
        for row, (before, after) in zip(tested.itertuples(), pairs[len(prompts) :], strict=True)
    ]
    page = [
        "# What the model replies, before and after training",
        "This page quotes messages: it is not for git. Lines are separate messages.",
        "## The fixed prompts",
        "\n".join(["| prompt | base | tuned |", "| --- | --- | --- |", *fixed]),
        "## Contexts from the test set",
        "\n".join(
            ["| context | real | base | tuned |", "| --- | --- | --- | --- |", *contexts[:shown]]
        ),
    ]
    files.write("\n\n".join(page) + "\n", path)


def _said(turn: Turn) -> str:
    return f"{turn['author']}: {' / '.join(turn['messages'])}"


def _row(*cells: Sequence[str]) -> str:
    return escaping.row([escaping.quoted(messages, "(nothing)") for messages in cells])
