"""Find the names of people who withhold their words, however others write them.

A name is found in any case, with or without accents, with invisible characters, with letters drawn
out (Tinchooo), and in names of users and files (ana_gomez.vcf):

- the whole name, and each of its words that is in nobody else's name in people.yaml; such a word
  also with an ending (Ulloas, Tinchito) and, from _MIN_LETTERS_INSIDE letters on, inside other
  words (cumplenicanor.jpg);
- a name that is also an ordinary word (Sol, Rosa, Flores, anything in brackets) only with a capital
  or after "@", and words of one or two letters only after "@";
- after "@" the whole name, even if a namesake has its words too (@Ana, but not @Ana Pérez):
  WhatsApp writes a contact's full name there;
- a phone number by its last seven digits, whatever stands before them;
- the aliases of people.yaml, always: nicknames cannot be derived from a name.

Not found: words that a namesake's name has too (Ana, beside another Ana), and misspellings.
"""

import re
from collections.abc import Iterable, Sequence

from espejo.core import names
from espejo.core.names import GAP, LETTER
from espejo.core.text import fold
from espejo.privacy.people import People
from espejo.privacy.pseudonyms import CONTACT_WORDS, ORDINARY, word_set

PLACEHOLDER = "<PERSON>"  # replaces a name
# Surnames that are also ordinary words, besides the first names of `pseudonyms.ORDINARY`; folded.
_ORDINARY_SURNAMES = word_set("""
    blanco blancos bravo cabrera calle campos casas castillo cordero delgado duro flores fuente
    fuentes guerra guerrero herrero iglesias leal lobo mata mayo mercado molina monte montes mora
    nieto pardo pastor pena pino prado puente reyes rios rivera rojas rojo rosas salas sierra soto
    torres valle vega verde villa zapatero
    baker banks bell black brown carter cook cooper field fields fisher fox green hall hill hunt
    hunter king knight lake lane long love major marsh mason miles miller moon page parker power
    price rice rich rivers short small snow stone street strong summers sweet walker ward waters
    west white wild winter winters wise wood woods young
""")
SPEECH_VERBS = word_set("""
    dijo dice decia puso escribio escribe contesto respondio mando said says wrote texted disse
    escreveu
""")
_MIN_LETTERS_INSIDE = 6  # of a word of a name that is also found inside other words
_MIN_LETTERS_DIMINUTIVE = 5  # of one whose diminutive is found: Tinchito, for Tincho
_ENDING = r"(?:e?s|(?:e?[csz]?it|z?inh)[aeo]s?)?"
_BRACKETS = re.compile(r"\([^)]*\)?|\[[^\]]*\]?")
_LETTERS = re.compile(r"[^\W\d_]+")


