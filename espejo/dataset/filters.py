"""Which training examples are not worth learning, and why."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from espejo.core.config import Count, Keep, Pattern, Section, Share, Word
from espejo.dataset import duplicates, leaks

# Columns of the table of `joined`, and a function of these: True for the rows that break the rule.
Rule = tuple[Sequence[str], Callable[..., pd.Series | np.ndarray]]


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


def unlike(context: pd.Series, reply: pd.Series, encoder: str, least: float) -> np.ndarray:
    """Whether a reply's embedding is no closer than `least` to that of its context."""
    from espejo.dataset import similarity  # takes seconds to load, and most runs do not need it

    return similarity.cosine(context, reply, similarity.encoder(encoder)) <= least


def rules(held_out: pd.DataFrame, config: FilterConfig) -> Iterator[tuple[str, Rule]]:
    """The rules that are switched on, with the reason that each gives."""
    if config.links:
        yield "link", (["both"], lambda both: both.str.contains(config.links, case=False))
    yield "short_context", (["context"], lambda context: parts(context) < config.min_context_words)
    yield "short_reply", (["reply"], lambda reply: parts(reply) < config.min_reply_words)
    yield "short", (["both"], lambda both: parts(both) < config.min_words)
    yield "short", (["both"], lambda both: both.str.len() < config.min_chars)
    yield "long_context", (["context"], lambda text: text.str.len() > config.max_context_chars)
    yield "long_reply", (["reply"], lambda reply: reply.str.len() > config.max_reply_chars)
    if config.leaks == "drop":
        replies = leaks.hashed(held_out)
        yield "stands_in_held_out", (["reply"], lambda reply: leaks.leaked(reply, replies))
    if config.leaks == "questions":
        tested = joined(held_out)["context"]
        asked_again = partial(leaks.repeated_questions, held_out=tested)
        yield "asked_in_held_out", (["context"], asked_again)
    if config.duplicates == "drop":
        yield "duplicate", (["both"], duplicates.exact)
    if config.near_duplicates:
        near = partial(duplicates.near, similarity=config.near_duplicates)
        yield "near_duplicate", (["both"], near)
    if like := config.similarity:
        columns = ["context", "reply"]
        yield "unlike_context", (columns, partial(unlike, encoder=like.encoder, least=like.least))


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
    for reason, (columns, breaks) in rules(held_out, config):
        left = why.isna()
        if left.any():
            # Only these columns: each is a copy, of a million messages a hundred megabytes.
            broken = breaks(*(texts.loc[left, column] for column in columns))
            why[texts.index[left][np.asarray(broken, dtype=bool)]] = reason
    return why
