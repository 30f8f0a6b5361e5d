"""From messages to turns, sessions, splits and examples.

A *turn* is a run of messages of one author, a *session* a run of turns of one chat without a long
silence, an *example* one turn of the target author (the reply) with the turns before it in its
session (the context). Splits are made of whole sessions in order of time, before any filter, so
that no test reply can stand in a training context.
"""

import pandas as pd

from espejo.core.errors import UserError


def turns(messages: pd.DataFrame, turn_gap: str, session_gap: str) -> pd.DataFrame:
    """Group messages (columns of tables.CLEAN, in source order, none without author) into turns.

    A turn ends with another author, with a silence of `turn_gap` or more, or with its session; a
    session ends with a silence above `session_gap` or with the chat. Time that runs backwards
    (clock changes) is no silence. Returns chat, session, turn, author, start, end, messages and
    withheld: whether the words of the turn are kept back (people.yaml), so that it is empty.
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
    grouped = numbered.groupby(["chat", "session", "turn", "author"], sort=False)
    return grouped.agg(
        start=("timestamp", "min"),
        end=("timestamp", "max"),
        messages=("text", list),
        withheld=("withheld", "any"),
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
        elif added:  # somebody else speaks, so the answer has ended
            answering, added = False, False
        mine = turn.author == author and answering
        reasons.append("withheld" if turn.withheld else "answers_withheld" if mine else None)
    return pd.Series(reasons, index=turns.index, dtype="str")


def split(
    turns: pd.DataFrame, author: str, validation: float, test: float, at_least: int
) -> pd.DataFrame:
    """Add the column split to `turns`: train, then validation, then test, on whole sessions.

    Sessions of all chats stand in order of their start. Test takes whole sessions from the end
    until it holds the share `test` of the author's turns, validation the same before it.

    Raises UserError when the author has fewer than `at_least` turns or a split would be empty.
    """
    mine = turns["author"].eq(author)
    if mine.sum() < at_least:
        raise UserError(
            f"The author has {mine.sum()} replies and at least {at_least} are needed to train and "
            "test: add more chats, or lower group.min_replies if you only want to see it run. If "
            "somebody has just withheld their words: the older tables and the older model still "
            "hold them, and `make forget` removes all of it."
        )
    sessions = (
        turns.assign(mine=mine)
        .groupby("session")
        .agg(start=("start", "min"), replies=("mine", "sum"))
        .sort_values(["start"], kind="stable")
    )
    # Number of replies in later sessions: a session is test as long as these are less than the
    # share.
    later = sessions["replies"][::-1].cumsum()[::-1] - sessions["replies"]
    total = sessions["replies"].sum()
    names = pd.Series("train", index=sessions.index)
    tested = later < test * total
    names[later < sessions["replies"][tested].sum() + validation * total] = "validation"
    names[tested] = "test"
    replies = sessions["replies"].groupby(names).sum()
    for name in ("train", "validation", "test"):
        if not replies.get(name, 0):
            raise UserError(
                f"The author's {total} replies lie in {(sessions['replies'] > 0).sum()} sessions, "
                f"too few to keep whole ones apart: nothing is left for {name}. Add more chats."
            )
    return turns.assign(split=turns["session"].map(names))


def examples(turns: pd.DataFrame, author: str, history: int) -> pd.DataFrame:
    """One example for each of the author's turns, with up to `history` turns before it.

    Returns the columns of tables.EXAMPLES. `group` is true where a chat has several partners.
    """
    partners = turns[turns["author"] != author].groupby("chat")["author"].nunique()
    rows = []
    for session, run in turns.groupby("session", sort=False):
        turns_of_run = [
            {"author": writer, "messages": list(messages)}
            for writer, messages in zip(run["author"], run["messages"], strict=True)
        ]
        for index, (turn, writer) in enumerate(zip(run["turn"], run["author"], strict=True)):
            if writer == author:
                rows.append(
                    {
                        "id": f"s{session}t{turn}",
                        "chat": run["chat"].iloc[0],
                        "session": session,
                        "split": run["split"].iloc[0],
                        "group": bool(partners.get(run["chat"].iloc[0], 0) > 1),
                        "context": turns_of_run[max(0, index - history) : index],
                        "reply": turns_of_run[index]["messages"],
                    }
                )
    return pd.DataFrame(rows)
