"""Which training examples are not worth learning, and why."""

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np
import pandas as pd

from espejo.core.config import Count, Keep, Pattern, Section, Share, Word
from espejo.dataset import duplicates, leaks

Rule = Callable[
    [pd.DataFrame], pd.Series | np.ndarray
]  # takes the table of `joined`; True for the rows that break the rule


class Similarity(Section):
    """How similar a reply must be to its context, and by which sentence encoder."""

    encoder: Word
    least: float


class FilterConfig(Section):
    """Which examples are kept for training; 0, keep or null switches a rule off."""

    section = "filter"
    links: Pattern | None
    min_context_words: Count
    min_reply_words: Count
    min_words: Count
    min_chars: Count
    max_context_chars: Count
    max_reply_chars: Count
    leaks: Literal["keep", "drop", "questions"]  # drop: by replies | questions: by what is asked
    duplicates: Keep
    near_duplicates: Share | None
    similarity: Similarity | None


def joined(examples: pd.DataFrame) -> pd.DataFrame:
    """Columns context, reply and both: all messages of each, with a space between."""
    context = [
        " ".join(text for turn in turns for text in turn["messages"])
        for turns in examples["context"]
    ]
    reply = [" ".join(messages) for messages in examples["reply"]]
    frame = pd.DataFrame({"context": context, "reply": reply}, examples.index, dtype="str")
    return frame.assign(both=frame["context"] + " " + frame["reply"])


def unlike(texts: pd.DataFrame, encoder: str, least: float) -> pd.Series:
    """Whether a reply's embedding is no closer than `least` to that of its context."""
    from espejo.dataset import similarity  # takes seconds to load, and most runs do not need it

    cosine = similarity.cosine(texts["context"], texts["reply"], similarity.encoder(encoder))
    return pd.Series(cosine <= least, texts.index)


def rules(held_out: pd.DataFrame, config: FilterConfig) -> Iterator[tuple[str, Rule]]:
    """The rules that are switched on, with the reason that each gives."""
    if config.links:
        yield "link", lambda texts: texts["both"].str.contains(config.links, case=False)
    yield "short_context", lambda texts: parts(texts["context"]) < config.min_context_words
    yield "short_reply", lambda texts: parts(texts["reply"]) < config.min_reply_words
    yield "short", lambda texts: parts(texts["both"]) < config.min_words
    yield "short", lambda texts: texts["both"].str.len() < config.min_chars
    yield "long_context", lambda texts: texts["context"].str.len() > config.max_context_chars
    yield "long_reply", lambda texts: texts["reply"].str.len() > config.max_reply_chars
    if config.leaks == "drop":
        yield "stands_in_held_out", lambda texts: leaks.leaked(texts["reply"], held_out)
    if config.leaks == "questions":
        tested = joined(held_out)["context"]
        yield "asked_in_held_out", lambda texts: leaks.repeated_questions(texts["context"], tested)
    if config.duplicates == "drop":
        yield "duplicate", lambda texts: duplicates.exact(texts["both"])
    if near := config.near_duplicates:
        yield "near_duplicate", lambda texts: duplicates.near(texts["both"], near)
    if like := config.similarity:
        yield "unlike_context", lambda texts: unlike(texts, like.encoder, like.least)


def parts(texts: pd.Series) -> np.ndarray:
    """Number of blank-separated parts of each text, as in the notebooks; "😂" counts as one."""
    return np.array([len(text.split()) for text in texts], dtype=int)


def reasons(train: pd.DataFrame, held_out: pd.DataFrame, config: FilterConfig) -> pd.Series:
    """Why each training example is dropped (the first rule that it breaks), else null.

    `held_out` are the examples of validation and test, from which nothing may leak.
    """
    return reasons_by_text(joined(train), held_out, config)


def reasons_by_text(texts: pd.DataFrame, held_out: pd.DataFrame, config: FilterConfig) -> pd.Series:
    """`reasons` of the training examples whose `joined` texts are these: all that a rule reads."""
    why = pd.Series(None, index=texts.index, dtype="str")
    for reason, broken in rules(held_out, config):
        left = texts[why.isna()]
        if len(left):
            why[left.index[np.asarray(broken(left), dtype=bool)]] = reason
    return why
