"""The items of a table or of a JSON, JSONL or Parquet file: its rows, elements or lines."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
from pyarrow import parquet

from espejo.sources.account import Unreadable
from espejo.sources.delimited import Table, find_column
from espejo.sources.export import HEAD_BYTES, ExportError, SourceFile
from espejo.sources.json_text import beginning, decode, decode_file, decode_lines
from espejo.sources.splits import split_in
from espejo.whatsapp.text import decode as decode_text

ADVICE = "correct the file, or download it again"
PARQUET_MAGIC = b"PAR1"
BATCH_ROWS = 10_000  # of a Parquet file, built as Python objects at a time
_ANY = msgspec.json.Decoder()
_ROOT = msgspec.json.Decoder(list[msgspec.Raw] | dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_LIST, _LIST_OF_OBJECTS = re.compile(rb"\["), re.compile(rb"\[\s*\{")


class Item(NamedTuple):
    """One value of a file's array, or of one of its lines or rows."""

    position: int  # line of a JSONL, row of a Parquet, else index in the file's arrays, from 1
    where: str  # the position in words: "line 3"
    split: str | None  # that it, or the part of the file where it stands, states
    value: Any  # may be Unreadable


class Layout(NamedTuple):
    """What the columns of a table, or the fields of objects, are for."""

    names: Mapping[str, Sequence[str]]  # what a column is for -> its usual names, the best first
    required: tuple[str, ...]  # what there must be columns for

    def renamed(self, columns: Mapping[str, str]) -> "Layout":
        """Return the layout where settings name some columns."""
        names = {use: (columns[use],) if use in columns else self.names[use] for use in self.names}
        return Layout(names, self.required)

    def columns(self, header: Sequence[str]) -> dict[str, str]:
        """Return what the columns of a header are for -> their names."""
        indices = {use: find_column(header, names) for use, names in self.names.items()}
        return {use: header[index] for use, index in indices.items() if index is not None}

    def suits(self, header: Sequence[str]) -> bool:
        """Whether a header, or the keys of an object, have what is required."""
        return self.columns(header).keys() >= set(self.required)


def suiting(*layouts: Layout) -> Callable[[Sequence[str]], bool]:
    """Return a function that says whether one of the layouts suits a header."""
    return lambda header: any(layout.suits(header) for layout in layouts)


def read_text(file: SourceFile) -> tuple[str, str]:
    """Return a file's text with line feeds for line ends, and its encoding ("" for UTF-8).

    Raises ExportError if the file is empty or no text.
    """
    data = file.read()
    if data.startswith(b"PK\x03\x04"):
        raise ExportError(
            f"{file.name}: this is a zip or an Excel workbook, expected text; save the table as "
            "CSV, or unpack the zip."
        )
    text = decode_text(data)
    if not text.data.strip():
        raise ExportError(f"{file.name}: the file is empty; remove it.")
    if b"\0" in text.data[:HEAD_BYTES]:
        raise ExportError(
            f"{file.name}: this is a binary file, expected text, JSON or Parquet; save it in one "
            "of these formats."
        )
    return text.data.decode().replace("\r\n", "\n"), text.encoding


def is_json(text: str) -> bool:
    """Whether a text starts as a JSON object or array does."""
    return text[:1000].lstrip()[:1] in ("{", "[")


def first_item(head: str, layout: Layout) -> object:
    """Return the first of the `json_items` of a file whose start is `head`, None for none."""
    value = beginning(head)
    if isinstance(value, dict) and not layout.suits(tuple(value)):
        lists = {key: array for key, array in value.items() if isinstance(array, list)}
        objects = [key for key, array in lists.items() if array and isinstance(array[0], dict)]
        value = next((lists[key] for key in _arrays(lists, objects)), None)
    return (value[0] if value else None) if isinstance(value, list) else value


def json_items(file: SourceFile, text: str, layout: Layout) -> Iterator[Item]:
    """Yield the items of a JSON or JSONL file.

    They are the elements of an array or of those in {"train": [...], ...} or {"data": [...]}, the
    values on lines, or the one object that is the file, if `layout` suits it.

    Raises ExportError if the JSON is cut off, or no JSON.
    """
    data = text.encode()
    if _holds_lines(data):
        for number, value in decode_lines(file, data, _ANY, ADVICE):
            yield Item(number, f"line {number}", None, value)
        return
    root = decode_file(file, data, _ROOT, ADVICE)
    arrays = {"": root} if isinstance(root, list) else {}
    if isinstance(root, dict) and not layout.suits(tuple(root)):
        lists = [key for key, raw in root.items() if _LIST.match(raw)]
        objects = [key for key in lists if _LIST_OF_OBJECTS.match(root[key])]
        arrays = {key: _ARRAY.decode(root[key]) for key in _arrays(lists, objects)}
    if not arrays:
        yield Item(1, "line 1", None, _decoded(data))
    position = 0
    for key, raws in arrays.items():
        for index, raw in enumerate(raws, 1):
            position += 1
            where = f"element {index}" + (f' of "{key}"' if key else "")
            yield Item(position, where, split_in(key), _decoded(raw))


