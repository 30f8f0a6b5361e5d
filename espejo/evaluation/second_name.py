"""Who may be the author by another name: an account of before, a second phone, a nickname.

What the author wrote under it counts as another person's then, and every score suffers. It is for
the report, which is private: metrics hold no names.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from espejo.evaluation import style

LEAST = 3  # bundles of held-out messages, of the author and of whoever is suspected


def likely(turns: pd.DataFrame, author: str, wanted: Mapping) -> pd.DataFrame:
    """Table SECOND_NAMES: those in table TURNS who write as the author does; mostly none.

    The most alike first. The classifier of the author score takes them for others when it learns,
    so that both names of one person score alike and low: no margin to the author's own score tells
    them. They score nearer to the author than to the other people together, which friends do not,
    though they have habits in common. So there must be other people, further from the middle than
    the margin of `wanted` (params section evaluate); and who writes to the author alone in a chat
    is one of them.
    """
    try:
        judge = style.Judge(turns[turns["split"].eq("train")], author, wanted["seed"])
    except ValueError:  # too few messages to tell anybody from the author
        return _table([])
    people = {
        name: judge.scores(style.replies_of(theirs))[0]
        for name, theirs in turns[turns["split"].ne("train")].groupby("author")
    }
    own = people.pop(author, np.empty(0))
    if len(own) < LEAST:
        return _table([])
    found = {}
    for name in set(people) - _partners(turns, author):
        rest = np.concatenate([np.empty(0), *(s for who, s in people.items() if who != name)])
        if len(people[name]) >= LEAST and len(rest) >= LEAST:
            score, middle = people[name].mean(), (own.mean() + rest.mean()) / 2
            if score > middle > rest.mean() + wanted["margins"]["author_score"]:
                found[name] = score
    return _table(sorted(found, key=lambda name: (-found[name], name)))


def _table(names: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame({"name": pd.Series(names, dtype="str")})


def _partners(turns: pd.DataFrame, author: str) -> set[str]:
    """Whoever is alone with the author in some chat."""
    together = turns.groupby("chat")["author"].agg(set)
    return {name for who in together if author in who and len(who) == 2 for name in who}
