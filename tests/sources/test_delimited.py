import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo.sources.delimited import SEPARATORS, find_column, read_rows, read_table
from espejo.sources.export import ExportError


def table(text):
    return read_table(text, "x.csv", lambda header: "a" in header)


def cells(text):
    return [row.cells for row in table(text).rows]


def test_a_cell_may_hold_separators_line_breaks_and_quotes():
    rows = list(table('a;b\n"1;\n\n2";"say ""no"""\n3;4').rows)
    assert [(row.line, row.cells) for row in rows] == [
        (2, ["1;\n\n2", 'say "no"']),
        (5, ["3", "4"]),
    ]


def test_blank_lines_are_no_rows_but_count_as_lines():
    rows = list(table("\n\na,b\n\n1,2\n , \n\n3,4\n\n").rows)
    assert [(row.line, row.cells) for row in rows] == [(5, ["1", "2"]), (8, ["3", "4"])]


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("a;b\n1,2,3;4,5\n", ";"),
        ("a,b\n1;2;3,4;5;6\n", ","),
        ("a\tb\n1, 2\t3; 4\n", "\t"),
        ("a|b\n1,2|3;4\n", "|"),
        ("a\n1, 2\n3; 4\n", "\t"),  # one column
    ],
)
def test_the_header_tells_the_separator(text, separator):
    assert table(text).separator == separator


def test_even_rows_tell_the_separator_if_the_header_does_not():
    assert table("x,y;z\n1;2\n3;4\n").separator == ";"


def test_one_column_needs_no_quotes():
    assert cells("a\n1,2\n3\n") == [["1,2"], ["3"]]


def test_excel_may_name_the_separator():
    assert table("sep=:\na:b\n1:2\n").header == ["a", "b"]
    assert [row.line for row in table('"sep=;"\na;b\n1;2\n').rows] == [3]


def test_spaces_around_quotes_and_cells():
    assert cells('a , b\n "1,1" , 2 \n') == [["1,1", "2"]]


def test_quotes_inside_a_cell_are_text():
    assert cells('a,b\nthe "end",5"\n"Ana" said,x\n') == [['the "end"', '5"'], ['"Ana" said', "x"]]


def test_a_quote_never_closed_is_named():
    with pytest.raises(ExportError, match=r"x\.csv, line 3: the quote .* is never closed"):
        cells('a,b\n1,2\n3,"4\n5,6\n')


def test_tables_with_tabs_are_often_written_without_quoting():
    assert cells('a\tb\n"1\t2\n') == [['"1', "2"]]


def test_more_cells_than_the_header_has():
    assert cells("a,b\n1,2,,\n") == [["1", "2"]]
    with pytest.raises(ExportError, match=r'line 3: 3 cells, expected 2 .* a "," in it'):
        cells("a,b\n1,2\n3,4, and 5\n")


def test_a_row_may_have_fewer_cells():
    (row,) = table("a,b\n1\n").rows
    assert (row.cell(0), row.cell(1), row.cell(None)) == ("1", None, None)


def test_names_of_columns_by_preference_case_and_accents():
    header = ["Id", " RÉPONSE", "answer"]
    assert find_column(header, ["answer", "reponse"]) == 2
    assert find_column(header, ["réponse"]) == 1
    assert find_column(header, ["x"]) is None


@settings(max_examples=100)
@given(
    st.lists(
        st.tuples(*[st.text('ab ";,|\t\n', max_size=8)] * 2).filter(
            lambda row: any(map(str.strip, row))
        ),
        min_size=1,
    ),
    st.sampled_from(SEPARATORS),
)
def test_what_the_csv_module_writes_is_read(rows, separator):
    text = io.StringIO()
    csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(
        rows
    )
    read = [row.cells for row in read_rows(text.getvalue(), separator, "x.csv")]
    assert read == [[cell.strip() for cell in row] for row in rows]
