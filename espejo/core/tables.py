"""The pipeline's tables: one schema per file, checked when the file is written.

| table     | one row is                                                    |
| --------- | ------------------------------------------------------------- |
| MESSAGES  | one message as exported                                       |
| CLEAN     | one message after cleaning                                    |
| PROBES    | one question that is asked and never learnt                   |
| PEOPLE    | one person of the chats and what they allow                   |
| TURNS     | consecutive messages of one author                            |
| EXAMPLES  | one reply of the target author with the turns before it       |
| FORMATTED | one text for the model, with the spans it is scored on        |
| LEARNT    | one text that the model learnt                                |
| LOSSES    | one reply's loss under one model                              |
| RANKS     | one candidate reply's loss in one context under one model     |
| CANARIES  | one planted secret's (or decoy's) loss under one model        |
| REPLIES   | one generated reply                                           |
| GIVEAWAYS | one n-gram that tells generated from real replies             |
| WORDS     | one word that the author wrote, and how often                 |
| SECOND_NAMES | one person who may be the author under another name        |
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from espejo.core import faults, files
from espejo.core.errors import UserError

_GROUP_ROWS = 50_000  # converted and written at a time: Python's copies of more take much memory
_BATCH_ROWS = 4_096  # read at a time


class Turn(TypedDict):
    """Consecutive messages of one author."""

    author: str
    messages: list[str]


class Span(TypedDict):
    """Characters `start:end` of a text.

    Kinds inside the author's reply: lead (a space that the template puts before it), message,
    separator, end. Kind context: text before the reply, which is read but never learnt.
    """

    start: int
    end: int
    kind: str


def _column(name: str, kind: pa.DataType, null: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=null)


_TIME = pa.timestamp("us")  # naive: WhatsApp writes the phone's local time
_TEXTS = pa.list_(_column("item", pa.string()))
_TURN = pa.struct([_column("author", pa.string()), _column("messages", _TEXTS)])
_CONTEXT = pa.list_(_column("item", _TURN))
_SPAN = pa.struct(
    [_column("start", pa.int64()), _column("end", pa.int64()), _column("kind", pa.string())]
)

MESSAGES = pa.schema(
    [
        _column("chat", pa.string()),
        _column("line", pa.int64()),  # first line in the source file, from 1
        _column("timestamp", _TIME, null=True),
        _column("author", pa.string(), null=True),
        _column("kind", pa.string()),  # message, media, deleted, call, system, forwarded, withheld
        _column("text", pa.string()),
        _column("edited", pa.bool_()),
        _column("caption", pa.string()),  # the text sent with a medium, "" for none
        _column("app", pa.string()),  # where it is from: whatsapp, telegram, dialogues …
        _column(
            "split", pa.string(), null=True
        ),  # where the data names one: train, validation, test
    ]
)
CLEAN = pa.schema([field for field in MESSAGES if field.name != "caption"])  # it is the text now
PROBES = pa.schema(
    [
        _column("kind", pa.string()),  # out_of_domain, unsafe
        _column("prompt", pa.string()),
    ]
)
PEOPLE = pa.schema(
    [
        _column("name", pa.string()),  # as in table CLEAN
        _column("is_author", pa.bool_()),  # true for one person: the one to imitate
        _column("consent", pa.string()),  # train, context; "" for the author
        # The salted hash of the name in people.yaml, by which the export knows who has since taken
        # something back; "" for words of nobody who is in the file.
        _column("mark", pa.string()),
    ]
)
TURNS = pa.schema(
    [
        _column("chat", pa.string()),
        _column("session", pa.int64()),  # numbered over all chats
        _column("turn", pa.int64()),  # numbered over all chats
        _column("author", pa.string()),
        _column("start", _TIME, null=True),  # null where the data has no times
        _column("end", _TIME, null=True),
        _column("messages", _TEXTS),
        _column("split", pa.string()),  # train, validation, test
    ]
)
EXAMPLES = pa.schema(
    [
        _column("id", pa.string()),
        _column("chat", pa.string()),
        _column("session", pa.int64()),
        _column("split", pa.string()),
        _column("group", pa.bool_()),  # more than one partner: the prompt names who speaks
        _column("context", _CONTEXT),  # oldest first; may be empty
        _column("reply", _TEXTS),
    ]
)
FORMATTED = pa.schema(
    [
        _column("id", pa.string()),
        _column("session", pa.int64()),
        _column("split", pa.string()),
        _column("text", pa.string()),
        _column("spans", pa.list_(_column("item", _SPAN))),  # kinds: see Span
        _column("masked", pa.list_(_column("item", _SPAN))),  # of people whose words are not learnt
    ]
)
LEARNT = pa.schema([_column("messages", _TEXTS)])
LOSSES = pa.schema(
    [
        _column("id", pa.string()),  # of the example
        _column("session", pa.int64()),
        _column("split", pa.string()),  # test, train (a sample), set_aside (by an audit)
        # base, same_examples and nearest_examples (base with examples in its prompt), tuned
        _column("model", pa.string()),
        *(
            _column(f"{own}{name}", kind)  # of the whole reply; own_: only of its messages
            for own in ("", "own_")
            for name, kind in (
                ("nats", pa.float64()),
                ("tokens", pa.int64()),
                ("chars", pa.int64()),
            )
        ),
        # The mean loss over all tokens of the text, prompt included; null if not all were scored.
        _column("text_nats_per_token", pa.float64(), null=True),
    ]
)
RANKS = pa.schema(
    [
        _column("context", pa.string()),  # the id of the example whose context it is
        _column("session", pa.int64()),  # of the context
        _column("candidate", pa.string()),  # the id of the example whose reply it is
        _column("model", pa.string()),  # base, tuned
        _column("own_nats", pa.float64()),
        _column("own_chars", pa.int64()),
    ]
)
CANARIES = pa.schema(
    [
        _column("role", pa.string()),  # author, partner
        _column("repetitions", pa.int64()),  # training examples that held it; 0: a decoy
        _column("model", pa.string()),  # base, tuned
        _column("nats", pa.float64()),
    ]
)
GIVEAWAYS = pa.schema(
    [
        _column("ngram", pa.string()),
        _column("typical_of", pa.string()),  # real, generated
        _column("weight", pa.float64()),  # the log-odds that it adds
    ]
)
WORDS = pa.schema([_column("word", pa.string()), _column("count", pa.int64())])
SECOND_NAMES = pa.schema([_column("name", pa.string())])
REPLIES = pa.schema(
    [
        _column("id", pa.string()),  # of the example, or prompt-1, world-1 … for fixed prompts
        _column("kind", pa.string()),  # held_out, prompt, or a kind of predict.out_of_scope
        _column("prompt", pa.string(), null=True),  # the text of a fixed prompt
        # base, examples (in its prompt), tuned; of questions also retrieved: the nearest answer
        _column("model", pa.string()),
        _column("messages", _TEXTS),
        _column("finished", pa.bool_()),  # ended within generate.max_new_tokens
    ]
)


def write(frame: pd.DataFrame, path: Path, schema: pa.Schema) -> None:
    """Write `frame` as Parquet; its columns must be the schema's, in any order.

    Raises ValueError naming a column that is missing, unknown, of another type, or null where the
    schema allows no null.
    """
    write_parts(parts(frame), path, schema)


def write_parts(frames: Iterable[pd.DataFrame], path: Path, schema: pa.Schema) -> None:
    """Write `frames`, of which only one need be in memory, as one table; raises as `write` does.

    The bytes do not depend on where the parts end.
    """
    tables = (_as_arrow(frame, path, schema) for frame in frames)
    with files.written(path) as draft, pq.ParquetWriter(draft, schema) as writer:
        for group in _row_groups(tables, schema):
            writer.write_table(group)


def _row_groups(tables: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """The rows of `tables`, _GROUP_ROWS at a time, and fewer in the last; without rows, one
    group."""
    waiting, first = schema.empty_table(), True
    for table in tables:
        waiting = pa.concat_tables([waiting, table])
        while len(waiting) >= _GROUP_ROWS:
            yield waiting.slice(0, _GROUP_ROWS).combine_chunks()
            waiting, first = waiting.slice(_GROUP_ROWS).combine_chunks(), False
    if first or len(waiting):
        yield waiting.combine_chunks()


def parts(frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The rows of `frame`, some ten thousand at a time; without rows, one part."""
    starts = range(0, max(len(frame), 1), _GROUP_ROWS)
    return (frame.iloc[start : start + _GROUP_ROWS] for start in starts)


