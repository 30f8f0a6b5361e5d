"""The text of a chat: bytes made valid UTF-8, and taken by chunks or by lines."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import pyarrow as pa

CHUNK = 1 << 19  # bytes taken at a time: what is in work stays in the processor's cache


def utf8(data: bytes) -> bytes:
    """A text as valid UTF-8 without byte order mark; invalid bytes become U+FFFD."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").encode()
    data = data.removeprefix(b"\xef\xbb\xbf")
    offsets = pa.py_buffer(np.array([0, len(data)], dtype=np.int64))
    whole = pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(data))
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return data.decode("utf-8", "replace").encode()
    return data


class Source:
    """The text of one chat, by chunks and by lines. A line ends at a line feed and only there."""

    def __init__(self, data: bytes) -> None:
        self.data = data  # valid UTF-8

    @cached_property
    def ends(self) -> np.ndarray:
        """Where each line feed stands, in bytes, and one past the end (int64)."""
        found = []
        for start in range(0, len(self.data), CHUNK):
            part = np.frombuffer(self.data, np.uint8, min(CHUNK, len(self.data) - start), start)
            found.append(np.flatnonzero(part == ord("\n")) + start)
        return np.concatenate([*found, [len(self.data)]]).astype(np.int64)

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each line begins, in bytes (int64)."""
        return np.concatenate([[0], self.ends[:-1] + 1])

    def longest_line(self) -> tuple[int, int]:
        """Number (from 1) and bytes of the longest line."""
        lengths = self.ends - self.starts
        return int(lengths.argmax()) + 1, int(lengths.max())

    def carriage_returns(self) -> np.ndarray:
        """For each line whether it ends in a carriage return (bool)."""
        last = np.maximum(self.ends - 1, 0)
        return (np.frombuffer(self.data, np.uint8)[last] == ord("\r")) & (self.ends > self.starts)

    def chunks(self) -> Iterator[str]:
        """The text in parts of whole lines, each line with a line feed before it, none after."""
        start = 0
        while start <= len(self.data):
            end = self.data.find(b"\n", start + CHUNK)
            end = len(self.data) if end < 0 else end
            yield "\n" + _text(self.data[start:end])
            start = end + 1

    @property
    def returns(self) -> int:
        """How many lines end in a carriage return."""
        if b"\r" not in self.data:
            return 0
        return self.data.count(b"\r\n") + self.data.endswith(b"\r")

    def lines(self, first: int, last: int) -> str:
        """The text from one line up to and without another (numbers from 1)."""
        return _text(self.data[self.starts[first - 1] : max(0, self.ends[last - 2])])


def _text(data: bytes) -> str:
    if b"\r" in data:
        data = (data + b"\n").replace(b"\r\n", b"\n")[:-1]
    return data.decode()
