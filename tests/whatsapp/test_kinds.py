"""Every notice in every language under every form of header; and people who write the same words.

The kinds expected here come from the sections of notices.json, not from the reader.
"""

import json
from pathlib import Path

import pytest

from espejo import whatsapp

LRM = "\u200e"
NOTICES = json.loads(Path(whatsapp.__file__).with_name("notices.json").read_text("utf-8"))
HEADERS = {
    "android 24h": "17/5/2024, 14:{:02} - ",
    "android 12h": "17/5/2024, 2:{:02}\u202fp.\u00a0m. - ",
    "iphone marked": "[17/05/24, 14:{:02}:09] ",
}
ANDROID = ("android 24h", "android 12h")
IPHONE = ("iphone marked",)
MAP = "https://maps.google.com/?q=-31.4,-64.2"
FILE = "00000012-PHOTO-2024-05-17-14-00-09.jpg"
# Section: its kind, the phones that write it, and how a form stands in a message.
SECTIONS = {
    "android_media": ("media", ANDROID, "{}"),
    "attached": ("media", ANDROID, "IMG-20240517-WA0001.jpg ({})"),
    "ios_attached": ("media", IPHONE, f"<{{}}: {FILE}>"),
    "ios_omitted": ("media", IPHONE, "{}"),
    "ios_document": ("media", IPHONE, "{}"),
    "location": ("media", ANDROID + IPHONE, f"{{}}: {MAP}"),
    "live_location": ("media", ANDROID + IPHONE, "{}"),
    "unshown": ("media", ANDROID + IPHONE, "{}"),
    "deleted": ("deleted", ANDROID + IPHONE, "{}"),
    "call": ("call", ANDROID + IPHONE, "{}"),
    "encrypted": ("system", ANDROID + IPHONE, "{}. Tap: to learn more."),
    "security_code": ("system", ANDROID + IPHONE, "{}"),
    "actor": ("system", ANDROID + IPHONE, "Vera {}"),
}
CROSSED = [
    pytest.param(section, language, header, id=f"{section}-{language}-{header}")
    for section, (_, headers, _) in SECTIONS.items()
    for language in NOTICES[section]
    for header in headers
]


def fill_forms(section: str, language: str) -> list[str]:
    """The forms of a section as they stand in a chat."""
    texts = []
    for form in NOTICES[section][language]:
        for token, value in {"{name}": "Ana Paz", "{time}": "12 min", "{.}": "."}.items():
            form = form.replace(token, value)
        texts.append(SECTIONS[section][2].format(form) if section in SECTIONS else form)
    return texts


def read(header: str, messages: list[str], folder: Path) -> list[tuple]:
    """The rows of a chat with these messages, each read as (author, kind, text, edited)."""
    lines = [
        f"{HEADERS[header].format(number % 60)}{message}\n"
        for number, message in enumerate(["Ivo: hola", f"Ivo: {LRM}null", *messages])
    ]
    path = folder / "chat.txt"
    path.write_text("".join(lines), "utf-8")
    table = whatsapp.read(path).astype({"author": object})
    table = table.where(table.notna(), None)
    return list(table[["author", "kind", "text", "edited"]].itertuples(index=False, name=None))[2:]


def test_every_section_is_crossed():
    rest = {"edited", "clock", "chat_file", "_about"}  # tested below and in test_whatsapp.py
    assert set(NOTICES) == set(SECTIONS) | rest


@pytest.mark.parametrize(("section", "language", "header"), CROSSED)
def test_notice(section, language, header, tmp_path):
    kind, _, _ = SECTIONS[section]
    texts = [
        variant
        for text in fill_forms(section, language)
        for variant in (text, text.removesuffix("."), text.upper() if kind == "deleted" else text)
    ]
    if header in IPHONE:
        written = [f"Vera: {LRM}{text}" for text in texts]
    else:  # WhatsApp's notices have no author on Android
        written = [text if kind == "system" else f"Vera: {text}" for text in texts]
    author = None if kind == "system" else "Vera"
    assert read(header, written, tmp_path) == [(author, kind, text, False) for text in texts]


@pytest.mark.parametrize(("section", "language", "header"), CROSSED)
def test_the_same_words_in_a_sentence(section, language, header, tmp_path):
    texts = []
    for text, form in zip(fill_forms(section, language), NOTICES[section][language], strict=True):
        texts.append(f"me salió {text} y nada más")
        texts.append(f"¿{text}?")
        # A name may be any words, so "jaja" at the end could be one; and what follows the first
        # words about encryption differs from year to year.
        named = form.endswith("{name}") or form + " {name}" in NOTICES[section][language]
        if not named and section != "encrypted":
            texts.append(f"{text.removesuffix('.')} jaja")
    typed = [(f"Vera: {text}", ("Vera", "message", text, False)) for text in texts]
    if header in IPHONE:  # without the mark, even exactly these words are typed
        typed += [
            (f"Vera: {text}", ("Vera", "message", text, False))
            for text in fill_forms(section, language)
        ]
    assert read(header, [line for line, _ in typed], tmp_path) == [row for _, row in typed]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("language", NOTICES["edited"])
def test_edited(language, header, tmp_path):
    mark = LRM if header in IPHONE else ""
    written, rows = [], []
    for form in NOTICES["edited"][language]:
        for dot in ("", "."):
            written += [f"Vera: a las 9 {mark}<{form}{dot}>", f"Vera: uno\ndos {mark}<{form}{dot}>"]
            rows += [("Vera", "message", "a las 9", True), ("Vera", "message", "uno\ndos", True)]
            written += [f"Vera: dice <{form}{dot}> jaja", f"Vera: {form}"]
            rows += [
                ("Vera", "message", f"dice <{form}{dot}> jaja", False),
                ("Vera", "message", form, False),
            ]
    assert read(header, written, tmp_path) == rows


@pytest.mark.parametrize("section", ["ios_omitted", "ios_attached"])
@pytest.mark.parametrize("header", ANDROID)
def test_the_words_of_an_iphone_are_typed_on_android(section, header, tmp_path):
    texts = [text for language in NOTICES[section] for text in fill_forms(section, language)]
    assert read(header, [f"Vera: {text}" for text in texts], tmp_path) == [
        ("Vera", "message", text, False) for text in texts
    ]
