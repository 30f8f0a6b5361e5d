"""When people write and how much, as tables of numbers: no word or name from the chats.

`author` is the person whose way of writing is learnt, `others` everybody else together.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from espejo.core.text import words

# Words in a message or turn: 0, 1, 2, 3-4, 5-8 … 33 and more, so that short ones are told apart.
_BINS = (0, 1, 2, 3, 5, 9, 17, 33)


def over_time(messages: pd.DataFrame, is_author: pd.Series) -> pd.DataFrame:
    """Messages a week, or a month where that would be over 53 weeks, also the empty ones.

    Columns period (its first day, YYYY-MM-DD), author, others; no rows where there are no times.
    """
    time = messages["timestamp"]
    if time.isna().all():
        return pd.DataFrame(columns=["period", "author", "others"])
    weeks = (time.max() - time.min()).days <= 53 * 7
    period = time.dt.to_period("W-SUN" if weeks else "M")
    counts = pd.DataFrame(
        {
            writer: period[of].value_counts()
            for writer, of in (("author", is_author), ("others", ~is_author))
        },
        index=pd.period_range(period.min(), period.max()),
    )
    counts = counts.fillna(0).astype("int64")
    first = counts.index.start_time.strftime("%Y-%m-%d")
    return counts.set_axis(first).rename_axis("period").rename_axis(columns=None).reset_index()


def hour_weekday(timestamps: pd.Series) -> pd.DataFrame:
    """Messages by weekday (0: Monday) and hour of the phone's local time, all 168 of them.

    Columns weekday, hour, messages; no rows where there are no times.
    """
    if timestamps.isna().all():
        return pd.DataFrame(columns=["weekday", "hour", "messages"])
    places = pd.MultiIndex.from_product([range(7), range(24)], names=["weekday", "hour"])
    counts = timestamps.groupby([timestamps.dt.day_of_week, timestamps.dt.hour]).size()
    return counts.reindex(places, fill_value=0).rename("messages").reset_index()


def counted(turns: pd.DataFrame) -> pd.DataFrame:
    """`turns` (table TURNS) with `num_messages` and `num_words` in place of the messages."""
    num_words = _num_words(map(" ".join, turns["messages"]))
    num_messages = turns["messages"].map(len).astype("int64")
    return turns.drop(columns="messages").assign(num_messages=num_messages, num_words=num_words)


def typical_pause(turns: pd.DataFrame, author: str) -> float | None:
    """Seconds between two messages of one turn of the author: the median over the turns' means.

    `turns` are those of `counted`. None where no turn has two messages with times. Exports that
    write no seconds give a mean that is right on average only.
    """
    own = turns[turns["author"].eq(author) & turns["num_messages"].gt(1)]
    seconds = pd.to_timedelta(own["end"] - own["start"]).dt.total_seconds()
    median = (seconds / (own["num_messages"] - 1)).median()
    return None if pd.isna(median) else round(float(median), 1)


def lengths(messages: pd.DataFrame, turns: pd.DataFrame, author: str) -> pd.DataFrame:
    """What share of the author's messages and turns, and of the others', has how many words.

    `turns` are those of `counted`. Columns words_from (the least of a class), author_messages,
    others_messages, author_turns, others_turns, in percent; who wrote nothing has 0 everywhere.
    """
    edges = (*_BINS, np.inf)
    num_words = pd.Series(_num_words(messages["text"]), messages.index)
    counts = {"messages": num_words, "turns": turns["num_words"]}
    own = {"messages": messages["author"].eq(author), "turns": turns["author"].eq(author)}
    shares = {
        f"{writer}_{unit}": 100 * np.histogram(of, edges)[0] / max(1, len(of))
        for unit, all_of in counts.items()
        for writer, of in (("author", all_of[own[unit]]), ("others", all_of[~own[unit]]))
    }
    return pd.DataFrame({"words_from": _BINS, **shares}).round(3)


def _num_words(texts: Iterable[str]) -> np.ndarray:
    """int64[n]: how many words each text has."""
    return np.fromiter((len(words(text)) for text in texts), np.int64)
