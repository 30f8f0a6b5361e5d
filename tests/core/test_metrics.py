"""Metric files: accounts that add up, and JSON that only changes when a number does."""

import math

import numpy as np
import pytest

from espejo.core import metrics


def test_an_account_says_where_every_row_went():
    # 10 in = 6 out + 3 links + 1 short
    account = metrics.account("messages", 10, 6, {"short": 1, "link": 3})
    assert list(account["dropped"]) == ["link", "short"]  # in order, so that files can be compared
    assert account == {
        "unit": "messages",
        "in": 10,
        "out": 6,
        "dropped": {"link": 3, "short": 1},
    }


@pytest.mark.parametrize(
    ("rows_in", "rows_out", "dropped"),
    [(10, 6, {"link": 3}), (10, 8, {"link": 3}), (10, 9, {}), (0, 1, {})],
)
def test_an_account_that_does_not_add_up_raises_and_names_its_unit(rows_in, rows_out, dropped):
    with pytest.raises(ValueError, match=f"messages: {rows_in} in is not {rows_out} out"):
        metrics.account("messages", rows_in, rows_out, dropped)


def test_a_metric_file_is_these_bytes(tmp_path):
    path = tmp_path / "metrics" / "clean.json"
    # Counts as pandas gives them; 0.12345678 has seven decimals too many to compare by eye.
    counts = metrics.account("messages", np.int64(3), np.int64(1), {"system": np.int64(2)})
    metrics.write({"messages": counts, "loss": {"ñandú": 0.12345678}}, path)
    assert path.read_text("utf-8") == (
        "{\n"
        '  "messages": {\n'
        '    "unit": "messages",\n'
        '    "in": 3,\n'
        '    "out": 1,\n'
        '    "dropped": {\n'
        '      "system": 2\n'
        "    }\n"
        "  },\n"
        '  "loss": {\n'
        '    "ñandú": 0.123457\n'
        "  }\n"
        "}\n"
    )


@pytest.mark.parametrize("value", [math.nan, np.float64("nan"), math.inf, -math.inf])
def test_what_is_not_finite_is_named_and_not_written(tmp_path, value):
    written = {"base": {"mrr": {"value": 0.5}}, "tuned": {"mrr": {"value": 0.5, "low": value}}}
    with pytest.raises(ValueError, match=r"eval\.json: tuned\.mrr\.low is -?(nan|inf)"):
        metrics.write(written, tmp_path / "eval.json")
    assert not list(tmp_path.iterdir())


def test_floats_are_rounded_at_every_depth_and_nothing_else_is_touched(tmp_path):
    path = tmp_path / "eval.json"
    written = {
        "a": 2.00000049,
        "b": {"c": {"d": np.float64(-1.2345675001)}},
        "n": 123456789,
        "word": "0.12345678",
        "yes": True,
        "none": None,
    }
    metrics.write(written, path)
    assert metrics.read(path) == {
        "a": 2.0,
        "b": {"c": {"d": -1.234568}},
        "n": 123456789,
        "word": "0.12345678",
        "yes": True,
        "none": None,
    }
