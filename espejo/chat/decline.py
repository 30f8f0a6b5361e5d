"""Blocked topics: a message with one of the listed phrases never reaches the model.

The list matches words, not meanings, and only in what a person writes: replies of the model are
shown as they come.

A phrase matches in singular and plural, and in common disguises: with invisible characters inside,
letter by letter (b-o-m-b-a), with punctuation inside (bom.ba), with repeated letters, in letters of
other alphabets that look the same, and with digits and signs for letters (b0mb@). Each disguise
adds a reading of the message; the message as it stands is always one of them.
"""

import unicodedata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path
from typing import Annotated

import regex
import yaml

from espejo.core import files
from espejo.core.config import Section, checked, kind

# Soft hyphens, joiners, variation selectors and whatever else Unicode calls invisible; controls.
_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}|(?!\s)\p{Cc}")
# Accents are dropped, but not the tilde of ñ: año and ano are two words (core/text.fold drops it).
# Marks of a single script are letters of it, as are the two voicing marks of Japanese.
_ACCENT = regex.compile(r"(?V1)(?!(?<=n)\u0303)[\p{M}&&\p{Script=Inherited}--[\u3099\u309A]]")
# Normalization sorts the marks on a letter, in time that grows with the square of their number. No
# language puts more than 30 there (UAX #15, Stream-Safe Text).
_TOO_MANY_MARKS = regex.compile(r"(\p{M}{30})\p{M}+")
# An underscore is punctuation: it makes a word italic in WhatsApp.
_WORD = regex.compile(r"[^\W_]+")
# Punctuation inside a word: bom.ba, bo-mba, b*mba. One reading of several: in "el fin.de año" it
# joins two words.
_INSIDE = regex.compile(r"(?<=[^\W_])[^\w\s]{1,3}(?=[^\W_])")
_REPEATED = regex.compile(r"(\p{L})\1{2,}")  # bombaaa
_SPELT_OUT = regex.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,3}[^\W_](?![^\W_])){2,}")

# Cyrillic, Greek, Armenian and phonetic letters, and the Latin ones they look like.
_LOOKALIKES = (
    str.maketrans("АВЕЅІЈКМНОРСТУХԚԜ", "abesijkmhopctyxqw")
    | str.maketrans("аеѕіјкмнорстухԛԝвһԁѵӏьЬ", "aesijkmhopctyxqwbhdvlbb")
    | str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abezhikmnoptyx")
    | str.maketrans("αβγεηικνορτυχω", "abyenikvoptuxw")
    | str.maketrans("օոսհցզɑıȷɡɩ", "onuhgqaijgi")
)
# Others by their Unicode names: ł is L WITH STROKE, ʙ SMALL CAPITAL B; so are boxed letters, flags.
_NAME = regex.compile(r".*(?:LATIN|REGIONAL).* (?:LETTER|CAPITAL) ([A-Z])(?: WITH .*)?")
# Digits and signs that stand for letters, in words that have a letter; 1 may be i or l.
_WITH_SIGNS = regex.compile(r"(?:[^\W_]|[@$€]|(?<=[^\W_])[!|](?=[^\W_]))+")
_LETTERS = [str.maketrans("0345789@$€!|1", f"oeastbgaseil{letter}") for letter in "il"]

# Endings of singular and plural in Spanish, English and Portuguese, without accents.
_ENDINGS = [
    *(("", "s"), ("", "es"), ("z", "ces"), ("y", "ies"), ("f", "ves"), ("fe", "ves")),
    *(("man", "men"), ("ao", "oes"), ("ao", "aes"), ("l", "is"), ("il", "is"), ("il", "eis")),
    ("m", "ns"),
]
# Other words, which look like forms of antes, dios, inglés, mal, news, país and sol.
_NO_FORMS = frozenset({"ante", "dio", "ingle", "mais", "new", "pai", "sois"})


def _phrase(entry: str) -> None:
    if not isinstance(entry, str) or not _words(_fold(entry)):
        raise ValueError


class ChatConfig(Section):
    """Blocked topics, and the sentence that answers a message with one of them."""

    section = "chat"
    # To YAML no, 911 and 1.5 are no text; and an entry without a word would never match.
    decline: list[Annotated[str, kind("a word or phrase, in quotes", _phrase)]]
    declined: str


