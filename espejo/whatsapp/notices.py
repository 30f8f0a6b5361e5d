"""WhatsApp's own words (from notices.json) by kind and language, as lists and as patterns."""

import json
import re
from collections import Counter
from pathlib import Path

NOTICES = json.loads(Path(__file__).with_name("notices.json").read_text("utf-8"))

# A time of day, or a duration ("1 hr 3 min"), perhaps with "• 3 joined" after it.
_TIME = (
    r"\d[\d:.,]{0,7}(?:\s?[ap]\.?\s?m|(?:\s?\w{1,9}\.?(?:\s\d{1,3}\s?\w{1,9}\.?){0,3})?)"
    r"(?:\s•\s\d{1,3}\s\w{1,15})?"
)
_TOKENS = {"{name}": ".{1,120}?", "{time}": _TIME, "{.}": "[.,]"}
LANGUAGE_CHARACTERS = 1 << 19  # enough of a text to tell its language
_LANGUAGE_KINDS = ("encrypted", "android_media", "attached", "ios_omitted", "deleted", "edited")


def forms(*kinds: str) -> list[str]:
    """Return all forms of some kinds of notice, in every language."""
    return [form for kind in kinds for listed in NOTICES[kind].values() for form in listed]


def either(*kinds: str) -> str:
    """Return a regular expression for all forms of some kinds, without their final full stop."""
    split_forms = [re.split(r"(\{.+?\})", form.removesuffix(".")) for form in forms(*kinds)]
    patterns = [
        "".join(_TOKENS.get(part) or re.escape(part) for part in parts) for parts in split_forms
    ]
    return "(?:" + "|".join(sorted(patterns, key=len, reverse=True)) + ")"


def detect_language(file_name: str, text: str) -> str:
    """Return the language code with most of WhatsApp's own words in a text.

    If the text has none of them, the language of the file's name; "" if that is unknown too.
    """
    counts: Counter[str] = Counter()
    text = text[:LANGUAGE_CHARACTERS]
    for kind in _LANGUAGE_KINDS:
        for code, known_forms in NOTICES[kind].items():
            counts[code] += sum(text.count(form) for form in known_forms)
    if not counts.total():
        for code, known_forms in NOTICES["chat_file"].items():
            counts[code] += any(file_name.startswith(form.split("{")[0]) for form in known_forms)
    code, count = counts.most_common(1)[0]
    return code if count else ""
