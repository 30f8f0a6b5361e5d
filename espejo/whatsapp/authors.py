"""The author of a message: the name before its first colon, if that is a name.

A raw name is the text before the first colon of a message; None if it is not simply a name.
"""

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
_OPEN_QUOTATION = re.compile(r'(?:(?<![\w.,!?)])["“”]|[„“]|«\s?)(?=[^\s"“”„«»])[^"“”„«»]*\Z')
_MARKS = re.compile(f"[{names.MARKS}]+")
_NUMBER = re.compile(rf"[~\s{names.MARKS}]*\+?\d[\d \u00a0().\u2011-]{{6,}}\d")
_WORD = re.compile(r"[^\W\d_][^\s]*")
# Small words inside names: Juan de la Cruz.
_PARTICLE_LIST = """
    a al and d da das de del della den der di do dos du e el la las le los of san the van vom von y
    zu zum
"""
_PARTICLES = frozenset(_PARTICLE_LIST.split())


@lru_cache(maxsize=10_000)
def clean_name(raw: str) -> str:
    """Return a name in one spelling: phone numbers come with several kinds of space and hyphen."""
    return names.plain(raw)


def is_doubtful(raw: str | None) -> bool:
    """Whether a raw name may not be a name, so that its messages must be checked one by one."""
    return (
        raw is None
        or len(_QUOTES.findall(raw)) % 2 == 1
        or _MARKS.sub("", raw).startswith(NOTICE_STARTS)
    )


def _inside_quotation(raw: str, text: str) -> bool:
    """Whether the colon is inside a quotation: a group's new name, `... "Barbecue: Friday"`."""
    odd = len(_QUOTES.findall(raw)) % 2 == 1
    return odd and bool(_OPEN_QUOTATION.search(raw) and _QUOTES.search(text))


def split_author(
    first_line: str, long_names: tuple[str, ...], tight_names: frozenset[str]
) -> tuple[str | None, str]:
    """Split a message's first line into the author (None for WhatsApp) and the text.

    `long_names` are names that contain a colon, each with `: ` after it; `tight_names` are names
    followed by a colon without a space.
    """
    if long_names and first_line.startswith(long_names):
        long_name = next(name for name in long_names if first_line.startswith(name))
        return clean_name(long_name[:-2]), first_line[len(long_name) :]
    before, colon, text = first_line.partition(":")
    if colon and before in tight_names and not text.startswith(" "):
        return clean_name(before), text
    raw, colon, text = first_line.partition(": ")
    if not colon:
        raw, text = first_line.rstrip(OWN_MARKS), ""
        if not raw.endswith(":"):
            return None, first_line
        raw = raw[:-1]
    if _inside_quotation(raw, text) or NOTICE.match(first_line):
        return None, first_line
    return clean_name(raw), text


def notices_with_colon(
    raw_names: list[str | None], codes: np.ndarray, bodies: pa.LargeStringArray
) -> frozenset[str]:
    """Return the raw names that are the beginning of an Android notice, not a name.

    `codes` are the indices in `raw_names` of the messages whose texts are `bodies`. Examples: "Ana
    added you to a group in the community: Harriers", "Added: ~ Kuba". Certain are those in
    notices.json, those that continue after a phone number or at length after a person, and those
    followed only by strangers' names. Other sentences may be what somebody calls a contact
    ("plumber who came on Monday"): they count as notices if they occur once, next to another
    notice, and before a title or a person's name.
    """
    counts = np.bincount(codes, minlength=len(raw_names))
    distinct, first_rows = np.unique(codes, return_index=True)
    people = {raw_names[code] for code in distinct.tolist() if counts[code] > 1}
    notices: set[str] = set()
    candidates: list[tuple[int, Callable[[str], bool]]] = []
    for code, row in zip(distinct.tolist(), first_rows.tolist(), strict=True):
        raw, occurs_once = raw_names[code], counts[code] == 1
        if raw is None:
            continue
        text = _MARKS.sub("", raw)
        number = _NUMBER.match(text)
        words = _WORD.findall(text[number.end() :] if number else text)
        after_person = _words_after_person(text, people)
        if (
            (number and counts[code] < 3 and len(words) > 1 and _not_in_names(words))
            or (occurs_once and len(_not_in_names(after_person)) > 3)
            or somebody_acts(f"{text}: x")
            or (len(words) == 1 and _are_strangers(bodies, codes, row))
        ):
            notices.add(raw)
        elif occurs_once and (
            _not_in_names(after_person) or (len(words) > 4 and len(_not_in_names(words)) > 2)
        ):
            candidates.append((row, _is_title))
        elif occurs_once and len(words) == 1:
            candidates.append((row, people.__contains__))
    is_whatsapp = np.isin(
        codes, [code for code, raw in enumerate(raw_names) if raw is None or raw in notices]
    )
    for row, is_plausible in candidates:
        text = _MARKS.sub("", bodies[row].as_py())
        if is_whatsapp[max(row - 1, 0) : row + 2].any() and (
            is_plausible(text) or _NUMBER.fullmatch(text)
        ):
            notices.add(raw_names[codes[row]])
    return frozenset(notices)


