"""Words in dates and times ("5 Mar", "9:07 in the evening"), and what they mean in a file.

Their meanings in each locale come from Unicode's CLDR (calendar.json). A file does not state its
locale, and a word may mean AM in one locale and PM in another. So all words of a file are looked up
together: a locale that has all of them decides; if several or none do, the order of the messages.
"""

import itertools
import json
import re
from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache
from pathlib import Path

from espejo.core import names
from espejo.whatsapp.notices import NOTICES

SPACES = " \t\u00a0\u202f\u2009"  # the spaces that occur in headers
Hours = tuple[int, int]  # a part of the day: its first hour and its end (exclusive)
AM, PM = (0, 12), (12, 24)
MAX_UNKNOWN_WORDS = 4  # for parts of the day, in one file, that no locale has
MAX_COMBINATIONS = 1_024  # of meanings that are compared by the order of the messages
_IGNORED = re.compile(rf"[{names.MARKS}{SPACES}.'’\u200c\u0307-]+")


@lru_cache(maxsize=10_000)
def normalize_word(word: str) -> str:
    """Return a word without spaces, direction marks, full stops and case."""
    return _IGNORED.sub("", word.casefold())


CLOCK = {use: {normalize_word(word) for word in words} for use, words in NOTICES["clock"].items()}


@cache
def _locales() -> dict[str, dict]:
    """Return by locale: `months` (word -> number) and `hours` (word -> part of the day)."""
    data = json.loads(Path(__file__).with_name("calendar.json").read_text("utf-8"))
    del data["_about"]
    locales = {}
    for name, entry in data.items():
        entry = data.get(name.split("_")[0], {}) | entry
        months = {
            normalize_word(form): number
            for number, forms in enumerate(entry.get("months", ()), 1)
            for form in forms
        }
        hours: dict[str, Hours] = {}
        # A word for several parts (Turkish gece, Korean 오전) means the longest of them.
        parts = sorted(entry.get("hours", ()), key=lambda part: (part[2] - part[1]) % 24)
        for word, first, end in parts:
            hours[normalize_word(word)] = (first, end)
        locales[name] = {"months": months, "hours": hours}
    locales["phones"] = {  # forms that phones have written but CLDR no longer has
        "months": {},
        "hours": dict.fromkeys(CLOCK["am"], AM) | dict.fromkeys(CLOCK["pm"], PM),
    }
    return locales


@cache
def _meanings_by_word(kind: str) -> dict[str, set]:
    """Return for each word all that it means in any locale."""
    by_word: dict[str, set] = {}
    for locale in _locales().values():
        for word, meaning in locale[kind].items():
            by_word.setdefault(word, set()).add(meaning)
    return by_word


@lru_cache(maxsize=10_000)
def find_month(words: str) -> str | None:
    """Return the month's name in words such as "de marzo de", normalized; None if there is none."""
    if normalize_word(words) in _meanings_by_word("months"):
        return normalize_word(words)
    parts = map(normalize_word, re.split(rf"[{SPACES}’']+", words))
    return max(
        (part for part in parts if part in _meanings_by_word("months")), key=len, default=None
    )


def find_meanings(
    kind: str, words: Collection[str], steps_back: Callable[[Mapping], int]
) -> Mapping | None:
    """Return what each word of a file (normalized) means: a month's number, or a part of the day.

    `kind` is "months" or "hours". `steps_back` counts how often time runs backwards under given
    meanings; the fewer, the better, and then the more locales agree. Returns None if that does not
    decide: nothing is guessed.
    """
    candidates: list[dict] = []
    num_locales: list[int] = []  # how many locales have each of `candidates`
    for locale in _locales().values():
        if all(word in locale[kind] for word in words):
            meanings = {word: locale[kind][word] for word in words}
            if meanings not in candidates:
                candidates.append(meanings)
                num_locales.append(0)
            num_locales[candidates.index(meanings)] += 1
    if not candidates:
        by_word = _meanings_by_word(kind)
        unknown = [word for word in words if word not in by_word]
        if (kind == "months" and unknown) or len(unknown) > MAX_UNKNOWN_WORDS:
            return None
        options = [sorted(by_word.get(word, (AM, PM))) for word in words]
        combinations = itertools.islice(itertools.product(*options), MAX_COMBINATIONS)
        candidates = [dict(zip(words, chosen, strict=True)) for chosen in combinations]
        num_locales = [0] * len(candidates)
    if len(candidates) == 1:
        return candidates[0]
    costs = [
        (steps_back(meanings), -count)
        for meanings, count in zip(candidates, num_locales, strict=True)
    ]
    lowest = min(costs)
    best = [meanings for meanings, cost in zip(candidates, costs, strict=True) if cost == lowest]
    if len(best) > 1 and kind == "hours":
        # Meanings that agree on the half of the day count as one: they differ in a night's edges.
        best = list({tuple(map(_is_afternoon, parts.values())): parts for parts in best}.values())
    return best[0] if len(best) == 1 else None


def _is_afternoon(hours: Hours) -> bool:
    """Whether the middle of a part of the day is at noon or later."""
    first, end = hours
    return (first + ((end - first) % 24 or 24) / 2) % 24 >= 12


def to_24_hour_clock(hour: int, part: Hours) -> int:
    """Return the hour of a 24-hour clock: 9 in the evening is 21, 12 at night is 0."""
    if hour > 12:
        return hour
    first, end = part
    middle = (first + ((end - first) % 24 or 24) / 2) % 24

    def mismatch(hour_24: int) -> tuple[bool, bool, float]:
        inside = (hour_24 - first) % 24 < ((end - first) % 24 or 24)
        # "9 in the afternoon" is 21: the word stands for its half of the day. Not so with nights,
        # which begin before 0.
        other_half = hour < 12 and 0 < first < end and (hour_24 >= 12) != (middle >= 12)
        distance = min((hour_24 + 0.5 - middle) % 24, (middle - hour_24 - 0.5) % 24)
        return not inside, other_half, distance

    return min((hour % 12, hour % 12 + 12), key=mismatch)
