"""Find and replace personal data in the text of messages, offline and with no model.

| type          | what it is                                                                     |
| ------------- | ------------------------------------------------------------------------------ |
| <URL>         | links, with or without https://                                                |
| <COORDINATES> | -31.4201, -64.1888; degrees and minutes; a link to a place on a map            |
| <EMAIL>       | ana@example.com, and ana@gmail as people shorten it                            |
| <IBAN>, <CBU> | bank accounts; CBU is the Argentine one, with the CVU and the alias of wallets |
| <CARD>        | payment cards                                                                  |
| <ID>          | DNI, CUIT and CUIL (Argentina), RUT (Chile), DNI and NIE (Spain), CPF (Brazil) |
| <CODE>        | codes and PINs that let somebody in: "tu código es 123456"                     |
| <PHONE>       | phone numbers, and mentions of a number                                        |

A pattern proposes; check digits (python-stdnum) and numbering plans (phonenumbers, Google's
libphonenumber) decide. An Argentine DNI has neither: it needs a word beside it or its full stops.
A phone number after a `+` or a word such as "cel" need only have a possible length; others must be
valid in one of the regions, because bare digits are mostly something else.

Missed: street addresses, names (see espejo.pseudonyms), user names, passwords with letters, what is
spelt out ("ana arroba gmail punto com") or spread over messages, DNI and local phone numbers with
no such word, other countries' ID numbers. Found too often: ten bare digits that happen to be a
valid phone number. Accents are expected composed (NFC).
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from stdnum import iban, luhn
from stdnum.ar import cbu, cuit
from stdnum.br import cpf
from stdnum.cl import rut
from stdnum.es import dni, nie

from espejo import phones

REGIONS = ("AR", "ES", "CL", "BR", "MX", "UY", "PY", "PE", "CO")  # ISO 3166, the likeliest first


@dataclass(frozen=True)
class Found:
    """Personal data at `start`:`end` of a text; `text` stays out of repr and so out of logs."""

    type: str
    start: int
    end: int
    text: str = field(repr=False)


_Span = tuple[int, int, str]  # start, end, type; "" for what is no personal data

# To every pattern "<", ">" and the "\0" that covers what was found are an end. So a text reads the
# same before and after replacement, and replacing twice is replacing once.
_TAIL = r"[^\s<>\0]*[^\s<>\0.,;:!?()\[\]{}'\"«»“”‘’…*_~]"  # of a URL; it does not end a sentence
_HOST = r"(?<![\w@.-])(?:[\w-]++\.)+"
_NEEDS_PATH = (  # "ok.es que" and "bueno.me voy" are people who leave no space
    "app|info|link|page|site|online|shop|store|ar|es|cl|br|mx|uy|py|pe|co|ec|ve|bo|us|uk|pt|fr|it"
    "|de|eu|me|tv|io|ai|gg|ly|gl|be|fm|gd|fi|to"
)
_URL = (
    rf"(?<![a-z0-9])[a-z][a-z0-9+.-]{{1,15}}://(?=[^\s<>\0]{{0,99}}[.\d]){_TAIL}|(?<!\w)www\.{_TAIL}"
    rf"|{_HOST}(?:com|net|org|edu|gob|gov)(?:\.[a-z]{{2}})?(?!\w)(?:[/?#:]{_TAIL})?"
    rf"|{_HOST}(?:{_NEEDS_PATH})/(?=[^\s<>\0]{{3}}){_TAIL}"
)
_LINKED = re.compile(r"-?\d{1,2}\.\d{3,}(?:,|%2C)\+?-?\d{1,3}\.\d{3,}", re.I)
_MAIL = r"(?<![\w.+%-])[\w.+%-]++@(?:(?:[\w-]++\.)+[^\W\d_]{2,}|(?:gmail|hotmail|outlook|yahoo)\b)"
_DEGREES = r"-?\d{1,3}\.\d{4,}°?(?: ?[NSEWO]\b)?"  # 12.500, 13.400 with three decimals are prices
_MINUTES = r"\d{1,3} ?° ?\d{1,2} ?['′’´] ?(?:\d{1,2}(?:[.,]\d+)? ?[\"”″'′’]{1,2} ?)?[NSEWO]\b"
_ACCOUNT = (
    r"(?<!\w)[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?:[ -][A-Z0-9]{4}\b){2,7}(?:[ -][A-Z0-9]{1,3}\b)?)"
)
_END = r"(?!-?\w|[.,]\d)"
_START = r"(?<![\w+-])(?<!\d[.,])"
_ALIAS = r"[a-z0-9-]++(?:\.[a-z0-9-]++)+"
_CARD = (
    r"(?:[2-6]\d{3}(?:[ .-]?\d{4}){3}|3[47]\d\d[ .-]?\d{6}[ .-]?\d{5}|3[0689]\d\d[ .-]?\d{6}[ .-]?"
    r"\d{4}|[2-6]\d{12,18})"
)
_MILLIONS = r"\d{1,2}[. ]?\d{3}[. ]?\d{3}"
_DIGITS = r"(?:\d{3}[ -]\d{3}|\d{4,8})"


def _after(cue: str, fillers: str, what: str) -> str:
    """A pattern of `what`, as the group `it`, a few small words after a cue: "mi dni es el 30"."""
    gap = r"[\s:.,=#°º(*-]"
    return rf"(?<!\w)(?:{cue})(?:{gap}{{1,3}}(?:{fillers})\b){{0,6}}{gap}{{0,3}}(?P<it>{what})"


_SMALL = "es|era|is|é|el|la|al|a|o|the|at|mi|my|tu|su|nro|num|n|n[uú]mero|number|nuevo|new|del?"
_CALLED = (
    r"tel(?:[eé]f(?:ono)?|efone)?|cel(?:u|ular)?|m[oó]vil|fono|fijo|phone|whats?app|w[ap]?sp|wpp"
    r"|[wg]uasap|zap|(?:mi|su|my|nuevo) n[uú]mero|llam[aá](?:me|lo|la|r)?|call"
)
_CALL = re.compile(_after(_CALLED, _SMALL, r"\Z"), re.I)
_PURPOSE = (
    f"{_SMALL}|do|da|you|your|seu|for|para|whatsapp|google|instagram|facebook|telegram|verifica[cç]"
    "i?[oóã][no]|verification|seguridad|seguran[cç]a|security|acc?es[so]o?|confirma[cç]i?[oóã][no]"
    "|confirmation|ingreso|inicio|sesi[oó]n|login|registro"
)
_SECRET = "c[oó]digos?|code|pin|otp|token|clave|contraseña|password|passcode|senha"
_BEFORE_SECRET = rf"{_START}(?P<it>{_DIGITS}) (?:es|is|é) (?:(?:{_PURPOSE}) ){{0,4}}(?:{_SECRET})\b"
_COUNTED = (
    r"pesos|d[oó]lares|euros|reales|reais|usd|personas|habitantes|votos|seguidores|vistas|views"
    r"|likes|visitas|reproducciones|kil[oó]metros|kms?|metros|mts?|m2|kilos|kgs?|gr?|litros|años"
)
_HARMLESS = (  # money, counts, dates, hashtags
    r"(?:[$€]|\b(?:usd|ars|eur)\b) ?\d[\d.,]*+"
    rf"|{_START}\d[\d.,]*+ ?(?:[%€]|(?:mil |millones )?(?:de )?(?:{_COUNTED})\b)"
    r"|(?<![\w/.-])(?:[0-3]?\d([/.])[01]?\d\1|[0-3]?\d-[01]?\d-(?=\d{4}))(?:\d{4}|\d\d)(?![\w/-])"
    r"|(?<![\w/.-])[12]\d{3}([/.-])[01]?\d\2[0-3]?\d(?!\w)|#\w+"
)
# Thousands and times, several of which in a row read like one phone number.
_SHORT = (
    rf"{_START}(?:\d{{1,3}}\.\d{{3}}|\d{{1,2}}(?:\.\d{{3}}){{2}}|[0-2]?\d[.:][0-5]\d)(?!:){_END}"
)


def _undotted(is_valid: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda text: is_valid(text.replace(".", ""))


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return len(digits) > 12 and luhn.is_valid(digits)


def _on_earth(text: str) -> bool:
    degrees = [abs(float(each)) for each in re.findall(r"\d+\.\d+", text)]
    return len(degrees) == 2 and degrees[0] <= 90 and degrees[1] <= 180


# Type ("" for what is no personal data), pattern, and what must accept a candidate; in order: what
# a rule takes, later ones do not see.
_RULES: list[tuple[str, re.Pattern[str], Callable[[str], object]]] = [
    (type_, re.compile(pattern, re.I), accepts)
    for type_, pattern, accepts in (
        ("COORDINATES", _URL, _LINKED.search),
        ("URL", _URL, bool),
        ("EMAIL", _MAIL, bool),
        ("PHONE", r"(?<!\w)@(?P<it>\d{8,15})(?!\w)", bool),  # a mention: WhatsApp writes it itself
        ("CBU", _after("alias", f"{_SMALL}|cbu|mp", _ALIAS), lambda text: len(text) > 5),
        ("IBAN", _ACCOUNT, iban.is_valid),
        ("CBU", r"(?<!\w)\d{7}[ -]?\d[ -]?\d{13}[ -]?\d(?!\w)", cbu.is_valid),
        ("CARD", _START + _CARD + _END, _is_card),
        ("COORDINATES", rf"(?<![\w.,-]){_DEGREES}[,;\s]\s?{_DEGREES}(?!\w)", _on_earth),
        ("COORDINATES", rf"(?<!\w){_MINUTES}(?:[\s,;]{{1,3}}{_MINUTES})?", bool),
        ("CODE", r"(?<!\w)G-\d{6}(?!\w)", bool),
        ("CODE", _after(_SECRET, _PURPOSE, _DIGITS) + _END, bool),
        ("CODE", _BEFORE_SECRET, bool),
        ("", _HARMLESS, bool),
        ("ID", rf"{_START}{_MILLIONS}-[\dK]{_END}", rut.is_valid),
        ("ID", _after("rut|run", _SMALL, rf"{_MILLIONS}-?[\dK]") + _END, rut.is_valid),
        ("ID", rf"{_START}\d\d[ .-]?{_MILLIONS}[ .-]?\d{_END}", _undotted(cuit.is_valid)),
        ("ID", rf"{_START}\d{{3}}\.?\d{{3}}\.?\d{{3}}-?\d\d{_END}", cpf.is_valid),
        ("ID", rf"{_START}{_MILLIONS}-?[A-Z]{_END}", _undotted(dni.is_valid)),
        ("ID", rf"{_START}[XYZ]-?\d{{7}}-?[A-Z]{_END}", nie.is_valid),
        ("ID", _after(r"dni|d\.n\.i|documento|doc|c[eé]dula", _SMALL, _MILLIONS) + _END, bool),
        ("ID", rf"{_START}\d\d\.\d{{3}}\.(?!000)\d{{3}}{_END}", bool),  # 85.000.000 is a price
        ("", _SHORT, bool),
    )
]
_SUSPECT = re.compile(
    r"[@/]|\d(?:\W{0,3}\d){3}|[wW]{3}\.|\.(?i:com|net|org|edu|gob|gov)|(?i:alias)"
)
_PLAIN = {ord(c): " " for c in "\u00a0\u2007\u2009\u202f"}  # one character for one: offsets stay
_PLAIN |= {ord(c): "-" for c in "\u2010\u2011\u2012\u2013\u2014\u2212"}


def find(text: str, regions: Sequence[str] = REGIONS) -> list[Found]:
    """The personal data in `text`, in order and not overlapping.

    A phone number without a country code is one if it is valid in any of `regions`.
    """
    if not _SUSPECT.search(text):
        return []
    rest, found = text.translate(_PLAIN), []
    while claims := _claims(rest, regions):  # what is covered may lay bare something beside it
        rest = _covered(rest, claims)
        found += claims
    return [Found(type_, start, end, text[start:end]) for start, end, type_ in sorted(found)]


def replace(text: str, regions: Sequence[str] = REGIONS) -> tuple[str, Counter[str]]:
    """`text` with <TYPE> in place of its personal data, and how many there were of each type."""
    found = find(text, regions)
    pieces, at = [], 0
    for one in found:
        pieces += [text[at : one.start], f"<{one.type}>"]
        at = one.end
    return "".join(pieces) + text[at:], Counter(one.type for one in found)


def mask(one: Found) -> str:
    """Personal data as a report may show it: `+54 9 351 ***`, `j***@***`, `<CARD>`.

    A phone number loses its last seven digits: what is left is country and area.
    """
    if one.type == "PHONE":
        return re.sub(r"\W*(?:\d\D*){7}\Z", " ***", one.text).strip()
    return f"{one.text[0]}***@***" if one.type == "EMAIL" else f"<{one.type}>"


def _claims(text: str, regions: Sequence[str]) -> list[_Span]:
    """One pass of the rules, and the phone numbers in what they leave."""
    claims: list[_Span] = []
    for type_, pattern, accepts in _RULES:
        spans = [
            (*span, type_)
            for match in pattern.finditer(text)
            if (span := _accepted(match, accepts))
        ]
        text = _covered(text, spans)
        claims += spans
    claims += [(*span, "PHONE") for span in phones.find(text, regions, _CALL)]
    return sorted(claim for claim in claims if claim[2])


def _accepted(match: re.Match[str], accepts: Callable[[str], object]) -> tuple[int, int] | None:
    """Where the validator finds what it accepts: the candidate, or it without its last groups."""
    group = "it" if "it" in match.re.groupindex else 0
    candidate = match[group]
    while candidate and not accepts(candidate):
        candidate = candidate.rpartition(" ")[0]  # that group may be a number of its own
    start = match.start(group)
    return (start, start + len(candidate)) if candidate else None


def _covered(text: str, spans: Sequence[_Span]) -> str:
    pieces, at = [], 0
    for start, end, _ in spans:
        pieces += [text[at:start], "\0" * (end - start)]
        at = end
    return "".join(pieces) + text[at:]
