"""The error that a file which is no readable export raises."""

from espejo.core.errors import UserError

HOW = "export the chat again from WhatsApp (Export chat) and use its .txt or .zip as it comes"


class ExportError(UserError):
    """A file that cannot be read as an export; the text is one sentence that says what to do."""
