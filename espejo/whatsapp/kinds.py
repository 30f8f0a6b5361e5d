"""What a message is (message, media, deleted, call, system), and which of its words are a person's.

WhatsApp's own words are told by their place and always against a whole text: people write "left"
and "image omitted" too. Few messages need a close look; `suspects` finds those.
"""

import re
from collections import Counter
from collections.abc import Container, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from espejo.whatsapp.headers import M, S
from espejo.whatsapp.notices import NOTICES, either, forms

Row = tuple[str | None, str, str, str, bool]  # author, kind, text, caption, edited
KINDS = ("message", "media", "deleted", "call", "system")
# WhatsApp writes one before its own words on an iPhone, as the direction of the language wants.
OWN_MARKS = "\u200e\u200f"
_MARK = f"[{OWN_MARKS}]"
MARKS = re.compile(f"[{M}]+")


def _iphone_medium(mark: str, whole: str, word: str) -> re.Pattern[str]:
    """A medium with words before or after it; `mark` or (placeholders) `whole` comes first.

    `word` is what stands before the colon of `<attached: 00000012-PHOTO.jpg>`.
    """
    return re.compile(  # bounded, lest a text of nothing but marks or brackets takes minutes
        r"(?P<before>.*?)"
        rf"(?:{mark}<{word}[{S}]?[:：][{S}{M}]?[^\n>]{{1,300}}>"
        rf"|{whole}<?{either('ios_omitted', 'ios_document')}>?"
        rf"|(?<![^\n])[^\n]{{1,255}}?(?: • [^\n]{{,40}}?|\.\w{{2,5}})[{S}]{mark}"
        rf"{either('ios_document')})\.?{_AFTER}",
        _FLAGS,
    )


