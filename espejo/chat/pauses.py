"""The pause between two messages of a reply, as the author makes them."""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from espejo.chat.engine import Reply
from espejo.core import metrics

STATISTICS = Path("metrics/statistics.json")
KEY = "pause_seconds"  # in that file and, where a model went elsewhere, in its manifest
# Nobody waits a quarter of a minute for the next line, and one must see that there are two.
SHORTEST_SECONDS, LONGEST_SECONDS = 0.7, 4.0


def typical_pause(manifest: Mapping[str, Any], statistics_json: Path = STATISTICS) -> float:
    """Seconds between two messages of one turn of the author, kept to what one waits for.

    Of the chats that the model learnt from, as its manifest says it, or the stage statistics; else
    the shortest pause.
    """
    pause = manifest.get(KEY)
    if pause is None and statistics_json.is_file():
        pause = metrics.read(statistics_json).get("whole", {}).get(KEY)
    return min(max(pause or 0.0, SHORTEST_SECONDS), LONGEST_SECONDS)


def paced(
    reply: Reply,
    seconds: float,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Reply:
    """`reply` with a pause of at least `seconds` before each message of it but the first.

    The model goes on writing in the meantime. Closing this closes `reply`.
    """
    ended: float | None = None  # when the message before ended, where a pause is due
    with closing(reply):
        for piece in reply:
            if piece is None:
                ended = clock()
            elif ended is not None and isinstance(piece, str) and piece.strip():
                sleep(max(0.0, ended + seconds - clock()))
                ended = None
            yield piece
