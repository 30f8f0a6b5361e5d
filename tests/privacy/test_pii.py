"""Personal data in texts: what is found, what stays, and what replacing must not do.

Every number is invented. Where a range is reserved for fiction or examples it is used: +1 202 555
01xx (North America), +44 20 7946 0xxx (Ofcom), example.com (RFC 2606), the card schemes' test
numbers. Argentina, Spain, Chile, Brazil and Mexico reserve none: there, 555 or a plain sequence.
"""

import re
import socket
import sys
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import personal_data
from espejo.privacy import identifiers, phones, pii

DASH, NBSP = "\u2011", "\u00a0"  # as WhatsApp writes phone numbers


# Check digits, computed from their definitions and not with the library under test.


def luhn(digits):
    """ISO/IEC 7812: every second digit from the right doubled, digits of the products summed."""
    doubled = "".join(str(int(d) * 2) if i % 2 == 0 else d for i, d in enumerate(digits[::-1]))
    return digits + str(-sum(map(int, doubled)) % 10)


def german_iban(account):
    """ISO 13616: letters as 10 to 35, country and 00 at the end, 98 minus that modulo 97."""
    return f"DE{98 - int(account + '131400') % 97:02}{account}"


def cbu(bank, account):
    """BCRA, Com. A 2559: weights 3, 1, 7, 9 from the right, for each of two blocks."""

    def block(digits):
        return digits + str(
            -sum(int(d) * (3, 1, 7, 9)[i % 4] for i, d in enumerate(digits[::-1])) % 10
        )

    return block(bank) + block(account)


def cuit(digits):
    """Weights 2 to 7 from the right; the check digit completes a multiple of 11."""
    rest = -sum(int(d) * (2 + i % 6) for i, d in enumerate(digits[::-1])) % 11
    assert rest != 10  # no such number is given out
    return digits + str(rest)


def rut(digits):
    """The same as CUIT, with K for 10."""
    rest = -sum(int(d) * (2 + i % 6) for i, d in enumerate(digits[::-1])) % 11
    return f"{digits}-{'0123456789K'[rest]}"


def spanish(digits):
    """The letter is the number modulo 23; X, Y, Z before a NIE count 0, 1, 2."""
    number = int(digits.replace("X", "0").replace("Y", "1").replace("Z", "2"))
    return digits + "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23]


def cpf(digits):
    """Two digits: ten times the sum with weights from 2 at the right, modulo 11; 10 counts 0."""
    for _ in range(2):
        digits += str(sum(int(d) * w for w, d in enumerate(digits[::-1], 2)) * 10 % 11 % 10)
    return digits


def clabe(digits):
    """Banco de México: weights 3, 7, 1; last digits of the products, completed to a ten."""
    check_digit = (
        -sum(int(int(d) * w) % 10 for d, w in zip(digits, (3, 7, 1) * 6, strict=False)) % 10
    )
    return digits + str(check_digit)


def curp(start):
    """RENAPO: places in an alphabet with Ñ, weights 18 to 2, completed to a multiple of ten."""
    alphabet = "0123456789ABCDEFGHIJKLMNÑOPQRSTUVWXYZ"
    return start + str(-sum(alphabet.index(c) * (18 - i) for i, c in enumerate(start)) % 10)


def nir(digits):
    """France: 97 minus the number modulo 97."""
    return digits + f"{97 - int(digits) % 97:02}"


def nif(digits):
    """Portugal: weights 9 to 2, 11 minus the sum modulo 11; 10 and 11 count 0."""
    rest = sum(int(d) * (9 - i) for i, d in enumerate(digits)) % 11
    return digits + str(11 - rest if rest > 1 else 0)


def spanish_social_security(digits):
    """Spain: the first ten digits modulo 97."""
    return digits + f"{int(digits) % 97:02}"


def grouped(digits, *sizes, by=" "):
    """The digits in groups of these sizes."""
    ends = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    return by.join(digits[a:b] for a, b in zip(ends, ends[1:], strict=False))


