"""People who withhold: their names in any spelling, and their words wherever others put them."""

import sys
import time

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espejo.core.config import DataConfig
from espejo.core.errors import UserError
from espejo.privacy import nicknames, pii, pseudonyms
from espejo.privacy.people import People
from espejo.privacy.withheld_names import WithheldNames
from espejo.privacy.withholding import Redactor, withhold
from espejo.sources import ParseConfig
from stages import parse
from tests.helpers.configs import DATA

# All invented; Argentina reserves no phone numbers for fiction.
PEOPLE = People(
    "Juli",
    frozenset({"Juli"}),
    {
        "Ana Gómez": "withhold",
        "Ana Pérez": "train",  # a namesake
        "Tincho": "train",
        "+54 9 351 555-1234": "withhold",
        "Sol Rosas": "withhold",
        "Jo": "withhold",
        "~ Nicanor Ulloa 🌸": "withhold",
        "Luca": "withhold",
        "Lucas Paz": "context",
        "Mamá": "withhold",
        "Paz ☮️": "withhold",
        "Doctora Trabajo": "withhold",
        "Moncho (gas)": "withhold",
        "李明": "withhold",
    },
    {"Ana Gómez": ["Anita", "la flaca", "351 555 9876"]},
)
WITHHELD_NAMES = WithheldNames(PEOPLE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # whole, and in words that are nobody else's, however written
        ("hola ana gomez!", "hola <PERSON>!"),
        ("Gómez, Ana: vení", "<PERSON>: vení"),
        ("GÓMEZ", "<PERSON>"),
        ("Go\u0301mez", "<PERSON>"),
        ("G\u00f3\u200bmez", "<PERSON>"),
        ("𝐍𝐢𝐜𝐚𝐧𝐨𝐫 y Ｎｉｃａｎｏｒ", "<PERSON> y <PERSON>"),
        ("Nicanooor, nicanor", "<PERSON>, <PERSON>"),
        ("~ Nicanor Ulloa 🌸 y Nicanor 🌸 Ulloa", "<PERSON> y <PERSON>"),
        ("los Ulloas, Nicanorcito", "los <PERSON>, <PERSON>"),
        ("monchito, Monchinho", "<PERSON>, <PERSON>"),
        ("找李明吃饭", "找<PERSON>吃饭"),
        # users and files
        ("ana_gomez2.vcf (file attached)", "<PERSON>2.vcf (file attached)"),
        ("anagomez@x.com", "<PERSON>@x.com"),
        ("cumplenicanor.jpg", "cumple<PERSON>.jpg"),
        # words that a namesake has too stay; after "@" stands a contact's full name
        ("Ana, y Ana Pérez", "Ana, y Ana Pérez"),
        ("@Ana Gómez y @Ana Pérez", "@<PERSON> y @Ana Pérez"),
        ("luca y lucas", "<PERSON> y lucas"),
        # names that are words: with a capital or "@"
        ("hace sol, Sol", "hace sol, <PERSON>"),
        ("@sol", "@<PERSON>"),
        ("Sol Rosas, sol rosas", "<PERSON>, <PERSON>"),
        ("dos rosas de Rosas", "dos rosas de <PERSON>"),
        ("en paz, @Paz ☮ y paz ☮️", "en paz, @<PERSON> y <PERSON>"),
        ("mi mamá, y Mamá", "mi mamá, y <PERSON>"),
        ("jo, Jo, @Jo", "jo, Jo, @<PERSON>"),
        ("el gas de Moncho (gas)", "el gas de <PERSON>"),
        ("el trabajo de la doctora", "el trabajo de la doctora"),
        ("Doctora Trabajo", "<PERSON>"),
        # numbers
        ("@5493515551234 vení", "@<PERSON> vení"),
        ("al 0351 15 555-1234", "al <PERSON>"),
        ("(351) 555.1234, 555 1234", "<PERSON>, <PERSON>"),
        ("+54\u00a09\u00a0351\u00a0555\u20111234", "<PERSON>"),
        ("5\ufe0f\u20e35\ufe0f\u20e35\ufe0f\u20e3 1234", "<PERSON>"),
        ("35155512345 y 351 555 1235", "35155512345 y 351 555 1235"),
        # what people.yaml lists under aliases
        ("Anita! la  flaca? LA FLACA", "<PERSON>! <PERSON>? <PERSON>"),
        ("3515559876", "<PERSON>"),
        ("la bolsa flaca, gitanita", "la bolsa flaca, gitanita"),
        # signs alone are no proof
        ("🌸", "🌸"),
    ],
)
def test_a_name_in_every_writing(text, expected):
    assert WITHHELD_NAMES.remove_from(text) == expected
    assert WITHHELD_NAMES.remove_from(expected) == expected
    assert WITHHELD_NAMES.are_in(text) is (text != expected)


