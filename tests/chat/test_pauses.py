"""The author's pause between two messages, with a clock of the test's own."""

import json

import pytest

from espejo.chat.engine import Waiting
from espejo.chat.pauses import paced, typical_pause


@pytest.mark.parametrize(
    ("manifest", "statistics", "seconds"),
    [
        ({}, {"whole": {"pause_seconds": 2.5}}, 2.5),
        ({"pause_seconds": 1.5}, {"whole": {"pause_seconds": 2.5}}, 1.5),  # the model's own
        ({}, {"whole": {"pause_seconds": 14.0}}, 4.0),
        ({}, {"whole": {"pause_seconds": 0.0}}, 0.7),
        ({}, {"whole": {}}, 0.7),
        ({}, None, 0.7),
    ],
)
def test_the_pause_is_the_authors_within_what_one_waits_for(
    tmp_path, manifest, statistics, seconds
):
    path = tmp_path / "statistics.json"
    if statistics is not None:
        path.write_text(json.dumps(statistics), "utf-8")
    assert typical_pause(manifest, path) == seconds


class Time:
    def __init__(self):
        self.now, self.slept = 100.0, []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


def test_each_message_but_the_first_comes_after_the_pause():
    time = Time()

    def reply():
        yield Waiting(1)
        time.now += 5
        yield "hola "
        yield "che"
        yield None
        time.now += 0.5  # the model needs half a second for the next message
        yield " "
        yield "cómo"
        yield None
        time.now += 9  # longer than the pause: none is added
        yield "va"
        yield None

    shown = list(paced(reply(), 2.0, time.sleep, lambda: time.now))
    assert shown == [Waiting(1), "hola ", "che", None, " ", "cómo", None, "va", None]
    assert time.slept == [1.5, 0.0]


def test_closing_closes_the_reply():
    closed = []

    def reply():
        try:
            yield "a"
            yield "b"
        finally:
            closed.append(True)

    slow = paced(reply(), 1.0)
    next(slow)
    slow.close()
    assert closed == [True]
