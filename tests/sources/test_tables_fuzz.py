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


def damaged(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice([0, 1, 1, 7, 60]))
        kind = rng.randrange(4)
        if kind == 0:
            data = data[:start] + rng.choice(PIECES) + data[end:]
        elif kind == 1:
            data = data[:start] + bytes([rng.randrange(256)]) + data[start + 1 :]
        elif kind == 2:
            data = data[:start] + data[end:]
        else:
            data = data[:start] if rng.random() < 0.3 else data + data[start:end]
    return data


def check(reader, data: bytes) -> bool:
    """Read a damaged file; return whether it gave records."""
    file = source_file("damaged.csv", data)
    reader.recognises(file)
    try:
        exports = reader.read([file], CORDOBA)
        questions.probes([file], CORDOBA)
    except ExportError as error:
        sentence = str(error)
        assert sentence.startswith(("damaged.csv: ", "damaged.csv, "))
        return False
    for export in exports:
        assert export.items == export.kept + sum(export.dropped.values())
        for record in export.records:
            assert record.text == record.text.strip() != ""
            record.text.encode()
    return any(export.records for export in exports)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reader", [dialogues, questions])
def test_damaged_files(reader, seed):
    rng = random.Random(seed)
    read = sum(check(reader, damaged(rng.choice(CONTENTS), rng)) for _ in range(100))
    assert 0 < read < 100  # some are read, some refused
