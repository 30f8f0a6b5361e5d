"""Source files in memory, and readings that check the account of items."""

import io
import json
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

import pyarrow as pa
from pyarrow import parquet

from espejo.sources.export import Export, Options, SourceFile

CORDOBA = Options(ZoneInfo("America/Argentina/Cordoba"))
MADRID = Options(ZoneInfo("Europe/Madrid"))


def columns(**names: str) -> Options:
    return Options(CORDOBA.timezone, names)


def source_file(path: str, content: object) -> SourceFile:
    """A SourceFile of bytes, of a text, or of a value that becomes JSON."""
    if not isinstance(content, bytes | str):
        content = json.dumps(content, ensure_ascii=False)
    data = content.encode() if isinstance(content, str) else content
    return SourceFile(PurePosixPath(path), lambda size: data[:size])


def as_parquet(**table: list) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.table(table), buffer)
    return buffer.getvalue()


def read_all(reader, *files: SourceFile, options: Options = CORDOBA) -> list[Export]:
    """The Exports of files, after a check that each item gave records or is dropped."""
    exports = reader.read(files, options)
    for export in exports:
        assert export.items == export.kept + sum(export.dropped.values())
    return exports


def read_one(reader, file: SourceFile, options: Options = CORDOBA) -> Export:
    """The Export of one file, which the reader recognises."""
    assert reader.recognises(file)
    (export,) = read_all(reader, file, options=options)
    return export


def read_content(
    reader, content: object, path: str = "talks.txt", options: Options = CORDOBA
) -> Export:
    """The Export of a file with a content, whether or not the reader recognises it."""
    (export,) = read_all(reader, source_file(path, content), options=options)
    assert export.app == reader.NAME
    return export


def rows(export: Export) -> list[tuple]:
    """(author, kind, text) of each record."""
    return [(record.author, record.kind, record.text) for record in export.records]


def words(export: Export) -> list[tuple]:
    """(chat, author, text) of each record."""
    return [(record.chat, record.author, record.text) for record in export.records]
