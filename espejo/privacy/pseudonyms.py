"""Pseudonyms for participants, and the mentions of their names in what people write.

A pseudonym is the place of a name in people.yaml, which git ignores for one's own chats and which
is only ever extended: a name keeps its number whatever other files come or go. Computed anew,
numbers in sorted order would shift with every new chat. A hash of the name would not, but whoever
guesses a name could verify it; and PERSON_1 is easier to learn and to read than PERSON_3f9a2c.

Pseudonyms are no anonymity: who writes how, and to whom, stays recognisable. Mentions missed:
nicknames and diminutives (Florcita) that are not among the aliases of people.yaml, misspellings
(Floor), parts of one or two letters without @, user names (flor_gomez), people who write in no
chat, surnames and ordinary words in small letters (Sol, mamá). Replaced too often: words that are
a first name in no list here ("flor de asado").
Two people with one first name: the first of them, unless the surname follows; what was added to a
contact tells them not apart (@Ana Trabajo beside Ana Gómez).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from espejo.core import names
from espejo.core.text import fold


def listed(words: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(words.split())


# Names that are words too (as `fold` gives them): meant only in "y Sol" and "@sol".
ORDINARY = listed("""
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
# What people add to a contact, and titles: no part of the name.
COMMON = listed("""
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
_LETTERS = r"[\w\u0300-\u036f]+"  # with combining accents, where a text is not composed
_WORD = re.compile(
    rf"(?<![\w@])(?P<at>@[{names.MARKS}]*)?(?:(?<=[\w,;)] )(?P<inside>))?(?P<word>{_LETTERS})"
)
_ANY, _CAPITAL, _INSIDE, _AT = range(4)  # what makes a word a name: flor, Flor, y Flor, @flor


def mentions(
    texts: Iterable[str],
    pseudonyms: Mapping[str, str],
    nicknames: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[list[str], Counter[str]]:
    """The texts with names replaced by pseudonyms (name -> pseudonym), and how often each was.

    A name is its first word, in any case and with or without accents, and its later words where
    they stand capitalised or after the first. "@" makes a name of any of them. Of the words that
    people add to a contact (Ana Trabajo) none is a name. `nicknames`, by name, are names whatever
    they are. Do this before `pii.replace`, which takes what is left of mentions of numbers
    (@5493515551234).
    """
    counted: Counter[str] = Counter()
    texts = list(texts)
    for name, nicks in nicknames.items():
        whole = sorted(map(names.whole, nicks), key=len, reverse=True)
        pattern, by = re.compile("|".join(whole)), pseudonyms[name]
        for index, text in enumerate(texts if nicks else ()):
            texts[index], count = names.replaced(text, pattern, by)
            counted[by] += count
    parts = _parts(pseudonyms)
    return [_replaced(text, parts, counted) for text in texts], counted


def _parts(pseudonyms: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """Word -> pseudonyms of those who have it in their name -> the form in which it is a name."""
    parts: dict[str, dict[str, int]] = {}
    for name, pseudonym in pseudonyms.items():
        words, form = re.findall(_LETTERS, name), _ANY
        if names.is_number(name):
            words = [re.sub(r"\D", "", name)]
        elif not any(map(str.isalpha, words)):
            continue
        for key in map(fold, words):
            if key in COMMON or (len(words) > 1 and not key.isalpha()):
                continue
            needed = _AT if len(key) < 3 else max(form, _INSIDE) if key in ORDINARY else form
            who = parts.setdefault(key, {})
            who[pseudonym] = min(needed, who.get(pseudonym, needed))
            form = form if needed == _AT else _CAPITAL
    return parts


def _replaced(text: str, parts: Mapping[str, Mapping[str, int]], counted: Counter[str]) -> str:
    spans: list[tuple[int, int, list[str]]] = []  # start, end, who it may be
    previous = ""
    for match in _WORD.finditer(text):
        word, key = match["word"], fold(match["word"])
        if not (forms := parts.get(key)):
            continue
        if spans and text[spans[-1][1] : match.start()] == " " and not match["at"]:
            # The surname after the name: the same mention, and it tells one Juan from another.
            same = [who for who in spans[-1][2] if who in forms and key != previous]
            if same:
                spans[-1], previous = (spans[-1][0], match.end(), same), key
                continue
        titled = word.istitle() and match["inside"] is not None
        seen = _AT if match["at"] else _INSIDE if titled else _CAPITAL * word[0].isupper()
        if who := [who for who, needed in forms.items() if needed <= seen]:
            spans.append((match.start("word"), match.end(), who))
            previous = key
    pieces, done = [], 0
    for start, end, who in spans:
        pieces += [text[done:start], who[0]]
        counted[who[0]] += 1
        done = end
    return "".join(pieces) + text[done:]
