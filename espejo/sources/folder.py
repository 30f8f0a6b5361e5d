"""Read all data in a folder into one table, whatever apps it comes from."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import tzlocal

from espejo import whatsapp
from espejo.core import metrics, names, tables
from espejo.core.config import DataConfig, Section, Share, Timezone
from espejo.core.errors import UserError
from espejo.sources import hub, questions
from espejo.sources.export import Export, ExportError, Options, SourceFile
from espejo.sources.files import Contents, contents, reader_of
from espejo.sources.merging import distinct_titles, merge
from espejo.sources.registry import EVERY_READER, READERS, Kind, Reader

WHATSAPP = "whatsapp"  # in the column app
_EXPECTED = {
    "chats": "exports of chats (docs/sources.md)",
    "dialogues": "dialogues (JSON, JSONL, Parquet, CSV, or text with __eou__)",
    "questions": "questions and answers (CSV, TSV, JSON, JSONL or Parquet)",
}


class ParseConfig(Section):
    """Settings of the stage parse."""

    section = "parse"
    min_understood: Share
    timezone: Timezone | None


@dataclass(frozen=True)
class Folder:
    """The data of a folder, with each message once.

    `messages` has the columns of `whatsapp.read`, and app (str, the source), split (str, null where
    the source names none), origin (str, null: of a forwarded message whose words it holds) and
    all_names (str, null: those that the exports of an app show of the author, a line each).
    """

    files: int
    summaries: Sequence[tuple[str, int, str]]  # of each export: its name, messages and decisions
    accounts: Mapping[str, dict]  # by unit: where lines, characters, items and messages went
    replaced_bytes: int  # that were no text
    messages: pd.DataFrame
    bots: frozenset[str]  # authors that are programs
    probes: pd.DataFrame  # table PROBES
    others: int = 0  # files that came with an app's chats and hold none


def read_folder(folder: Path, data: DataConfig, config: ParseConfig) -> Folder:
    """Read the data set on the hub that `data` names, or else all data of its kind in `folder`.

    Raises ExportError (a UserError) for what cannot be read, and if there is nothing to read.
    """
    named = {"question": data.columns.question, "answer": data.columns.answer}
    columns = {use: name for use, name in named.items() if name}
    options = Options(zone(config.timezone), columns)
    if not data.dataset:
        return read_all(folder, data.kind, options, config.min_understood)
    readers = READERS[data.kind]
    by_reader: dict[Reader, list[SourceFile]] = {}
    for file in hub.fetch(data.dataset, data.revision):
        by_reader.setdefault(reader_of(file, readers) or readers[-1], []).append(file)
    return _read(Contents(by_reader), options)


def read_all(
    path: Path,
    kind: Kind | None,
    options: Options,
    min_understood: float = 0.0,
    first_keeps_name: bool = False,
) -> Folder:
    """Read all data of one kind, or of any (None), in a folder or a file.

    `min_understood` is as in `whatsapp.read_exports`, `first_keeps_name` as in `merging.merge`.
    Raises as `read_folder` does.
    """
    if not path.exists():
        raise ExportError(f"{path}: there is no such file or folder.")
    readers = READERS[kind] if kind else EVERY_READER
    inside = contents(path, readers, kind in ("chats", None), options.columns)
    if not inside.by_reader and not inside.whatsapp:
        mine = ", or run `make mine`" if kind == "chats" else ""
        raise ExportError(
            f"{path}: expected {_EXPECTED[kind or 'chats']} in this folder; copy yours there{mine}."
        )
    return _read(inside, options, min_understood, first_keeps_name)


def _read(
    inside: Contents,
    options: Options,
    min_understood: float = 0.0,
    first_keeps_name: bool = False,
) -> Folder:
    exports = [
        export
        for reader, files in inside.by_reader.items()
        for export in reader.read(files, options)
    ]
    chats = whatsapp.read_exports(inside.whatsapp, min_understood) if inside.whatsapp else None
    probes = questions.probes(inside.by_reader.get(questions, ()), options)
    files = len(inside.whatsapp) + sum(map(len, inside.by_reader.values()))
    return replace(
        join(files, exports, chats, options.timezone, probes, first_keeps_name),
        others=len(inside.unknown),
    )


def zone(name: str | None) -> tzinfo:
    """The time zone of an IANA name; that of this machine for None.

    Raises UserError for a name that there is not.
    """
    try:
        return ZoneInfo(name) if name else tzlocal.get_localzone()
    except (LookupError, ValueError, OSError):  # OSError: the name of a folder, "America"
        setting = f"timezone is {name!r}" if name else f"The variable TZ is {os.getenv('TZ')!r}"
        raise UserError(
            f"{setting}: expected an IANA name of a time zone such as America/Argentina/Cordoba."
        ) from None


def join(
    files: int,
    exports: Sequence[Export],
    chats: whatsapp.Folder | None,
    timezone: tzinfo,
    probes: Sequence[tuple[str, str]] = (),
    first_keeps_name: bool = False,
) -> Folder:
    """What all readers read, as one table.

    `files` is how many were read; `exports` come from the readers, `chats` from WhatsApp; `probes`
    are pairs of kind and question; `first_keeps_name` is as in `merging.merge`.

    Raises ExportError if there is no message.
    """
    parts, summaries, repeated, replaced = [], [], 0, 0
    accounts: dict[str, dict] = {}
    bots: frozenset[str] = frozenset()
    if chats:
        parts.append(chats.messages.assign(app=WHATSAPP, split=None, origin=None, all_names=None))
        summaries += [(chat.name, len(chat.messages), chat.decisions) for chat in chats.exports]
        accounts |= chats.accounts()
        repeated += chats.exported_twice
        replaced = sum(chat.account.replaced for chat in chats.exports)
    if exports:
        table, in_several, bots = merge(exports, timezone, first_keeps_name)
        parts.append(table)
        summaries += [(export.name, len(export.records), export.decisions) for export in exports]
        accounts["items"] = _account_of_items(exports)
        repeated += in_several
    if not parts:
        raise ExportError("All questions are without answers (probes): add a table with answers.")
    messages = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    kept = len(messages)
    if not kept:
        files_read = ", ".join(name for name, *_ in summaries[:3])
        raise ExportError(
            f"{files_read}: there is no message inside; export a chat that holds some."
        )
    accounts["messages"] = metrics.account(
        "messages", kept + repeated, kept, {"exported_twice": repeated}
    )
    return Folder(
        files=files,
        summaries=summaries,
        accounts=accounts,
        replaced_bytes=replaced,
        messages=messages.assign(
            chat=_distinct_titles(messages),
            author=_distinct_names(messages["author"]),
            **{name: messages[name].astype("str") for name in ("split", "origin", "all_names")},
        ),
        bots=bots,
        probes=pd.DataFrame(probes, columns=["kind", "prompt"], dtype="str"),
    )


def _account_of_items(exports: Sequence[Export]) -> dict:
    """Where the items of all files went; an item that vanished is a defect of the reader."""
    dropped: Counter[str] = Counter()
    for export in exports:
        if export.items != export.kept + sum(export.dropped.values()):
            raise ExportError(
                f"{export.name}: the reader lost count of its {export.items} items; the file is "
                "right and espejo is not: please report this."
            )
        dropped.update(export.dropped)
    items = sum(export.items for export in exports)
    kept = sum(export.kept for export in exports)
    return metrics.account("items", items, kept, dropped)


def _distinct_names(authors: pd.Series) -> pd.Series:
    """The names of authors; a person called like a word for nobody is NAME (1)."""
    called = {
        name: f"{name} (1)"
        for name in authors.dropna().unique()
        if names.key(name) in tables.NOBODY
    }
    return authors.replace(called) if called else authors


def _distinct_titles(messages: pd.DataFrame) -> pd.Series:
    """The titles of chats; another chat of the same title is called TITLE (2), in another app too.

    A table of `merge` calls each of its own chats differently.
    """
    chats = messages[["app", "chat"]].drop_duplicates()
    pairs = zip(chats["app"], chats["chat"], strict=True)
    titles = dict(zip(pairs, distinct_titles(chats["chat"]), strict=True))
    if all(chat == title for (_, chat), title in titles.items()):
        return messages["chat"]
    renamed = [titles[pair] for pair in zip(messages["app"], messages["chat"], strict=True)]
    return pd.Series(renamed, messages.index, dtype="str")
