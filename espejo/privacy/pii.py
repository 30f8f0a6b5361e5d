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

Patterns find candidates; check digits (python-stdnum) and numbering plans (phonenumbers, Google's
libphonenumber) decide. Numbers with neither, such as an Argentine DNI, a cédula or a passport, need
a cue (a word beside them) or full stops. Some check digits are too weak for bare digits, and need a
cue as well: Aadhaar without spaces, NSS, NIF, SSN without dashes. One cue may announce several
numbers: "dni 30123456 y 31234567". A phone number with a "+" or a cue such as "cel" before or after
it only needs a possible length; others must be valid in one of the regions, because bare digits are
mostly something else. Passwords are of type CODE, because "clave" and "pin" may mean both.

Invisible characters (soft hyphens, zero-width ones) do not hide data and are replaced with it.

Missed: street addresses, names (see espejo.privacy.pseudonyms), user names, data that is spelt out
("ana arroba gmail punto com") or spread over messages; DNI and local phone numbers without a cue;
codes of three digits, except a card's; passwords of several words or of letters alone, unless in
quotation marks or alone after a colon ("contraseña: milanesa"); codes and passwords without a cue,
or with one that espejo.privacy.codes does not list; ID numbers of other countries.

Found though it is none: ten bare digits that happen to be a valid phone number, a price beside a
phone ("celu nuevo 1250000"), one in ten of the bare numbers of 16 digits (as CARD), of 18 (as
ACCOUNT) and of three groups of four (as ID). Texts are expected in NFC (composed accents).
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
from espejo.privacy.cues import END, FILLERS, START, UNITS, WHOSE, after_cue, further

REGIONS = ("AR", "ES", "CL", "BR", "MX", "UY", "PY", "PE", "CO")  # ISO 3166, likeliest first


@dataclass(frozen=True)
class PersonalData:
    """Personal data at `text[start:end]`; its text is left out of repr and so of logs."""

    type: str
    start: int
    end: int
    text: str = field(repr=False)


_Span = tuple[int, int, str]  # start, end, type; type "" marks harmless text

# Every pattern ends at "<", ">" and the "\0" that masks earlier matches. So a text matches alike
# before and after replacement, and replacing twice changes nothing more.
_TAIL = r"[^\s<>\0]*[^\s<>\0.,;:!?()\[\]{}'\"«»“”‘’…*_~]"  # of a URL, without punctuation after it
_HOST = r"(?<![\w@.-])(?:[\w-]++\.)+"
_NEEDS_PATH = (  # else "ok.es que", "bueno.me voy" would be links
    "app|info|link|page|site|online|shop|store|ar|es|cl|br|mx|uy|py|pe|co|ec|ve|bo|us|uk|pt|fr|it"
    "|de|eu|me|tv|io|ai|gg|ly|gl|be|fm|gd|fi|to"
)
_URL = (
    rf"(?<![a-z0-9])[a-z][a-z0-9+.-]{{1,15}}://(?=[^\s<>\0]{{0,99}}[.\d]){_TAIL}|(?<!\w)www\.{_TAIL}"
    rf"|{_HOST}(?:com|net|org|edu|gob|gov)(?:\.[a-z]{{2}})?(?!\w)(?:[/?#:]{_TAIL})?"
    rf"|{_HOST}(?:{_NEEDS_PATH})/(?=[^\s<>\0]{{3}}){_TAIL}"
)
_COORDINATES_IN_URL = re.compile(r"-?\d{1,2}\.\d{3,}(?:,|%2C)\+?-?\d{1,3}\.\d{3,}", re.I)
_MAIL = r"(?<![\w.+%-])[\w.+%-]++@(?:(?:[\w-]++\.)+[^\W\d_]{2,}|(?:gmail|hotmail|outlook|yahoo)\b)"
_DEGREES = r"-?\d{1,3}\.\d{4,}°?(?: ?[NSEWO]\b)?"  # 12.500, 13.400 with three decimals are prices
_POINT = rf"{_DEGREES}[,;\s]\s?{_DEGREES}(?!\w)"
_MINUTES = r"\d{1,3} ?° ?\d{1,2} ?['′’´] ?(?:\d{1,2}(?:[.,]\d+)? ?[\"”″'′’]{1,2} ?)?[NSEWO]\b"
_IBAN = (
    r"(?<!\w)[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?:[ -][A-Z0-9]{4}\b){2,7}(?:[ -][A-Z0-9]{1,3}\b)?)"
)
_ALIAS = r"[a-z0-9-]++(?:\.[a-z0-9-]++)+"
_UPI = (  # India: addresses of payments, of the most used banks and wallets
    r"(?<![\w.+%-])[\w.+%-]++@(?:ok(?:axis|hdfcbank|icici|sbi)|ybl|ibl|axl|y?apl|upi|paytm"
    r"|pt(?:axis|hdfc|sbi|yes)|wa(?:axis|hdfcbank|icici|sbi))(?![\w-]|\.\w)"
)
_CARD = (
    r"(?:[2-6]\d{3}(?:[ .-]?\d{4}){3}|3[47]\d\d[ .-]?\d{6}[ .-]?\d{5}|3[0689]\d\d[ .-]?\d{6}[ .-]?"
    r"\d{4}|4\d{12}|[2-6]\d{15}|(?:50|5[6-9]|6\d)\d{15,17})"
)
_WHOSE = "mi|mis|su|tu|my|our|her|his|your|nuevo|nuestro|meu|seu|mio|phone|contact"
_PHONE_WORDS = (  # also what people call: a cab, a delivery
    r"remis(?:es|er[ií]a)?|taxi|delivery|"
    r"tel(?:[eé]fonos?|efones?|s)?|tl?fn?o?|cel(?:u|ular|ulares|lulare|l|lphone|s)?|m[oó]vil(?:es)?"
    r"|mobile|fono|fijos?|phone|landline|whats?app|w[ap]?sp|wpp|[wg]uasap|zap"
    rf"|(?:{_WHOSE}) n[uúu]mer[oi]|(?:{_WHOSE}) (?:number|nro)|llam[aá](?:me|lo|los|la|las|r)?"
    r"|call|(?:text|ring|reach) (?:me|him|her|us)|agend[aá](?:me|lo|la)|contacto|chiamami|me liga"
    r"|escrib[ií](?:me|le|les|nos)|m[aá]nda(?:me|le)"
)
_PHONE_CUE = re.compile(after_cue(_PHONE_WORDS, WHOSE, r"\Z"), re.I)
_PHONE_CUE_AFTER = re.compile(  # 4555-1234 (y 4555-1235) es mi fijo
    rf"(?:{further(phones.SHAPE)})?\s?(?:es|son|is|are|é)\s(?:(?:{FILLERS}|los|las|sus|mis)\s){{0,3}}"
    rf"(?:{_PHONE_WORDS})(?!\w)",
    re.I,
)

