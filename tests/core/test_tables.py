"""The pipeline's tables: they come back as written, and what does not fit is refused by name."""

import pandas as pd
import pytest

from espejo.core import tables

TIMES = pd.to_datetime(["2024-03-01 21:00:07.000001", "2024-03-01 21:01:00.000000"]).as_unit("us")
CONTEXT = [
    {"author": "Cami", "messages": ["¿Venís?", "a las 9\ncreo"]},
    {"author": "Juli", "messages": ["voy 🥹"]},
]
SPANS = [{"start": 5, "end": 9, "kind": "message"}, {"start": 9, "end": 13, "kind": "end"}]
COLUMNS = {
    "MESSAGES": {
        "chat": ["Cami", "Cami"],
        "line": [1, 3],
        "timestamp": TIMES,
        "author": ["Juli", "Cami"],
        "kind": ["message", "media"],
        "text": ["que hacés\nche", "🥹"],
        "edited": [False, True],
        "caption": ["", "🥹"],
        "app": ["whatsapp", "telegram"],
        "split": [None, "test"],
    },
    "TURNS": {
        "chat": ["Cami", "Cami"],
        "session": [0, 0],
        "turn": [0, 1],
        "author": ["Juli", "Cami"],
        "start": TIMES,
        "end": TIMES,
        "messages": [["que hacés", "che"], ["nada"]],
        "split": ["train", "train"],
    },
    "EXAMPLES": {
        "id": ["s0t2", "s1t3"],
        "chat": ["Cami", "Cami"],
        "session": [0, 1],
        "split": ["train", "test"],
        "group": [False, True],
        "context": [CONTEXT, []],
        "reply": [["dale", "ahi bajo"], ["jsjs"]],
    },
    "FORMATTED": {
        "id": ["s0t2", "s1t3"],
        "session": [0, 1],
        "split": ["train", "test"],
        "text": ["user\ndale</s>", "user\njsjs</s>"],
        "spans": [SPANS, []],
        "masked": [[], SPANS],
    },
}


def frame(name, **changed):
    """A table that fits its schema, except for the columns given here."""
    return pd.DataFrame({**COLUMNS[name], **changed})


def refused(name, path, **changed):
    """The text with which a table is refused; nothing is left at `path`."""
    with pytest.raises(ValueError) as error:  # noqa: PT011 - callers look at the text
        tables.write(frame(name, **changed), path, getattr(tables, name))
    assert not path.exists()
    return str(error.value)


@pytest.mark.parametrize("name", COLUMNS)
def test_a_table_comes_back_as_it_was_written(name, tmp_path):
    path, schema = tmp_path / "data" / "table.parquet", getattr(tables, name)
    tables.write(frame(name), path, schema)
    back = tables.read(path, schema)
    assert back.columns.tolist() == schema.names
    assert back.to_dict("list") == frame(name).to_dict("list")


def test_a_message_without_time_or_author_comes_back_without(tmp_path):
    path = tmp_path / "messages.parquet"
    table = frame("MESSAGES", timestamp=[None, TIMES[1]], author=["Juli", None])
    tables.write(table, path, tables.MESSAGES)
    back = tables.read(path, tables.MESSAGES)
    assert back["timestamp"].isna().tolist() == [True, False]
    assert back["author"].isna().tolist() == [False, True]
    assert back["timestamp"][1] == TIMES[1]


def test_columns_in_another_order_are_written_in_the_order_of_the_schema(tmp_path):
    path = tmp_path / "turns.parquet"
    tables.write(frame("TURNS")[sorted(tables.TURNS.names)], path, tables.TURNS)
    assert tables.read(path, tables.TURNS).columns.tolist() == tables.TURNS.names


@pytest.mark.parametrize("name", COLUMNS)
def test_the_same_rows_are_the_same_bytes(name, tmp_path):
    schema = getattr(tables, name)
    tables.write(frame(name), tmp_path / "a", schema)
    # Another index, column order or string dtype does not make other rows.
    other = frame(name).astype(object).set_index(pd.Index([7, 9]))[sorted(schema.names)]
    tables.write(other, tmp_path / "b", schema)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("name", COLUMNS)
def test_a_missing_column_is_named(name, tmp_path):
    path, schema = tmp_path / "table.parquet", getattr(tables, name)
    for column in schema.names:
        with pytest.raises(ValueError, match=rf"table\.parquet.*\b{column}\b"):
            tables.write(frame(name).drop(columns=column), path, schema)
    assert not path.exists()


@pytest.mark.parametrize("name", COLUMNS)
def test_an_unknown_column_is_named(name, tmp_path):
    assert "apodo" in refused(name, tmp_path / "x.parquet", apodo=["Ju", "Ca"])


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("MESSAGES", "text", ["hola", None]),
        ("MESSAGES", "line", [1, None]),
        ("TURNS", "messages", [["hola"], None]),
        ("TURNS", "messages", [["hola"], ["che", None]]),
        ("EXAMPLES", "reply", [["hola"], [None]]),
        ("EXAMPLES", "context", [CONTEXT, [None]]),
        ("EXAMPLES", "context", [CONTEXT, [{"author": None, "messages": ["hola"]}]]),
        ("EXAMPLES", "context", [CONTEXT, [{"messages": ["hola"]}]]),
        ("FORMATTED", "spans", [SPANS, [{"start": 1, "end": None, "kind": "end"}]]),
    ],
)
def test_a_null_where_none_is_allowed_is_refused_naming_the_column(name, column, values, tmp_path):
    assert column in refused(name, tmp_path / "x.parquet", **{column: values})


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("MESSAGES", "line", ["uno", "dos"]),
        ("MESSAGES", "line", ["1", "2"]),
        ("MESSAGES", "line", [1.5, 2.0]),
        ("MESSAGES", "text", [1, 2]),
        ("MESSAGES", "edited", [0, 7]),
        ("MESSAGES", "timestamp", ["ayer", "hoy"]),
        # A time with the zone of Córdoba is refused: as naive local time it would shift by three
        # hours.
        ("MESSAGES", "timestamp", TIMES.tz_localize("America/Argentina/Cordoba")),
        ("TURNS", "messages", ["hola", "che"]),
        ("EXAMPLES", "reply", [[1], [2]]),
        ("FORMATTED", "spans", [["0-4"], ["4-8"]]),
    ],
)
def test_a_wrong_type_is_refused_naming_the_column(name, column, values, tmp_path):
    assert column in refused(name, tmp_path / "x.parquet", **{column: values})
