"""How people write the names of those who withhold their words, and those names found in a text.

A name is found in any case, with or without accents, with signs that nobody sees, drawn out
(Tinchooo), in names of users and files (ana_gomez.vcf):

- whole, and by each of its words that nobody else in people.yaml has in theirs; such a word with
  an ending too (Ulloas, Tinchito), and from LONG letters on anywhere (cumplenicanor.jpg);
- a name that is a word as well (Sol, Rosa, Flores, what stands in brackets) where it has a capital
  or "@", and words of one or two letters with "@" only;
- after "@" whole, even where a namesake has it too: WhatsApp writes contacts as they are called;
- a phone number, whatever of it stands before its last seven digits;
- what people.yaml lists under aliases, always: nicknames cannot be known.

Not found: what a namesake has too (Ana, beside another Ana), misspellings.
"""

import re
from collections.abc import Iterable, Sequence

from espejo.core import names
from espejo.core.names import GAP, LETTER
from espejo.core.text import fold
from espejo.privacy.people import People
from espejo.privacy.pseudonyms import COMMON, ORDINARY, listed

PERSON = "<PERSON>"  # stands in the place of a name
# Surnames that are words as well, beside the first names of `pseudonyms.ORDINARY`; folded.
_SURNAMES = listed("""
    blanco blancos bravo cabrera calle campos casas castillo cordero delgado duro flores fuente
    fuentes guerra guerrero herrero iglesias leal lobo mata mayo mercado molina monte montes mora
    nieto pardo pastor pena pino prado puente reyes rios rivera rojas rojo rosas salas sierra soto
    torres valle vega verde villa zapatero
    baker banks bell black brown carter cook cooper field fields fisher fox green hall hill hunt
    hunter king knight lake lane long love major marsh mason miles miller moon page parker power
    price rice rich rivers short small snow stone street strong summers sweet walker ward waters
    west white wild winter winters wise wood woods young
""")
SAID = listed("""
    dijo dice decia puso escribio escribe contesto respondio mando said says wrote texted disse
    escreveu
""")
LONG, LONGISH = 6, 4
_ENDING = r"(?:e?s|(?:e?[csz]?it|z?inh)[aeo]s?)?"
_BRACKETS = re.compile(r"\([^)]*\)?|\[[^\]]*\]?")
_LETTERS = re.compile(r"[^\W\d_]+")


