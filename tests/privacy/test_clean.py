"""What people wrote stays as they wrote it; everything else is dropped and counted."""

import socket

import pandas as pd
import pytest
import yaml

from espejo import whatsapp
from espejo.core import metrics, tables
from espejo.privacy import cleaning
from espejo.privacy.cleaning import CleanConfig
from stages import clean as stage
from tests.helpers.configs import DATA
from tests.helpers.workshop import ROOT

DEFAULT, RECIPE = (
    yaml.safe_load((ROOT / "conf" / "clean" / f"{name}.yaml").read_text("utf-8"))
    for name in ("default", "original")
)

EXPORT = """\
1/3/2024, 21:00 - Los mensajes y las llamadas están cifrados de extremo a extremo. Nadie fuera \
de este chat, ni siquiera WhatsApp, puede leerlos ni escucharlos. Toca para obtener más información.
1/3/2024, 21:01 - Cami: ¿Viste la feria?
1/3/2024, 21:02 - Juli: <Multimedia omitido>
1/3/2024, 21:03 - Juli: <Multimedia omitido>
el vestido verde
nueve lucas
1/3/2024, 21:04 - Juli: Eliminaste este mensaje.
1/3/2024, 21:05 - Juli: IMG-20240301-WA0007.jpg (archivo adjunto)
1/3/2024, 21:06 - Juli: \u200eIMG-20240301-WA0008.jpg (archivo adjunto)
y la cartera
1/3/2024, 21:07 - Cami: Compralo ya
"""
TIME = pd.Timestamp("2024-03-01 21:00")


def table(*rows):
    """Messages from (kind, text[, caption]), with the columns of tables.MESSAGES."""
    return pd.DataFrame(
        {
            "chat": "Cami",
            "line": range(1, len(rows) + 1),
            "timestamp": pd.Series([TIME] * len(rows), dtype="datetime64[us]"),
            "author": pd.Series(["Juli"] * len(rows), dtype="str"),
            "kind": pd.Series([row[0] for row in rows], dtype="str"),
            "text": pd.Series([row[1] for row in rows], dtype="str"),
            "edited": False,
            "caption": pd.Series([row[2] if row[2:] else "" for row in rows], dtype="str"),
            "app": "whatsapp",
            "split": None,
        }
    )


def clean(messages, pseudonyms=None, **other):
    """What is kept and dropped with the default settings, except for `other`."""
    kept, dropped, _ = cleaning.clean(messages, CleanConfig(**DEFAULT | other), pseudonyms or {})
    return kept, dropped


def exported(folder):
    """The messages of EXPORT, as the reader of exports gives them."""
    path = folder / "Chat de WhatsApp con Cami.txt"
    path.write_text(EXPORT, "utf-8")
    return whatsapp.read(path)


def kept_text(text):
    """What is left of one message."""
    kept, _ = clean(table(("message", text)))
    return kept["text"].tolist()


def test_captions_of_an_export_are_kept_without_their_placeholders(tmp_path):
    kept, dropped = clean(exported(tmp_path))
    assert kept["text"].tolist() == [
        "¿Viste la feria?",
        "el vestido verde\nnueve lucas",
        "y la cartera",
        "Compralo ya",
    ]
    assert kept["author"].tolist() == ["Cami", "Juli", "Juli", "Cami"]
    # The notice about encryption, two bare photos and a deleted message.
    assert dropped == {"system": 1, "media": 2, "deleted": 1}


def test_captions_are_dropped_with_their_media_where_they_are_not_wanted(tmp_path):
    kept, dropped = clean(exported(tmp_path), captions=False)
    assert kept["text"].tolist() == ["¿Viste la feria?", "Compralo ya"]
    assert dropped == {"system": 1, "media": 4, "deleted": 1}


@pytest.mark.parametrize("captions", [True, False])
def test_a_bare_medium_is_dropped_whatever_stands_for_it(captions):
    kept, dropped = clean(table(("media", "mídia omitida", "")), captions=captions)
    assert len(kept) == 0
    assert dropped == {"media": 1}