_FLAGS = re.IGNORECASE | re.DOTALL
_AFTER = rf"[{M}{S}]*(?:\n(?P<after>.*))?"
_OWN = {  # by whether WhatsApp's mark stands before it: then what to tap may follow a call
    marked: re.compile(
        rf"(?:(?P<deleted>{either('deleted')})|(?P<call>{either('call')}{more}))\.?", _FLAGS
    )
    for marked, more in ((True, r"(?:[.,][^\n]{1,80}?)?"), (False, ""))
}
NOTICE = re.compile(rf"[{M}]*(?:{either('encrypted')}|{either('security_code')}\.?$)")
_ACTOR = re.compile(rf"{either('actor')}\.?", re.IGNORECASE)
_SOMEBODY_ACTS = re.compile(rf"[^\n]{{1,80}}? {_ACTOR.pattern}", re.IGNORECASE)
_EDITED = {  # by whether WhatsApp's words need its mark
    strict: re.compile(rf"(?<=\S)[{S}\n]+{mark}<{either('edited')}\.?>[{M}]*\Z", _FLAGS)
    for strict, mark in ((True, f"[{M}]*{_MARK}"), (False, f"[{M}]*"))
}
# In a language that is not in the lists, and behind the mark only.
_EDITED_IN_ANY = re.compile(rf"(?<=\S)[{S}\n]+{_MARK}[{M}]*<[^<>:：\n\d]{{3,60}}>[{M}]*\Z")
_CALL_IN_ANY = re.compile(
    rf"{_MARK}[^\n{OWN_MARKS}]{{3,60}}[.,、。،]\s?{_MARK}[^\n{OWN_MARKS}]{{3,60}}"
)
_DOCUMENT_IN_ANY = re.compile(
    rf"[^\n]{{1,255}}?(?: • {_MARK}?[^\n]{{,40}}?|\.\w{{2,5}})"
    rf"[{S}]{_MARK}[^\n{OWN_MARKS}<>]{{3,60}}"
)
_MORE_THAN_A_SENTENCE = re.compile(f'[\n{OWN_MARKS}:!?\\d"“”„«»~+]')  # names, quotations
SHORT = 45  # characters of "This message was deleted." in any language, at most
_IPHONE = {
    True: _iphone_medium(f"{_MARK}[{M}]{{,3}}", f"{_MARK}[{M}]{{,3}}", r"[^\n<>:：]{1,40}?"),
    False: _iphone_medium(r"(?<!\S)", r"(?<![^\n])", either("ios_attached")),
}
_ATTACHED = re.compile(
    rf"(?:(?P<before>.*?)(?:{_MARK}|\n))?[{M}]{{,3}}[^\n{OWN_MARKS}]{{1,255}}?\.\w{{,8}}"
    rf"[{S}{M}]{{1,3}}(?:\({either('attached')}\)|<[{M}]?{either('ios_attached')}>){_AFTER}",
    _FLAGS,
)
# In any language: behind the mark, or a file as WhatsApp names them with words in brackets.
_WA_FILE = r"[A-Z]{3}-\d{8}-WA\d+\.\w{,8}"  # a document may have no more than the dot
_WORDS = r"[^\W\d_][^\n()\d]{1,60}"
_ATTACHED_IN_ANY = re.compile(
    rf"(?:(?P<before>.*?)(?<=\n))?"
    rf"(?:{_MARK}[{M}]{{,3}}(?:[^\n{OWN_MARKS}]{{1,255}}?\.\w{{,8}}[{S}{M}]{{1,3}}\({_WORDS}\)"
    rf"|{_WA_FILE} {_WORDS}|{_WORDS} {_WA_FILE})"
    rf"|{_WA_FILE}[{S}{M}]{{1,3}}\({_WORDS}\)){_AFTER}",
    re.DOTALL,
)
_PLACE = re.compile(
    rf"(?:(?:[^\s:：]{{2,24}}|[^\n]{{1,200}}\))[{S}]?[:：][{S}]?|[^\n]{{1,100}}\n[^\n]{{1,200}}\n)"
    r"https?://maps\.google\.com/\?q=-?\d+\.\d+,-?\d+\.\d+"
    r"|(?:[^\n]{1,200}: |[^\n]{1,100}\n(?:[^\n]{1,200}\n)?)?"
    r"https?://(?:\w+\.)?foursquare\.com/v/(?:[\w-]+/)?[0-9a-f]{24}"
)
# Behind WhatsApp's mark, in whatever words.
_PLACE_IN_ANY = re.compile(
    r"(?:[^\n]{1,200}[:：\n]\s?){,2}"
    r"https?://(?:maps\.|(?:\w+\.)?foursquare\.|4sq\.|goo\.gl/maps|www\.google\.\w+/maps)\S+"
)
PLACES = ("maps.google.com/?q=", "foursquare.com/v/")
_PLACEHOLDER = re.compile(
    rf"(?P<before>)(?:{either('android_media', 'live_location', 'unshown')}\.?"
    rf"|{either('location')}: (?:[^\n]+ )?"
    rf"https?://(?:maps\.|foursquare\.|goo\.gl/maps|www\.google\.\w+/maps)\S+){_AFTER}",
    _FLAGS,
)
_POLL = re.compile(r"(\w{3,12}):\s[^\n].*?(?:\n\w{3,12}: [^\n]+ \(\d+ \w+\)){1,12}", re.DOTALL)
_SUSPECTS = forms(
    *("deleted", "call", "unshown", "live_location", "location", "ios_omitted", "ios_document"),
    *("encrypted", "security_code"),
)
_STARTS = {
    f"{form}{end}"[:6].casefold() for form in ("null", *_SUSPECTS) for end in ("", ".", ": ")
}
_ENDS = {
    (f + dot)[-4:].casefold() for f in forms("ios_omitted", "ios_document") for dot in ("", ".")
}
# What cannot be missing in a medium or an edit: finding it first is what keeps a long text quick.
_MEDIA_WORDS = [
    form.casefold() for form in forms("attached", "ios_attached", "ios_omitted", "ios_document")
]
_SOME_MEDIUM = re.compile("|".join(map(re.escape, _MEDIA_WORDS)))
_WRAPPED_WORDS = [f"({form.casefold()}" for form in forms("attached")] + [
    f"<{form.casefold()}" for form in forms("ios_attached", "ios_omitted", "ios_document", "edited")
]
# The same, a little wider, for whole columns.
_BRACKETED = (
    "(?i)" + "|".join(map(re.escape, _WRAPPED_WORDS)) + r"|^<|\([0-9]+ [^)\n]{1,20}\)\z|-WA[0-9]+\."
).replace("\\ ", " ")
_WRAPPED = re.compile("|".join(map(re.escape, _WRAPPED_WORDS)))
_VOTES = re.compile(r"\(\d+ \w+\)\Z")


