"""A chat is identified by its messages: exports of one chat, under any names, count once."""

import json
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from espejo import whatsapp
from stages import parse
from tests.helpers.configs import DATA

PEOPLE = ("Ana", "Beto", "Caro")
NAMES = [
    "WhatsApp Chat with Ana.txt", "WhatsApp Chat with Ana (1).txt", "WhatsApp Chat - Ana.zip",
    "WhatsApp Chat - Ana 2.zip", "Chat de WhatsApp con Ana - copia.txt", "a.txt", "Ana/_chat.txt",
    "viejo/WhatsApp Chat with Ana.txt", "ZZZ.zip", "0.txt",
]  # fmt: skip


def line(message):
    """A message (minutes, author, text) as Android writes it."""
    minutes, author, text = message
    stamp = datetime(2023, 5, 1, 9) + timedelta(minutes=minutes)
    return f"{stamp:%d/%m/%Y, %H:%M} - {f'{author}: ' if author else ''}{text}\n"


def write(path, messages):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(map(line, messages))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("_chat.txt", text)
    else:
        path.write_text(text, "utf-8")


def rows(table):
    start = pd.Timestamp(2023, 5, 1, 9)
    minutes = ((table["timestamp"] - start) // pd.Timedelta(minutes=1)).tolist()
    authors = [None if pd.isna(author) else author for author in table["author"]]
    return list(zip(minutes, authors, table["text"], strict=True))


@st.composite
def chats(draw):
    """A chat in order: bursts in one minute, the same words again, notices."""
    messages, minutes = [], 0
    for _ in range(draw(st.integers(6, 40))):
        minutes += draw(st.sampled_from([0, 0, 1, 3, 2000]))
        author = draw(st.sampled_from([*PEOPLE, *PEOPLE, None]))
        text = draw(st.sampled_from(["ja", "dale", "ok: sí", "dos\nlíneas", "¿venís?"]))
        messages.append((minutes, author, text if author else "Ana changed the group description"))
    return messages


@st.composite
def exports(draw):
    """A chat and some overlapping pieces of it, each with a name."""
    chat = draw(chats())
    # A cut between two equal messages of one minute would leave open how many there were.
    cuts = [cut for cut in range(len(chat) + 1) if not set(chat[:cut][-20:]) & set(chat[cut:][:20])]
    pieces = []
    for _ in range(draw(st.integers(2, 5))):
        start, end = sorted((draw(st.sampled_from(cuts)), draw(st.sampled_from(cuts))))
        pieces.append((start, end))
    pieces.sort()
    reached = pieces[0][1]
    assume(pieces[0][1] > pieces[0][0])
    for start, end in pieces[1:]:
        voices = {author for _, author, _ in chat[start : min(end, reached)] if author}
        assume(len(voices) > 1)
        reached = max(reached, end)
    names = draw(st.permutations(NAMES))[: len(pieces)]
    return chat[pieces[0][0] : reached], [chat[start:end] for start, end in pieces], names


@settings(max_examples=150)
@given(exports())
def test_overlapping_exports_give_the_table_of_the_union(tmp_path_factory, drawn):
    union, pieces, names = drawn
    folder = tmp_path_factory.mktemp("exports")
    for piece, name in zip(pieces, names, strict=True):
        write(folder / name, piece)
    table = whatsapp.read(folder)
    assert rows(table) == union
    assert table["chat"].nunique() == 1


GREETING = (-1, "Ana", "¡feliz año!")


@settings(max_examples=50)
@given(exports(), chats())
def test_another_chat_beside_them_stays_another(tmp_path_factory, drawn, other):
    """It has the same name and time, one person in common, and the same greeting to both."""
    union, pieces, names = drawn
    assume({author for _, author, _ in pieces[0]} - {"Ana", None})
    folder = tmp_path_factory.mktemp("two")
    for piece, name in zip([[GREETING, *pieces[0]], *pieces[1:]], names, strict=True):
        write(folder / name, piece)
    others = {"Beto": "Dina", "Caro": "Eva"}
    other = [(minutes, others.get(author, author), f"b {text}") for minutes, author, text in other]
    other = [GREETING, *other, (other[-1][0], "Dina", "chau")]
    write(folder / "sub" / names[0], other)
    table = whatsapp.read(folder)
    chats_read = [rows(chat) for _, chat in table.groupby("chat", sort=False)]
    assert sorted(chats_read, key=len) == sorted([[GREETING, *union], other], key=len)


def test_somebody_who_got_a_name_is_one_person(tmp_path):
    old = [(n, ("Ana", "+54 9 351 555-0101")[n % 2], f"mensaje {n}") for n in range(20)]
    new = [(n, ("Ana", "Beto")[n % 2], f"mensaje {n}") for n in range(10, 30)]
    write(tmp_path / "a.txt", old)
    write(tmp_path / "b.txt", new)
    table = whatsapp.read(tmp_path)
    assert rows(table) == [(n, ("Ana", "Beto")[n % 2], f"mensaje {n}") for n in range(30)]


def test_two_people_who_say_the_same_are_two(tmp_path):
    """Ana's last words in the old export are Beto's first in the new one, in the same minute."""
    old = [(0, "Ana", "a"), (0, "Beto", "b"), (1, "Ana", "c"), (1, "Ana", "ja")]
    new = [(0, "Ana", "a"), (0, "Beto", "b"), (1, "Ana", "c"), (1, "Ana", "ja"), (1, "Beto", "ja")]
    write(tmp_path / "a.txt", old)
    write(tmp_path / "b.txt", new)
    assert rows(whatsapp.read(tmp_path)) == new


def test_a_chat_of_an_android_and_of_an_iphone_is_one(tmp_path):
    """People who change phones have both: one writes seconds, each has its own deletion notice."""
    messages = [
        (n * 3, ("Ana", "Beto")[n % 3 == 0], ("ja", "ok", "dale")[n % 3]) for n in range(30)
    ]
    write(
        tmp_path / "a.txt",
        [*messages[:20], (60, "Beto", "Se eliminó este mensaje."), *messages[20:]],
    )
    lines = [
        f"[01/05/2023, {9 + minutes // 60:02}:{minutes % 60:02}:{17 + n % 9}] {author}: {text}\n"
        for n, (minutes, author, text) in enumerate([*messages[10:], (95, "Beto", "chau")])
    ]
    lines.insert(10, "[01/05/2023, 10:00:41] Beto: \u200eThis message was deleted.\n")
    (tmp_path / "_chat.txt").write_text("".join(lines), "utf-8")
    table = whatsapp.read(tmp_path)
    assert rows(table) == [
        *messages[:20],
        (60, "Beto", "Se eliminó este mensaje."),
        *messages[20:],
        (95, "Beto", "chau"),
    ]


@pytest.mark.parametrize("answers", [[], ["¡igual!"], ["¡igual!", "¡gracias!"]])
def test_a_greeting_to_many_makes_no_chat_of_theirs(answers, tmp_path):
    """Not even where all answer alike in one minute, nor through one who did not answer."""
    for number in range(6):
        friend = f"Amiga {number}"
        replies = [(1, friend, text) for text in answers if number]
        write(tmp_path / f"WhatsApp Chat with {friend}.txt", [(0, "Ana", "¡feliz año!"), *replies])
    table = whatsapp.read(tmp_path)
    assert table["chat"].nunique() == 6
    assert len(table) == 6 + 5 * len(answers)


def test_a_number_that_got_a_name_among_like_words(tmp_path):
    """Two people say the same in one minute, again and again."""
    old, new = [], []
    for n in range(40):
        text = ("ja", "ok")[n % 2]
        old += [(n, "Ana", text), (n, "+54 9 351 555-0101", text if n % 4 else f"mensaje {n}")]
        new += [(n, "Ana", text), (n, "Beto", text if n % 4 else f"mensaje {n}")]
    write(tmp_path / "a.txt", old[:60])
    write(tmp_path / "b.txt", new[20:])
    assert rows(whatsapp.read(tmp_path)) == new


def test_groups_of_one_name(tmp_path):
    write(tmp_path / "x" / "WhatsApp Chat with Fútbol.txt", [(0, "Ana", "a"), (9, "Beto", "b")])
    write(tmp_path / "y" / "WhatsApp Chat with Fútbol.txt", [(5, "Caro", "c"), (8, "Ana", "d")])
    table = whatsapp.read(tmp_path)
    assert table.groupby("chat", sort=False)["text"].agg(list).to_dict() == {
        "Fútbol": ["a", "b"],
        "Fútbol (2)": ["c", "d"],
    }


@pytest.mark.parametrize("name", ["Ana (1).txt", "WhatsApp Chat - Ana.zip", "Ana - copia.txt"])
def test_an_export_twice_changes_no_table(name, tmp_path, monkeypatch):
    """Otherwise test replies would count twice, and some would be in training too."""
    monkeypatch.chdir(tmp_path)
    params = {"parse": {"min_understood": 0.98, "timezone": None}, "data": DATA}
    Path("params.yaml").write_text(yaml.safe_dump(params))
    chat = [(n * 7, ("Ana", "Beto")[n % 3 == 0], f"mensaje {n % 5}") for n in range(60)]
    tables, accounts = [], []
    for raw, files in (("once", ["Ana.txt"]), ("twice", ["Ana.txt", name])):
        for file in files:
            write(Path(raw) / file, chat)
        Path(raw, "people.yaml").write_text("author: Ana\npeople:\n  Beto: train\n")
        parse.main(Path(raw), *(Path(f"{raw}{end}") for end in (".parquet", ".probes", ".json")))
        tables.append(pd.read_parquet(f"{raw}.parquet"))
        accounts.append(json.loads(Path(f"{raw}.json").read_text())["messages"])
    pd.testing.assert_frame_equal(*tables)
    assert [len(table) for table in tables] == [60, 60]
    assert accounts[1]["in"] == 120
    assert accounts[1]["dropped"]["exported_twice"] == 60