class Writings:
    """The writings of those who said `withhold`; `numbers` are other phone numbers of theirs."""

    def __init__(self, who: People, numbers: Sequence[str] = ()) -> None:
        self.names = who.who("withhold")
        nicknames = [nick for name in self.names for nick in who.nicknames.get(name, ())]
        others = [
            called
            for name in {*who.aliases, *who.consents} - self.names
            for called in (name, *who.nicknames.get(name, ()))
        ]
        taken = {word for name in others for word in names.words(name)}
        split = [names.words(name) for name in sorted(self.names)]
        all_words = {word for words in split for word in words} - COMMON
        own = sorted(all_words - taken)
        # What was added to a contact is a word: Tincho (gas).
        real = {
            word
            for name in self.names
            for word in names.words(_BRACKETS.sub(" ", name)) or names.words(name)
        }
        plain = [word for word in own if word in real and not _doubtful(word)]
        whole = [
            *(n for n in self.names if len(names.words(n)) > 1 or names.is_number(n)),
            *nicknames,
            *numbers,
        ]
        together = [_together(words, plain) for words in split if set(words) & set(plain)]
        signs = [n for n in self.names if [fold(n)] != names.words(n) != []]
        longest = sorted(
            [*map(names.as_is, signs), *map(names.whole, whole)], key=len, reverse=True
        )
        self._sure = _any([*longest, *together, *(_alone(word, taken) for word in plain)])
        self._doubtful = _any([names.written([word]) for word in own if word not in plain])
        # Whole, after "@": not where the rest of a namesake's name follows.
        rest = sorted({word for name in others for word in names.words(name)[1:]})
        end = rf"(?!{GAP}(?:{'|'.join(map(re.escape, rest))})(?!{LETTER}))" if rest else ""
        called = sorted(map(names.whole, self.names), key=len, reverse=True)
        self._mention = _any([rf"(?<=@)(?:{pattern}){end}" for pattern in called])
        self._any_word = _any([*longest, *called, *map(names.written, ([w] for w in all_words))])
        self._patterns = [
            pattern for pattern in (self._sure, self._mention, self._doubtful) if pattern
        ]
        self._speakers = {tuple(names.words(name)) for name in (*self.names, *nicknames)}
        self._speakers |= {(word,) for word in own}
        self._speakers.discard(())
        self._others = {tuple(names.words(name)[:n]) for name in others for n in range(1, 6)}
        self._others -= {tuple(words[:n]) for words in split for n in range(6)}

    def named(self, text: str) -> bool:
        """Whether a text that somebody wrote names them."""
        return self.without(text) != text

    def in_notice(self, text: str) -> bool:
        """Whether a notice of WhatsApp's may name them: any word of their names will do."""
        return bool(self._any_word and self._any_word.search(fold(text)))

    def is_called(self, name: str) -> bool:
        """Whether a name, of a chat or file, names them or is theirs, shared or not."""
        return self.named(name) or tuple(names.words(name)) in self._speakers

    def without(self, text: str) -> str:
        """A text with PERSON in the place of their names."""
        low = fold(text)
        if not any(pattern.search(low) for pattern in self._patterns):
            return text
        for pattern in filter(None, (self._sure, self._mention)):
            text = names.replaced(text, pattern, PERSON)[0]
        if self._doubtful:
            text = names.replaced(text, self._doubtful, PERSON, _like_a_name)[0]
        return text

    def speaks(self, who: str) -> bool | None:
        """Whether the folded words before a colon are theirs; False for somebody else's.

        None where that cannot be told. "Ana said" is Ana.
        """
        parts = tuple(_LETTERS.findall(who))
        while parts and parts[-1] in SAID:
            parts = parts[:-1]
        if parts in self._speakers or (self._sure and self._sure.fullmatch(who.strip(" ~*_>-"))):
            return True
        return False if parts in self._others else None


def _doubtful(word: str) -> bool:
    """Whether a folded word is a name only where it is written like one."""
    short = len(word) < (3 if word.upper() != word else 2)  # 李明 has no capitals
    return short or word in ORDINARY or word in _SURNAMES


def _like_a_name(text: str, start: int) -> bool:
    """Whether a word has a capital, unless it is too short for that to tell, or "@" before it."""
    if text[:start].rstrip("\u2068\u200e\u202a").endswith("@"):
        return True
    return text[start].isupper() and len(names.words(text[start : start + 9])[0]) > 2


def _alone(word: str, taken: Iterable[str]) -> str:
    """A pattern of a folded word by itself, which may go on where that makes nobody else's name."""
    if any(word in other for other in taken):
        return names.written([word])
    pattern = names.written([word], _ENDING, inside=len(word) >= LONG)
    # Tinchito, for Tincho; not evita, for Eva.
    small = f"(?:it|inh){word[-1]}s?" if len(word) > LONGISH and word[-1] in "ao" else ""
    return f"{pattern}|{names.written([word[:-1]], small)}" if small else pattern


def _any(patterns: Iterable[str]) -> re.Pattern[str] | None:
    joined = "|".join(f"(?:{pattern})" for pattern in patterns)
    return re.compile(joined) if joined else None


def _together(words: Sequence[str], plain: Sequence[str]) -> str:
    """A pattern of words of one name that stand together, one of `plain` among them."""
    some = "|".join(map(re.escape, words))
    own_word = "|".join(re.escape(word) for word in words if word in plain)
    return rf"(?<!{LETTER})(?:(?:{some}){GAP})*(?:{own_word})(?:{GAP}(?:{some}))*(?!{LETTER})"