_STRINGS = pa.large_string()
_BLANKS = pa.array(["", *(chr(code) for code in range(0x3001) if chr(code).isspace())], _STRINGS)
_LOW_STARTS, _LOW_ENDS = (
    pc.utf8_lower(pa.array(sorted(some), _STRINGS)) for some in (_STARTS, _ENDS)
)
_MARK_BYTES = [sign.encode() for sign in re.findall(f"[{M}]", "".join(map(chr, range(0x3000))))]
NOTICE_STARTS = tuple({form.split("{")[0][:10] for form in forms("encrypted", "security_code")})


def marked(data: bytes) -> bool:
    """Whether WhatsApp's mark stands in its places in an iPhone's file (old ones have none)."""
    places = (f": {mark}" for mark in OWN_MARKS), (f"{mark}[" for mark in OWN_MARKS)
    return any(place.encode() in data for some in places for place in some)


def suspects(texts: pa.LargeStringArray) -> np.ndarray:
    """Which texts are blank or hold direction marks (bool).

    Where WhatsApp's own words stand behind its mark, all others are people's plain words.
    """
    suspected = pc.is_in(pc.utf8_slice_codeunits(texts, 0, 1), _BLANKS)
    suspected = suspected.to_numpy(zero_copy_only=False).copy()
    starts, data = _bytes(texts)
    for lead in {mark[0] for mark in _MARK_BYTES}:
        positions = np.flatnonzero(data == lead)
        positions = positions[positions >= starts[0]]
        marks = np.zeros(len(positions), bool)
        for mark in _MARK_BYTES:
            if mark[0] == lead:
                same = [data[positions + i] == byte for i, byte in enumerate(mark)]
                marks |= np.logical_and.reduce(same)
        suspected[np.searchsorted(starts, positions[marks], "right") - 1] = True
    return suspected


def _bytes(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """Where each text begins in the bytes of all, and those bytes (UTF-8); none is copied."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return starts, np.frombuffer(data or b"", np.uint8)[: starts[-1]]


def unmarked_suspects(texts: pa.LargeStringArray, iphone: bool) -> np.ndarray:
    """Which texts may be WhatsApp's own words, or end in them, where it sets no mark (bool)."""
    suspected = pc.is_in(pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, 6)), _LOW_STARTS)
    if iphone:
        ends = pc.utf8_lower(pc.utf8_slice_codeunits(texts, -4))
        suspected = pc.or_(suspected, pc.is_in(ends, _LOW_ENDS))
    suspected = suspected.to_numpy(zero_copy_only=False).copy()
    starts, data = _bytes(texts)
    positions = np.flatnonzero((data == ord("<")) | (data == ord("(")))
    rows = np.unique(np.searchsorted(starts, positions[positions >= starts[0]], "right") - 1)
    close = pc.match_substring_regex(texts.take(rows), _BRACKETED)
    suspected[rows[close.to_numpy(zero_copy_only=False)]] = True
    return suspected


def placeholders_among(texts: pa.LargeStringArray) -> frozenset[str]:
    """`<Words>` that stand for media on Android, where a file has none of the known forms.

    One form at most: whole messages in angle brackets are rare, and people's differ. WhatsApp
    writes more than a word with a capital, where a script has capitals: `<risas>` is somebody's.
    """
    whole = pc.and_(pc.starts_with(texts, "<"), pc.ends_with(texts, ">"))
    some = texts.filter(whole)
    counts = Counter(some.to_pylist()) if len(some) else Counter()
    known = {form.casefold() for form in forms("android_media")}
    edited = {form.casefold() for form in forms("edited")}
    if any(text.casefold() in known for text in counts):
        return frozenset()
    counts = Counter(
        {
            text: count
            for text, count in counts.items()
            if re.fullmatch(r"<\s?[^\W\d_][^<>\n\d/=_&;]{3,50}>", text)
            and text.strip("<>. ").casefold() not in edited
            and (
                text.lower() == text.upper() or (" " in text and not text.strip("< ")[0].islower())
            )
            and (count > 2 or (" " in text and count > 1) or len(texts) < 20)
        }
    )
    return frozenset(text for text, _ in counts.most_common(1))


