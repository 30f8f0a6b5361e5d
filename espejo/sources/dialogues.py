"""Dialogues without names: lists of utterances, whose speakers alternate.

As DailyDialog and sets like it are written: a list under `dialog` in JSON, JSONL, Parquet or a
cell of a CSV; text lines "a __eou__ b __eou__"; or a CSV with an utterance a row. A dialogue is a
chat, its speakers are A and B.

Texts stay as they stand, "Hi ." too: which spaces a tokenizer put in cannot be told from those
that French writes before "?", that stand before a smiley or outside a quotation.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import PurePosixPath

import msgspec
import pyarrow as pa

from espejo.sources import items
from espejo.sources.account import Account, Unreadable
from espejo.sources.delimited import find_column, read_table
from espejo.sources.export import Export, ExportError, Options, Record, SourceFile
from espejo.sources.items import Item, Layout
from espejo.sources.json_text import head_text
from espejo.sources.splits import split_of_path

NAME = "dialogues"

NAMES = {
    "dialog": ("dialog", "dialogue", "utterances", "turns", "conversation"),
    "dialogue_id": ("dialogue_id", "dialog_id", "conversation_id", "conv_id"),
    "utterance": ("utterance", "text"),
    "speaker": ("speaker", "speaker_id", "speaker_idx"),
    "split": ("split",),
}
LISTS = Layout(NAMES, ("dialog",))  # a dialogue an item
ROWS = Layout(NAMES, ("dialogue_id", "utterance"))  # an utterance a row
END_OF_UTTERANCE = "__eou__"
SAMPLE_LINES = 20
MIN_SPACED = 0.5  # of the texts; punctuation stands apart in nearly all of a tokenized set
EXPECTED = (
    'dialogues: lists of utterances under "dialog" (JSON, JSONL, Parquet, CSV), lines '
    f'"a {END_OF_UTTERANCE} b {END_OF_UTTERANCE}", or a CSV with the columns dialogue_id and '
    "utterance"
)


def recognises(file: SourceFile) -> bool:
    """Whether a file holds dialogues, under the usual names of columns and fields."""
    try:
        if schema := items.parquet_schema(file):
            return _dialog_column(schema, LISTS) is not None
        text = head_text(file)
        if items.is_json(text):
            return _is_dialogue(items.first_item(text, LISTS))
        lines = [line for line in text.split("\n") if line.strip()][:SAMPLE_LINES]
        if 2 * sum(END_OF_UTTERANCE in line for line in lines) > len(lines):
            return True
        table = read_table(text, file.name, items.suiting(LISTS, ROWS))
        column = find_column(table.header, NAMES["dialog"])
        if column is None:
            return ROWS.suits(table.header)
        return any(_parse_cell(row.cell(column) or "") for row in islice(table.body, 1))
    except ExportError:
        return False


def _is_dialogue(value: object) -> bool:
    """Whether JSON is surely a dialogue. A bare list, which may be any row, needs sentences."""
    if isinstance(value, list):
        return (
            len(value) > 1
            and all(isinstance(text, str) for text in value)
            and any(" " in text.strip() for text in value)
        )
    if not isinstance(value, dict) or "messages" in value:
        return False
    utterances = _field(value, NAMES["dialog"])
    return isinstance(utterances, list) and any(
        isinstance(utterance, str)
        or (isinstance(utterance, dict) and isinstance(_field(utterance, NAMES["utterance"]), str))
        for utterance in utterances[:1]
    )


def read(files: Sequence[SourceFile], options: Options) -> list[Export]:
    """Read the dialogues in each file; `chat` counts them through all files.

    `options.columns` may name the columns or fields of NAMES. Raises ExportError.
    """
    exports: list[Export] = []
    num_dialogues = 0
    for file in files:
        export, num_dialogues = _read_file(file, options.columns, num_dialogues)
        exports.append(export)
    own_splits = [split_of_path(file.path) for file in files]
    # By folder that holds a file in no split: the dialogues of splits in folders below it.
    in_splits: dict[PurePosixPath, set[tuple[str, ...]]] = {
        file.path.parent: set() for file, split in zip(files, own_splits, strict=True) if not split
    }
    for file, split, export in zip(files, own_splits, exports, strict=True):
        above = in_splits.keys() & set(file.path.parent.parents)
        if split and above:
            texts_of_split = {texts for texts, _ in _dialogues(export.records)}
            for folder in above:
                in_splits[folder] |= texts_of_split
    return [
        export if split else _without(export, in_splits[file.path.parent])
        for file, split, export in zip(files, own_splits, exports, strict=True)
    ]


def _without(export: Export, in_splits: set[tuple[str, ...]]) -> Export:
    """Drop the dialogues whose texts are in splits.

    DailyDialog comes with all dialogues in one file, beside folders train, validation and test.
    """
    if not in_splits:
        return export
    kept = [
        record
        for texts, records in _dialogues(export.records)
        if texts not in in_splits
        for record in records
    ]
    num_dropped = len(export.records) - len(kept)
    decisions = f"{export.decisions}, {num_dropped:,} utterances left out that are in a split too"
    dropped = Counter(export.dropped) + Counter(in_a_split=num_dropped)
    return replace(export, records=kept, dropped=dropped, decisions=decisions)


def _dialogues(records: Iterable[Record]) -> Iterator[tuple[tuple[str, ...], list[Record]]]:
    """Yield the texts and the records of each dialogue."""
    for _, group in groupby(records, key=lambda record: record.chat_id):
        dialogue = list(group)
        yield tuple(record.text for record in dialogue), dialogue


def _items(file: SourceFile, columns: Mapping[str, str]) -> tuple[str, Iterable[Item]]:
    """Return in which form a file is written, and its dialogues: values with a "dialog"."""
    lists, rows = LISTS.renamed(columns), ROWS.renamed(columns)
    if schema := items.parquet_schema(file):
        column = _dialog_column(schema, lists)
        if column is None:
            raise _no_column_error(file, schema.names)
        names = [column, *(name for name in lists.names["split"] if name in schema.names)]
        return "Parquet", items.by_use(items.parquet_items(file, names), lists)
    text, encoding = items.read_text(file)
    form = f", read as {encoding}" if encoding else ""
    if items.is_json(text):
        return "JSON" + form, items.by_use(items.json_items(file, text, lists), lists)
    table = read_table(text, file.name, items.suiting(lists, rows))
    if rows.suits(table.header):
        return "table" + form, _gathered(items.by_use(items.table_items(table, rows), rows))
    if lists.suits(table.header):
        return "table" + form, items.by_use(items.table_items(table, lists), lists)
    if END_OF_UTTERANCE not in text:
        raise _no_column_error(file, table.header)
    return END_OF_UTTERANCE + form, _lines(text)


def _no_column_error(file: SourceFile, header: Sequence[str]) -> ExportError:
    return ExportError(
        f"{file.name}: expected {EXPECTED}, there are {items.listed(header)}; {items.ADVICE}."
    )


def _lines(text: str) -> Iterator[Item]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield Item(number, f"line {number}", None, {"dialog": _split_line(line)})


def _split_line(line: str) -> list[str]:
    utterances = line.split(END_OF_UTTERANCE)
    if not utterances[-1].strip():  # behind the mark that ends the last utterance
        utterances.pop()
    return utterances


def _gathered(rows: Iterable[Item]) -> Iterator[Item]:
    """Gather the rows of each dialogue, which need not stand together.

    In each split the numbers of dialogues may begin again.
    """
    dialogues: dict[tuple[str | None, str], Item] = {}
    for row in rows:
        value = row.value
        if isinstance(value, Unreadable):
            yield row
        elif not (number := value["dialogue_id"]):
            yield row._replace(value=Unreadable("expected the number of a dialogue"))
        else:
            key = row.split, number
            if key not in dialogues:
                dialogues[key] = row._replace(value={"dialog": []})
            dialogues[key].value["dialog"].append(value)
    yield from dialogues.values()


def _dialog_column(schema: pa.Schema, lists: Layout) -> str | None:
    """Return the column of a Parquet file that holds lists of strings or of objects, or strings."""
    for name in lists.names["dialog"]:
        if schema.names.count(name) == 1:
            kind = schema.field(name).type
            is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
            content = kind.value_type if is_list else kind
            if _is_string(content) or (is_list and pa.types.is_struct(content)):
                return name
    return None


def _is_string(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


_STRING = re.compile(r"""[\s,]*(?:'((?:[^'\\]|\\.)*+)'|"((?:[^"\\]|\\.)*+)")""", re.S)
_ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|U00(?:0[0-9a-f]|10)[0-9a-f]{4}|.)", re.S)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "\n": ""}


