"""The text of a chat: decoded from any encoding, and read by chunks or by lines."""

import re
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import charset_normalizer
import numpy as np
import pyarrow as pa

CHUNK_BYTES = 1 << 19  # read at a time: few enough to stay in the processor's cache

# Encodings older than UTF-8. A detector chooses among those of one kind of script.
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
# The letters beyond ASCII of each language, by the encoding it was written in; the likeliest first.
_ALPHABETS = {
    "cp1252": (
        *("áéíóúüñ¿¡ªº", "áâãàçéêíóôõúüªº", "àâçéèêëîïôùûüœæÿ", "äöüß", "àèéìíòóùªº"),
        *("àçéèíïóòúü·", "éèëïöüáóíêç", "åäöæøé", "áðéíóúýþæö"),
    ),
    "cp1250": (
        *("ąćęłńóśźż", "áčďéěíňóřšťúůýž", "áäčďéíĺľňóôŕšťúýž", "áéíóöőúüű", "ăâîşţ", "čćđšž"),
    ),
    "cp1254": ("çğıöşüâîû",),
}
_PUNCTUATION = "“”„‘’«»–—…€°´§©®™±×÷•²"  # in all of these languages
MIN_SHARE_OF_ONE_ALPHABET = 0.95  # of the letters beyond ASCII
_WORD = re.compile(rb"[A-Za-z\x80-\xff]*[\x80-\xff][A-Za-z\x80-\xff]*")
# Signs of Windows-1252 that stand alone, as in £5, 1½ and 3º. Some are letters of other encodings,
# where such a letter is hardly ever a word: £ would be Ł, and ½ a katakana.
_SIGNS = re.compile(rb"[\x80\x82\x84-\x87\x89\x8b\x91-\x99\x9b\xa0-\xbf]+")
MIN_BYTES_TO_DECIDE = 12  # beyond ASCII; with fewer, a Latin script is assumed
MIN_BYTES_FOR_DETECTOR = 100  # beyond ASCII; with fewer it cannot tell Latin scripts apart
SAMPLE_BYTES = 1 << 16  # enough of a text to tell its encoding


class Decoded(NamedTuple):
    """A text as valid UTF-8 without byte order mark; its line ends are unchanged."""

    data: bytes
    encoding: str  # "" for UTF-8
    replaced: int  # number of invalid bytes, replaced by U+FFFD


def decode(data: bytes) -> Decoded:
    """Decode a text in any encoding. If most line ends are a bare CR, those become LFs."""
    text = _decode(data)
    if b"\r" not in text.data:
        return text
    num_bare_cr = text.data.count(b"\r") - text.data.count(b"\r\n")
    if num_bare_cr and num_bare_cr >= text.data.count(b"\n"):
        text = text._replace(data=text.data.replace(b"\r\n", b"\n").replace(b"\r", b"\n"))
    return text


def _decode(data: bytes) -> Decoded:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return _decode_utf16(data, "utf-16")
    # ASCII in UTF-16 without a byte order mark has a NUL in every other byte.
    start = data[:SAMPLE_BYTES]
    nuls = start[::2].count(0), start[1::2].count(0)
    if len(start) > 8 and max(nuls) > len(start) // 8 and min(nuls) <= max(nuls) // 50:
        return _decode_utf16(data, "utf-16-le" if nuls[1] > nuls[0] else "utf-16-be")
    data = data.removeprefix(b"\xef\xbb\xbf")
    offsets = pa.py_buffer(np.array([0, len(data)], dtype=np.int64))
    as_array = pa.LargeStringArray.from_buffers(1, offsets, pa.py_buffer(data))
    try:
        as_array.validate(full=True)
    except pa.ArrowInvalid:
        return _decode_other(data)
    return Decoded(data, "", 0)


def _encoding_by_alphabet(letters: bytes, num_high: int) -> str | None:
    """Return the encoding in which nearly all letters beyond ASCII belong to one language.

    `letters` are words of the text, `num_high` their bytes beyond ASCII. None if no encoding does.
    Why not the detector: Windows-1252 and Windows-1250 share most bytes, and mañana in the one is
    mańana in the other. A detector goes by which letters are often neighbours, and cannot tell.
    """
    for encoding, alphabets in _ALPHABETS.items():
        counts = Counter(letters.decode(encoding, "replace").replace("İ", "ı").lower())
        for alphabet in alphabets:
            if (
                sum(counts[sign] for sign in alphabet + _PUNCTUATION)
                >= MIN_SHARE_OF_ONE_ALPHABET * num_high
            ):
                return encoding
    return None


