"""Names of people, made comparable: as an export writes them, as a person types or says them."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from espejo.core.text import fold, places, unseen

MARKS = "\u200e\u200f\u061c\u202a-\u202e\u2066-\u2069"  # direction marks: never seen, never typed
_MARKS = re.compile(f"[{MARKS}]+")
_PLAIN = str.maketrans({"\u00a0": " ", "\u202f": " ", "\u2009": " ", "\u2011": "-"})
# What is written together or apart, but for what needs no space between words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
LETTER = r"[^\W\d_]"
GAP = r"(?:[^\w\n]|_){0,3}"  # the words of a name, or of a file named after somebody


def plain(raw: str) -> str:
    """A name without direction marks, its spaces and hyphens the plain ones of a keyboard.

    Phone numbers that stand for a name come with several kinds of each.
    """
    return _MARKS.sub("", raw).translate(_PLAIN).strip()


@lru_cache(maxsize=10_000)
def key(name: str) -> str:
    """What two spellings of one name have in common: all that is seen of it, accents composed.

    Control signs and the breaks that are no line feed count as spaces, spaces as one.
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
    """A pattern that finds folded words one after another, together or apart, in a folded text.

    Letters drawn out ("Tinchooo") are the same word, `more` may follow, and only letters go on with
    a word: a name stands in `ana_gomez2.vcf` too. With `inside` not even those.
    """
    pattern = GAP.join(_drawn_out(part) for part in parts) + more
    before = "" if inside or _UNSPACED.match(parts[0]) else f"(?<!{LETTER})"
    after = "" if inside or _UNSPACED.match(parts[-1][-1]) else f"(?!{LETTER})"
    return f"{before}{pattern}{after}"


def _drawn_out(word: str) -> str:
    inner = "".join(f"{re.escape(sign)}(?:{re.escape(sign)}{{2,}})?" for sign in word[:-1])
    return f"{inner}{re.escape(word[-1])}+"


def is_number(name: str) -> bool:
    """Whether a phone number stands for the name."""
    return bool(re.fullmatch(r"\+?[\d ()./-]{7,}", plain(name)))


def number(name: str) -> str:
    """A pattern that finds a phone number as people write it, with or without what comes first.

    Its last seven digits are looked for: country, area, 0, 9 and 15 come and go.
    """
    last = re.sub(r"\D", "", name)[-7:]
    gap = r"[\s().\-\u2010-\u2015/]{0,3}"
    return rf"(?<!\d)[+(]{{0,2}}(?:\d{gap}){{0,10}}?{gap.join(last)}(?!\d)"


def as_is(name: str) -> str:
    """A pattern that finds a whole name in a folded text with all signs that it has."""
    return rf"(?<!{LETTER}){re.escape(fold(plain(name)))}(?!{LETTER})"


def whole(name: str) -> str:
    """A pattern that finds a whole name in a folded text: a number, or its words."""
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
    """A text with `by` wherever `pattern` matches it folded, and how often that was.

    Only `where` (text, start of the match in it) says so, if it is given.
    """
    matches = list(pattern.finditer(fold(text)))
    indices = places(text) if matches else []
    pieces, done, count = [], 0, 0
    for match in matches:
        start, end = indices[match.start()], indices[match.end() - 1] + 1
        if where(text, start):
            while end < len(text) and not fold(text[end]):  # an accent apart
                end += 1
            pieces += [text[done:start], by]
            done, count = end, count + 1
    return "".join(pieces) + text[done:], count
