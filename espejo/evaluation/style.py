"""Does it sound like the author? A classifier between the author and the other people decides.

Character 2-5-grams with TF-IDF weights and logistic regression, the standard of authorship
verification (Stamatatos 2009; Koppel and Winter 2014), on bundles of at least 16 messages, since a
single message is too short to identify its author (16 is what Rivera-Soto et al. 2021 embed).

Confounders, and how each is controlled:
- length: every bundle has as many characters as 16 messages of the author, its words subsampled
  evenly where it has more; whoever writes short needs more messages for a bundle;
- how many messages there are and where they end: n-grams stay within words;
- what the pipeline wrote (placeholders), links, and the names of the participants: removed;
- one repeated habit: the classifier is also trained on a few messages of the author's repeated over
  and over, as *not* the author. Otherwise a bot that only ever laughs beats the author.

Limits: it does not see the order of words (content is measured in `relevance`) or copying: it was
trained on the same texts as the model, so a score above the ceiling is a sign of memorization.
Marks that people write once per message (a full stop at its end) are more frequent in short
messages.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from espejo.core import tables
from espejo.core.text import fold, words
from espejo.evaluation import intervals
from espejo.evaluation.config import EvaluateConfig
from espejo.evaluation.few_sessions import Pool, bundles_ends

BUNDLE_MESSAGES = 16
_NOT_WRITTEN = re.compile(r"https?://\S+|<[^<>\s]{2,30}>|\[[A-ZÁÉÍÓÚÑ_]{2,20}\]")


POOL_BUNDLES = 600  # of sessions in random orders, at least


class Bundle(NamedTuple):
    """Some messages as one text, the session of the first of them, and all of their sessions."""

    text: str
    session: int
    sessions: frozenset[int]


class Replies(NamedTuple):
    """Replies in order, each a list of messages, and the session of each."""

    messages: Sequence[Sequence[str]]
    sessions: Sequence[int]


def bundles(replies: Replies, characters: int, hidden: Collection[str] = ()) -> list[Bundle]:
    """Cut a stream of messages into bundles of at least 16 messages and `characters` characters.

    Words are subsampled evenly down to `characters`. The rest at the end is a bundle if it has 16
    messages, however short, so that a person who writes very little is scored too. Messages that
    are empty, or empty without the words in `hidden` (folded), do not count.
    """
    return _cut(_messages(replies, hidden), characters)


Message = tuple[str, int]  # what somebody wrote, and its session


def _messages(replies: Replies, hidden: Collection[str]) -> list[Message]:
    """Each message of `replies` by itself, as a person wrote it, with its session."""
    return [
        (text, session)
        for messages, session in zip(replies.messages, replies.sessions, strict=True)
        for message in messages
        if (text := written(message, hidden))
    ]


def _cut(messages: Iterable[Message], characters: int) -> list[Bundle]:
    """`bundles` of the `messages` in order."""
    done: list[Bundle] = []
    pending: list[Message] = []
    size = 0
    for text, session in messages:
        pending.append((text, session))
        size += len(text) + 1
        if len(pending) >= BUNDLE_MESSAGES and size >= characters:
            done.append(_bundle(pending, characters))
            pending, size = [], 0
    if len(pending) >= BUNDLE_MESSAGES:
        done.append(_bundle(pending, characters))
    return done


def _bundle(messages: Sequence[Message], characters: int) -> Bundle:
    text = _subsampled(" ".join(text for text, _ in messages), characters)
    return Bundle(text, messages[0][1], frozenset(session for _, session in messages))


def _subsampled(text: str, characters: int) -> str:
    """Words of `text`, spread evenly from the first to the last, of so many `characters`."""
    parts = text.split()
    keep = min(len(parts), round(len(parts) * characters / (len(text) + 1)))
    return " ".join(parts[index] for index in np.linspace(0, len(parts) - 1, keep).astype(int))


def written(message: str, hidden: Collection[str]) -> str:
    """What a person wrote: no links, placeholders, or words that are `hidden` when folded."""
    text = _NOT_WRITTEN.sub(" ", message)
    text = re.sub(r"[^\W_]+", lambda word: "" if fold(word[0]) in hidden else word[0], text)
    return " ".join(text.split())


def name_words(names: Iterable[str]) -> frozenset[str]:
    """The folded words of three letters or more in `names`."""
    return frozenset(word for name in names for word in words(fold(name)) if len(word) > 2)


class AuthorClassifier:
    """The author against the other participants, trained on the train split."""

    def __init__(self, turns: pd.DataFrame, author: str, seed: int) -> None:
        """Train on `turns` (rows of table TURNS, of the train split only).

        Raises ValueError when the author or the others have no bundle there.
        """
        self.hidden = name_words(turns["author"].unique())
        is_author = turns["author"].eq(author)
        own = replies_of(turns[is_author])
        texts = [
            text
            for messages in own.messages
            for message in messages
            if (text := written(message, self.hidden))
        ]
        if len(texts) < BUNDLE_MESSAGES:
            raise ValueError(f"the author has fewer than {BUNDLE_MESSAGES} messages to train on")
        starts = range(0, len(texts) - BUNDLE_MESSAGES + 1, BUNDLE_MESSAGES)
        sizes = [sum(len(text) + 1 for text in texts[i : i + BUNDLE_MESSAGES]) for i in starts]
        self.characters = int(np.median(sizes))
        positives = [bundle.text for bundle in bundles(own, self.characters, self.hidden)]
        negatives: list[str] = []
        few: list[pd.DataFrame] = []
        for _, rows in turns[~is_author].groupby("author"):
            some = bundles(replies_of(rows), self.characters, self.hidden)
            negatives += [bundle.text for bundle in some]
            few += [] if some else [rows]
        if few:  # people who wrote little, together
            pooled = replies_of(pd.concat(few).sort_values("turn"))
            negatives += [b.text for b in bundles(pooled, self.characters, self.hidden)]
        if not negatives:
            raise ValueError("the others have too few messages to tell the author from")
        negatives += self._repetitions(texts, len(positives), seed)
        self.pipeline: Pipeline = make_pipeline(
            # In four bundles or more: rarer n-grams are about topics, not style.
            CountVectorizer(
                analyzer="char_wb",
                ngram_range=(2, 5),
                lowercase=False,
                min_df=min(4, len(positives)),
            ),
            TfidfTransformer(sublinear_tf=True),
            # A small tolerance, so that it converges: with the default one, a score of 0.034 was
            # 0.030.
            LogisticRegression(C=100, class_weight="balanced", max_iter=20000, tol=1e-8),
        )
        self.pipeline.fit(positives + negatives, [1] * len(positives) + [0] * len(negatives))

    def _repetitions(self, texts: Sequence[str], number: int, seed: int) -> list[str]:
        """`number` bundles, each of one to three of the author's messages repeated."""
        random = np.random.default_rng(seed)
        repeated = []
        for index in range(number):
            few = " ".join(texts[i] for i in random.integers(0, len(texts), 1 + index % 3))
            many = f"{few} " * (self.characters // len(few) + 1)
            repeated.append(_subsampled(many, self.characters))
        return repeated

    def scores(self, replies: Replies) -> tuple[np.ndarray, list[int]]:
        """Probability [n] that the author wrote each bundle of `replies`, and its session."""
        some = bundles(replies, self.characters, self.hidden)
        return self._probabilities(some), [bundle.session for bundle in some]

    def _probabilities(self, some: Sequence[Bundle]) -> np.ndarray:
        """Of each bundle [n]. N-grams stay within words, so those of a word are counted once."""
        if not some:
            return np.empty(0)
        texts = [bundle.text.split() for bundle in some]
        place = {word: index for index, word in enumerate(dict.fromkeys(chain(*texts)))}
        columns = [place[word] for text in texts for word in text]
        ends = np.cumsum([0, *map(len, texts)])
        shape = len(texts), len(place)
        in_bundle = sparse.csr_matrix((np.ones(len(columns), int), columns, ends), shape)
        counts = in_bundle @ self.pipeline[0].transform(list(place))
        return self.pipeline[1:].predict_proba(counts)[:, 1]

    def pool(self, streams: Sequence[Replies], seed: int) -> Pool:
        """Bundles of the same `streams` with their sessions in random orders, and their scores.

        A bundle holds messages of one stream only.
        """
        written_messages = [_messages(stream, self.hidden) for stream in streams]
        sizes = Counter(session for messages in written_messages for _, session in messages)
        names, random = sorted(sizes), np.random.default_rng(seed)
        some: list[Bundle] = []
        orders: list[int] = []
        while len(some) < POOL_BUNDLES:
            place = {name: order for order, name in enumerate(random.permutation(names).tolist())}
            mixed = [
                bundle
                for messages in written_messages
                for bundle in _cut(sorted(messages, key=lambda m: place[m[1]]), self.characters)
            ]
            if not mixed:  # not even in another order
                break
            orders += [orders[-1] + 1 if orders else 0] * len(mixed)
            some += mixed
        inside = [[name in bundle.sessions for name in names] for bundle in some]
        return Pool(
            self._probabilities(some),
            np.array(inside, dtype=bool).reshape(len(some), len(names)),
            np.array(orders, dtype=int),
            np.array([sizes[name] for name in names]),
        )


def of_people(turns: pd.DataFrame) -> pd.DataFrame:
    """The rows of table TURNS that somebody wrote: what is forwarded is no other person's style."""
    return turns[turns["author"].ne(tables.FORWARDED)]


def replies_of(turns: pd.DataFrame) -> Replies:
    """The turns of table TURNS as replies."""
    return Replies(turns["messages"].tolist(), turns["session"].tolist())


def author_score(
    turns: pd.DataFrame, author: str, sources: Mapping[str, Replies], config: EvaluateConfig
) -> dict[str, dict]:
    """Mean probability, with its interval, that the author wrote the messages of each source.

    `turns` is all of table TURNS. Returned are `floor` (the others' bundles of validation and test,
    each of one person), `nearest` (of the person most like the author; no name), the `sources`, and
    `ceiling` (the author's own validation and test). There is one classifier: the intervals are
    over sessions, not over trainings. Each measure says how many `bundles` were scored; `n` is the
    number of sessions in which one of them begins, or, where these are fewer than ten, of all
    sessions.
    """
    turns = of_people(turns)
    try:
        classifier = AuthorClassifier(turns[turns["split"] == "train"], author, config.seed)
    except ValueError:  # too few bundles is not an error: a small chat is just not scored
        nothing = {**intervals.mean([], [], config), "bundles": 0}
        return {name: dict(nothing) for name in ("floor", "nearest", *sources, "ceiling")}
    held_out = turns[turns["split"] != "train"]
    is_author = held_out["author"].eq(author)
    others = [replies_of(rows) for _, rows in held_out[~is_author].groupby("author")]
    means = [scores.mean() if len(scores := classifier.scores(own)[0]) else -1.0 for own in others]
    nearest = [others[int(np.argmax(means))]] if others else []
    streams = {
        "floor": others,
        "nearest": nearest,
        **{name: [replies] for name, replies in sources.items()},
        "ceiling": [replies_of(held_out[is_author])],
    }
    return {name: _measure(classifier, some, config) for name, some in streams.items()}


def _measure(
    classifier: AuthorClassifier, streams: Sequence[Replies], config: EvaluateConfig
) -> dict:
    """The mean score of the bundles of all `streams`, with its interval.

    Where few sessions begin one, a bundle spans several: then the interval is over all sessions
    that are in one (`few_sessions.bundles_ends`), and n is their number.
    """
    parts = [classifier.scores(replies) for replies in streams]
    scores = np.concatenate([np.empty(0), *(scores for scores, _ in parts)])
    begins = [session for _, sessions in parts for session in sessions]
    measure = {**intervals.mean(scores, begins, config, bounds=(0, 1)), "bundles": len(scores)}
    if not 0 < len(set(begins)) < intervals.MIN_N:
        return measure
    value, pool = measure["value"], classifier.pool(streams, config.seed)
    ends = bundles_ends(value, pool, config.confidence)
    if ends is None:
        n = len(pool.messages)
        return {"value": value, "n": n, "interval": "too few", "bundles": len(scores)}
    low, high = ends
    n = len(pool.messages)
    return {"value": value, "low": low, "high": high, "n": n, "bundles": len(scores)}