def _decode_utf16(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, "replace")
    return Decoded(text.encode(), "UTF-16", text.count("\ufffd"))


def _decode_other(data: bytes) -> Decoded:
    """Decode bytes that are not valid UTF-8: an older encoding, or UTF-8 with some broken bytes."""
    text = data.decode("utf-8", "replace")
    replaced = text.count("\ufffd") - data.count("\ufffd".encode())
    num_high = sum(byte > 127 for byte in data[:SAMPLE_BYTES])
    num_valid = sum(
        len(sign.encode())
        for sign in data[:SAMPLE_BYTES].decode("utf-8", "ignore")
        if sign > "\x7f"
    )
    if 2 * num_valid > num_high:  # most bytes beyond ASCII are valid UTF-8
        return Decoded(text.encode(), "", replaced)
    pieces = _WORD.findall(data[: 16 * SAMPLE_BYTES])[:SAMPLE_BYTES]
    words = [piece for piece in pieces if not _SIGNS.fullmatch(piece)]
    num_high_in_words = sum(byte > 127 for word in words for byte in word)
    latin = num_high_in_words < MIN_BYTES_TO_DECIDE or 2 * num_high_in_words < sum(map(len, words))
    encoding = _encoding_by_alphabet(b"".join(words), num_high_in_words)
    if encoding is None and latin and num_high_in_words < MIN_BYTES_FOR_DETECTOR:
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
    text = data.decode(encoding, "replace")
    replaced = text.count("\ufffd")
    return Decoded(text.encode(), encoding.replace("cp", "Windows-"), replaced)


class Source:
    """The text of one chat, by chunks and by lines. Only a line feed ends a line."""

    def __init__(self, data: bytes) -> None:
        self.data = data  # valid UTF-8

    @cached_property
    def ends(self) -> np.ndarray:
        """Byte offsets of the ends of lines: of each line feed, and the end of the data (int64)."""
        positions = []
        for start in range(0, len(self.data), CHUNK_BYTES):
            chunk = np.frombuffer(
                self.data, np.uint8, min(CHUNK_BYTES, len(self.data) - start), start
            )
            positions.append(np.flatnonzero(chunk == ord("\n")) + start)
        return np.concatenate([*positions, [len(self.data)]]).astype(np.int64)

    @cached_property
    def starts(self) -> np.ndarray:
        """Byte offsets of the starts of lines (int64)."""
        return np.concatenate([[0], self.ends[:-1] + 1])

    def longest_line(self) -> tuple[int, int]:
        """Return the number (from 1) and the length in bytes of the longest line."""
        lengths = self.ends - self.starts
        return int(lengths.argmax()) + 1, int(lengths.max())

    def carriage_returns(self) -> np.ndarray:
        """Return for each line whether it ends in a carriage return (bool)."""
        last = np.maximum(self.ends - 1, 0)
        return (np.frombuffer(self.data, np.uint8)[last] == ord("\r")) & (self.ends > self.starts)

    def chunks(self) -> Iterator[str]:
        """Yield the text in chunks of whole lines, each line with a line feed before it."""
        start = 0
        while start <= len(self.data):
            end = self.data.find(b"\n", start + CHUNK_BYTES)
            end = len(self.data) if end < 0 else end
            yield "\n" + _text(self.data[start:end])
            start = end + 1

    @property
    def num_carriage_returns(self) -> int:
        """How many lines end in a carriage return."""
        if b"\r" not in self.data:
            return 0
        return self.data.count(b"\r\n") + self.data.endswith(b"\r")

    def lines(self, first: int, end: int) -> str:
        """Return the text from line `first` to before line `end` (numbers from 1)."""
        return _text(self.data[self.starts[first - 1] : max(0, self.ends[end - 2])])


def _text(data: bytes) -> str:
    if b"\r" in data:
        data = (data + b"\n").replace(b"\r\n", b"\n")[:-1]
    return data.decode()
