"""Personal data in texts: what is found, what is left alone, and what replacing may not do.

Every number is invented. Where a range is reserved for fiction or examples it is used: +1 202 555
01xx (North America), +44 20 7946 0xxx (Ofcom), example.com (RFC 2606), the card schemes' test
numbers. Argentina, Spain, Chile, Brazil and Mexico reserve none: there, 555 or a plain sequence.
"""

import socket
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo import phones, pii

DASH, NBSP = "\u2011", "\u00a0"  # as WhatsApp writes phone numbers


# Check digits in the words of those who define them, by other means than the library's.


def luhn(digits):
    """ISO/IEC 7812: every second digit from the right doubled, digits of the products summed."""
    doubled = "".join(str(int(d) * 2) if i % 2 == 0 else d for i, d in enumerate(digits[::-1]))
    return digits + str(-sum(map(int, doubled)) % 10)


def german_iban(account):
    """ISO 13616: letters as 10 to 35, country and 00 at the end, 98 minus the rest by 97."""
    return f"DE{98 - int(account + '131400') % 97:02}{account}"


def cbu(bank, account):
    """BCRA, Com. A 2559: weights 3, 1, 7, 9 from the right, for each of two blocks."""

    def block(digits):
        return digits + str(
            -sum(int(d) * (3, 1, 7, 9)[i % 4] for i, d in enumerate(digits[::-1])) % 10
        )

    return block(bank) + block(account)


def cuit(digits):
    """Weights 2 to 7 from the right; what is missing to a multiple of 11."""
    rest = -sum(int(d) * (2 + i % 6) for i, d in enumerate(digits[::-1])) % 11
    assert rest != 10  # no such number is given out
    return digits + str(rest)


def rut(digits):
    """The same as CUIT, with K for 10."""
    rest = -sum(int(d) * (2 + i % 6) for i, d in enumerate(digits[::-1])) % 11
    return f"{digits}-{'0123456789K'[rest]}"


def spanish(digits):
    """The letter is the number's rest by 23; X, Y, Z before a NIE count 0, 1, 2."""
    number = int(digits.replace("X", "0").replace("Y", "1").replace("Z", "2"))
    return digits + "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]


def cpf(digits):
    """Two digits, each the sum with weights from 2 at the right, times 10, by 11, 10 being 0."""
    for _ in range(2):
        digits += str(sum(int(d) * w for w, d in enumerate(digits[::-1], 2)) * 10 % 11 % 10)
    return digits


def grouped(digits, *sizes, by=" "):
    """The digits in groups of these sizes."""
    at = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    return by.join(digits[a:b] for a, b in zip(at, at[1:], strict=False))


VISA, AMEX = luhn("411111111111111"), luhn("37828224631000")
IBAN, CBU = german_iban("123456780012345678"), cbu("0170123", "0000001234567")
CUIT, RUT, CPF = cuit("2030123456"), rut("12345678"), cpf("123456789")

