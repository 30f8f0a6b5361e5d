"""Identity and account numbers of countries: their shapes, and the functions that validate them.

A shape that is rare in chats needs nothing else; any other needs a cue before it ("nss",
"passport").
"""

from collections.abc import Callable
from typing import NamedTuple

from stdnum import luhn
from stdnum.ar import cuit
from stdnum.br import cnpj, cpf
from stdnum.cl import rut
from stdnum.co import nit
from stdnum.do import cedula
from stdnum.ec import ruc as ec_ruc
from stdnum.es import ccc, cif, dni, nie
from stdnum.fr import nir
from stdnum.in_ import aadhaar
from stdnum.it import codicefiscale
from stdnum.mx import curp, rfc
from stdnum.pe import ruc as pe_ruc
from stdnum.pt import nif
from stdnum.py import ruc as py_ruc
from stdnum.us import itin, ssn
from stdnum.ve import rif


class Identifier(NamedTuple):
    """A kind of number: `accepts` validates what follows `cue` ("" if it needs none) in `shape`.

    Cue and shape are regular expressions, matched without regard to case.
    """

    type: str
    cue: str
    shape: str
    accepts: Callable[[str], object]


MILLIONS = r"\d{1,2}[. ]?\d{3}[. ]?\d{3}"


def _without_dots(*validators: Callable[[str], bool]) -> Callable[[str], bool]:
    """A validator that accepts what one of `validators` accepts without its dots."""
    return lambda text: any(is_valid(text.replace(".", "")) for is_valid in validators)


def _has_digits(minimum: int, maximum: int) -> Callable[[str], bool]:
    """A validator that only counts digits."""
    return lambda text: minimum <= sum(map(str.isdigit, text)) <= maximum


def _is_clabe(text: str) -> bool:
    """Whether the check digit of a CLABE is right.

    Banco de México: the last digits of the products with weights 3, 7, 1 and the check digit add up
    to a multiple of ten.
    """
    digits = [int(digit) for digit in text if digit.isdigit()]
    products = (digit * (3, 7, 1)[i % 3] % 10 for i, digit in enumerate(digits[:-1]))
    return len(digits) == 18 and (sum(products) + digits[-1]) % 10 == 0


def _is_social_security(text: str) -> bool:
    """Whether a text is a social security number of Mexico, Spain or the United States.

    Mexico's 11 digits end in a Luhn check digit, Spain's 12 in the first ten modulo 97.
    """
    digits = "".join(filter(str.isdigit, text))
    if len(digits) == 12:
        return int(digits[:10]) % 97 == int(digits[10:])
    return luhn.is_valid(digits) if len(digits) == 11 else ssn.is_valid(digits)


def _is_rfc(text: str) -> bool:
    # Three letters and a date may also be a batch number: companies need the check digit.
    compact = rfc.compact(text)
    return rfc.is_valid(compact, validate_check_digits=compact[3:4].isdigit())


