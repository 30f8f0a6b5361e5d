"""The text of a chat: bytes made valid UTF-8, and taken by chunks or by lines."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import charset_normalizer
import numpy as np
import pyarrow as pa

CHUNK = 1 << 19  # bytes taken at a time: what is in work stays in the processor's cache


# Encodings of before UTF-8. A detector decides among those of one kind of script.
_LATIN = ["cp1252", "cp1250", "cp1254", "cp1257"]
_OTHER = [
    "cp1251",
    "cp1253",
    "cp1255",
    "cp1256",
    "koi8_r",
    "gb18030",
    "big5",
    "shift_jis",
    "euc_kr",
]
# What languages have beyond ASCII, by the encoding that they were written in; the likeliest first.
_ALPHABETS = {
    "cp1252": (
        *("áéíóúüñ¿¡ªº", "áâãàçéêíóôõúü", "àâçéèêëîïôùûüœæÿ", "äöüß", "àèéìíòóù", "àçéèíïóòúü·"),
        *("éèëïöüáóíêç", "åäöæøé", "áðéíóúýþæö"),
    ),
    "cp1250": (
        *("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    ),
    "cp1254": ("çğıöşüâîû",),
}
_TYPED = "“”„‘’«»–—…€°´"  # with all of them
WHOLE = 0.95  # share of the letters beyond ASCII that one language has to know
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
FEWEST = 12  # bytes beyond ASCII below which nothing is told: the commonest encoding is taken
FEW = 100  # bytes beyond ASCII below which the detector cannot tell one Latin script from another
GLANCE = 1 << 16  # bytes that suffice to tell an encoding


class Decoded(NamedTuple):
    """A text as valid UTF-8 without byte order mark, with its line ends as they were."""

    data: bytes
    encoding: str  # "" for UTF-8
    replaced: int  # bytes that are no text: U+FFFD stands for them


def decoded(data: bytes) -> Decoded:
    """A text in whatever encoding. Line ends that are a CR alone, if most are, become LFs."""
    text = _decoded(data)
    if b"\r" not in text.data:
        return text
    alone = text.data.count(b"\r") - text.data.count(b"\r\n")
    if alone and alone >= text.data.count(b"\n"):
        text = text._replace(data=text.data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return text


def _decoded(data: bytes) -> Decoded:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _wide(data, "utf-16")
    # ASCII in UTF-16 without a mark has a NUL in every other place.
    start = data[:GLANCE]
    nuls = start[::2].count(0), start[1::2].count(0)
    if len(start) > 8 and max(nuls) > len(start) // 8 and min(nuls) <= max(nuls) // 50:
        return _wide(data, "utf-16-le" if nuls[1] > nuls[0] else "utf-16-be")
    data = data.removeprefix(b"\xef\xbb\xbf")
    offsets = pa.py_buffer(np.array([0, len(data)], dtype=np.int64))
    whole = pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(data))
    try:
        whole.validate(full=True)
    except pa.ArrowInvalid:
        return _broken(data)
    return Decoded(data, "", 0)


def _by_alphabet(letters: bytes, high: int) -> str | None:
    """The encoding in which nearly all letters beyond ASCII (`high` of them) are of one language.

    Windows-1252 and Windows-1250 share most bytes, and mañana of the one reads mańana in the
    other: a detector that goes by how usual letters are together cannot tell.
    """
    for encoding, alphabets in _ALPHABETS.items():
        signs = Counter(letters.decode(encoding, "replace").replace("İ", "ı").lower())
        for alphabet in alphabets:
            if sum(signs[sign] for sign in alphabet + _TYPED) >= WHOLE * high:
                return encoding
    return None


def _wide(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, "replace")
    return Decoded(text.encode(), "UTF-16", text.count("\ufffd"))


def _broken(data: bytes) -> Decoded:
    """Bytes that are not UTF-8: text in an older encoding, or UTF-8 with some bytes broken."""
    text = data.decode("utf-8", "replace")
    replaced = text.count("\ufffd") - data.count("\ufffd".encode())
    beyond = sum(byte > 127 for byte in data[:GLANCE])
    good = sum(
        len(sign.encode()) for sign in data[:GLANCE].decode("utf-8", "ignore") if sign > "\x7f"
    )
    if 2 * good > beyond:  # most of what is beyond ASCII is UTF-8
        return Decoded(text.encode(), "", replaced)
    words = _WORD.findall(data[: 16 * GLANCE])[:GLANCE]
    high = sum(byte > 127 for word in words for byte in word)
    latin = high < FEWEST or 2 * high < sum(map(len, words))
    encoding = _by_alphabet(b"".join(words), high)
    if encoding is None and latin and high < FEW:
        encoding = "cp1252"
    if encoding is None:
        sample = b" ".join(words)
        matches = charset_normalizer.from_bytes(
            sample,
            steps=1,
            chunk_size=len(sample),
            threshold=1,
            cp_isolation=_LATIN if latin else _OTHER,
        )
        best = matches.best()
        encoding = best.encoding if best else "cp1252"
    with_gaps = data.decode(encoding, "replace")
    replaced = with_gaps.count("\ufffd")
    return Decoded(with_gaps.encode(), encoding.replace("cp", "Windows-"), replaced)


class Source:
    """The text of one chat, by chunks and by lines. A line ends at a line feed and only there."""

    def __init__(self, data: bytes) -> None:
        self.data = data  # valid UTF-8

    @cached_property
    def ends(self) -> np.ndarray:
        """Where each line feed stands, in bytes, and one past the end (int64)."""
        positions = []
        for start in range(0, len(self.data), CHUNK):
            part = np.frombuffer(self.data, np.uint8, min(CHUNK, len(self.data) - start), start)
            positions.append(np.flatnonzero(part == ord("\n")) + start)
        return np.concatenate([*positions, [len(self.data)]]).astype(np.int64)

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
