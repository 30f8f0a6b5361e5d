"""Does the author write differently in another app? Two apps are compared at a time.

Measured are the AUC of telling the author's turns in one app from those in the other
(`two_sample.told_apart`, clustered by session) and habits that have a plain meaning, such as the
share of messages that begin with a capital, each with its interval.

Confounders, and how each is controlled as far as it can be:
- other people and topics: in another app the author talks to other people about other things, which
  alone makes turns tell apart. So the AUC is held against those between two chats of one app
  (`same_app`), which differ in people and topics and not in the app. Where no app has two chats
  with enough turns there is no such control, and a difference may be due to either;
- names of people and placeholders: removed before the AUC is taken;
- the number of turns, with which an AUC grows: all AUCs of a pair of apps are of equally many.

Not controlled: when the author used which app, since habits change over the years, on what device,
and what an export writes its own way (a mention, an emoji in words).
"""

from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
import pandas as pd

from espejo.evaluation import intervals, style, two_sample
from espejo.evaluation.config import EvaluateConfig
from espejo.evaluation.habits import SHARES
from espejo.evaluation.intervals import UNBOUNDED, relation

MIN_TURNS = 100  # of the author in an app or chat: fewer train no classifier worth its interval
MAX_TURNS = 400  # of the author on each side of an AUC: more would only take longer


def compare(
    turns: pd.DataFrame, app_of: Mapping[str, str], author: str, config: EvaluateConfig
) -> dict[str, dict[str, dict]]:
    """`{app: {other app: comparison}}` for each pair of apps in which the author wrote.

    `turns` is table TURNS, and `app_of` maps its chats to apps. A comparison holds turns (of the
    author, on each side of an AUC), told_apart, same_app (the control of each app that has one),
    habits (see `_habits`) and verdict (see `verdict`). Apps in which the author wrote too little
    have no AUC and no habits.
    """
    hidden = style.name_words(turns["author"].unique())
    own = turns[turns["author"].eq(author)]
    own = own.assign(
        app=own["chat"].map(app_of),
        text=own["messages"].map(lambda messages: _written(messages, hidden)),
    )
    own = own[own["text"].map(len).gt(0)]
    result: dict[str, dict[str, dict]] = {}
    for first, second in combinations(sorted(own["app"].unique()), 2):
        rows = own[own["app"].eq(first)], own[own["app"].eq(second)]
        result.setdefault(first, {})[second] = _compared(rows, config)
    return result


def verdict(comparison: Mapping) -> str:
    """What a comparison says about the two apps.

    few (too little to say anything), none (no difference is visible), alone (there is one, and no
    control), chats (there is one, and it is no clearer than between two chats of one app), or apps
    (it is clearer than that).
    """
    where = relation(comparison["told_apart"], 0.5)
    if where in ("few", "missing"):
        return "few"
    if where != "above":
        return "none"
    controls = [auc for auc in comparison["same_app"].values() if "low" in auc]
    if not controls:
        return "alone"
    clearer = all(relation(comparison["told_apart"], auc) == "above" for auc in controls)
    return "apps" if clearer else "chats"


def differing(habits: Mapping[str, Mapping]) -> list[str]:
    """The habits whose difference has an interval without 0, the clearest first."""

    def clearness(name: str) -> float:
        difference = habits[name]["difference"]
        return abs(difference["value"]) / (difference["high"] - difference["low"] or 1)

    off = [
        name
        for name, row in habits.items()
        if relation(row["difference"], 0.0) in ("above", "below")
    ]
    return sorted(off, key=clearness, reverse=True)


def _compared(rows: tuple[pd.DataFrame, pd.DataFrame], config: EvaluateConfig) -> dict:
    """The comparison of the author's turns in two apps."""
    fewer = min(map(len, rows))
    if not all(map(_enough, rows)):
        sessions = min(side["session"].nunique() for side in rows)
        few = {"n": sessions, "interval": "too few"}
        return {"turns": fewer, "told_apart": few, "same_app": {}, "habits": {}, "verdict": "few"}
    controls = {side["app"].iloc[0]: chats for side in rows if (chats := _two_chats(side))}
    pairs = [rows, *controls.values()]
    size = min(MAX_TURNS, *(len(side) for pair in pairs for side in pair))
    told, *same = (_told_apart(pair, size, config) for pair in pairs)
    comparison = {
        "turns": size,
        "told_apart": told,
        "same_app": dict(zip(controls, same, strict=True)),
        "habits": _habits(rows, config),
    }
    return comparison | {"verdict": verdict(comparison)}