# In order of precedence: text that one entry matches is hidden from the later ones.
ACCOUNTS = [
    Identifier("ACCOUNT", "clabe(?: interbancaria)?", r"\d(?:[ -]?\d){17}", _is_clabe),
    Identifier("ACCOUNT", "", r"\d{18}", _is_clabe),
    Identifier("ACCOUNT", "", r"\d{4}[ -]?\d{4}[ -]?\d\d[ -]?\d{10}", ccc.is_valid),
    Identifier("ACCOUNT", "pix", r"[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}", bool),
    Identifier(
        "ACCOUNT",
        r"(?:n[uú]mero|nro|n[º°]) de cuenta|account (?:number|no)|caja de ahorros?|conta corrente"
        "|cuenta (?:corriente|de ahorros?|bancaria|sueldo|vista|rut|n[uú]mero|nro|n[º°])",
        r"\d[\d./ -]{4,24}\d",
        _has_digits(6, 20),
    ),
]
IDS = [
    Identifier("ID", "", r"[A-Z]{4}\d{6}[HMX][A-Z]{5}[A-Z\d]\d", curp.is_valid),
    Identifier("ID", "", r"[A-Z]{6}\d\d[A-Z]\d\d[A-Z]\d{3}[A-Z]", codicefiscale.is_valid),
    Identifier("ID", "", r"(?-i:[A-ZÑ&]{3,4})[ -]?\d{6}[ -]?(?-i:[A-Z\d]{3})", _is_rfc),
    Identifier("ID", "rfc", r"[A-ZÑ&]{3,4}[ -]?\d{6}(?:[ -]?[A-Z\d]{3})?", rfc.is_valid),
    Identifier("ID", "", r"[A-Z]{6}\d{8}[HM]\d{3}", bool),  # Mexico, voter's key
    Identifier(
        "ID", "", r"[2-9]\d{3}([ -])\d{4}\1\d{4}(?![ -][\d\0]|[ -]<[A-Z])", aadhaar.is_valid
    ),
    Identifier("ID", "aa?dhaa?r(?: card)?|uidai", r"[2-9]\d{11}", aadhaar.is_valid),
    Identifier(
        "ID", "", r"[12](?:[ .]?\d\d){2}[ .]?\d[\dAB](?:[ .]?\d{3}){2}[ .]?\d\d", nir.is_valid
    ),
    Identifier(
        "ID", "", r"\d{3}-\d\d-\d{4}", lambda text: ssn.is_valid(text) or itin.is_valid(text)
    ),
    Identifier(
        "ID",
        "ssn|nss|nuss|naf|imss|(?:seguro|seguridad|social|afiliaci[oó]n)(?: social| security)?",
        r"\d[\d /-]{7,14}\d",
        _is_social_security,
    ),
    Identifier("ID", "", rf"{MILLIONS}-[\dK]", rut.is_valid),
    Identifier("ID", "rut|run", rf"{MILLIONS}-?[\dK]", rut.is_valid),
    Identifier("ID", "", rf"\d\d[ .-]?{MILLIONS}[ .-]?\d", _without_dots(cuit.is_valid)),
    Identifier("ID", "", r"\d{3}\.?\d{3}\.?\d{3}-?\d\d", cpf.is_valid),
    Identifier("ID", "", r"\d\d\.?\d{3}\.?\d{3}/\d{4}-?\d\d", cnpj.is_valid),
    Identifier("ID", "", rf"{MILLIONS}-?[A-Z]", _without_dots(dni.is_valid)),
    Identifier("ID", "", r"[XYZ]-?\d{7}-?[A-Z]", nie.is_valid),
    Identifier("ID", "", r"\d{3}\.\d{3}\.\d{3}-\d", nit.is_valid),
    Identifier(
        "ID",
        r"n\.?i\.?f|nit|c\.?i\.?f|contribuinte|ruc|rif",
        r"[A-Z]?-?\d{1,3}(?:[ .]?\d{3}){2,3}\d?(?:-?[\dA-Z])?",
        _without_dots(
            *(nif.is_valid, nit.is_valid, cif.is_valid, rif.is_valid, pe_ruc.is_valid),
            *(py_ruc.is_valid, ec_ruc.is_valid),
        ),
    ),
    Identifier("ID", "", r"\d\.\d{3}\.\d{3}-\d", bool),  # Uruguay; check digit not in the library
    Identifier("ID", "", r"\d{3}-\d{7}-\d", cedula.is_valid),
    Identifier("ID", "", r"(?-i:[VE])-\d{1,2}\.\d{3}\.\d{3}", bool),
    Identifier("ID", r"dni|d\.n\.i|documento|doc", MILLIONS, bool),
    Identifier(
        "ID",
        r"c[eé]dulas?(?: de (?:ciudadan[ií]a|identidad))?|c\.?i|c\.?c|nit|dui|dpi|rg",
        r"(?:[VE][ .-]?)?\d{1,3}(?:[. ]?\d{3}){1,3}(?:[-/]?[\dX])?",
        _has_digits(6, 11),
    ),
    Identifier("ID", "", r"\d\d\.\d{3}\.(?!000)\d{3}", bool),  # 85.000.000 is a price
    Identifier(
        "ID",
        r"(?:pasaportes?|passports?|passaport[eo]s?|passeport)"
        r"(?: [^\W\d_]{3,}(?:[aei]n[oa]?|[oó]la?|[eé]sa?|ense|ish))?",
        r"[A-Z]{0,3}[ -]?\d{6,9}|\d\d[A-Z]{2}\d{5}",
        bool,
    ),
]
