"""What `espejo chat` declines by list: what holds one of its phrases never reaches a model."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from espejo import files
from espejo.errors import UserError

# Accents are dropped, the tilde of ñ is not: año and ano are two words.
_ACCENT = re.compile("(?!(?<=n)\u0303)[\u0300-\u036f]")
# An underscore is no letter: it makes a word italic in WhatsApp.
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Declined:
    """The phrases of the list, as `_words` writes them, and the sentence that answers them."""

    phrases: tuple[str, ...]
    answer: str

    def holds(self, message: str) -> bool:
        """Whether a phrase of the list stands in `message`, as whole words in a row."""
        said = f" {_words(message)} "
        return any(f" {phrase} " in said for phrase in self.phrases)


def _words(text: str) -> str:
    """The words of a text with a space between, without case, accents and punctuation."""
    bare = _ACCENT.sub("", unicodedata.normalize("NFKD", text).casefold())
    return " ".join(_WORD.findall(unicodedata.normalize("NFC", bare)))


def listed(wanted: Mapping) -> Declined:
    """The list of the params section `chat`.

    Raises UserError for an entry without a word: it would never be found.
    """
    phrases = []
    for entry in wanted["decline"] or []:
        phrase = _words(entry) if isinstance(entry, str) else ""
        if not phrase:
            raise UserError(
                f"chat.decline holds {entry!r}, which is no word or phrase: put it in quotes, or "
                "take it out."
            )
        phrases.append(phrase)
    return Declined(tuple(phrases), wanted["declined"])


def read(path: Path = Path("params.yaml")) -> Declined:
    """`listed` of params.yaml; without that file, or from one of before, nothing is declined.

    Not of the model's facts: another list must not mean another training.
    """
    params = files.mapping(path, yaml.safe_load) if path.exists() else {}
    return listed(params.get("chat", {"decline": [], "declined": ""}))