def test_a_placeholder_of_a_language_that_is_in_no_list_is_nobodys_words(tmp_path):
    lines = ["Cami: <Midia kwa yako>", "Juli: hola", "Juli: <Midia kwa yako>\nla casa"] * 3
    path = tmp_path / "Chat de WhatsApp con Cami.txt"
    path.write_text("\n".join(f"1/3/2024, 21:0{n} - {line}" for n, line in enumerate(lines)))
    kept, dropped = clean(whatsapp.read(path))
    assert kept["text"].tolist() == ["hola", "la casa"] * 3
    assert dropped == {"media": 3}


def test_words_that_a_person_typed_are_no_placeholder():
    assert kept_text("imagen omitida") == ["imagen omitida"]
    assert kept_text("<Multimedia omitido>\nme dice esto") == ["<Multimedia omitido>\nme dice esto"]


def test_each_kind_has_its_fate_and_the_counts_add_up():
    messages = table(
        ("message", "hola"),
        ("media", "<Multimedia omitido>"),
        ("media", "mirá", "mirá"),
        ("deleted", "Se eliminó este mensaje."),
        ("deleted", ""),
        ("call", "Llamada perdida"),
        ("system", "Rocco te añadió."),
        ("message", "  \n "),
        ("message", "sin hora"),
        ("message", ""),
        ("message", "chau"),
    )
    messages.loc[[8, 9], "timestamp"] = pd.NaT
    kept, dropped = clean(messages)
    assert kept["text"].tolist() == ["hola", "mirá", "chau"]
    assert kept["line"].tolist() == [1, 3, 11]
    assert kept.index.tolist() == [0, 1, 2]
    # The kind counts before an empty text, and that before a missing time.
    assert dropped == {"media": 1, "deleted": 2, "call": 1, "system": 1, "empty": 2, "no_time": 1}
    assert len(kept) + sum(dropped.values()) == 11


def test_accents_typed_apart_are_joined():
    # e and n, each followed by its combining accent; as one sign each they are U+00E9 and U+00F1.
    assert kept_text("cafe\u0301 man\u0303ana") == ["caf\u00e9 ma\u00f1ana"]


@pytest.mark.parametrize(
    "text",
    [
        "la 1ª y ½ kilo de 2º, x² ™ …",  # NFKC would write "1a", "1⁄2", "2o", "x2", "TM", "..."
        "👩🏽\u200d🍳 ❤\ufe0f 👨\u200d👩\u200d👧",  # joiners, skin tone, variation selector
        "holaaaaa jsjsjs SIIII!!!! q hacesss",
        "uno\n\n  dos",
        "ﾊﾛｰ ﬁn",
    ],
)
def test_what_a_style_is_made_of_stays_as_it_is(text):
    assert kept_text(text) == [text]


def test_blank_space_around_a_message_is_no_part_of_it():
    assert kept_text(" \n hola  che \n") == ["hola  che"]


def test_the_table_given_is_left_as_it_was():
    messages = table(("message", " cafe\u0301 "), ("media", "<Multimedia omitido>"))
    before = messages.copy()
    clean(messages)
    pd.testing.assert_frame_equal(messages, before)


def run_stage(folder, messages, people_yaml, **changed):
    """Run the stage in `folder`; returns the cleaned table, the account and the report."""
    params = yaml.safe_dump({"clean": DEFAULT | changed, "data": DATA})
    (folder / "params.yaml").write_text(params, "utf-8")
    (folder / "people.yaml").write_text(people_yaml, "utf-8")
    tables.write(messages, folder / "messages.parquet", tables.MESSAGES)
    paths = ("messages.parquet", ".", "clean.parquet", "people.parquet")
    stage.main(*(folder / name for name in (*paths, "clean.json", "report.md")))
    return (
        tables.read(folder / "clean.parquet", tables.CLEAN),
        metrics.read(folder / "clean.json"),
        (folder / "report.md").read_text("utf-8"),
    )


def test_the_stage_gives_the_author_one_name_and_accounts_for_every_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    messages = table(("message", "una"), ("message", "dos"), ("message", "tres"), ("call", "x"))
    messages["author"] = ["Juli (viejo)", "Cami", "Juli", "Cami"]
    cleaned, account, _ = run_stage(tmp_path, messages, "author: [Juli, Juli (viejo)]\n")
    assert cleaned["author"].tolist() == ["Juli", "Cami", "Juli"]
    assert account == {
        "messages": {"unit": "messages", "in": 4, "out": 3, "dropped": {"call": 1}},
        "personal_data": {},
    }


