import json
import time

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espejo.sources.account import Unreadable
from espejo.sources.export import ExportError
from espejo.sources.json_text import CutOff, beginning, decode, decode_lines, mended
from tests.sources.files import source_file

ANY = msgspec.json.Decoder()


@pytest.mark.parametrize(
    ("text", "better"),
    [
        (rb'"\ud83d\ude00"', rb'"\ud83d\ude00"'),
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\ude00\ud83d\ude00\ud83d"', rb'"\ufffd\ud83d\ude00\ufffd"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d"', rb'"\\\ufffd"'),
        (rb'"\u00f1\n"', rb'"\u00f1\n"'),
        (rb'"\x01 \\x01"', rb'"\u0001 \\x01"'),
        (b'{\n"a\tb": "\x01\\"\n"}', b'{\n"a\\u0009b": "\\u0001\\"\\u000a"}'),
        (b'["a\tb', b'["a\\u0009b'),
        (b'["a\tb\\', b'["a\\u0009b\\'),
        (b'[NaN, -Infinity, -1, "NaN \\" NaN"]', b'[null, null, -1, "NaN \\" NaN"]'),
    ],
)
def test_only_what_is_against_the_standard_is_mended(text, better):
    assert mended(text) == better
    assert mended(better) == better


def test_a_text_with_many_quotes_that_is_cut_off_is_searched_once():
    text = b'["' + rb"\"" * 100_000  # takes minutes if it is searched again from each quote
    assert mended(text) == text


def test_bytes_that_are_no_text_become_signs():
    assert decode(ANY, b'["a\xff", "\\ud83d"]') == ["a\ufffd", "\ufffd"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b'["a', "the JSON is cut off, expected its end"),
        (b'["\\ud83d", "a', "the JSON is cut off, expected its end"),
        (b"[a]", "expected JSON (invalid character (byte 1))"),
        (b"[" * 5000, "the JSON is nested too deeply"),
    ],
)
def test_problems(text, problem):
    with pytest.raises(Unreadable) as error:
        decode(ANY, text)
    assert str(error.value) == problem
    assert isinstance(error.value, CutOff) == ("cut off" in problem)


@given(st.recursive(st.text() | st.integers(-9, 9), st.lists))
def test_json_stays_as_it_is(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert mended(text.encode()) == text.encode()


def test_lines_have_numbers_and_only_the_last_may_be_cut_off():
    file = source_file("a.jsonl", "")
    lines = list(decode_lines(file, b'\xef\xbb\xbf1\n\n[2\n \n"3" \n', ANY, "mend it"))
    assert [(number, str(value)) for number, value in lines] == [
        *((1, "1"), (3, "the JSON is cut off, expected its end"), (5, "3"))
    ]
    with pytest.raises(ExportError, match=r"^a\.jsonl, line 2: the JSON is cut off, .*; mend it\."):
        list(decode_lines(file, b"1\n[2\n", ANY, "mend it"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "b": [2]}\n{"a": 3}', {"a": 1, "b": [2]}),
        ('{"a": 1, "b": [{"c": 2}, {"d": "xx', {"a": 1, "b": [{"c": 2}, {"d": None}]}),
        ('[{"a": 1}, [2, 3', [{"a": 1}, [2, 3]]),
        ('{"a": {"b": "x', {"a": {"b": None}}),
        ('{"a": 1, "b', {"a": 1}),
        ("[12/03/20, 10:00:01] Ana: hi", [12]),
        *(("hi", None), ("", None), ("[", []), ("[" * 9000, [[[[]]]])),
    ],
)  # fmt: skip
def test_the_beginning_of_a_file(text, value):
    assert beginning(text) == value


@pytest.mark.parametrize("start", ['{"a": 1', '{"a"', "[1"])
def test_a_long_run_of_blanks_is_read_once(start):
    # Took eight seconds when a pattern tried every way to divide the blanks between those before
    # and those after a comma.
    began = time.process_time()
    beginning(start + " " * 65_536)
    assert time.process_time() - began < 1
