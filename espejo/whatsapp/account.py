"""What became of every line and character of a file, counted apart from the reading."""

from dataclasses import dataclass

import numpy as np

from espejo.whatsapp.text import CHUNK, Source

# First bytes of the characters that str.strip() removes, as UTF-8.
_BLANK_STARTS = np.zeros(256, bool)
_BLANK_STARTS[[*range(33), 0xC2, 0xE1, 0xE2, 0xE3]] = True


@dataclass(frozen=True)
class Account:
    """Lines that are not blank, and characters: those in the file and where they went.

    The texts of a zip that are no chat, but attached to one, count with its first chat.
    """

    lines_in: int
    lines: dict[str, int]  # messages (in all of their lines) and what is none
    characters_in: int
    characters: dict[str, int]  # texts and what was taken off
    replaced: int = 0  # bytes that are no text, each a U+FFFD of `characters`

    @property
    def missing(self) -> tuple[int, int]:
        """Lines and characters of the file that went nowhere: (0, 0), or the reader is wrong."""
        lines = self.lines_in - sum(self.lines.values())
        return lines, self.characters_in - sum(self.characters.values())


def lines_in(source: Source) -> int:
    """How many lines of a text are not blank, from its bytes."""
    starts = source.starts[source.ends > source.starts]
    first = np.frombuffer(source.data, np.uint8)[starts]
    rows = starts[_BLANK_STARTS[first]]  # may be blank
    ends = source.ends[np.searchsorted(source.ends, rows)]
    blank = sum(
        not source.data[start:end].decode().strip()
        for start, end in zip(rows.tolist(), ends.tolist(), strict=True)
    )
    return len(starts) - blank


def characters_in(source: Source) -> int:
    """How many characters a text has, from its bytes."""
    follow = 0
    for start in range(0, len(source.data), CHUNK):
        part = np.frombuffer(source.data, np.uint8, min(CHUNK, len(source.data) - start), start)
        follow += int(np.count_nonzero((part & 0xC0) == 0x80))
    return len(source.data) - follow
