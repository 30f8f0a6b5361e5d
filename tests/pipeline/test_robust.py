"""Files that are not exports, or malicious ones: each is refused by one sentence, quickly."""

import errno
import io
import json
import os
import random
import sys
import time
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import cases, fuzz
from espejo import whatsapp
from espejo.core.errors import UserError
from espejo.whatsapp.folder import check_complete, check_understood

AGAIN = "export the chat again from WhatsApp (Export chat) and use its .txt or .zip as it comes."
CHAT = "17/5/2024, 10:00 - Vera: ¿sí? 🎉\ncómo\n18/5/2024, 10:01 - Ivo: ñ\n"


def refusal(path: Path) -> str:
    """The sentence with which a file is refused."""
    with pytest.raises(whatsapp.ExportError) as error:
        whatsapp.read_file(path)
    sentence = str(error.value)
    assert "\n" not in sentence
    return sentence


def zipped(*files: tuple[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()


TELEGRAM = {"name": "Vera", "type": "personal_chat", "messages": [{"id": 1, "text": "hola"}]}
OTHERS = {
    "Telegram, JSON": (
        json.dumps(TELEGRAM, indent=1).encode(),
        "this is JSON, as Telegram and others export, and no chat of WhatsApp",
    ),
    "Telegram, HTML": (
        b"<!DOCTYPE html>\n<html>\n <head>\n <title>Exported Data</title>",
        "this is a web page, as Telegram and others export, and no chat of WhatsApp",
    ),
    "a picture": (
        b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(256)) * 4,
        "this is no text, but a picture or some other binary file",
    ),
    "Signal": (
        b"From: Vera (+54...)\nType: incoming\nSent: Fri, 17 May 2024 10:00:00\n\nhola\n",
        "no line looks like a message of WhatsApp",
    ),
    "a table": (
        b"date,author,text\n2024-05-17 10:00:00,Vera,hola\n",
        "no line looks like a message of WhatsApp",
    ),
    "LINE": (b"2024/05/17(Fri)\n10:00\tVera\thola\n", "no line looks like a message of WhatsApp"),
    "a diary": (b"17/5/2024\nhoy: nada\n", "no line looks like a message of WhatsApp"),
}


@pytest.mark.parametrize("app", OTHERS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_another_app(app, packed, tmp_path):
    data, what = OTHERS[app]
    path = tmp_path / ("a.zip" if packed else "a.txt")
    path.write_bytes(zipped(("_chat.txt", data)) if packed else data)
    assert refusal(path) == f"{path.name}: {what}; {AGAIN}"


@pytest.mark.parametrize("name", ["../_chat.txt", "a/../../b.jpg", "/etc/_chat.txt", "..\\x.txt"])
def test_a_zip_whose_paths_lead_out_of_it(name, tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(("_chat.txt", CHAT), (name, "x")))
    sentence = refusal(tmp_path / "a.zip")
    assert sentence == (
        f"a.zip: the zip holds a path that leads out of it ({name!r}), as no export does; {AGAIN}"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["a.zip"]


def test_a_zip_bomb(tmp_path, monkeypatch):
    monkeypatch.setattr(whatsapp.files, "MAX_BYTES", 4_000_000)
    (tmp_path / "a.zip").write_bytes(zipped(("_chat.txt", CHAT + "a" * 40_000_000)))
    assert (tmp_path / "a.zip").stat().st_size < 50_000
    assert refusal(tmp_path / "a.zip") == (
        "a.zip: the texts in the zip unpack to more than 4,000,000 bytes, "
        f"far beyond any export; {AGAIN}"
    )


def test_a_zip_bomb_of_many_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(whatsapp.files, "MAX_BYTES", 4_000_000)
    texts = [(f"{n}.txt", CHAT * 20_000) for n in range(9)]
    (tmp_path / "a.zip").write_bytes(zipped(*texts))
    assert refusal(tmp_path / "a.zip") == (
        "a.zip: the texts in the zip unpack to more than 4,000,000 bytes, "
        f"far beyond any export; {AGAIN}"
    )


def test_a_zip_of_too_many_texts(tmp_path, monkeypatch):
    monkeypatch.setattr(whatsapp.zips, "MAX_TEXTS", 3)
    texts = [(f"{n}.txt", CHAT) for n in range(4)]
    (tmp_path / "a.zip").write_bytes(zipped(*texts))
    assert refusal(tmp_path / "a.zip") == (
        "a.zip: the zip holds 4 texts, more than 3; put fewer exports into one zip."
    )


def test_too_many_lines_or_messages(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text(CHAT * 10, "utf-8")
    monkeypatch.setattr(whatsapp.files, "MAX_LINES", 29)
    assert refusal(path) == (f"a.txt: holds 30 lines, far beyond any export (at most 29); {AGAIN}")
    monkeypatch.setattr(whatsapp.files, "MAX_LINES", 30)
    monkeypatch.setattr(whatsapp.pieces, "MAX_MESSAGES", 19)
    assert refusal(path) == f"a.txt: holds more than 19 messages, far beyond any export; {AGAIN}"
    monkeypatch.setattr(whatsapp.pieces, "MAX_MESSAGES", 20)
    assert len(whatsapp.read(path)) == 20


def test_a_file_of_a_gigabyte_is_refused_unread(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text(CHAT, "utf-8")
    os.truncate(path, 1 << 30)  # sparse: it takes no room
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read it all the same"))
    assert refusal(path) == (
        f"a.txt: holds more than {1 << 28:,} bytes, far beyond any export; {AGAIN}"
    )


@pytest.mark.parametrize("start", ["", CHAT])
def test_a_line_without_end(start, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(start + "a" * 20_000_000, "utf-8")
    began = time.process_time()
    sentence = refusal(path)
    assert time.process_time() - began < 20
    number = start.count("\n") + 1
    expected = f"a.txt: line {number} holds 20,000,000 bytes, far beyond any message; {AGAIN}"
    assert sentence == expected


def test_a_long_message_is_read(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(CHAT + "á" * 200_000, "utf-8")
    assert whatsapp.read(path)["text"].tolist()[1] == "ñ\n" + "á" * 200_000


@pytest.mark.parametrize(
    "words", ["<(", "null ", "POLL: ", "\u200e", "a.b ", "11/", ": ", "\n1", "\u200e<"]
)
def test_a_monotonous_text_takes_no_longer(words, tmp_path):
    path = tmp_path / "a.txt"
    for start in ("17/5/2024, 10:00 - Vera: ", "[17/05/24, 10:00:00] Vera: \u200e"):
        path.write_text(start + words * (300_000 // len(words)), "utf-8")
        began = time.process_time()
        whatsapp.read(path)
        assert time.process_time() - began < 2


@pytest.mark.parametrize("start", ["", "[", "5 mar", "17/5/2024", "17/5/2024, 10:00", "10:00 am"])
@pytest.mark.parametrize("signs", ["\u200e", "\ufeff", " ", ".", ",", "-", "a", "\u0301"])
def test_what_begins_like_a_header_takes_no_longer(start, signs, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(CHAT + "\n" + start + signs * 100_000 + "\n" + CHAT, "utf-8")
    began = time.process_time()
    whatsapp.read(path)
    assert time.process_time() - began < 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_zip_with_two_files_of_one_name(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(("a.txt", CHAT), ("a.txt", CHAT * 2)))
    assert refusal(tmp_path / "a.zip") == (
        "a.zip: the zip holds two files called 'a.txt'; unpack it, rename one and use both."
    )


def test_a_zip_of_zips(tmp_path):
    (tmp_path / "a.zip").write_bytes(zipped(("Chat.zip", zipped(("_chat.txt", CHAT)))))
    assert (
        refusal(tmp_path / "a.zip") == "a.zip: the zip holds other zips; unpack it and use those."
    )


def test_a_folder_named_like_a_file(tmp_path):
    (tmp_path / "x.txt").mkdir()
    sentence = "x.txt: this is a folder, expected a .txt or .zip; rename it or move it away."
    assert refusal(tmp_path / "x.txt") == sentence
    for folder in (tmp_path, tmp_path / "x.txt"):
        with pytest.raises(whatsapp.ExportError, match="expected WhatsApp exports"):
            whatsapp.read(folder)


ODD = "this is no ordinary file (a pipe, a socket or a device), expected a .txt or .zip"


@pytest.mark.parametrize("name", ["x.txt", "pipe"])
def test_a_pipe(name, tmp_path):
    (tmp_path / "a.txt").write_text(CHAT, "utf-8")
    os.mkfifo(tmp_path / name)
    assert refusal(tmp_path / name) == f"{name}: {ODD}; rename it or move it away."
    with pytest.raises(whatsapp.ExportError) as error:  # waiting for a writer would take for ever
        whatsapp.read(tmp_path)
    assert str(error.value) == f"{name}: {ODD}; move it out of {tmp_path.name}."


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS makes no file of such a name")
def test_a_name_of_an_old_system(tmp_path):
    (tmp_path / "a.txt").write_text(CHAT, "utf-8")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/mam\xe1.txt")).write_text(CHAT, "utf-8")
    with pytest.raises(whatsapp.ExportError) as error:
        whatsapp.read(tmp_path)
    assert str(error.value) == "mam\\xe1.txt: the file's name is no UTF-8; rename the file."


def test_a_device(tmp_path):
    (tmp_path / "a.txt").symlink_to("/dev/zero")
    assert refusal(tmp_path / "a.txt") == f"a.txt: {ODD}; rename it or move it away."
    with pytest.raises(whatsapp.ExportError, match="a.txt: this is no ordinary file"):
        whatsapp.read(tmp_path)


def test_folders_inside(tmp_path):
    """Unpacked exports, one with an attached text, and a zip: four chats and no note."""
    for name, start in (("Ana", "17/5/2024"), ("Beto", "18/5/2024")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "_chat.txt").write_text(f"{start}, 10:00 - {name}: hola\n", "utf-8")
    (tmp_path / "Ana" / "00000012-notas.txt").write_text("1/1/2020, 0:00 - X: no\n", "utf-8")
    (tmp_path / "Ana" / "00000013-PHOTO.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "viejos" / "2019").mkdir(parents=True)
    (tmp_path / "viejos" / "2019" / "Caro.txt").write_text("1/1/2019, 9:00 - Caro: hola\n")
    (tmp_path / "d.zip").write_bytes(zipped(("_chat.txt", "1/1/2018, 9:00 - Dani: hola\n")))
    table = whatsapp.read(tmp_path)
    assert table["author"].tolist() == ["Ana", "Beto", "Dani", "Caro"]
    assert table["chat"].nunique() == 4


@pytest.mark.parametrize("method", ["read_bytes", "stat"])
def test_no_permission(method, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    path = tmp_path / "a.txt"
    path.write_text(CHAT, "utf-8")
    monkeypatch.setattr(Path, method, refuse)
    assert refusal(path) == (
        "a.txt: there is no permission to read it; allow it (chmod u+r) or copy it anew."
    )


# No line or character is lost

CASES = [c for c in cases.find_cases(cases.CASES) if isinstance(cases.expected_of(c), list)]
BITS = st.sampled_from(
    [
        *("17/5/2024, 10:00 - Vera: ", "18/5/2024, 9:05 - Ivo: ", "[17/05/24, 10:00:07] Vera: "),
        *("\u200e", "\n", "\r\n", "\r", " ", "\u2028", "\x0b", "\u00a0", ": ", "Ivo left", "null"),
        *("\u200eimage omitted", "<Media omitted>", " <This message was edited>", "31/2/2024, "),
        *("a.jpg (file attached)", "2/1/2001, 10:00 - X: ", "17/5/2024 10:00 - ", "hola", "🎉"),
    ]
)


@settings(max_examples=300)
@given(st.lists(BITS, min_size=1, max_size=40).map("".join))
def test_no_line_and_no_character_is_lost(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "account.txt"
    path.write_bytes(text.encode())
    try:
        (export,) = whatsapp.read_file(path)
    except whatsapp.ExportError:
        return
    assert fuzz.find_loss(export, fuzz.decode(text.encode())) is None
    assert export.account.lines["before_first_message"] == len(export.lost)
    assert export.account.characters["texts"] == sum(map(len, export.messages["text"]))


@pytest.mark.parametrize("case", CASES, ids=lambda folder: folder.name)
def test_the_account_of_a_case(case):
    for path in cases.files_of(case):
        for export in whatsapp.read_file(path):
            assert export.account.missing == (0, 0)
            assert export.account.lines["before_first_message"] == len(export.lost)


def test_an_account(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(
        "\ufeffcut\r\n\r\n"
        "17/5/2024, 10:00 - Vera: \u200eIMG.jpg (file attached)\r\nmirá\r\n\r\n"
        "17/5/2024, 10:01 - Ivo left\r\n".encode()
    )
    account = whatsapp.read_file(path)[0].account
    assert account.lines == {"messages": 3, "before_first_message": 1, "attached_texts": 0}
    assert account.characters == {
        "texts": len("mirá") + len("Ivo left"),
        "authors": len("Vera: "),
        "headers": 2 * len("17/5/2024, 10:00 - "),
        "marks_and_placeholders": len("\u200eIMG.jpg (file attached)\n"),
        "line_ends": 6 + 4,  # a carriage return for each of 6; no feed in "cut\n" or below IMG
        "before_first_message": len("cut\n"),
        "attached_texts": 0,
    }
    assert account.characters_in == sum(account.characters.values())
    assert account.missing == (0, 0)


def test_the_account_of_a_zip_counts_all_that_it_holds(tmp_path):
    """Three chats of 3 lines, 2 and 2, and a note of 2 lines that somebody attached."""
    others = "1/1/2020, 9:00 - Ana: hola\n1/1/2020, 9:01 - Beto: chau\n"
    path = tmp_path / "todo.zip"
    path.write_bytes(
        zipped(
            ("Vera/_chat.txt", CHAT),
            ("Vera/notas.txt", "leche\n\npan\n"),
            ("Ana/_chat.txt", others),
            ("Beto/_chat.txt", others.replace("2020", "2021")),
        )
    )
    exports = whatsapp.read_file(path)
    assert [export.name for export in exports] == [
        f"todo.zip ({name}/_chat.txt)" for name in ("Ana", "Beto", "Vera")
    ]
    assert [len(export.messages) for export in exports] == [2, 2, 2]
    assert sum(export.account.lines_in for export in exports) == 3 + 2 + 2 + 2
    assert [export.account.lines["attached_texts"] for export in exports] == [2, 0, 0]
    assert sum(export.account.characters["attached_texts"] for export in exports) == 11
    assert whatsapp.read(path)["chat"].unique().tolist() == ["Ana", "Beto", "Vera"]


def test_a_line_that_went_nowhere_is_our_defect(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(CHAT, "utf-8")
    (export,) = whatsapp.read_file(path)
    check_complete(export)
    account = whatsapp.Account(
        export.account.lines_in + 1,
        export.account.lines,
        export.account.characters_in + 7,
        export.account.characters,
    )
    with pytest.raises(UserError, match="lost count of 1 lines and 7 characters; .* please report"):
        check_complete(whatsapp.Export(**{**vars(export), "account": account}))


@pytest.mark.parametrize(
    ("strange", "reason"),
    [
        ("[03/02/24, 10:0{n}:07] Vera: viejo {n}", "another form, before the message above"),
        ("31/2/2024, 10:0{n} - Vera: hola {n}", "a date that does not exist"),
        ("3/2/2019, 10:0{n} - Ajeno: hola {n}", "a voice heard only there"),
    ],
)
def test_a_form_that_occurs_often_and_is_not_read_stops_the_run(strange, reason, tmp_path):
    path = tmp_path / "a.txt"
    chat = [f"17/5/2024, 10:{n:02} - {('Vera', 'Ivo')[n % 2]}: {n}" for n in range(60)]

    def with_strange_lines(number: int) -> whatsapp.Export:
        lines = [strange.format(n=n) for n in range(number)]
        path.write_text("\n".join([*chat[:30], *lines, *chat[30:]]), "utf-8")
        (export,) = whatsapp.read_file(path)
        assert len(export.messages) == 60
        assert export.lookalikes == number
        return export

    few = with_strange_lines(4)
    assert few.doubtful == ()
    check_understood(few, 0.98)
    many = with_strange_lines(8)
    assert many.doubtful == tuple((31 + n, strange.format(n=n)) for n in range(8))
    check_understood(many, 0.88)  # 60 of 68 lines
    with pytest.raises(UserError, match=r"a.txt: only 60 of 68 lines .* line 31: .*; line 32: "):
        check_understood(many, 0.89)


# What must not change the rows


def outcome(path: Path) -> list:
    """The rows of a file and its account, or the sentence that refuses it."""
    try:
        (export,) = whatsapp.read_file(path)
    except whatsapp.ExportError as error:
        return [str(error)]
    return [export.messages.to_csv(), export.lookalikes, export.lost, export.account]


@settings(max_examples=150)
@given(st.lists(BITS, min_size=1, max_size=40).map("".join), st.sampled_from([1, 9, 64]))
def test_the_size_of_chunks(tmp_path_factory, text, size):
    path = tmp_path_factory.getbasetemp() / "chunks.txt"
    path.write_bytes(text.encode())
    whole = outcome(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(whatsapp.text, "CHUNK_BYTES", size)
        patch.setattr(whatsapp.account, "CHUNK_BYTES", size)
        assert outcome(path) == whole


@settings(max_examples=150)
@given(st.lists(BITS, min_size=1, max_size=40).map("".join), st.integers(1, 3))
def test_the_quick_pattern_finds_what_the_general_one_finds(tmp_path_factory, text, glance):
    path = tmp_path_factory.getbasetemp() / "patterns.txt"
    path.write_bytes(text.encode())
    quick = outcome(path)
    with pytest.MonkeyPatch.context() as patch:
        # A guess that later lines make wrong.
        patch.setattr(whatsapp.pieces, "SAMPLE_LINES", glance)
        assert outcome(path) == quick
        patch.setattr(whatsapp.headers, "MAX_VARIANTS", 0)
        assert outcome(path) == quick


@pytest.mark.parametrize("case", CASES, ids=lambda folder: folder.name)
def test_a_case_with_the_general_pattern_in_small_chunks(case, monkeypatch):
    monkeypatch.setattr(whatsapp.headers, "MAX_VARIANTS", 0)
    monkeypatch.setattr(whatsapp.text, "CHUNK_BYTES", 20)
    assert cases.first_difference(case) is None


# Fuzzing: the long run is `python -m benchmarks.fuzz`, its count stands in docs/results/fuzz.json


@pytest.mark.parametrize("seed", range(4))
def test_mutated_cases(seed, tmp_path):
    originals = fuzz.corpus()
    for number in range(100):
        data = fuzz.mutate(random.Random(f"test {seed} {number}"), originals)
        wrong, _, _ = fuzz.try_reading(data, tmp_path / "chat.txt")
        assert wrong is None, data


def test_mutated_cases_in_small_chunks_and_with_the_general_pattern(tmp_path):
    originals, path = fuzz.corpus(), tmp_path / "chat.txt"
    for number in range(150):
        path.write_bytes(fuzz.mutate(random.Random(f"same {number}"), originals))
        whole = outcome(path)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(whatsapp.text, "CHUNK_BYTES", 37)
            assert outcome(path) == whole
            patch.setattr(whatsapp.headers, "MAX_VARIANTS", 0)
            assert outcome(path) == whole


def test_a_motley_file(tmp_path):
    """No line before looks like a message, and the lines that do have twenty kinds of space."""
    path = tmp_path / "a.txt"
    spaces = ["\u00a0" * n + " " for n in range(1, 21)]
    lines = [f"17/5/2024,{space}10:00 - Vera: {n}" for n, space in enumerate(spaces)]
    pasted = "17/5/2024, 10:00 mañana: x"  # in the form of a header, but for the word
    path.write_text("\n".join([*["-"] * 600, *lines, pasted]), "utf-8")
    (export,) = whatsapp.read_file(path)
    texts = export.messages["text"].tolist()
    assert texts == [*map(str, range(19)), f"19\n{pasted}"]
    assert len(export.lost) == 600


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"lines_in": 4}, "missing (1, 0)"),
        ({"characters_in": 0}, f"missing (0, -{len(CHAT)})"),
    ],
)
def test_the_fuzzer_sees_what_is_lost(change, wrong, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(CHAT, "utf-8")
    (export,) = whatsapp.read_file(path)
    assert fuzz.find_loss(export, CHAT) is None
    account = whatsapp.Account(**{**vars(export.account), **change})
    assert fuzz.find_loss(whatsapp.Export(**{**vars(export), "account": account}), CHAT) == wrong


def test_the_fuzzer_sees_words_that_stand_nowhere(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(CHAT, "utf-8")
    (export,) = whatsapp.read_file(path)
    export.messages.loc[1, "text"] = "m"
    assert (
        fuzz.find_loss(export, CHAT) == "the row of line 3 has text that is not in the file there"
    )
    export.messages["line"] = 1
    assert fuzz.find_loss(export, CHAT) == "rows share a line"
