"""docs/privacy.md: what it says of people who are mentioned and write nothing."""

import re

import pandas as pd

from espejo.privacy import people, pseudonyms
from espejo.privacy.withholding import withhold
from tests.docs import pages
from tests.helpers.workshop import ROOT

PAGE = (ROOT / "docs" / "privacy.md").read_text("utf-8")
SECTION = PAGE.split("## People who are only mentioned")[1].split("\n## ")[0]


def test_a_name_under_people_is_replaced_though_nobody_writes_under_it(tmp_path):
    (example,) = (code for language, code in pages.fenced(SECTION) if language == "yaml")
    (tmp_path / "people.yaml").write_text(f"author: Juli\n{example}", "utf-8")
    all_people = people.check_people(tmp_path, {"Juli": 3})
    text = "vi a facundo, Facu para vos, y a Milagros"
    row = {"chat": "Ana", "line": 1, "timestamp": pd.Timestamp("2025-1-1"), "author": "Juli"}
    row |= {"kind": "message", "text": text, "caption": "", "edited": False, "origin": None}
    table = withhold(pd.DataFrame([row]), all_people)
    texts, _ = pseudonyms.replace_mentions(
        table["text"], all_people.pseudonyms("PERSON_{n}"), all_people.nicknames
    )
    assert texts == ["vi a PERSON_1, PERSON_1 para vos, y a <PERSON>"]


def test_the_pattern_finds_words_with_a_capital_inside_a_sentence():
    pattern = re.search(r"findall\('(.+?)'\)", SECTION)[1]
    names = re.findall(pattern, "Hoy vi a Facundo, Íñigo y a la Marta. Después nada, rosa")
    assert names == ["Facundo", "Íñigo", "Marta"]
