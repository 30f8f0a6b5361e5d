"""Which exports are of one chat, and their messages once.

Exports end at some ten thousand messages, so that people have several of a chat, overlapping, under
whatever names: "… (1).txt", a zip beside its own _chat.txt. So a chat is known by its messages: two
exports are of one where, in the time that both cover, they say the same. Two groups of one name
that share nothing are two chats.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

SHARED = 0.5  # of the messages in the time that two exports cover; both may have lost some since
MANY = 10  # messages by one voice that no list of greetings has
RENAMED = 3  # messages that show a person's other name
MOST = 0.8  # of the messages that a person shares with another export
NUMBER = re.compile(r"\+?\d[\d ().-]{6,}\d")  # of a phone, as `names.plain` leaves it


def joined(exports: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, int]:
    """The messages of some exports (tables as in `Export`), each once, and how many were twice.

    Chats stand in the order of their first exports, messages in the order of the exports. A message
    that stands twice in one file was sent twice and stays. Of a chat's names the newest export's
    is taken, and another chat of that name is called NAME (2).
    """
    if len(exports) < 2:
        return pd.concat(exports, ignore_index=True), 0
    keys = [_keys(export) for export in exports]
    names: Counter[str] = Counter()
    tables_of_chats = []
    for files in _chats(exports, keys):
        # From the oldest on, whatever they are called: the result does not depend on names.
        files = sorted(
            files,
            key=lambda index: (*_span(exports[index]), len(exports[index]), keys[index].sum()),
        )
        tables = _same_names([exports[index] for index in files], [keys[index] for index in files])
        whole = tables[0]
        for more in tables[1:]:
            whole = _merged(whole, more)
        name = _name([exports[index] for index in files])
        names[name] += 1
        if names[name] > 1:
            name = f"{name} ({names[name]})"
        tables_of_chats.append(
            whole.assign(chat=pd.Series(name, whole.index, dtype=whole["chat"].dtype))
        )
    table = pd.concat(tables_of_chats, ignore_index=True)
    return table, sum(map(len, exports)) - len(table)


def _span(export: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    return export["timestamp"].min(), export["timestamp"].max()


def _keys(export: pd.DataFrame) -> np.ndarray:
    """A number for each message that says when and what (uint64), whoever it is said to be by.

    Of media the caption counts: with media an export names the file, without it does not; what
    stands for a deleted message or a call is each phone's own. Android writes no seconds.
    """
    words = export["text"].where(export["kind"].ne("media"), export["caption"])
    words = words.mask(export["kind"].isin(["deleted", "call"]), "")
    hashes = pd.util.hash_array((export["kind"] + "\0" + words).to_numpy(object))
    when = pd.util.hash_array(_minutes(export).to_numpy().astype(np.int64))
    return hashes * np.uint64(0x9E3779B97F4A7C15) + when


def _minutes(export: pd.DataFrame) -> pd.Series:
    return export["timestamp"].dt.floor("min")


def _chats(exports: Sequence[pd.DataFrame], keys: Sequence[np.ndarray]) -> list[list[int]]:
    """The exports (by number) of each chat."""
    people = [export["author"].notna().to_numpy() for export in exports]
    holders: dict[int, set[int]] = defaultdict(set)
    for index, key in enumerate(keys):
        for first in np.unique(key[people[index]]).tolist():
            holders[first].add(index)
    pairs = {
        pair for some in holders.values() if len(some) > 1 for pair in combinations(sorted(some), 2)
    }
    chat = list(range(len(exports)))
    for first, second in sorted(pairs):
        if chat[first] != chat[second] and _one_chat(
            exports[first][people[first]],
            exports[second][people[second]],
            keys[first][people[first]],
            keys[second][people[second]],
        ):
            chat = [chat[first] if number == chat[second] else number for number in chat]
    return [
        [index for index, number in enumerate(chat) if number == each]
        for each in dict.fromkeys(chat)
    ]


def _one_chat(first: pd.DataFrame, second: pd.DataFrame, a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two exports' messages by people (and their keys) are of one chat.

    One message in common proves little: somebody sent a greeting to many. They have to agree in
    the time that both cover, and in who is there. Where one voice alone is heard in both and has
    an export to itself, it says many things in both, or the chats' names are one.
    """
    times = _minutes(first), _minutes(second)
    start, end = max(some.min() for some in times), min(some.max() for some in times)
    # Between, not at, its ends: a file may begin or stop in the middle of a minute.
    between = [some.between(start, end, inclusive="neither").to_numpy() for some in times]
    agree = np.isin(a[between[0]], b[between[1]]).sum()
    shared = np.isin(a, b).sum()
    voices = _voices(first, second, a, b)
    who = {voices.get(name, name) for name in first["author"].unique()}
    others = set(second["author"])
    alone = (who <= others or others <= who) and (
        min(len(who), len(others)) > 1
        or shared >= MANY
        or first["chat"].iloc[0] == second["chat"].iloc[0]
    )
    return bool(
        shared
        and agree >= SHARED * min(mask.sum() for mask in between)
        and (alone or len(set(voices.values())) > 1)
    )


