"""From messages to turns, sessions and examples.

A *turn* is a run of messages of one author, a *session* a run of turns of one chat without a long
silence (a whole dialogue, where there are no times), an *example* one turn of the target author
(the reply) with the turns before it in its session (the context).
"""

from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np
import pandas as pd

from espejo.core.tables import FORWARDED, Turn


def turns(messages: pd.DataFrame, turn_gap: str, session_gap: str) -> pd.DataFrame:
    """Group messages (columns of tables.CLEAN, in source order, none without author) into turns.

    A turn ends with another author, with a silence of `turn_gap` or more, or with its session; a
    session ends with a silence above `session_gap` or with the chat. Time that runs backwards
    (clock changes) is no silence, nor is a missing time. Returns chat, session, turn, author,
    start, end, messages, split (as the data name it) and withheld: whether the words of the turn
    are kept back (people.yaml), so that it is empty.
    """
    chat = messages["chat"].ne(messages["chat"].shift())
    silence = messages["timestamp"].diff()
    new_session = chat | (silence > pd.Timedelta(session_gap))
    new_turn = (
        new_session
        | messages["author"].ne(messages["author"].shift())
        | (silence >= pd.Timedelta(turn_gap))
    )
    numbered = messages.assign(
        session=new_session.cumsum() - 1,
        turn=new_turn.cumsum() - 1,
        withheld=messages["kind"].eq("withheld"),
    )
    grouped = numbered.groupby(["chat", "session", "turn", "author"], sort=False).agg(
        start=("timestamp", "min"),
        end=("timestamp", "max"),
        withheld=("withheld", "any"),
        split=("split", "first"),
    )
    # A list of the texts of each turn, which pandas would make ten times more slowly.
    texts = messages["text"].tolist()
    bounds = [*np.flatnonzero(new_turn).tolist(), len(texts)]
    return grouped.assign(
        messages=[texts[start:end] for start, end in pairwise(bounds)]
    ).reset_index()


def left_out(turns: pd.DataFrame, author: str) -> pd.Series:
    """Why a turn may not be used, or null: `withheld`, or `answers_withheld` for the author's.

    A turn of the author answers everybody who spoke since the author's previous turn. Further turns
    of the author before anybody else speaks answer the same people.
    """
    reasons = []
    session, answering, added = None, False, False
    for turn in turns[["session", "author", "withheld"]].itertuples():
        if turn.session != session:
            session, answering, added = turn.session, False, False
        if turn.withheld:
            answering, added = True, False
        elif turn.author == author:
            added = answering
        elif added and turn.author != FORWARDED:  # somebody else speaks, so the answer has ended
            answering, added = False, False
        mine = turn.author == author and answering
        reasons.append("withheld" if turn.withheld else "answers_withheld" if mine else None)
    return pd.Series(reasons, index=turns.index, dtype="str")


def examples(
    turns: pd.DataFrame, author: str, history: int, learnt_too: Sequence[str] = ()
) -> pd.DataFrame:
    """One example for each of the author's turns, with up to `history` turns before it.

    Returns the columns of tables.EXAMPLES. `group` is true where a chat has several partners.

    The turns of the speakers `learnt_too`, but for those that open a dialogue, are replies as well.
    In their examples the names are exchanged, so that a reply is always the author's: a model that
    learns both sides learns to answer.
    """
    others = turns[~turns["author"].isin([author, FORWARDED])]
    partners = others.groupby("chat")["author"].nunique()
    rows = []
    for chat, run in _runs(turns):
        several = bool(partners.get(chat, 0) > 1)
        written: list[Turn] = [{"author": turn.author, "messages": turn.messages} for turn in run]
        for learnt in (author, *learnt_too):
            seen = written if learnt == author else _exchanged(written, learnt, author)
            rows += [
                (
                    f"s{turn.session}t{turn.turn}",
                    chat,
                    turn.session,
                    turn.split,
                    several,
                    seen[max(0, index - history) : index],
                    turn.messages,
                )
                for index, turn in enumerate(run)
                if turn.author == learnt and (index or learnt == author)
            ]
    names = ["id", "chat", "session", "split", "group", "context", "reply"]
    return pd.DataFrame(rows, columns=names)


def _runs(turns: pd.DataFrame) -> Iterator[tuple[str, list]]:
    """The turns of each session, as rows, with the name of its chat; sessions stand one by one."""
    columns = turns[["chat", "session", "turn", "author", "messages", "split"]]
    for _, rows in groupby(columns.itertuples(index=False), lambda row: row.session):
        run = list(rows)
        yield run[0].chat, run


def _exchanged(turns: Sequence[Turn], one_name: str, other_name: str) -> list[Turn]:
    """The same turns with two names exchanged."""
    names = {one_name: other_name, other_name: one_name}
    return [
        {"author": names.get(turn["author"], turn["author"]), "messages": turn["messages"]}
        for turn in turns
    ]