VISA, AMEX = luhn("411111111111111"), luhn("37828224631000")
IBAN, CBU = german_iban("123456780012345678"), cbu("0170123", "0000001234567")
NSS, CLABE = luhn("4507992345"), clabe("01218000123456789")
NIR = nir("1850578006084")
CUIT, RUT, CPF = cuit("2030123456"), rut("12345678"), cpf("123456789")

# What is inside [ ] must be found, as personal data of the type.
DETECTED = {
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
        # right after a cue, after another number, before the cue
        "tel.[3515551234]",
        "my number is [07700 900123]",
        "tel [4555-1234], [4555-1235]",
        "tel [4555-1234],[4555-1235]; [4555-1236] y [4555-1237]/[4555-1238]",
        "tel de mi tía Ana: [4555-1234] (casa) o [4555-1235]",
        "[3515551234],[3515551235]",
        "([4555-1234] y [4555-1235] son mis teléfonos)",
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
    "ACCOUNT": [
        f"mi clabe es [{CLABE}]",
        f"[{CLABE}] porfa",
        f"clabe [{grouped(CLABE, 3, 3, 11, 1)}]",
        "cuenta [2100 0418 45 0200051332]",  # of the IBAN in Spain's own specification
        "upi: [asha.k@kotak]",
        "send it to [asha.k@okaxis]",
        "número de cuenta de la abuela: [12345678]",
    ],
    "ID": [
        "mi dni es [30123456] y el de ella [31234567]",
        "el pasaporte mío es [AAB123456] y el de Juan es [AAC654321]",
        "aadhar card no [234567890124]",
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
        "dni del nene: [30123456] y el [31234567]",
        "DNI Juan Pérez [30123456]",
        f"curp [{curp('GOMR850312MDFMRS0')}]",
        "rfc [GODE561231GR8]",  # from the documentation of python-stdnum
        f"nss [{NSS}]",
        f"seguridad social [{spanish_social_security('2812345678')}]",
        "codice fiscale [RSSMRA85T10A562S]",  # Mario Rossi, as in every form
        "[2341 2341 2346]",  # from the documentation of python-stdnum
        "pan [ABCPE1234F]",
        "my ssn is [512-45-6789]",
        "social security number [512456789]",
        f"[{grouped(NIR, 1, 2, 2, 2, 3, 3, 2)}]",
        f"nif [{nif('24567891')}]",
        "cédula [1.023.456.789]",
        "c.i. [4.567.890-5]",
        "cédula [V-12.345.678]",
        "el pasaporte de mamá es [AAB654321]",
        "passport no. [512345678]",
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
        "el pin de la tarjeta es [0912]",
        "la clave del cajero es [4821]",
        "la clave del cajero automático es [4821]",
        "contraseña de la casa de la costa [99812]",
        "¿el código que te mandaron por sms? [554433]",
        "clave wifi [20231234]",
        "contraseña de la casa [99812]",
        "código de un solo uso [83920174]",
        "el pin es [4821] o [4822]",
        "el código que me llegó es [4455]",
        "usá [4821] para el código",
        "la contraseña es [Perro2019!]",
        "clave wifi vecinos: [futbol10].",
        "contraseña: [milanesa]",
        'la contraseña es "[milanesa con papas]"',
        "the password is [MiGatoFelix]",
    ],
}
FOUND_CASES = [(type_, case) for type_, cases in DETECTED.items() for case in cases]
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
    *("la contraseña es la de siempre", "la clave es tener paciencia", "clave: dormir 8 horas"),
    *("la clave del 2026", "contraseña incorrecta", "contraseña: incorrecta", "clave: paciencia"),
    *("el pin de la selección sale 1500 pesos", "la contraseña de WhatsApp", "error code 500123"),
    *("la clave es el 4-2-3-1", "la contraseña es re larga!!"),
    # numbers of files and orders, rows of dates, towns and makes
    *("expediente 123456/2023", "123456/2023", "causa nº 87654/2019", "pedido 4512345678"),
    *("número de guía DHL 1234567890", "12/08 12/09 12/10", "Tel Aviv 202312"),
    *("celu Samsung 1250000", "ley 27.430", "RFC 2616"),
]
# Right in form, but with a wrong check digit or out of range.
REFUSED = [
    VISA[:-1] + "2",
    IBAN[:-1] + "9",
    CBU[:-1] + str((int(CBU[-1]) + 1) % 10),
    CLABE[:-1] + str((int(CLABE[-1]) + 1) % 10),
    "nss " + NSS[:-1] + str((int(NSS[-1]) + 1) % 10),
    "curp " + curp("GOMR850312MDFMRS0")[:-1] + "9",
    "RSSMRA85T10A562T",
    "2341 2341 2347",
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
    (match,) = pii.find("es ana@example.com")
    assert repr(match) == "PersonalData(type='EMAIL', start=3, end=18)"
    assert match.text == "ana@example.com"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("mi cel: +54 9 351 555-1234", "+54 9 351 ***"),
        ("ana@example.com o 351 5551234", "a***@***, 351 ***"),
        ("tel 555-1234", "***"),
        (f"{VISA} y dni 30123456", "<CARD>, <ID>"),
        ("nada de nada", ""),
    ],
)
def test_a_report_sees_a_mask(text, masked):
    assert ", ".join(map(pii.mask, pii.find(text))) == masked