def _voices(
    first: pd.DataFrame, second: pd.DataFrame, a: np.ndarray, b: np.ndarray
) -> dict[str, str]:
    """People of one export and what they are called in another: as in it, or otherwise now.

    Two people may say the same in one minute, so a name is another's only where most of what they
    share says so: some messages, or one where a number stands for a name.
    """
    old_keys = pd.DataFrame({"key": a, "old": first["author"]}).dropna()
    new_keys = pd.DataFrame({"key": b, "new": second["author"]}).dropna()
    both = old_keys.drop_duplicates().merge(new_keys.drop_duplicates(), on="key")
    renamed = {name: name for name in both.loc[both["old"].eq(both["new"]), "old"].unique()}
    left = both[~both["old"].isin(renamed) & ~both["new"].isin(renamed)]
    for old, some in left.groupby("old"):
        name, count = some["new"].mode()[0], some["new"].value_counts().iloc[0]
        number = NUMBER.fullmatch(old) or NUMBER.fullmatch(name)
        strange = name not in set(old_keys["old"]) and old not in set(new_keys["new"])
        if count >= MOST * some["key"].nunique() and count >= (
            1 if number and strange else RENAMED
        ):
            renamed[old] = name
    return renamed


def _same_names(
    tables: Sequence[pd.DataFrame], keys: Sequence[np.ndarray]
) -> Sequence[pd.DataFrame]:
    """The exports of a chat, with people called as in the newest: a number has got a name since."""
    newest = max(
        range(len(tables)), key=lambda index: (_span(tables[index])[1], len(tables[index]))
    )
    return [
        table.assign(
            author=table["author"].replace(
                _voices(table, tables[newest], keys[index], keys[newest]) if index != newest else {}
            )
        )
        for index, table in enumerate(tables)
    ]


def _merged(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Two exports of a chat as one, each message once, where both stand in their own order."""
    places: dict[tuple, int] = {}
    identities = []
    for table in (first, second):
        names, _ = pd.factorize(pd.concat([first["author"], second["author"]]))
        names = names[: len(first)] if table is first else names[len(first) :]
        some = pd.DataFrame({"key": _keys(table), "who": names})
        some["again"] = some.groupby(["key", "who"]).cumcount()
        identities.append(list(some.itertuples(index=False, name=None)))
    places = {identity: index for index, identity in enumerate(identities[0])}
    in_second = set(identities[1])
    times, later = first["timestamp"].tolist(), second["timestamp"].tolist()
    order, done = [], 0  # rows of `first`, then (from len(first) on) of `second`
    for row, identity in enumerate(identities[1]):
        place = places.get(identity)
        if place is None:
            while (
                done < len(first)
                and identities[0][done] not in in_second
                and times[done] <= later[row]
            ):
                order.append(done)
                done += 1
            order.append(len(first) + row)
        elif place >= done:
            order += range(done, place + 1)
            done = place + 1
    order += range(done, len(first))
    return pd.concat([first, second], ignore_index=True).iloc[order].reset_index(drop=True)


def _name(exports: Sequence[pd.DataFrame]) -> str:
    """What a chat is called: as in the newest export, without what marks that as a further copy."""
    named = [(export["chat"].iloc[0], export["timestamp"].max()) for export in exports]
    newest = max(time for _, time in named)
    name = min((name for name, time in named if time == newest), key=lambda name: (len(name), name))
    shorter = [other for other, _ in named if name.startswith(f"{other} ")]
    return min(shorter, key=len, default=name)
