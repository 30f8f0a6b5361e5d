"""Exports of any app through the stages that make data, in this process, to look for words."""

import json
import re
from datetime import UTC, datetime

import pyarrow.parquet as pq
import pytest
import yaml

from espejo.core.text import fold
from stages import clean, filter, format, group, parse
from tests.helpers import tiny

SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<pad>"]
AUTHOR, PARTNER = "Juli Roca", "Cami"
START = int(datetime(2025, 3, 1, 15, 0, tzinfo=UTC).timestamp())
DAY = 24 * 3600


def talk(number=12):
    """(seconds, author, text) of `number` evenings of two exchanges each, all different."""
    for index in range(number):
        start = START + index * DAY
        yield start, PARTNER, f"¿viste la película {index} del ciclo {index}?"
        yield start + 60, AUTHOR, f"siii {index} veces la vi, con {index} amigas"
        yield start + 600, PARTNER, f"¿y el libro {index} de la saga {index} lo leíste?"
        yield start + 660, AUTHOR, f"todavía no, voy por el tomo {index} y falta el {index} bis"


def between(evening):
    """A time of an evening, between its two exchanges."""
    return START + evening * DAY + 300


def stages(folder, people, params):
    """Run parse to format on folder/raw; returns what each file that they wrote holds, as text."""
    raw, data = folder / "raw", folder / "data"
    (raw / "people.yaml").write_text(people, "utf-8")
    (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    messages, cleaned, listed = (data / f"{n}.parquet" for n in ("messages", "clean", "people"))
    turns, examples, filtered, formatted = (
        data / f"{n}.parquet" for n in ("turns", "examples", "filtered", "formatted")
    )
    tokenizer = tiny.trained_tokenizer(
        SPECIALS, SPECIALS[2], tiny.CHATML, None, SPECIALS[3], "bytes"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(format, "load_tokenizer", lambda model: tokenizer)
        parse.main(raw, messages, data / "probes.parquet", folder / "parse.json")
        clean.main(messages, raw, cleaned, listed, folder / "clean.json", folder / "personal.md")
        group.main(cleaned, listed, turns, examples, folder / "group.json")
        filter.main(examples, filtered, folder / "filter.json")
        format.main(filtered, listed, formatted, folder / "format.json")
    return {
        path.name: json.dumps(pq.read_table(path).to_pylist(), ensure_ascii=False, default=str)
        if path.suffix == ".parquet"
        else path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and raw not in path.parents and path.name != "params.yaml"
    }


def rows(folder, name):
    """The rows of a table."""
    return pq.read_table(folder / "data" / f"{name}.parquet").to_pylist()


def bare(text):
    """A text folded, and without spaces and punctuation."""
    return re.sub(r"[\W_]", "", fold(text.replace("\\n", " ")))


def holding(texts, word):
    """The files that hold a word, in any spelling."""
    return [name for name, text in texts.items() if bare(word) in bare(text)]
