"""Read chats as WhatsApp exports them: a .txt, a .zip or a folder of them, as one table.

An export says nothing about itself: neither language, nor phone, nor whether 3/4 is in March or in
April. Everything is decided once for a whole file, from all of its lines, and told in `Export`.
WhatsApp's own words are data, in notices.json.

    from espejo import whatsapp
    whatsapp.read("WhatsApp Chat with Ana.zip")
"""

import json
import re
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from espejo import names
from espejo.errors import UserError

_Head = tuple[int, int, str, str, str | None]  # line from 0, its end there, day, time, AM or PM
_Row = tuple[str | None, str, str, bool]  # author, kind, text, edited

UNPACKED_LIMIT = 1 << 30  # bytes of chat text in a zip; real ones stay below 10 MB
HOW = "export the chat again from WhatsApp (Export chat) and use its .txt or .zip as it comes"

LRM = "\u200e"  # WhatsApp writes it before its own words on an iPhone
_M = names.MARKS
_S = " \t\u00a0\u202f\u2009"
_MARKS = re.compile(f"[{_M}]+")
_DAY = 86_400  # seconds

_NOTICES = json.loads(Path(__file__).with_name("notices.json").read_text("utf-8"))


class ExportError(UserError):
    """A file that cannot be read as an export; the text is one sentence that says what to do."""


@dataclass(frozen=True)
class Export:
    """One file as read, and what was decided on the way.

    `messages` has one row a message, in the order of the file: chat (str), line (int64, first
    source line, from 1), timestamp (datetime64[us], the phone's local time, null when missing),
    author (str, null for WhatsApp itself), kind (message, media, deleted, call or system), text
    (str: the caption of a medium, or its whole placeholder when it has none) and edited (bool).
    """

    name: str  # of the file
    messages: pd.DataFrame
    style: str  # "iPhone, 12-hour clock"
    dates: str  # the order of day and month, and why
    lines: int  # not blank
    lines_understood: int  # not blank and part of a message
    lost: tuple[tuple[int, str], ...]  # number and text of the others: they precede any message
    lookalikes: int  # lines in the form of a header that are somebody's words

    @property
    def decided(self) -> str:
        """The decisions in words, for a summary."""
        words = f"{self.style}, {self.dates}"
        if self.lookalikes:
            words += f", {self.lookalikes} header-like lines kept as text"
        return words


def read(path: str | Path) -> pd.DataFrame:
    """The messages of a .txt, of a .zip or of all exports in a folder; columns as in `Export`.

    Raises ExportError when there is nothing to read or a file is no export.
    """
    path = Path(path)
    files = exports_in(path) if path.is_dir() else [path]
    return pd.concat([read_file(file).messages for file in files], ignore_index=True)


def exports_in(folder: str | Path) -> list[Path]:
    """The .txt and .zip files of a folder, sorted. Raises ExportError when there are none."""
    folder = Path(folder)
    if not folder.is_dir():
        raise ExportError(f"{folder.name}: expected a folder of WhatsApp exports; {HOW}.")
    files = sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in (".txt", ".zip") and not file.name.startswith(".")
    )
    if not files:
        raise ExportError(
            f"{folder}: expected WhatsApp exports (.txt or .zip) in this folder; copy yours there."
        )
    return files


