"""Text as it is compared: without case and accents, as words, as n-grams; and laughter."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

Item = TypeVar("Item")

# Laughter, in a folded word: one consonant is repeated, with vowels or typing slips between.
# jaja, jajsja, ajajaj, jjj, jsjs; haha, ahah, but not ohh; ksksks, skjs; kk; lol; lmao; xd.
LAUGHTER = (
    r"(?:[aeiou]?(?:j[aeiousk]*){2,}|[aeiou]?(?:h+[aeiou]+){2,}h*|(?:[aeiou]h+){2,}"
    r"|(?=s{0,2}[jk])[jks]{3,}|k{2,}|l+o+l+|lmf?ao+|x+d+)"
)


def fold(text: str) -> str:
    """A text without case, accents, letter styles (𝐍, ª) and invisible characters."""
    return text.lower() if text.isascii() else "".join(map(_bare, text))


def places(text: str) -> list[int]:
    """For each character of `fold(text)` the index in `text` that it came from."""
    return [index for index, sign in enumerate(text) for _ in _bare(sign)]


@lru_cache(maxsize=20_000)
def _bare(sign: str) -> str:
    """A character folded; "" for an accent or an invisible character."""
    plain_style = unicodedata.normalize("NFKD", sign)  # of 𝐍 too
    apart = unicodedata.normalize("NFKD", plain_style.casefold())
    return "".join(c for c in apart if not (_accent(c) or unseen(c)))


def _accent(sign: str) -> bool:
    """Whether a character combines with the one before it: above, below or around it (3\u20e3)."""
    return unicodedata.combining(sign) > 0 or unicodedata.category(sign) == "Me"


def unseen(sign: str) -> bool:
    """Whether a character is invisible: format characters, joiners, variation selectors."""
    return (
        unicodedata.category(sign) == "Cf"
        or "\ufe00" <= sign <= "\ufe0f"
        or sign in "\u034f\u115f\u1160\u3164"
    )


def words(text: str) -> list[str]:
    """The words of a text, without case and punctuation; accents stay.

    An underscore is punctuation: it makes a word italic in WhatsApp.
    """
    return re.findall(r"[^\W_]+", text.casefold())


def ngrams(items: Sequence[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """All n-grams of `size` consecutive items (mostly words), in order."""
    return (tuple(items[start : start + size]) for start in range(len(items) - size + 1))