def _parse_cell(cell: str) -> list[str] | None:
    """Return the utterances in a cell; None if it is no list.

    A list as JSON, as Python or as numpy writes it; numpy puts no commas between strings, so that
    Python would read all of them as one. Or utterances that each end in __eou__.
    """
    if END_OF_UTTERANCE in cell:
        return _split_line(cell)
    cell = cell.strip()
    if not (cell.startswith("[") and cell.endswith("]")):
        return None
    try:
        return msgspec.json.decode(cell, type=list[str])
    except (msgspec.MsgspecError, RecursionError):
        pass
    utterances = []
    end = 1
    while match := _STRING.match(cell, end):
        utterances.append(_ESCAPE.sub(_unescape, match[1] if match[1] is not None else match[2]))
        end = match.end()
    return utterances if not cell[end:-1].strip(" \t\n,") else None


def _unescape(match: re.Match[str]) -> str:
    code = match[1]
    if len(code) == 1:
        return _CONTROLS.get(code, code)
    number = int(code[1:], 16)
    return "\ufffd" if 0xD800 <= number < 0xE000 else chr(number)


def _field(value: Mapping[str, object], names: Sequence[str]) -> object:
    """Return the first field of these names that is not null."""
    return next((value[name] for name in names if value.get(name) is not None), None)


