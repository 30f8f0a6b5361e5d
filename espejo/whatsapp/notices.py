"""WhatsApp's own words by kind and language, from notices.json, as lists and as patterns."""

import json
import re
from collections import Counter
from pathlib import Path

NOTICES = json.loads(Path(__file__).with_name("notices.json").read_text("utf-8"))

# A time of day, or a duration ("1 hr 3 min") with how many joined behind a dot.
_TIME = (
    r"\d[\d:.,]{0,7}(?:\s?[ap]\.?\s?m|(?:\s?\w{1,9}\.?(?:\s\d{1,3}\s?\w{1,9}\.?){0,3})?)"
    r"(?:\s•\s\d{1,3}\s\w{1,15})?"
)
_TOKENS = {"{name}": ".{1,120}?", "{time}": _TIME, "{.}": "[.,]"}
GLANCE = 1 << 19  # characters that suffice to tell a language
_LANGUAGE_KINDS = ("encrypted", "android_media", "attached", "ios_omitted", "deleted", "edited")


def forms(*kinds: str) -> list[str]:
    """All forms of some kinds, in every language."""
    return [form for kind in kinds for some in NOTICES[kind].values() for form in some]


def either(*kinds: str) -> str:
    """The forms of some kinds, without final full stop, as one regular expression."""
    parts = [re.split(r"(\{.+?\})", form.removesuffix(".")) for form in forms(*kinds)]
    patterns = ["".join(_TOKENS.get(part) or re.escape(part) for part in form) for form in parts]
    return "(?:" + "|".join(sorted(patterns, key=len, reverse=True)) + ")"


def language(name: str, text: str) -> str:
    """The language with most of WhatsApp's own words in a text, else the file name's, else ""."""
    counts: Counter[str] = Counter()
    text = text[:GLANCE]
    for kind in _LANGUAGE_KINDS:
        for code, words in NOTICES[kind].items():
            counts[code] += sum(text.count(form) for form in words)
    if not counts.total():
        for code, words in NOTICES["chat_file"].items():
            counts[code] += any(name.startswith(form.split("{")[0]) for form in words)
    code, count = counts.most_common(1)[0]
    return code if count else ""
