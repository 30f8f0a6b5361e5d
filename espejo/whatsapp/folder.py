"""Read all exports of a folder into one table, and check that nothing was lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from espejo.core import metrics
from espejo.core.errors import UserError
from espejo.whatsapp.chats import merge_exports
from espejo.whatsapp.reader import Export, read_file


@dataclass(frozen=True)
class Folder:
    """The exports of a folder, sorted by file name, and their messages without duplicates."""

    files: int
    exports: list[Export]  # a .zip may hold several
    messages: pd.DataFrame  # columns as in `Export`
    exported_twice: int  # messages left out because another export contains them

    def accounts(self) -> dict[str, dict]:
        """Return the accounts of all files: where lines, characters and messages went."""
        accounts = [export.account for export in self.exports]
        kept = len(self.messages)
        return {
            "lines": _sum_accounts("lines", [account.lines for account in accounts], "messages"),
            "characters": _sum_accounts(
                "characters", [account.characters for account in accounts], "texts"
            ),
            "messages": metrics.account(
                *("messages", kept + self.exported_twice, kept),
                {"exported_twice": self.exported_twice},
            ),
        }


def read_exports(files: Sequence[Path], min_understood: float) -> Folder:
    """Read the exports `files` of one folder.

    Raises ExportError as `read_file` does. Raises UserError for a file if less than the share
    `min_understood` of its non-blank lines is part of a message, or if the account of
    its lines and characters does not add up.
    """
    exports = [export for path in files for export in read_file(path)]
    for export in exports:
        check_complete(export)
        check_understood(export, min_understood)
    messages, exported_twice = merge_exports([export.messages for export in exports])
    return Folder(len(files), exports, messages, exported_twice)


def check_complete(export: Export) -> None:
    """Raise UserError if a file's account misses lines or characters: a bug of the reader."""
    lines, characters = export.account.missing
    if lines or characters:
        raise UserError(
            f"{export.name}: the reader lost count of {lines} lines and {characters} characters; "
            "the file is right and espejo is not: please report this with the account "
            f"{export.account} (it holds no words of the chat)."
        )


def check_understood(export: Export, min_understood: float) -> None:
    """Raise UserError if too many lines of a file are in no message, or doubtful."""
    if export.lines_understood < min_understood * export.lines:
        not_understood = sorted([*export.lost, *export.doubtful])[:3]
        examples = "; ".join(f"line {number}: {text[:40]!r}" for number, text in not_understood)
        raise UserError(
            f"{export.name}: only {export.lines_understood} of {export.lines} lines are understood "
            f"as part of a message ({export.decisions}). The first that are not: {examples}. If "
            "they are messages, please report their form; if not, remove them, or lower "
            "parse.min_understood."
        )


def _sum_accounts(unit: str, accounts: list[dict[str, int]], kept: str) -> dict:
    """Sum the accounts of all files. `kept` is the part that was kept; the rest was removed."""
    sums = {reason: sum(account[reason] for account in accounts) for reason in accounts[0]}
    num_kept = sums.pop(kept)
    return metrics.account(unit, num_kept + sum(sums.values()), num_kept, sums)