def _read_file(file: SourceFile, columns: Mapping[str, str], num_before: int) -> tuple[Export, int]:
    """Return the records of a file, and the number of dialogues up to its end."""
    form, dialogues = _items(file, columns)
    names = {use: (columns.get(use, use), *NAMES[use]) for use in ("utterance", "speaker")}
    account = Account(file, items.ADVICE)
    records: list[Record] = []
    file_split = split_of_path(file.path)
    number = num_before
    splits = set()
    for position, where, own_split, value in dialogues:
        try:
            utterances = _utterances(value)
        except Unreadable as problem:
            account.add_items(1)
            account.add_unreadable(where, problem)
            continue
        number += 1
        split = own_split or file_split
        splits.add(split or "none")
        speakers = _speakers(utterances, names["speaker"])
        records += account.records(
            f"{where}, utterance",
            enumerate(utterances, 1),
            partial(
                _record, f"{file.path}:{position}", str(number), position, split, speakers, names
            ),
        )
    account.check(EXPECTED)
    decisions = f"{number - num_before:,} dialogues ({form}), split: {', '.join(sorted(splits))}"
    num_spaced = sum(record.text[-2:] in (" .", " ?", " !") for record in records)
    if num_spaced > MIN_SPACED * len(records):
        decisions += ", spaces before punctuation kept"
    return Export(file.name, NAME, records, account.items, account.dropped, decisions), number


def _utterances(value: dict[str, object] | Unreadable) -> list[object]:
    if isinstance(value, Unreadable):
        raise value
    dialog = value["dialog"]
    utterances = _parse_cell(dialog) if isinstance(dialog, str) else dialog
    if not isinstance(utterances, list):
        raise Unreadable("expected a list of utterances")
    return utterances


def _record(
    chat_id: str,
    chat: str,
    position: int,
    split: str | None,
    speakers: Sequence[str],
    names: Mapping[str, Sequence[str]],
    number: int,
    utterance: object,
) -> Record | str:
    """Return the record of an utterance, or why there is none."""
    if isinstance(utterance, dict):
        utterance = _field(utterance, names["utterance"])
    if utterance is not None and not isinstance(utterance, str):
        raise Unreadable("expected a text")
    text = (utterance or "").strip()
    if not text:
        return "empty"
    speaker = speakers[number - 1] if speakers else "BA"[number % 2]
    return Record(chat_id, chat, position, None, speaker, speaker, "message", text, split=split)


def _speakers(utterances: Sequence[object], names: Sequence[str]) -> list[str]:
    """Name the speakers of utterances A, B, C … as they first appear; [] if one states none."""
    letters: dict[str, str] = {}
    speakers = []
    for utterance in utterances:
        speaker = _field(utterance, names) if isinstance(utterance, dict) else None
        key = str(speaker).strip() if isinstance(speaker, str | int) else ""
        if not key:
            return []
        speakers.append(letters.setdefault(key, _letter(len(letters))))
    return speakers


def _letter(index: int) -> str:
    """Return A to Z, then A2 to Z2 and so on."""
    return chr(ord("A") + index % 26) + (str(1 + index // 26) if index >= 26 else "")
