"""Give people pseudonyms, and replace their names in messages with them.

A person's pseudonym is the place of the name in people.yaml. That file only grows, so that a name
keeps its number whatever chats come or go; numbers in alphabetical order would shift with every new
chat. A hash of the name would not shift, but whoever guesses a name could confirm the guess; and
PERSON_1 is easier to learn and to read than PERSON_3f9a2c.

Pseudonyms are not anonymity: who writes how, and to whom, stays recognizable.

Names that are missed: nicknames and diminutives (Florcita) that are not among the aliases of
people.yaml, misspellings (Floor), parts of one or two letters without "@", user names (flor_gomez),
people who write in no chat, and surnames and ordinary words in small letters (Sol, mamá).
Words that are replaced though they are no names: those that are somebody's first name and not in
ORDINARY ("flor de asado").
If two people share a first name, the first of them is taken, unless the surname follows; words that
people add to a contact do not tell the two apart (@Ana Trabajo beside Ana Gómez).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from espejo.core import names
from espejo.core.text import fold


def word_set(words: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(words.split())


# Names that are also ordinary words, folded: a name only in "y Sol" and "@sol".
ORDINARY = word_set("""
    abril abuela abuelo alba alegria alma amor angel aurora bebe blanca celeste cielo clara
    consuelo cruz dolores domingo dulce esperanza estrella felicidad flaca flaco franco
    gloria gorda gordo gracia hermana hermano hija hijo jazmin jefa jefe julio justo leon
    linda lucero luna luz mama mami mar margarita mercedes milagros moreno negra negro
    nieves nona nono papa papi paz perla pilar prima primo profe reina remedios rey rocio
    rosa rosario rubia rubio salvador santa santos serena sol soledad tia tio vecina vecino
    victoria vida violeta
    april art autumn bill chase dad dawn drew faith frank grace grant hope joy june mark may
    mom mum pat rob rose sue summer will
""")
# What people add to a contact's name, and titles: no part of the name.
CONTACT_WORDS = word_set("""
    amiga amigo banda casa cel celu celular clases club cole colegio companera companero
    coro curso danza del dentista depto doc doctor doctora don dona dra dueno edificio
    electricista empresa escuela facu facultad familia flete futbol gasista gimnasio grupo
    gym ingles inmobiliaria kinesiologa kinesiologo laburo las los mecanico medica medico
    movil musica nueva nuevo oficina padel peluqueria personal pintor plomero profesor
    profesora psicologa psicologo remis secundaria senor senora sra taller taxi teatro
    telefono tenis trabajo turno uni universidad veterinaria veterinario viaje vieja viejo
    whatsapp yoga
    and boss doctor friend from gym home house job mobile new office old phone plumber
    school teacher the uncle university with work
""")
_LETTERS = r"[\w\u0300-\u036f]+"  # with combining accents, for texts that are not in NFC
_WORD = re.compile(
    rf"(?<![\w@])(?P<mention>@[{names.MARKS}]*)?(?:(?<=[\w,;)] )(?P<inside>))?(?P<word>{_LETTERS})"
)
# How a word must be written to be a name, from least to most strict: flor, Flor, y Flor, @flor.
_ANY_CASE, _CAPITAL, _CAPITAL_INSIDE, _AFTER_AT = range(4)


def replace_mentions(
    texts: Iterable[str],
    pseudonyms: Mapping[str, str],
    nicknames: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[list[str], Counter[str]]:
    """Replace names in texts with pseudonyms (name -> pseudonym).

    A person is recognized by the first word of the name, in any case and with or without accents;
    by its later words if they have a capital or follow the first; and by any of them after "@".
    Words that people add to a contact (Ana Trabajo) are no names. `nicknames` (name -> what else
    the person is called) are replaced wherever they stand.

    Call this before `pii.replace`, which replaces the mentions of numbers that are left
    (@5493515551234). Returns the texts, and how often each pseudonym was put in.
    """
    counts: Counter[str] = Counter()
    texts = list(texts)
    for name, nicknames_of_name in nicknames.items():
        patterns = sorted(map(names.whole, nicknames_of_name), key=len, reverse=True)
        pattern, pseudonym = re.compile("|".join(patterns)), pseudonyms[name]
        for index, text in enumerate(texts if nicknames_of_name else ()):
            texts[index], count = names.replaced(text, pattern, pseudonym)
            counts[pseudonym] += count
    forms_of = _name_words(pseudonyms)
    return [_replace_names(text, forms_of, counts) for text in texts], counts


def _name_words(pseudonyms: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Folded word of a name -> pseudonym of each person who has it -> form it needs (_ANY_CASE …).

    The later words of a name need a capital, ordinary words one inside a sentence, and words of one
    or two letters "@".
    """
    forms_of: dict[str, dict[str, int]] = {}
    for name, pseudonym in pseudonyms.items():
        words, form = re.findall(_LETTERS, name), _ANY_CASE
        if names.is_number(name):
            words = [re.sub(r"\D", "", name)]
        elif not any(map(str.isalpha, words)):
            continue
        for key in map(fold, words):
            if key in CONTACT_WORDS or (len(words) > 1 and not key.isalpha()):
                continue
            if len(key) < 3:
                needed = _AFTER_AT
            else:
                needed = max(form, _CAPITAL_INSIDE) if key in ORDINARY else form
            forms = forms_of.setdefault(key, {})
            forms[pseudonym] = min(needed, forms.get(pseudonym, needed))
            form = form if needed == _AFTER_AT else _CAPITAL
    return forms_of


def _replace_names(
    text: str, forms_of: Mapping[str, Mapping[str, int]], counts: Counter[str]
) -> str:
    """A text with pseudonyms, which are added to `counts`; `forms_of` is from `_name_words`."""
    spans: list[tuple[int, int, list[str]]] = []  # start, end, pseudonyms that are possible
    previous = ""
    for match in _WORD.finditer(text):
        word, key = match["word"], fold(match["word"])
        if not (forms := forms_of.get(key)):
            continue
        if spans and text[spans[-1][1] : match.start()] == " " and not match["mention"]:
            # A surname after the first name continues the mention, and tells one Juan from another.
            both = [person for person in spans[-1][2] if person in forms and key != previous]
            if both:
                spans[-1], previous = (spans[-1][0], match.end(), both), key
                continue
        capital_inside = word.istitle() and match["inside"] is not None
        if match["mention"]:
            form = _AFTER_AT
        else:
            form = _CAPITAL_INSIDE if capital_inside else _CAPITAL * word[0].isupper()
        if people := [person for person, needed in forms.items() if needed <= form]:
            spans.append((match.start("word"), match.end(), people))
            previous = key
    pieces, end_of_last = [], 0
    for start, end, people in spans:
        pieces += [text[end_of_last:start], people[0]]
        counts[people[0]] += 1
        end_of_last = end
    return "".join(pieces) + text[end_of_last:]