# What is inside [ ] is found, as the type.
FOUND = {
    "PHONE": [
        "[+54 9 351 555-1234]",
        f"[+54{NBSP}9{NBSP}351{NBSP}555{DASH}1234]",
        "anotá: [351 155 551234] dale",
        "[351 15 555-1234]",
        "[(0351) 15-555-1234]",
        "llamame al [11 5555-4321]",
        "[1155554321], a las 11",
        "[3515551234] 11 hs",
        "[351 5551234] / [351 5551235]",
        "(el de mamá es [351 5551234])",
        "[0054 9 351 5551234]",
        "mi cel es [15 5555-4321]",
        "tel.: [4555-1234]",
        "Tel [555-1234]",
        "[612 34 56 78]",
        "[612.345.678]",
        "[+34 612 345 678]",
        "[9 8765 4321]",
        "[(11) 98765-4321]",
        "[55 1234 5678]",
        "[+52 1 55 1234 5678]",
        "[+1 202 555 0143]",
        "[+44 20 7946 0123]",
        "@[5493515551234] vení",
    ],
    "EMAIL": [
        "[ana@example.com]",
        "escribime a [ana.perez+x@mail.example.com.ar].",
        "es [ANA_99@EXAMPLE.ORG]!!",
        "mandalo a [ana@gmail]",
    ],
    "URL": [
        "mirá [https://example.com/a?b=c&d=1#e].",
        "([http://example.com/x])",
        "[www.example.com]",
        "[instagram.com/flor.gomez], esa",
        "[example.com.ar]",
        "[youtu.be/dQw4w9WgXcQ]",
        "[wa.me/5493515551234]",
        "[https://example.com/?mail=ana@example.com]",
    ],
    "CARD": [
        f"[{VISA}]",
        f"la tarjeta [{grouped(VISA, 4, 4, 4, 4)}] 123",
        f"[{grouped(VISA, 4, 4, 4, 4, by='-')}]",
        f"[{grouped(AMEX, 4, 6, 5)}]",
    ],
    "IBAN": [
        f"[{IBAN}]",
        f"[{grouped(IBAN, 4, 4, 4, 4, 4, 2)}] gracias",
        "[ES91 2100 0418 4502 0005 1332] hola que tal",  # the example of Spain's own specification
        "[GB29 NWBK 6016 1331 9268 19]",
    ],
    "CBU": [
        f"cbu [{CBU}]",
        f"[{CBU[:8]} {CBU[8:]}]",
        "mi alias es [juli.dibuja.mp]",
        "Alias: [MATE.PERRO.LUNA].",
    ],
    "ID": [
        "mi dni es [30123456]",
        "DNI: [30.123.456]",
        "documento nro [4.555.123]",
        "[30.123.456]",
        f"cuil [{grouped(CUIT, 2, 8, 1, by='-')}]",
        f"[{CUIT}]",
        f"[{RUT}]",
        f"mi rut es [{RUT.replace('-', '')}]",
        f"[{RUT[:2]}.{RUT[2:5]}.{RUT[5:]}]",
        f"[{spanish('12345678')}]",
        f"nie [{spanish('X1234567')}]",
        f"[{CPF}]",
        f"cpf [{CPF[:3]}.{CPF[3:6]}.{CPF[6:9]}-{CPF[9:]}]",
    ],
    "COORDINATES": [
        "[-31.4201, -64.1888]",
        "estoy en [-31.4201,-64.1888]!",
        "[31.4201° S, 64.1888° W]",
        "[31°25'12\"S 64°11'20\"W]",
        "[https://maps.google.com/?q=-31.4201,-64.1888]",
    ],
    "CODE": [
        "tu código es [123456]",
        "Tu código de verificación de WhatsApp es [123-456]",
        "your WhatsApp code: [123-456]. Don't share it",
        "[G-123456] is your Google verification code",
        "[654321] es tu código de Instagram",
        "seu código é [123456]",
        "la clave es [4321]",
    ],
}
FOUND_CASES = [(type_, case) for type_, cases in FOUND.items() for case in cases]
PERSONAL = [(type_, case.replace("[", "").replace("]", "")) for type_, case in FOUND_CASES]

