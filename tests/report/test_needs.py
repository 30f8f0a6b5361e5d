"""What the report says that each measure would take."""

import pytest

from espejo.report import needs
from espejo.report.wording import Wording

CHOICES = {"quick": 12, "default": 32, "thorough": 169}


def row(**changed):
    return {"useful": 0.1, "used": 32, "available": 169, "choices": CHOICES} | changed


def sentence_of(row, language="en", kind="chats"):
    (sentence,) = needs.sentences({"power": {"mrr": row}}, ("mrr", "gain"), Wording(language, kind))
    return sentence


@pytest.mark.parametrize(
    ("changed", "parts"),
    [
        ({"half_width": 0.08, "needed": 21}, ["± 0.08", "about 21 are enough"]),
        ({"half_width": 0.16, "needed": 79}, ["about 79", "evaluate=thorough` uses 169"]),
        # 0.3 sqrt(32 / 169) = 0.13
        ({"half_width": 0.3, "needed": 280}, ["about 280", "169 are held out", "± 0.13", "export"]),
        (
            {"half_width": 0.2, "needed": 680, "choices": {"default": 32}, "available": 32},
            ["about 680", "No setting", "about 21.2 times as many"],  # 680 / 32 = 21.25
        ),
        ({}, ["has no interval, from 32 replies", "`-S evaluate=thorough` uses 169"]),
        (
            {"half_width": 0.2, "needed": 60, "choices": {"all": 169}},
            ["`-S predict.generated_replies=null` uses 169"],
        ),
    ],
)
def test_a_sentence_says_what_there_is_and_what_it_takes(changed, parts):
    sentence = sentence_of(row(**changed))
    for part in parts:
        assert part in sentence
    spanish = sentence_of(row(**changed), "es")
    assert "El MRR" in spanish
    assert "{" not in spanish + sentence


@pytest.mark.parametrize(("kind", "part"), [("dialogues", "dialogues"), ("questions", "rows")])
def test_other_kinds_of_data_are_not_chats(kind, part):
    sentence = sentence_of(row(half_width=0.3, needed=280), kind=kind)
    assert part in sentence
    assert "chats" not in sentence


def test_files_of_older_versions_say_nothing():
    assert needs.sentences({}, ("mrr",), Wording("en")) == []
