"""What was written in a conversation, as a text file: only when somebody asks for it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from espejo.chat.conversation import BOT
from espejo.core import escaping, files
from espejo.core.tables import Turn
from espejo.report.wording import Wording

# In reports/, which git ignores: what people write here is private.
FOLDER = Path("reports/transcripts")


def transcript(turns: Sequence[Turn], wording: Wording) -> str:
    """A line for each message, after a first line that says who wrote: a person and a bot."""
    lines = [wording.text("transcript")]
    for turn in turns:
        label = wording.text("bot" if turn["author"] == BOT else "you")
        lines += [f"{label}{escaping.terminal(message)}" for message in turn["messages"]]
    return "\n".join(lines) + "\n"


def save(turns: Sequence[Turn], wording: Wording, path: Path | None = None) -> Path:
    """Write the transcript to `path`, else to a new file in `FOLDER`; returns where.

    Raises UserError when it cannot be written there.
    """
    path = path or FOLDER / f"{datetime.now():%Y-%m-%d-%H%M%S}.txt"
    files.write(transcript(turns, wording), path)
    return path
