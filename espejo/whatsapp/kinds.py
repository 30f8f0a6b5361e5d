"""The kind of a message (message, media, deleted, call, system), and which words are a person's.

WhatsApp's own words are recognized by their position and only as a whole text: people write "left"
and "image omitted" too. Few messages can be anything but a person's plain words; `with_marks` and
`like_own_words` find these few, and `classify` decides about each.
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

Classified = tuple[str | None, str, str, str, bool]  # author, kind, text, caption, edited
KINDS = ("message", "media", "deleted", "call", "system")
# On an iPhone WhatsApp writes one before its own words: which one depends on the language.
OWN_MARKS = "\u200e\u200f"
_MARK = f"[{OWN_MARKS}]"
MARKS = re.compile(f"[{M}]+")


def _iphone_medium_pattern(mark: str, whole: str, word: str) -> re.Pattern[str]:
    """Return the pattern of a medium with words before or after it.

    `mark` is a pattern for what precedes an attachment, `whole` for what precedes a placeholder,
    `word` for the word in `<attached: 00000012-PHOTO.jpg>`. Repetitions are bounded: a text of
    nothing but marks or brackets must not take minutes.
    """
    return re.compile(
        r"(?P<before>.*?)"
        rf"(?:{mark}<{word}[{S}]?[:：][{S}{M}]?[^\n>]{{1,300}}>"
        rf"|{whole}<?{either('ios_omitted', 'ios_document')}>?"
        rf"|(?<![^\n])[^\n]{{1,255}}?(?: • [^\n]{{,40}}?|\.\w{{2,5}})[{S}]{mark}"
        rf"{either('ios_document')})\.?{_AFTER}",
        _FLAGS,
    )


_FLAGS = re.IGNORECASE | re.DOTALL
_AFTER = rf"[{M}{S}]*(?:\n(?P<after>.*))?"
_DELETED_OR_CALL = {  # by whether WhatsApp's mark is before it; if so, more may follow a call
    marked: re.compile(
        rf"(?:(?P<deleted>{either('deleted')})|(?P<call>{either('call')}{more}))\.?", _FLAGS
    )
    for marked, more in ((True, r"(?:[.,][^\n]{1,80}?)?"), (False, ""))
}
NOTICE = re.compile(rf"[{M}]*(?:{either('encrypted')}|{either('security_code')}\.?$)")
_ACTOR = re.compile(rf"{either('actor')}\.?", re.IGNORECASE)
_SOMEBODY_ACTS = re.compile(rf"[^\n]{{1,80}}? {_ACTOR.pattern}", re.IGNORECASE)
_EDITED = {  # by whether WhatsApp's words must have its mark
    strict: re.compile(rf"(?<=\S)[{S}\n]+{mark}<{either('edited')}\.?>[{M}]*\Z", _FLAGS)
    for strict, mark in ((True, f"[{M}]*{_MARK}"), (False, f"[{M}]*"))
}
# In languages that notices.json lacks, and only after the mark.
_EDITED_ANY_LANGUAGE = re.compile(rf"(?<=\S)[{S}\n]+{_MARK}[{M}]*<[^<>:：\n\d]{{3,60}}>[{M}]*\Z")
_CALL_ANY_LANGUAGE = re.compile(
    rf"{_MARK}[^\n{OWN_MARKS}]{{3,60}}[.,、。،]\s?{_MARK}[^\n{OWN_MARKS}]{{3,60}}"
)
_DOCUMENT_ANY_LANGUAGE = re.compile(
    rf"[^\n]{{1,255}}?(?: • {_MARK}?[^\n]{{,40}}?|\.\w{{2,5}})"
    rf"[{S}]{_MARK}[^\n{OWN_MARKS}<>]{{3,60}}"
)
_MORE_THAN_A_SENTENCE = re.compile(f'[\n{OWN_MARKS}:!?\\d"“”„«»~+]')  # names, quotations
MAX_SENTENCE_CHARACTERS = 45  # of a notice such as "This message was deleted." in any language
_IPHONE_MEDIUM = {
    True: _iphone_medium_pattern(
        f"{_MARK}[{M}]{{,3}}", f"{_MARK}[{M}]{{,3}}", r"[^\n<>:：]{1,40}?"
    ),
    False: _iphone_medium_pattern(r"(?<!\S)", r"(?<![^\n])", either("ios_attached")),
}
_ATTACHED = re.compile(
    rf"(?:(?P<before>.*?)(?:{_MARK}|\n))?[{M}]{{,3}}[^\n{OWN_MARKS}]{{1,255}}?\.\w{{,8}}"
    rf"[{S}{M}]{{1,3}}(?:\({either('attached')}\)|<[{M}]?{either('ios_attached')}>){_AFTER}",
    _FLAGS,
)
# In any language: after the mark, or a file name of WhatsApp's with words in brackets.
_WA_FILE = r"[A-Z]{3}-\d{8}-WA\d+\.\w{,8}"  # a document may have nothing after the dot
_WORDS = r"[^\W\d_][^\n()\d]{1,60}"
_ATTACHED_ANY_LANGUAGE = re.compile(
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
# After WhatsApp's mark, in any language.
_PLACE_ANY_LANGUAGE = re.compile(
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
_WHOLE_TEXTS = forms(
    *("deleted", "call", "unshown", "live_location", "location", "ios_omitted", "ios_document"),
    *("encrypted", "security_code"),
)
_STARTS = {
    f"{form}{end}"[:6].casefold() for form in ("null", *_WHOLE_TEXTS) for end in ("", ".", ": ")
}
_ENDS = {
    (f + dot)[-4:].casefold() for f in forms("ios_omitted", "ios_document") for dot in ("", ".")
}
# Every medium and edit has one of these. Looking for them first keeps long texts quick.
_MEDIA_WORDS = [
    form.casefold() for form in forms("attached", "ios_attached", "ios_omitted", "ios_document")
]
_SOME_MEDIUM = re.compile("|".join(map(re.escape, _MEDIA_WORDS)))
_BRACKETED_WORDS = [f"({form.casefold()}" for form in forms("attached")] + [
    f"<{form.casefold()}" for form in forms("ios_attached", "ios_omitted", "ios_document", "edited")
]
# The same and a little more, for Arrow's regular expressions.
_BRACKETED_IN_COLUMN = (
    "(?i)"
    + "|".join(map(re.escape, _BRACKETED_WORDS))
    + r"|^<|\([0-9]+ [^)\n]{1,20}\)\z|-WA[0-9]+\."
).replace("\\ ", " ")
_BRACKETED = re.compile("|".join(map(re.escape, _BRACKETED_WORDS)))
_VOTES = re.compile(r"\(\d+ \w+\)\Z")

_STRINGS = pa.large_string()
_BLANKS = pa.array(["", *(chr(code) for code in range(0x3001) if chr(code).isspace())], _STRINGS)
_LOWER_STARTS, _LOWER_ENDS = (
    pc.utf8_lower(pa.array(sorted(parts), _STRINGS)) for parts in (_STARTS, _ENDS)
)
_MARK_BYTES = [sign.encode() for sign in re.findall(f"[{M}]", "".join(map(chr, range(0x3000))))]
NOTICE_STARTS = tuple({form.split("{")[0][:10] for form in forms("encrypted", "security_code")})


def has_own_marks(data: bytes) -> bool:
    """Whether an iPhone's file has WhatsApp's mark where it belongs (old files do not)."""
    places = (f": {mark}" for mark in OWN_MARKS), (f"{mark}[" for mark in OWN_MARKS)
    return any(place.encode() in data for marks in places for place in marks)


def with_marks(texts: pa.LargeStringArray) -> np.ndarray:
    """Return which texts are blank or contain direction marks (bool).

    In a file where WhatsApp marks its own words, all other texts are people's plain words.
    """
    is_candidate = pc.is_in(pc.utf8_slice_codeunits(texts, 0, 1), _BLANKS)
    is_candidate = is_candidate.to_numpy(zero_copy_only=False).copy()
    starts, data = _bytes(texts)
    for first_byte in {mark[0] for mark in _MARK_BYTES}:
        positions = np.flatnonzero(data == first_byte)
        positions = positions[positions >= starts[0]]
        marks = np.zeros(len(positions), bool)
        for mark in _MARK_BYTES:
            if mark[0] == first_byte:
                byte_matches = [
                    data[positions + offset] == byte for offset, byte in enumerate(mark)
                ]
                marks |= np.logical_and.reduce(byte_matches)
        is_candidate[np.searchsorted(starts, positions[marks], "right") - 1] = True
    return is_candidate


def _bytes(texts: pa.LargeStringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the byte offsets of the texts and the bytes of all texts (UTF-8), without copying."""
    _, offsets, data = texts.buffers()
    starts = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return starts, np.frombuffer(data or b"", np.uint8)[: starts[-1]]


