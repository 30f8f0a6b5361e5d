"""How long a thorough run takes, from the pace of this one."""

import pytest

from espejo.prediction import expected_time
from espejo.prediction.config import CHOICES
from tests.helpers.configs import PREDICT, changed

REPLIES = {"train": 650, "validation": 84, "test": 85}


def test_the_work_of_each_part_by_hand():
    assert expected_time.work(CHOICES["default"], REPLIES, 17) == {
        "replies": 17 + 32,
        "losses": 4 * 85 + 2 * 100,
        "ranks": 20,
    }
    assert expected_time.work(CHOICES["thorough"], REPLIES, 17) == {
        "replies": 17 + 169,
        "losses": 4 * 85 + 2 * 500,
        "ranks": 85,
    }


def test_each_part_keeps_its_pace():
    now = {"replies": 10, "losses": 100, "ranks": 0}
    other = {"replies": 30, "losses": 100, "ranks": 50}
    # 60 s for 10 replies, 40 s of scoring as before; ranking has no known pace.
    spent = {"replies": 60.0, "losses": 40.0, "ranks": 1.0}
    assert expected_time.seconds(spent, now, other) == pytest.approx(220)
    assert expected_time.seconds(spent, other, now) is None


def test_the_line_names_the_choice_and_both_times():
    config = changed(PREDICT, **CHOICES["default"])
    line = expected_time.sentence([0.0, 98.0, 152.0, 172.0], config, REPLIES, 17)
    # 98 s * 186 / 49 + 54 s * 1340 / 540 + 20 s * 85 / 20 = 591 s.
    assert line == "predict: 3 min; with -S evaluate=thorough about 10 min here\n"
    config = changed(PREDICT, **CHOICES["thorough"])
    assert expected_time.sentence([0.0, 98.0, 152.0, 172.0], config, REPLIES, 17) == ""
