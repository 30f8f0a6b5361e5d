"""What a word of a text is, wherever words are counted or compared."""

import re


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation."""
    return re.findall(r"\w+", text.casefold())
