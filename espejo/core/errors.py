"""The one exception that a user may see: its text is a sentence they can act on."""


class UserError(ValueError):
    """Something in the user's files, settings or machine: what, where, and what to do."""


def not_made_yet(what: str) -> UserError:
    """The error when `what` is missing ("There is no model") that only a pipeline run can make."""
    return UserError(
        f"{what}: run `make repro` first (on your own chats: `dvc exp run -S data=mine`), and this "
        "in the same folder. If a run failed, its files are gone: `dvc checkout` brings those of "
        "the run before back."
    )
