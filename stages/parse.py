"""Read every export in the folder of raw chats into one table of messages.

python -m stages.parse data/raw/demo data/messages.parquet metrics/parse.json
"""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from espejo import metrics, people, tables, whatsapp
from espejo.errors import UserError
from espejo.stage import params, run


def understood(export: whatsapp.Export, least: float) -> whatsapp.Export:
    """Raise UserError when too many lines of a file stand before any message."""
    if export.lines_understood < least * export.lines:
        first = "; ".join(f"line {number}: {text[:40]!r}" for number, text in export.lost[:3])
        raise UserError(
            f"{export.name}: only {export.lines_understood} of {export.lines} lines belong to a "
            f"message. The first that do not: {first}. Remove them, or lower parse.min_understood."
        )
    return export


def whole(export: whatsapp.Export) -> whatsapp.Export:
    """Raise UserError when a line or character of a file went nowhere: a defect of ours."""
    lines, characters = export.account.missing
    if lines or characters:
        raise UserError(
            f"{export.name}: the reader lost count of {lines} lines and {characters} characters; "
            "the file is right and espejo is not: please report this with the account "
            f"{export.account} (it holds no words of the chat)."
        )
    return export


def merged(exports: list[whatsapp.Export]) -> tuple[pd.DataFrame, int]:
    """All messages once, and how many were left out because two files of one chat hold them.

    Exports end at some ten thousand messages, so that people have several, overlapping. A message
    that stands twice in one file was sent twice and stays.
    """
    files = [export.messages.assign(file=number) for number, export in enumerate(exports)]
    table = pd.concat(files, ignore_index=True)
    same = ["chat", "timestamp", "author", "kind", "text"]
    again = table.groupby(["file", *same], dropna=False).cumcount()
    twice = table[same].assign(again=again).duplicated()
    chats = [chat for _, chat in table[~twice].groupby("chat", sort=False)]
    in_order = [
        # One file is left in its own order; between several only time can decide.
        chat if chat["file"].nunique() == 1 else chat.sort_values("timestamp", kind="stable")
        for chat in chats
    ]
    return pd.concat(in_order, ignore_index=True).drop(columns="file"), int(twice.sum())


def withheld(table: pd.DataFrame, names: Collection[str]) -> pd.DataFrame:
    """Messages without word or name of those who said `withhold`: rows of kind withheld stay.

    Here and not in clean, so that no table of any stage holds their text; the rows stay because
    group leaves out what answers them. WhatsApp quotes people too ("Ana changed the subject to …").
    """
    theirs = table["author"].isin(names)
    about = pd.Series(False, index=table.index)
    for name in sorted(names):
        about |= table["author"].isna() & table["text"].str.contains(name, regex=False)
    return table.assign(
        author=table["author"].mask(theirs, people.WITHHELD),
        kind=table["kind"].mask(theirs, "withheld"),
        text=table["text"].mask(theirs | about, ""),
    )


def total(unit: str, accounts: list[dict[str, int]], kept: str) -> dict:
    """The account of all files: what stands in `kept` is out, all else was taken off."""
    parts = {reason: sum(account[reason] for account in accounts) for reason in accounts[0]}
    out = parts.pop(kept)
    return metrics.account(unit, out + sum(parts.values()), out, parts)


def main(raw: Path, messages: Path, account: Path) -> None:
    """Exports in RAW -> table MESSAGES, and the ACCOUNT of their lines."""
    least = params("parse")["min_understood"]
    exports = [
        understood(whole(whatsapp.read_file(path)), least) for path in whatsapp.exports_in(raw)
    ]
    table, twice = merged(exports)
    who = people.settled(raw, table["author"].value_counts().to_dict())
    writers = table["author"].nunique()
    table = withheld(table, who.who("withhold"))

    tables.write(table, messages, tables.MESSAGES)
    metrics.write(
        {
            "lines": total("lines", [export.account.lines for export in exports], "messages"),
            "characters": total(
                "characters", [export.account.characters for export in exports], "texts"
            ),
            "messages": metrics.account(
                "messages", len(table) + twice, len(table), {"exported_twice": twice}
            ),
            "files": len(exports),
            "people": writers,
            "kinds": table["kind"].value_counts().sort_index().to_dict(),
        },
        account,
    )
    for export in exports:
        print(f"  {export.name}: {len(export.messages)} messages, {export.decided}")
    held = int(table["kind"].eq("withheld").sum())
    print(
        f"parse: {len(table)} messages by {writers} people in {len(exports)} files"
        + (f", {held} of them withheld" if held else "")
    )


if __name__ == "__main__":
    run(main)