_HARMLESS = (  # money, counts, dates, hashtags
    r"(?:[$€]|\b(?:usd|ars|eur)\b) ?\d[\d.,]*+"
    rf"|{START}\d[\d.,]*+ ?(?:[%€]|(?:mil |millones )?(?:de )?(?:{UNITS})\b)"
    r"|(?<![\w/.-])(?:[0-3]?\d([/.])[01]?\d\1|[0-3]?\d-[01]?\d-(?=\d{4}))(?:\d{4}|\d\d)(?![\w/-])"
    r"|(?<![\w/.-])[0-3]?\d/[01]?\d(?![\w/-])"
    r"|(?<![\w/.-])[12]\d{3}([/.-])[01]?\d\2[0-3]?\d(?!\w)|#\w+"
)
# Records, orders and other things with numbers: "expediente 123456/2023", "pedido 4512345678".
_RECORDS = (
    r"expedientes?|expte|exp|causa|legajo|resoluci[oó]n|decreto|ley|pedido|orden|order|invoice"
    r"|factura|fatura|boleta|remito|recibo|tr[aá]mite|ticket|tracking|rastreio|seguimiento|gu[ií]a"
    r"|matr[ií]cula|lote|serie|serial|p[oó]liza|socio|reclamo|operaci[oó]n|comprobante"
    r"|transacci[oó]n|referencia|ref|protocolo|protocol|isbn|issn|ean|barras|sku|partida|padr[oó]n"
    r"|caso|build|versi[oó]n|firmware|paquete|env[ií]o|processo|nota fiscal|art[ií]culo|producto"
    "|cliente"
)
_RECORD_FILLERS = (
    "(?-i:[A-Z]{2,5})|es|era|is|é|el|la|nro|num|n|nº|no|n[uú]mero|number|del?|compra|servicio"
)
_RECORD_NUMBER = after_cue(_RECORDS, _RECORD_FILLERS, r"(?=[\d./-]{6})\d[\d./-]*+")
_NUMBER_AND_YEAR = rf"{START}\d{{3,9}}/(?:19|20)\d\d{END}"
# Thousands and times: several in a row look like one phone number.
_THOUSANDS_OR_TIME = (
    rf"{START}(?:\d{{1,3}}\.\d{{3}}|\d{{1,2}}(?:\.\d{{3}}){{2}}|[0-2]?\d[.:][0-5]\d)(?!:){END}"
)


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return len(digits) > 12 and luhn.is_valid(digits)