HARMLESS = [
    # times, dates, years
    *("nos vemos 14:30", "14.30 15.45 16.20", "el 22/09/2020", "22-09-2020", "2020-09-22 14:30:05"),
    *("en 2020 y 2021", "1990-2000", "2019 2020 2021 2022", "tel 14:30", "llamame a las 10 30"),
    # money and counts
    *(
        "$ 12.500",
        "1.234.567 pesos",
        "$12.345.678,50",
        "vale 12.500, 13.400 o 15.000",
        "u$s 1500000",
    ),
    *("son 40000000 de personas", "612345678 habitantes", "la casa sale 85.000.000"),
    *(
        "11.500 12.300",
        "el celu me salió 1500000",
        "600 000 000",
        "12500 13500",
        "1500/2000/2500",
        "38 40 42 44 46",
    ),
    # scores, rows of numbers, recipes
    *("3-1", "3-1 2-0 4-2 1-1 5-0", "10 20 30 40 50", "1 2 3 4 5 6 7 8 9 10", "004 817 332"),
    *(
        "1,5 kg de papa",
        "250 g de harina 000",
        "3.1415926535",
        "temperatura 23.5, 24.1",
        "hace 31° S",
    ),
    # words
    *("jajajajaja", "#123456789", "@flor", "hola @nombre!", "aula 1204", "😂😂😂", "1️⃣2️⃣3️⃣"),
    *("abc612345678", "612345678abc", "x4111111111111111", "IMG-20250409-WA0080.jpg"),
    *("DOC-20251111-WA0300.pdf", "<adjunto: 00000029-AUDIO-2025-03-11-21-43-46.opus>"),
    # people who leave no space, abbreviations
    *(
        "bueno.me voy",
        "jaja.no",
        "ok.es que",
        "todo.bien",
        "y/o",
        "a.m.",
        "S.A.",
        "etc...no",
        "si.co",
    ),
    # like a code
    *("código postal 5000", "el código 404", "clave 12", "el alias es lo de menos"),
]
# Right in form, refused by the check digit.
REFUSED = [
    VISA[:-1] + "2",
    IBAN[:-1] + "9",
    CBU[:-1] + str((int(CBU[-1]) + 1) % 10),
    grouped(CUIT[:-1] + str((int(CUIT[-1]) + 1) % 10), 2, 8, 1, by="-"),
    RUT[:-1] + ("0" if RUT[-1] != "0" else "1"),
    "12345678A",
    "X1234567A",
    f"{CPF[:3]}.{CPF[3:6]}.{CPF[6:9]}-{(int(CPF[9:]) + 1) % 100:02}",
    "-91.4201, -64.1888",
]


@pytest.mark.parametrize(("type_", "case"), FOUND_CASES)
def test_personal_data_is_found_where_it_stands(type_, case):
    replaced, counts = pii.replace(case.replace("[", "").replace("]", ""))
    before = [piece.split("]")[-1] for piece in case.split("[")]
    assert replaced == f"<{type_}>".join(before)
    assert counts == Counter({type_: len(before) - 1})


@pytest.mark.parametrize("text", HARMLESS + REFUSED)
def test_what_only_looks_like_it_is_left_alone(text):
    assert pii.replace(text) == (text, Counter())


def test_several_kinds_in_one_message_are_told_apart():
    text = f"soy Ana, dni 30.123.456, cel 351 555-1234, ana@example.com, cbu {CBU}, a las 14:30"
    assert pii.replace(text) == (
        "soy Ana, dni <ID>, cel <PHONE>, <EMAIL>, cbu <CBU>, a las 14:30",
        Counter(ID=1, PHONE=1, EMAIL=1, CBU=1),
    )


def test_a_local_number_needs_a_region_where_it_is_valid():
    assert pii.replace("612 345 678", regions=["ES"])[0] == "<PHONE>"
    assert pii.replace("612 345 678", regions=["AR"])[0] == "612 345 678"
    assert pii.replace("+34 612 345 678", regions=["AR"])[0] == "<PHONE>"


def test_what_was_found_shows_in_no_repr():
    (found,) = pii.find("es ana@example.com")
    assert repr(found) == "Found(type='EMAIL', start=3, end=18)"
    assert found.text == "ana@example.com"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mi cel: +54 9 351 555-1234", "+54 9 351 ***"),
        ("ana@example.com o 351 5551234", "a***@***, 351 ***"),
        ("tel 555-1234", "***"),
        (f"{VISA} y dni 30123456", "<CARD>, <ID>"),
        ("nada de nada", ""),
    ],
)
def test_a_report_sees_a_mask(text, shown):
    assert ", ".join(map(pii.mask, pii.find(text))) == shown