def _words_after_person(text: str, people: Container[str]) -> list[str]:
    """Return the words after the person's name that begins a text, if they are not part of it."""
    words = text.split(" ")
    lengths = (
        length for length in range(1, min(len(words), 6)) if " ".join(words[:length]) in people
    )
    after = _WORD.findall(" ".join(words[next(lengths, len(words)) :]))
    return after if len(after) > 1 and after[0] not in _PARTICLES else []


def _not_in_names(words: Sequence[str]) -> list[str]:
    """Return those of the words that do not occur in names: without a capital, no particles."""
    return [word for word in words if not word[0].isupper() and word not in _PARTICLES]


def _is_title(text: str) -> bool:
    """Whether a text may be the name of a group."""
    one_line = len(text) < 101 and "\n" not in text
    return one_line and not text[:1].islower() and text[-1:] not in ".?!"


def _are_strangers(bodies: pa.LargeStringArray, codes: np.ndarray, row: int) -> bool:
    """Whether all texts with the code of `row` are strangers' names in WhatsApp's form: ~ Kuba."""
    if "~" not in bodies[row].as_py()[:3]:
        return False
    texts = (
        _MARKS.sub("", text)
        for text in bodies.take(np.flatnonzero(codes == codes[row])).to_pylist()
    )
    return all(re.fullmatch(r"~[\s\u00a0]\S[^\n]{,60}", text) for text in texts)


def names_without_space(
    raw_names: list[str | None], codes: np.ndarray, bodies: pa.LargeStringArray
) -> frozenset[str]:
    """Return the names that a file writes with no space after the colon (`Bob:Hi`)."""
    counts = np.bincount(codes, minlength=len(raw_names))
    known_names = {raw for raw in raw_names if raw is not None}
    if None not in raw_names:
        return frozenset()
    rows = np.flatnonzero(codes == raw_names.index(None))
    first_lines = [text.partition("\n")[0] for text in bodies.take(rows).to_pylist()]
    num_spaced = (
        int(counts.sum()) - len(rows) + sum(": " in first_line for first_line in first_lines)
    )
    mostly_spaced = 2 * num_spaced > counts.sum()
    counts_without_space = Counter(
        before
        for before, colon, after in (first_line.partition(":") for first_line in first_lines)
        if colon and after and not after.startswith(("//", " ")) and before
    )
    return frozenset(
        before
        for before, count in counts_without_space.items()
        if before in known_names or (not mostly_spaced and (count > 1 or len(before.split()) < 4))
    )


def names_with_colon(
    raw_names: list[str | None], codes: np.ndarray, bodies: pa.LargeStringArray
) -> list[str]:
    """Return names that contain a colon, such as `Ana: work`, with `: ` after them.

    Only WhatsApp's mark after a name proves it. A caption that ends in a colon looks the same, so
    the name must also begin all lines that have its first part, or be before the mark more than
    once. `codes` are the indices in `raw_names` of the messages whose texts are `bodies`.
    """
    is_marked = [pc.match_substring(bodies, f": {mark}") for mark in OWN_MARKS]
    rows = np.flatnonzero(pc.or_(*is_marked).to_numpy(zero_copy_only=False))
    counts: Counter[str] = Counter()
    for row, text in zip(rows.tolist(), bodies.take(rows).to_pylist(), strict=True):
        first_line = full_text(raw_names[codes[row]], text).partition("\n")[0]
        before, *after_mark = re.split(f": [{OWN_MARKS}]", first_line, maxsplit=1)
        if after_mark:
            counts[before] += 1
    proven = []
    for long_name, count in counts.items():
        short, colon, rest = long_name.partition(": ")
        if not colon:
            continue
        if count > 1 or (
            _all_start_with("", f"{rest}: ", codes == raw_names.index(short), bodies)
            if short in raw_names
            else _all_start_with(
                f"{short}: ", f"{long_name}: ", codes == raw_names.index(None), bodies
            )
        ):
            proven.append(f"{long_name}: ")
    return proven


def _all_start_with(prefix: str, start: str, mask: np.ndarray, bodies: pa.LargeStringArray) -> bool:
    """Whether all masked texts that begin with `prefix` also begin with `start`."""
    rows = np.flatnonzero(mask)
    for some_rows in (rows[:20], rows[20:]):  # most texts differ early
        texts = bodies.take(some_rows)
        texts = texts.filter(pc.starts_with(texts, prefix))
        if not pc.all(pc.starts_with(texts, start), min_count=0).as_py():
            return False
    return True


def full_text(raw: str | None, body: str) -> str:
    """Return a message's text with its name, as it was after the header."""
    return body if raw is None else f"{raw}: {body}"
