"""The one exception that a user may see: its text is a sentence they can act on."""


class UserError(ValueError):
    """Something in the user's files, settings or machine: what, where, and what to do."""