def read_file(path: str | Path) -> Export:
    """Read one .txt or .zip. Raises ExportError when it is missing, damaged or no export."""
    path = Path(path)
    text, inner = _text(path)
    if not text.strip():
        raise ExportError(f"{path.name}: the file is empty, expected a WhatsApp export; {HOW}.")
    raw = text.split("\n")  # never splitlines(): people type U+2028, VT and FF
    lines = [line.removesuffix("\r") for line in raw] if "\r" in text else raw
    found = _headers(lines)
    # a file begins with a message, so its first line counts more than what people pasted later
    style = max(
        found, key=lambda s: len(found[s]) * (3 if found[s][0][0] == 0 else 1), default=None
    )
    if style is None:
        raise ExportError(f"{path.name}: no line looks like a message of WhatsApp; {HOW}.")
    order, why = _date_order([head[2] for head in found[style]], style, f"{path.stem}\n{text}")
    heads, times = _timed(found[style], style, order)
    if not heads:
        raise ExportError(f"{path.name}: no line has a date that exists; {HOW}.")
    if style.iphone:
        kept = _ended_by_crlf(heads, raw)
        heads, times = [heads[i] for i in kept], times[kept]
    firsts = [lines[line][end:] for line, end, *_ in heads]
    long_names = _names_with_colon(firsts)
    spoken = [_split(first, long_names) for first in firsts]
    kept = _not_pasted(times, [author for author, _ in spoken])
    heads, times, spoken = [heads[i] for i in kept], times[kept], [spoken[i] for i in kept]

    bodies = _bodies(heads, [first for _, first in spoken], lines)
    strict = style.iphone and LRM in text
    rows = [
        _row(author, body, style.iphone, strict)
        for (author, _), body in zip(spoken, bodies, strict=True)
    ]
    lost = [(n, line) for n, line in enumerate(lines[: heads[0][0]], 1) if line.strip()]
    total = sum(map(bool, map(str.strip, lines)))
    return Export(
        name=path.name,
        messages=_table(_chat_name(path, inner), heads, times, rows),
        style=style.words(),
        dates=why,
        lines=total,
        lines_understood=total - len(lost),
        lost=tuple(lost),
        lookalikes=sum(map(len, found.values())) - len(heads),
    )


def _bodies(heads: Sequence[_Head], firsts: Sequence[str], lines: Sequence[str]) -> list[str]:
    """Each message's whole text: what follows its author, and the lines up to the next header."""
    bodies = []
    starts = [head[0] for head in heads]
    for start, first, end in zip(starts, firsts, [*starts[1:], len(lines)], strict=True):
        if end - start > 1:
            first = "\n".join((first, *lines[start + 1 : end])).rstrip("\n")
        bodies.append(first)
    return bodies


def _table(
    chat: str, heads: Sequence[_Head], times: np.ndarray, rows: Sequence[_Row]
) -> pd.DataFrame:
    authors, kinds, texts, edited = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "chat": pd.Series([chat] * len(rows), dtype="str"),
            "line": np.array([head[0] + 1 for head in heads], dtype=np.int64),
            "timestamp": (times * 1_000_000).view("datetime64[us]"),
            "author": pd.Series(authors, dtype="str"),
            "kind": pd.Series(kinds, dtype="str"),
            "text": pd.Series(texts, dtype="str"),
            "edited": np.array(edited, dtype=bool),
        }
    )


# Bytes


def _text(path: Path) -> tuple[str, str]:
    """The chat's text, and the name of the file inside a zip ("" outside)."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ExportError(f"{path.name}: there is no such file; {HOW}.") from None
    except OSError as error:
        reason = error.strerror or "error"
        raise ExportError(f"{path.name}: cannot be opened ({reason}); {HOW}.") from None
    if path.suffix.lower() != ".zip" and not data.startswith(b"PK\x03\x04"):
        return _decode(data), ""
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            member = _chat_member(archive, path)
            return _decode(_unpack(archive, member, path)), Path(member.filename).name
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        if isinstance(error, ExportError):
            raise
        raise ExportError(f"{path.name}: the zip is damaged; copy it again or {HOW}.") from None
    except (RuntimeError, NotImplementedError):
        raise ExportError(f"{path.name}: the zip is locked or packed oddly; {HOW}.") from None


def _decode(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8-sig", "replace")


def _chat_member(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    """The chat among a zip's texts: people also send .txt files as attachments."""
    texts = [
        member
        for member in archive.infolist()
        if not member.is_dir()
        and member.filename.lower().endswith(".txt")
        and not member.filename.startswith("__MACOSX/")
        and not Path(member.filename).name.startswith("._")
    ]
    if not texts:
        raise ExportError(f"{path.name}: expected a chat (.txt) in the zip, found none; {HOW}.")
    names = [Path(member.filename).name.lower() for member in texts]
    for wanted in ("_chat.txt", f"{path.stem.lower()}.txt"):
        if wanted in names:
            return texts[names.index(wanted)]
    named = [member for member, name in zip(texts, names, strict=True) if "whatsapp" in name]
    texts = named or texts
    if len(texts) == 1:
        return texts[0]

    def headers(member: zipfile.ZipInfo) -> int:
        lines = _decode(_unpack(archive, member, path)).split("\n")
        return sum(1 for line in lines if _HEADER.match(line))

    return max(texts, key=headers)