def _enough(turns: pd.DataFrame) -> bool:
    return len(turns) >= MIN_TURNS and turns["session"].nunique() >= intervals.MIN_N


def _two_chats(turns: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The two chats of an app in which the author wrote most; None where there are not two."""
    chats = [rows for _, rows in turns.groupby("chat") if _enough(rows)]
    if len(chats) < 2:
        return None
    first, second, *_ = sorted(chats, key=len, reverse=True)
    return first, second


def _told_apart(
    pair: tuple[pd.DataFrame, pd.DataFrame], size: int, config: EvaluateConfig
) -> dict[str, float]:
    """The AUC of telling `size` turns of one side from as many of the other."""
    first, second = (side.sample(size, random_state=config.seed).sort_index() for side in pair)
    return two_sample.told_apart(
        first["text"].tolist(),
        second["text"].tolist(),
        first["session"].tolist(),
        config,
        second["session"].tolist(),
    )


def _habits(
    rows: tuple[pd.DataFrame, pd.DataFrame], config: EvaluateConfig
) -> dict[str, dict[str, dict]]:
    """`{habit: {"first", "second", "difference"}}`, the difference being first minus second.

    All intervals hold together: each is wide enough for so many (Bonferroni).
    """
    alpha = (1 - config.confidence) / len(HABITS)
    strict = config.model_copy(update={"confidence": 1 - alpha})
    table = {}
    for name, (count, bounds) in HABITS.items():
        first, second = (_measure(side, count, bounds, strict) for side in rows)
        difference = intervals.difference(first, second)
        table[name] = {"first": first, "second": second, "difference": difference}
    return table


def _measure(
    turns: pd.DataFrame,
    count: Callable[[list[str]], tuple[int, int]],
    bounds: tuple[float, float],
    config: EvaluateConfig,
) -> dict:
    counts = np.array([count(_written(messages, ())) for messages in turns["messages"]])
    sessions = turns["session"].tolist()
    return intervals.ratio(counts[:, 0], counts[:, 1], sessions, config, bounds=bounds)


def _written(messages: list[str], hidden: frozenset[str] | tuple[()]) -> list[str]:
    """What the author wrote of each message; those without anything are left out."""
    return [text for message in messages if (text := style.written(message, hidden))]


def _of_messages(holds: Callable[[str], bool]) -> Callable[[list[str]], tuple[int, int]]:
    return lambda messages: (sum(map(holds, messages)), len(messages))


def _capitals(messages: list[str]) -> tuple[int, int]:
    """How many messages begin with a capital, of those whose first letter has two cases."""
    letters = [next(filter(str.isalpha, text), "") for text in messages]
    cased = [letter for letter in letters if letter.lower() != letter.upper()]
    return sum(letter == letter.upper() for letter in cased), len(cased)


COUNTS = ("characters", "messages")  # habits that are no shares of messages
_SHARE = (0.0, 1.0)
# Of the messages of a turn: how many, of how many, and between what bounds their ratio lies.
HABITS: dict[str, tuple[Callable[[list[str]], tuple[int, int]], tuple[float, float]]] = {
    "characters": (lambda messages: (sum(map(len, messages)), len(messages)), UNBOUNDED),
    "messages": (lambda messages: (len(messages), 1), UNBOUNDED),
    "capital": (_capitals, _SHARE),
    "full_stop": (
        _of_messages(lambda text: text.endswith(".") and not text.endswith("..")),
        _SHARE,
    ),
    "exclamation": (_of_messages(lambda text: "!" in text), _SHARE),
    "opening_mark": (_of_messages(lambda text: "¿" in text or "¡" in text), _SHARE),
    "emoji": (_of_messages(lambda text: any(SHARES["emoji"]([text]))), _SHARE),
    "laughter": (_of_messages(lambda text: any(SHARES["laughter"]([text]))), _SHARE),
}
