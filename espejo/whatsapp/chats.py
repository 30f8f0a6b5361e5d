"""Find the exports of the same chat, and merge them so that each message counts once.

An export has at most some ten thousand messages, so people have several overlapping exports of a
chat, under any names: "… (1).txt", a zip next to its own _chat.txt. So a chat is identified by its
messages: two exports are of the same chat if they agree in the period that both cover. Two groups
of the same name without shared messages are two chats.
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd

MIN_SHARE_IN_COMMON = 0.5  # of the messages in the period of both: either may have lost some
MIN_MESSAGES_OF_ONE_PERSON = 10  # more than one person's greetings to all friends
MIN_MESSAGES_OF_A_RENAMED = 3  # shared messages that prove a person's other name
MIN_SHARE_OF_A_RENAMED = 0.8  # of the messages a person shares with the other export
PHONE_NUMBER = re.compile(r"\+?\d[\d ().-]{6,}\d")  # as `authors.clean_name` spells it


def merge_exports(exports: Sequence[pd.DataFrame]) -> tuple[pd.DataFrame, int]:
    """Merge exports (tables as in `Export`); return the messages and the number of duplicates.

    Chats are in the order of their first exports, messages in the order of the exports. A message
    that is twice in one file was sent twice, and both are kept. A chat is called as in its newest
    export; another chat of the same name is called NAME (2).
    """
    if len(exports) < 2:
        return pd.concat(exports, ignore_index=True), 0
    keys = [_message_keys(export) for export in exports]
    name_counts: Counter[str] = Counter()
    tables_of_chats = []
    for indices in _group_by_chat(exports, keys):
        # Oldest first, so that the result does not depend on the names of files.
        indices = sorted(
            indices,
            key=lambda index: (*_time_span(exports[index]), len(exports[index]), keys[index].sum()),
        )
        tables = _with_newest_names(
            [exports[index] for index in indices], [keys[index] for index in indices]
        )
        merged = tables[0]
        for table in tables[1:]:
            merged = _merge_two(merged, table)
        name = _chat_name([exports[index] for index in indices])
        name_counts[name] += 1
        if name_counts[name] > 1:
            name = f"{name} ({name_counts[name]})"
        tables_of_chats.append(
            merged.assign(chat=pd.Series(name, merged.index, dtype=merged["chat"].dtype))
        )
    messages = pd.concat(tables_of_chats, ignore_index=True)
    return messages, sum(map(len, exports)) - len(messages)


def _time_span(export: pd.DataFrame) -> tuple[pd.Timestamp, pd.Timestamp]:
    return export["timestamp"].min(), export["timestamp"].max()


def _message_keys(export: pd.DataFrame) -> np.ndarray:
    """Return for each message a number that stands for its time, kind and text (uint64).

    It leaves out what differs between exports of a chat: the author's name; a medium's text beyond
    its caption (only exports with media name the file); the words for a deleted message or a call,
    which depend on the phone; and seconds, which Android does not write.
    """
    texts = export["text"].where(export["kind"].ne("media"), export["caption"])
    texts = texts.mask(export["kind"].isin(["deleted", "call"]), "")
    text_hashes = pd.util.hash_array((export["kind"] + "\0" + texts).to_numpy(object))
    minutes = pd.util.hash_array(_minutes(export).to_numpy().astype(np.int64))
    return text_hashes * np.uint64(0x9E3779B97F4A7C15) + minutes


def _minutes(export: pd.DataFrame) -> pd.Series:
    return export["timestamp"].dt.floor("min")


def _group_by_chat(exports: Sequence[pd.DataFrame], keys: Sequence[np.ndarray]) -> list[list[int]]:
    """Return the indices of the exports of each chat."""
    by_people = [export["author"].notna().to_numpy() for export in exports]
    unique = [np.unique(key[people]) for key, people in zip(keys, by_people, strict=True)]
    owners = np.repeat(np.arange(len(unique)), list(map(len, unique)))
    shared = pd.DataFrame({"key": np.concatenate(unique), "export": owners})
    shared = shared[shared["key"].duplicated(keep=False)]
    pairs = {
        pair
        for _, indices in shared.groupby("key")["export"]
        for pair in combinations(indices.tolist(), 2)
    }
    chat_of = list(range(len(exports)))
    for first, second in sorted(pairs):
        if chat_of[first] != chat_of[second] and _is_same_chat(
            exports[first][by_people[first]],
            exports[second][by_people[second]],
            keys[first][by_people[first]],
            keys[second][by_people[second]],
        ):
            chat_of = [chat_of[first] if chat == chat_of[second] else chat for chat in chat_of]
    return [
        [index for index, chat in enumerate(chat_of) if chat == each]
        for each in dict.fromkeys(chat_of)
    ]


def _is_same_chat(
    first: pd.DataFrame, second: pd.DataFrame, first_keys: np.ndarray, second_keys: np.ndarray
) -> bool:
    """Whether two exports' messages by people (`..._keys` are their keys) are of the same chat.

    One shared message proves little: people send a greeting to many. The exports must also agree in
    the period that both cover, and in their people. If one export has only one person, there must
    be many shared messages, or the chats must have the same name.
    """
    both = _minutes(first), _minutes(second)
    start, end = max(minutes.min() for minutes in both), min(minutes.max() for minutes in both)
    # Without the first and last minute: a file may begin or end in the middle of it.
    between = [minutes.between(start, end, inclusive="neither").to_numpy() for minutes in both]
    num_agreeing = np.isin(first_keys[between[0]], second_keys[between[1]]).sum()
    num_shared = np.isin(first_keys, second_keys).sum()
    matches = _match_people(first, second, first_keys, second_keys)
    people = {matches.get(name, name) for name in first["author"].unique()}
    other_people = set(second["author"])
    same_people = (people <= other_people or other_people <= people) and (
        min(len(people), len(other_people)) > 1
        or num_shared >= MIN_MESSAGES_OF_ONE_PERSON
        or first["chat"].iloc[0] == second["chat"].iloc[0]
    )
    return bool(
        num_shared
        and num_agreeing >= MIN_SHARE_IN_COMMON * min(mask.sum() for mask in between)
        and (same_people or len(set(matches.values())) > 1)
    )


def _match_people(
    first: pd.DataFrame, second: pd.DataFrame, first_keys: np.ndarray, second_keys: np.ndarray
) -> dict[str, str]:
    """Return for people of the first export their names in the second: the same or a new one.

    Two people may write the same in one minute. So a new name must have most of the messages that
    the old one shares with the second export, and some; one is enough if a phone number became a
    name.
    """
    old_keys = pd.DataFrame({"key": first_keys, "old": first["author"]}).dropna()
    new_keys = pd.DataFrame({"key": second_keys, "new": second["author"]}).dropna()
    shared = old_keys.drop_duplicates().merge(new_keys.drop_duplicates(), on="key")
    matches = {new: new for new in shared.loc[shared["old"].eq(shared["new"]), "old"].unique()}
    unmatched = shared[~shared["old"].isin(matches) & ~shared["new"].isin(matches)]
    for old, rows in unmatched.groupby("old"):
        new, count = rows["new"].mode()[0], rows["new"].value_counts().iloc[0]
        is_number = PHONE_NUMBER.fullmatch(old) or PHONE_NUMBER.fullmatch(new)
        is_new = new not in set(old_keys["old"]) and old not in set(new_keys["new"])
        if count >= MIN_SHARE_OF_A_RENAMED * rows["key"].nunique() and count >= (
            1 if is_number and is_new else MIN_MESSAGES_OF_A_RENAMED
        ):
            matches[old] = new
    return matches


def _with_newest_names(
    tables: Sequence[pd.DataFrame], keys: Sequence[np.ndarray]
) -> Sequence[pd.DataFrame]:
    """Return the exports of a chat, with people named as in the newest one.

    Somebody who was a phone number in an older export may have a name in it.
    """
    newest = max(
        range(len(tables)), key=lambda index: (_time_span(tables[index])[1], len(tables[index]))
    )
    return [
        table.assign(
            author=table["author"].replace(
                _match_people(table, tables[newest], keys[index], keys[newest])
                if index != newest
                else {}
            )
        )
        for index, table in enumerate(tables)
    ]


def _merge_two(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Merge two exports of a chat: each message once, in an order that agrees with both.

    Messages are the same if key and author are, and if they are the nth such message in both.
    """
    codes, _ = pd.factorize(pd.concat([first["author"], second["author"]]))
    identities = []
    for table, authors in ((first, codes[: len(first)]), (second, codes[len(first) :])):
        columns = pd.DataFrame({"key": _message_keys(table), "author": authors})
        columns["occurrence"] = columns.groupby(["key", "author"]).cumcount()
        identities.append(list(columns.itertuples(index=False, name=None)))
    row_in_first = {identity: row for row, identity in enumerate(identities[0])}
    in_second = set(identities[1])
    first_times, second_times = first["timestamp"].tolist(), second["timestamp"].tolist()
    # `order` has rows of the concatenated tables; `num_done` rows of `first` are in it.
    order, num_done = [], 0
    for row, identity in enumerate(identities[1]):
        first_row = row_in_first.get(identity)
        if first_row is None:
            while (
                num_done < len(first)
                and identities[0][num_done] not in in_second
                and first_times[num_done] <= second_times[row]
            ):
                order.append(num_done)
                num_done += 1
            order.append(len(first) + row)
        elif first_row >= num_done:
            order += range(num_done, first_row + 1)
            num_done = first_row + 1
    order += range(num_done, len(first))
    return pd.concat([first, second], ignore_index=True).iloc[order].reset_index(drop=True)


def _chat_name(exports: Sequence[pd.DataFrame]) -> str:
    """Return the chat's name in the newest export, without what was added for a further copy."""
    names_and_times = [(export["chat"].iloc[0], export["timestamp"].max()) for export in exports]
    newest = max(time for _, time in names_and_times)
    name = min(
        (name for name, time in names_and_times if time == newest),
        key=lambda name: (len(name), name),
    )
    shorter = [other for other, _ in names_and_times if name.startswith(f"{other} ")]
    return min(shorter, key=len, default=name)
