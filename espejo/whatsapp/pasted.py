"""Headers that people pasted into a message, told from real ones.

A header is never doubted for its date alone: groups were made before their exporter joined, and
notices come days early or late. Something else has to speak for text: the form of the header, the
line ends, or a voice that is heard nowhere else.
"""

import operator
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from espejo.whatsapp.dates import DAY
from espejo.whatsapp.text import Source

MOST_TYPED = 40  # headers that somebody typed in a row
MINUTE = 60  # seconds: what a clock without seconds may be behind one that has them
OFTEN = 0.05  # share of a file's headers from which on a second form counts


def ended_by_crlf(lines: np.ndarray, source: Source) -> np.ndarray | None:
    """Which headers (by their lines) are not pasted, where an iPhone's file tells them apart.

    It ends a message with CRLF, while a line break that a person typed is a bare LF. Files that
    went through an editor mix the two at random: then CRLF is seldom followed by a header, and
    nothing is told (None).
    """
    returns = source.carriage_returns()
    after = (lines == 1) | returns[lines - 2]
    ends = int(returns.sum())
    closed = source.data.endswith(b"\r\n")
    whole = int((after & (lines > 1)).sum()) + closed
    if ends == 0 or 2 * whole < ends or 4 * after.sum() < len(lines):
        return None
    return None if ends == len(returns) - 1 and whole < ends else after


def second_form(times: np.ndarray, codes: np.ndarray, main: int) -> np.ndarray:
    """Which headers are in the file's form (number `main` of `codes`), or in a second one it has.

    Two exports were joined, or a clock was changed from 12 to 24 hours: then the other form is no
    rarity, and its times go on where the messages above stop. Those of pasted messages lie before
    the message that holds them. `times` are seconds.
    """
    kept = codes == main
    for code in sorted(set(codes.tolist()) - {main, -1}):
        fits = np.zeros(len(codes), bool)
        both = np.flatnonzero(kept | (codes == code))
        breaks = np.flatnonzero(np.diff(codes[both] == code)) + 1
        for run in np.split(both, breaks):
            if codes[run[0]] != code:
                continue
            above, below = run[0] - 1, run[-1] + 1
            before = times[: run[0]][kept[: run[0]]]
            after = times[below:][kept[below:]]
            in_time = (not len(before) or times[run[0]] > before[-1] - MINUTE) and (
                not len(after) or times[run[-1]] < after[0] + MINUTE
            )
            forward = (np.diff(times[run]) >= -DAY).all()
            if above < 0 or len(run) > MOST_TYPED or (in_time and forward):
                fits[run] = True
        if fits.sum() > 1 and fits.sum() >= OFTEN * len(both):
            kept |= fits
    return kept


def in_time(
    times: np.ndarray,
    authors: np.ndarray,
    sure: np.ndarray,
    is_notice: Callable[[int], bool],
) -> np.ndarray:
    """Which headers are not pasted: those are far back in time, by a voice heard only there.

    `times` are seconds, `authors` numbers, negative for WhatsApp; `sure` are real whatever their
    date. Nothing is pasted into a notice. The time has to come back too, but for a few lines at
    the end: a clock that was wrong for a while must not turn friends into quotations.
    """
    kept = np.ones(len(times), bool)
    steady = times.copy()  # a notice ahead of its time makes no later message late
    before, middle, after = times[:-2], times[1:-1], times[2:]
    ahead = (middle > before + DAY) & (middle > after + DAY) & (before <= after + DAY)
    steady[1:-1][ahead] = before[ahead]
    back = times < np.maximum.accumulate(steady) - DAY
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
        elif sure[row] or (not quoting and (authors[row - 1] < 0 or is_notice(row - 1))):
            continue
        elif authors[row] >= 0 or quoting:  # a notice has no voice of its own
            quoting = True
            kept[row] = False
            if later[row] < now - DAY:
                tail.append(row)
    if len(tail) >= kept.sum():
        kept[tail] = True
    return kept


def in_line(
    times: np.ndarray,
    authors: np.ndarray,
    sure: np.ndarray,
    is_notice: Callable[[int], bool],
) -> np.ndarray:
    """Which headers are not typed: those a day and more off both neighbours, which are in order.

    A list of dates to come (`20/4/2026, 10:30 - dentist`) looks like notices, or like messages of
    voices heard only there. Nobody's own messages are in such a run, nor are notices that are
    known as such, nor are more than MOST_TYPED; and it stands below a person's message.
    """
    kept = np.ones(len(times), bool)
    falls = np.flatnonzero(times[1:] < times[:-1] - DAY)
    if not len(falls):
        return kept
    count = Counter(authors.tolist())

    def run(row: int, step: int, far: Callable[[int], bool]) -> list[int]:
        rows_of_run: list[int] = []
        while 0 <= row < len(times) and far(times[row]) and len(rows_of_run) <= MOST_TYPED:
            rows_of_run.append(row)
            row += step
        return rows_of_run

    for fall in falls.tolist():
        late, early = times[fall] - DAY, times[fall + 1] + DAY
        ahead = run(fall, -1, partial(operator.lt, early))
        back = run(fall + 1, 1, partial(operator.gt, late))
        for rows in (ahead, back):
            before, after = min(rows) - 1, max(rows) + 1
            if before < 0 or after >= len(times) or len(rows) > MOST_TYPED:
                continue
            off = np.abs(times[rows] - times[[before]]) > DAY
            voices = Counter(authors[rows].tolist())
            own = any(count[who] > some for who, some in voices.items() if who >= 0)
            known = sure[rows].any() or any(authors[row] < 0 and is_notice(row) for row in rows)
            known |= len(rows) == 1 and authors[rows[0]] < 0
            if (
                off.all()
                and times[before] <= times[after] + DAY
                and not own
                and not known
                and authors[before] >= 0
                and not is_notice(before)
            ):
                kept[rows] = False
    return kept
