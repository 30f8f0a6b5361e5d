"""Leaks: training texts that repeat a held-out text, or part of it, or the other way round."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

import numpy as np
import pandas as pd

from espejo.core.text import ngrams, words
from espejo.dataset import duplicates

RUN = 8  # words in a row: shorter runs are phrases that everybody repeats
LEAST = 5  # words of a whole reply: see `leaked`
NEAR = 0.7  # similarity of questions that ask the same

Saying = tuple[int, str, tuple[str, ...]]  # session, author and messages of a turn


def leaked(texts: Sequence[str], held_out: pd.DataFrame) -> np.ndarray:
    """bool[n]: whether a text repeats something in `held_out` (rows of EXAMPLES not in train).

    It does if it shares a run of eight words with a turn of a context or a reply, whichever of the
    two is longer. For a reply, two more cases count: the whole of the shorter text (five to seven
    words) occurs in the longer one, or both are equal after removing at most one word from each,
    with five or more words left. Replies of more than 24 words need no such check: cut at two
    places, they still contain a run of eight. Five, because people often agree in four words by
    chance. Of 20,000 turns of a public chat (#ubuntu, Kummerfeld et al., ACL 2019), 1.6 % agree so
    with one of 4,000 turns by other people where four words are enough, 0.4 % where it takes five.
    Case and punctuation do not count.
    """
    replies = {_words(messages) for messages in held_out["reply"]}
    turns = {_words(turn["messages"]) for context in held_out["context"] for turn in context}
    runs = {run for reply in replies | turns for run in ngrams(reply, RUN)}
    short = {reply for reply in replies if LEAST <= len(reply) < RUN}
    parts = {part for reply in replies for part in _parts(reply)}
    rests = {rest for reply in replies for rest in _rests(reply)}

    def leaks(reply: tuple[str, ...]) -> bool:
        return (
            not runs.isdisjoint(ngrams(reply, RUN))
            or reply in parts
            or not short.isdisjoint(_parts(reply))
            or not rests.isdisjoint(_rests(reply))
        )

    return np.array([leaks(_words([text])) for text in texts], bool)


def repeated_questions(questions: Sequence[str], held_out: Sequence[str]) -> np.ndarray:
    """bool[n]: whether a question is nearly one in `held_out`: NEAR of their word 3-grams or more.

    Answers are not compared: another question may well have the same.
    """
    group = duplicates.groups([*held_out, *questions], NEAR)
    return np.isin(group[len(held_out) :], group[: len(held_out)])


def unlearnt(examples: pd.DataFrame, author: str) -> set[Saying]:
    """Turns in the contexts of training `examples` (filtered) that must not be learnt from whole
    texts.

    These are the author's turns that the filter dropped (every turn of the author was a reply
    before the filter), and anybody's turns that are `leaked`. If the author says the same twice in
    a session and one of the two is kept, both stay, since it is learnt anyway.
    """
    training = examples["split"].eq("train")
    train, held_out = examples[training], examples[~training]
    turns = {
        saying(session, turn)
        for session, context in zip(train["session"], train["context"], strict=True)
        for turn in context
    }
    kept = {
        (session, author, tuple(reply))
        for session, reply in zip(train["session"], train["reply"], strict=True)
    }
    texts = sorted({" ".join(messages) for _, _, messages in turns})
    leaking = set(compress(texts, leaked(texts, held_out)))
    return {
        turn
        for turn in turns
        if (turn[1] == author and turn not in kept) or " ".join(turn[2]) in leaking
    }


def saying(session: int, turn: Mapping) -> Saying:
    """A turn as a hashable key."""
    return session, turn["author"], tuple(turn["messages"])


def _words(messages: Sequence[str]) -> tuple[str, ...]:
    return tuple(words(" ".join(messages)))


def _parts(reply: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Runs that may be the whole of a short reply."""
    return (part for size in range(LEAST, RUN) for part in ngrams(reply, size))


def _rests(reply: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """A short reply as it is, and with each one of its words left out."""
    if len(reply) > 3 * RUN:
        return
    if len(reply) >= LEAST:
        yield reply
    if len(reply) > LEAST:
        yield from (reply[:index] + reply[index + 1 :] for index in range(len(reply)))