def like_own_words(texts: pa.LargeStringArray, iphone: bool) -> np.ndarray:
    """Return which texts may be, or end in, WhatsApp's own words where it sets no mark (bool)."""
    is_candidate = pc.is_in(pc.utf8_lower(pc.utf8_slice_codeunits(texts, 0, 6)), _LOWER_STARTS)
    if iphone:
        ends = pc.utf8_lower(pc.utf8_slice_codeunits(texts, -4))
        is_candidate = pc.or_(is_candidate, pc.is_in(ends, _LOWER_ENDS))
    is_candidate = is_candidate.to_numpy(zero_copy_only=False).copy()
    starts, data = _bytes(texts)
    positions = np.flatnonzero((data == ord("<")) | (data == ord("(")))
    rows = np.unique(np.searchsorted(starts, positions[positions >= starts[0]], "right") - 1)
    matches = pc.match_substring_regex(texts.take(rows), _BRACKETED_IN_COLUMN)
    is_candidate[rows[matches.to_numpy(zero_copy_only=False)]] = True
    return is_candidate


def find_placeholders(texts: pa.LargeStringArray) -> frozenset[str]:
    """Return the `<Words>` that stand for media in an Android file of an unlisted language.

    At most one form; none if the file has a listed one. Messages that are wholly in angle brackets
    are rare, and people's differ from each other. WhatsApp's has several words and begins with a
    capital, if the script has capitals: `<risas>` is a person's.
    """
    is_bracketed = pc.and_(pc.starts_with(texts, "<"), pc.ends_with(texts, ">"))
    bracketed = texts.filter(is_bracketed)
    counts = Counter(bracketed.to_pylist()) if len(bracketed) else Counter()
    listed = {form.casefold() for form in forms("android_media")}
    edited = {form.casefold() for form in forms("edited")}
    if any(text.casefold() in listed for text in counts):
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


