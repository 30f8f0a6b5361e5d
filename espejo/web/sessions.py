"""Whose conversation is whose: one for each open tab, kept in memory and nowhere else."""

import asyncio
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal

from espejo.chat.conversation import Conversation

IDLE_SECONDS = 3600
MAX_SESSIONS = 500


@dataclass
class Bubble:
    """One message as it is shown."""

    text: str
    time: str  # 14:05


@dataclass
class Exchange:
    """What one side writes before the other does: its bubbles, and the base model's beside them.

    `declined` is what a person wrote about a blocked topic, and no part of the conversation.
    """

    author: Literal["person", "declined", "bot", "notice"]
    bubbles: list[Bubble] = field(default_factory=list)
    base: list[Bubble] | None = None


@dataclass
class Session:
    """A conversation, what of it is shown, and the reply that is being written."""

    conversation: Conversation
    exchanges: list[Exchange] = field(default_factory=list)
    used: float = 0.0  # seconds, of the monotonic clock
    ahead: int = 0  # others who are served first
    typing: Literal["bot", "base", ""] = ""
    left_out: int = 0  # characters that the last prompt left out
    stop: threading.Event = field(default_factory=threading.Event)  # ends the reply
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)  # one reply after another


class Sessions:
    """The sessions by their keys, which hold the browser's cookie: nobody can guess one."""

    def __init__(
        self, begin: Callable[[], Conversation], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._begin, self._clock = begin, clock
        self._sessions: dict[Hashable, Session] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def get(self, key: Hashable) -> Session:
        """The session with this key, new where there is none."""
        self.drop_idle()
        session = self._sessions.pop(key, None) or Session(self._begin())
        session.used = self._clock()
        self._sessions[key] = session  # at the end: the first one is the longest idle
        if len(self._sessions) > MAX_SESSIONS:
            others = [other for other in self._sessions if other != key]
            # One in which nothing was written, if there is: to open many pages drops no words.
            empty = (other for other in others if not self._sessions[other].exchanges)
            self.drop(next(empty, others[0]))
        return session

    def drop(self, key: Hashable) -> None:
        """Forget a session; a reply to it stops."""
        if session := self._sessions.pop(key, None):
            session.stop.set()

    def drop_idle(self) -> None:
        """Forget the sessions that nobody used for an hour."""
        last = self._clock() - IDLE_SECONDS
        for key in [key for key, session in self._sessions.items() if session.used < last]:
            self.drop(key)
