"""Small exports with rows worked out by hand: one for each form of a file."""

import json
import shutil

import pytest

from benchmarks import cases
from espejo import whatsapp

FOLDERS = cases.find_cases(cases.CASES)


@pytest.mark.parametrize("case", FOLDERS, ids=lambda folder: folder.name)
def test_case(case):
    assert cases.first_difference(case) is None


@pytest.mark.parametrize("case", FOLDERS, ids=lambda folder: folder.name)
def test_a_caption_is_all_of_a_mediums_text_or_nothing(case):
    if isinstance(cases.expected_of(case), dict):
        pytest.skip("it is refused")
    table = whatsapp.read(cases.export_of(case))
    assert (table["caption"].eq(table["text"]) | table["caption"].eq("")).all()
    assert table.loc[table["kind"].ne("media"), "caption"].eq("").all()


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
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "dates_leap_day: read 3 rows, expected 2"
    assert lines[1].startswith("text_markup: refused: Chat de WhatsApp con Zulma.txt: no line")
    assert lines[2].startswith(
        "text_spaces: row 0: read (Timestamp('2022-06-20 09:00:00'), 'Zulma'"
    )
    assert lines[3:] == ["1 of 4 cases right"]


def test_labels_tell_chats_apart(tmp_path):
    case = tmp_path / "case"
    (case / "exports").mkdir(parents=True)
    rows = []
    for number, person in enumerate(("Zulma", "Teo"), 1):
        stamp = f"2{number}/6/2022, 9:00 - "
        path = case / "exports" / f"Chat de WhatsApp con {person}.txt"
        path.write_text(f"{stamp}{person}: hola\n{stamp}{person}: y chau\n", "utf-8")
        row = {"timestamp": f"2022-06-2{number}T09:00:00", "author": person, "kind": "message"}
        rows += [{"chat": person, **row, "text": "hola"}, {"chat": person, **row, "text": "y chau"}]

    def difference(*labels):
        labelled = [{**row, "chat": label} for row, label in zip(rows, labels, strict=True)]
        (case / "expected.json").write_text(json.dumps(labelled), "utf-8")
        return cases.first_difference(case)

    assert difference("A", "A", "B", "B") is None
    assert difference("A", "A", "A", "A").startswith("chats read as ")
    assert difference("A", "A", "B", "C").startswith("chats read as ")


def test_a_refusal_may_be_right(tmp_path):
    (tmp_path / "chat.txt").write_text("no chat\n", "utf-8")
    (tmp_path / "expected.json").write_text('{"error": "no line looks like"}', "utf-8")
    assert cases.first_difference(tmp_path) is None
    (tmp_path / "expected.json").write_text('{"error": "WhatsApp Viewer"}', "utf-8")
    assert cases.first_difference(tmp_path).startswith("refused: chat.txt: no line looks like")
    (tmp_path / "chat.txt").write_text("20/6/2022, 9:00 - Zulma: hola\n", "utf-8")
    assert cases.first_difference(tmp_path) == (
        "read 1 rows, expected a sentence with 'WhatsApp Viewer'"
    )