def find_group_names(author_texts: Sequence[tuple[str | None, str]]) -> frozenset[str]:
    """Return the names that are a group's: all texts under them are notices of what somebody did.

    For iPhone files without marks, where nothing else distinguishes notices from people's texts.
    `author_texts` are the author (None for WhatsApp) and the text of each message. Such a notice
    begins with a person's name, has no comma and no full stop. A group's name may also have one
    long text, the notice that messages are encrypted. People who often address others by name
    write other texts too.
    """
    counts = Counter(author for author, _ in author_texts)
    notices, writers, with_long_text = set[str](), set[str](), set[str]()
    for author, text in author_texts:
        if author is None or author in writers:
            continue
        words = text.split(" ")
        starts = (" ".join(words[:length]) for length in range(1, min(len(words), 5)))
        starts_with_person = any(start in counts and start != author for start in starts)
        is_action = starts_with_person and len(words) < 9 and not re.search(r"[\n,;:?!.]", text)
        if NOTICE.match(text) or is_action:
            notices.add(author)
        elif somebody_acts(text) and not text.startswith(author):
            continue  # "You were added": may be a person's words or a notice
        elif len(text) < 60 or "\n" in text or author in with_long_text:
            writers.add(author)
        else:
            with_long_text.add(author)
    return frozenset(name for name in notices - writers if counts[name] > 1)


