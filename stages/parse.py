"""Read every export in the folder of raw chats into one table of messages.

python -m stages.parse data/raw/demo data/messages.parquet metrics/parse.json
"""

import sys
from pathlib import Path

from espejo import whatsapp
from espejo.core import escaping, metrics, tables
from espejo.core.errors import UserError
from espejo.core.stage import params, run
from espejo.privacy import nicknames, people
from espejo.privacy.withholding import withheld


def understood(export: whatsapp.Export, least: float) -> whatsapp.Export:
    """Raise UserError when too many lines of a file are in no message, or doubtful."""
    if export.lines_understood < least * export.lines:
        strange = sorted([*export.lost, *export.doubtful])[:3]
        first = "; ".join(f"line {number}: {text[:40]!r}" for number, text in strange)
        raise UserError(
            f"{export.name}: only {export.lines_understood} of {export.lines} lines are understood "
            f"as part of a message ({export.decided}). The first that are not: {first}. If they "
            "are messages, please report their form; if not, remove them, or lower "
            "parse.min_understood."
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


def total(unit: str, accounts: list[dict[str, int]], kept: str) -> dict:
    """The account of all files: what stands in `kept` is out, all else was taken off."""
    parts = {reason: sum(account[reason] for account in accounts) for reason in accounts[0]}
    out = parts.pop(kept)
    return metrics.account(unit, out + sum(parts.values()), out, parts)


def main(raw: Path, messages: Path, account: Path) -> None:
    """Exports in RAW -> table MESSAGES, and the ACCOUNT of their lines."""
    least = params("parse")["min_understood"]
    files = whatsapp.exports_in(raw)
    exports = [
        understood(whole(export), least) for path in files for export in whatsapp.read_file(path)
    ]
    table, twice = whatsapp.joined([export.messages for export in exports])
    who = people.settled(
        raw, table["author"].value_counts().to_dict(), lambda name: nicknames.proposed(table, name)
    )
    table["author"] = table["author"].map(who.spelled, na_action="ignore")
    writers = table["author"].nunique()
    table = withheld(table, who)

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
            "replaced_bytes": sum(export.account.replaced for export in exports),
            "files": len(files),
            "chats": table["chat"].nunique(),
            "people": writers,
            "kinds": table["kind"].value_counts().sort_index().to_dict(),
        },
        account,
    )
    # Files are named after people: where DVC keeps what is printed, no name stands in it.
    for number, export in enumerate(exports, 1):
        name = export.name if sys.stdout.isatty() else f"file {number}"
        print(escaping.terminal(f"  {name}: {len(export.messages)} messages, {export.decided}"))
    held = int(table["kind"].eq("withheld").sum())
    print(
        f"parse: {len(table)} messages by {writers} people in {len(files)} files"
        + (f", {held} of them withheld" if held else "")
    )


if __name__ == "__main__":
    run(main)
