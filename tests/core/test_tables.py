"""The pipeline's tables: they come back as written, and what does not fit is refused by name."""

import pandas as pd
import pyarrow.parquet as pq
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


@pytest.mark.parametrize("cuts", [[], [1], [3], [1, 2, 5], [0, 0, 7], [4, 4, 6, 7]])
def test_the_bytes_do_not_depend_on_where_the_parts_end(cuts, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_GROUP_ROWS", 3)
    rows = pd.concat([frame("EXAMPLES")] * 4).iloc[:7]
    tables.write(rows, tmp_path / "whole", tables.EXAMPLES)
    bounds = zip([0, *cuts], [*cuts, 7], strict=True)
    parts = (rows.iloc[start:end] for start, end in bounds)
    tables.write_parts(parts, tmp_path / "parts", tables.EXAMPLES)
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()
    groups = pq.ParquetFile(tmp_path / "whole").metadata
    assert [groups.row_group(index).num_rows for index in range(3)] == [3, 3, 1]


def test_a_part_that_does_not_fit_leaves_the_table_as_it_was(tmp_path):
    path = tmp_path / "x.parquet"
    tables.write(frame("TURNS"), path, tables.TURNS)
    before = path.read_bytes()
    parts = iter([frame("TURNS"), frame("TURNS", turn=["uno", "dos"])])
    with pytest.raises(ValueError, match=r"x\.parquet: column turn is not int64"):
        tables.write_parts(parts, path, tables.TURNS)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["x.parquet"]


@pytest.mark.parametrize("size", [0, 7])
def test_rows_in_parts_and_by_columns_are_those_of_the_whole(size, tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_BATCH_ROWS", 3)
    path = tmp_path / "examples.parquet"
    rows = pd.concat([frame("EXAMPLES")] * 4, ignore_index=True).iloc[:size]
    tables.write(rows, path, tables.EXAMPLES)
    parts = list(tables.read_parts(path, tables.EXAMPLES))
    assert list(map(len, parts)) == ([3, 3, 1] if size else [0])
    assert pd.concat(parts).index.tolist() == list(range(size))
    assert pd.concat(parts).to_dict("list") == rows.to_dict("list")
    for columns in (["split", "id"], ["reply", "session"], ["context"]):
        expected = rows[columns].to_dict("list")
        some = tables.read(path, tables.EXAMPLES, columns)
        assert some.columns.tolist() == columns
        assert some.to_dict("list") == expected
        some = pd.concat(tables.read_parts(path, tables.EXAMPLES, columns))
        assert some.columns.tolist() == columns
        assert some.to_dict("list") == expected


def test_turns_of_the_same_words_by_two_people_stay_two(tmp_path):
    same = [{"author": author, "messages": ["dale"]} for author in ("Cami", "Juli", "Cami")]
    path = tmp_path / "examples.parquet"
    table = frame("EXAMPLES", context=[same, same[:2]], reply=[["dale"], ["dale", "dale"]])
    tables.write(table, path, tables.EXAMPLES)
    back = tables.read(path, tables.EXAMPLES)
    assert back.to_dict("list") == table.to_dict("list")
    first, second = back["context"]
    assert first[0] is first[2] is second[0]  # stored once


@pytest.mark.parametrize("cuts", [[], [1], [2], [1, 2, 3, 4, 5], [0, 3], [6]])
def test_parts_of_whole_sessions_end_where_a_session_ends(cuts):
    rows = pd.DataFrame({"session": [0, 0, 1, 2, 2, 2], "turn": range(6)})
    bounds = zip([0, *cuts], [*cuts, 6], strict=True)
    parts = list(tables.whole((rows.iloc[start:end] for start, end in bounds), "session"))
    pd.testing.assert_frame_equal(pd.concat(parts), rows)
    sessions = [session for part in parts for session in part["session"].unique()]
    assert sessions == [0, 1, 2]


def test_of_an_empty_table_there_is_an_empty_part_with_its_columns():
    rows = pd.DataFrame({"session": [], "turn": []})
    assert [part.columns.tolist() for part in tables.whole([rows], "session")] == [list(rows)]