def _unpack(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> bytes:
    with archive.open(member) as file:
        data = file.read(UNPACKED_LIMIT + 1)  # the size a zip states may be a lie
    if len(data) > UNPACKED_LIMIT:
        raise ExportError(
            f"{path.name}: the chat in the zip unpacks to more than {UNPACKED_LIMIT:,} bytes, "
            f"far beyond any export; {HOW}."
        )
    return data


_CHAT_FILES = [
    re.compile(re.escape(form).replace(r"\{name\}", "(.+)"), re.IGNORECASE)
    for forms in _NOTICES["chat_file"].values()
    for form in forms
]


def _chat_name(path: Path, inner: str) -> str:
    """Whom the chat is with, as the file's name tells, else the file's stem."""
    for stem in (path.stem, Path(inner).stem):
        for form in _CHAT_FILES:  # some systems put _ for every space
            if match := form.fullmatch(stem if " " in stem else stem.replace("_", " ")):
                return match[1].strip()
    return path.stem


# Headers: "9/4/2026, 14:43 - ", "[28/03/25, 9:29:05 p. m.] ", "29/12/2012 17:04:00: "

_SEP = rf"[{_M}]*(?:[/\-年月]|\.[{_S}]?)"
_WORD = r"[^\W\d_][^\d\n\[\]:,،\-–]"  # a word's first letters
_HEADER = re.compile(
    rf"[{_M}\ufeff]*(\[?)[{_M}]*"
    rf"(\d{{1,4}}{_SEP}\d{{1,2}}{_SEP}\d{{1,4}}(?:日|\.)?)(?:[{_S}]?г\.)?"
    rf"[{_M}]*([,،]?)[{_M}{_S}]*"
    rf"({_WORD}{{0,9}}[{_M}{_S}]*)?(\d\d?[:.hH]\d\d(?:[:.]\d\d)?)"
    rf"([{_S}{_M}]*{_WORD}{{0,14}}?)?"
    rf"([{_S}{_M}]*\]|[{_S}{_M}]+[-–](?=[{_S}]|$)|:(?=[{_S}]))[{_S}]?"
)
_CLOCK = _NOTICES["clock"]
_HALVES = {word: half for half in ("am", "pm") for word in _CLOCK[half]}


class _Style(NamedTuple):
    """The form of a header. An export has one; a line in another form is somebody's words."""

    bracket: str
    separator: str  # in the date
    year_first: bool
    comma: str
    at: str  # a word before the time
    colon: str  # in the time
    seconds: bool
    half: str  # where AM or PM stands: before, after or ""
    end: str

    @property
    def iphone(self) -> bool:
        return self.end != "-"

    def words(self) -> str:
        hours = "12-hour clock" if self.half else "24-hour clock"
        return f"{'iPhone' if self.iphone else 'Android'}, {hours}"


def _headers(lines: Sequence[str]) -> dict[_Style, list[_Head]]:
    """All lines that begin like a message, by the form of their header."""
    forms: dict[tuple, list[_Head]] = defaultdict(list)
    match = _HEADER.match
    for number, line in enumerate(lines):
        if head := match(line):
            bracket, day, comma, before, time, after, end = head.groups()
            form = (bracket, _date(day)[0], comma, before, time[-3], len(time) > 5, after, end)
            forms[form].append((number, head.end(), day, time, before or after))
    found: dict[_Style, list[_Head]] = defaultdict(list)
    for form, heads in forms.items():
        if style := _style(form):
            found[style] += heads
    for heads in found.values():
        heads.sort()  # AM and PM were apart
    return found


def _bare(word: str | None) -> str:
    return re.sub(rf"[{_M}{_S}.]", "", word or "").casefold()


def _style(form: tuple) -> _Style | None:
    """The style of a header's parts, None when one of its words is no word of a clock."""
    bracket, date_form, comma, before, colon, seconds, after, end = form
    before, after, end = _bare(before), _bare(after), "-" if end[-1] == "–" else end[-1]
    if after and after not in _HALVES and after not in _CLOCK["hours"]:
        return None
    if before and before not in _HALVES and before not in _CLOCK["at"]:
        return None
    if date_form is None or (bracket == "[") != (end == "]"):
        return None
    half = "before" if before in _HALVES else "after" if after in _HALVES else ""
    at = "" if half == "before" else before
    return _Style(bracket, *date_form, comma, at, colon, seconds, half, end)


def _timed(heads: list[_Head], style: _Style, order: "_Order") -> tuple[list[_Head], np.ndarray]:
    """The headers whose date and time exist, and their seconds since 1970."""
    days = {day: _day_number(day, order) for day in {head[2] for head in heads}}
    halves = {half: _HALVES.get(_bare(half)) for half in {head[4] for head in heads}}
    cut = -3 if style.seconds else None
    minutes = {
        (clock, half): _minutes(clock, halves[half])
        for clock, half in {(head[3][:cut], head[4]) for head in heads}
    }
    real, times = [], []
    for head in heads:
        day, minute = days[head[2]], minutes[head[3][:cut], head[4]]
        second = int(head[3][-2:]) if cut else 0
        if day is not None and minute is not None and second < 60:
            real.append(head)
            times.append(day * _DAY + minute * 60 + second)
    return real, np.array(times, dtype=np.int64)


def _minutes(clock: str, half: str | None) -> int | None:
    """Minutes since midnight of `9:29`, None when there is no such time."""
    hour, minute = map(int, re.split(r"\D", clock))
    if half and hour <= 12:
        hour = hour % 12 + (12 if half == "pm" else 0)
    return hour % 24 * 60 + minute if hour <= 24 and minute < 60 else None


def _ended_by_crlf(heads: list[_Head], raw: Sequence[str]) -> list[int]:
    """Indices of the headers that are not pasted, where an iPhone's file tells them apart.

    It ends a message with CRLF, while a line break that a person typed is a bare LF. Files that
    went through an editor mix the two at random: then CRLF is seldom followed by a header.
    """
    everything = list(range(len(heads)))
    ends = sum(line.endswith("\r") for line in raw)
    after = [i for i in everything if not heads[i][0] or raw[heads[i][0] - 1].endswith("\r")]
    whole = sum(heads[i][0] > 0 for i in after) + (raw[-1] == "" and raw[-2].endswith("\r"))
    if ends in (0, len(raw) - 1) or 2 * whole < ends or 4 * len(after) < len(heads):
        return everything
    return after


def _not_pasted(times: np.ndarray, authors: Sequence[str | None]) -> list[int]:
    """Indices of the headers that are no pasted text: time far back, by a voice heard only there.

    The time has to come back too, but for a few lines at the end: a clock that was wrong for a
    while must not turn friends into quotations.
    """
    back = times < np.maximum.accumulate(times) - _DAY
    known = {author for author, late in zip(authors, back, strict=True) if not late} - {None}
    later = np.maximum.accumulate(times[::-1])[::-1]
    kept, tail, now, quoting = [], [], times[0], False
    for i, author in enumerate(authors):
        if not back[i] or author in known or times[i] >= now - _DAY:
            now, quoting = times[i], False
        elif author is not None or quoting:  # a notice has no voice of its own
            quoting = True
            if later[i] < now - _DAY:
                tail.append(i)
            continue
        kept.append(i)
    return kept if len(tail) < len(kept) else sorted(kept + tail)


# Dates

_Order = tuple[int, int, int]  # where year, month and day stand
_ORDERS = {"day first": (2, 1, 0), "month first": (2, 0, 1), "year first": (0, 1, 2)}
_EPOCH = date(1970, 1, 1).toordinal()


@lru_cache(maxsize=100_000)
def _date(day: str) -> tuple[tuple[str, bool] | None, _Order]:
    """`28/03/25` as its form (separator, year first; None when it is no date) and its numbers."""
    plain = _MARKS.sub("", day)
    first, separator, second, other, third, _ = re.split(r"(\D+)", plain + ".", maxsplit=3)[:6]
    numbers = (int(first), int(second), int(third))  # int() reads the digits of every script
    year_first = len(first) == 4
    if separator != other and separator + other != "年月" or len(first) == 3:
        return None, numbers
    if len(third) not in ((1, 2) if year_first else (2, 4)):
        return None, numbers
    return (separator, year_first), numbers


def _day_number(day: str, order: _Order) -> int | None:
    """Days since 1970 of a date in that order, None when there is no such day."""
    year, month, day_ = (_date(day)[1][i] for i in order)
    if 1380 <= year <= 1420 and 1 <= month <= 12 and 1 <= day_ <= 31:
        return _persian(year, month, day_) - _EPOCH
    year += 2000 if year < 100 else -543 if 2400 < year < 2700 else 0  # Thailand counts from Buddha
    try:
        number = date(year, month, day_).toordinal() - _EPOCH
    except ValueError:
        return None
    return number if 0 <= number < 50_000 else None


def _persian(year: int, month: int, day: int) -> int:
    """Ordinal of a day of the Persian calendar: 33 years hold 8 leap years."""
    year += 1595
    months = (month - 1) * 31 if month < 7 else (month - 7) * 30 + 186
    return 365 * year + year // 33 * 8 + (year % 33 + 3) // 4 + months + day - 356_033


def _date_order(days: list[str], style: _Style, words: str) -> tuple[_Order, str]:
    """The order of day, month and year in a file, and the reason in words.

    An impossible date counts as ten steps back in time: one pasted line must not outweigh a file
    in which the other order runs backwards all the time.
    """
    if style.year_first:
        return _ORDERS["year first"], "year first"
    runs = [day for i, day in enumerate(days) if i == 0 or day != days[i - 1]]
    impossible, back = {}, {}
    for name, order in _ORDERS.items():
        known = [n for day in runs if (n := _day_number(day, order)) is not None]
        impossible[name] = len(runs) - len(known)
        back[name] = sum(b < a for a, b in pairwise(known))
    cost = {name: 10 * impossible[name] + back[name] for name in _ORDERS}
    years, _, days_ = (
        set(numbers) for numbers in zip(*(_date(day)[1] for day in runs), strict=True)
    )
    if cost["year first"] < min(cost["day first"], cost["month first"]) and len(years) <= len(
        days_
    ):
        return _ORDERS["year first"], "year first, the only order in which time runs forward"
    name, other = sorted(("day first", "month first"), key=cost.get)
    if impossible[name] < impossible[other]:
        return _ORDERS[
            name
        ], f"{name}: otherwise {impossible[other]} of {len(runs)} days would not exist"
    if back[name] < back[other]:
        return _ORDERS[name], f"{name}: time runs back {back[name]} times, not {back[other]}"
    language = _language(words)
    capitals = style.half == "after" and re.search(r"\d[\s\u202f]?[AP]M\b", words)
    american = language in ("en", "") and style.separator == "/" and capitals
    name = "month first" if american else "day first"
    return _ORDERS[name], f"{name}: no date tells, the notices' language is {language or 'unknown'}"


def _language(words: str) -> str:
    """The language with most of WhatsApp's own words in a text, "" when there is none."""
    counts: Counter[str] = Counter()
    for kind in ("encrypted", "android_media", "attached", "ios_omitted", "deleted", "edited"):
        for language, forms in _NOTICES[kind].items():
            counts[language] += sum(words.count(form) for form in forms)
    if not counts.total():
        name = words.partition("\n")[0]
        for language, forms in _NOTICES["chat_file"].items():
            counts[language] += any(name.startswith(form.split("{")[0]) for form in forms)
    language, count = counts.most_common(1)[0]
    return language if count else ""


# Authors

_QUOTES = re.compile('["“”„«»]')


@lru_cache(maxsize=10_000)
def _name(raw: str) -> str | None:
    """A person's name as a key (phone numbers come with several kinds of space and hyphen).

    None where the colon stands inside a quotation: a group's new name, `... "Barbecue: Friday"`.
    """
    if len(_QUOTES.findall(raw)) % 2:
        return None
    return names.plain(raw)


def _names_with_colon(firsts: Sequence[str]) -> tuple[str, ...]:
    """Names such as `Ana: work`, with the colon after them; only WhatsApp's mark proves them.

    A caption that ends in a colon looks the same, so the name has to stand in all lines that
    begin like it, or before the mark more than once.
    """
    marked = Counter(first.partition(": " + LRM)[0] for first in firsts if ": " + LRM in first)
    proven = []
    for name, count in marked.items():
        short, colon, _ = name.partition(": ")
        alike = (first for first in firsts if first.startswith(short + ": "))
        if colon and (count > 1 or all(first.startswith(name + ": ") for first in alike)):
            proven.append(name + ": ")
    return tuple(proven)


def _split(first: str, long_names: tuple[str, ...]) -> tuple[str | None, str]:
    """Author (None for WhatsApp) and text of a message's first line."""
    if long_names and first.startswith(long_names):
        name = next(name for name in long_names if first.startswith(name))
        return _name(name[:-2]), first[len(name) :]
    name, colon, text = first.partition(": ")
    if not colon:
        name, text = first.rstrip(LRM), ""
        if not name.endswith(":"):
            return None, first
        name = name[:-1]
    author = _name(name)
    if author is None or (len(name) > 25 and _NOTICE.match(first)):
        return None, first
    return author, text


# WhatsApp's own words, always against a whole text: people write "left" and "image omitted" too


def _either(*kinds: str) -> str:
    """The forms of some kinds in notices.json as one regular expression."""
    tokens = {"{name}": ".{1,120}?", "{time}": r"\d[\w:.,•\s]{0,30}?", "{.}": "[.,]"}
    parts = [re.split(r"(\{.+?\})", form) for form in _forms(*kinds)]
    forms = ["".join(tokens.get(part) or re.escape(part) for part in form) for form in parts]
    return "(?:" + "|".join(sorted(forms, key=len, reverse=True)) + ")"


def _forms(*kinds: str) -> list[str]:
    return [form for kind in kinds for forms in _NOTICES[kind].values() for form in forms]


def _iphone_medium(mark: str, whole: str) -> re.Pattern[str]:
    """A medium with words before or after it; `mark` or (placeholders) `whole` comes first."""
    return re.compile(  # bounded, lest a text of nothing but marks or brackets takes minutes
        r"(?P<before>.*?)"
        rf"(?:{mark}<{_either('ios_attached')}[{_S}]?:[{_S}][^\n>]{{1,300}}>"
        rf"|{whole}<?{_either('ios_omitted', 'ios_document')}>?"
        rf"|(?<![^\n])[^\n]{{1,255}}?(?: • [^\n]{{,40}}?|\.\w{{2,5}})[{_S}]{mark}"
        rf"{_either('ios_document')})\.?{_AFTER}",
        _FLAGS,
    )


_FLAGS = re.IGNORECASE | re.DOTALL
_AFTER = rf"[{_M}{_S}]*(?:\n(?P<after>.*))?"
_OWN = re.compile(rf"(?:(?P<deleted>{_either('deleted')})|(?P<call>{_either('call')}))\.?", _FLAGS)
_NOTICE = re.compile(rf"[{_M}]*(?:{_either('encrypted')}|{_either('security_code')}\.?$)")
_ACTOR = re.compile(rf"{_either('actor')}\.?", re.IGNORECASE)
_EDITED = {  # by whether WhatsApp's words need its mark
    strict: re.compile(rf"(?<=\S)[{_S}\n]+{mark}<{_either('edited')}\.?>[{_M}]*\Z", _FLAGS)
    for strict, mark in ((True, f"[{_M}]*{LRM}"), (False, f"[{_M}]*"))
}
_IPHONE = {
    True: _iphone_medium(f"{LRM}[{_M}]{{,3}}", f"{LRM}[{_M}]{{,3}}"),
    False: _iphone_medium(r"(?<!\S)", r"(?<![^\n])"),
}
_ATTACHED = re.compile(
    rf"(?:(?P<before>.*?)(?:{LRM}|\n))?[{_M}]{{,3}}[^\n{LRM}]{{1,255}}?\.\w{{1,8}}[{_S}{_M}]{{1,3}}"
    rf"(?:\({_either('attached')}\)|<[{_M}]?{_either('ios_attached')}>){_AFTER}",
    _FLAGS,
)
_PLACEHOLDER = re.compile(
    rf"(?P<before>)(?:{_either('android_media', 'live_location', 'unshown')}\.?"
    rf"|{_either('location')}: (?:[^\n]+ )?"
    rf"https?://(?:maps\.|foursquare\.|goo\.gl/maps|www\.google\.\w+/maps)\S+){_AFTER}",
    _FLAGS,
)
_POLL = re.compile(r"(\w{3,12}):\s[^\n].*?(?:\n\w{3,12}: [^\n]+ \(\d+ \w+\)){1,12}", re.DOTALL)
_SUSPECTS = _forms(
    *("deleted", "call", "unshown", "live_location", "location", "ios_omitted", "ios_document"),
    *("encrypted", "security_code"),
)
_STARTS = {"null"}.union(f"{form}: "[:6].casefold() for form in _SUSPECTS)
_ENDS = {
    (f + dot)[-4:].casefold() for f in _forms("ios_omitted", "ios_document") for dot in ("", ".")
}
_WRAPPED = re.compile(  # or the votes of a poll
    rf"[(<](?:{_either('attached', 'ios_attached', 'ios_omitted', 'ios_document', 'edited')}"
    r"|\d+ \w+\)\Z)",
    re.IGNORECASE,
)


def caption(text: str) -> str:
    """The words that came with a medium: "" when the text of a media row is but a placeholder."""
    tries = (_placeholder(text, False), _medium(text, False, False), _medium(text, True, False))
    return next((words for words in tries if words is not None), text)


def _row(author: str | None, body: str, iphone: bool, strict: bool) -> _Row:
    """One message; `strict` where WhatsApp's words are those behind its mark, whatever they say."""
    text = body if body.isascii() else _MARKS.sub("", body)
    if author is None:
        return None, "call" if _own_kind(text) == "call" else "system", text, False
    if text is body and text and not text.isspace() and _plain(text, author):
        return author, "message", text, False
    shorter = _EDITED[strict].sub("", body) if ">" in body[-4:] else body
    edited = shorter != body
    if edited:
        body, text = shorter, _MARKS.sub("", shorter)
    own = body.startswith(LRM) or not strict
    if own and (kind := _own_kind(text)):
        return author, kind, text, edited
    words = _placeholder(text, iphone) if own or not text.strip() else None
    if words is None:
        words = _medium(body, iphone, strict)
    if words is not None:
        return author, "media", words or text, edited
    if iphone and own and _is_notice(author, text, strict):
        return None, "system", text, False
    return author, "message", text, edited


def _plain(text: str, author: str) -> bool:
    """Whether a text is surely a person's: most are, and need no closer look."""
    return not (
        text[0] == "<"
        or (("<" in text or "(" in text) and _WRAPPED.search(text))
        or text[:6].casefold() in _STARTS
        or text[-4:].casefold() in _ENDS
        or text.startswith(author)
    )


def _own_kind(text: str) -> str | None:
    """Deleted or call, for a text that is wholly WhatsApp's."""
    if text[:6].casefold() in _STARTS and (match := _OWN.fullmatch(text)):
        return match.lastgroup
    return None


def _is_notice(author: str, text: str, strict: bool) -> bool:
    """Whether a line under a person's or a group's name on an iPhone is WhatsApp's."""
    if strict:
        return "\n" not in text
    subject, _, rest = text.partition(author + " ")
    return bool(_NOTICE.match(text) or (not subject and _ACTOR.fullmatch(rest)))


def _placeholder(text: str, iphone: bool) -> str | None:
    """The caption of a text that begins with a placeholder, None when it does not."""
    if not text.strip() or (text == "null" and not iphone):
        return ""
    if match := _PLACEHOLDER.fullmatch(text):
        return _words(match)
    poll = _POLL.fullmatch(text) if ")" in text else None
    return "" if poll and poll[1].isupper() else None


def _medium(body: str, iphone: bool, strict: bool) -> str | None:
    """The words around an attachment or what stands for it, None when there is neither."""
    if strict and LRM not in body:
        return None
    match = (iphone and _IPHONE[strict].fullmatch(body)) or _ATTACHED.fullmatch(body)
    return _words(match) if match else None


def _words(match: re.Match[str]) -> str:
    """What a person wrote before or after a medium."""
    before, after = (_MARKS.sub("", part or "") for part in match.group("before", "after"))
    return "\n".join(part for part in (before.rstrip(), after) if part.strip())
