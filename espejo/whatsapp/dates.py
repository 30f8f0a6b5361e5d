"""Dates and times of headers: the order of day and month, and seconds since 1970."""

import re
from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache

import numpy as np

from espejo import names
from espejo.whatsapp.notices import NOTICES

SPACES = " \t\u00a0\u202f\u2009"  # those that stand in headers
Order = tuple[int, int, int]  # where year, month and day stand
ORDERS = {"day first": (2, 1, 0), "month first": (2, 0, 1), "year first": (0, 1, 2)}
DAY = 86_400  # seconds
NEVER = -1  # in place of seconds: there is no such date or time
_EPOCH = date(1970, 1, 1).toordinal()
_MARKS = re.compile(f"[{names.MARKS}]+")
_TIME = re.compile(rf"(\d\d?)(?:[:.]|[{SPACES}]?[hH][{SPACES}]?)(\d\d)(?:[:.](\d\d))?")


def bare(word: str) -> str:
    """A word beside a time without spaces, marks, full stops and case."""
    return re.sub(rf"[{names.MARKS}{SPACES}.]", "", word).casefold()


CLOCK = {use: {bare(word) for word in words} for use, words in NOTICES["clock"].items()}
HALVES = {word: half for half in ("am", "pm") for word in CLOCK[half]}


@lru_cache(maxsize=100_000)
def numbers_of(day: str) -> tuple[tuple[str, bool] | None, Order]:
    """`28/03/25` as its form (separator, year first; None when it is no date) and its numbers."""
    plain = _MARKS.sub("", day)
    first, separator, second, other, third, _ = re.split(r"(\D+)", plain + ".", maxsplit=3)[:6]
    numbers = (int(first), int(second), int(third))  # int() reads the digits of every script
    year_first = len(first) == 4
    if separator != other and separator + other != "年月" or len(first) == 3:
        return None, numbers
    if len(third) not in ((1, 2) if year_first else (2, 4)):
        return None, numbers
    return (separator, year_first), numbers


def day_number(day: str, order: Order) -> int | None:
    """Days since 1970 of a date in that order, None when there is no such day."""
    year, month, day_ = (numbers_of(day)[1][i] for i in order)
    if 1380 <= year <= 1420 and 1 <= month <= 12 and 1 <= day_ <= 31:
        return _persian(year, month, day_) - _EPOCH
    year += 2000 if year < 100 else -543 if 2400 < year < 2700 else 0  # Thailand counts from Buddha
    try:
        number = date(year, month, day_).toordinal() - _EPOCH
    except ValueError:
        return None
    return number if 0 <= number < 50_000 else None


def _persian(year: int, month: int, day: int) -> int:
    """Ordinal of a day of the Persian calendar: 33 years hold 8 leap years."""
    year += 1595
    months = (month - 1) * 31 if month < 7 else (month - 7) * 30 + 186
    return 365 * year + year // 33 * 8 + (year % 33 + 3) // 4 + months + day - 356_033


def second_of_day(written: str) -> int | None:
    """Seconds since midnight of `9:29 p. m.`, None when there is no such time."""
    time = _TIME.search(written)
    words = bare(written[: time.start()]), bare(written[time.end() :])
    half = next((HALVES[word] for word in words if word in HALVES), None)
    hour, minute, second = (int(number or 0) for number in time.groups())
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    if hour > 24 or minute > 59 or second > 59:
        return None
    return (hour % 24 * 60 + minute) * 60 + second


def order_of(
    days: Sequence[str], year_first: bool, guess: Callable[[], tuple[str, str]]
) -> tuple[Order, str]:
    """The order of day, month and year in a file, and the reason in words.

    `days` are the dates of the headers, without repeats in a row. An impossible date counts as ten
    steps back in time: one pasted line must not outweigh a file in which the other order runs
    backwards all the time. Where no date tells, `guess` says an order and why.
    """
    if year_first:
        return ORDERS["year first"], "year first"
    impossible, back = {}, {}
    for name, order in ORDERS.items():
        known = [n for day in days if (n := day_number(day, order)) is not None]
        impossible[name] = len(days) - len(known)
        back[name] = int((np.diff(known) < 0).sum())
    cost = {name: 10 * impossible[name] + back[name] for name in ORDERS}
    years, _, days_ = (
        set(numbers) for numbers in zip(*(numbers_of(day)[1] for day in days), strict=True)
    )
    if cost["year first"] < min(cost["day first"], cost["month first"]) and len(years) <= len(
        days_
    ):
        return ORDERS["year first"], "year first, the only order in which time runs forward"
    name, other = sorted(("day first", "month first"), key=cost.get)
    if impossible[name] < impossible[other]:
        why = f"with {other}, {impossible[other]} of {len(days)} dates are impossible"
    elif back[name] < back[other]:
        why = f"time runs back {back[name]} times, not {back[other]}"
    else:
        name, why = guess()
    return ORDERS[name], f"{name}: {why}"