class FileFacts(NamedTuple):
    """Facts about a whole file that decide the kind of its messages."""

    iphone: bool
    strict: bool  # WhatsApp's words are exactly those after its mark
    language: str  # of its notices, "" if unknown
    # `<Words>` that stand for media on Android, in languages that notices.json lacks
    placeholders: frozenset[str]
    groups: frozenset[str]  # names with nothing but notices under them
    writers: frozenset[str]  # names with texts that lack WhatsApp's mark
    first_text: str  # of the first message: usually the notice that messages are encrypted


def classify(author: str | None, body: str, header_marked: bool, file: FileFacts) -> Classified:
    """Return what one message is.

    `header_marked`: the mark is before the header too, as it is with media.
    """
    # Short texts repeat, above all placeholders.
    decide = _classify_cached if len(body) < 64 else _classify
    return decide(author, body, header_marked, file)


def _classify(author: str | None, body: str, header_marked: bool, file: FileFacts) -> Classified:
    iphone, strict = file.iphone, file.strict
    text = body if body.isascii() else MARKS.sub("", body)
    if author is None:
        is_call = _deleted_or_call(text, False) == "call"
        return None, "call" if is_call else "system", text, "", False
    if author in file.groups:
        return None, "system", text, "", False
    if text is body and text and not text.isspace() and _is_plain(text, author):
        return author, "message", text, "", False
    unedited = _EDITED[strict].sub("", body) if ">" in body[-4:] else body
    if strict and unedited == body and ">" in body[-4:]:
        unedited = _EDITED_ANY_LANGUAGE.sub("", body)
    edited = unedited != body
    if edited:
        body, text = unedited, MARKS.sub("", unedited)
    may_be_own = body.startswith(tuple(OWN_MARKS)) or not strict
    if may_be_own and (kind := _deleted_or_call(text, strict)):
        return author, kind, text, "", edited
    caption = _placeholder_caption(text, iphone) if may_be_own or not text.strip() else None
    if (
        caption is None
        and (may_be_own or "): " in text or "foursquare" in text)
        and _PLACE.fullmatch(text)
    ):
        caption = ""  # the name and the street are personal data
    elif caption is None and may_be_own and strict and _PLACE_ANY_LANGUAGE.fullmatch(text):
        caption = ""
    if caption is None:
        caption = _media_caption(body, iphone, strict)
    first, _, below = text.partition("\n")
    if caption is None and first in file.placeholders:
        caption = below
    if caption is not None:
        return author, "media", caption or text, _caption(caption), edited
    if strict and header_marked and not is_notice(author, text, ()):
        if _CALL_ANY_LANGUAGE.fullmatch(body) and author in file.writers:
            return author, "call", text, "", edited
        if _is_medium_by_position(body):
            return author, "media", text, "", edited
    if iphone and may_be_own and _is_notice(author, text, file):
        if (
            strict
            and author in file.writers
            and text != file.first_text
            and _is_deleted_notice(author, text)
        ):
            return author, "deleted", text, "", edited
        return None, "system", text, "", False
    return author, "message", text, "", edited


_classify_cached = lru_cache(maxsize=2_000)(_classify)


def _caption(words: str) -> str:
    """Return the words beside a medium; "" for a place, whose name and street are personal data."""
    return "" if _PLACE.fullmatch(words) or _PLACE_ANY_LANGUAGE.fullmatch(words) else words


def _is_medium_by_position(body: str) -> bool:
    """Whether words in any language, after the mark and not a notice, stand for a medium."""
    is_sentence = body.startswith(tuple(OWN_MARKS)) and not _MORE_THAN_A_SENTENCE.search(body[1:])
    return (is_sentence and len(body) <= MAX_SENTENCE_CHARACTERS) or bool(
        _DOCUMENT_ANY_LANGUAGE.fullmatch(body)
    )


