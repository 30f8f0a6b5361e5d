"""Headers that people pasted into a message, told from real ones."""

from collections import Counter
from collections.abc import Callable

import numpy as np

from espejo.whatsapp.dates import DAY
from espejo.whatsapp.text import Source

MOST_TYPED = 40  # headers that somebody typed in a row


def ended_by_crlf(lines: np.ndarray, source: Source) -> np.ndarray:
    """Which headers (by their lines) are not pasted, where an iPhone's file tells them apart.

    It ends a message with CRLF, while a line break that a person typed is a bare LF. Files that
    went through an editor mix the two at random: then CRLF is seldom followed by a header.
    """
    returns = source.carriage_returns()
    after = (lines == 1) | returns[lines - 2]
    ends = int(returns.sum())
    closed = source.data.endswith(b"\r\n")
    whole = int((after & (lines > 1)).sum()) + closed
    if ends in (0, len(returns) - 1) or 2 * whole < ends or 4 * after.sum() < len(lines):
        return np.ones(len(lines), bool)
    return after


def in_time(times: np.ndarray, authors: np.ndarray) -> np.ndarray:
    """Which headers are not pasted: those are far back in time, by a voice heard only there.

    `times` are seconds, `authors` numbers, negative for WhatsApp. The time has to come back too,
    but for a few lines at the end: a clock that was wrong for a while must not turn friends into
    quotations.
    """
    kept = np.ones(len(times), bool)
    back = times < np.maximum.accumulate(times) - DAY
    if not back.any():
        return kept
    known = set(np.unique(authors[~back]).tolist()) - {-1}
    later = np.maximum.accumulate(times[::-1])[::-1]
    tail, now, quoting = [], times[0], False
    for row in np.flatnonzero(back).tolist():
        if not back[row - 1]:
            now, quoting = times[row - 1], False
        if authors[row] in known or times[row] >= now - DAY:
            now, quoting = times[row], False
        elif authors[row] >= 0 or quoting:  # a notice has no voice of its own
            quoting = True
            kept[row] = False
            if later[row] < now - DAY:
                tail.append(row)
    if len(tail) >= kept.sum():
        kept[tail] = True
    return kept


def in_line(times: np.ndarray, authors: np.ndarray) -> np.ndarray:
    """Which headers are not typed: those a day and more off both neighbours, which are in order.

    A list of dates to come (`20/4/2026, 10:30 - dentist`) looks like notices, or like messages of
    voices heard only there. Nobody's own messages are in such a run, nor are more than MOST_TYPED.
    """
    kept = np.ones(len(times), bool)
    falls = np.flatnonzero(times[1:] < times[:-1] - DAY)
    if not len(falls):
        return kept
    count = Counter(authors.tolist())

    def run(row: int, step: int, far: Callable[[int], bool]) -> list[int]:
        found = []
        while 0 <= row < len(times) and far(times[row]) and len(found) <= MOST_TYPED:
            found.append(row)
            row += step
        return found

    for fall in falls.tolist():
        ahead = run(fall, -1, lambda time, after=times[fall + 1]: time > after + DAY)
        back = run(fall + 1, 1, lambda time, before=times[fall]: time < before - DAY)
        for rows in (ahead, back):
            before, after = min(rows) - 1, max(rows) + 1
            if before < 0 or after >= len(times) or len(rows) > MOST_TYPED:
                continue
            off = np.abs(times[rows] - times[[before]]) > DAY
            voices = Counter(authors[rows].tolist())
            own = any(count[who] > some for who, some in voices.items() if who >= 0)
            if off.all() and times[before] <= times[after] + DAY and not own:
                kept[rows] = False
    return kept
