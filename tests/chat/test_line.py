"""The queue of an engine: order, notices, and that nobody holds up anybody."""

import random
import time
from threading import Barrier, Event, Thread

import pytest

from espejo.chat.engine import Waiting
from espejo.chat.line import Line


@pytest.fixture
def line(monkeypatch):
    monkeypatch.setattr("espejo.chat.line.AGAIN_SECONDS", 60)  # else a pause repeats a notice
    line = Line()
    yield line
    line.close()


def held(gate, text):
    """A job that begins, waits for `gate`, and writes `text`."""

    def write(put, stopped):
        put("begun ")
        assert gate.wait(20)
        put(text)

    return write


def test_twenty_people_are_served_in_the_order_in_which_they_came(line):
    gate, order = Event(), []
    first = line.pieces(held(gate, "first"))
    assert next(first) == "begun "
    outputs, threads = [[] for _ in range(20)], []

    def read(number, reply):
        outputs[number].extend(reply)

    for number in range(20):

        def write(put, stopped, number=number):
            order.append(number)
            time.sleep(random.random() / 100)
            put(f"reply {number}")

        reply = line.pieces(write)
        outputs[number].append(next(reply))
        threads.append(Thread(target=read, args=(number, reply)))
        threads[-1].start()
    gate.set()
    assert list(first) == ["first"]
    for thread in threads:
        thread.join(20)
    assert order == list(range(20))
    # Each counts down from the number that came before, the one that held the line among them.
    assert outputs == [
        [*(Waiting(ahead) for ahead in range(number + 1, 0, -1)), f"reply {number}"]
        for number in range(20)
    ]


def test_whoever_does_not_read_on_holds_up_nobody(line):
    abandoned = line.pieces(lambda put, stopped: [put("x") for _ in range(1000)])
    assert next(abandoned) == "x"
    pieces = line.pieces(lambda put, stopped: put("served"))
    assert [piece for piece in pieces if not isinstance(piece, Waiting)] == ["served"]


def test_who_leaves_the_line_is_not_served_and_the_others_move_up(line):
    gate, done = Event(), []
    first = line.pieces(held(gate, "first"))
    next(first)
    second = line.pieces(lambda put, stopped: done.append("second"))
    third = line.pieces(lambda put, stopped: put("third"))
    assert (next(second), next(third)) == (Waiting(1), Waiting(2))
    second.close()
    assert next(third) == Waiting(1)
    gate.set()
    assert list(third) == ["third"]
    assert done == []


def test_closing_stops_the_job_before_the_next_begins(line):
    running = Event()

    def endless(put, stopped):
        running.set()
        while not stopped.is_set():
            put("more")
        running.clear()

    reply = line.pieces(endless)
    assert next(reply) == "more"
    reply.close()
    assert not running.is_set()


def test_what_a_job_raises_reaches_the_one_who_asked_and_the_line_goes_on(line):
    def fails(put, stopped):
        put("half")
        raise MemoryError("too little")

    reply = line.pieces(fails)
    assert next(reply) == "half"
    with pytest.raises(MemoryError, match="too little"):
        next(reply)
    assert list(line.pieces(lambda put, stopped: put("fine"))) == ["fine"]


def test_closing_the_line_lets_everybody_go():
    line, barrier, ended = Line(), Barrier(3), []

    def wait_for_stop(put, stopped):
        put("begun")
        stopped.wait(20)

    def person():
        reply = line.pieces(wait_for_stop)
        next(reply)
        barrier.wait(20)
        ended.append(list(reply))

    threads = [Thread(target=person) for _ in range(2)]
    for thread in threads:
        thread.start()
    barrier.wait(20)
    line.close()
    for thread in threads:
        thread.join(20)
    assert len(ended) == 2
    assert list(line.pieces(wait_for_stop)) == []  # a closed line serves nobody