def whole(frames: Iterable[pd.DataFrame], column: str) -> Iterator[pd.DataFrame]:
    """The rows of `frames` in parts that end only where the value of `column` changes."""
    waiting = pd.DataFrame()
    for frame in frames:
        rows = pd.concat([waiting, frame]) if len(waiting) else frame
        changes = np.flatnonzero(rows[column].ne(rows[column].shift()))
        last = changes[-1] if len(changes) else 0
        if last:
            yield rows.iloc[:last]
        waiting = rows.iloc[last:]
    yield waiting


def _as_arrow(frame: pd.DataFrame, path: Path, schema: pa.Schema) -> pa.Table:
    if set(frame.columns) != set(schema.names):
        raise ValueError(f"{path}: columns {sorted(frame.columns)}, expected {schema.names}")
    columns = [_checked(frame[field.name], field, path) for field in schema]
    # Without pandas' own metadata the bytes depend on the rows alone.
    return pa.table(columns, schema=schema)


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write the numbers behind a picture, for `dvc plots diff`; raises as `files.written` does."""
    with files.written(path) as draft:
        table.to_csv(draft, index=False)


# Author, from CLEAN on, of words that are not their sender's: forwarded, or written by a program.
FORWARDED = "forwarded"
WITHHELD = "withheld"  # replaces the names of people who withhold their words, in all tables
NOBODY = (FORWARDED, WITHHELD)  # what no person may be called


def author_of(people: pd.DataFrame) -> str:
    """The name of the person to imitate, from table PEOPLE."""
    return people.loc[people["is_author"], "name"].item()


def names_with(people: pd.DataFrame, consent: str) -> frozenset[str]:
    """The names of the people in table PEOPLE whose consent is `consent`."""
    return frozenset(people.loc[people["consent"].eq(consent), "name"])


def _checked(values: pd.Series, field: pa.Field, path: Path) -> pa.Array:
    where = f"{path}: column {field.name}"
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        raise ValueError(f"{where} has a time zone, expected local times without one")
    try:
        # The first line refuses values that would be rounded; the second, from plain Python values,
        # refuses silent conversions (7 to true, "1" to 1).
        pa.array(values, field.type, from_pandas=True)
        column = pa.array(values.tolist(), field.type, from_pandas=True)
    except (pa.ArrowException, TypeError) as error:
        # Not from Arrow's error: what Arrow cannot read is a damaged file, and this a wrong table.
        raise ValueError(f"{where} is not {field.type}: {error}") from None
    if _has_null(column, field):
        raise ValueError(f"{where} holds nulls")
    return column


def _has_null(values: pa.Array, field: pa.Field) -> bool:
    """Whether there is a null that the schema forbids, at any depth: Arrow does not check this."""
    if values.null_count and not field.nullable:
        return True
    if pa.types.is_list(field.type):
        return _has_null(values.flatten(), field.type.value_field)
    if pa.types.is_struct(field.type):
        parts = zip(values.flatten(), field.type, strict=True)
        return any(_has_null(part, inner) for part, inner in parts)
    return False


def _other(actual: pa.Schema, schema: pa.Schema) -> str:
    """How a file's columns differ from the schema: the first difference."""
    for field in schema:
        if field.name not in actual.names:
            return f"it has no column {field.name}"
        if actual.field(field.name) != field:
            kind = actual.field(field.name).type
            return f"its column {field.name} is {kind}, not {field.type}"
    return f"its columns are {', '.join(actual.names)}, not {', '.join(schema.names)}"


