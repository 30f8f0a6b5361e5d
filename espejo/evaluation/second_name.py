"""People who may be the author under another name: an old account, a second phone, a nickname.

What the author wrote under that name counts as another person's, which spoils every score. This is
for the report, which is private: metrics hold no names.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from espejo.evaluation import style
from espejo.evaluation.config import EvaluateConfig

MIN_BUNDLES = 3  # of held-out messages, of the author and of the suspect


def suspects(turns: pd.DataFrame, author: str, config: EvaluateConfig) -> pd.DataFrame:
    """Table SECOND_NAMES: people in table TURNS who write as the author does; usually none.

    The most similar first. The classifier of the author score is trained to tell them from the
    author, so both names of one person score alike and low, and no margin below the author's own
    score finds them. But they score nearer to the author than to all other people together, which
    friends with shared habits do not. So other people must exist, with a mean that is below the
    midpoint by more than the margin of the author score; a person who is alone with the author in a
    chat is always one of them.
    """
    turns = style.of_people(turns)
    try:
        train = turns[turns["split"].eq("train")]
        classifier = style.AuthorClassifier(train, author, config.seed)
    except ValueError:  # too few messages to train on
        return no_suspects()
    scores = {
        str(name): classifier.scores(style.replies_of(rows))[0]
        for name, rows in turns[turns["split"].ne("train")].groupby("author")
    }
    own = scores.pop(author, np.empty(0))
    if len(own) < MIN_BUNDLES:
        return no_suspects()
    means = {}
    for name in set(scores) - _partners(turns, author):
        others = (bundles for person, bundles in scores.items() if person != name)
        rest = np.concatenate([np.empty(0), *others])
        if len(scores[name]) >= MIN_BUNDLES and len(rest) >= MIN_BUNDLES:
            mean, midpoint = scores[name].mean(), (own.mean() + rest.mean()) / 2
            if mean > midpoint > rest.mean() + config.margins.author_score:
                means[name] = mean
    return _table(sorted(means, key=lambda name: (-means[name], name)))


def no_suspects() -> pd.DataFrame:
    """Table SECOND_NAMES without a row."""
    return _table([])


def _table(names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"name": pd.Series(names, dtype="str")})


def _partners(turns: pd.DataFrame, author: str) -> set[str]:
    """People who are alone with the author in some chat."""
    people_of_chats = turns.groupby("chat")["author"].agg(set)
    return {
        name
        for people in people_of_chats
        if author in people and len(people) == 2
        for name in people
    }
