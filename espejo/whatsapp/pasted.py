"""Headers that people pasted into a message, told from real ones."""

import numpy as np

from espejo.whatsapp.dates import DAY
from espejo.whatsapp.text import Source


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
