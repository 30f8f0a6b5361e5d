"""Whoever withholds their words is gone: from every table, from the cache, from what was learnt."""

import io

import pyarrow.parquet as pq
import pytest

from tests import workshop
from tests.workshop import AUTHOR, PARTNER, SECRET, run

# Name and words stand nowhere else, not even in this file.
THIRD = " ".join(("Nicanor", "Ulloa"))
THEIRS = " ".join(("quiero", "un", "ornitorrinco"))


def group_chat():
    """The chat of `workshop`, in which a third person speaks on every other evening."""
    lines = []
    for line in workshop.chat(60).splitlines(keepends=True):
        lines.append(line)
        if "?" in line and "la compramos" in line and int(line.split("/")[0]) % 2:
            lines.append(f"{line.split(' - ')[0]} - {THIRD}: {THEIRS} {len(lines)}\n")
    return "".join(lines)


def holding(folder, words):
    """The files under a folder that hold the words, tables unpacked."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        if content.startswith(b"PAR1"):
            content = str(pq.read_table(io.BytesIO(content)).to_pylist()).encode()
        if words.encode() in content:
            found.append(str(path.relative_to(folder)))
    return found


@pytest.mark.parametrize("stages", [["format"], pytest.param([], marks=pytest.mark.slow)])
def test_one_edit_repro_and_gc_leave_nothing_of_a_person(stages, tmp_path):
    folder = workshop.clone(tmp_path)
    raw = workshop.mine(folder)
    export = raw / "Chat de WhatsApp con los tres.txt"
    (raw / f"Chat de WhatsApp con {PARTNER}.txt").rename(export)
    export.write_text(group_chat(), "utf-8")
    people = raw / "people.yaml"
    people.write_text(f"{workshop.PEOPLE}  {THIRD}: train\n", "utf-8")
    chosen = ("-S", "data=mine", "-S", "model=smollm2", "-S", "experiment=smoke")
    run("dvc", "exp", "run", *chosen, *stages, cwd=folder)
    before = holding(folder / ".dvc" / "cache", THEIRS)
    assert len(before) >= 4  # messages as clean, turns, examples as filtered, formatted
    assert holding(folder / "data", THEIRS)

    people.write_text(f"{workshop.PEOPLE}  {THIRD}: withhold\n", "utf-8")
    run("dvc", "repro", *stages, cwd=folder)
    run("dvc", "gc", "-w", "-f", cwd=folder)

    # Only the export itself still holds their words.
    assert holding(folder, THEIRS) == [str(export.relative_to(folder))]
    # Their name is where people write it, and in no table.
    assert holding(folder, THIRD) == [str(path.relative_to(folder)) for path in (export, people)]
    # And everybody else's words are still there, in half of the evenings' second replies.
    examples = pq.read_table(folder / "data" / "examples.parquet").to_pylist()
    lasts = [row["reply"][-1] for row in examples]
    # 60 evenings from the first of March: 16 odd days in March, 15 of the 29 in April
    assert sum(SECRET in text or text == "re linda" for text in lasts) == 60
    assert sum(text.startswith("ni loca") for text in lasts) == 60 - 31

    # All that was made from the chats can go at once, where too little is left to train on.
    assert len(holding(folder / ".dvc", SECRET)) >= 4
    run("make", "forget", cwd=folder)
    assert holding(folder / "data", SECRET) == [str(export.relative_to(folder / "data"))]
    assert not holding(folder / ".dvc", SECRET)
    assert not any((folder / name).exists() for name in ("model", "reports", "checkpoints"))


def test_their_words_are_read_as_context_and_never_learnt_even_from_whole_texts(tmp_path):
    folder = workshop.clone(tmp_path)
    raw = workshop.mine(folder)
    (raw / "people.yaml").write_text(f"author: {AUTHOR}\npeople: {{{PARTNER}: context}}\n", "utf-8")
    run("dvc", "exp", "run", "-S", "data=mine", "-S", "model=smollm2-clm", "format", cwd=folder)
    rows = pq.read_table(folder / "data" / "formatted.parquet").to_pylist()
    for row in rows:
        never = [row["text"][span["start"] : span["end"]] for span in row["never"]]
        asked = [text for text in never if text.startswith("¿")]
        assert asked == never  # the partner asks, always; the author never does
        learnt = row["text"]
        for text in never:
            learnt = learnt.replace(text, "")
        assert "¿" not in learnt
    assert sum(len(row["never"]) for row in rows) == 30 * 3  # one turn before the first, two after
