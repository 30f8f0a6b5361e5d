"""The reader of exports: every form of a file, and everything people write into it."""

import io
import json
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo import whatsapp

LRM = "\u200e"
ENCRYPTED = (
    "Messages and calls are end-to-end encrypted. No one outside of this chat, not even WhatsApp, "
    "can read or listen to them. Tap to learn more."
)


def rows(data: str | bytes, folder: Path, name: str = "WhatsApp Chat with Vera.txt") -> list[tuple]:
    """The rows of a file with these contents: (time, author, kind, text, edited)."""
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return table_rows(whatsapp.read(path))


def table_rows(table: pd.DataFrame) -> list[tuple]:
    return [
        (
            "" if pd.isna(row.timestamp) else row.timestamp.isoformat(sep=" "),
            None if pd.isna(row.author) else row.author,
            row.kind,
            row.text,
            row.edited,
        )
        for row in table.itertuples()
    ]


def short_rows(data: str, folder: Path) -> list[tuple]:
    """The rows as (author, kind, text)."""
    return [row[1:4] for row in rows(data, folder)]


def captions(data: str, folder: Path) -> list[str]:
    """The captions of a file with these contents."""
    path = folder / "WhatsApp Chat with Vera.txt"
    path.write_bytes(data.encode())
    return whatsapp.read(path)["caption"].tolist()


def android(*messages: str, start: int = 10) -> str:
    return "".join(f"17/5/2024, {start}:{i:02} - {m}\n" for i, m in enumerate(messages))


def iphone(*messages: str) -> str:
    return "".join(
        f"{LRM if LRM in m else ''}[17/05/24, 10:{i:02}:07] {m}\r\n" for i, m in enumerate(messages)
    )


# The forms of a header

HEADERS = {
    "Android, Argentina": ("17/5/2024, 14:43 - ", "2024-05-17 14:43:00"),
    "Android, padded": ("17/05/2024, 09:03 - ", "2024-05-17 09:03:00"),
    "Android, two-digit year": ("17/5/24, 14:43 - ", "2024-05-17 14:43:00"),
    "Android, Spain, no comma": ("17/5/24 9:43 - ", "2024-05-17 09:43:00"),
    "Android, Germany": ("17.05.24, 14:43 - ", "2024-05-17 14:43:00"),
    "Android, Brazil": ("17/05/2024 14:43 - ", "2024-05-17 14:43:00"),
    "Android, Netherlands": ("17-05-2024 14:43 - ", "2024-05-17 14:43:00"),
    "Android, France, à": ("17/05/2024 à 14:43 - ", "2024-05-17 14:43:00"),
    "Android, Portugal, às": ("17/05/2024 às 14:43 - ", "2024-05-17 14:43:00"),
    "Android, Finland, klo": ("17.5.2024 klo 14.43 - ", "2024-05-17 14:43:00"),
    "Android, Denmark, kl.": ("17.05.2024 kl. 14.43 - ", "2024-05-17 14:43:00"),
    "Android, Croatia, spaced dots": ("17. 05. 2024. 14:43 - ", "2024-05-17 14:43:00"),
    "Android, Korea": ("2024. 5. 17. 오후 2:43 - ", "2024-05-17 14:43:00"),
    "Android, China": ("2024/5/17 下午2:43 - ", "2024-05-17 14:43:00"),
    "Android, China, characters": ("2024年5月17日 上午2:43 - ", "2024-05-17 02:43:00"),
    "Android, Japan": ("2024/05/17 14:43 - ", "2024-05-17 14:43:00"),
    "Android, Japan, 12 hours": ("2024/05/17 午後2:43 - ", "2024-05-17 14:43:00"),
    "Android, Sweden": ("2024-05-17 14:43 - ", "2024-05-17 14:43:00"),
    "Android, comma after year first": ("2024-05-17, 14:43 - ", "2024-05-17 14:43:00"),
    "Android, two-digit year first": ("24/12/30, 14:43 - ", "2030-12-24 14:43:00"),
    "Android, USA": ("5/17/24, 2:43 PM - ", "2024-05-17 14:43:00"),
    "Android, USA, narrow space": ("5/17/24, 2:43\u202fPM - ", "2024-05-17 14:43:00"),
    "Android, UK, small letters": ("17/05/2024, 2:43 pm - ", "2024-05-17 14:43:00"),
    "Android, no space": ("17/5/24, 2:43pm - ", "2024-05-17 14:43:00"),
    "Android, p. m.": ("17/5/2024, 2:43 p. m. - ", "2024-05-17 14:43:00"),
    "Android, p. m., no-break": ("17/5/2024, 2:43\u202fp.\u00a0m. - ", "2024-05-17 14:43:00"),
    "Android, p.m.": ("17/5/2024, 2:43 p.m. - ", "2024-05-17 14:43:00"),
    "Android, thin space": ("17/5/2024, 2:43\u2009p. m. - ", "2024-05-17 14:43:00"),
    "Android, midnight": ("17/5/2024, 12:43\u202fa.\u00a0m. - ", "2024-05-17 00:43:00"),
    "Android, noon": ("17/5/2024, 12:43\u202fp.\u00a0m. - ", "2024-05-17 12:43:00"),
    "Android, hour 24": ("17/5/2024, 24:43 - ", "2024-05-17 00:43:00"),
    "Android, Greece": ("17/5/24, 2:43 μ.μ. - ", "2024-05-17 14:43:00"),
    "Android, Bulgaria": ("17.05.24 г., 14:43 ч. - ", "2024-05-17 14:43:00"),
    "Android, Arabic": (
        "\u200f١٧\u200f/٥\u200f/٢٠٢٤، ٢:٤٣ م - ",
        "2024-05-17 14:43:00",
    ),
    "Android, Arabic marks, our digits": (
        "\u200f17\u200f/5\u200f/2024، 9:43 ص - ",
        "2024-05-17 09:43:00",
    ),
    "Android, Persian": ("۱۴۰۳/۲/۲۸،\u200f ۱۴:۴۳ - ", "2024-05-17 14:43:00"),
    "Android, Thai years": ("17/5/2567 14:43 - ", "2024-05-17 14:43:00"),
    "Android, Hebrew": ("17.5.2024, 14:43 - \u200f", "2024-05-17 14:43:00"),
    "iPhone, Spain": ("[17/5/24, 14:43:09] ", "2024-05-17 14:43:09"),
    "iPhone, marked": ("\u200e[17/05/24, 14:43:09] ", "2024-05-17 14:43:09"),
    "iPhone, 12 hours": ("[17/5/24, 2:43:09\u202fp.\u00a0m.] ", "2024-05-17 14:43:09"),
    "iPhone, USA": ("[5/17/24, 2:43:09\u202fPM] ", "2024-05-17 14:43:09"),
    "iPhone, Germany": ("[17.05.24, 14:43:09] ", "2024-05-17 14:43:09"),
    "iPhone, dots in the time": ("[17.05.24 14.43.09] ", "2024-05-17 14:43:09"),
    "iPhone, Finland": ("[17.5.2024 klo 14.43.09] ", "2024-05-17 14:43:09"),
    "iPhone, France": ("[17/05/2024 à 14:43:09] ", "2024-05-17 14:43:09"),
    "iPhone, Netherlands": ("[17-05-2024 14:43:09] ", "2024-05-17 14:43:09"),
    "iPhone, Sweden": ("[2024-05-17, 14:43:09] ", "2024-05-17 14:43:09"),
    "iPhone, China": ("[2024/5/17 下午2:43:09] ", "2024-05-17 14:43:09"),
    "iPhone, Korea": ("[2024. 5. 17. 오전 2:43:09] ", "2024-05-17 02:43:09"),
    "iPhone, Hebrew": ("\u200f[17.5.2024, 14:43:09] \u200f", "2024-05-17 14:43:09"),
    "iPhone, Arabic": (
        "[١٧\u200f/٥\u200f/٢٠٢٤، ٢:٤٣:٠٩ م] ",
        "2024-05-17 14:43:09",
    ),
    "iPhone, old": ("17/05/2014 14:43:09: ", "2014-05-17 14:43:09"),
}


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("text", ["hola: ¿venís?", "10:30 - ok", "17/5 [x] a: b"])
def test_header(header, text, tmp_path):
    form, time = HEADERS[header]
    assert rows(f"{form}Vera: {text}\n", tmp_path) == [(time, "Vera", "message", text, False)]


