"""The one exception that a user may see: its text is a sentence they can act on."""

from pathlib import Path


class UserError(ValueError):
    """Something in the user's files, settings or machine: what, where, and what to do."""


def not_made_yet(what: str) -> UserError:
    """The error when `what` is missing ("There is no model") that only a pipeline run can make."""
    if not Path("dvc.yaml").is_file():
        return UserError(f"{what}, and no dvc.yaml: run this in the folder of the project.")
    return UserError(
        f"{what}. If a run has just failed, `dvc checkout` brings back what it removed; otherwise "
        "run `make repro` first, in this folder (on your own chats: `dvc exp run -S data=mine`)."
    )
