"""All exports of a folder, held to their accounts, as one table."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from espejo.core import metrics
from espejo.core.config import Section, Share
from espejo.core.errors import UserError
from espejo.whatsapp.chats import joined
from espejo.whatsapp.files import exports_in
from espejo.whatsapp.reader import Export, read_file


class ParseConfig(Section):
    """How well exports must be understood."""

    section = "parse"
    min_understood: Share


@dataclass(frozen=True)
class Folder:
    """The exports of a folder, in the order of their names, and their messages, each once."""

    files: int
    exports: list[Export]  # a .zip may hold several
    messages: pd.DataFrame  # columns as in `Export`
    exported_twice: int

    def accounts(self) -> dict[str, dict]:
        """Where the lines and characters of all files went, and the messages of all exports."""
        accounts = [export.account for export in self.exports]
        kept = len(self.messages)
        return {
            "lines": _total("lines", [account.lines for account in accounts], "messages"),
            "characters": _total(
                "characters", [account.characters for account in accounts], "texts"
            ),
            "messages": metrics.account(
                *("messages", kept + self.exported_twice, kept),
                {"exported_twice": self.exported_twice},
            ),
        }


def read_folder(folder: Path, min_understood: float) -> Folder:
    """Read every export of `folder`.

    Raises ExportError as `read_file` does, and UserError for a file of whose lines (those that are
    not blank) a smaller share than `min_understood` is part of a message, or whose lines and
    characters are not all accounted for.
    """
    files = exports_in(folder)
    exports = [export for path in files for export in read_file(path)]
    for export in exports:
        check_complete(export)
        check_understood(export, min_understood)
    messages, exported_twice = joined([export.messages for export in exports])
    return Folder(len(files), exports, messages, exported_twice)


def check_complete(export: Export) -> None:
    """Raise UserError when a line or character of a file went nowhere: a defect of ours."""
    lines, characters = export.account.missing
    if lines or characters:
        raise UserError(
            f"{export.name}: the reader lost count of {lines} lines and {characters} characters; "
            "the file is right and espejo is not: please report this with the account "
            f"{export.account} (it holds no words of the chat)."
        )


def check_understood(export: Export, least: float) -> None:
    """Raise UserError when too many lines of a file are in no message, or doubtful."""
    if export.lines_understood < least * export.lines:
        strange = sorted([*export.lost, *export.doubtful])[:3]
        first = "; ".join(f"line {number}: {text[:40]!r}" for number, text in strange)
        raise UserError(
            f"{export.name}: only {export.lines_understood} of {export.lines} lines are understood "
            f"as part of a message ({export.decided}). The first that are not: {first}. If they "
            "are messages, please report their form; if not, remove them, or lower "
            "parse.min_understood."
        )


def _total(unit: str, accounts: list[dict[str, int]], kept: str) -> dict:
    """The account of all files: what stands in `kept` is out, all else was taken off."""
    parts = {reason: sum(account[reason] for account in accounts) for reason in accounts[0]}
    out = parts.pop(kept)
    return metrics.account(unit, out + sum(parts.values()), out, parts)
