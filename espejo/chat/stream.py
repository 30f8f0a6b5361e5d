"""A reply while it is generated: text as soon as it is certain, message by message."""

from collections.abc import Iterable, Sequence

from espejo.chat.engine import Reply, Waiting
from espejo.formatting.prompts import begun


def messages(pieces: Iterable[str | Waiting], separator: str, stops: Sequence[str]) -> Reply:
    """Text that can be shown at once, and None where one message ends and the next begins.

    `Waiting` passes through.

    Nothing after the first of `stops` is shown, and nothing that may be the beginning of
    `separator` or of a stop, not even when the limit of new tokens leaves it unfinished.
    """
    waiting = ""
    for piece in pieces:
        if isinstance(piece, Waiting):
            yield piece
            continue
        waiting += piece
        while True:
            matches = [(waiting.find(mark), mark) for mark in (separator, *stops)]
            start, mark = min((match for match in matches if match[0] >= 0), default=(-1, ""))
            if start < 0:
                break
            text = waiting[:start]
            if mark != separator:  # a reply may end inside an unfinished separator
                text = text[: len(text) - begun(text, separator)]
            if text:
                yield text
            if mark != separator:
                return
            yield None
            waiting = waiting[start + len(mark) :]
        certain = len(waiting) - max(begun(waiting, mark) for mark in (separator, *stops))
        if certain < len(waiting):  # what precedes a possible stop may be an unfinished separator
            certain -= begun(waiting[:certain], separator)
        if certain:
            yield waiting[:certain]
            waiting = waiting[certain:]
