"""Invented names in the place of the real ones, for conversations that are shown to strangers.

`espejo.privacy.pseudonyms` prepares what a model learns: what it misses, a person still reads
alone. Here a missed name is published, so that more is replaced, in any case and with or without
accents: whole names, each word of a name (surnames in small letters too) and the aliases of
people.yaml, also drawn out (Tinchooo), in the plural (los Ulloas) and as a diminutive (Tinchito,
Anita); and the beginning of a first name, of four letters or more (Cami, for Camila). A name inside
another word stays: there is no Ana in mañana.

A name that is also an ordinary word (Sol, Mamá) is one only with a capital or after "@", and such a
beginning (Flor, for Florencia) only in "y Flor", "@flor", "flor!!" and "hola, flor". A word that
two people share becomes the first one's name, unless another word of the name is beside it.

Mentions that are left, and what `espejo.privacy.pii` finds, become <USER>, <PHONE>, <EMAIL> …

Missed: whoever is only talked about and writes in no chat, nicknames that are not in people.yaml,
misspellings, names in hashtags and other joined words (#asadocontincho).
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import pandas as pd

from espejo.core import names, tables
from espejo.core.names import LETTER, MARKS
from espejo.core.text import fold, places
from espejo.privacy import pii
from espejo.privacy.people import People
from espejo.privacy.pseudonyms import CONTACT_WORDS, ORDINARY, word_set

# Beginnings of first names that are also ordinary words, or other people's names; folded.
_ORDINARY_BEGINNINGS = word_set("""
    abri aman ande angel arma barba caro casa cata clara consta debo delfin dolor espera este facu
    flor gasto gusta leon leona maria marco martin mate merced milagro mira miran nata nieve palo
    pila ramo ramon remedio rica rola roma rosa rosal salva salvado silva sola toma vale valen vivi
    frank herb just lean mars phil robe rose step