@pytest.mark.parametrize("header", HEADERS)
def test_header_of_a_notice(header, tmp_path):
    form, time = HEADERS[header]
    data = f"{form}Vera se fue\n{form}Vera:\n"
    assert rows(data, tmp_path) == [
        (time, None, "system", "Vera se fue", False),
        (time, "Vera", "media", "", False),
    ]


@pytest.mark.parametrize("header", HEADERS)
def test_words_between_lines(header, tmp_path):
    form, _ = HEADERS[header]
    data = f"{form}Vera: uno\n\n  dos\n{form}Ivo: tres\ncuatro\n\n"
    assert short_rows(data, tmp_path) == [
        ("Vera", "message", "uno\n\n  dos"),
        ("Ivo", "message", "tres\ncuatro"),
    ]


def test_columns(tmp_path):
    path = tmp_path / "WhatsApp Chat with Vera.txt"
    path.write_text(f"17/5/2024, 10:00 - {ENCRYPTED}\n17/5/2024, 10:01 - Vera: a\nb\n", "utf-8")
    table = whatsapp.read(path)
    assert list(table) == [
        "chat", "line", "timestamp", "author", "kind", "text", "edited", "caption",
    ]  # fmt: skip
    assert [str(kind) for kind in table.dtypes] == [
        "str", "int64", "datetime64[us]", "str", "str", "str", "bool", "str",
    ]  # fmt: skip
    assert table["line"].tolist() == [1, 2]
    assert table["chat"].tolist() == ["Vera", "Vera"]
    assert table["author"].isna().tolist() == [True, False]


# Day and month

DATES = {
    "an impossible month": (["3/4/2024", "14/4/2024"], ["2024-04-03", "2024-04-14"]),
    "an impossible month, American": (["3/4/2024", "3/14/2024"], ["2024-03-04", "2024-03-14"]),
    "steps back": (
        ["10/4/2024", "12/4/2024", "1/5/2024", "2/5/2024"],
        ["2024-04-10", "2024-04-12", "2024-05-01", "2024-05-02"],
    ),
    "steps back, American": (
        ["4/10/2024", "4/12/2024", "5/1/2024", "5/2/2024"],
        ["2024-04-10", "2024-04-12", "2024-05-01", "2024-05-02"],
    ),
    "year first in two digits": (
        ["23/12/30", "23/12/31", "24/01/01"],
        ["2023-12-30", "2023-12-31", "2024-01-01"],
    ),
    "two-digit years and an old quotation": (
        ["13/5/24", "17/5/19", "18/5/24"],
        ["2024-05-13", "2019-05-17", "2024-05-18"],
    ),
    "new year": (["31/12/23", "1/1/24", "2/1/24"], ["2023-12-31", "2024-01-01", "2024-01-02"]),
}  # fmt: skip


@pytest.mark.parametrize("case", DATES)
def test_order_of_the_date(case, tmp_path):
    written, meant = DATES[case]
    data = "".join(f"{day}, 10:00 - Vera: hola\n" for day in written)
    assert [row[0][:10] for row in rows(data, tmp_path)] == meant


@pytest.mark.parametrize(
    ("name", "line", "day"),
    [
        ("Chat de WhatsApp con Vera.txt", "3/4/24, 2:43 PM - Vera: hola", "2024-04-03"),
        ("x.txt", "3/4/24, 2:43 PM - Vera: <Multimedia omitido>", "2024-04-03"),
        ("WhatsApp Chat with Vera.txt", "3/4/24, 2:43\u202fPM - Vera: hi", "2024-03-04"),
        ("WhatsApp Chat with Vera.txt", "03/04/2024, 2:43 pm - Vera: hi", "2024-04-03"),
        ("WhatsApp Chat with Vera.txt", "3/4/24, 14:43 - Vera: hi", "2024-04-03"),
        ("x.txt", "3.4.24, 14:43 - Vera: hi", "2024-04-03"),
    ],
)
def test_order_of_the_date_by_language(name, line, day, tmp_path):
    assert rows(line, tmp_path, name)[0][0][:10] == day


@pytest.mark.parametrize("day", ["55 Mar 2014", "31 Feb 2014", "0 Mar 2014"])
def test_a_named_date_that_does_not_exist_is_text(day, tmp_path):
    data = f"5 Mar 2014, 21:41 - Vera: uno\n{day}, 21:42 - Ivo: x\n6 Mar 2014, 9:05 - Ivo: dos\n"
    assert short_rows(data, tmp_path) == [
        ("Vera", "message", f"uno\n{day}, 21:42 - Ivo: x"),
        ("Ivo", "message", "dos"),
    ]


def test_a_date_that_does_not_exist_is_text(tmp_path):
    data = "17/5/2024, 10:00 - Vera: uno\n31/2/2024, 10:00 - Ivo: dos\n17/5/2024, 29:00 - Ivo: x\n"
    assert short_rows(data, tmp_path) == [
        ("Vera", "message", "uno\n31/2/2024, 10:00 - Ivo: dos\n17/5/2024, 29:00 - Ivo: x")
    ]


