"""Whose conversation is whose, and until when."""

from espejo.web.sessions import IDLE_SECONDS, MAX_SESSIONS, Sessions


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_key_has_its_own_conversation_until_it_is_dropped():
    sessions = Sessions(object, Clock())
    ana = sessions.get(("a", "1"))
    assert sessions.get(("a", "1")) is ana
    assert sessions.get(("a", "2")).conversation is not ana.conversation
    sessions.drop(("a", "1"))
    assert ana.stop.is_set()  # a reply to it ends
    assert sessions.get(("a", "1")) is not ana
    sessions.drop("nobody's")


def test_after_an_hour_idle_it_is_forgotten():
    clock = Clock()
    sessions = Sessions(object, clock)
    old = sessions.get("old")
    clock.now = IDLE_SECONDS - 1
    sessions.get("new")
    sessions.drop_idle()
    assert len(sessions) == 2
    clock.now = IDLE_SECONDS + 1
    sessions.drop_idle()
    assert len(sessions) == 1
    assert old.stop.is_set()


def test_there_are_never_more_than_so_many_and_the_longest_idle_goes():
    sessions = Sessions(object, Clock())
    first, second = sessions.get(0), sessions.get(1)
    sessions.get(0)
    for key in range(2, MAX_SESSIONS + 1):
        sessions.get(key)
    assert len(sessions) == MAX_SESSIONS
    assert second.stop.is_set()
    assert not first.stop.is_set()


def test_where_something_was_written_is_dropped_last():
    sessions = Sessions(object, Clock())
    written = sessions.get("written")
    written.exchanges.append("a message")
    for key in range(2 * MAX_SESSIONS):
        sessions.get(key)
    assert len(sessions) == MAX_SESSIONS
    assert sessions.get("written") is written
    for key in range(MAX_SESSIONS):  # each of them writes, the new one too
        sessions.get(("new", key)).exchanges.append("a message")
    assert len(sessions) == MAX_SESSIONS
    assert sessions.get(("new", MAX_SESSIONS - 1)).exchanges
    assert written.stop.is_set()