@pytest.mark.parametrize(("type_", "text"), PERSONAL)
def test_a_mask_keeps_at_most_where_a_phone_is_and_one_letter(type_, text):
    shown = ", ".join(map(pii.mask, pii.find(text)))
    for found in pii.find(text):
        digits = "".join(filter(str.isdigit, found.text))
        assert found.text not in shown
        assert len(digits) < 7 or digits[-7:] not in "".join(filter(str.isdigit, shown))


# Messages glued together from what is found, what is not and what stands between.
pieces = st.one_of(
    st.sampled_from([text for _, text in PERSONAL] + HARMLESS + REFUSED),
    st.sampled_from(
        ["dni", "tu código es", "alias", "cel", "+", "@", "-", ".", "/", ":", "(", "<", ">"]
    ),
    st.sampled_from([f"<{type_}>" for type_ in FOUND]),
    st.text("0123456789 -./+@abcñ", max_size=12),
    st.text(max_size=5),
)
messages = st.builds(
    lambda parts, by: by.join(parts),
    st.lists(pieces, max_size=5),
    st.sampled_from(["", " ", ", ", "\n"]),
)
generated = settings(max_examples=300, deadline=None)


@generated
@given(messages)
def test_only_the_spans_found_are_replaced(text):
    found = pii.find(text)
    expected, at = "", 0
    for one in found:
        assert at <= one.start < one.end
        assert text[one.start : one.end] == one.text
        expected += text[at : one.start] + f"<{one.type}>"
        at = one.end
    assert pii.replace(text) == (expected + text[at:], Counter(one.type for one in found))


@generated
@given(messages)
def test_replacing_twice_is_replacing_once(text):
    once, _ = pii.replace(text)
    assert pii.replace(once) == (once, Counter())


@generated
@given(messages)
def test_the_filter_in_front_changes_nothing_but_the_time(text):
    filtered = pii.find(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pii, "_SUSPECT", pii.re.compile(""))
        assert pii.find(text) == filtered


@generated
@given(st.text().filter(lambda text: not any(c.isdigit() or c in "@." for c in text)))
def test_a_text_without_digits_at_signs_and_full_stops_is_unchanged(text):
    assert pii.replace(text) == (text, Counter())


@pytest.mark.parametrize("type_", FOUND)
def test_placeholders_are_no_personal_data(type_):
    for text in (f"<{type_}>", f"dni <{type_}> 30123456", f"código <{type_}>.", f"@<{type_}>"):
        assert pii.replace(text) == (text, Counter())


def test_nothing_goes_to_the_network(monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    for type_, text in PERSONAL:
        assert type_ in pii.replace(text)[1]


@pytest.mark.parametrize(
    "unit",
    ["1", "1 ", "12 ", "1-", "1/", "(", "+", "@", "a@", "a.", "a-", "www.", "x://", "a.es/", "é"]
    + ["AA11 ", "dni es ", "código es ", "123456 es ", "1°1'", "1.1111, ", "$1", "#1", "alias a."]
    + ["4111 ", "(351) ", "3515551234 ", "12.345.678 ", "12 345 678", "_", "\0", "<PHONE> "],
)
def test_the_longest_message_takes_seconds_not_minutes(unit):
    text = (unit * 100_000)[:99_998] + "x!"  # WhatsApp allows 65,536 characters
    began = time.process_time()
    pii.replace(text)
    assert time.process_time() - began < 3


def test_a_list_of_numbers_too_long_to_look_up_counts_as_phones():
    refused = " ".join(f"1000{n:06}" for n in range(1, 600))
    assert pii.replace("1000000001, 1000000002")[1] == {}
    assert pii.replace(refused.replace(" ", ", "))[1]["PHONE"] == 599 - phones._MOST_LOOKED_UP
