"""Leaks: training texts that repeat a held-out text, or part of it, or the other way round."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from espejo.core import fingerprints
from espejo.core.fingerprints import Words
from espejo.dataset import duplicates

RUN = 8  # words in a row: shorter runs are phrases that everybody repeats
LEAST = 5  # words of a whole reply: see `leaked`
NEAR = 0.7  # similarity of questions that ask the same

Saying = tuple[int, str, tuple[str, ...]]  # session, author and messages of a turn


@dataclass(frozen=True)
class HeldOut:
    """What `leaked` looks for, as sorted hashes: a hundred thousand texts take some megabytes."""

    runs: np.ndarray  # of RUN words, of replies and of turns in contexts
    short: np.ndarray  # whole replies of LEAST words or more, but fewer than RUN
    parts: np.ndarray  # of replies, of as many words
    rests: np.ndarray  # see `_rests`


def hashed(held_out: pd.DataFrame) -> HeldOut:
    """The rows of EXAMPLES that are not in train, as `leaked` looks them up."""
    replies = fingerprints.of_words({" ".join(messages) for messages in held_out["reply"]})
    turns = fingerprints.of_words(
        {" ".join(turn["messages"]) for context in held_out["context"] for turn in context}
    )
    return HeldOut(
        runs=_distinct(text.ngrams(RUN)[0] for text in (replies, turns)),
        short=_distinct([replies.whole()[_short(replies)]]),
        parts=_distinct(replies.ngrams(size)[0] for size in range(LEAST, RUN)),
        rests=_distinct(rests for rests, _ in _rests(replies)),
    )


def merged(parts: Sequence[HeldOut]) -> HeldOut:
    """What several parts of a table hold, of which there is one at least."""
    return HeldOut(
        runs=_distinct(part.runs for part in parts),
        short=_distinct(part.short for part in parts),
        parts=_distinct(part.parts for part in parts),
        rests=_distinct(part.rests for part in parts),
    )


def leaked(texts: Iterable[str], held_out: HeldOut) -> np.ndarray:
    """bool[n]: whether a text repeats something that is held out.

    It does if it shares a run of eight words with a turn of a context or a reply, whichever of the
    two is longer. For a reply, two more cases count: the whole of the shorter text (five to seven
    words) occurs in the longer one, or both are equal after removing at most one word from each,
    with five or more words left. Replies of more than 24 words need no such check: cut at two
    places, they still contain a run of eight. Five, because people often agree in four words by
    chance. Of 20,000 turns of a public chat (#ubuntu, Kummerfeld et al., ACL 2019), 1.6 % agree so
    with one of 4,000 turns by other people where four words are enough, 0.4 % where it takes five.
    Case and punctuation do not count.
    """
    words = fingerprints.of_words(texts)
    leaks = np.zeros(len(words.lengths), bool)
    for hashes, text, others in _looked_up(words, held_out):
        leaks[text[fingerprints.isin(hashes, others)]] = True
    return leaks


def repeated_questions(questions: Sequence[str], held_out: Sequence[str]) -> np.ndarray:
    """bool[n]: whether a question is nearly one in `held_out`: NEAR of their word 3-grams or more.

    Answers are not compared: another question may well have the same.
    """
    group = duplicates.groups([*held_out, *questions], NEAR)
    return np.isin(group[len(held_out) :], group[: len(held_out)])


def unlearnt(examples: pd.DataFrame, author: str, held_out: HeldOut) -> set[Saying]:
    """Turns in the contexts of training `examples` (filtered) that must not be learnt from whole
    texts.

    These are the author's turns that the filter dropped (every turn of the author was a reply
    before the filter), and anybody's turns that are `leaked`. If the author says the same twice in
    a session and one of the two is kept, both stay, since it is learnt anyway: sessions must be
    whole.
    """
    train = examples[examples["split"].eq("train")]
    turns = {
        saying(session, turn)
        for session, context in zip(train["session"], train["context"], strict=True)
        for turn in context
    }
    kept = {
        (session, author, tuple(reply))
        for session, reply in zip(train["session"], train["reply"], strict=True)
    }
    leaking = leaked((" ".join(messages) for _, _, messages in turns), held_out)
    return {
        turn
        for turn, leaks in zip(turns, leaking.tolist(), strict=True)
        if leaks or (turn[1] == author and turn not in kept)
    }


def saying(session: int, turn: Mapping) -> Saying:
    """A turn as a hashable key."""
    return session, turn["author"], tuple(turn["messages"])


def _looked_up(
    words: Words, held_out: HeldOut
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """What is looked up for `leaked`: hashes, the text of each, and where they are looked up."""
    yield *words.ngrams(RUN), held_out.runs
    short = np.flatnonzero(_short(words))
    yield words.whole()[short], short, held_out.parts
    for size in range(LEAST, RUN):
        yield *words.ngrams(size), held_out.short
    for rests, text in _rests(words):
        yield rests, text, held_out.rests


def _distinct(hashes: Iterable[np.ndarray]) -> np.ndarray:
    """The hashes of several arrays, each once and sorted."""
    return np.unique(np.concatenate(list(hashes)))


def _short(texts: Words) -> np.ndarray:
    """bool[n]: which texts are too short for a run, and long enough to leak as a whole."""
    return (texts.lengths >= LEAST) & (texts.lengths < RUN)


def _rests(texts: Words) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Short texts as they are, and with each one of their words left out: hashes and indices."""
    for length in range(LEAST, 3 * RUN + 1):
        rows, text = texts.of_length(length)
        yield fingerprints.of_rows(rows), text
        for place in range(length if length > LEAST else 0):
            yield fingerprints.of_rows(np.delete(rows, place, axis=1)), text
