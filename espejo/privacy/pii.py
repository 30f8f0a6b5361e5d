"""Find and replace personal data in the text of messages, offline and with no model.

| type          | what it is                                                                     |
| ------------- | ------------------------------------------------------------------------------ |
| <URL>         | links, with or without https://                                                |
| <COORDINATES> | -31.4201, -64.1888; degrees and minutes; a link to a place on a map            |
| <EMAIL>       | ana@example.com, and ana@gmail as people shorten it                            |
| <IBAN>, <CBU> | bank accounts; CBU is the Argentine one, with the CVU and the alias of wallets |
| <ACCOUNT>     | other accounts: CLABE (Mexico), CCC (Spain), UPI (India), random keys of Pix   |
|               | (Brazil), and any after "número de cuenta"                                     |
| <CARD>        | payment cards                                                                  |
| <ID>          | Argentina: DNI, CUIT, CUIL. Brazil: CPF, CNPJ, RG. Chile: RUT. Colombia:       |
|               | cédula, NIT. Ecuador, Uruguay, Venezuela: cédula, C.I., RIF. France: NIR.      |
|               | India: Aadhaar, PAN. Italy: codice fiscale. Mexico: CURP, RFC, NSS, the key of |
|               | voters. Peru: DNI, RUC. Portugal: NIF. Spain: DNI, NIE, CIF, social security.  |
|               | United States: SSN, ITIN. Passports                                            |
| <CODE>        | codes, PINs and passwords that let somebody in: "tu código es 123456"          |
| <PHONE>       | phone numbers, and mentions of a number                                        |

A pattern proposes; check digits (python-stdnum) and numbering plans (phonenumbers, Google's
libphonenumber) decide. Where there is neither, a word beside it or full stops must tell: so it is
with an Argentine DNI, a cédula, a passport. Some have check digits too weak for bare digits, and
need a word as well: Aadhaar undivided, NSS, NIF, SSN without dashes. What is announced may be
several: "dni 30123456 y 31234567". A phone number after a `+` or a word such as "cel", or before
one, need only have a possible length; others must be valid in one of the regions, because bare
digits are mostly something else. A password is a CODE: "clave" and "pin" name both, and a reader
cannot tell them apart.

Characters that nobody sees (soft hyphens, zero-width ones) do not hide anything and are replaced
with what they stand in.

Missed: street addresses, names (see espejo.privacy.pseudonyms), user names, what is spelt out ("ana
arroba gmail punto com") or spread over messages; DNI and local phone numbers with no such word; a
code of three digits but a card's; passwords of several words or of letters alone, unless in
quotation marks or alone after a colon ("contraseña: milanesa"); codes and passwords with no word
for them, or with one that is in no list of espejo.privacy.codes; other countries' ID numbers. Found
too often: ten bare digits that happen to be a valid phone number, a price beside a phone ("celu
nuevo 1250000"), one in ten of the bare numbers of 16 digits (as CARD), of 18 (as ACCOUNT) and of
three groups of four (as ID). Accents are expected composed (NFC).
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from stdnum import iban, luhn
from stdnum.ar import cbu
from stdnum.in_ import pan

from espejo.privacy import codes, identifiers, phones
from espejo.privacy.cues import COUNTED, END, SMALL, START, WHOSE, after, joined

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
_POINT = rf"{_DEGREES}[,;\s]\s?{_DEGREES}(?!\w)"
_MINUTES = r"\d{1,3} ?° ?\d{1,2} ?['′’´] ?(?:\d{1,2}(?:[.,]\d+)? ?[\"”″'′’]{1,2} ?)?[NSEWO]\b"
_ACCOUNT = (
    r"(?<!\w)[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?:[ -][A-Z0-9]{4}\b){2,7}(?:[ -][A-Z0-9]{1,3}\b)?)"
)
_ALIAS = r"[a-z0-9-]++(?:\.[a-z0-9-]++)+"
_UPI = (  # India's addresses to pay to, of the banks and wallets that most have
    r"(?<![\w.+%-])[\w.+%-]++@(?:ok(?:axis|hdfcbank|icici|sbi)|ybl|ibl|axl|y?apl|upi|paytm"
    r"|pt(?:axis|hdfc|sbi|yes)|wa(?:axis|hdfcbank|icici|sbi))(?![\w-]|\.\w)"
)
_CARD = (
    r"(?:[2-6]\d{3}(?:[ .-]?\d{4}){3}|3[47]\d\d[ .-]?\d{6}[ .-]?\d{5}|3[0689]\d\d[ .-]?\d{6}[ .-]?"
    r"\d{4}|4\d{12}|[2-6]\d{15}|(?:50|5[6-9]|6\d)\d{15,17})"
)
_WHOSE = "mi|mis|su|tu|my|our|her|his|your|nuevo|nuestro|meu|seu|mio|phone|contact"
_CALLED = (  # also what people call: a cab, a delivery
    r"remis(?:es|er[ií]a)?|taxi|delivery|"
    r"tel(?:[eé]fonos?|efones?|s)?|tl?fn?o?|cel(?:u|ular|ulares|lulare|l|lphone|s)?|m[oó]vil(?:es)?"
    r"|mobile|fono|fijos?|phone|landline|whats?app|w[ap]?sp|wpp|[wg]uasap|zap"
    rf"|(?:{_WHOSE}) n[uúu]mer[oi]|(?:{_WHOSE}) (?:number|nro)|llam[aá](?:me|lo|los|la|las|r)?"
    r"|call|(?:text|ring|reach) (?:me|him|her|us)|agend[aá](?:me|lo|la)|contacto|chiamami|me liga"
    r"|escrib[ií](?:me|le|les|nos)|m[aá]nda(?:me|le)"
)
_CALL = re.compile(after(_CALLED, WHOSE, r"\Z"), re.I)
_CALL_AFTER = re.compile(  # 4555-1234 (y 4555-1235) es mi fijo
    rf"(?:{joined(phones.SHAPE)})?\s?(?:es|son|is|are|é)\s(?:(?:{SMALL}|los|las|sus|mis)\s){{0,3}}"
    rf"(?:{_CALLED})(?!\w)",
    re.I,
)

_HARMLESS = (  # money, counts, dates, hashtags
    r"(?:[$€]|\b(?:usd|ars|eur)\b) ?\d[\d.,]*+"
    rf"|{START}\d[\d.,]*+ ?(?:[%€]|(?:mil |millones )?(?:de )?(?:{COUNTED})\b)"
    r"|(?<![\w/.-])(?:[0-3]?\d([/.])[01]?\d\1|[0-3]?\d-[01]?\d-(?=\d{4}))(?:\d{4}|\d\d)(?![\w/-])"
    r"|(?<![\w/.-])[0-3]?\d/[01]?\d(?![\w/-])"
    r"|(?<![\w/.-])[12]\d{3}([/.-])[01]?\d\2[0-3]?\d(?!\w)|#\w+"
)
# Files, orders and other things that bear numbers: "expediente 123456/2023", "pedido 4512345678".
_FILED = (
    r"expedientes?|expte|exp|causa|legajo|resoluci[oó]n|decreto|ley|pedido|orden|order|invoice"
    r"|factura|fatura|boleta|remito|recibo|tr[aá]mite|ticket|tracking|rastreio|seguimiento|gu[ií]a"
    r"|matr[ií]cula|lote|serie|serial|p[oó]liza|socio|reclamo|operaci[oó]n|comprobante"
    r"|transacci[oó]n|referencia|ref|protocolo|protocol|isbn|issn|ean|barras|sku|partida|padr[oó]n"
    r"|caso|build|versi[oó]n|firmware|paquete|env[ií]o|processo|nota fiscal|art[ií]culo|producto"
    "|cliente"
)
_FILE_WORDS = (
    "(?-i:[A-Z]{2,5})|es|era|is|é|el|la|nro|num|n|nº|no|n[uú]mero|number|del?|compra|servicio"
)
_FILE = after(_FILED, _FILE_WORDS, r"(?=[\d./-]{6})\d[\d./-]*+")
_BY_YEAR = rf"{START}\d{{3,9}}/(?:19|20)\d\d{END}"
# Thousands and times, several of which in a row read like one phone number.
_SHORT = rf"{START}(?:\d{{1,3}}\.\d{{3}}|\d{{1,2}}(?:\.\d{{3}}){{2}}|[0-2]?\d[.:][0-5]\d)(?!:){END}"


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return len(digits) > 12 and luhn.is_valid(digits)


def _on_earth(text: str) -> bool:
    degrees = [abs(float(each)) for each in re.findall(r"\d+\.\d+", text)]
    return len(degrees) == 2 and degrees[0] <= 90 and degrees[1] <= 180


class _Rule(NamedTuple):
    """A pattern proposes data of a type, "" for what is none; `accepts` decides.

    A text in which what it `needs` does not occur is spared the search.
    """

    type: str
    needs: str
    pattern: str
    accepts: Callable[[str], object] = bool
    more: str = ""  # what further data of the kind looks like, straight after it


# A password has a digit, a sign, a capital within, or comes after a sign.
_ENTRY = r"(?=(?s:.)*?[\d:=@#$%&^+\"'“«]|(?s:.)*?(?-i:[a-zà-ÿ][A-ZÀ-Þ]))"
_NEEDS = {
    "": "",
    "@": "@",
    "digits": r"(?:\d\D*+){6}",
    "word": rf"\A{_ENTRY}(?s:.)*?{codes.SIGNS}",
}


def _rules_of(numbers: Sequence[identifiers.Identifier]) -> list[_Rule]:
    return [
        _Rule(
            number.type,
            "digits",
            (after(number.words, WHOSE, number.shape) if number.words else START + number.shape)
            + END,
            number.accepts,
            joined(number.shape) + END if number.words else "",
        )
        for number in numbers
    ]


# In order: what a rule takes, later ones do not see.
_RULES = [
    _Rule("COORDINATES", "digits", _URL, _LINKED.search),
    _Rule("URL", "", _URL),
    _Rule("ACCOUNT", "@", _UPI),
    _Rule("ACCOUNT", "@", after("upi(?: id)?|vpa", SMALL, r"[\w.+%-]++@[a-z]++(?![\w-]|\.\w)")),
    _Rule("EMAIL", "@", _MAIL),
    _Rule("PHONE", "@", r"(?<!\w)@(?P<it>\d{8,15})(?!\w)"),  # a mention: WhatsApp writes it itself
    _Rule(
        "CBU",
        "",
        after("alias", f"{WHOSE}|cbu|mp|pago|bancario", _ALIAS),
        lambda text: len(text) > 5,
    ),
    _Rule("IBAN", "digits", _ACCOUNT, iban.is_valid),
    _Rule("CBU", "digits", r"(?<!\w)\d{7}[ -]?\d[ -]?\d{13}[ -]?\d(?!\w)", cbu.is_valid),
    *_rules_of(identifiers.ACCOUNTS),
    _Rule("CARD", "digits", START + _CARD + END, _is_card),
    _Rule("COORDINATES", "digits", rf"(?<![\w.,-]){_POINT}", _on_earth, rf"(?P<it>{_POINT})"),
    _Rule("COORDINATES", "", rf"(?<!\w){_MINUTES}(?:[\s,;]{{1,3}}{_MINUTES})?"),
    _Rule("CODE", "digits", r"(?<!\w)G-\d{6}(?!\w)"),
    *(_Rule("CODE", "word", pattern, more=codes.MORE) for pattern in codes.PATTERNS),
    _Rule("", "digits", _HARMLESS),
    _Rule("", "digits", _FILE),
    _Rule("", "digits", _BY_YEAR),
    _Rule("ID", "", rf"{START}(?-i:[A-Z]{{5}})\d{{4}}(?-i:[A-Z]){END}", pan.is_valid),
    _Rule("ID", "", after("pan(?: card)?", SMALL, r"[A-Z]{5}\d{4}[A-Z]") + END, pan.is_valid),
    *_rules_of(identifiers.IDS),
    _Rule("", "digits", _SHORT),
]
_COMPILED = [
    (rule, re.compile(rule.pattern, re.I), re.compile(rule.more, re.I) if rule.more else None)
    for rule in _RULES
]
_SIGNS = {need: re.compile(pattern, re.I) for need, pattern in _NEEDS.items()}
_SUSPECT = re.compile(
    r"[@/]|\d(?:\W{0,3}\d){3}|\d\d[a-z]\d\d[a-z]\d{3}|www\.|\.(?:com|net|org|edu|gob|gov)|alias|"
    + codes.SIGNS,
    re.I,
)
_PLAIN = {ord(c): " " for c in "\u00a0\u2007\u2009\u202f"}  # one character for one: offsets stay
_PLAIN |= {ord(c): "-" for c in "\u2010\u2011\u2012\u2013\u2014\u2212"}
# Soft hyphens, zero-width characters, marks of direction, variation selectors: nobody sees them.
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)


def find(text: str, regions: Sequence[str] = REGIONS) -> list[Found]:
    """The personal data in `text`, in order and not overlapping.

    A phone number without a country code is one if it is valid in any of `regions`.
    """
    rest = text
    places: Sequence[int] = range(len(text))  # of the characters of `rest` in `text`
    if _UNSEEN.search(text):
        places = [index for index, sign in enumerate(text) if not _UNSEEN.match(sign)]
        rest = "".join(text[index] for index in places)
    if not _SUSPECT.search(rest):
        return []
    rest, matches = rest.translate(_PLAIN), []
    while claims := _claims(rest, regions):  # what is covered may lay bare something beside it
        rest = _covered(rest, claims)
        matches += claims
    spans = ((places[start], places[end - 1] + 1, type_) for start, end, type_ in sorted(matches))
    return [Found(type_, start, end, text[start:end]) for start, end, type_ in spans]


def replace(text: str, regions: Sequence[str] = REGIONS) -> tuple[str, Counter[str]]:
    """`text` with <TYPE> in place of its personal data, and how many there were of each type."""
    matches = find(text, regions)
    pieces, end = [], 0
    for match in matches:
        pieces += [text[end : match.start], f"<{match.type}>"]
        end = match.end
    return "".join(pieces) + text[end:], Counter(match.type for match in matches)


def mask(match: Found) -> str:
    """Personal data as a report may show it: `+54 9 351 ***`, `j***@***`, `<CARD>`.

    A phone number loses its last seven digits: what is left is country and area.
    """
    if match.type == "PHONE":
        return re.sub(r"\W*(?:\d\D*){7}\Z", " ***", match.text).strip()
    return f"{match.text[0]}***@***" if match.type == "EMAIL" else f"<{match.type}>"


def _claims(text: str, regions: Sequence[str]) -> list[_Span]:
    """One pass of the rules, and the phone numbers in what they leave."""
    claims: list[_Span] = []
    there = {need for need, sign in _SIGNS.items() if sign.search(text)}
    for rule, pattern, more in _COMPILED:
        if rule.needs not in there:
            continue
        spans: list[_Span] = []
        for match in pattern.finditer(text):
            further: re.Match[str] | None = match
            while further and (span := _accepted(further, rule.accepts)):
                if not spans or span[0] >= spans[-1][1]:  # the next cue may stand before it too
                    spans.append((*span, rule.type))
                further = more and more.match(text, span[1])
        if spans:
            text = _covered(text, spans)
            claims += spans
    if "digits" in there:
        claims += [(*span, "PHONE") for span in phones.find(text, regions, _CALL, _CALL_AFTER)]
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
    pieces, done = [], 0
    for start, end, _ in spans:
        pieces += [text[done:start], "\0" * (end - start)]
        done = end
    return "".join(pieces) + text[done:]