@dataclass(frozen=True)
class Blocklist:
    """The listed phrases and the sentence that answers a message with one of them."""

    phrases: tuple[str, ...]
    answer: str

    def matches(self, message: str) -> bool:
        """Whether a listed phrase stands in `message`, as consecutive whole words."""
        return any(self._pattern.search(reading) for reading in _readings(message))

    @cached_property
    def _pattern(self) -> regex.Pattern:
        folded = {
            _words(_fold(phrase, latin)) for phrase in self.phrases for latin in (False, True)
        }
        # In a phrase that is spelt out its words run together.
        phrases = (" ?".join(map(_inflected, phrase.split())) for phrase in sorted(folded))
        return regex.compile(rf"(?<!\S)(?:{'|'.join(phrases) or '(?!)'})(?!\S)")


def _readings(message: str) -> set[str]:
    """The words of a message, in each of its readings."""
    texts = set()  # most disguises leave most messages as they are
    for latin in (False, True):
        folded = _fold(message, latin)
        texts |= {
            folded,
            _SPELT_OUT.sub(_joined, folded),
            _SPELT_OUT.sub(_split, folded),
            _INSIDE.sub("", folded),
            _REPEATED.sub(r"\1", folded),
        }
    texts |= {_WITH_SIGNS.sub(_replaced(letters), text) for text in texts for letters in _LETTERS}
    return {_words(text) for text in texts}


def _fold(text: str, latin: bool = False) -> str:
    """A text without case, accents and invisible characters; with `latin`, in Latin letters."""
    text = _TOO_MANY_MARKS.sub(r"\1", _INVISIBLE.sub("", text))
    text = unicodedata.normalize("NFKD", text)
    if latin:
        text = "".join(map(_latin, text.translate(_LOOKALIKES)))
    return unicodedata.normalize("NFC", _ACCENT.sub("", text.casefold()))


@cache
def _latin(letter: str) -> str:
    """The Latin letter in the Unicode name of `letter`, else `letter` itself."""
    match = None if letter.isascii() else _NAME.fullmatch(unicodedata.name(letter, ""))
    return match[1] if match else letter


def _joined(spelt_out: regex.Match) -> str:
    """Single letters as one word."""
    return "".join(_WORD.findall(spelt_out[0]))


def _split(spelt_out: regex.Match) -> str:
    """Single letters as words that end where the characters between them change: y b-o-m-b-a."""
    letters, between = _WORD.findall(spelt_out[0]), _WORD.split(spelt_out[0])[1:-1]
    words, start = [], 0
    for _, same in groupby(between):
        end = start + len([*same])
        words.append("".join(letters[start : end + 1]))
        start = end
    return " ".join(words)


def _replaced(letters: Mapping[int, int]) -> Callable[[regex.Match], str]:
    """A replacement of digits and signs by `letters`, in words that have a letter."""

    def replace(word: regex.Match) -> str:
        return word[0].translate(letters) if any(map(str.isalpha, word[0])) else word[0]

    return replace


def _words(folded: str) -> str:
    """The words of a folded text, separated by spaces."""
    return " ".join(_WORD.findall(folded))


def _inflected(word: str) -> str:
    """A pattern of a word in singular and plural."""
    forms = {*_plurals(word), *_singulars(word)} if len(word) > 2 and word.isalpha() else set()
    return f"(?:{'|'.join(sorted({word} | (forms - _NO_FORMS)))})"


def _plurals(word: str) -> Iterator[str]:
    """Possible plurals of a word; those that do not exist do no harm, since nobody writes them."""
    for singular, plural in _ENDINGS:
        if word.endswith(singular):
            yield word.removesuffix(singular) + plural


def _singulars(word: str) -> Iterator[str]:
    """Possible singulars of a word, of three letters or more."""
    for singular, plural in _ENDINGS:
        if word.endswith(plural) and not word.endswith("ss"):
            form = word.removesuffix(plural) + singular
            if len(form) > 2:
                yield form


def blocklist(config: ChatConfig) -> Blocklist:
    """The list of the params section `chat`."""
    return Blocklist(tuple(config.decline), config.declined)


def read(path: Path = Path("params.yaml")) -> Blocklist:
    """The list in params.yaml; without that file or that section nothing is declined.

    It is not part of the model's manifest: another list must not mean another training. Raises
    UserError for a section that is none, or for an entry without a word.
    """
    params = files.mapping(path, yaml.safe_load) if path.exists() else {}
    section = params.get("chat", {"decline": [], "declined": ""})
    return blocklist(checked(ChatConfig, section, path))
