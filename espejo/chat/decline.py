"""What `espejo chat` declines by list: what holds one of its phrases never reaches a model.

The list is of words, not of meanings, and it is asked about what a person writes only: a reply of
the model's is shown as it comes, whatever it says.

A phrase is found in its singular and plural, and however its letters are written: with characters
between that nobody sees, letter by letter (b-o-m-b-a), with signs inside (bom.ba), drawn out, in
letters of other alphabets that look the same, and with digits and signs for letters (b0mb@). A
message is read in each of these ways; none of them changes the way in which it reads as it stands.
"""

import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby
from pathlib import Path
from typing import Annotated

import regex
import yaml

from espejo.core import files
from espejo.core.config import Section, checked, kind

# Soft hyphens, joiners, selectors and whatever else Unicode says is not shown; and controls.
_UNSEEN = regex.compile(r"\p{Default_Ignorable_Code_Point}|(?!\s)\p{Cc}")
# Accents are dropped, the tilde of ñ is not: año and ano are two words. Marks that belong to one
# alphabet are its letters, as are the two of Japanese.
_ACCENT = regex.compile(r"(?V1)(?!(?<=n)\u0303)[\p{M}&&\p{Script=Inherited}--[\u3099\u309A]]")
# An underscore is no letter: it makes a word italic in WhatsApp.
_WORD = regex.compile(r"[^\W_]+")
# Signs inside a word: bom.ba, bo-mba, b*mba. A reading beside others: "el fin.de año" is no word.
_INSIDE = regex.compile(r"(?<=[^\W_])[^\w\s]{1,3}(?=[^\W_])")
_DRAWN = regex.compile(r"(\p{L})\1{2,}")  # bombaaa
_SPELT = regex.compile(r"(?<![^\W_])[^\W_](?:[\W_]{1,3}[^\W_](?![^\W_])){2,}")