def test_what_stands_in_its_place_goes_through_clean_as_it_is():
    text = WITHHELD_NAMES.remove_from("hola nicanor, +54 9 351 555-1234 o ana@example.com")
    assert text == "hola <PERSON>, <PERSON> o ana@example.com"
    named = pseudonyms.replace_mentions([text], PEOPLE.pseudonyms("PERSON_{n}"))[0][0]
    assert pii.replace(named)[0] == "hola <PERSON>, <PERSON> o <EMAIL>"


REDACTOR = Redactor(
    WITHHELD_NAMES,
    [
        "quiero un ornitorrinco",
        "hoy fui al río con los perros",
        "uno dos tres cuatro cinco seis siete ocho nueve diez",
        "primero esto\ny después aquello otro",
        "jaja",
        "y ahora qué hacemos",
        "compré tres okapis enanos",
    ],
    # Only "okapis" is rare among the others, who use it outside of quotations but twice.
    ["quiero un loro", "ornitorrinco", "un ornitorrinco", "qué hacemos", "y ahora", "ahora qué"] * 3
    + ["okapis?", "los okapis", *["compré tres okapis enanos, dijo"] * 5],
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # copied out of WhatsApp, up to the next speaker
        (
            "mirá\n[12/3/23, 10:00] Nicanor: qué\nlindo\n\ndía\n[12/3/23, 10:01] Tincho: no\nyo sí",
            "mirá\n[12/3/23, 10:01] Tincho: no\nyo sí",
        ),
        ("[10:00, 12/3/2023] +54 9 351 555-1234: hola", ""),
        ("12/3/2023, 10:00 p. m. - Ana Gómez: hola", ""),
        ("[12/3 10:00] ~ Nicanor Ulloa 🌸: hola", ""),
        # under another name, recognized by the words
        ("[12/3/23, 10:00] Nico 💕: Quiero un ornitorrinco!", ""),
        ("[12/3/23, 10:00] Ana: quiero un ornitorrinco", ""),
        ("[12/3/23, 10:00] Ana: otra cosa", "[12/3/23, 10:00] Ana: otra cosa"),
        ("[12/3/23, 10:00] Tincho: jaja", "[12/3/23, 10:00] Tincho: jaja"),
        # their name and a colon
        ("Nicanor: quiero un loro\nTincho: no", "Tincho: no"),
        ("*Ana Gómez:* hola", ""),
        ("22:00 Nicanor: hola\n(22:01:07 p. m.) Tincho: ey", "(22:01:07 p. m.) Tincho: ey"),
        ("- Anita: hola", ""),
        ("Nicanor dijo:\nme voy", ""),
        ("a las 12:30 nos vemos", "a las 12:30 nos vemos"),
        ("el cumple de Nicanor: el 12", "el cumple de <PERSON>: el 12"),
        ("Ana Pérez: hola", "Ana Pérez: hola"),
        # quoted
        ("> Nicanor: quiero\n> otra\nqué?", ""),
        ("> quiero un ornitorrinco\njaja sí", "jaja sí"),
        ("de Nicanor\n> un loro\nno sé", "de <PERSON>\nno sé"),
        ("> quiero un\n> ornitorrinco\nqué", "qué"),
        ("> otra cosa", "> otra cosa"),
        ("y dijo «quiero un ornitorrinco»\ny listo", "y listo"),
        ('Nicanor dijo "me muero"\nja', "ja"),
        ('y dijo "jaja"', 'y dijo "jaja"'),
        # whole messages, and long pieces
        ("¡Hoy FUI al rio, con los perros!", ""),
        ("te reenvío\nprimero esto y después aquello otro", "te reenvío"),
        ("ay hoy fui al río con los perros jaja\nsí", "sí"),
        ("x dos tres cuatro cinco seis siete ocho nueve y\nno", "no"),
        ("dos tres cuatro cinco seis siete ocho y", "dos tres cuatro cinco seis siete ocho y"),
        ("¿y ahora qué hacemos?", "¿y ahora qué hacemos?"),
        ("ja, _compré tres okapis enanos_ jaja\nsí", "sí"),
        ("Compré tres\nokapis enanos\n🌸", ""),
        ("tres okapis enanos", "tres okapis enanos"),
        ("jaja", "jaja"),
        ("quiero un ornitorrinco yo también", "quiero un ornitorrinco yo también"),
        # and all else is untouched
        ("\n a\n\nb \n", "\n a\n\nb \n"),
    ],
)
def test_words_of_theirs_go_with_their_lines(text, expected):
    assert REDACTOR.redact(text) == expected


@given(st.text(alphabet=st.sampled_from("aáNn:> \n\"'[]1/,.@\u200d\u0301🌸"), max_size=40))
def test_without_their_names_and_words_a_text_stays(text):
    assert REDACTOR.redact(text) == text


