"""Words beside dates and times ("5 Mar", "9:07 in the evening"), and what they mean in a file.

What they mean in each locale is Unicode's CLDR, in calendar.json; a file says nothing of its
locale, and one word may be AM in one and PM in another. So its words are looked at together:
a locale that knows all of them decides, and where several or none do, the order of the messages.
"""

import itertools
import json
import re
from collections.abc import Callable, Collection, Mapping
from functools import cache, lru_cache
from pathlib import Path

from espejo.core import names
from espejo.whatsapp.notices import NOTICES

SPACES = " \t\u00a0\u202f\u2009"  # those that stand in headers
Hours = tuple[int, int]  # a part of the day: its first hour, and the one after its last
AM, PM = (0, 12), (12, 24)
MOST_UNKNOWN = 4  # words for parts of the day that no locale has, in one file
MOST_TRIES = 1_024  # sets of meanings that are compared by the order of the messages
_ASIDE = re.compile(rf"[{names.MARKS}{SPACES}.'’\u200c\u0307-]+")


@lru_cache(maxsize=10_000)
def bare(word: str) -> str:
    """A word beside a time without spaces, marks, full stops and case."""
    return _ASIDE.sub("", word.casefold())


CLOCK = {use: {bare(word) for word in words} for use, words in NOTICES["clock"].items()}


@cache
def _locales() -> dict[str, dict]:
    """By locale: `months` (word -> number) and `hours` (word -> parts of the day)."""
    data = json.loads(Path(__file__).with_name("calendar.json").read_text("utf-8"))
    del data["_about"]
    known = {}
    for name, own in data.items():
        own = data.get(name.split("_")[0], {}) | own
        months = {
            bare(form): number
            for number, forms in enumerate(own.get("months", ()), 1)
            for form in forms
        }
        hours: dict[str, Hours] = {}
        # A word for several parts (Turkish gece, Korean 오전) is the longest of them.
        parts = sorted(own.get("hours", ()), key=lambda part: (part[2] - part[1]) % 24)
        for word, first, last in parts:
            hours[bare(word)] = (first, last)
        known[name] = {"months": months, "hours": hours}
    known["phones"] = {  # forms that phones have written and CLDR does not have any more
        "months": {},
        "hours": dict.fromkeys(CLOCK["am"], AM) | dict.fromkeys(CLOCK["pm"], PM),
    }
    return known


@cache
def _meanings(kind: str) -> dict[str, set]:
    """What each word means in any locale."""
    by_word: dict[str, set] = {}
    for own in _locales().values():
        for word, meaning in own[kind].items():
            by_word.setdefault(word, set()).add(meaning)
    return by_word


@lru_cache(maxsize=10_000)
def month_in(words: str) -> str | None:
    """The name of a month in "de marzo de", bare, whatever the language; None when none is."""
    if bare(words) in _meanings("months"):
        return bare(words)
    parts = map(bare, re.split(rf"[{SPACES}’']+", words))
    return max((part for part in parts if part in _meanings("months")), key=len, default=None)


def is_part_of_day(word: str) -> bool:
    """Whether some locale has this word (bare) for a part of the day."""
    return word in _meanings("hours")


def meaning(
    kind: str, words: Collection[str], steps_back: Callable[[Mapping], int]
) -> Mapping | None:
    """What each of a file's words (bare) means: a month's number, or a part of the day.

    `kind` is months or hours; `steps_back` says how often time runs back with a meaning. None when
    a word stays undecided: nothing is guessed.
    """
    tries: list[dict] = []
    locales: list[int] = []  # how many mean each of `tries`
    for own in _locales().values():
        if all(word in own[kind] for word in words):
            choice = {word: own[kind][word] for word in words}
            if choice not in tries:
                tries.append(choice)
                locales.append(0)
            locales[tries.index(choice)] += 1
    if not tries:
        known = _meanings(kind)
        unknown = [word for word in words if word not in known]
        if (kind == "months" and unknown) or len(unknown) > MOST_UNKNOWN:
            return None
        options = [sorted(known.get(word, (AM, PM))) for word in words]
        several = itertools.islice(itertools.product(*options), MOST_TRIES)
        tries = [dict(zip(words, some, strict=True)) for some in several]
        locales = [0] * len(tries)
    if len(tries) == 1:
        return tries[0]
    costs = [(steps_back(choice), -count) for choice, count in zip(tries, locales, strict=True)]
    best = [choice for choice, cost in zip(tries, costs, strict=True) if cost == min(costs)]
    if len(best) > 1 and kind == "hours":
        # Meanings that differ in the edges of the night alone are as good as one.
        best = list({tuple(map(_half, choice.values())): choice for choice in best}.values())
    return best[0] if len(best) == 1 else None


def _half(hours: Hours) -> bool:
    first, last = hours
    return (first + ((last - first) % 24 or 24) / 2) % 24 >= 12


def hour_of(hour: int, part: Hours) -> int:
    """The hour of a 24-hour clock: 9 in the evening is 21, 12 at night is 0."""
    if hour > 12:
        return hour
    first, last = part
    middle = (first + ((last - first) % 24 or 24) / 2) % 24

    def away(hour_24: int) -> tuple[bool, bool, float]:
        inside = (hour_24 - first) % 24 < ((last - first) % 24 or 24)
        # "9 in the afternoon": there the word stands for a half of the day. Nights begin before 0.
        other_half = hour < 12 and 0 < first < last and (hour_24 >= 12) != (middle >= 12)
        distance = min((hour_24 + 0.5 - middle) % 24, (middle - hour_24 - 0.5) % 24)
        return not inside, other_half, distance

    return min((hour % 12, hour % 12 + 12), key=away)