# Letters of Cyrillic, Greek, Armenian and phonetic writing, and the Latin ones they look like.
_ALIKE = (
    str.maketrans("АВЕЅІЈКМНОРСТУХԚԜ", "abesijkmhopctyxqw")
    | str.maketrans("аеѕіјкмнорстухԛԝвһԁѵӏьЬ", "aesijkmhopctyxqwbhdvlbb")
    | str.maketrans("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "abezhikmnoptyx")
    | str.maketrans("αβγεηικνορτυχω", "abyenikvoptuxw")
    | str.maketrans("օոսհցզɑıȷɡɩ", "onuhgqaijgi")
)
# Others by their names: ł is L WITH STROKE, ʙ SMALL CAPITAL B; so are letters in boxes and flags.
_NAMED = regex.compile(r".*(?:LATIN|REGIONAL).* (?:LETTER|CAPITAL) ([A-Z])(?: WITH .*)?")
# What a digit or a sign stands for, in words that have a letter; a 1 may be two letters.
_SIGNS = regex.compile(r"(?:[^\W_]|[@$€]|(?<=[^\W_])[!|](?=[^\W_]))+")
_LETTERS = [str.maketrans("0345789@$€!|1", f"oeastbgaseil{one}") for one in "il"]

# Endings of singular and plural in Spanish, English and Portuguese, without accents.
_ENDINGS = [
    *(("", "s"), ("", "es"), ("z", "ces"), ("y", "ies"), ("f", "ves"), ("fe", "ves")),
    *(("man", "men"), ("ao", "oes"), ("ao", "aes"), ("l", "is"), ("il", "is"), ("il", "eis")),
    ("m", "ns"),
]
# Words of their own, which look like forms of antes, dios, inglés, mal, news, país and sol.
_OTHERS = frozenset({"ante", "dio", "ingle", "mais", "new", "pai", "sois"})


def _phrase(entry: str) -> None:
    if not isinstance(entry, str) or not _words(_bare(entry)):
        raise ValueError


class ChatConfig(Section):
    """What the chat does not talk about, and the sentence with which it says so."""

    section = "chat"
    # no, 911 and 1.5 are no text to YAML, and what has no word would never be found.
    decline: list[Annotated[str, kind("a word or phrase, in quotes", _phrase)]]
    declined: str


@dataclass(frozen=True)
class Declined:
    """The phrases of the list, as they stand in it, and the sentence that answers them."""

    phrases: tuple[str, ...]
    answer: str

    def holds(self, message: str) -> bool:
        """Whether a phrase of the list stands in `message`, as whole words in a row."""
        return any(self._pattern.search(reading) for reading in _readings(message))

    @cached_property
    def _pattern(self) -> regex.Pattern:
        written = {
            _words(_bare(phrase, alike)) for phrase in self.phrases for alike in (False, True)
        }
        # Letter by letter, the words of a phrase run together.
        phrases = (" ?".join(map(_inflected, phrase.split())) for phrase in sorted(written))
        return regex.compile(rf"(?<!\S)(?:{'|'.join(phrases) or '(?!)'})(?!\S)")


def _readings(message: str) -> set[str]:
    """The words of a message, in every way in which it can be read."""
    found = set()
    for alike in (False, True):
        bare = _bare(message, alike)
        for text in (
            bare,
            _SPELT.sub(_whole, bare),
            _SPELT.sub(_parted, bare),
            _INSIDE.sub("", bare),
            _DRAWN.sub(r"\1", bare),
        ):
            found.add(_words(text))
            found |= {_words(_SIGNS.sub(_as(letters), text)) for letters in _LETTERS}
    return found


def _bare(text: str, alike: bool = False) -> str:
    """A text without case, accents and what is not seen; with `alike`, in Latin letters."""
    text = unicodedata.normalize("NFKD", _UNSEEN.sub("", text))
    if alike:
        text = "".join(map(_latin, text.translate(_ALIKE)))
    return unicodedata.normalize("NFC", _ACCENT.sub("", text.casefold()))


@cache
def _latin(letter: str) -> str:
    """The Latin letter that is named in this one's name, else `letter`."""
    found = None if letter.isascii() else _NAMED.fullmatch(unicodedata.name(letter, ""))
    return found[1] if found else letter


def _whole(spelt: regex.Match) -> str:
    """Single letters as one word."""
    return "".join(_WORD.findall(spelt[0]))


def _parted(spelt: regex.Match) -> str:
    """Single letters as words that end where what stands between them changes: y b-o-m-b-a."""
    letters, between = _WORD.findall(spelt[0]), _WORD.split(spelt[0])[1:-1]
    words, start = [], 0
    for _, same in groupby(between):
        end = start + len([*same])
        words.append("".join(letters[start : end + 1]))
        start = end
    return " ".join(words)


def _as(letters: dict[int, str]) -> Callable[[regex.Match], str]:
    """Replaces signs and digits in words that have a letter."""

    def read(word: regex.Match) -> str:
        return word[0].translate(letters) if any(map(str.isalpha, word[0])) else word[0]

    return read


def _words(bare: str) -> str:
    """The words of a bare text with a space between."""
    return " ".join(_WORD.findall(bare))


def _inflected(word: str) -> str:
    """A pattern for a word in singular and plural."""
    forms = {*_plurals(word), *_singulars(word)} if len(word) > 2 and word.isalpha() else set()
    return f"(?:{'|'.join(sorted({word} | (forms - _OTHERS)))})"


def _plurals(word: str) -> Iterator[str]:
    """What may be the plural of a word; some are none, and nobody writes them."""
    for one, many in _ENDINGS:
        if word.endswith(one):
            yield word.removesuffix(one) + many


def _singulars(word: str) -> Iterator[str]:
    """Words of three letters or more whose plural this may be."""
    for one, many in _ENDINGS:
        if word.endswith(many) and not word.endswith("ss"):
            single = word.removesuffix(many) + one
            if len(single) > 2:
                yield single


def listed(found: object, path: Path = Path("params.yaml")) -> Declined:
    """The list of the params section `chat`, which stands in the file `path`.

    Raises UserError for what is no such section, and for an entry without a word: it would never be
    found.
    """
    config = checked(ChatConfig, found, path)
    return Declined(tuple(config.decline), config.declined)


def read(path: Path = Path("params.yaml")) -> Declined:
    """`listed` of params.yaml; without that file, or from one of before, nothing is declined.

    Not of the model's facts: another list must not mean another training.
    """
    params = files.mapping(path, yaml.safe_load) if path.exists() else {}
    return listed(params.get("chat", {"decline": [], "declined": ""}), path)