@given(
    st.text(alphabet="abc,. \n", max_size=8),
    st.sampled_from(["Nicanor", "NICANOR", "Ulloa", "ana gomez", "@Sol", "3515551234", "Anita"]),
    st.text(alphabet="xyz,. \n", max_size=8),
)
def test_no_writing_is_left_wherever_it_stands(before, name, after):
    text = WITHHELD_NAMES.remove_from(f"{before} {name} {after}")
    assert name.lower() not in text.lower()
    assert text.count("<PERSON>") == 1


def messages(*rows):
    """(chat, author, text) -> a table."""
    table = pd.DataFrame(rows, columns=["chat", "author", "text"])
    return table.assign(
        line=range(1, len(rows) + 1),
        timestamp=pd.Timestamp("2025-1-1"),
        kind="message",
        edited=False,
        caption="",
        origin=None,
        all_names=None,
    )


def test_a_table():
    people = People(
        "Juli",
        frozenset({"Juli", "Juli 2"}),
        {"Ana": "withhold", "+54 9 351 555-1234": "withhold", "Tincho": "train"},
    )
    table = messages(
        ("Ana", None, "Messages and calls are end-to-end encrypted"),
        ("Ana", "Ana", "hola"),
        ("Ana", "Juli", "hola ana"),
        ("Banda", None, "Juli added ~ Ana"),
        ("Banda", None, "+54 9 351 555-1234 changed to +54 9 11 6666-7777"),
        ("Banda", "Tincho", "@541166667777 @Ana"),
        ("Banda", "Tincho", "Ana: hola"),
        ("Banda", None, "Tincho left"),
        ("Cumple de Ana", "Tincho", "dale"),
        ("+54 9 351 555-1234", "Juli 2", "ey"),
        ("Tincho", "Tincho", "ey"),
    )
    redacted = withhold(table, people)
    rows = list(redacted[["chat", "author", "kind", "text"]].itertuples(index=False, name=None))
    assert [(c, None if pd.isna(a) else a, k, t) for c, a, k, t in rows] == [
        ("withheld 1", None, "message", "Messages and calls are end-to-end encrypted"),
        ("withheld 1", "withheld", "withheld", ""),
        ("withheld 1", "Juli", "message", "hola <PERSON>"),
        ("Banda", None, "message", ""),
        ("Banda", None, "message", ""),
        ("Banda", "Tincho", "message", "@<PERSON> @<PERSON>"),
        ("Banda", "Tincho", "withheld", ""),
        ("Banda", None, "message", "Tincho left"),
        ("withheld 2", "Tincho", "message", "dale"),
        ("withheld 3", "Juli 2", "message", "ey"),
        ("Tincho", "Tincho", "message", "ey"),
    ]
    assert redacted["line"].tolist() == table["line"].tolist()


def test_what_whatsapp_writes_for_them_are_no_words_of_theirs():
    own = [
        "This message was deleted by admin Juli",
        "qué lindo día de sol",
        "a.jpg (file attached)",
    ]
    table = messages(*[("Banda", name, text) for name in ("Ana", "Tincho") for text in own])
    table["kind"] = ["deleted", "media", "media"] * 2
    table["caption"] = ["", own[1], ""] * 2
    redacted = withhold(
        table, People("Juli", frozenset({"Juli"}), {"Ana": "withhold", "Tincho": ""})
    )
    assert redacted["text"].tolist() == ["", "", "", own[0], "", own[2]]
    assert redacted["kind"].tolist() == ["withheld"] * 3 + ["deleted", "withheld", "media"]


def test_a_caption_goes_as_its_text_does():
    lines = ["la foto de Ana", "Ana.vcf (file attached)", "hola"]
    table = messages(*[("Banda", "Tincho", text) for text in lines])
    table["kind"], table["caption"] = ["media", "media", "message"], [lines[0], "", ""]
    redacted = withhold(
        table, People("Juli", frozenset({"Juli"}), {"Ana": "withhold", "Tincho": ""})
    )
    assert redacted["text"].tolist() == [
        "la foto de <PERSON>",
        "<PERSON>.vcf (file attached)",
        "hola",
    ]
    assert redacted["caption"].tolist() == ["la foto de <PERSON>", "", ""]


def test_where_nobody_withholds_nothing_changes():
    table = messages(("Ana", "Ana", "hola ana"))
    people = People("Juli", frozenset({"Juli"}), {"Ana": "context"})
    assert withhold(table, people) is table


@pytest.mark.parametrize(
    "unit",
    [
        "nicanor ",
        "@",
        "1 ",
        "3515551234 ",
        "> ",
        "\n",
        "[1",
        '"',
        "Nicanor:",
        "ana gomez",
        "\u0301",
    ],
)
def test_the_longest_message_takes_seconds_not_minutes(unit):
    began = time.process_time()
    REDACTOR.redact((unit * 60_000)[:60_000])
    assert time.process_time() - began < 3