# Look-alikes


@pytest.mark.parametrize(
    "line",
    [
        "[17/05/24, 10:00:07] Ivo: hola",
        "17/5/2024 10:00 - Ivo: hola",
        "17/5/2024, 10:00:07 - Ivo: hola",
        "17/5/2024, 10:00 a. m. - Ivo: hola",
        "17.5.2024, 10:00 - Ivo: hola",
        "2024-05-17, 10:00 - Ivo: hola",
        "17/5/2024, 10.00 - Ivo: hola",
        "17/5/2024, 10:00-12:00",
        " 17/5/2024, 10:00 - Ivo: hola",
        "17/5/2024, 10:00 hasta tarde - Ivo: hola",
        "17/5/2024 - 10:00",
        "17/5/2024, 10:00",
        "> 17/5/2024, 10:00 - Ivo: hola",
        "1/2/2019, 10:00 - Carlos: hace mucho",
        "1/2/2019, 10:00 - Carlos: hace mucho\n1/2/2019, 10:01 - Ana: sí",
    ],
)
def test_another_form_or_an_old_stranger_is_text(line, tmp_path):
    data = android("Vera: mirá:") + line + "\n" + android("Ivo: a", "Vera: b", start=11)
    assert short_rows(data, tmp_path) == [
        ("Vera", "message", "mirá:\n" + line),
        ("Ivo", "message", "a"),
        ("Vera", "message", "b"),
    ]


def test_an_old_stranger_at_the_end_and_a_notice_with_it_are_text(tmp_path):
    pasted = "1/2/2019, 10:00 - Carlos: a\n1/2/2019, 10:01 - Carlos left\n1/2/2019, 10:02 - Ana: b"
    data = android(ENCRYPTED, "Ivo: dos", "Vera: tres", "Ivo: cuatro") + pasted
    assert short_rows(data, tmp_path)[-1] == ("Ivo", "message", "cuatro\n" + pasted)


def test_the_first_line_tells_more_than_pasted_ones(tmp_path):
    pasted = "".join(f"[17/05/24, 09:0{i}:00] Ivo: {i}\n" for i in range(5))
    data = android("Vera: mirá:") + pasted + android("Ivo: ajá", start=11)
    assert short_rows(data, tmp_path) == [
        ("Vera", "message", "mirá:\n" + pasted.rstrip()),
        ("Ivo", "message", "ajá"),
    ]


def test_late_delivery_and_wrong_clocks_are_messages(tmp_path):
    data = (
        "17/5/2024, 10:00 - Vera: uno\n18/5/2024, 10:00 - Ivo: dos\n"
        "13/5/2024, 10:00 - Vera: tarde\n1/1/2030, 0:00 - Ivo: reloj\n"
        "19/5/2024, 10:00 - Ivo: tres\n19/5/2024, 10:01 - Nueva: hola\n"
        "19/5/2024, 10:02 - Vera: hola\n"
    )
    assert [text for _, _, text in short_rows(data, tmp_path)] == [
        "uno", "dos", "tarde", "reloj", "tres", "hola", "hola",
    ]  # fmt: skip


def test_crlf_tells_a_pasted_header_on_an_iphone(tmp_path):
    data = (
        "[17/05/24, 10:00:00] Vera: mirá\n[17/05/24, 09:59:00] Ivo: hola\n"
        "[17/05/24, 09:59:30] Vera: chau\r\n[17/05/24, 10:01:00] Ivo: ajá\r\n"
    )
    assert short_rows(data, tmp_path) == [
        (
            "Vera",
            "message",
            "mirá\n[17/05/24, 09:59:00] Ivo: hola\n[17/05/24, 09:59:30] Vera: chau",
        ),
        ("Ivo", "message", "ajá"),
    ]


def test_random_line_ends_tell_nothing(tmp_path):
    data = (
        "[17/05/24, 10:00:00] Vera: a\n[17/05/24, 10:01:00] Ivo: b\r\nc\r\nd\r\n"
        "[17/05/24, 10:02:00] Vera: e\n[17/05/24, 10:03:00] Ivo: f\n"
    )
    assert [text for _, _, text in short_rows(data, tmp_path)] == ["a", "b\nc\nd", "e", "f"]


# Authors


@pytest.mark.parametrize(
    ("written", "author"),
    [
        ("\u202a+54\u00a09\u00a011\u00a05555\u20110199\u202c", "+54 9 11 5555-0199"),
        ("~\u202fVera", "~ Vera"),
        ("~Vera", "~Vera"),
        ("Vera 🌵 (obra) - 2B [x]", "Vera 🌵 (obra) - 2B [x]"),
        ('Juan "Tito" Paz', 'Juan "Tito" Paz'),
        ("Ana:work", "Ana:work"),
        ("12:30", "12:30"),
        ("José\u0301", "José\u0301"),
        ("👩\u200d🔧 Ana", "👩\u200d🔧 Ana"),
        ("Ñandú, S.A.", "Ñandú, S.A."),
    ],
)
def test_author(written, author, tmp_path):
    for data in (android(f"{written}: dale: sí"), iphone(f"{written}: dale: sí")):
        assert short_rows(data, tmp_path) == [(author, "message", "dale: sí")]


def test_a_colon_in_a_name_is_proven_by_the_mark(tmp_path):
    data = iphone(f"Ana: work: {LRM}image omitted", "Ana: work: hi: there", "Ivo: Ana: work: hm")
    assert short_rows(data, tmp_path) == [
        ("Ana: work", "media", "image omitted"),
        ("Ana: work", "message", "hi: there"),
        ("Ivo", "message", "Ana: work: hm"),
    ]


def test_a_caption_that_ends_in_a_colon_is_no_name(tmp_path):
    data = iphone("Ana: hola", f"Ana: mirá: {LRM}<adjunto: 3-PHOTO.jpg>")
    assert short_rows(data, tmp_path) == [("Ana", "message", "hola"), ("Ana", "media", "mirá:")]


# WhatsApp's own words


@pytest.mark.parametrize(
    "notice",
    [
        ENCRYPTED,
        "Vera creó el grupo \"Obra: 2B\".",
        "Vera changed the subject from “Plan” to “Plan: B”",
        'Ivo hat den Betreff von „A“ zu „B: C“ geändert.',
        "Ivo a changé l’objet pour « Vendredi : soir: dîner »",
        "+54 9 11 5555-0199 se unió usando el enlace de invitación de este grupo.",
        "Your security code with Ana: work changed. Tap to learn more.",
        "Cambió tu código de seguridad con Ana: obra. Toca para obtener más información.",
        "Vera salió del grupo",
        "null",
    ],
)  # fmt: skip
def test_a_notice_on_android_has_no_author(notice, tmp_path):
    assert short_rows(android(notice, "Vera: x"), tmp_path) == [
        (None, "system", notice),
        ("Vera", "message", "x"),
    ]


