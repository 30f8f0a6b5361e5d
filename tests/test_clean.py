"""What people wrote is kept as they wrote it; everything else is dropped and counted."""

import pandas as pd
import pytest
import yaml

from espejo import metrics, tables, whatsapp
from stages import clean as stage
from stages.clean import clean
from tests.workshop import ROOT

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
    """Messages from (kind, text), with the columns of tables.MESSAGES."""
    return pd.DataFrame(
        {
            "chat": "Cami",
            "line": range(1, len(rows) + 1),
            "timestamp": pd.Series([TIME] * len(rows), dtype="datetime64[us]"),
            "author": pd.Series(["Juli"] * len(rows), dtype="str"),
            "kind": pd.Series([row[0] for row in rows], dtype="str"),
            "text": pd.Series([row[1] for row in rows], dtype="str"),
            "edited": False,
        }
    )


def exported(folder):
    """The messages of EXPORT, through the reader of exports."""
    path = folder / "Chat de WhatsApp con Cami.txt"
    path.write_text(EXPORT, "utf-8")
    return whatsapp.read(path)


def kept_text(text):
    """What is left of one message."""
    kept, _ = clean(table(("message", text)), captions=True, normalize="NFC")
    return kept["text"].tolist()


def test_captions_of_an_export_are_kept_without_their_placeholders(tmp_path):
    kept, dropped = clean(exported(tmp_path), captions=True, normalize="NFC")
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
    kept, dropped = clean(exported(tmp_path), captions=False, normalize="NFC")
    assert kept["text"].tolist() == ["¿Viste la feria?", "Compralo ya"]
    assert dropped == {"system": 1, "media": 4, "deleted": 1}


@pytest.mark.parametrize(
    "placeholder",
    [
        "<Multimedia omitido>",
        "IMG-20240301-WA0007.jpg (archivo adjunto)",
        "<adjunto: 00000012-PHOTO-2024-03-01-21-00-00.jpg>",
        "imagen omitida",
        "Documento.pdf • 1 página documento omitido",
        "null",
        "",
    ],
)
@pytest.mark.parametrize("captions", [True, False])
def test_a_bare_medium_is_dropped_in_every_form(placeholder, captions):
    kept, dropped = clean(table(("media", placeholder)), captions, normalize="NFC")
    assert len(kept) == 0
    assert dropped == {"media": 1}


def test_words_that_a_person_typed_are_no_placeholder():
    assert kept_text("imagen omitida") == ["imagen omitida"]
    assert kept_text("<Multimedia omitido>\nme dice esto") == ["<Multimedia omitido>\nme dice esto"]


def test_each_kind_has_its_fate_and_the_counts_add_up():
    messages = table(
        ("message", "hola"),
        ("media", "<Multimedia omitido>"),
        ("media", "mirá"),
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
    kept, dropped = clean(messages, captions=True, normalize="NFC")
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
    clean(messages, captions=True, normalize="NFC")
    pd.testing.assert_frame_equal(messages, before)


def test_the_stage_gives_the_author_one_name_and_accounts_for_every_message(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(
        "clean: {captions: true, normalize: NFC, lowercase: false, characters: null}\n", "utf-8"
    )
    (tmp_path / "people.yaml").write_text("author: [Juli, Juli (viejo)]\n", "utf-8")
    messages = table(("message", "una"), ("message", "dos"), ("message", "tres"), ("call", "x"))
    messages["author"] = ["Juli (viejo)", "Cami", "Juli", "Cami"]
    tables.write(messages, tmp_path / "messages.parquet", tables.MESSAGES)
    stage.main(
        tmp_path / "messages.parquet",
        tmp_path / "people.yaml",
        tmp_path / "clean.parquet",
        tmp_path / "clean.json",
    )
    cleaned = tables.read(tmp_path / "clean.parquet", tables.MESSAGES)
    assert cleaned["author"].tolist() == ["Juli", "Cami", "Juli"]
    assert metrics.read(tmp_path / "clean.json") == {
        "messages": {"unit": "messages", "in": 4, "out": 3, "dropped": {"call": 1}}
    }


def test_a_withheld_message_stays_as_a_row_without_text():
    kept, dropped = clean(table(("message", "una"), ("withheld", "")), True, "NFC")
    assert kept[["kind", "text"]].values.tolist() == [["message", "una"], ["withheld", ""]]
    assert dropped == {}


def test_the_recipe_of_the_notebooks():
    recipe = yaml.safe_load((ROOT / "conf" / "clean" / "original.yaml").read_text("utf-8"))
    messages = table(
        ("message", "¡Holaaa! ¿TODO bien? 😂👍"),
        ("message", "Ñandú & Pingüino (2 kg) a $3.500; l'été"),
        ("message", "CAFE\u0301 -\nya"),
        ("message", "😂😂"),
        ("media", "la foto"),
    )
    kept, dropped = clean(messages, **recipe)
    # "&", "(", ")", "$" and "-" go without leaving a space; é stays, in its decomposed form too
    assert kept["text"].tolist() == [
        "¡holaaa! ¿todo bien?",
        "ñandú  pingüino 2 kg a 3.500; l'été",
        "café  ya",
    ]
    assert dropped == {"empty": 1, "media": 1}
