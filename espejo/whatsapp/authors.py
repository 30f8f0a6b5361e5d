"""Who wrote a message: the name before its first colon, if that is a name."""

import re
from collections import Counter
from collections.abc import Callable, Container, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from espejo.core import names
from espejo.whatsapp.kinds import NOTICE, NOTICE_STARTS, OWN_MARKS, somebody_acts

_QUOTES = re.compile('["“”„«»]')
_OPENS = re.compile(r'(?:(?<![\w.,!?)])["“”]|[„“]|«\s?)(?=[^\s"“”„«»])[^"“”„«»]*\Z')
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
        longest = next(name for name in long_names if first.startswith(name))
        return name(longest[:-2]), first[len(longest) :]
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
    raws: list[str | None], codes: np.ndarray, bodies: pa.LargeStringArray
) -> frozenset[str]:
    """Those of `raws` that are the beginning of a notice of Android's, not a name.

    "Ana added you to a group in the community: Harriers", "Added: ~ Kuba". Sure are those of the
    lists, those that go on behind a phone number or at length behind a person, and those followed
    by nothing but strangers. Other sentences may be what somebody calls a contact ("plumber who
    came on Monday"): they are WhatsApp's where they stand once, beside another notice, before a
    title or somebody's name.
    """
    counts = np.bincount(codes, minlength=len(raws))
    used, firsts = np.unique(codes, return_index=True)
    people = {raws[code] for code in used.tolist() if counts[code] > 1}
    names: set[str] = set()
    likely: list[tuple[int, Callable[[str], bool]]] = []
    for code, row in zip(used.tolist(), firsts.tolist(), strict=True):
        raw, once = raws[code], counts[code] == 1
        if raw is None:
            continue
        plain = _MARKS.sub("", raw)
        number = _NUMBER.match(plain)
        words = _WORD.findall(plain[number.end() :] if number else plain)
        rest = _behind(plain, people)
        if (
            (number and counts[code] < 3 and len(words) > 1 and _lower(words))
            or (once and len(_lower(rest)) > 3)
            or somebody_acts(f"{plain}: x")
            or (len(words) == 1 and _are_strangers(bodies, codes, row))
        ):
            names.add(raw)
        elif once and (_lower(rest) or (len(words) > 4 and len(_lower(words)) > 2)):
            likely.append((row, _is_title))
        elif once and len(words) == 1:
            likely.append((row, people.__contains__))
    own = np.isin(codes, [code for code, raw in enumerate(raws) if raw is None or raw in names])
    for row, fits in likely:
        text = _MARKS.sub("", bodies[row].as_py())
        if own[max(row - 1, 0) : row + 2].any() and (fits(text) or _NUMBER.fullmatch(text)):
            names.add(raws[codes[row]])
    return frozenset(names)


def _behind(plain: str, people: Container[str]) -> list[str]:
    """The words behind a person with whom a text begins, where they go on as no name does."""
    words = plain.split(" ")
    known = (
        length for length in range(1, min(len(words), 6)) if " ".join(words[:length]) in people
    )
    rest = _WORD.findall(" ".join(words[next(known, len(words)) :]))
    return rest if len(rest) > 1 and rest[0] not in _SMALL else []


def _lower(words: Sequence[str]) -> list[str]:
    """Those of some words that no name has."""
    return [word for word in words if not word[0].isupper() and word not in _SMALL]


def _is_title(text: str) -> bool:
    """Whether a text may be what a group is called."""
    one_line = len(text) < 101 and "\n" not in text
    return one_line and not text[:1].islower() and text[-1:] not in ".?!"


def _are_strangers(bodies: pa.LargeStringArray, codes: np.ndarray, row: int) -> bool:
    """Whether all texts of a row's code are strangers' names, as WhatsApp writes them: ~ Kuba."""
    if "~" not in bodies[row].as_py()[:3]:
        return False
    texts = (
        _MARKS.sub("", text)
        for text in bodies.take(np.flatnonzero(codes == codes[row])).to_pylist()
    )
    return all(re.fullmatch(r"~[\s\u00a0]\S[^\n]{,60}", text) for text in texts)


def without_space(
    raws: list[str | None], codes: np.ndarray, bodies: pa.LargeStringArray
) -> frozenset[str]:
    """Names with a bare colon behind (`Bob:Hi`), where that is how a file writes them."""
    counts = np.bincount(codes, minlength=len(raws))
    named = {raw for raw in raws if raw is not None}
    if None not in raws:
        return frozenset()
    rows = np.flatnonzero(codes == raws.index(None))
    firsts = [text.partition("\n")[0] for text in bodies.take(rows).to_pylist()]
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


def with_colon(
    names_: list[str | None], codes: np.ndarray, bodies: pa.LargeStringArray
) -> list[str]:
    """Names such as `Ana: work`, with `: ` after them; only WhatsApp's mark behind proves them.

    A caption that ends in a colon looks the same, so the name has to stand in all lines that
    begin like it, or before the mark more than once. `codes` index `names_`: what stands before
    each message's first colon, None when that is not simply a name.
    """
    behind = [pc.match_substring(bodies, f": {mark}") for mark in OWN_MARKS]
    rows = np.flatnonzero(pc.or_(*behind).to_numpy(zero_copy_only=False))
    marked: Counter[str] = Counter()
    for row, text in zip(rows.tolist(), bodies.take(rows).to_pylist(), strict=True):
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
            _always("", f"{rest}: ", codes == names_.index(short), bodies)
            if short in names_
            else _always(f"{short}: ", f"{long_name}: ", codes == names_.index(None), bodies)
        ):
            proven.append(f"{long_name}: ")
    return proven


def _always(begun: str, start: str, mask: np.ndarray, bodies: pa.LargeStringArray) -> bool:
    """Whether all masked texts that begin with `begun` have `start`; most show soon they do not."""
    rows = np.flatnonzero(mask)
    for some in (rows[:20], rows[20:]):
        texts = bodies.take(some)
        texts = texts.filter(pc.starts_with(texts, begun))
        if not pc.all(pc.starts_with(texts, start), min_count=0).as_py():
            return False
    return True


def whole(raw: str | None, body: str) -> str:
    """A message's text with its name, as it stands behind the header."""
    return body if raw is None else f"{raw}: {body}"
