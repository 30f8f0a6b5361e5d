"""What a text is compared by."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espejo.core.text import LAUGHTER, fold, ngrams, places, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Año ÁRBOL", "ano arbol"),
        ("Go\u0301mez", "gomez"),
        ("𝐍𝐢𝐜𝐨 Ｎｉｃｏ 1ª", "nico nico 1a"),
        ("G\u200bo\u00admez", "gomez"),
        ("Straße", "strasse"),
        ("李明 الحديقة", "李明 الحديقة"),
        ("", ""),
    ],
)
def test_folding(text, expected):
    assert fold(text) == expected


@given(st.text())
def test_every_folded_character_has_its_place(text):
    indices = places(text)
    assert len(indices) == len(fold(text))
    assert indices == sorted(indices)
    assert "".join(fold(text[index]) for index in dict.fromkeys(indices)) == fold(text)


def test_words():
    assert words("¿Qué _hacés_, che? snake_case 2do 🥹") == [
        *("qué", "hacés", "che", "snake", "case", "2do"),
    ]


def test_ngrams():
    assert list(ngrams(["a", "b", "c"], 2)) == [("a", "b"), ("b", "c")]
    assert list(ngrams("ab", 3)) == []


LAUGHS = """
    jaja jajaja jaj jajsja jaajaja ajajaj ajaj jeje jiji jojo jj jjj jsjs sjsj ksks ksksks
    skjs jkjk kk kkkk haha hahah ahahah hehe jajas lol looool lmao lmfao xd xdd
"""


@pytest.mark.parametrize("word", LAUGHS.split())
def test_laughter(word):
    assert re.fullmatch(LAUGHTER, word)


OTHERS = """
    ja ah oh ohh uhh ahh hh ajo ojo hoja hija hijo jefe jujuy caja viaje hay aja aha lo los
    lao ss sss js sk k x d jota kiosko sos asesora
"""


@pytest.mark.parametrize("word", OTHERS.split())
def test_no_laughter(word):
    assert not re.fullmatch(LAUGHTER, word)