@pytest.mark.parametrize(
    "notice",
    [
        ENCRYPTED,
        "Vera cambió el asunto a “Obra: 2B”",
        "Vera añadió a Ivo.",
        "Disappearing messages were turned off. Tap to change.",
        "Вера создала группу «Стройка»",
    ],
)
@pytest.mark.parametrize("author", ["Vera", "Los del 2B", "Obra: 2B"])
def test_a_notice_on_an_iphone_stands_behind_the_mark(author, notice, tmp_path):
    assert short_rows(iphone(f"{author}: {LRM}{notice}", "Ivo: ok"), tmp_path) == [
        (None, "system", notice),
        ("Ivo", "message", "ok"),
    ]


def test_notices_of_an_iphone_without_marks(tmp_path):
    data = iphone(f"Vera: {ENCRYPTED}", "Vera: Vera añadió a Ivo.", "Vera: Ivo salió del grupo")
    assert short_rows(data, tmp_path) == [
        (None, "system", ENCRYPTED),
        (None, "system", "Vera añadió a Ivo."),
        ("Vera", "message", "Ivo salió del grupo"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "eliminaste este mensaje jaja",
        "Se eliminó este mensaje?",
        "Ivo added Vera",
        "Ivo left",
        "she left. image omitted",
        "imagen omitida dice, jaja",
        "me salió <Multimedia omitido>",
        "<Multimedia omitido> jaja",
        "missed voice call again?",
        "Videollamada",
        "videollamada, dale",
        "Llamada de voz. dale",
        "los mensajes y las llamadas están cifrados de extremo a extremo",
        "foto (archivo adjunto)",
        "mirá foto.jpg (archivo adjunto) jaja",
        "<Se editó este mensaje.>",
        "'<Se editó este mensaje.>' jaja",
        "location: https://example.org",
        "ubicación: ahí",
        "https://maps.google.com/?q=1,2",
        "poll:\nuno\ndos",
        "POLL: uno",
        "nulo",
        "null?",
        "NULL",
        "waiting for this message from you",
    ],
)
def test_people_write_such_words(text, tmp_path):
    assert short_rows(android(f"Vera: {text}"), tmp_path) == [("Vera", "message", text)]
    marked = iphone(f"Ivo: {LRM}imagen omitida", f"Vera: {text}")
    assert short_rows(marked, tmp_path)[1] == ("Vera", "message", text)


@pytest.mark.parametrize(
    "text",
    [
        "imagen omitida",
        "Video omitido",
        "Se eliminó este mensaje.",
        "Llamada perdida",
        "dale <Se editó este mensaje.>",
        "<adjunto: 3-PHOTO.jpg>",
        "Vera añadió a Ivo.",
        "null",
        "Esperando este mensaje",
        ENCRYPTED,
    ],
)
def test_without_the_mark_it_is_typed_on_an_iphone(text, tmp_path):
    data = iphone(f"Ivo: {LRM}GIF omitido", f"Vera: {text}")
    assert short_rows(data, tmp_path)[1] == ("Vera", "message", text)


def test_placeholders_of_an_iphone_are_typed_on_android(tmp_path):
    data = android("Vera: imagen omitida", "Vera: video omitted")
    assert [kind for _, kind, _ in short_rows(data, tmp_path)] == ["message", "message"]


# Kinds

NOTICES = json.loads(Path(whatsapp.__file__).with_name("notices.json").read_text("utf-8"))


def forms(*kinds: str) -> list[str]:
    fillings = {"{name}": "Ana Paz", "{time}": "12 min", "{.}": "."}
    all_forms = []
    for kind in kinds:
        for listed in NOTICES[kind].values():
            for form in listed:
                for token, value in fillings.items():
                    form = form.replace(token, value)
                all_forms.append(form)
    return sorted(set(all_forms))


@pytest.mark.parametrize("words", forms("android_media"))
def test_media_left_out_on_android(words, tmp_path):
    data = android(f"Vera: {words}", f"Vera: {words}\nqué día: sí", f"Vera: {words.upper()}")
    assert short_rows(data, tmp_path) == [
        ("Vera", "media", words),
        ("Vera", "media", "qué día: sí"),
        ("Vera", "media", words.upper()),
    ]


@pytest.mark.parametrize("words", forms("attached"))
@pytest.mark.parametrize("name", ["IMG-20240517-WA0001.jpg", "Plano final (v2).pdf", "Ana.vcf"])
def test_attachment_on_android(name, words, tmp_path):
    whole = f"{name} ({words})"
    data = android(
        f"Vera: {LRM}{whole}",
        f"Vera: {whole}",
        f"Vera: {LRM}{whole}\nmirá: esto\n\nsí",
        f"Vera: mirá {LRM}{whole}",
        f"Vera: mirá\nesto\n{whole}",
    )
    assert short_rows(data, tmp_path) == [
        ("Vera", "media", whole),
        ("Vera", "media", whole),
        ("Vera", "media", "mirá: esto\n\nsí"),
        ("Vera", "media", "mirá"),
        ("Vera", "media", "mirá\nesto"),
    ]


@pytest.mark.parametrize("words", forms("ios_omitted"))
def test_media_left_out_on_an_iphone(words, tmp_path):
    data = iphone(
        f"Vera: {LRM}{words}", f"Vera: ¡mirá! {LRM}{words}", f"Vera: {LRM}{words}\nmirá", "Vera: a"
    )
    assert short_rows(data, tmp_path) == [
        ("Vera", "media", words),
        ("Vera", "media", "¡mirá!"),
        ("Vera", "media", "mirá"),
        ("Vera", "message", "a"),
    ]
    assert short_rows(iphone(f"Vera: {words}", "Vera: a"), tmp_path)[0] == ("Vera", "media", words)


@pytest.mark.parametrize("words", forms("ios_document"))
def test_document_left_out_on_an_iphone(words, tmp_path):
    data = iphone(
        f"Vera: Plano.pdf • {LRM}2 páginas {LRM}{words}",
        f"Vera: Plano final.pdf {LRM}{words}",
        f"Vera: {LRM}{words}",
        f"Vera: mirá\nPlano.pdf • {LRM}1 página {LRM}{words}",
    )
    assert short_rows(data, tmp_path) == [
        ("Vera", "media", f"Plano.pdf • 2 páginas {words}"),
        ("Vera", "media", f"Plano final.pdf {words}"),
        ("Vera", "media", words),
        ("Vera", "media", "mirá"),
    ]