@pytest.mark.parametrize(("type_", "text"), PERSONAL)
def test_a_mask_keeps_at_most_where_a_phone_is_and_one_letter(type_, text):
    masked = ", ".join(map(pii.mask, pii.find(text)))
    for match in pii.find(text):
        digits = "".join(filter(str.isdigit, match.text))
        assert match.text not in masked
        assert len(digits) < 7 or digits[-7:] not in "".join(filter(str.isdigit, masked))


# Messages put together from personal data, harmless texts and separators.
pieces = st.one_of(
    st.sampled_from([text for _, text in PERSONAL] + HARMLESS + REFUSED),
    st.sampled_from(
        ["dni", "tu código es", "alias", "cel", "+", "@", "-", ".", "/", ":", "(", "<", ">"]
    ),
    st.sampled_from([f"<{type_}>" for type_ in DETECTED]),
    st.text("0123456789 -./+@abcñ", max_size=12),
    st.text(max_size=5),
)
messages = st.builds(
    lambda parts, by: by.join(parts),
    st.lists(pieces, max_size=5),
    st.sampled_from(["", " ", ", ", "\n"]),
)
generated = settings(max_examples=300)


@generated
@given(messages)
def test_only_the_spans_found_are_replaced(text):
    matches = pii.find(text)
    expected, end = "", 0
    for match in matches:
        assert end <= match.start < match.end
        assert text[match.start : match.end] == match.text
        expected += text[end : match.start] + f"<{match.type}>"
        end = match.end
    assert pii.replace(text) == (expected + text[end:], Counter(match.type for match in matches))


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


@settings(max_examples=1000)
@given(st.text("ABKXZÑ&0123456789 .-/\u0661\u017f\u212a", max_size=22))
def test_no_validator_stumbles(candidate):  # over part of a number, or the digits of other scripts
    for identifier in (*identifiers.ACCOUNTS, *identifiers.IDS):
        identifier.accepts(candidate)


@generated
@given(st.text().filter(lambda text: not any(c.isdigit() or c in "@.:=\"'“«" for c in text)))
def test_a_text_with_neither_digits_nor_signs_is_unchanged(text):
    assert pii.replace(text) == (text, Counter())


@pytest.mark.parametrize("invisible", ["\u00ad", "\u200b", "\u200d", "\u2060", "\ufeff", "\u202c"])
@pytest.mark.parametrize(("type_", "case"), FOUND_CASES)
def test_what_nobody_sees_hides_nothing(type_, case, invisible):
    marked = invisible.join(case)  # between all characters, so also just inside and outside of [ ]
    text = marked.replace("[", "").replace("]", "")
    before = [piece.split("]")[-1] for piece in marked.split("[")]
    replaced = pii.replace(text)[0].replace(invisible, "")
    assert replaced == f"<{type_}>".join(before).replace(invisible, "")
    for match in pii.find(text):
        assert match.text == text[match.start : match.end]
        assert invisible not in (match.text[0], match.text[-1])


