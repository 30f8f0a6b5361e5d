"""Damaged files: nothing but ExportError may come out, and accounts add up."""

import random

import pytest

from espejo.sources import dialogues, questions
from espejo.sources.export import ExportError
from tests.sources.files import CORDOBA, source_file
from tests.sources.test_dialogues import FORMS as DIALOGUES
from tests.sources.test_questions import FORMS as QUESTIONS

CONTENTS = [
    content.encode() if isinstance(content, str) else content
    for content in (*DIALOGUES.values(), *QUESTIONS.values())
]
PIECES = [
    *(b'"', b"'", b",", b";", b"\n", b"\r", b"\t", b"\0", b"[", b"]", b"{", b"}", b"\\", b"\xff"),
    *(b"__eou__", b"null", b"NaN", b"1e999", b"9" * 5000, b"[" * 3000, b"\\ud83d", b'""', b"[]"),
    *(b'{"text": 1}', b"sep=;\n", b"question", b"dialog", b"\xef\xbb\xbf", b"true", b"\\x", b"\\U"),
]


def damaged(data: bytes, chance: random.Random) -> bytes:
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice([0, 1, 1, 7, 60]))
        kind = chance.randrange(4)
        if kind == 0:
            data = data[:start] + chance.choice(PIECES) + data[end:]
        elif kind == 1:
            data = data[:start] + bytes([chance.randrange(256)]) + data[start + 1 :]
        elif kind == 2:
            data = data[:start] + data[end:]
        else:
            data = data[:start] if chance.random() < 0.3 else data + data[start:end]
    return data


def check(data: bytes) -> None:
    file = source_file("damaged.csv", data)
    for reader in (dialogues, questions):
        reader.recognises(file)
        exports, error = [], "damaged.csv: expected"
        try:
            exports = reader.read([file], CORDOBA)
            questions.probes([file], CORDOBA)
        except ExportError as raised:
            error = str(raised)
        assert error.startswith(("damaged.csv: ", "damaged.csv, "))
        for export in exports:
            assert export.items == export.kept + sum(export.dropped.values())
            for record in export.records:
                assert record.text == record.text.strip() != ""
                record.text.encode()


@pytest.mark.parametrize("seed", range(3))
def test_damaged_files(seed):
    chance = random.Random(seed)
    for _ in range(100):
        check(damaged(chance.choice(CONTENTS), chance))
