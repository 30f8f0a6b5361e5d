"""Who wrote a message: the name before its first colon, if that is a name."""

import re
from collections import Counter
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from espejo import names
from espejo.whatsapp.kinds import LRM, NOTICE, NOTICE_STARTS

_QUOTES = re.compile('["“”„«»]')
_MARKS = re.compile(f"[{names.MARKS}]+")


@lru_cache(maxsize=10_000)
def name(raw: str) -> str | None:
    """A person's name as a key (phone numbers come with several kinds of space and hyphen).

    None where the colon stands inside a quotation: a group's new name, `... "Barbecue: Friday"`.
    """
    if len(_QUOTES.findall(raw)) % 2:
        return None
    return names.plain(raw)


def doubtful(raw: str | None) -> bool:
    """Whether what stands before the first colon may be no name: its lines need a closer look."""
    return raw is None or name(raw) is None or _MARKS.sub("", raw).startswith(NOTICE_STARTS)


def split(first: str, long_names: tuple[str, ...]) -> tuple[str | None, str]:
    """Author (None for WhatsApp) and text of a message's first line.

    `long_names` are names with a colon inside, each with `: ` after it.
    """
    if long_names and first.startswith(long_names):
        found = next(name for name in long_names if first.startswith(name))
        return name(found[:-2]), first[len(found) :]
    raw, colon, text = first.partition(": ")
    if not colon:
        raw, text = first.rstrip(LRM), ""
        if not raw.endswith(":"):
            return None, first
        raw = raw[:-1]
    author = name(raw)
    if author is None or NOTICE.match(first):
        return None, first
    return author, text


def with_colon(names_: list[str | None], codes: np.ndarray, said: pa.LargeStringArray) -> list[str]:
    """Names such as `Ana: work`, with `: ` after them; only WhatsApp's mark behind proves them.

    A caption that ends in a colon looks the same, so the name has to stand in all lines that
    begin like it, or before the mark more than once. `codes` index `names_`: what stands before
    each message's first colon, None when that is not simply a name.
    """
    rows = np.flatnonzero(pc.match_substring(said, ": " + LRM).to_numpy(zero_copy_only=False))
    marked: Counter[str] = Counter()
    for row, text in zip(rows.tolist(), said.take(rows).to_pylist(), strict=True):
        first = whole(names_[codes[row]], text).partition("\n")[0]
        if ": " + LRM in first:
            marked[first.partition(": " + LRM)[0]] += 1
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