def test_pseudonyms_are_the_places_in_people_yaml_in_authors_chats_and_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    messages = table(("message", "hola Cami, y Rocco?"), ("message", "juli! ni idea de cami"))
    messages["author"] = ["Juli", "Rocco"]
    people_yaml = "author: [Juli, Juli (viejo)]\npeople: {Rocco: train, Cami: withhold}\n"
    cleaned, _, _ = run_stage(tmp_path, messages, people_yaml, pseudonyms="P{n}")
    assert cleaned["author"].tolist() == ["P0", "P1"]
    assert cleaned["text"].tolist() == ["hola P2, y P1?", "P0! ni idea de P2"]
    assert set(cleaned["chat"]) == {"CHAT_1"}  # a chat is called like a person


def test_aliases_of_people_yaml_get_the_pseudonym_and_stay_where_none_is_wanted(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    messages = table(("message", "che gorda"), ("message", "juliancito!"))
    messages["author"] = ["Juli", "Rocco"]
    people_yaml = (
        "author: Juli\npeople: {Rocco: train}\naliases: {Rocco: gorda, Juli: [Juliancito]}\n"
    )
    cleaned, _, _ = run_stage(tmp_path, messages, people_yaml, pseudonyms="P{n}")
    assert cleaned["text"].tolist() == ["che P1", "P0!"]
    cleaned, _, _ = run_stage(tmp_path, messages, people_yaml, pseudonyms=None)
    assert cleaned["text"].tolist() == ["che gorda", "juliancito!"]


# Invented: 555-01xx numbers are reserved for fiction, example.com for documents.
CAPTION = "llamame al +1 212 555 0123 o a juli@example.com"
PRIVATE = table(
    ("message", "mi mail es juli@example.com"),
    ("message", "dale"),
    ("media", CAPTION, CAPTION),
)


def test_personal_data_is_replaced_and_counted_and_the_report_masks_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cleaned, account, report = run_stage(tmp_path, PRIVATE, "author: Juli\n")
    assert cleaned["text"].tolist() == [
        "mi mail es <EMAIL>",
        "dale",
        "llamame al <PHONE> o a <EMAIL>",
    ]
    assert account["personal_data"] == {"EMAIL": 2, "PHONE": 1}
    assert r"| EMAIL | 2 | j\*\*\*<span>@</span>\*\*\* |" in report
    assert "555" not in report
    assert "0123" not in report
    assert "juli@" not in report


def test_personal_data_drops_the_message_where_that_is_wanted():
    kept, dropped = clean(PRIVATE, pii="drop")
    assert kept["text"].tolist() == ["dale"]
    assert dropped == {"personal_data": 2}


def test_personal_data_stays_where_that_is_wanted():
    kept, _ = clean(PRIVATE, pii="keep")
    assert kept["text"].iloc[0] == "mi mail es juli@example.com"


def test_no_log_holds_an_original_and_nothing_goes_to_the_network(tmp_path, monkeypatch, capfd):
    def refuse(*_, **__):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.chdir(tmp_path)
    run_stage(tmp_path, PRIVATE, "author: Juli\npeople: {Cami: train}\n", pseudonyms="P{n}")
    logged = "".join(capfd.readouterr())
    assert f"personal data 3 times (replace; {tmp_path / 'report.md'})" in logged
    assert "juli" not in logged
    assert "555" not in logged


def test_a_withheld_message_stays_as_a_row_without_text():
    kept, dropped = clean(table(("message", "una"), ("withheld", "")))
    assert kept[["kind", "text"]].values.tolist() == [["message", "una"], ["withheld", ""]]
    assert dropped == {}


def test_the_recipe_of_the_notebooks():
    messages = table(
        ("message", "¡Holaaa! ¿TODO bien? 😂👍"),
        ("message", "Ñandú & Pingüino (2 kg) a $3.500; l'été"),
        ("message", "CAFE\u0301 -\nya"),
        ("message", "😂😂"),
        ("media", "la foto", "la foto"),
    )
    kept, dropped = clean(messages, **RECIPE)
    # "&", "(", ")", "$" and "-" go without leaving a space; é stays, in its decomposed form too
    assert kept["text"].tolist() == [
        "¡holaaa! ¿todo bien?",
        "ñandú  pingüino 2 kg a 3.500; l'été",
        "café  ya",
    ]
    assert dropped == {"empty": 1, "media": 1}
