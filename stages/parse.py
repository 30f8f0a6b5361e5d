"""Read every export in the folder of raw chats into one table of messages.

python -m stages.parse data/raw/demo data/messages.parquet metrics/parse.json
"""

import sys
from pathlib import Path

from espejo import whatsapp
from espejo.core import escaping, metrics, tables
from espejo.core.stage import params, run
from espejo.privacy import nicknames
from espejo.privacy.people import WITHHELD, check_people
from espejo.privacy.withholding import withhold
from espejo.whatsapp import ParseConfig


def main(raw: Path, messages: Path, metrics_json: Path) -> None:
    """Exports and people.yaml in RAW -> table MESSAGES, and what became of the files' lines."""
    folder = whatsapp.read_folder(raw, params(ParseConfig).min_understood)
    table = folder.messages
    people = check_people(
        raw, table["author"].value_counts().to_dict(), lambda names: nicknames.propose(table, names)
    )
    table = table.assign(author=table["author"].map(people.spelling, na_action="ignore"))
    writers = table["author"].nunique()
    table = withhold(table, people)

    tables.write(table, messages, tables.MESSAGES)
    metrics.write(
        {
            **folder.accounts(),
            "replaced_bytes": sum(export.account.replaced for export in folder.exports),
            "files": folder.files,
            "chats": table["chat"].nunique(),
            "people": writers,
            "kinds": table["kind"].value_counts().sort_index().to_dict(),
        },
        metrics_json,
    )
    # Files are named after people: where DVC keeps what is printed, no name stands in it.
    for number, export in enumerate(folder.exports, 1):
        name = export.name if sys.stdout.isatty() else f"file {number}"
        print(escaping.terminal(f"  {name}: {len(export.messages)} messages, {export.decisions}"))
    withheld = table["kind"].eq("withheld")
    own = int((withheld & table["author"].eq(WITHHELD)).sum())
    print(
        f"parse: {len(table)} messages by {writers} people in {folder.files} files"
        + (
            f", {withheld.sum()} of them withheld ({own} by people who withhold, "
            f"{withheld.sum() - own} of others that only repeat them)"
            if withheld.any()
            else ""
        )
    )


if __name__ == "__main__":
    run(main)
