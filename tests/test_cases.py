"""Small exports with rows worked out by hand: one for each way a file may be written."""

import json
import shutil

import pytest

from benchmarks import cases

FOLDERS = cases.found_in(cases.CASES)


@pytest.mark.parametrize("case", FOLDERS, ids=lambda folder: folder.name)
def test_case(case):
    assert cases.first_difference(case) is None


def test_the_index_names_every_case():
    index = json.loads((cases.CASES / "index.json").read_text("utf-8"))
    assert [entry["id"] for entry in index] == [folder.name for folder in FOLDERS]


def test_the_score_counts_what_is_wrong(tmp_path, capsys):
    for name in ("bytes_utf8", "text_spaces", "dates_leap_day", "text_markup"):
        shutil.copytree(cases.CASES / name, tmp_path / name)
    rows = json.loads((tmp_path / "text_spaces" / "expected.json").read_text("utf-8"))
    rows[0]["kind"] = "media"
    (tmp_path / "text_spaces" / "expected.json").write_text(json.dumps(rows), "utf-8")
    rows = json.loads((tmp_path / "dates_leap_day" / "expected.json").read_text("utf-8"))
    (tmp_path / "dates_leap_day" / "expected.json").write_text(json.dumps(rows[:2]), "utf-8")
    (export,) = (tmp_path / "text_markup").glob("*.txt")
    export.write_text("no chat", "utf-8")
    assert cases.main(tmp_path) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "dates_leap_day: read 3 rows, expected 2"
    assert said[1].startswith("text_markup: refused: Chat de WhatsApp con Zulma.txt: no line")
    assert said[2].startswith("text_spaces: row 0: read (Timestamp('2022-06-20 09:00:00'), 'Zulma'")
    assert said[3:] == ["1 of 4 cases right"]