""")
# For anybody, whatever the gender, and without accents: in Spanish and in English.
NAMES = (
    *("Noa", "Ariel", "Yael", "Andy", "Sasha", "Robin", "Charlie", "Quinn", "Morgan", "Taylor"),
    *("Jordan", "Casey", "Riley", "Rowan", "Alexis", "Denis", "Amets", "Trini", "Lior", "Eden"),
    *("Remy", "Skyler", "Dakota", "Emerson", "Harley", "Jessie", "Logan", "Ellis", "Finley"),
    *("Frankie", "Hayden", "Jody", "Kendall", "Lennon", "Micah", "Oakley", "Peyton", "Reese"),
    *("Shiloh", "Tatum", "Wren", "Kim", "Sam", "Chris"),
)
MAX_LEFT = 20  # words that may be names, listed for whoever reads before publishing
# Where a name or a number may begin; scripts without spaces have no letters of their own here.
_START = rf"(?:(?<!{LETTER})|(?=[\d+(\u0e00-\u9fff]))"
_GAP = r"[ _.-]{0,2}"  # between the words of a name; "Ana, Ana Gómez" are two mentions
_BRACKETS = re.compile(r"\([^)]*\)?|\[[^\]]*\]?")  # what people add to a contact: Tincho (gas)
_DIMINUTIVE = r"(?:c?it|z?inh)"  # not sit: camisita is no Cami
_AFTER_AT = re.compile(rf"@[{MARKS}]*\Z")
_INSIDE = re.compile(r"[\w,;)] \Z")  # a sentence: before a word that needs no capital there
# Around a word with which a message addresses somebody: "flor!!", "hola, flor".
_BEFORE_ADDRESS = re.compile(r"(?:\A|[,;\n]) ?\Z")
_AFTER_ADDRESS = re.compile(r"[!?.…\s]*(?:\Z|\n)|[,!?]")
_LIKE_A_NAME = re.compile(rf"(?<=[\w,;)] ){LETTER}{{2,}}")
# @ana.gomez and, as WhatsApp marks a contact, @\u2068Ana Gómez\u2069; but not the `known` names.
_MENTION = (
    rf"(?<!\w)@(?![{MARKS}]*(?:{{known}})(?!\w))"
    rf"(?:\u2068[^\u2069\n]*\u2069|[{MARKS}]*(?=[\d_.]*{LETTER})[\w.]*\w)"
)


@dataclass(frozen=True)
class Person:
    """Somebody of the chats: the name in the tables, and the words for that person in texts."""

    label: str
    names: Sequence[str]
    aliases: Sequence[str] = ()  # replaced wherever they stand


def people_of(
    table: pd.DataFrame, speakers: Iterable[str], listed: People | None, pattern: str | None
) -> list[Person]:
    """Everybody in table PEOPLE, among the `speakers` of contexts, and in people.yaml (`listed`).

    `pattern` is params clean.pseudonyms: with one, the names in the tables are pseudonyms.
    """
    labels = [name for name in (*table["name"], *speakers) if name not in tables.NOBODY]
    called: dict[str, list[str]] = {name: [] if pattern else [name] for name in labels}
    aliases: dict[str, list[str]] = {}
    if listed:
        own = dict.fromkeys(sorted(listed.aliases), listed.author)
        others = {name: name for name in listed.consents}
        label_of = listed.pseudonyms(pattern) if pattern else own | others
        for name, label in label_of.items():
            called.setdefault(label, []).append(name)
            aliases.setdefault(label, []).extend(listed.nicknames.get(name, ()))
    return [
        Person(label, list(dict.fromkeys(written)), aliases.get(label, ()))
        for label, written in called.items()
    ]


class InventedNames:
    """Gives each of the `people` one of NAMES, by `seed`, and puts it into texts.

    Names that occur in `texts` (all those of the chats and of the models) or that anybody has are
    given to nobody.
    """

    def __init__(self, people: Sequence[Person], texts: Iterable[str], seed: int) -> None:
        # Of two people with the same word the first one has it.
        by_pattern: dict[str, _Form] = {}
        for form in _forms(people):
            by_pattern.setdefault(form.pattern, form)
        by_pattern.pop("", None)
        self._forms = list(by_pattern.values())
        joined = "|".join(f"({form.pattern})" for form in self._forms) or "(?!)"
        self._pattern = re.compile(f"{_START}(?:{joined})")
        any_name = re.compile(rf"(?<!\w)(?:{'|'.join(NAMES)})(?!\w)", re.IGNORECASE)
        in_texts = {fold(name) for text in texts for name in any_name.findall(text)}
        free = [n for n in NAMES if fold(n) not in in_texts and not self._pattern.search(fold(n))]
        shuffled = np.random.default_rng(seed).permutation(free or ["Person"]).tolist()
        endless = (  # more people than names: Noa 2
            f"{name} {turn}" if turn > 1 else name for turn in count(1) for name in shuffled
        )
        self.labels: Mapping[str, str] = {
            person.label: name for person, name in zip(people, endless, strict=False)
        }
        known = "|".join(re.escape(name) for name in self.labels.values()) or "(?!)"
        self._mention = re.compile(_MENTION.format(known=known), re.IGNORECASE)

    def label(self, name: str) -> str:
        """The invented name of somebody whom the tables call `name`; nobody's stay."""
        return self.labels.get(name, name)

    def text(self, text: str) -> str:
        """A text with invented names, and without mentions and personal data."""
        return self._mention.sub("<USER>", pii.replace(self._renamed(text))[0])

    def _renamed(self, text: str) -> str:
        indices, pieces, done = places(text), [], 0
        for match in self._pattern.finditer(fold(text)):
            form = self._forms[(match.lastindex or 1) - 1]
            start, end = indices[match.start()], indices[match.end() - 1] + 1
            if not form.is_name(text, start, end):
                continue
            while end < len(text) and not fold(text[end]):  # a combining accent
                end += 1
            pieces += [text[done:start], _cased(self.labels[form.label], text[start:end])]
            done = end
        return "".join(pieces) + text[done:]

    def left(self, texts: Iterable[str]) -> list[str]:
        """Words of replaced texts that may be names: with a capital inside a sentence."""
        invented = {word for name in self.labels.values() for word in names.words(name)}
        found = Counter(
            word
            for text in texts
            for word in _LIKE_A_NAME.findall(text)
            if word.istitle() and fold(word) not in invented
        )
        return [word for word, _ in found.most_common(MAX_LEFT)]


def _anywhere(text: str, start: int, end: int) -> bool:
    return True


def _capital(text: str, start: int, end: int) -> bool:
    return text[start].isupper() or _follows(_AFTER_AT, text, start)


def _capital_inside(text: str, start: int, end: int) -> bool:
    inside = text[start].isupper() and _follows(_INSIDE, text, start)
    return inside or _follows(_AFTER_AT, text, start)


def _addressed(text: str, start: int, end: int) -> bool:
    after = _AFTER_ADDRESS.match(text, end) is not None
    addressed = after and _follows(_BEFORE_ADDRESS, text, start)
    return addressed or _capital_inside(text, start, end)


