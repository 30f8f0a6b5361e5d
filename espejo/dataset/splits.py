"""Split sessions into train, validation and test, before any filter.

Splits are made of whole sessions, so that no test reply can stand in a training context. Where the
data name a split, it holds. Sessions with times are split by time, as a chat goes on; dialogues and
questions have none, and are split by a hash of their words, near-duplicates together.
"""

import hashlib

import pandas as pd

from espejo.core.config import GroupConfig
from espejo.core.errors import UserError
from espejo.dataset import duplicates

NAMES = ("train", "validation", "test")


def split(
    turns: pd.DataFrame, learnt: frozenset[str], config: GroupConfig, by_opening: bool = False
) -> pd.DataFrame:
    """`turns` with the column split: train, validation or test, the same for a whole session.

    `turns` may have that column, null where the data name none. `learnt` are the authors whose
    turns are replies. With `by_opening`, sessions that open with nearly the same turn (a question)
    are kept together, else those of nearly the same words.

    Raises UserError when there are fewer replies than `config.min_replies` or a split is empty.
    """
    mine = turns["author"].isin(learnt)
    if mine.sum() < config.min_replies:
        raise UserError(
            f"The author has {mine.sum()} replies and at least {config.min_replies} are needed to "
            "train and test: add more chats, or lower group.min_replies if you only want to see it "
            "run. If somebody has just withheld their words: the older tables and the older model "
            "still hold them, and `make forget` removes all of it."
        )
    sessions = (
        turns.assign(mine=mine)
        .groupby("session")
        .agg(start=("start", "min"), replies=("mine", "sum"), given_split=("split", "first"))
    )
    timed = sessions["start"].notna() & sessions["given_split"].isna()
    names = pd.concat(
        [
            by_time(sessions[timed], config.validation, config.test),
            by_words(sessions[~timed], turns, config, by_opening),
        ]
    )
    replies = sessions["replies"].groupby(names).sum()
    if sessions["given_split"].isin(["validation", "test"]).all():
        raise UserError(
            "The data name all of themselves validation or test (in a column split, or in the name "
            "of a file or folder, as in test.csv), and nothing is left for train: call it "
            "otherwise, or add more data."
        )
    for name in NAMES:
        if not replies.get(name, 0):
            raise UserError(
                f"The author's {sessions['replies'].sum()} replies lie in "
                f"{(sessions['replies'] > 0).sum()} sessions, too few to keep whole ones apart: "
                f"nothing is left for {name}. Add more chats."
            )
    return turns.assign(split=turns["session"].map(names))


def by_time(sessions: pd.DataFrame, validation: float, test: float) -> pd.Series:
    """The split of each session (index; columns start and replies): train, validation, then test.

    Sessions of all chats stand in order of their start. Test takes whole sessions from the end
    until it holds the share `test` of the replies, validation the same before it.
    """
    replies = sessions.sort_values(["start"], kind="stable")["replies"]
    # Number of replies in later sessions: a session is test as long as these are less than the
    # share.
    later = replies[::-1].cumsum()[::-1] - replies
    total = replies.sum()
    names = pd.Series("train", index=replies.index)
    tested = later < test * total
    names[later < replies[tested].sum() + validation * total] = "validation"
    names[tested] = "test"
    return names


def by_words(
    sessions: pd.DataFrame, turns: pd.DataFrame, config: GroupConfig, by_opening: bool
) -> pd.Series:
    """The split of each session (index; columns replies and given_split): as given, else drawn.

    Groups of near-duplicates are ordered by a hash of `config.seed` and their words, which does not
    change when data are added. The first groups are test until it holds its share of the replies,
    the next ones validation, the rest train. A split that the data name is not drawn; one that
    they do not name is drawn from the sessions that they call train or leave open. An open session
    that is nearly the same as one with a split gets that split.
    """
    if sessions.empty:
        return pd.Series(dtype="str")
    texts = _texts(turns[turns["session"].isin(sessions.index)], by_opening).loc[sessions.index]
    rows = sessions.assign(
        group=duplicates.groups(texts.tolist(), config.near_duplicates),
        hash=[_hash(text, config.seed) for text in texts],
    )
    given_rows = rows.dropna(subset="given_split")
    # Of a group in several splits, the one that is tested: test, then validation, then train.
    named = given_rows.groupby("group")["given_split"].agg(lambda of: max(of, key=NAMES.index))
    names = rows["given_split"].fillna(rows["group"].map(named).astype("str"))
    # What the data call train may still be drawn for a split that they do not have.
    free = rows[names.isna() | names.eq("train")]
    free = free[~free["group"].isin(named[named.ne("train")].index)]
    groups = free.groupby("group").agg(hash=("hash", "min"), replies=("replies", "sum"))
    groups = groups.sort_values("hash")["replies"]
    split_of: dict[int, str] = {}
    for name, share in (("test", config.test), ("validation", config.validation)):
        if name not in set(given_rows["given_split"]):
            left = groups.drop(list(split_of))
            before = left.cumsum() - left  # a group is of the split while this is below its share
            chosen = left.index[before < share * rows["replies"].sum()]
            split_of |= dict.fromkeys(chosen, name)
    drawn = free["group"].map(split_of)
    return names.where(~names.index.isin(drawn.dropna().index), drawn).fillna("train")


def held_out_again(turns: pd.DataFrame, named: bool, config: GroupConfig, by_opening: bool) -> int:
    """How many train sessions nearly say what a held-out session says: the data's own split leaks.

    `turns` has the column split. 0 unless the data `named` splits: `by_words` keeps near-duplicates
    together, and sessions with times are not compared.
    """
    untimed = turns[turns["start"].isna()]
    if not named or untimed.empty:
        return 0
    texts = _texts(untimed, by_opening)
    names = untimed.groupby("session")["split"].first().loc[texts.index]
    group = pd.Series(duplicates.groups(texts.tolist(), config.near_duplicates), texts.index)
    held_out = group[names.ne("train")]
    return int((group.isin(held_out) & names.eq("train")).sum())


def _texts(turns: pd.DataFrame, by_opening: bool) -> pd.Series:
    """The words of each session, or of its first turn."""
    written = turns["messages"].map(" ".join).groupby(turns["session"], sort=False)
    return written.first() if by_opening else written.agg(" ".join)


def _hash(text: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {text}".encode()).hexdigest()
