"""From the records of all exports to one table: each message once, in order, with local times."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from hashlib import blake2b
from itertools import count

import numpy as np
import pandas as pd

from espejo.core import names
from espejo.sources.export import Export, Record

COLUMNS = (
    *("chat", "line", "timestamp", "author", "kind", "text", "edited", "caption"),
    *("app", "split", "origin", "all_names"),
)
_TEXTS = (
    *("chat_id", "chat", "author_id", "author", "kind", "text", "caption", "message_id"),
    *("origin", "split"),
)


def merge(
    exports: Sequence[Export], timezone: tzinfo, first_keeps_name: bool = False
) -> tuple[pd.DataFrame, int, frozenset[str]]:
    """The messages (COLUMNS) of all exports, how many were left out as repeated, and the bots.

    A message that several exports hold is taken from the newest of them. Chats are in the order of
    the exports; within one, instants decide the order and not the local clock, which runs back in
    the night when summer time ends. What has no time keeps its place. Two chats of one title stay
    two, the second is called TITLE (2), and so do two people of one name (`_names`).
    """
    parts = [_table(export).assign(export=number) for number, export in enumerate(exports)]
    records = pd.concat(parts, ignore_index=True)
    newest = records.groupby("export")["instant"].transform("max").fillna(-np.inf)
    order = records.assign(newest=newest).sort_values("newest", kind="stable").index
    identified = records["message_id"].ne("")
    repeated = records.loc[order].duplicated(["app", "chat_id", "message_id"], keep="last")
    repeated = repeated.reindex(records.index) & identified
    all_names = _all_names(records)
    records = records[~repeated].reset_index(drop=True)

    chat = records.groupby(["app", "chat_id"], sort=False).ngroup()
    # Before it is sorted, so that a record without a time follows the one that it stands behind.
    instant = records["instant"].groupby(chat).ffill().fillna(-np.inf)
    rows = np.lexsort((instant.to_numpy(), chat.to_numpy()))
    records, chat = records.iloc[rows].reset_index(drop=True), chat.iloc[rows]
    author = _names(records, first_keeps_name)
    bots = frozenset(author[records["bot"]]) - frozenset(author[~records["bot"]].dropna())
    return (
        records.assign(
            chat=_titles(records, chat.to_numpy()),
            all_names=_of_authors(records, all_names),
            author=author,
            timestamp=local_times(records["instant"], timezone),
        )[list(COLUMNS)],
        int(repeated.sum()),
        bots,
    )


def _table(export: Export) -> pd.DataFrame:
    """The records of one export as columns; instant is a float, NaN for none."""
    values = dict(zip(Record._fields, zip(*export.records, strict=True), strict=False))
    columns = {name: list(values.get(name, ())) for name in Record._fields}
    table = pd.DataFrame(
        {
            **{name: pd.Series(columns[name], dtype="str") for name in _TEXTS},
            "line": pd.Series(columns["line"], dtype="int64"),
            # Microseconds up to 2100 are below 2^53, so that a float holds each of them.
            "instant": pd.Series(columns["instant"], dtype="float64"),
            "edited": pd.Series(columns["edited"], dtype="bool"),
            "bot": pd.Series(columns["bot"], dtype="bool"),
        }
    )
    return table.assign(app=export.app)


def local_times(instants: pd.Series, timezone: tzinfo) -> pd.Series:
    """Microseconds since 1970 UTC (float, NaN for none) as local times without a zone.

    In whole seconds, as WhatsApp writes them.
    """
    times = pd.to_datetime(instants.fillna(0).astype("int64"), unit="us", utc=True)
    local = times.dt.tz_convert(timezone).dt.tz_localize(None).dt.floor("s")
    return local.astype("datetime64[us]").where(instants.notna())


def _names(records: pd.DataFrame, first_keeps_name: bool) -> pd.Series:
    """What the author of each record is called: by id, the name in the newest record with one.

    Two people of one name in an app are both called NAME (1234), with digits of their ids. If one
    kept the bare name, or if they were numbered in order, adding an older export could swap their
    names, and one's answer in people.yaml would count for the other. With `first_keeps_name`, who
    wrote first has the bare name: for tables that no people.yaml belongs to. People of one name in
    two apps are one. A program has the name that each of its messages shows: a bridge sends those
    of many people.
    """
    written = records[records["author_id"].notna() & ~records["bot"]]
    oldest_first = written.sort_values("instant", kind="stable", na_position="first")
    people = oldest_first.groupby(["app", "author_id"], sort=False)["author"].last()
    ids_of: defaultdict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for (app, author_id), newest in people.items():
        name = names.plain(newest) or "?"
        ids_of[app, names.key(name)][author_id] = name
    labels: dict[tuple[str, str], str] = {}
    for (app, _), namesakes in ids_of.items():
        codes = _codes(namesakes) if len(namesakes) > 1 else {}
        for index, (id_, name) in enumerate(namesakes.items()):
            bare = not codes or (first_keeps_name and index == 0)
            labels[app, id_] = name if bare else f"{name} ({codes[id_]})"
    called = _of_authors(records, labels)
    return called.mask(records["bot"], records["author"].map(names.plain, na_action="ignore"))


def _all_names(records: pd.DataFrame) -> dict[tuple[str, str], str]:
    """All names that exports show of each author, by app and id; a line each."""
    written = records[records["author_id"].notna() & ~records["bot"]]
    rows = written[["app", "author_id", "author"]].drop_duplicates()
    names_of: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for app, author_id, name in rows.itertuples(index=False):
        names_of[app, author_id].append(" ".join(names.plain(name).splitlines()))
    return {author: "\n".join(dict.fromkeys(lines)) for author, lines in names_of.items()}


def _of_authors(records: pd.DataFrame, values: Mapping[tuple[str, str], str]) -> pd.Series:
    """The value of each record's author, by app and id; null for none."""
    pairs = zip(records["app"], records["author_id"], strict=True)
    return pd.Series([values.get(pair) for pair in pairs], records.index, dtype="str")


def _codes(ids: Iterable[str]) -> dict[str, str]:
    """Digits that tell ids apart, four if that is enough; those of an id depend on no other one."""
    digits = {id_: str(int(blake2b(id_.encode()).hexdigest(), 16))[-40:] for id_ in ids}
    size = next(n for n in count(4) if len({code[:n] for code in digits.values()}) == len(digits))
    return {id_: code[:size] for id_, code in digits.items()}


def _titles(records: pd.DataFrame, chat: np.ndarray) -> pd.Series:
    """The title of each record's chat: that of its newest record, distinct among all chats."""
    newest = records.groupby(["app", chat], sort=False)["chat"].last()
    titles: dict[int, str] = {}
    for _, of_app in newest.groupby(level=0, sort=False):
        plain = [names.plain(name) or "chat" for name in of_app]
        titles |= zip(of_app.index.get_level_values(1), distinct_titles(plain), strict=True)
    return pd.Series([titles[number] for number in chat], records.index, dtype="str")


def distinct_titles(titles: Iterable[str]) -> Iterator[str]:
    """Yield each title, the second of one title as TITLE (2), and so on."""
    used: set[str] = set()
    copies: Counter[str] = Counter()
    for title in titles:
        free = title
        while free in used:
            copies[title] += 1
            free = f"{title} ({1 + copies[title]})"
        used.add(free)
        yield free