def _arrays(lists: Iterable[str], objects: Sequence[str]) -> Sequence[str]:
    """Return which lists in an object hold items: those of splits, else the first of objects."""
    return [key for key in lists if split_in(key)] or objects[:1]


def _holds_lines(data: bytes) -> bool:
    """Whether the first line is whole, and not the only one."""
    first_line, _, others = data.lstrip().partition(b"\n")
    return bool(others.strip()) and not isinstance(_decoded(first_line), Unreadable)


def _decoded(data: bytes | msgspec.Raw) -> object:
    try:
        return decode(_ANY, data)
    except Unreadable as problem:
        return problem


def table_items(table: Table, layout: Layout) -> Iterator[Item]:
    """Yield the rows of a table, each a dict of the cells in the columns of `layout`."""
    indices = {name: table.header.index(name) for name in layout.columns(table.header).values()}
    for line, cells in table.rows:
        value = {name: cells[index] for name, index in indices.items() if index < len(cells)}
        yield Item(line, f"line {line}", None, value)


def by_use(items: Iterable[Item], layout: Layout) -> Iterator[Item]:
    """Yield items with their values under what each is for, and with the split that they name.

    What is no object stands for the first that is required. Where one that is required is not
    there, the item is Unreadable.
    """
    columns: dict[tuple[str, ...], dict[str, str] | Unreadable] = {}  # by the keys of an object
    for position, where, split, value in items:
        if isinstance(value, Unreadable):
            yield Item(position, where, split, value)
            continue
        if not isinstance(value, dict):
            value = {layout.names[layout.required[0]][0]: value}
        keys = tuple(value)
        if keys not in columns:
            columns[keys] = _columns(keys, layout)
        names = columns[keys]
        if isinstance(names, Unreadable):
            yield Item(position, where, split, names)
            continue
        values = {use: value[name] for use, name in names.items()}
        if isinstance(named := values.get("split"), str):
            split = split_in(named) or split
        yield Item(position, where, split, values)


def _columns(keys: Sequence[str], layout: Layout) -> dict[str, str] | Unreadable:
    columns = layout.columns(keys)
    absent = next((use for use in layout.required if use not in columns), None)
    if absent is None:
        return columns
    return Unreadable(f"expected {layout.names[absent][0]!r}, there are {listed(keys)}")


def listed(names: Sequence[str]) -> str:
    """Return the first names of columns or fields, for a message."""
    return ", ".join(repr(name[:40]) for name in names[:20]) or "none"


def parquet_schema(file: SourceFile) -> pa.Schema | None:
    """Return the columns of a Parquet file; None for any other file.

    They stand at its end: unlike other files, it is read as a whole. Raises ExportError if it is
    damaged.
    """
    return _open(file).schema_arrow if file.head.startswith(PARQUET_MAGIC) else None


def parquet_items(file: SourceFile, columns: Sequence[str]) -> Iterator[Item]:
    """Yield the rows of a Parquet file, each a dict of these columns.

    Raises ExportError if the file is damaged.
    """
    table = _open(file)
    position = 0
    try:
        for batch in table.iter_batches(BATCH_ROWS, columns=list(columns)):
            for row in batch.to_pylist():
                position += 1
                yield Item(position, f"row {position}", None, row)
    except _PARQUET_ERRORS as error:
        raise _parquet_error(file, error) from None


_PARQUET_ERRORS = (pa.ArrowException, OSError, ValueError, MemoryError)


def _open(file: SourceFile) -> parquet.ParquetFile:
    data = file.read()
    try:
        return parquet.ParquetFile(pa.BufferReader(data))
    except _PARQUET_ERRORS as error:
        raise _parquet_error(file, error) from None


def _parquet_error(file: SourceFile, error: BaseException) -> ExportError:
    reason = " ".join(str(error).split())[:100]
    return ExportError(
        f"{file.name}: the Parquet file is damaged ({reason}); copy or download it again."
    )
