"""Distinguish real headers from those that people pasted or typed into a message.

A header is never rejected for its date alone: groups are older than the membership of the person
who exports them, and notices come days early or late. There must be further evidence: the form of
the header, the line ends, or an author who writes nowhere else.

Each function returns for each header whether it is real (bool).
"""

import operator
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from espejo.whatsapp.dates import DAY_SECONDS
from espejo.whatsapp.text import Source

MAX_TYPED_HEADERS = 40  # in a row, typed by a person
MINUTE_SECONDS = 60  # how far a clock without seconds may be behind one with seconds
MIN_SHARE_OF_SECOND_FORM = 0.05  # among a file's headers


def real_by_line_ends(lines: np.ndarray, source: Source) -> np.ndarray | None:
    """Tell real headers (by their `lines`, from 1) from pasted ones in an iPhone's file.

    An iPhone ends messages with CRLF; a line break that a person typed is a bare LF. Returns None
    if the line ends do not tell: a file that went through an editor may mix the two at random, so
    that CRLF is seldom followed by a header.
    """
    ends_in_crlf = source.carriage_returns()
    follows_crlf = (lines == 1) | ends_in_crlf[lines - 2]
    num_crlf = int(ends_in_crlf.sum())
    last_has_crlf = source.data.endswith(b"\r\n")
    num_before_headers = int((follows_crlf & (lines > 1)).sum()) + last_has_crlf
    if num_crlf == 0 or 2 * num_before_headers < num_crlf or 4 * follows_crlf.sum() < len(lines):
        return None
    all_crlf = num_crlf == len(ends_in_crlf) - 1
    return None if all_crlf and num_before_headers < num_crlf else follows_crlf


def real_by_form(times: np.ndarray, codes: np.ndarray, main: int) -> np.ndarray:
    """Accept headers in the file's main form, and in a second form that continues it in time.

    A file has a second form if two exports were concatenated, or if the phone's clock was changed
    from 12 to 24 hours. Then headers in it are not rare, and their times fit between those above
    and below. Pasted messages are older than the message that contains them. `times` are seconds,
    `codes` the numbers of the headers' forms, `main` that of the main form.
    """
    is_real = codes == main
    for code in sorted(set(codes.tolist()) - {main, -1}):
        is_continued = np.zeros(len(codes), bool)
        rows = np.flatnonzero(is_real | (codes == code))
        breaks = np.flatnonzero(np.diff(codes[rows] == code)) + 1
        for run in np.split(rows, breaks):
            if codes[run[0]] != code:
                continue
            above, below = run[0] - 1, run[-1] + 1
            before = times[: run[0]][is_real[: run[0]]]
            after = times[below:][is_real[below:]]
            in_time = (not len(before) or times[run[0]] > before[-1] - MINUTE_SECONDS) and (
                not len(after) or times[run[-1]] < after[0] + MINUTE_SECONDS
            )
            forward = (np.diff(times[run]) >= -DAY_SECONDS).all()
            if above < 0 or len(run) > MAX_TYPED_HEADERS or (in_time and forward):
                is_continued[run] = True
        if is_continued.sum() > 1 and is_continued.sum() >= MIN_SHARE_OF_SECOND_FORM * len(rows):
            is_real |= is_continued
    return is_real


def real_by_past(
    times: np.ndarray,
    authors: np.ndarray,
    is_certain: np.ndarray,
    is_notice: Callable[[int], bool],
) -> np.ndarray:
    """Reject headers far back in time, by authors who write only there: quotations.

    `times` are seconds, `authors` numbers, negative for WhatsApp; `is_certain` headers are real
    whatever their date. Nobody can paste into a notice. Also, time must return to the present after
    the quotation, except for a few lines at the end of the file: a clock that was wrong for a while
    must not turn friends into quotations.
    """
    is_real = np.ones(len(times), bool)
    steady = times.copy()  # so that a notice ahead of its time does not make later messages late
    before, middle, after = times[:-2], times[1:-1], times[2:]
    ahead = (middle > np.maximum(before, after) + DAY_SECONDS) & (before <= after + DAY_SECONDS)
    steady[1:-1][ahead] = before[ahead]
    is_late = times < np.maximum.accumulate(steady) - DAY_SECONDS
    if not is_late.any():
        return is_real
    known_authors = set(np.unique(authors[~is_late]).tolist()) - {-1}
    latest_after = np.maximum.accumulate(times[::-1])[::-1]
    at_the_end, current, quoting = [], times[0], False
    for row in np.flatnonzero(is_late).tolist():
        if not is_late[row - 1]:
            current, quoting = times[row - 1], False
        if authors[row] in known_authors or times[row] >= current - DAY_SECONDS:
            current, quoting = times[row], False
        elif is_certain[row] or (not quoting and (authors[row - 1] < 0 or is_notice(row - 1))):
            continue
        elif authors[row] >= 0 or quoting:  # a notice alone is no evidence: it has no author
            quoting = True
            is_real[row] = False
            if latest_after[row] < current - DAY_SECONDS:
                at_the_end.append(row)
    if len(at_the_end) >= is_real.sum():
        is_real[at_the_end] = True
    return is_real


def real_by_neighbours(
    times: np.ndarray,
    authors: np.ndarray,
    is_certain: np.ndarray,
    is_notice: Callable[[int], bool],
) -> np.ndarray:
    """Reject runs of typed headers: over a day from both neighbours, which are in order themselves.

    A list of future dates (`20/4/2026, 10:30 - dentist`) looks like notices, or like messages of
    authors who write only there. A run is rejected only if none of its authors writes elsewhere, it
    has no certain notices and at most MAX_TYPED_HEADERS headers, and it follows a person's message.
    Parameters as in `real_by_past`.
    """
    is_real = np.ones(len(times), bool)
    falls = np.flatnonzero(times[1:] < times[:-1] - DAY_SECONDS)
    if not len(falls):
        return is_real
    message_counts = Counter(authors.tolist())

    def find_run(row: int, step: int, is_far: Callable[[int], bool]) -> list[int]:
        rows_of_run: list[int] = []
        while (
            0 <= row < len(times) and is_far(times[row]) and len(rows_of_run) <= MAX_TYPED_HEADERS
        ):
            rows_of_run.append(row)
            row += step
        return rows_of_run

    for fall in falls.tolist():
        late, early = times[fall] - DAY_SECONDS, times[fall + 1] + DAY_SECONDS
        ahead = find_run(fall, -1, partial(operator.lt, early))
        back = find_run(fall + 1, 1, partial(operator.gt, late))
        for rows in (ahead, back):
            before, after = min(rows) - 1, max(rows) + 1
            if before < 0 or after >= len(times) or len(rows) > MAX_TYPED_HEADERS:
                continue
            is_far = np.abs(times[rows] - times[[before]]) > DAY_SECONDS
            run_counts = Counter(authors[rows].tolist())
            writes_elsewhere = any(
                message_counts[author] > count
                for author, count in run_counts.items()
                if author >= 0
            )
            has_notice = (
                is_certain[rows].any()
                or any(authors[row] < 0 and is_notice(row) for row in rows)
                or (len(rows) == 1 and authors[rows[0]] < 0)
            )
            if (
                is_far.all()
                and times[before] <= times[after] + DAY_SECONDS
                and not writes_elsewhere
                and not has_notice
                and authors[before] >= 0
                and not is_notice(before)
            ):
                is_real[rows] = False
    return is_real