def groups_among(said_by: Sequence[tuple[str | None, str]]) -> frozenset[str]:
    """Names that are a group's: what stands under them says what somebody did.

    For iPhones' files without marks, where nothing else tells notices from what people write. Such
    a notice begins with a person, goes on without a comma and ends without a full stop; one text
    beside them may be long, that messages are encrypted. People who address others all the time
    write more than that.
    """
    total = Counter(author for author, _ in said_by)
    notices, writers, long = set[str](), set[str](), set[str]()
    for author, text in said_by:
        if author is None or author in writers:
            continue
        words = text.split(" ")
        starts = (" ".join(words[:count]) for count in range(1, min(len(words), 5)))
        named = any(start in total and start != author for start in starts)
        acts = named and len(words) < 9 and not re.search(r"[\n,;:?!.]", text)
        if NOTICE.match(text) or acts:
            notices.add(author)
        elif somebody_acts(text) and not text.startswith(author):
            continue  # "You were added": tells nothing of whose words it is
        elif len(text) < 60 or "\n" in text or author in long:
            writers.add(author)
        else:
            long.add(author)
    return frozenset(name for name in notices - writers if total[name] > 1)


class File(NamedTuple):
    """What a file shows as a whole, for the kind of each of its messages."""

    iphone: bool
    strict: bool  # WhatsApp's words are those behind its mark, whatever they say
    language: str  # of its notices, "" where none is known
    # `<Words>` that stand for media on Android, in a language that is not in the lists.
    placeholders: frozenset[str]
    groups: frozenset[str]  # names under which stand notices alone
    writers: frozenset[str]  # names of whom there are words without WhatsApp's mark
    first: str  # what the first message says: most often that messages are encrypted


def row(author: str | None, body: str, led: bool, file: File) -> Row:
    """One message; `led` where the mark stands before the header too, as it does with media."""
    decide = _known_row if len(body) < 64 else _row  # placeholders come again and again
    return decide(author, body, led, file)


def _row(author: str | None, body: str, led: bool, file: File) -> Row:
    iphone, strict = file.iphone, file.strict
    text = body if body.isascii() else MARKS.sub("", body)
    if author is None:
        return None, "call" if _own_kind(text, False) == "call" else "system", text, "", False
    if author in file.groups:
        return None, "system", text, "", False
    if text is body and text and not text.isspace() and _plain(text, author):
        return author, "message", text, "", False
    shorter = _EDITED[strict].sub("", body) if ">" in body[-4:] else body
    if strict and shorter == body and ">" in body[-4:]:
        shorter = _EDITED_IN_ANY.sub("", body)
    edited = shorter != body
    if edited:
        body, text = shorter, MARKS.sub("", shorter)
    own = body.startswith(tuple(OWN_MARKS)) or not strict
    if own and (kind := _own_kind(text, strict)):
        return author, kind, text, "", edited
    words = _placeholder(text, iphone) if own or not text.strip() else None
    if words is None and (own or "): " in text or "foursquare" in text) and _PLACE.fullmatch(text):
        words = ""  # the name and the street are personal data
    elif words is None and own and strict and _PLACE_IN_ANY.fullmatch(text):
        words = ""
    if words is None:
        words = _medium(body, iphone, strict)
    first, _, below = text.partition("\n")
    if words is None and first in file.placeholders:
        words = below
    if words is not None:
        return author, "media", words or text, _caption(words), edited
    if strict and led and not is_notice(author, text, ()):
        if _CALL_IN_ANY.fullmatch(body) and author in file.writers:
            return author, "call", text, "", edited
        if _is_medium_by_place(body):
            return author, "media", text, "", edited
    if iphone and own and _is_notice(author, text, file):
        if strict and author in file.writers and text != file.first and _says_deleted(author, text):
            return author, "deleted", text, "", edited
        return None, "system", text, "", False
    return author, "message", text, "", edited


_known_row = lru_cache(maxsize=2_000)(_row)