def _is_deleted_notice(author: str, text: str) -> bool:
    """Whether a notice in an unknown language, under a person's name, replaces a deleted message.

    Such a notice is short, one sentence, and names nobody.
    """
    sentence = text.rstrip(".。।")
    return len(text) <= MAX_SENTENCE_CHARACTERS and not (
        text.startswith(author) or "." in sentence or _MORE_THAN_A_SENTENCE.search(sentence)
    )


def _is_plain(text: str, author: str) -> bool:
    """Whether a text is certainly a person's. Most are, and need no further checks."""
    return not (
        text[0] == "<"
        or (("<" in text or "(" in text) and _has_bracketed_words(text))
        or text[:6].casefold() in _STARTS
        or text[-4:].casefold() in _ENDS
        or text.startswith(author)
        or "-WA" in text
        or any(place in text for place in PLACES)
    )


def _has_bracketed_words(text: str) -> bool:
    """Whether a text has words of WhatsApp in brackets, or ends in the votes of a poll."""
    return bool(_BRACKETED.search(text.casefold()) or _VOTES.search(text[-60:]))


def _deleted_or_call(text: str, marked: bool) -> str | None:
    """Return "deleted" or "call" for a text that is wholly WhatsApp's, else None."""
    if text[:6].casefold() in _STARTS and (match := _DELETED_OR_CALL[marked].fullmatch(text)):
        return match.lastgroup
    return None


def _is_notice(author: str, text: str, file: FileFacts) -> bool:
    """Whether a text under a person's or a group's name on an iPhone is WhatsApp's."""
    if file.strict:
        return "\n" not in text
    if NOTICE.match(text):
        return True
    subject, _, rest = text.partition(author + " ")
    if subject or "\n" in rest:
        return False
    # People do not write their own name and then words of the list. In languages without a list,
    # any short text that begins with the author's name counts.
    return bool(_ACTOR.fullmatch(rest)) or (
        file.language not in NOTICES["actor"] and 1 < len(rest.split()) < 9 and rest[-1].isalpha()
    )


def somebody_acts(text: str) -> bool:
    """Whether a text is a notice of what somebody did, in a language of notices.json."""
    return bool(_SOMEBODY_ACTS.fullmatch(text))


def is_notice(author: str | None, text: str, people: Container[str]) -> bool:
    """Whether a message is certainly a notice, on any phone and before kinds are decided.

    Decided by its words, by a quotation in it, or because it begins with a person of the chat
    (`people`) or a phone number.
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
        or any(" ".join(words[:length]) in people for length in range(1, min(len(words), 6)))
        or bool(re.match(r"[~+]\W?\w", plain))
    )


def _placeholder_caption(text: str, iphone: bool) -> str | None:
    """Return the caption of a text that begins with a placeholder; None if it does not."""
    if not text.strip() or (text == "null" and not iphone):
        return ""
    if match := _PLACEHOLDER.fullmatch(text):
        return _words_around(match)
    poll = _POLL.fullmatch(text) if ")" in text else None
    return "" if poll and poll[1].isupper() else None


def _media_caption(body: str, iphone: bool, strict: bool) -> str | None:
    """Return the words around an attachment or its placeholder; None if there is neither."""
    has_mark = any(mark in body for mark in OWN_MARKS)
    if strict and not has_mark:
        return None
    lowered = MARKS.sub("", body).casefold()
    names_a_medium = bool(_SOME_MEDIUM.search(lowered))
    if names_a_medium or (strict and "<" in body):
        match = (iphone and _IPHONE_MEDIUM[strict].fullmatch(body)) or (
            names_a_medium and _ATTACHED.fullmatch(body)
        )
        if match:
            return _words_around(match)
    match = _ATTACHED_ANY_LANGUAGE.fullmatch(body) if not iphone and "." in body else None
    return _words_around(match) if match else None


def _words_around(match: re.Match[str]) -> str:
    """Return what a person wrote before and after a medium."""
    before, after = (MARKS.sub("", part or "") for part in match.group("before", "after"))
    return "\n".join(part for part in (before.rstrip(), after) if part.strip())
