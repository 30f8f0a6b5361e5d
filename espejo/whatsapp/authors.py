"""Who wrote a message: the name before its first colon, if that is a name."""

import re
from collections import Counter
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from espejo import names
from espejo.whatsapp.kinds import NOTICE, NOTICE_STARTS, OWN_MARKS, somebody_acts

_QUOTES = re.compile('["“”„«»]')
_OPENS = re.compile(r'(?:(?<![\w.,!?)])["“”]|[„«“])(?=[^\s"“”„«»])[^"“”„«»]*\Z')
_MARKS = re.compile(f"[{names.MARKS}]+")
_NUMBER = re.compile(rf"[~\s{names.MARKS}]*\+?\d[\d \u00a0().\u2011-]{{6,}}\d")
_WORD = re.compile(r"[^\W\d_][^\s]*")
# Small words inside names: Juan de la Cruz.
_SMALL_WORDS = """
    a al and d da das de del della den der di do dos du e el la las le los of san the van vom von y
    zu zum
"""
_SMALL = frozenset(_SMALL_WORDS.split())


@lru_cache(maxsize=10_000)
def name(raw: str) -> str:
    """A person's name as a key (phone numbers come with several kinds of space and hyphen)."""
    return names.plain(raw)


def doubtful(raw: str | None) -> bool:
    """Whether what stands before the first colon may be no name: its lines need a closer look."""
    return (
        raw is None
        or len(_QUOTES.findall(raw)) % 2 == 1
        or _MARKS.sub("", raw).startswith(NOTICE_STARTS)
    )


def _inside_quotation(raw: str, text: str) -> bool:
    """Whether the colon stands inside a quotation: a group's new name, `... "Barbecue: Friday"`."""
    odd = len(_QUOTES.findall(raw)) % 2 == 1
    return odd and bool(_OPENS.search(raw) and _QUOTES.search(text))


def split(
    first: str, long_names: tuple[str, ...], tight_names: frozenset[str]
) -> tuple[str | None, str]:
    """Author (None for WhatsApp) and text of a message's first line.

    `long_names` are names with a colon inside, each with `: ` after it; after `tight_names` stands
    a colon without a space.
    """
    if long_names and first.startswith(long_names):
        found = next(name for name in long_names if first.startswith(name))
        return name(found[:-2]), first[len(found) :]
    tight, colon, text = first.partition(":")
    if colon and tight in tight_names and not text.startswith(" "):
        return name(tight), text
    raw, colon, text = first.partition(": ")
    if not colon:
        raw, text = first.rstrip(OWN_MARKS), ""
        if not raw.endswith(":"):
            return None, first
        raw = raw[:-1]
    if _inside_quotation(raw, text) or NOTICE.match(first):
        return None, first
    return name(raw), text


def notices_with_colon(
    raws: list[str | None], codes: np.ndarray, said: pa.LargeStringArray
) -> frozenset[str]:
    """Those of `raws` that are the beginning of a notice of Android's, not a name.

    "Ana added you to a group in the community: Harriers", "Added: ~ Kuba". Such a beginning comes
    seldom; it names a person and goes on, is a whole sentence, or is followed by nothing but names.
    """
    counts = np.bincount(codes, minlength=len(raws))
    people = {raw for raw, count in zip(raws, counts, strict=True) if raw and count > 1}
    found = set()
    for code, raw in enumerate(raws):
        if raw is None or " " not in raw and counts[code] > 3:
            continue
        plain = _MARKS.sub("", raw)
        number = _NUMBER.match(plain)
        rest = plain[number.end() :] if number else ""
        known = next((one for one in people if plain.startswith(f"{one} ")), None)
        if known:
            rest = plain[len(known) :]
        words = _WORD.findall(rest or plain)
        lower = [word for word in words if not word[0].isupper() and word not in _SMALL]
        sentence = len(words) > (1 if rest else 4) and len(lower) > (0 if rest else 2)
        if (
            (sentence and counts[code] <= 2)
            or somebody_acts(f"{plain}: x")
            or (counts[code] <= 3 and _only_names(said.take(np.flatnonzero(codes == code))))
        ):
            found.add(raw)
    return frozenset(found)


def _only_names(texts: pa.LargeStringArray) -> bool:
    """Whether each text is somebody's name, as WhatsApp writes those of strangers (~ Kuba)."""
    plain = [_MARKS.sub("", text) for text in texts.to_pylist()]
    return all(re.fullmatch(r"~[\s\u00a0]\S[^\n]{,60}|\+\d[\d ().-]{7,}", text) for text in plain)


def without_space(
    raws: list[str | None], codes: np.ndarray, said: pa.LargeStringArray
) -> frozenset[str]:
    """Names with a bare colon behind (`Bob:Hi`), where that is how a file writes them."""
    counts = np.bincount(codes, minlength=len(raws))
    named = {raw for raw in raws if raw is not None}
    if None not in raws:
        return frozenset()
    rows = np.flatnonzero(codes == raws.index(None))
    firsts = [text.partition("\n")[0] for text in said.take(rows).to_pylist()]
    spaced = int(counts.sum()) - len(rows) + sum(": " in first for first in firsts)
    usual = 2 * spaced > counts.sum()
    tight = Counter(
        before
        for before, colon, after in (first.partition(":") for first in firsts)
        if colon and after and not after.startswith(("//", " ")) and before
    )
    return frozenset(
        before
        for before, count in tight.items()
        if before in named or (not usual and (count > 1 or len(before.split()) < 4))
    )


def with_colon(names_: list[str | None], codes: np.ndarray, said: pa.LargeStringArray) -> list[str]:
    """Names such as `Ana: work`, with `: ` after them; only WhatsApp's mark behind proves them.

    A caption that ends in a colon looks the same, so the name has to stand in all lines that
    begin like it, or before the mark more than once. `codes` index `names_`: what stands before
    each message's first colon, None when that is not simply a name.
    """
    behind = [pc.match_substring(said, f": {mark}") for mark in OWN_MARKS]
    rows = np.flatnonzero(pc.or_(*behind).to_numpy(zero_copy_only=False))
    marked: Counter[str] = Counter()
    for row, text in zip(rows.tolist(), said.take(rows).to_pylist(), strict=True):
        first = whole(names_[codes[row]], text).partition("\n")[0]
        before, *behind = re.split(f": [{OWN_MARKS}]", first, maxsplit=1)
        if behind:
            marked[before] += 1
    proven = []
    for long_name, count in marked.items():
        short, colon, rest = long_name.partition(": ")
        if not colon:
            continue
        if count > 1 or (
            _always("", f"{rest}: ", codes == names_.index(short), said)
            if short in names_
            else _always(f"{short}: ", f"{long_name}: ", codes == names_.index(None), said)
        ):
            proven.append(f"{long_name}: ")
    return proven


def _always(begun: str, start: str, mask: np.ndarray, said: pa.LargeStringArray) -> bool:
    """Whether all masked texts that begin with `begun` have `start`; most show soon they do not."""
    rows = np.flatnonzero(mask)
    for some in (rows[:20], rows[20:]):
        texts = said.take(some)
        texts = texts.filter(pc.starts_with(texts, begun))
        if not pc.all(pc.starts_with(texts, start), min_count=0).as_py():
            return False
    return True


def whole(raw: str | None, said: str) -> str:
    """A message's text with its name, as it stands behind the header."""
    return said if raw is None else f"{raw}: {said}"