@pytest.mark.parametrize("words", forms("ios_attached"))
@pytest.mark.parametrize("colon", [": ", " : ", "\u00a0: "])
def test_attachment_on_an_iphone(words, colon, tmp_path):
    whole = f"<{words}{colon}00000012-PHOTO-2024-05-17-10-00-00.jpg>"
    data = iphone(
        f"Vera: {LRM}{whole}", f"Vera: qué día {LRM}{whole}", f"Vera: {LRM}{whole}\nqué día"
    )
    assert short_rows(data, tmp_path) == [
        ("Vera", "media", whole),
        ("Vera", "media", "qué día"),
        ("Vera", "media", "qué día"),
    ]


def test_attachment_of_an_old_iphone(tmp_path):
    data = f"29/12/2012 17:04:00: Vera: IMG_1.jpg <{LRM}attached>\n29/12/2012 17:04:09: Ivo: a\n"
    assert short_rows(data, tmp_path) == [
        ("Vera", "media", "IMG_1.jpg <attached>"),
        ("Ivo", "message", "a"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "POLL:\n¿Cuándo?\nOPTION: viernes (3 votes)\nOPTION: sábado (0 votes)",
        "ENCUESTA:\n¿Cuándo?\nOPCIÓN: viernes (3 votos)\nOPCIÓN: sábado (1 voto)",
        "ubicación: https://maps.google.com/?q=-34.6,-58.4",
        "Ubicación: https://maps.google.com/?q=-34.6,-58.4",
        "location: https://maps.google.com/?q=-34.6,-58.4",
        "Location: Café Paz (Calle 1) https://foursquare.com/v/1",
        "Standort: https://maps.google.com/?q=1,2",
        "live location shared",
        "ubicación en tiempo real compartida",
        "Waiting for this message",
        "Esperando este mensaje.",
        "Recibiste un mensaje de visualización única. Para mayor privacidad, solo puedes abrirlo "
        "en tu teléfono.",
    ],
)
def test_other_media(text, tmp_path):
    for data in (android(f"Vera: {text}"), iphone(f"Vera: {LRM}{text}"), iphone(f"Vera: {text}")):
        assert short_rows(data, tmp_path) == [("Vera", "media", text)]
        assert captions(data, tmp_path) == [""]


def test_a_location_with_a_comment(tmp_path):
    data = android("Vera: live location shared\nllego en 5")
    assert short_rows(data, tmp_path) == [("Vera", "media", "llego en 5")]


@pytest.mark.parametrize("text", ["null", "", " ", LRM])
def test_what_android_does_not_show(text, tmp_path):
    data = android(f"Vera: {text}", "Ivo: x")
    assert short_rows(data, tmp_path) == [
        ("Vera", "media", text.replace(LRM, "")),
        ("Ivo", "message", "x"),
    ]


@pytest.mark.parametrize("kind", ["deleted", "call"])
def test_deleted_and_calls_in_every_language(kind, tmp_path):
    for words in forms(kind):
        plain = words.removesuffix(".")
        for text in (plain, plain + "."):
            expected = [("Vera", kind, text)]
            assert short_rows(android(f"Vera: {text}"), tmp_path) == expected
            assert short_rows(iphone(f"Vera: {LRM}{text}"), tmp_path) == expected


@pytest.mark.parametrize(
    "call",
    [
        "Llamada de voz perdida a las 9:05 p. m.",
        "Voice call. 1 hr 3 min",
        "Video call, \u200e12 min • \u200e3 joined",
        "Videollamada. \u200eSin respuesta",
        "Missed voice call, \u200eTap to call back",
    ],
)
def test_call(call, tmp_path):
    expected = [("Vera", "call", call.replace(LRM, ""))]
    assert short_rows(iphone(f"Vera: {LRM}{call}"), tmp_path) == expected
    assert short_rows(android(f"Vera: {call}"), tmp_path) == expected


def test_calls_without_an_author(tmp_path):
    data = android("Missed voice call", "Llamada perdida", "Videollamada. 1 h 3 min", "Vera left")
    assert [kind for _, kind, _ in short_rows(data, tmp_path)] == ["call", "call", "call", "system"]


@pytest.mark.parametrize("words", forms("edited"))
def test_edited_in_every_language(words, tmp_path):
    data = android(f"Vera: a las 9 <{words}>", f"Vera: uno\ndos <{words}.>", "Vera: tres")
    assert [row[2:] for row in rows(data, tmp_path)] == [
        ("message", "a las 9", True),
        ("message", "uno\ndos", True),
        ("message", "tres", False),
    ]
    data = iphone(f"Vera: a las 9 {LRM}<{words}>", f"Vera: tres <{words}>")
    assert [row[2:] for row in rows(data, tmp_path)] == [
        ("message", "a las 9", True),
        ("message", f"tres <{words}>", False),
    ]


def test_edited_caption(tmp_path):
    data = android("Vera: <Multimedia omitido>\nmirá <Se editó este mensaje.>")
    assert [row[2:] for row in rows(data, tmp_path)] == [("media", "mirá", True)]


@pytest.mark.parametrize(
    "text",
    forms("android_media", "ios_omitted", "ios_document", "live_location", "unshown")
    + [f"a b.pdf ({words})" for words in forms("attached")]
    + [f"<{words}: 3.jpg>" for words in forms("ios_attached")]
    + ["", "null"],
)
def test_a_placeholder_is_no_caption_and_the_words_below_it_are(text, tmp_path):
    phones = [android, lambda *messages: iphone(*(f"Vera: {LRM}{m[6:]}" for m in messages))]
    kinds = []
    for phone in phones:
        data = phone(f"Vera: {text}")
        kinds += [kind for _, kind, _ in short_rows(data, tmp_path)]
        if kinds[-1] == "media":
            assert captions(data, tmp_path) == [""]
            if text not in ("", "null"):  # which stand alone
                below = phone(f"Vera: {text}\nqué: día (sí)")
                assert captions(below, tmp_path) == ["qué: día (sí)"]
    assert "media" in kinds


def test_only_media_have_captions(tmp_path):
    data = android(
        *("Vera: hola", "Vera: <Media omitted>\nmirá", "Vera: This message was deleted"),
        *("Vera: Missed voice call", "Vera left", "Vera: <Media omitted>"),
    )
    assert captions(data, tmp_path) == ["", "mirá", "", "", "", ""]


def test_a_place_below_a_photo_is_no_caption_for_it_names_a_street(tmp_path):
    place = "Café Paz\nCalle Falsa 1\nhttps://maps.google.com/?q=-34.6,-58.4"
    data = android(f"Vera: IMG-20240517-WA0001.jpg (file attached)\n{place}")
    assert short_rows(data, tmp_path) == [("Vera", "media", place)]
    assert captions(data, tmp_path) == [""]