def _follows(pattern: re.Pattern[str], text: str, start: int) -> bool:
    """Whether one of the patterns for what stands before a word matches right before `start`."""
    return pattern.search(text, max(0, start - 4), start) is not None


@dataclass(frozen=True)
class _Form:
    """A pattern of folded texts that stands for a person if `is_name(text, start, end)` agrees."""

    pattern: str
    label: str
    is_name: Callable[[str, int, int], bool] = _anywhere


def _forms(people: Sequence[Person]) -> list[_Form]:
    """All forms, in the order in which they are tried at a place of a text: long ones first."""
    whole = [
        (len(name), _Form(pattern, person.label))
        for person in people
        for name, pattern in [
            (person.label, rf"(?<!\w){re.escape(fold(person.label))}(?!\w)"),
            *((name, names.whole(name)) for name in (*person.names, *person.aliases)),
            *((name, _run(name)) for name in person.names),
        ]
        if names.is_number(name) or len(names.words(name)) > 1 or re.search(r"\w[\d_]", name)
    ]
    return [
        *(form for _, form in sorted(whole, key=lambda pair: -pair[0])),
        *(
            _Form(names.whole(alias) + _or(_derived(alias)), person.label)
            for person in people
            for alias in person.aliases
            if names.words(alias)
        ),
        *(form for person in people for name in person.names for form in _of_words(name, person)),
        *(form for person in people for name in person.names for form in _beginnings(name, person)),
    ]


def _or(pattern: str) -> str:
    return f"|{pattern}" if pattern else ""


def _name_words(name: str) -> list[str]:
    """The words of a name without what people add to a contact; all, where nothing else is left."""
    if names.is_number(name) or re.fullmatch(r"\w*\d\w*", name):
        return []
    words = names.words(_BRACKETS.sub(" ", name)) or names.words(name)
    return [word for word in words if word not in CONTACT_WORDS and len(word) > 1] or words


def _is_short(word: str) -> bool:
    return len(word) < (3 if word.upper() != word else 2)  # scripts without capitals: 李明


def _run(name: str) -> str:
    """A pattern of two or more words of a name in any order: Gómez Ana, ana de gomez."""
    own = [re.escape(word) for word in _name_words(name) if not _is_short(word)]
    if len(own) < 2:
        return ""
    one, any_word = "|".join(own), "|".join(map(re.escape, names.words(name)))
    return rf"(?<!{LETTER})(?:{one})(?:{_GAP}(?:{any_word}))*{_GAP}(?:{one})(?!{LETTER})"


def _of_words(name: str, person: Person) -> Iterable[_Form]:
    """The forms of each word of a name."""
    for word in _name_words(name):
        if _is_short(word):
            yield _Form(names.written([word]), person.label, _capital_inside)
        elif word in ORDINARY or word in CONTACT_WORDS:
            yield _Form(names.written([word]) + _or(_diminutive(word)), person.label, _capital)
        else:
            yield _Form(names.written([word]) + _or(_derived(word)), person.label)


def _derived(name: str) -> str:
    """A pattern of the plurals and diminutives of a word that are hardly another word, or ""."""
    word = fold(name)
    if not word.isalpha() or word in ORDINARY:
        return ""
    endings = names.written([word], rf"(?:e?s|{_DIMINUTIVE}[aeo]s?)") if len(word) > 3 else ""
    return "|".join(filter(None, (endings, _diminutive(word))))


def _diminutive(word: str) -> str:
    """A pattern of the diminutive of a word in -a or -o: Tinchito; "" for others."""
    if len(word) < 3 or word[-1] not in "ao" or word == "eva":  # evita
        return ""
    return names.written([word[:-1]], f"(?:it|inh){word[-1]}s?")


def _beginnings(name: str, person: Person) -> Iterable[_Form]:
    """The beginnings of a first name, of four letters or more: Cami, for Camila."""
    first = next(iter(_name_words(name)), "")
    if first in CONTACT_WORDS:
        return
    for end in range(len(first) - 1, 3, -1):
        pattern, label = names.written([first[:end]]), person.label
        doubtful = first[:end] in _ORDINARY_BEGINNINGS | ORDINARY | CONTACT_WORDS
        yield _Form(pattern, label, _addressed if doubtful else _anywhere)


def _cased(name: str, written: str) -> str:
    """An invented name in small letters or in capitals, as the name was written."""
    if written.islower():
        return name.lower()
    return name.upper() if written.isupper() and len(names.words(written)[0]) > 1 else name