# The stage


@pytest.fixture
def raw(tmp_path, monkeypatch):
    """A folder of exports, read as the stage does."""
    config = {
        DataConfig: DataConfig.model_validate(DATA),
        ParseConfig: ParseConfig(min_understood=0.98, timezone=None),
    }
    monkeypatch.setattr(parse, "params", config.get)
    lines = [
        f"1/2/2025, 10:{minute:02} - {line}\n"
        for minute, line in enumerate(
            ("Juli: hola", "Natalia: ey", "Juli: le digo a Naty que venga", "Tincho: dale")
        )
    ]
    (tmp_path / "WhatsApp Chat with Natalia.txt").write_text("".join(lines), "utf-8")
    return tmp_path


def test_the_first_run_proposes_nicknames_beside_the_names(raw):
    with pytest.raises(UserError, match="names no author"):
        parse.main(raw, raw / "messages.parquet", raw / "probes.parquet", raw / "parse.json")
    people_yaml = (raw / "people.yaml").read_text("utf-8")
    assert "  Natalia:   # also called Naty? Then say so under aliases\n" in people_yaml


@pytest.mark.parametrize("terminal", [False, True])
def test_what_is_printed_names_nobody_where_it_may_be_kept(terminal, raw, monkeypatch, capsys):
    people_yaml = "author: Juli\npeople: {Natalia: train, Tincho: train}\n"
    (raw / "people.yaml").write_text(people_yaml, "utf-8")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal, raising=False)
    parse.main(raw, raw / "messages.parquet", raw / "probes.parquet", raw / "parse.json")
    printed = capsys.readouterr().out
    assert ("Natalia" in printed) is terminal
    assert "4 messages by 3 people in 1 files" in printed


def test_two_names_of_the_author_are_one_person(raw, capsys):
    people_yaml = "author: [Juli, Tincho]\npeople: {Natalia: withhold}\n"
    (raw / "people.yaml").write_text(people_yaml, "utf-8")
    parse.main(raw, raw / "messages.parquet", raw / "probes.parquet", raw / "parse.json")
    assert "4 messages by 2 people in 1 files" in capsys.readouterr().out


def test_it_is_told_apart_whose_messages_are_withheld(raw, capsys):
    (raw / "people.yaml").write_text(
        "author: Juli\npeople: {Natalia: withhold, Tincho: train}\n", "utf-8"
    )
    with (raw / "WhatsApp Chat with Natalia.txt").open("a", encoding="utf-8") as chat:
        chat.write("1/2/2025, 11:00 - Natalia: mañana no puedo ir al cine con ustedes\n")
        chat.write("1/2/2025, 11:01 - Tincho: Natalia: mañana no puedo ir al cine con ustedes\n")
    parse.main(raw, raw / "messages.parquet", raw / "probes.parquet", raw / "parse.json")
    assert (
        "6 messages by 3 people in 1 files, 3 of them withheld (2 by people who withhold, 1 of "
        "others that only repeat them)" in capsys.readouterr().out
    )


# Nicknames


def test_what_looks_like_a_nickname_is_proposed():
    rows = []
    for _ in range(3):
        rows += [
            ("Banda", "Juli", "vení, gorda!"),
            ("Banda", "Natalia", "voy"),
            ("Banda", "Juli", "bueno, dale"),  # "bueno" addresses nobody
            ("Banda", "Tincho", "sí"),
        ]
    table = messages(
        *rows,
        ("Banda", "Tincho", "le digo a Naty y a @natu que venga, es natural"),
        ("Banda", "Juli", "Natalia y Natacha"),
        ("Banda", "Natacha", "?"),
    )
    proposals = nicknames.propose(table, ["Natalia", "Tincho", "Natacha"])
    assert proposals["Natalia"] == ["Naty", "Natu", "gorda"]
    assert proposals["Tincho"] == []
    # Names that begin alike get the same proposals: a person decides.
    assert proposals["Natacha"] == ["Naty", "Natu"]


def test_the_beginning_of_a_name_in_small_letters_is_proposed_if_it_is_used_twice():
    table = messages(
        ("Delfina Arce", "Juli", "che delfi sabes algo de la reunión?"),
        ("Delfina Arce", "Delfina Arce", "tranqui, hablo con nati"),
        ("Delfina Arce", "Juli", "hola delfi! le pregunto a delfin"),
        ("Delfina Arce", "Juli", "escribile a delf@example.com, es delf@example.com"),
    )
    proposals = nicknames.propose(table, ["Delfina Arce", "Natalia"])
    # Not: nati and delfin, which stand there once; delf, which stands in an address.
    assert proposals == {"Delfina Arce": ["delfi"], "Natalia": []}
