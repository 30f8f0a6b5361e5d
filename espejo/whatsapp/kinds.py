"""What a message is (message, media, deleted, call, system), and which of its words are a person's.

WhatsApp's own words are told by their place and always against a whole text: people write "left"
and "image omitted" too. Few messages need a close look; `suspects` finds those.
"""

import re
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from espejo.whatsapp.headers import M, S
from espejo.whatsapp.notices import either, forms

Row = tuple[str | None, str, str, bool]  # author, kind, text, edited
KINDS = ("message", "media", "deleted", "call", "system")
LRM = "\u200e"  # WhatsApp writes it before its own words on an iPhone
MARKS = re.compile(f"[{M}]+")


def _iphone_medium(mark: str, whole: str) -> re.Pattern[str]:
    """A medium with words before or after it; `mark` or (placeholders) `whole` comes first."""
    return re.compile(  # bounded, lest a text of nothing but marks or brackets takes minutes
        r"(?P<before>.*?)"
        rf"(?:{mark}<{either('ios_attached')}[{S}]?:[{S}][^\n>]{{1,300}}>"
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
_EDITED = {  # by whether WhatsApp's words need its mark
    strict: re.compile(rf"(?<=\S)[{S}\n]+{mark}<{either('edited')}\.?>[{M}]*\Z", _FLAGS)
    for strict, mark in ((True, f"[{M}]*{LRM}"), (False, f"[{M}]*"))
}
_IPHONE = {
    True: _iphone_medium(f"{LRM}[{M}]{{,3}}", f"{LRM}[{M}]{{,3}}"),
    False: _iphone_medium(r"(?<!\S)", r"(?<![^\n])"),
}
_ATTACHED = re.compile(
    rf"(?:(?P<before>.*?)(?:{LRM}|\n))?[{M}]{{,3}}[^\n{LRM}]{{1,255}}?\.\w{{1,8}}[{S}{M}]{{1,3}}"
    rf"(?:\({either('attached')}\)|<[{M}]?{either('ios_attached')}>){_AFTER}",
    _FLAGS,
)
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
_STARTS = {"null"}.union(f"{form}: "[:6].casefold() for form in _SUSPECTS)
_ENDS = {
    (f + dot)[-4:].casefold() for f in forms("ios_omitted", "ios_document") for dot in ("", ".")
}
# What cannot be missing in a medium or an edit: finding it first is what keeps a long text quick.
_MEDIA_WORDS = [
    form.casefold() for form in forms("attached", "ios_attached", "ios_omitted", "ios_document")
]
_WRAPPED_WORDS = [f"({form.casefold()}" for form in forms("attached")] + [
    f"<{form.casefold()}" for form in forms("ios_attached", "ios_omitted", "ios_document", "edited")
]
# The same, a little wider, for whole columns.
_BRACKETED = (
    "(?i)" + "|".join(map(re.escape, _WRAPPED_WORDS)) + r"|^<|\([0-9]+ [^)\n]{1,20}\)\z"
).replace("\\ ", " ")
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
    return any(place.encode() in data for place in (f": {LRM}", f"{LRM}["))


def suspects(texts: pa.LargeStringArray) -> np.ndarray:
    """Which texts are blank or hold direction marks (bool).

    Where WhatsApp's own words stand behind its mark, all others are people's plain words.
    """
    found = pc.is_in(pc.utf8_slice_codeunits(texts, 0, 1), _BLANKS)
    found = found.to_numpy(zero_copy_only=False).copy()
    starts, data = _bytes(texts)
    for lead in {mark[0] for mark in _MARK_BYTES}:
        at = np.flatnonzero(data == lead)
        at = at[at >= starts[0]]
        marks = np.zeros(len(at), bool)
        for mark in _MARK_BYTES:
            if mark[0] == lead:
                same = [data[at + i] == byte for i, byte in enumerate(mark)]
                marks |= np.logical_and.reduce(same)
        found[np.searchsorted(starts, at[marks], "right") - 1] = True
    return found


def _bytes(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """Where each text begins in the bytes of all, and those bytes (UTF-8); none is copied."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return starts, np.frombuffer(data or b"", np.uint8)[: starts[-1]]


def unmarked_suspects(texts: pa.LargeStringArray, iphone: bool) -> np.ndarray:
    """Which texts may be WhatsApp's own words, or end in them, where it sets no mark (bool)."""
    found = pc.is_in(pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, 6)), _LOW_STARTS)
    if iphone:
        ends = pc.utf8_lower(pc.utf8_slice_codeunits(texts, -4))
        found = pc.or_(found, pc.is_in(ends, _LOW_ENDS))
    found = found.to_numpy(zero_copy_only=False).copy()
    starts, data = _bytes(texts)
    at = np.flatnonzero((data == ord("<")) | (data == ord("(")))
    rows = np.unique(np.searchsorted(starts, at[at >= starts[0]], "right") - 1)
    close = pc.match_substring_regex(texts.take(rows), _BRACKETED)
    found[rows[close.to_numpy(zero_copy_only=False)]] = True
    return found


