"""Names of people: comparing them, and patterns that find them as people type them."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from espejo.core.text import fold, places, unseen

MARKS = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # direction marks: invisible, never typed
_MARKS = re.compile(f"[{MARKS}]+")
_PLAIN = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2011": "-"})
# Scripts that put no spaces between words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
LETTER = r"[^\W\d_]"
GAP = r"(?:[^\w\n]|_){0,3}"  # between the words of a name, or of a file named after somebody


def plain(raw: str) -> str:
    """A name without direction marks, and with ordinary spaces and hyphens.

    Phone numbers that stand for a name have several kinds of each.
    """
    return _MARKS.sub("", raw).translate(_PLAIN).strip()


@lru_cache(maxsize=10_000)
def key(name: str) -> str:
    """A name's visible characters, normalized, so that two spellings of one name are equal.

    Accents are composed (NFC); control characters and unusual line breaks count as spaces, and
    several spaces as one.
    """
    seen = "".join(
        " " if unicodedata.category(sign) in ("Cc", "Zl", "Zp") else sign
        for sign in plain(name)
        if not unseen(sign)
    )
    return unicodedata.normalize("NFC", " ".join(seen.split()))


def words(name: str) -> list[str]:
    """The words of a name, folded: runs of letters."""
    return re.findall(f"{LETTER}+", fold(name))


def written(parts: Sequence[str], more: str = "", inside: bool = False) -> str:
    """A pattern for folded words in a row, with or without spaces between, in a folded text.

    Drawn-out letters match too ("Tinchooo"), and so does what the pattern `more` adds at the end.
    Only a letter before or after prevents a match: a name is found in `ana_gomez2.vcf`. With
    `inside`, not even a letter does.
    """
    pattern = GAP.join(_drawn_out(part) for part in parts) + more
    before = "" if inside or _UNSPACED.match(parts[0]) else f"(?<!{LETTER})"
    after = "" if inside or _UNSPACED.match(parts[-1][-1]) else f"(?!{LETTER})"
    return f"{before}{pattern}{after}"


def _drawn_out(word: str) -> str:
    inner = "".join(f"{re.escape(sign)}(?:{re.escape(sign)}{{2,}})?" for sign in word[:-1])
    return f"{inner}{re.escape(word[-1])}+"


def is_number(name: str) -> bool:
    """Whether the name is a phone number."""
    return bool(re.fullmatch(r"\+?[\d ()./-]{7,}", plain(name)))


def number(name: str) -> str:
    """A pattern for a phone number as people write it, with or without its prefixes.

    It looks for the last seven digits: people leave out the country and area code, 0, 9 or 15.
    """
    last = re.sub(r"\D", "", name)[-7:]
    gap = r"[\s().\-\u2010-\u2015/]{0,3}"
    return rf"(?<!\d)[+(]{{0,2}}(?:\d{gap}){{0,10}}?{gap.join(last)}(?!\d)"


def as_is(name: str) -> str:
    """A pattern for a whole name in a folded text, punctuation and digits included."""
    return rf"(?<!{LETTER}){re.escape(fold(plain(name)))}(?!{LETTER})"


def whole(name: str) -> str:
    """A pattern for a whole name in a folded text: a phone number, or the name's words."""
    if is_number(name):
        return number(name)
    parts = words(name)
    return f"{as_is(name)}|{written(parts)}" if parts else as_is(name)


def replaced(
    text: str,
    pattern: re.Pattern[str],
    by: str,
    where: Callable[[str, int], bool] = lambda text, start: True,
) -> tuple[str, int]:
    """`text` with `by` wherever `pattern` matches its folded form, and the number of matches.

    With `where`, only matches for which `where(text, start)` is true are replaced.
    """
    matches = list(pattern.finditer(fold(text)))
    indices = places(text) if matches else []
    pieces, done, count = [], 0, 0
    for match in matches:
        start, end = indices[match.start()], indices[match.end() - 1] + 1
        if where(text, start):
            while end < len(text) and not fold(text[end]):  # a combining accent
                end += 1
            pieces += [text[done:start], by]
            done, count = end, count + 1
    return "".join(pieces) + text[done:], count
