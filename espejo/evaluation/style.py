"""Does it sound like the author? A classifier between the author and the others answers.

Character 2-5-grams with TF-IDF weights and logistic regression, the standard of authorship
verification (Stamatatos 2009; Koppel and Winter 2014), on bundles of at least 16 messages, since
one message is too short to know anybody by (16 is what Rivera-Soto et al. 2021 embed).

What must not decide, and how it is kept out:
- length: every bundle holds as many characters as 16 messages of the author do, its words thinned
  out evenly where it has more; who writes short just needs more messages for a bundle;
- how many messages there are and where they end: n-grams stay within words;
- what the pipeline wrote (placeholders), links, and the names of those who take part: left out;
- one habit repeated: the classifier also learns that a few messages of the author said over and
  over are *not* the author. Otherwise a bot that only ever laughs outdoes the author.

What it does not see: the order of words (sense is the matter of `relevance`), and who copies: its
training texts are known to it, so that a score above the ceiling is a sign of `memory`. Marks that
people put once a message (a full stop at its end) still stand closer together in short messages.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from espejo.evaluation import intervals

MESSAGES = 16
_NOT_WRITTEN = re.compile(r"https?://\S+|<[^<>\s]{2,30}>|\[[A-ZÁÉÍÓÚÑ_]{2,20}\]")


class Bundle(NamedTuple):
    """Some messages as one text, in the session of the first of them."""

    text: str
    session: int


class Replies(NamedTuple):
    """Replies in order, each a list of messages, and the session of each."""

    messages: Sequence[Sequence[str]]
    sessions: Sequence[int]


def bundles(replies: Replies, characters: int, hidden: Collection[str] = ()) -> list[Bundle]:
    """Cut a stream of messages into bundles of at least 16 messages and `characters` characters.

    Words are thinned out evenly to `characters`. What is left at the end is a bundle if it has 16
    messages, however short they are, so that who writes next to nothing is judged as well. Messages
    that are empty, or empty without the words `hidden` (see `folded`), do not count.
    """
    made, open_, size = [], [], 0
    for messages, session in zip(replies.messages, replies.sessions, strict=True):
        for message in messages:
            if text := _plain(message, hidden):
                open_.append((text, session))
                size += len(text) + 1
            if len(open_) >= MESSAGES and size >= characters:
                made.append(_bundle(open_, characters))
                open_, size = [], 0
    if len(open_) >= MESSAGES:
        made.append(_bundle(open_, characters))
    return made


def _bundle(said: Sequence[tuple[str, int]], characters: int) -> Bundle:
    return Bundle(_thinned(" ".join(text for text, _ in said), characters), said[0][1])


def _thinned(text: str, characters: int) -> str:
    words = text.split()
    keep = min(len(words), round(len(words) * characters / (len(text) + 1)))
    return " ".join(words[at] for at in np.linspace(0, len(words) - 1, keep).astype(int))


def _plain(message: str, hidden: Collection[str]) -> str:
    """What a person wrote: no links, placeholders, or words that are `hidden` when folded."""
    text = _NOT_WRITTEN.sub(" ", message)
    text = re.sub(r"\w+", lambda word: "" if folded(word[0]) in hidden else word[0], text)
    return " ".join(text.split())


def folded(word: str) -> str:
    """`word` without case and accents."""
    letters = unicodedata.normalize("NFD", word.casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def name_words(names: Iterable[str]) -> frozenset[str]:
    """The words, folded, of three letters or more that `names` consist of."""
    return frozenset(folded(w) for name in names for w in re.findall(r"\w+", name) if len(w) > 2)


class Judge:
    """The author against the other participants, learnt from the train split."""

    def __init__(self, turns: pd.DataFrame, author: str, seed: int) -> None:
        """Train on `turns` (rows of table TURNS, of the train split only).

        Raises ValueError when the author or the others have no bundle there.
        """
        self.hidden = name_words(turns["author"].unique())
        mine = turns["author"].eq(author)
        own = replies_of(turns[mine])
        said = [text for turn in own.messages for m in turn if (text := _plain(m, self.hidden))]
        groups = [" ".join(said[at : at + MESSAGES]) for at in range(0, len(said), MESSAGES)]
        whole = [len(text) + 1 for text in groups[: len(said) // MESSAGES]]
        if not whole:
            raise ValueError(f"the author has fewer than {MESSAGES} messages to train on")
        self.characters = int(np.median(whole))
        authors = [bundle.text for bundle in bundles(own, self.characters, self.hidden)]
        others, rest = [], []
        for _, theirs in turns[~mine].groupby("author"):
            made = bundles(replies_of(theirs), self.characters, self.hidden)
            others += [bundle.text for bundle in made]
            rest += [] if made else [theirs]
        if rest:  # those who wrote little, together
            pooled = replies_of(pd.concat(rest).sort_values("turn"))
            others += [b.text for b in bundles(pooled, self.characters, self.hidden)]
        if not others:
            raise ValueError("the others have too few messages to tell the author from")
        others += self._said_over_and_over(said, len(authors), seed)
        self.classifier: Pipeline = make_pipeline(
            # In four bundles or more: rarer n-grams are what was talked about, not how.
            TfidfVectorizer(
                analyzer="char_wb",
                ngram_range=(2, 5),
                lowercase=False,
                sublinear_tf=True,
                min_df=min(4, len(authors)),
            ),
            # To the optimum: where the default tolerance stops, a score of 0.034 reads 0.030.
            LogisticRegression(C=100, class_weight="balanced", max_iter=20000, tol=1e-8),
        )
        self.classifier.fit(authors + others, [1] * len(authors) + [0] * len(others))

    def _said_over_and_over(self, said: Sequence[str], number: int, seed: int) -> list[str]:
        """As many texts as the author has bundles, each one to three messages repeated."""
        drawn = np.random.default_rng(seed)
        made = []
        for at in range(number):
            few = " ".join(said[place] for place in drawn.integers(0, len(said), 1 + at % 3))
            made.append(_thinned(f"{few} " * (self.characters // len(few) + 1), self.characters))
        return made

    def scores(self, replies: Replies) -> tuple[np.ndarray, list[int]]:
        """Probability [n] that the author wrote each bundle of `replies`, and its session."""
        made = bundles(replies, self.characters, self.hidden)
        if not made:
            return np.empty(0), []
        given = self.classifier.predict_proba([bundle.text for bundle in made])[:, 1]
        return given, [bundle.session for bundle in made]


def replies_of(turns: pd.DataFrame) -> Replies:
    """The turns of table TURNS as replies."""
    return Replies(turns["messages"].tolist(), turns["session"].tolist())


def author_score(
    turns: pd.DataFrame, author: str, sources: Mapping[str, Replies], wanted: dict
) -> dict[str, dict]:
    """Mean probability, with its interval, that the author wrote what each source did.

    `turns` is all of table TURNS. Returned are `floor` (the others' bundles of validation and test,
    each of one person), `nearest` (of the person who comes nearest to the author; no name),
    the `sources`, and `ceiling` (the author's own validation and test). The classifier is one: the
    intervals are over sessions, not over trainings. Each says how many `bundles` were scored; `n`
    are the sessions in which one of them begins.
    """
    try:
        judge = Judge(turns[turns["split"] == "train"], author, wanted["seed"])
    except ValueError:  # a first small chat is no mistake: it just cannot be judged
        nothing = {**intervals.mean([], [], wanted), "bundles": 0}
        return {name: dict(nothing) for name in ("floor", "nearest", *sources, "ceiling")}
    held_out = turns[turns["split"] != "train"]
    mine = held_out["author"].eq(author)
    people = [judge.scores(replies_of(theirs)) for _, theirs in held_out[~mine].groupby("author")]
    judged = {
        "floor": (
            np.concatenate([given for given, _ in people] or [np.empty(0)]),
            [session for _, sessions in people for session in sessions],
        ),
        "nearest": max(
            (person for person in people if len(person[0])),
            key=lambda person: person[0].mean(),
            default=(np.empty(0), []),
        ),
        **{name: judge.scores(replies) for name, replies in sources.items()},
        "ceiling": judge.scores(replies_of(held_out[mine])),
    }
    return {
        name: {**intervals.mean(given, sessions, wanted, bounds=(0, 1)), "bundles": len(given)}
        for name, (given, sessions) in judged.items()
    }