def caption(text: str) -> str:
    """The words that came with a medium: "" when the text of a media row is but a placeholder."""
    tries = (_placeholder(text, False), _medium(text, False, False), _medium(text, True, False))
    return next((words for words in tries if words is not None), text)


def row(author: str | None, body: str, iphone: bool, strict: bool) -> Row:
    """One message; `strict` where WhatsApp's words are those behind its mark, whatever they say."""
    decide = _known_row if len(body) < 64 else _row  # placeholders come again and again
    return decide(author, body, iphone, strict)


def _row(author: str | None, body: str, iphone: bool, strict: bool) -> Row:
    text = body if body.isascii() else MARKS.sub("", body)
    if author is None:
        return None, "call" if _own_kind(text, False) == "call" else "system", text, False
    if text is body and text and not text.isspace() and _plain(text, author):
        return author, "message", text, False
    shorter = _EDITED[strict].sub("", body) if ">" in body[-4:] else body
    edited = shorter != body
    if edited:
        body, text = shorter, MARKS.sub("", shorter)
    own = body.startswith(LRM) or not strict
    if own and (kind := _own_kind(text, strict)):
        return author, kind, text, edited
    words = _placeholder(text, iphone) if own or not text.strip() else None
    if words is None:
        words = _medium(body, iphone, strict)
    if words is not None:
        return author, "media", words or text, edited
    if iphone and own and _is_notice(author, text, strict):
        return None, "system", text, False
    return author, "message", text, edited


_known_row = lru_cache(maxsize=2_000)(_row)


def _plain(text: str, author: str) -> bool:
    """Whether a text is surely a person's: most are, and need no closer look."""
    return not (
        text[0] == "<"
        or (("<" in text or "(" in text) and _wrapped(text))
        or text[:6].casefold() in _STARTS
        or text[-4:].casefold() in _ENDS
        or text.startswith(author)
    )


def _wrapped(text: str) -> bool:
    """Whether some of WhatsApp's words stand in brackets, or the votes of a poll at the end."""
    low = text.casefold()
    return any(words in low for words in _WRAPPED_WORDS) or bool(_VOTES.search(text[-60:]))


def _own_kind(text: str, marked: bool) -> str | None:
    """Deleted or call, for a text that is wholly WhatsApp's."""
    if text[:6].casefold() in _STARTS and (match := _OWN[marked].fullmatch(text)):
        return match.lastgroup
    return None


def _is_notice(author: str, text: str, strict: bool) -> bool:
    """Whether a line under a person's or a group's name on an iPhone is WhatsApp's."""
    if strict:
        return "\n" not in text
    subject, _, rest = text.partition(author + " ")
    return bool(NOTICE.match(text) or (not subject and _ACTOR.fullmatch(rest)))


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
    low = MARKS.sub("", body).casefold()
    if not any(words in low for words in _MEDIA_WORDS):
        return None
    match = (iphone and _IPHONE[strict].fullmatch(body)) or _ATTACHED.fullmatch(body)
    return _words(match) if match else None


def _words(match: re.Match[str]) -> str:
    """What a person wrote before or after a medium."""
    before, after = (MARKS.sub("", part or "") for part in match.group("before", "after"))
    return "\n".join(part for part in (before.rstrip(), after) if part.strip())
