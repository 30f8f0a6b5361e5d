"""The error for a file that cannot be read as an export."""

from espejo.core.errors import UserError

ADVICE = "export the chat again from WhatsApp (Export chat) and use its .txt or .zip as it comes"


class ExportError(UserError):
    """A file cannot be read as an export; the message is one sentence that says what to do."""