LABELLED = personal_data.read(personal_data.LABELLED)


def test_the_labelled_texts_are_many_and_of_every_type():
    assert len({item.text for item in LABELLED}) == len(LABELLED) >= 300
    assert sum(bool(item.spans) for item in LABELLED) >= 150
    assert sum(not item.spans for item in LABELLED) >= 150
    table = pii.__doc__.split("\n\n")[1]
    types = {span[0] for item in LABELLED for span in item.spans}
    assert types == set(re.findall("<([A-Z]+)>", table)) == set(DETECTED)


def test_nearly_all_that_is_promised_is_found_and_nearly_nothing_else():
    score = personal_data.score(LABELLED).loc["all"]
    assert score["recall"] >= 0.97
    assert score["precision"] >= 0.97


def test_the_score_counts_right_and_wrong_finds(tmp_path, capsys):
    labelled = tmp_path / "labelled.jsonl"
    labelled.write_text(
        '{"kind": "a", "text": "a@example.com, b@example.com", "found": '
        '[["EMAIL", "a@example.com"], ["EMAIL", "b@example.co"]]}\n'
        '{"kind": "b", "text": "c@example.com", "found": []}\n',
        "utf-8",
    )
    personal_data.main(labelled)
    *_, a, b, total = (line.split() for line in capsys.readouterr().out.splitlines())
    assert a == ["a", "1", "2", "2", "1", "0.500", "0.500"]
    assert b == ["b", "1", "0", "1", "0", "-", "0.000"]
    assert total == ["all", "2", "2", "3", "1", "0.500", "0.333"]


@pytest.mark.parametrize("type_", DETECTED)
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
    + ["clave ", "clave: ", "clave de la casa ", "pass: aA", "1234 es clave ", "1 1 1 1 ", "aA1"]
    + ["pin de ", "ABCDE1", "cel de Ana ", "tel 4555-1234, ", "4555-1234 y ", "3515551234,"]
    + ["dni 30123456 y ", "pasaporte A1", "1\u200b", 'clave wifi "', "2341 2341 2346 "]
    + ["4111 ", "(351) ", "3515551234 ", "12.345.678 ", "12 345 678", "_", "\0", "<PHONE> "],
)
def test_the_longest_message_takes_a_second_or_no_more_than_its_length_says(unit):
    whole = (unit * 100_000)[:99_998] + "x!"  # WhatsApp allows 65,536 characters
    quarter = (unit * 100_000)[:24_998] + "x!"

    def seconds(text):
        tracer = sys.gettrace()
        sys.settrace(None)  # tracing for coverage would take longer than the search
        try:
            began = time.process_time()
            pii.replace(text)
            return time.process_time() - began
        finally:
            sys.settrace(tracer)

    def quick():
        spent = seconds(whole)
        # A slow machine may take longer than a second, but not 16 times as long for four times the
        # text, as a search does that begins anew at each character.
        return spent < 1 or spent < 8 * seconds(quarter)

    assert any(quick() for _ in range(3))  # a busy machine may be slow once


@pytest.mark.parametrize(("type_", "case"), FOUND_CASES)
def test_a_row_of_the_same_is_found_in_a_few_passes(type_, case, monkeypatch):
    """A pass may reveal what is beside its matches; if each revealed one, n would need n passes."""
    passes, find_once = [], pii._find_once
    monkeypatch.setattr(pii, "_find_once", lambda *a: passes.append(1) or find_once(*a))
    for by in ("", " ", ",", ".", "-", "/", ";"):
        passes.clear()
        pii.find((case.split("[")[1].split("]")[0] + by) * 25)
        assert len(passes) <= 4


def test_a_list_of_numbers_too_long_to_look_up_counts_as_phones():
    invalid = " ".join(f"1000{n:06}" for n in range(1, 600))
    assert pii.replace("1000000001, 1000000002")[1] == {}
    assert pii.replace(invalid.replace(" ", ", "))[1]["PHONE"] == 599 - phones._MAX_LOOKUPS