def _are_coordinates(text: str) -> bool:
    degrees = [abs(float(number)) for number in re.findall(r"\d+\.\d+", text)]
    return len(degrees) == 2 and degrees[0] <= 90 and degrees[1] <= 180


class _Rule(NamedTuple):
    """`pattern` finds candidates of a type ("" for harmless text), `accepts` validates them.

    A text is searched only if it matches the pattern _NEEDS[needs], which is faster.
    """

    type: str
    needs: str
    pattern: str
    accepts: Callable[[str], object] = bool
    further: str = ""  # pattern of more data of the type right after a match


# A password has a digit, a sign or a capital inside, or comes after a sign.
_PASSWORD_SIGN = r"(?=(?s:.)*?[\d:=@#$%&^+\"'“«]|(?s:.)*?(?-i:[a-zà-ÿ][A-ZÀ-Þ]))"
_NEEDS = {
    "": "",
    "@": "@",
    "digits": r"(?:\d\D*+){6}",
    "word": rf"\A{_PASSWORD_SIGN}(?s:.)*?{codes.CUES}",
}


def _rules_of(numbers: Sequence[identifiers.Identifier]) -> list[_Rule]:
    return [
        _Rule(
            number.type,
            "digits",
            (after_cue(number.cue, WHOSE, number.shape) if number.cue else START + number.shape)
            + END,
            number.accepts,
            further(number.shape) + END if number.cue else "",
        )
        for number in numbers
    ]


# In order of precedence: text that one rule matches is hidden from the later ones.
_RULES = [
    _Rule("COORDINATES", "digits", _URL, _COORDINATES_IN_URL.search),
    _Rule("URL", "", _URL),
    _Rule("ACCOUNT", "@", _UPI),
    _Rule(
        "ACCOUNT", "@", after_cue("upi(?: id)?|vpa", FILLERS, r"[\w.+%-]++@[a-z]++(?![\w-]|\.\w)")
    ),
    _Rule("EMAIL", "@", _MAIL),
    _Rule("PHONE", "@", r"(?<!\w)@(?P<data>\d{8,15})(?!\w)"),  # a mention as WhatsApp writes it
    _Rule(
        "CBU",
        "",
        after_cue("alias", f"{WHOSE}|cbu|mp|pago|bancario", _ALIAS),
        lambda text: len(text) > 5,
    ),
    _Rule("IBAN", "digits", _IBAN, iban.is_valid),
    _Rule("CBU", "digits", r"(?<!\w)\d{7}[ -]?\d[ -]?\d{13}[ -]?\d(?!\w)", cbu.is_valid),
    *_rules_of(identifiers.ACCOUNTS),
    _Rule("CARD", "digits", START + _CARD + END, _is_card),
    _Rule(
        "COORDINATES", "digits", rf"(?<![\w.,-]){_POINT}", _are_coordinates, rf"(?P<data>{_POINT})"
    ),
    _Rule("COORDINATES", "", rf"(?<!\w){_MINUTES}(?:[\s,;]{{1,3}}{_MINUTES})?"),
    _Rule("CODE", "digits", r"(?<!\w)G-\d{6}(?!\w)"),
    *(_Rule("CODE", "word", pattern, further=codes.FURTHER) for pattern in codes.PATTERNS),
    _Rule("", "digits", _HARMLESS),
    _Rule("", "digits", _RECORD_NUMBER),
    _Rule("", "digits", _NUMBER_AND_YEAR),
    _Rule("ID", "", rf"{START}(?-i:[A-Z]{{5}})\d{{4}}(?-i:[A-Z]){END}", pan.is_valid),
    _Rule("ID", "", after_cue("pan(?: card)?", FILLERS, r"[A-Z]{5}\d{4}[A-Z]") + END, pan.is_valid),
    *_rules_of(identifiers.IDS),
    _Rule("", "digits", _THOUSANDS_OR_TIME),
]
_COMPILED = [
    (rule, re.compile(rule.pattern, re.I), re.compile(rule.further, re.I) if rule.further else None)
    for rule in _RULES
]
_NEEDS_COMPILED = {need: re.compile(pattern, re.I) for need, pattern in _NEEDS.items()}
# A text without any of these contains no personal data: most messages end here.
_SUSPECT = re.compile(
    r"[@/]|\d(?:\W{0,3}\d){3}|\d\d[a-z]\d\d[a-z]\d{3}|www\.|\.(?:com|net|org|edu|gob|gov)|alias|"
    + codes.CUES,
    re.I,
)
_TO_PLAIN = {ord(c): " " for c in "\u00a0\u2007\u2009\u202f"}  # one to one: offsets stay
_TO_PLAIN |= {ord(c): "-" for c in "\u2010\u2011\u2012\u2013\u2014\u2212"}
# Soft hyphens, zero-width characters, direction marks, variation selectors.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)