def read(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a table written by `write`, or some of its `columns`; nested ones come back as Python
    lists and dicts.

    Raises UserError naming the file when it is missing or damaged, or has other columns (Arrow
    would fill missing ones with nulls).
    """
    names = list(columns or schema.names)
    if not any(pa.types.is_nested(schema.field(name).type) for name in names):
        with _opened(path, schema) as parquet:
            # Each column is freed when it is converted.
            return parquet.read(names).to_pandas(split_blocks=True, self_destruct=True)[names]
    values: dict[str, list] = {name: [] for name in names}
    for part in _columns(path, schema, names):
        for name, rows in part.items():
            values[name] += rows
    return pd.DataFrame(values, columns=names)


def read_parts(
    path: Path, schema: pa.Schema, columns: Sequence[str] | None = None
) -> Iterator[pd.DataFrame]:
    """The rows of a table, or of some of its `columns`, some thousands at a time; raises as `read`
    does.

    They are numbered on, from 0 at the first.
    """
    start, names = 0, list(columns or schema.names)
    for values in _columns(path, schema, names):
        part = pd.DataFrame(values, columns=names)
        part.index += start
        start += len(part)
        yield part


def _columns(path: Path, schema: pa.Schema, names: Sequence[str]) -> Iterator[dict[str, list]]:
    """Columns of a table as Python values, some thousand rows at a time."""
    shared = _Shared()
    kinds = {name: schema.field(name).type for name in names}
    with _opened(path, schema) as parquet:
        if not parquet.metadata.num_rows:  # one part, with its columns
            yield {name: [] for name in names}
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=names):
            yield {name: shared.values(batch.column(name), kind) for name, kind in kinds.items()}


@contextmanager
def _opened(path: Path, schema: pa.Schema) -> Iterator[pq.ParquetFile]:
    with faults.about(path), path.open("rb") as file:
        parquet = pq.ParquetFile(file)
        if not parquet.schema_arrow.equals(schema):
            wrong = _other(parquet.schema_arrow, schema)
            raise UserError(f"{path} is not the table expected: {wrong}; {faults.again(path)}.")
        yield parquet


class _Shared:
    """Nested values as Python objects, where turns and messages of rows nearby are stored once.

    A turn stands in the contexts of several replies, and is one of them itself: one object instead
    of six. Nobody may change it, then; whoever wants another turn makes one.
    """

    def __init__(self) -> None:
        self._texts: dict[tuple[str, ...], list[str]] = {}
        self._turns: dict[tuple[str, int], Turn] = {}

    def values(self, column: pa.Array, kind: pa.DataType) -> list:
        """The values of a column of that type, null as None."""
        if len(self._turns) > _BATCH_ROWS or len(self._texts) > _BATCH_ROWS:
            self._texts, self._turns = {}, {}  # only rows nearby have turns in common
        if kind == _TEXTS:
            return self._lists(column)
        if kind == _CONTEXT:
            authors, messages = column.flatten().flatten()
            turns = map(self._turn, authors.to_pylist(), self._lists(messages))
            return [list(islice(turns, size)) for size in _sizes(column)]
        return column.to_pylist()

    def _lists(self, column: pa.ListArray) -> list[list[str]]:
        """The rows of a column of lists of texts, which hold no null."""
        # All texts at once: as rows, Arrow would make them five times more slowly.
        texts = iter(column.flatten().to_pylist())
        rows = (tuple(islice(texts, size)) for size in _sizes(column))
        return [self._texts.setdefault(row, list(row)) for row in rows]

    def _turn(self, author: str, messages: list[str]) -> Turn:
        key = author, id(messages)  # which `_texts` keeps, so that no other list has its id
        if key not in self._turns:
            self._turns[key] = {"author": author, "messages": messages}
        return self._turns[key]


def _sizes(lists: pa.ListArray) -> list[int]:
    """The number of items of each list."""
    return pc.list_value_length(lists).to_pylist()
