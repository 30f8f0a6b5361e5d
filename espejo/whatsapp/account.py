"""Where every line and character of a file went, counted independently of the reader."""

from dataclasses import dataclass

import numpy as np

from espejo.whatsapp.text import CHUNK_BYTES, Source

# First UTF-8 bytes of the characters that str.strip() removes.
_BLANK_STARTS = np.zeros(256, bool)
_BLANK_STARTS[[*range(33), 0xC2, 0xE1, 0xE2, 0xE3]] = True


@dataclass(frozen=True)
class Account:
    """How many non-blank lines and characters a file has, and where each of them went.

    Texts in a zip that are attachments, not chats, are counted with the first chat of the zip.
    """

    lines_in: int
    lines: dict[str, int]  # by where they went: messages (all of their lines), others
    characters_in: int
    characters: dict[str, int]  # by where they went: texts, and what was removed from them
    replaced: int = 0  # invalid bytes; each became a U+FFFD, counted in `characters`

    @property
    def missing(self) -> tuple[int, int]:
        """Lines and characters that nothing accounts for: (0, 0), or the reader has a bug."""
        lines = self.lines_in - sum(self.lines.values())
        return lines, self.characters_in - sum(self.characters.values())


def count_lines(source: Source) -> int:
    """Count the lines of a text that are not blank, from its bytes."""
    starts = source.starts[source.ends > source.starts]
    first_bytes = np.frombuffer(source.data, np.uint8)[starts]
    maybe_blank = starts[_BLANK_STARTS[first_bytes]]  # starts of lines that may be blank
    ends = source.ends[np.searchsorted(source.ends, maybe_blank)]
    num_blank = sum(
        not source.data[start:end].decode().strip()
        for start, end in zip(maybe_blank.tolist(), ends.tolist(), strict=True)
    )
    return len(starts) - num_blank


def count_characters(source: Source) -> int:
    """Count the characters of a text: its bytes but the continuation bytes of UTF-8."""
    continuation_bytes = 0
    for start in range(0, len(source.data), CHUNK_BYTES):
        chunk = np.frombuffer(
            source.data, np.uint8, min(CHUNK_BYTES, len(source.data) - start), start
        )
        continuation_bytes += int(np.count_nonzero((chunk & 0xC0) == 0x80))
    return len(source.data) - continuation_bytes