def find(text: str, regions: Sequence[str] = REGIONS) -> list[PersonalData]:
    """The personal data in `text`, in order and not overlapping.

    Phone numbers without a country code must be valid in one of `regions` (ISO 3166).
    """
    rest = text
    indices: Sequence[int] = range(len(text))  # of the characters of `rest` in `text`
    if _INVISIBLE.search(text):
        indices = [index for index, sign in enumerate(text) if not _INVISIBLE.match(sign)]
        rest = "".join(text[index] for index in indices)
    if not _SUSPECT.search(rest):
        return []
    rest, spans = rest.translate(_TO_PLAIN), []
    # Masking a match may reveal another one beside it, for example the next number of a list.
    while new_spans := _find_once(rest, regions):
        rest = _masked(rest, new_spans)
        spans += new_spans
    matches = []
    for start, end, type_ in sorted(spans):
        first, last = indices[start], indices[end - 1]
        matches.append(PersonalData(type_, first, last + 1, text[first : last + 1]))
    return matches


def replace(text: str, regions: Sequence[str] = REGIONS) -> tuple[str, Counter[str]]:
    """`text` with <TYPE> in place of its personal data, and the number of matches by type."""
    matches = find(text, regions)
    pieces, end = [], 0
    for match in matches:
        pieces += [text[end : match.start], f"<{match.type}>"]
        end = match.end
    return "".join(pieces) + text[end:], Counter(match.type for match in matches)


def mask(match: PersonalData) -> str:
    """Personal data in a form that a report may show: `+54 9 351 ***`, `j***@***`, `<CARD>`.

    A phone number loses its last seven digits, so that country and area are left.
    """
    if match.type == "PHONE":
        return re.sub(r"\W*(?:\d\D*){7}\Z", " ***", match.text).strip()
    return f"{match.text[0]}***@***" if match.type == "EMAIL" else f"<{match.type}>"


def _find_once(text: str, regions: Sequence[str]) -> list[_Span]:
    """The personal data that one pass of the rules, and the search for phone numbers, finds."""
    matched: list[_Span] = []
    fulfilled = {need for need, pattern in _NEEDS_COMPILED.items() if pattern.search(text)}
    for rule, pattern, further_pattern in _COMPILED:
        if rule.needs not in fulfilled:
            continue
        spans: list[_Span] = []
        for match in pattern.finditer(text):
            candidate: re.Match[str] | None = match
            while candidate and (span := _accepted(candidate, rule.accepts)):
                # The next match may be one that was already found as a further one.
                if not spans or span[0] >= spans[-1][1]:
                    spans.append((*span, rule.type))
                candidate = further_pattern and further_pattern.match(text, span[1])
        if spans:
            text = _masked(text, spans)
            matched += spans
    if "digits" in fulfilled:
        numbers = phones.find(text, regions, _PHONE_CUE, _PHONE_CUE_AFTER)
        matched += [(*span, "PHONE") for span in numbers]
    return sorted(span for span in matched if span[2])


def _accepted(match: re.Match[str], accepts: Callable[[str], object]) -> tuple[int, int] | None:
    """The part of a candidate that is accepted: all of it, or without its last groups of digits."""
    group = "data" if "data" in match.re.groupindex else 0
    candidate = match[group]
    while candidate and not accepts(candidate):
        candidate = candidate.rpartition(" ")[0]  # the last group may be another number
    start = match.start(group)
    return (start, start + len(candidate)) if candidate else None


def _masked(text: str, spans: Sequence[_Span]) -> str:
    """A text with "\\0" in place of each character of `spans`: offsets stay."""
    pieces, end_of_last = [], 0
    for start, end, _ in spans:
        pieces += [text[end_of_last:start], "\0" * (end - start)]
        end_of_last = end
    return "".join(pieces) + text[end_of_last:]
