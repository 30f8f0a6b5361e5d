"""The sentences that Messenger and Instagram write under a person's name (meta_notices.json).

Nothing in a download tells them from what people type. So a sentence counts as the app's only as a
whole text, to the letter, and, where it speaks of somebody, with the right name.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

_FORMS = json.loads(Path(__file__).with_name("meta_notices.json").read_text("utf-8"))
_KINDS = ("media", "call", "deleted", "system")
_MAX_NOTICE_CHARACTERS = 600
_SENDER, _PERSON = "\x01", "\x02"  # stand for names
_TOKENS = {
    "{sender}": _SENDER,
    "{person}": f"[{_SENDER}{_PERSON}]",
    "{any}": ".{1,300}?",
    "{name}": "(?![a-zà-ÿ]).{1,120}?",
    "{emoji}": r"[^\w\s.,;:?!()]{1,20}",  # with letters it would be a person's sentence
    "{number}": r"\d{1,4}",
}
_OWNER, _OWNER_OR_SENDER = "{you}", re.compile(r"\{sender\|(.+?)\}")
# How apostrophes, quotation marks and blanks look differs from language to language and over time.
_PLAIN = str.maketrans({"’": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"'})
_BLANKS = re.compile(r"\s+")

EDITED_SUFFIXES = tuple({form for forms in _FORMS["edited"].values() for form in forms})
DELETED_ACCOUNTS = frozenset(form for forms in _FORMS["deleted_account"].values() for form in forms)


def find_notice(
    text: str, sender: str, people: tuple[str, ...], may_be_owner: bool = True
) -> str | None:
    """Return what a notice is about: media, call, deleted or system; None for a person's words.

    `sender` is the name the message stands under, `people` the names in the chat.
    `may_be_owner`: whether the sender may be who downloaded the chat, whom notices call "you".
    """
    if len(text) > _MAX_NOTICE_CHARACTERS:
        return None
    for words in _with_names_marked(_normalize(text), sender, people):
        match = _ANYBODY.fullmatch(words) or (may_be_owner and _OWNERS.fullmatch(words))
        if match:
            return match.lastgroup
    return None


def _normalize(text: str) -> str:
    return _BLANKS.sub(" ", text.translate(_PLAIN)).strip()


def _with_names_marked(text: str, sender: str, people: tuple[str, ...]) -> Iterator[str]:
    """Give a text as it is, with the sender's name marked, and with a person's before it marked."""
    yield text
    for name in _names(sender) if sender else DELETED_ACCOUNTS:
        if name in text:
            yield text.replace(name, _SENDER)
    by_first_word = _names_by_first_word(people)
    for name in by_first_word.get(text.partition(" ")[0], ()):
        if text.startswith(f"{name} "):
            yield _PERSON + text[len(name) :]
    if text.startswith("You and "):
        yield from (text.replace(name, _PERSON) for name in _names(*people) if name in text)


@lru_cache(maxsize=10_000)
def _names(*names: str) -> tuple[str, ...]:
    """Return each name and its first word, longest first."""
    full_names = {_normalize(name) for name in names}
    all_names = {*full_names, *(name.split(" ")[0] for name in full_names)} - {""}
    return tuple(sorted(all_names, key=len, reverse=True))


@lru_cache(maxsize=100)
def _names_by_first_word(people: tuple[str, ...]) -> dict[str, list[str]]:
    by_first_word: dict[str, list[str]] = {}
    for name in _names(*people, *DELETED_ACCOUNTS):
        by_first_word.setdefault(name.split(" ")[0], []).append(name)
    return by_first_word


def _expand(form: str) -> list[str]:
    """Return a form, or for {sender|You} the two forms that it stands for."""
    match = _OWNER_OR_SENDER.match(form)
    if not match:
        return [form]
    rest = form[match.end() :]
    return [f"{{sender}}{rest}", f"{_OWNER}{match[1]}{rest}"]


def _pattern(form: str) -> str:
    pattern = ""
    for part in re.split(r"(\{.*?\})", _normalize(form)):
        if part in _TOKENS:
            pattern += _TOKENS[part]
        elif part.startswith("{"):
            pattern += f"(?:{'|'.join(map(re.escape, part[1:-1].split('|')))})"
        else:
            pattern += re.escape(part)
    # Some notices lost or got a full stop over the years, or end in an exclamation mark. A name at
    # the beginning, or the sender's own anywhere, already says that nobody typed it.
    is_named = form.startswith("{person}") or "{sender}" in form
    return pattern.removesuffix(r"\.") + "[.!]?" if is_named else pattern


def _compile(by_owner: bool) -> re.Pattern[str]:
    """Return one pattern for all notices that say "you" of their sender, or for all others."""
    groups = []
    for kind in _KINDS:
        forms = [form for listed in _FORMS[kind].values() for form in listed]
        patterns = [
            _pattern(form.removeprefix(_OWNER))
            for form in (expanded for listed in forms for expanded in _expand(listed))
            if form.startswith(_OWNER) == by_owner
        ]
        groups.append(f"(?P<{kind}>{'|'.join(patterns)})")
    return re.compile("|".join(groups))


_ANYBODY, _OWNERS = _compile(by_owner=False), _compile(by_owner=True)