# Text

TEXTS = {
    "marks go": ("a\u200eb\u200f\u202ac\u202c", "abc"),
    "mentions": ("@\u2068Ivo Paz\u2069 sí", "@Ivo Paz sí"),
    "joined emoji": ("👩\u200d👧 ❤\ufe0f", "👩\u200d👧 ❤\ufe0f"),
    "no compatibility forms": ("2ª ½ ﬁ …", "2ª ½ ﬁ …"),
    "decomposed": ("cafe\u0301", "cafe\u0301"),
    "no-break space": ("a\u00a0b\u202fc", "a\u00a0b\u202fc"),
    "line separators": ("a\u2028b\u0085c\x0bd\x0ce\x1cf", "a\u2028b\u0085c\x0bd\x0ce\x1cf"),
    "indentation": ("  a\n\tb\n   c", "  a\n\tb\n   c"),
    "blank lines": ("a\n\n\nb", "a\n\n\nb"),
    "tab": ("a\tb", "a\tb"),
    "a header inside": ("x 17/5/2024, 10:00 - Ivo: y", "x 17/5/2024, 10:00 - Ivo: y"),
    "smiley": (":) :D", ":) :D"),
    "first line empty": ("\n- pan\n- leche", "\n- pan\n- leche"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text(case, tmp_path):
    typed, kept = TEXTS[case]
    assert short_rows(android(f"Vera: {typed}", "Ivo: z"), tmp_path)[0] == ("Vera", "message", kept)


def test_repeated_words_stay(tmp_path):
    data = "17/5/2024, 10:00 - Vera: ja\n" * 3
    assert [text for _, _, text in short_rows(data, tmp_path)] == ["ja", "ja", "ja"]


# Bytes and zips

CHAT = "17/5/2024, 10:00 - Vera: ¿sí? 🎉\ncómo\n18/5/2024, 10:01 - Ivo: ñ\n"
CHAT_ROWS = [
    ("2024-05-17 10:00:00", "Vera", "message", "¿sí? 🎉\ncómo", False),
    ("2024-05-18 10:01:00", "Ivo", "message", "ñ", False),
]


@pytest.mark.parametrize(
    "data",
    [
        CHAT.encode(),
        CHAT.encode("utf-8-sig"),
        CHAT.encode("utf-16"),
        b"\xfe\xff" + CHAT.encode("utf-16-be"),
        CHAT.replace("\n", "\r\n").encode(),
        CHAT.replace("\n", "\r\n").encode("utf-8-sig"),
        CHAT.replace("\n", "\r\n").encode("utf-16"),
        CHAT.rstrip("\n").encode(),
        (CHAT + "\n \n").encode().replace(b" \n", b"\n"),
        ("\n\n" + CHAT).encode(),
    ],
    ids=[
        *("utf-8", "BOM", "utf-16-le", "utf-16-be", "crlf", "Notepad", "Notepad, Unicode"),
        *("no end", "blank end", "blank start"),
    ],
)
def test_bytes(data, tmp_path):
    assert rows(data, tmp_path) == CHAT_ROWS


def test_invalid_bytes(tmp_path):
    data = "17/5/2024, 10:00 - Vera: ¿qué hacés, ñandú?\n".encode()
    data += b"17/5/2024, 10:01 - Ivo: a\xffb\n17/5/2024, 10:02 - Ivo: \xf1\n"
    path = tmp_path / "x.txt"
    path.write_bytes(data)
    (export,) = whatsapp.read_file(path)
    assert export.messages["text"].tolist() == ["¿qué hacés, ñandú?", "a\ufffdb", "\ufffd"]
    assert export.account.replaced == 2
    assert export.decisions.endswith(", 2 bytes that are no text replaced by U+FFFD")


OLD_ENCODINGS = {
    "cp1252": "¿qué hacés, ñandú? “nada” – 5 €",
    "latin-1": "¿qué hacés, ñandú?",
    "cp1251": "привет, как дела? приходи вечером на чай",
    "cp1253": "καλημέρα, τι κάνεις σήμερα το απόγευμα",
    "cp1256": "مرحبا كيف حالك اليوم يا صديقي",
    "gb18030": "你好,明天见面吧,我们一起吃饭",
    "shift_jis": "こんにちは、明日会いましょうね",
}


@pytest.mark.parametrize("encoding", OLD_ENCODINGS)
def test_encodings_of_before_utf8(encoding, tmp_path):
    path = tmp_path / "x.txt"
    lines = [f"17/5/2024, 10:0{n} - Vera: {OLD_ENCODINGS[encoding]}\n" for n in range(9)]
    path.write_bytes("".join(lines).encode(encoding))
    (export,) = whatsapp.read_file(path)
    assert set(export.messages["text"]) == {OLD_ENCODINGS[encoding]}
    assert export.account.replaced == 0
    assert export.decisions.endswith(f", read as {ENCODING_NAMES.get(encoding, encoding)}")


LANGUAGES = {
    "cp1252": ["¿venís mañana? ¡qué lindo!", "não, amanhã às oito", "être à l'été, ça va où?"],
    "cp1250": [
        *("příliš žluťoučký kůň úpěl", "zażółć gęślą jaźń, będę później", "őszintén fűtök"),
        *(
            "był w Łodzi, kosztował 5 zł",
            "\u015ftiu c\u0103 a\u0163i plecat",  # Romanian, with cedillas
        ),
    ],
    "cp1254": ["görüşürüz yarın şimdi gidiyorum, ağaç"],
}


@pytest.mark.parametrize(
    ("encoding", "words"), [(code, words) for code, some in LANGUAGES.items() for words in some]
)
@pytest.mark.parametrize("times", [20, 600])
def test_encodings_that_share_most_letters(encoding, words, times, tmp_path):
    """mañana is not read as mańana, however often it occurs."""
    lines = [f"17/5/2024, 10:{n % 60:02} - Vera: {words}\n" for n in range(times)]
    lines += [f"17/5/2024, 11:{n % 60:02} - Ivo: mañana\n" for n in range(times)][
        : 600 * (encoding == "cp1252" and "¿" in words)
    ]
    (tmp_path / "x.txt").write_bytes("".join(lines).encode(encoding))
    assert set(whatsapp.read(tmp_path / "x.txt")["text"]) <= {words, "mañana"}


@pytest.mark.parametrize(
    "words",
    [
        *("it is £1.20", "£5 and don’t be late", "£3 at the café", "a naïve façade for £2"),
        *("1½ hours at 20 °C, © 2024", "A secção não está no 1.º andar", "son 3 m² en el 2º B"),
        *("¥500 or 30¢", "Lego®, ±2 µm", "• milk", "¾"),
    ],
)
@pytest.mark.parametrize("times", [1, 30, 600])
def test_signs_are_no_letters_of_another_encoding(words, times, tmp_path):
    """£ is not read as Ł, nor º as ş, nor ½ as a katakana."""
    lines = [f"17/5/2024, 10:{n % 60:02} - Vera: {words}\n" for n in range(times)]
    (tmp_path / "x.txt").write_bytes("".join(lines).encode("cp1252"))
    assert set(whatsapp.read(tmp_path / "x.txt")["text"]) == {words}


ENCODING_NAMES = {"latin-1": "Windows-1252"} | {
    f"cp{n}": f"Windows-{n}" for n in (1251, 1252, 1253, 1256)
}


def zipped(**files: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


OTHER = "1/1/2020, 0:00 - X: other\n" * 5


@pytest.mark.parametrize(
    "files",
    [
        {"_chat.txt": CHAT},
        {"notes.txt": OTHER, "_chat.txt": CHAT, "3-PHOTO.jpg": b"\xff\xd8"},
        {"WhatsApp Chat - Vera/_chat.txt": CHAT, "WhatsApp Chat - Vera/a.txt": OTHER},
        {"WhatsApp Chat - Vera.txt": CHAT, "a WhatsApp story.txt": OTHER},
        {"a.txt": "tales of old", "WhatsApp Chat with Vera.txt": CHAT},
        {"a.txt": "tales of old", "b.TXT": CHAT},
        {"a WhatsApp story.txt": "x\n" * 9, "my WhatsApp.txt": CHAT},
        {
            "__MACOSX/._chat.txt": "x",
            "__MACOSX/_chat.txt": "x",
            "._chat.txt": "x",
            "_chat.txt": CHAT,
        },
    ],
)
def test_zip(files, tmp_path):
    assert rows(zipped(**files), tmp_path, "WhatsApp Chat - Vera.zip") == CHAT_ROWS


@pytest.mark.parametrize(
    ("name", "chat"),
    [
        ("WhatsApp Chat with Vera Paz.txt", "Vera Paz"),
        ("WhatsApp Chat - Vera 🌵.txt", "Vera 🌵"),
        ("Chat de WhatsApp con Los del 2B.txt", "Los del 2B"),
        ("Conversa do WhatsApp com Bia.txt", "Bia"),
        ("WhatsApp-Chat mit Lena.txt", "Lena"),
        ("Discussion WhatsApp avec Zoé.txt", "Zoé"),
        ("Chat WhatsApp con Gaia.txt", "Gaia"),
        ("WhatsApp-chat met Anouk.txt", "Anouk"),
        ("Чат WhatsApp с Ira.txt", "Ira"),
        ("_chat.txt", "_chat"),
        ("ana.txt", "ana"),
        ("WhatsApp_Chat_with_Vera_Paz.txt", "Vera Paz"),
    ],
)
def test_chat_name(name, chat, tmp_path):
    (tmp_path / name).write_text(CHAT, "utf-8")
    assert set(whatsapp.read(tmp_path / name)["chat"]) == {chat}


@pytest.mark.parametrize(
    "name",
    [
        "Chat de WhatsApp con Ana (1).txt",
        "Chat de WhatsApp con Ana - copia.txt",
        "Chat de WhatsApp con Ana - copia (2).txt",
        "WhatsApp Chat with Ana - Copy.txt",
        "Chat de WhatsApp con Ana.TXT",
        "Chat de WhatsApp con Ana.txt.txt",
        "Chat de WhatsApp con Ana.txt (1).txt",
    ],
)
def test_a_folder_that_windows_copied(name, tmp_path):
    (tmp_path / name).write_bytes(CHAT.replace("\n", "\r\n").encode("utf-8-sig"))
    # Explorer's own files; WSL shows beside a download where it was from.
    for other in ("desktop.ini", "Thumbs.db", f"{name}:Zone.Identifier"):
        (tmp_path / other).write_text("[ZoneTransfer]\r\nZoneId=3\r\n", "utf-8")
    table = whatsapp.read(tmp_path)
    assert set(table["chat"]) == {"Ana"}
    assert table_rows(table) == CHAT_ROWS


def test_chat_name_of_a_zip(tmp_path):
    (tmp_path / "WhatsApp Chat - Vera.zip").write_bytes(zipped(**{"_chat.txt": CHAT}))
    later = CHAT.replace("2024", "2025")
    (tmp_path / "x.zip").write_bytes(zipped(**{"Chat de WhatsApp con Ivo.txt": later}))
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / ".hidden.txt").write_text("x")
    table = whatsapp.read(tmp_path)
    assert table["chat"].unique().tolist() == ["Vera", "Ivo"]
    assert [path.name for path in whatsapp.exports_in(tmp_path)] == [
        "WhatsApp Chat - Vera.zip",
        "x.zip",
    ]


def test_what_was_decided(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("cut\n\n" + CHAT + "[1/1/20, 10:00:00] X: y\n", "utf-8")
    (export,) = whatsapp.read_file(path)
    assert export.name == "x.txt"
    assert (export.lines, export.lines_understood) == (5, 4)
    assert export.lost == ((1, "cut"),)
    assert export.decisions == (
        "Android, 24-hour clock, day first: with month first, 2 of 2 dates are impossible, "
        "1 header-like lines kept as text"
    )


# Errors

AGAIN = "export the chat again from WhatsApp (Export chat) and use its .txt or .zip as it comes."
EMPTY = "a.txt: the file is empty, expected a WhatsApp export; "
NO_MESSAGE = "a.txt: no line looks like a message of WhatsApp; "
NO_TEXT = "a.txt: this is no text, but a picture or some other binary file; "
NO_CHAT = "a.zip: expected a chat (.txt) in the zip, found none; "
CUT_ZIP = zipped(**{"_chat.txt": CHAT * 200})[:-40]
BAD_ZIP = bytearray(zipped(**{"_chat.txt": CHAT * 200}))
BAD_ZIP[60:90] = b"\x00" * 30
LOCKED = bytearray(zipped(**{"_chat.txt": CHAT}))
for flag_offset in (LOCKED.index(b"PK\x03\x04") + 6, LOCKED.index(b"PK\x01\x02") + 8):
    LOCKED[flag_offset] |= 1


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("a.txt", None, "a.txt: there is no such file; "),
        ("a.txt", b"", EMPTY),
        ("a.txt", b"\xef\xbb\xbf \r\n\n", EMPTY),
        ("a.txt", b"Dear diary,\n17/5 was good", NO_MESSAGE),
        ("a.txt", bytes(range(256)) * 9, NO_TEXT),
        ("a.txt", b"31/2/2024, 10:00 - V: x", "a.txt: no line has a date that exists; "),
        ("a.txt", b"32 Jan 2024, 10:00 - V: x", "a.txt: no line has a date that exists; "),
        ("a.zip", b"PK, not", "a.zip: the zip is damaged; copy it again or "),
        ("a.zip", CUT_ZIP, "a.zip: the zip is damaged; copy it again or "),
        ("a.zip", bytes(BAD_ZIP), "a.zip: the zip is damaged; copy it again or "),
        ("a.zip", bytes(LOCKED), "a.zip: the zip is locked or packed oddly; "),
        ("a.zip", zipped(**{"a.jpg": b"x"}), NO_CHAT),
        ("a.zip", zipped(**{"a.txt": b"x"}), "a.zip: no line looks like a message of WhatsApp; "),
        ("a.zip", zipped(**{"a.txt": b""}), EMPTY.replace(".txt", ".zip")),
    ],
)  # fmt: skip
def test_error(name, data, sentence, tmp_path):
    if data is not None:
        (tmp_path / name).write_bytes(data)
    with pytest.raises(whatsapp.ExportError) as error:
        whatsapp.read(tmp_path / name)
    assert str(error.value) == sentence + AGAIN


def test_a_zip_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(whatsapp.files, "MAX_BYTES", 1000)
    (tmp_path / "a.zip").write_bytes(zipped(**{"_chat.txt": CHAT * 100}))
    with pytest.raises(whatsapp.ExportError) as error:
        whatsapp.read(tmp_path / "a.zip")
    assert str(error.value) == (
        "a.zip: the texts in the zip unpack to more than 1,000 bytes, far beyond any export; "
        + AGAIN
    )


def test_folder_without_exports(tmp_path):
    (tmp_path / "notes.md").write_text("x")
    for read in (whatsapp.read, whatsapp.exports_in):
        with pytest.raises(whatsapp.ExportError) as error:
            read(tmp_path)
        assert str(error.value) == (
            f"{tmp_path}: expected WhatsApp exports (.txt or .zip) in this folder; "
            "copy yours there, or run `make mine`."
        )
    with pytest.raises(whatsapp.ExportError, match="nowhere: expected a folder"):
        whatsapp.exports_in(tmp_path / "nowhere")


# Properties

STYLES = {
    "android": "{t.day}/{t.month}/{t.year}, {t.hour}:{t.minute:02} - ",
    "android 12": "{t.day}/{t.month}/{t:%y}, {h}:{t.minute:02}\u202f{half}.\u00a0m. - ",
    "american": "{t.month}/{t.day}/{t:%y}, {h}:{t.minute:02}\u202f{HALF}M - ",
    "german": "{t:%d.%m.%y}, {t:%H:%M} - ",
    "iso": "{t:%Y-%m-%d}, {t:%H:%M} - ",
    "iphone": "[{t:%d/%m/%y}, {t:%H:%M}:00] ",
    "iphone 12": "[{t.day}/{t.month}/{t:%y}, {h}:{t.minute:02}:00\u202f{half}.\u00a0m.] ",
    "korean": "{t.year}. {t.month}. {t.day}. {before} {h}:{t.minute:02} - ",
    "old": "{t:%d/%m/%Y %H:%M}:00: ",
}
MARKS = "\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# Character by character: st.text() also draws whole strings that stand in the code, notices too.
LINES = st.lists(
    st.characters(codec="utf-8", exclude_characters="\n\r" + MARKS)
    | st.sampled_from(" :-[]/.0123456789<>()\"'aeiouñ🎉"),
    max_size=40,
).map("".join)
TYPED = (
    st.lists(LINES, min_size=1, max_size=4)
    .map("\n".join)
    .filter(lambda text: text.strip() and text[-1] != "\n" and text != "null")
)
NAMES = st.sampled_from(["Vera", "Ivo Paz", "+54 9 11 5555-0199", "~ Ana 🌵", "Ñ (2B)"])


def written(style: str, time: datetime) -> str:
    early = time.hour < 12
    return STYLES[style].format(
        t=time,
        h=time.hour % 12 or 12,
        half="a" if early else "p",
        HALF="A" if early else "P",
        before="오전" if early else "오후",
    )


@settings(max_examples=150)
@given(
    st.sampled_from(sorted(STYLES)),
    st.lists(st.tuples(st.integers(0, 3000), NAMES, TYPED), min_size=1, max_size=12),
    st.booleans(),
)
def test_what_is_written_is_read(tmp_path_factory, style, chat, crlf):
    # two opening messages on the 30th and the 31st decide the order of the date
    time, messages, data = datetime(2023, 12, 30), [], ""
    for minutes, author, text in [(0, "Vera", "uno"), (1440, "Ivo Paz", "dos"), *chat]:
        time += timedelta(minutes=minutes)
        messages.append((time.isoformat(sep=" "), author, "message", text, False))
        data += f"{written(style, time)}{author}: {text}\n"
    if crlf:
        data = data.replace("\n", "\r\n")
    assert rows(data, tmp_path_factory.getbasetemp()) == messages


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.sampled_from([*sorted(STYLES), "", "", ""]), LINES), min_size=1, max_size=30
    ),
    st.sampled_from(["\n", "\r\n"]),
)
def test_every_line_belongs_to_one_message(tmp_path_factory, parts, end):
    time = datetime(2023, 12, 30)
    lines = [written(style, time) + text if style else text for style, text in parts]
    path = tmp_path_factory.getbasetemp() / "lines.txt"
    path.write_bytes(end.join(lines).encode())
    try:
        (export,) = whatsapp.read_file(path)
    except whatsapp.ExportError:
        return
    starts = export.messages["line"].tolist()
    assert starts == sorted(set(starts))
    assert [n for n, _ in export.lost] == [
        n for n, line in enumerate(lines, 1) if n < starts[0] and line.strip()
    ]
    assert export.lines == sum(bool(line.strip()) for line in lines)
    assert export.lines == export.lines_understood + len(export.lost)
    for start, stop, text in zip(
        starts, [*starts[1:], len(lines) + 1], export.messages["text"], strict=True
    ):
        own = "\n".join(lines[start - 1 : stop - 1]).rstrip("\n")
        assert text.split("\n")[1:] == own.split("\n")[1:]
        assert own.split("\n")[0].endswith(text.split("\n")[0])


@settings(max_examples=150)
@given(st.binary(max_size=300), st.sampled_from(["a.txt", "a.zip"]), st.booleans())
def test_no_other_exception(tmp_path_factory, data, name, chat):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes((CHAT.encode() if chat else b"") + data)
    try:
        assert len(whatsapp.read(path))
    except whatsapp.ExportError as error:
        sentence = str(error)
    else:
        return
    assert sentence.startswith(name + ": ")
    assert "\n" not in sentence
