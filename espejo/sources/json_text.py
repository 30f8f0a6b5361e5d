"""JSON as programs write it: cut off, or with texts against the standard.

One such text must not cost a whole file, so that what a strict decoder refuses is mended: half an
emoji (apps that count UTF-16 units cut a text between its halves), control characters, bytes that
are no UTF-8, NaN.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from espejo.sources.account import Unreadable
from espejo.sources.export import ExportError, SourceFile
from espejo.whatsapp.text import decode as decode_text

_BOM = b"\xef\xbb\xbf"
_MAX_DEPTH = 4  # of a value that is cut off
_JSON = json.JSONDecoder(strict=False)
# Possessive, or a long run of blanks would be divided between both parts in every possible way.
_KEY = re.compile(r"\s*+,?\s*+(?=\")")
_COLON = re.compile(r"\s*+:\s*+")
_ELEMENT = re.compile(r"\s*+,?\s*+(?=[^\s,\]])")
# All up to a string with a backslash or control character, such a string, or what is no number.
# A string that is cut off ends with the data: or it would be searched again from each quote in it.
_PIECES = re.compile(
    rb'(?:[^"NI-]++|"[^"\\\x00-\x1f]*+")++'
    rb'|(?P<text>"(?:[^"\\]|\\.)*+(?:"|\\?\Z))'
    rb"|(?P<nan>NaN|-?Infinity)",
    re.DOTALL,
)
# A control character as it is, or as Telegram escapes it; a pair of surrogates or another escape,
# which stay; half of such a pair.
_ODD = re.compile(
    rb"(?P<control>[\x00-\x1f])|\\x(?P<hex>[0-9a-fA-F]{2})"
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
)

T = TypeVar("T")


class CutOff(Unreadable):
    """JSON ends too early."""


def decode(decoder: msgspec.json.Decoder[T], data: bytes | msgspec.Raw) -> T:
    """Decode JSON, mended if need be. Raises Unreadable (CutOff)."""
    try:
        return decoder.decode(data)
    except UnicodeDecodeError:
        return decode(decoder, bytes(data).decode(errors="replace").encode())
    except RecursionError:
        raise Unreadable("the JSON is nested too deeply") from None
    except msgspec.ValidationError as error:
        text = str(error)
        raise Unreadable(text[:1].lower() + text[1:]) from None
    except msgspec.DecodeError as error:
        if (better := mended(bytes(data))) != bytes(data):
            return decode(decoder, better)
        if "truncated" in str(error):
            raise CutOff("the JSON is cut off, expected its end") from None
        problem = str(error).removeprefix("JSON is malformed: ")
        raise Unreadable(f"expected JSON ({problem})") from None


def decode_file(file: SourceFile, data: bytes, decoder: msgspec.json.Decoder[T], advice: str) -> T:
    """Decode a whole file. Raises ExportError if it is cut off, no JSON, or of other types."""
    try:
        return decode(decoder, data.removeprefix(_BOM))
    except Unreadable as problem:
        raise ExportError(f"{file.name}: {problem}; {advice}.") from None


def decode_lines(
    file: SourceFile, data: bytes, decoder: msgspec.json.Decoder[T], advice: str
) -> Iterator[tuple[int, T | Unreadable]]:
    """Yield the number of each line that is not blank, from 1, and what it holds.

    Raises ExportError if the last line is cut off.
    """
    number, start, end = 0, 0, len(data.rstrip())
    while start < end:
        stop = data.find(b"\n", start, end) + 1 or end
        line, start = data[start:stop], stop
        number += 1
        if line.isspace():
            continue
        try:
            yield number, decode(decoder, line.removeprefix(_BOM) if number == 1 else line)
        except Unreadable as problem:
            if isinstance(problem, CutOff) and start == end:
                where = f"{file.name}, line {number}"
                raise ExportError(f"{where}: {problem}; {advice}.") from None
            yield number, problem


def mended(data: bytes) -> bytes:
    r"""Return JSON in which strict decoders find nothing to refuse but real mistakes.

    Half a surrogate pair becomes U+FFFD, NaN null; control characters are escaped, \x01 as well.
    """
    return _PIECES.sub(_mend_piece, data)


def _mend_piece(match: re.Match[bytes]) -> bytes:
    return b"null" if match["nan"] else _ODD.sub(_mend_odd, match[0]) if match["text"] else match[0]


def _mend_odd(match: re.Match[bytes]) -> bytes:
    if match["control"]:
        return b"\\u%04x" % ord(match[0])
    if match["hex"]:
        return b"\\u00" + match["hex"]
    return b"\\ufffd" if match["half"] else match[0]


def head_text(file: SourceFile) -> str:
    """Return the start of a file as text, "" for a binary file. The last line may be cut off."""
    return _decoded_head(file.head)


@lru_cache(maxsize=2)
def _decoded_head(head: bytes) -> str:
    text = decode_text(head).data
    return "" if b"\0" in text else text.decode().replace("\r\n", "\n")


def outline(file: SourceFile) -> dict[str, Any]:
    """Return the keys of the JSON object that a file starts with, and their values.

    They are those in the file's head, as `beginning` gives them. Empty if there is no object.
    """
    value = beginning(head_text(file))
    return value if isinstance(value, dict) else {}


@lru_cache(maxsize=2)
def beginning(text: str) -> object:
    """Return the JSON value that a text starts with; None for no JSON.

    Of an array or object that is cut off, it holds what stands before the cut. The value of a key
    that is cut off there, or is no JSON, is None and the last.
    """
    return _beginning(text, len(text) - len(text.lstrip()), 0)[0]


def _beginning(text: str, start: int, depth: int) -> tuple[Any, int]:
    """Return a value, and its end; the end is that of the text for a value that is not whole."""
    try:
        return _JSON.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    position = start + 1
    if text.startswith("{", start) and depth < _MAX_DEPTH:
        values: dict[str, Any] = {}
        while match := _KEY.match(text, position):
            key, position = _beginning(text, match.end(), depth + 1)
            if isinstance(key, str):
                values[key] = None
            if colon := _COLON.match(text, position):
                values[key], position = _beginning(text, colon.end(), depth + 1)
        return values, len(text)
    if text.startswith("[", start) and depth < _MAX_DEPTH:
        elements = []
        while match := _ELEMENT.match(text, position):
            element, position = _beginning(text, match.end(), depth + 1)
            elements += [] if element is None else [element]
        return elements, len(text)
    return None, len(text)


def identifier(value: object) -> str | None:
    """Return a number or a text as the text that identifies something; None for all else."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64:
        return str(value)
    return None


def text_in(value: object) -> str:
    """Return a text; "" for all else."""
    return value if isinstance(value, str) else ""
