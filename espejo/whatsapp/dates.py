"""Dates and times of headers: the order of day and month, and seconds since 1970."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from espejo.core import names
from espejo.whatsapp import words
from espejo.whatsapp.words import SPACES, Hours

Order = tuple[int, int, int]  # where year, month and day stand
ORDERS = {"day first": (2, 1, 0), "month first": (2, 0, 1), "year first": (0, 1, 2)}
DAY = 86_400  # seconds
NEVER = -1  # in place of seconds: there is no such date or time
_EPOCH = date(1970, 1, 1).toordinal()
_MARKS = re.compile(f"[{names.MARKS}]+")
# 9:07, 9.07.01, 9 h 07 min 01 s, 9시 7분 1초
TIME = (
    rf"\d\d?(?:[:.]\d\d(?:[:.]\d\d)?|:\d\d?(?::\d\d?)?"
    rf"|[{SPACES}]?[hH][{SPACES}]?\d\d(?:[{SPACES}]?min[{SPACES}]?\d\d[{SPACES}]?s)?"
    rf"|[{SPACES}]?[時时点시][{SPACES}]?(?:\d\d?[分분]|\d\d)(?:[{SPACES}]?\d\d?[秒초])?)(?![:.]?\d)"
)
_TIME = re.compile(TIME)
# Years of a ruler, "R4" or "令和4年", and those of the Republic of China.
_ERAS = {"R": 2018, "令和": 2018, "H": 1988, "平成": 1988, "S": 1925, "昭和": 1925, "民國": 1911}
_ERA = re.compile("|".join(f"{era}(?![^\\W\\d_])" for era in _ERAS))
_SIGNS = {"/", "-", ".", "年月", "년월"}


class Day(NamedTuple):
    """A date as written: its numbers, how many digits each has, and its month where that is a word.

    Of a date with a month's name, `numbers` are year (-1 when not written), 0 and day.
    """

    numbers: tuple[int, int, int]
    digits: tuple[int, int, int]
    separator: str
    month: str  # bare; "" where it is a number
    era: int  # what to add to the year, which stands first or last; 0 for none

    @property
    def year_first(self) -> bool:
        """Whether four digits stand first."""
        return self.digits[0] == 4


@lru_cache(maxsize=100_000)
def day_of(written: str) -> Day | None:
    """`28/03/25` or `5 Mar 2014` taken apart, None when it is no date."""
    plain = _MARKS.sub("", written)
    runs = re.findall(r"\d+", plain)
    numbers = [int(run) for run in runs]  # int() reads the digits of every script
    if len(runs) == 3:
        era = _ERA.search(plain)
        first, other = (
            re.sub(rf"[{SPACES}]|{_ERA.pattern}", "", sign) for sign in re.split(r"\d+", plain)[1:3]
        )
        separator = first if first == other else first + other
        first_length, second_length, third_length = map(len, runs)
        lengths = first_length, second_length, third_length
        fits = lengths[2] in ((1, 2) if lengths[0] == 4 else (1, 2, 4)) and lengths[0] != 3
        fits |= era is not None or (separator in ("年月", "년월"))
        if separator not in _SIGNS or lengths[1] > 2 or not fits:
            return None
        if era:  # a year whatever its length
            first_is_year = era.start() < plain.index(runs[1])
            lengths = (4, *lengths[1:]) if first_is_year else (*lengths[:2], 4)
        year, middle, day = numbers
        return Day((year, middle, day), lengths, separator, "", _ERAS[era[0]] if era else 0)
    month = words.month_in(re.sub(r"\d+(?:st|nd|rd|th|er|º)?", " ", plain).strip(SPACES + ".,،/-"))
    if month is None or len(runs) not in (1, 2):
        return None
    year = next((index for index, run in enumerate(runs) if len(run) == 4), len(runs) - 1)
    if len(runs) == 1:
        year = -1
        ordered = (-1, 0, numbers[0])
    else:
        ordered = (numbers[year], 0, numbers[1 - year])
    return Day(ordered, (4, 2, 2), "month", month, 0) if ordered[2] < 32 else None


def day_number(written: str, order: Order, months: Mapping[str, int]) -> int | None:
    """Days since 1970 of a date in that order, None when there is no such day.

    `months` says what a month's name means. A date without a year is a day of the year 0: negative.
    """
    day = day_of(written)
    if day is None:
        return None
    if day.month:
        year, month, day_ = day.numbers[0], months.get(day.month, 0), day.numbers[2]
        if year < 0:
            return _since_1970(4, month, day_)  # a leap year, long before any message
    else:
        year, month, day_ = (day.numbers[index] for index in order)
        if day.digits[order[0]] < (4 if day.era else 2):
            return None  # no year has one digit
        year += day.era
    if 1380 <= year <= 1420 and 1 <= month <= 12 and 1 <= day_ <= 31:
        return _persian(year, month, day_) - _EPOCH
    year += 2000 if year < 100 else -543 if 2400 < year < 2700 else 0  # Thailand counts from Buddha
    number = _since_1970(year, month, day_)
    return number if number is not None and 0 <= number < 50_000 else None


def _since_1970(year: int, month: int, day: int) -> int | None:
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None


def with_years(days: np.ndarray) -> np.ndarray:
    """Days since 1970 where some have no year yet (negative, of the year 4).

    Phones left the year out of dates of the current one: each is the first such day since the
    message before. Before any date with a year nothing is known: NEVER.
    """
    completed, last = days.copy(), None
    for row in np.flatnonzero(days != NEVER).tolist():
        if days[row] >= 0:
            last = int(days[row])
            continue
        plain = date.fromordinal(int(days[row]) + _EPOCH)
        completed[row] = NEVER
        if last is not None:
            this = date.fromordinal(last + _EPOCH).year
            later = (_since_1970(year, plain.month, plain.day) for year in range(this, this + 9))
            completed[row] = last = next(
                day for day in later if day is not None and day >= last - 1
            )
    return completed


def _persian(year: int, month: int, day: int) -> int:
    """Ordinal of a day of the Persian calendar: 33 years hold 8 leap years."""
    year += 1595
    months = (month - 1) * 31 if month < 7 else (month - 7) * 30 + 186
    return 365 * year + year // 33 * 8 + (year % 33 + 3) // 4 + months + day - 356_033


@lru_cache(maxsize=100_000)
def time_of(written: str) -> tuple[int, int, int, str]:
    """Hour, minute and second as written, and the word for the part of the day (bare) or ""."""
    time = _TIME.search(written)
    assert time  # the header was found by it
    hour, minute, second = (*map(int, re.findall(r"\d+", time[0])), 0)[:3]
    beside = (words.bare(written[: time.start()]), words.bare(written[time.end() :]))
    part = next((word for word in beside if word and word not in BESIDE), "")
    return hour, minute, second, part


BESIDE = words.CLOCK["at"] | words.CLOCK["hours"] | {"t", "z"}  # words that say nothing more


def second_of_day(written: str, parts: Mapping[str, Hours]) -> int | None:
    """Seconds since midnight of `9:29 p. m.`, None when there is no such time.

    `parts` says which hours the words for parts of the day cover.
    """
    hour, minute, second, part = time_of(written)
    if part:
        if part not in parts:
            return None
        hour = words.hour_of(hour, parts[part])
    if hour > 24 or minute > 59 or second > 59:
        return None
    return (hour % 24 * 60 + minute) * 60 + second


def order_of(
    days: Sequence[str],
    year_first: bool,
    months: Mapping[str, int],
    guess: Callable[[], tuple[str, str]],
) -> tuple[Order, str]:
    """The order of day, month and year in a file, and the reason in words.

    `days` are the dates of the headers, without repeats in a row. An impossible date counts as ten
    steps back in time: one pasted line must not outweigh a file in which the other order runs
    backwards all the time. Where no date tells, `guess` says an order and why.
    """
    if year_first:
        return ORDERS["year first"], "year first"
    if months:
        return ORDERS["day first"], "months by name"
    impossible, back = {}, {}
    for name, order in ORDERS.items():
        known = [n for day in days if (n := day_number(day, order, months)) is not None]
        impossible[name] = len(days) - len(known)
        back[name] = int((np.diff(known) < 0).sum())
    cost = {name: 10 * impossible[name] + back[name] for name in ORDERS}
    numbers = [day.numbers for day in map(day_of, days) if day]
    years, days_ = ({some[index] for some in numbers} for index in (0, 2))
    least = min(cost["day first"], cost["month first"])
    # Where the last number has one digit somewhere it is a day: no need to look at the order.
    if cost["year first"] < least and (len(years) <= len(days_) or least > 9 * len(days)):
        return ORDERS["year first"], "year first, the only order in which time runs forward"
    name, other = sorted(("day first", "month first"), key=lambda name: cost[name])
    if impossible[name] < impossible[other]:
        why = f"with {other}, {impossible[other]} of {len(days)} dates are impossible"
    elif back[name] < back[other]:
        why = f"time runs back {back[name]} times, not {back[other]}"
    else:
        name, why = guess()
    return ORDERS[name], f"{name}: {why}"