def _caption(words: str) -> str:
    """The words beside a medium, but for a place, whose name and street are personal data."""
    return "" if _PLACE.fullmatch(words) or _PLACE_IN_ANY.fullmatch(words) else words


def _is_medium_by_place(body: str) -> bool:
    """Whether words of any language that are led by the mark, and are no notice, name a medium."""
    whole = body.startswith(tuple(OWN_MARKS)) and not _MORE_THAN_A_SENTENCE.search(body[1:])
    return (whole and len(body) <= SHORT) or bool(_DOCUMENT_IN_ANY.fullmatch(body))


def _says_deleted(author: str, text: str) -> bool:
    """Whether a notice of an unknown language, below a person's name, may stand for a message.

    Short, in one sentence, and about nobody by name.
    """
    sentence = text.rstrip(".。।")
    return len(text) <= SHORT and not (
        text.startswith(author) or "." in sentence or _MORE_THAN_A_SENTENCE.search(sentence)
    )


def _plain(text: str, author: str) -> bool:
    """Whether a text is surely a person's: most are, and need no closer look."""
    return not (
        text[0] == "<"
        or (("<" in text or "(" in text) and _wrapped(text))
        or text[:6].casefold() in _STARTS
        or text[-4:].casefold() in _ENDS
        or text.startswith(author)
        or "-WA" in text
        or any(place in text for place in PLACES)
    )


def _wrapped(text: str) -> bool:
    """Whether some of WhatsApp's words stand in brackets, or the votes of a poll at the end."""
    return bool(_WRAPPED.search(text.casefold()) or _VOTES.search(text[-60:]))


def _own_kind(text: str, marked: bool) -> str | None:
    """Deleted or call, for a text that is wholly WhatsApp's."""
    if text[:6].casefold() in _STARTS and (match := _OWN[marked].fullmatch(text)):
        return match.lastgroup
    return None


def _is_notice(author: str, text: str, file: File) -> bool:
    """Whether a line under a person's or a group's name on an iPhone is WhatsApp's."""
    if file.strict:
        return "\n" not in text
    if NOTICE.match(text):
        return True
    subject, _, rest = text.partition(author + " ")
    if subject or "\n" in rest:
        return False
    # Nobody begins with the own name and goes on as in the lists, nor at all in most languages.
    return bool(_ACTOR.fullmatch(rest)) or (
        file.language not in NOTICES["actor"] and 1 < len(rest.split()) < 9 and rest[-1].isalpha()
    )


def somebody_acts(text: str) -> bool:
    """Whether a text is a notice of what somebody did, in a language of the lists."""
    return bool(_SOMEBODY_ACTS.fullmatch(text))


def is_notice(author: str | None, text: str, people: Container[str]) -> bool:
    """Whether a message is known to be a notice, on whatever phone and before kinds are decided.

    By its words, a quotation, or because it begins with a person of the chat or a phone number.
    """
    plain = MARKS.sub("", text)
    if NOTICE.match(plain) or (author is None and text.startswith(tuple(OWN_MARKS))):
        return True
    if author is not None and plain.startswith(f"{author} ") and "\n" not in plain:
        return True
    if somebody_acts(plain):
        return True
    words = plain.split(" ")
    return author is None and (
        len(re.findall('["“”„«»]', plain)) > 1
        or any(" ".join(words[:count]) in people for count in range(1, min(len(words), 6)))
        or bool(re.match(r"[~+]\W?\w", plain))
    )


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
    marked = any(mark in body for mark in OWN_MARKS)
    if strict and not marked:
        return None
    low = MARKS.sub("", body).casefold()
    known = bool(_SOME_MEDIUM.search(low))
    if known or (strict and "<" in body):
        match = (iphone and _IPHONE[strict].fullmatch(body)) or (
            known and _ATTACHED.fullmatch(body)
        )
        if match:
            return _words(match)
    match = _ATTACHED_IN_ANY.fullmatch(body) if not iphone and "." in body else None
    return _words(match) if match else None


def _words(match: re.Match[str]) -> str:
    """What a person wrote before or after a medium."""
    before, after = (MARKS.sub("", part or "") for part in match.group("before", "after"))
    return "\n".join(part for part in (before.rstrip(), after) if part.strip())
