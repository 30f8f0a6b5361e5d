"""The dates and times in headers: the order of day and month, and seconds since 1970."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from espejo.core import names
from espejo.whatsapp import words
from espejo.whatsapp.words import SPACES, Hours

Order = tuple[int, int, int]  # the positions of year, month and day in a date
ORDERS = {"day first": (2, 1, 0), "month first": (2, 0, 1), "year first": (0, 1, 2)}
DAY_SECONDS = 86_400  # seconds
NO_TIME = -1  # in place of days or seconds: there is no such date or time
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
_SEPARATORS = {"/", "-", ".", "年月", "년월"}


class WrittenDate(NamedTuple):
    """The parts of a date as written; which number is the day is not decided yet.

    In a date with a month's name, `numbers` are the year (-1 if it is missing), 0 and the day.
    """

    numbers: tuple[int, int, int]
    digits: tuple[int, int, int]  # how many digits each number has
    separator: str
    month: str  # its normalized name; "" if it is a number
    era: int  # what to add to the year, which is the first or the last number; 0 for none

    @property
    def year_first(self) -> bool:
        """Whether the first number has four digits."""
        return self.digits[0] == 4


@lru_cache(maxsize=100_000)
def parse_date(written: str) -> WrittenDate | None:
    """Split `28/03/25` or `5 Mar 2014` into its parts; None if it is not a date."""
    plain = _MARKS.sub("", written)
    runs = re.findall(r"\d+", plain)
    numbers = [int(run) for run in runs]  # int() reads the digits of every script
    if len(runs) == 3:
        era = _ERA.search(plain)
        first, second = (
            re.sub(rf"[{SPACES}]|{_ERA.pattern}", "", between)
            for between in re.split(r"\d+", plain)[1:3]
        )
        separator = first if first == second else first + second
        first_length, second_length, third_length = map(len, runs)
        lengths = first_length, second_length, third_length
        is_valid = lengths[2] in ((1, 2) if lengths[0] == 4 else (1, 2, 4)) and lengths[0] != 3
        is_valid |= era is not None or (separator in ("年月", "년월"))
        if separator not in _SEPARATORS or lengths[1] > 2 or not is_valid:
            return None
        if era:  # the number beside it is a year, however short
            first_is_year = era.start() < plain.index(runs[1])
            lengths = (4, *lengths[1:]) if first_is_year else (*lengths[:2], 4)
        year, middle, day = numbers
        return WrittenDate((year, middle, day), lengths, separator, "", _ERAS[era[0]] if era else 0)
    month = words.find_month(
        re.sub(r"\d+(?:st|nd|rd|th|er|º)?", " ", plain).strip(SPACES + ".,،/-")
    )
    if month is None or len(runs) not in (1, 2):
        return None
    if len(runs) == 1:
        year, day = -1, numbers[0]
    else:
        year_index = 0 if len(runs[0]) == 4 else 1
        year, day = numbers[year_index], numbers[1 - year_index]
    return WrittenDate((year, 0, day), (4, 2, 2), "month", month, 0) if day < 32 else None


def days_since_1970(written: str, order: Order, months: Mapping[str, int]) -> int | None:
    """Return the days since 1970 of a date in that order; None if there is no such day.

    `months` gives the number of a month's name. A date without a year becomes a day of the year 4,
    which is negative.
    """
    parsed = parse_date(written)
    if parsed is None:
        return None
    if parsed.month:
        year, month, day = parsed.numbers[0], months.get(parsed.month, 0), parsed.numbers[2]
        if year < 0:
            return _since_1970(4, month, day)  # a leap year, long before any message
    else:
        year, month, day = (parsed.numbers[index] for index in order)
        if parsed.digits[order[0]] < (4 if parsed.era else 2):
            return None  # no year has one digit
        year += parsed.era
    if 1380 <= year <= 1420 and 1 <= month <= 12 and 1 <= day <= 31:
        return _persian_ordinal(year, month, day) - _EPOCH
    # Two digits: 20xx. Around 2500: the Buddhist years of Thailand.
    year += 2000 if year < 100 else -543 if 2400 < year < 2700 else 0
    number = _since_1970(year, month, day)
    return number if number is not None and 0 <= number < 50_000 else None


def _since_1970(year: int, month: int, day: int) -> int | None:
    try:
        return date(year, month, day).toordinal() - _EPOCH
    except ValueError:
        return None


def fill_years(days: np.ndarray) -> np.ndarray:
    """Fill in the year of days since 1970 that have none yet (negative: in the year 4).

    Phones left the year out of dates in the current year. So such a date is the first day of that
    month and number since the message before it. Before the first date with a year: NO_TIME.
    """
    completed, previous = days.copy(), None
    for row in np.flatnonzero(days != NO_TIME).tolist():
        if days[row] >= 0:
            previous = int(days[row])
            continue
        month_and_day = date.fromordinal(int(days[row]) + _EPOCH)
        completed[row] = NO_TIME
        if previous is not None:
            last_year = date.fromordinal(previous + _EPOCH).year
            candidates = (
                _since_1970(year, month_and_day.month, month_and_day.day)
                for year in range(last_year, last_year + 9)
            )
            completed[row] = previous = next(
                candidate
                for candidate in candidates
                if candidate is not None and candidate >= previous - 1
            )
    return completed


def _persian_ordinal(year: int, month: int, day: int) -> int:
    """Return the ordinal of a day of the Persian calendar, which has 8 leap years in 33 years."""
    year += 1595
    months = (month - 1) * 31 if month < 7 else (month - 7) * 30 + 186
    return 365 * year + year // 33 * 8 + (year % 33 + 3) // 4 + months + day - 356_033


@lru_cache(maxsize=100_000)
def parse_time(written: str) -> tuple[int, int, int, str]:
    """Return hour, minute, second as written, and the word for the part of the day (normalized).

    The word is "" if there is none.
    """
    time = _TIME.search(written)
    assert time  # the header's pattern contains it
    hour, minute, second = (*map(int, re.findall(r"\d+", time[0])), 0)[:3]
    around = (
        words.normalize_word(written[: time.start()]),
        words.normalize_word(written[time.end() :]),
    )
    part = next((word for word in around if word and word not in FILLER_WORDS), "")
    return hour, minute, second, part


FILLER_WORDS = (
    words.CLOCK["at"] | words.CLOCK["hours"] | {"t", "z"}
)  # beside a time, without meaning


def seconds_since_midnight(written: str, parts: Mapping[str, Hours]) -> int | None:
    """Return the seconds since midnight of `9:29 p. m.`; None if there is no such time.

    `parts` gives the hours that each word for a part of the day covers.
    """
    hour, minute, second, part = parse_time(written)
    if part:
        if part not in parts:
            return None
        hour = words.to_24_hour_clock(hour, parts[part])
    if hour > 24 or minute > 59 or second > 59:
        return None
    return (hour % 24 * 60 + minute) * 60 + second


def find_date_order(
    days: Sequence[str],
    year_first: bool,
    months: Mapping[str, int],
    fallback: Callable[[], tuple[str, str]],
) -> tuple[Order, str]:
    """Decide the order of day, month and year in a file; return it and the reason in words.

    `days` are the dates of the headers, without consecutive repeats. The order with the fewest
    impossible dates and steps back in time wins. An impossible date counts as only ten steps back:
    one pasted line must not outweigh a whole file that runs backwards in the other order. If the
    dates do not decide, `fallback` returns an order's name and the reason.
    """
    if year_first:
        return ORDERS["year first"], "year first"
    if months:
        return ORDERS["day first"], "months by name"
    impossible, steps_back = {}, {}
    for name, order in ORDERS.items():
        numbers = [days_since_1970(day, order, months) for day in days]
        day_numbers = [number for number in numbers if number is not None]
        impossible[name] = len(days) - len(day_numbers)
        steps_back[name] = int((np.diff(day_numbers) < 0).sum())
    cost = {name: 10 * impossible[name] + steps_back[name] for name in ORDERS}
    all_numbers = [day.numbers for day in map(parse_date, days) if day]
    first_numbers, last_numbers = ({numbers[index] for numbers in all_numbers} for index in (0, 2))
    min_cost = min(cost["day first"], cost["month first"])
    # With the year first, the first number varies less than the last. That is not asked for where
    # nearly all dates are impossible in the other orders.
    if cost["year first"] < min_cost and (
        len(first_numbers) <= len(last_numbers) or min_cost > 9 * len(days)
    ):
        return ORDERS["year first"], "year first, the only order in which time runs forward"
    name, other = sorted(("day first", "month first"), key=lambda name: cost[name])
    if impossible[name] < impossible[other]:
        reason = f"with {other}, {impossible[other]} of {len(days)} dates are impossible"
    elif steps_back[name] < steps_back[other]:
        reason = f"time runs back {steps_back[name]} times, not {steps_back[other]}"
    else:
        name, reason = fallback()
    return ORDERS[name], f"{name}: {reason}"
