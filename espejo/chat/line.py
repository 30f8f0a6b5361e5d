"""First come, first served: one thread writes the replies, however many people ask."""

from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Condition, Event, Thread

from espejo.chat.engine import Waiting

# Puts a piece of text where the one who asked reads it; and tells whether they still do.
Write = Callable[[Callable[[str], None], Event], None]

AGAIN_SECONDS = 0.5


@dataclass(eq=False)
class _Job:
    write: Write
    output: SimpleQueue = field(default_factory=SimpleQueue)
    stopped: Event = field(default_factory=Event)
    ahead: int = 0  # as it was last told


class Line:
    """Jobs that write text, done one at a time in the order in which they came.

    They are done in a thread of its own: whoever reads a reply slowly, or not at all, holds up
    nobody.
    """

    def __init__(self) -> None:
        self._jobs: deque[_Job] = deque()
        self._changed = Condition()
        self._closed = False
        self._thread = Thread(target=self._work, daemon=True)
        self._thread.start()

    def pieces(self, write: Write) -> Generator[str | Waiting, None, None]:
        """What `write` puts, as it comes; before that `Waiting`, as often as the number changes.

        The same number comes again after a while, so that whoever waits can close this. Closing
        stops the job, or takes it out of the line. What `write` raises is raised here.
        """
        job = _Job(write)
        with self._changed:
            if self._closed:
                return
            self._jobs.append(job)
            self._tell_places()
            self._changed.notify_all()
        try:
            wait: float | None = AGAIN_SECONDS  # as long as nothing was written
            while True:
                try:
                    piece = job.output.get(timeout=wait)
                except Empty:
                    piece = Waiting(job.ahead)
                if piece is None:
                    return
                if isinstance(piece, BaseException):
                    raise piece
                wait = wait if isinstance(piece, Waiting) else None
                yield piece
        finally:
            self._leave(job)

    def close(self) -> None:
        """Stop the job that is being done, drop the others, and end the thread."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.stopped.set()
            self._changed.notify_all()
        self._thread.join()

    def _leave(self, job: _Job) -> None:
        """Stop `job`: take it out of the line, or wait until it has ended where it has begun."""
        job.stopped.set()
        with self._changed:
            if job in self._jobs and job is not self._jobs[0]:
                self._jobs.remove(job)
                self._tell_places()
            self._changed.wait_for(lambda: job not in self._jobs)

    def _tell_places(self) -> None:
        for ahead, job in enumerate(self._jobs):
            if job.ahead != ahead:
                job.ahead = ahead
                if ahead:
                    job.output.put(Waiting(ahead))

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if not self._jobs:
                    return
                job = self._jobs[0]  # stays in the line until it is done, and is counted there
            try:
                if not job.stopped.is_set():
                    job.write(job.output.put, job.stopped)
                job.output.put(None)
            except BaseException as error:
                job.output.put(error)
            with self._changed:
                self._jobs.popleft()
                self._tell_places()
                self._changed.notify_all()