class WithheldNames:
    """The names of people who withhold; `numbers` are other phone numbers of theirs."""

    def __init__(self, people: People, numbers: Sequence[str] = ()) -> None:
        self.names = people.with_consent("withhold")
        nicknames = [nick for name in self.names for nick in people.nicknames.get(name, ())]
        other_names = [
            other
            for name in {*people.aliases, *people.consents} - self.names
            for other in (name, *people.nicknames.get(name, ()))
        ]
        words_of_others = {word for name in other_names for word in names.words(name)}
        words_of_names = [names.words(name) for name in sorted(self.names)]
        all_words = {word for words in words_of_names for word in words} - CONTACT_WORDS
        own_words = sorted(all_words - words_of_others)
        # Words outside of brackets: what was added to a contact, Tincho (gas), is an ordinary word.
        unbracketed = {
            word
            for name in self.names
            for word in names.words(_BRACKETS.sub(" ", name)) or names.words(name)
        }
        sure_words = [word for word in own_words if word in unbracketed and not _is_doubtful(word)]

        long_names = [n for n in self.names if len(names.words(n)) > 1 or names.is_number(n)]
        names_with_signs = [n for n in self.names if [fold(n)] != names.words(n) != []]
        whole = sorted(
            [
                *map(names.as_is, names_with_signs),
                *map(names.whole, [*long_names, *nicknames, *numbers]),
            ],
            key=len,
            reverse=True,
        )
        combined = [
            _combined_words(words, sure_words)
            for words in words_of_names
            if set(words) & set(sure_words)
        ]
        single = [_single_word(word, words_of_others) for word in sure_words]
        self._sure = _any_of([*whole, *combined, *single])
        self._doubtful = _any_of(
            [names.written([word]) for word in own_words if word not in sure_words]
        )
        # After "@" the whole name counts, unless the rest of a namesake's name follows.
        rest = sorted({word for name in other_names for word in names.words(name)[1:]})
        end = rf"(?!{GAP}(?:{'|'.join(map(re.escape, rest))})(?!{LETTER}))" if rest else ""
        full_names = sorted(map(names.whole, self.names), key=len, reverse=True)
        self._mention = _any_of([rf"(?<=@)(?:{pattern}){end}" for pattern in full_names])
        any_word = [names.written([word]) for word in all_words]
        self._any_word = _any_of([*whole, *full_names, *any_word])
        self._patterns = [
            pattern for pattern in (self._sure, self._mention, self._doubtful) if pattern
        ]
        # Speakers before a colon, as tuples of words: these people, and the beginnings of others.
        self._speakers = {tuple(names.words(name)) for name in (*self.names, *nicknames)}
        self._speakers |= {(word,) for word in own_words}
        self._speakers.discard(())
        self._other_speakers = {
            tuple(names.words(name)[:n]) for name in other_names for n in range(1, 6)
        }
        self._other_speakers -= {tuple(words[:n]) for words in words_of_names for n in range(6)}

    def are_in(self, text: str) -> bool:
        """Whether a text that somebody wrote contains a name."""
        return self.remove_from(text) != text

    def may_be_in_notice(self, text: str) -> bool:
        """Whether a notice of WhatsApp may contain a name: any word of one is enough."""
        return bool(self._any_word and self._any_word.search(fold(text)))

    def are_in_title(self, title: str) -> bool:
        """Whether the name of a chat contains a name, or is one, even if a namesake has it too."""
        return self.are_in(title) or tuple(names.words(title)) in self._speakers

    def remove_from(self, text: str) -> str:
        """A text with PLACEHOLDER in the place of each name."""
        folded = fold(text)
        if not any(pattern.search(folded) for pattern in self._patterns):
            return text
        for pattern in filter(None, (self._sure, self._mention)):
            text = names.replaced(text, pattern, PLACEHOLDER)[0]
        if self._doubtful:
            text = names.replaced(text, self._doubtful, PLACEHOLDER, _is_written_like_a_name)[0]
        return text

    def is_speaker(self, words: str) -> bool | None:
        """Whether the folded words before a colon ("ana", "ana said") are one of these people.

        False if they are somebody else, None if that cannot be told.
        """
        parts = tuple(_LETTERS.findall(words))
        while parts and parts[-1] in SPEECH_VERBS:
            parts = parts[:-1]
        if parts in self._speakers or (self._sure and self._sure.fullmatch(words.strip(" ~*_>-"))):
            return True
        return False if parts in self._other_speakers else None


def _is_doubtful(word: str) -> bool:
    """Whether a folded word is a name only if it is written like one."""
    short = len(word) < (3 if word.upper() != word else 2)  # scripts without capitals: 李明
    return short or word in ORDINARY or word in _ORDINARY_SURNAMES


def _is_written_like_a_name(text: str, start: int) -> bool:
    """Whether the word at `start` stands after "@", or has a capital and three letters or more."""
    if text[:start].rstrip("\u2068\u200e\u202a").endswith("@"):
        return True
    return text[start].isupper() and len(names.words(text[start : start + 9])[0]) > 2


def _single_word(word: str, words_of_others: Iterable[str]) -> str:
    """A pattern of one folded word, with endings unless it is part of a word in others' names."""
    if any(word in other for other in words_of_others):
        return names.written([word])
    pattern = names.written([word], _ENDING, inside=len(word) >= _MIN_LETTERS_INSIDE)
    if len(word) < _MIN_LETTERS_DIMINUTIVE or word[-1] not in "ao":  # "evita" is not only Eva's
        return pattern
    diminutive = names.written([word[:-1]], f"(?:it|inh){word[-1]}s?")
    return f"{pattern}|{diminutive}"


def _any_of(patterns: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(joined) if joined else None


def _combined_words(words: Sequence[str], sure_words: Sequence[str]) -> str:
    """A pattern of adjacent words of one name in any order, with one of `sure_words` among them."""
    any_word = "|".join(map(re.escape, words))
    sure_word = "|".join(re.escape(word) for word in words if word in sure_words)
    return (
        rf"(?<!{LETTER})(?:(?:{any_word}){GAP})*(?:{sure_word})(?:{GAP}(?:{any_word}))*(?!{LETTER})"
    )
