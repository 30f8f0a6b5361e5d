"""Read every file in the folder of raw data into one table of messages.

python -m stages.parse data/raw/demo data/messages.parquet data/probes.parquet metrics/parse.json
"""

import sys
from pathlib import Path

from espejo import sources
from espejo.core import escaping, metrics, tables
from espejo.core.config import DataConfig
from espejo.core.stage import params, run
from espejo.privacy import consents
from espejo.sources import ParseConfig


def main(raw: Path, messages: Path, probes: Path, metrics_json: Path) -> None:
    """Files and people.yaml in RAW -> tables MESSAGES and PROBES, and what became of the files."""
    data, config = params(DataConfig), params(ParseConfig)
    folder = sources.read_folder(raw, data, config)
    if data.kind == "chats":
        table = consents.apply_consents(raw, folder.messages, folder.bots)
        writers = consents.count_people(raw, folder.messages, folder.bots)
        absent = consents.absent_in_words(raw, folder.messages)
    else:
        table = consents.name_speakers(folder.messages, data.kind)
        writers, absent = table["author"].nunique(), ""

    tables.write(table.drop(columns="origin"), messages, tables.MESSAGES)
    tables.write(folder.probes, probes, tables.PROBES)
    counts = {
        "files": folder.files,
        "other_files": folder.others,
        "chats": table["chat"].nunique(),
        "people": writers,
        "probes": len(folder.probes),
        "kinds": table["kind"].value_counts().sort_index().to_dict(),
        "apps": table["app"].value_counts().sort_index().to_dict(),
    }
    metrics.write(
        {**folder.accounts, "replaced_bytes": folder.replaced_bytes, **counts}, metrics_json
    )
    # Files are named after people: where DVC keeps what is printed, no name stands in it.
    for number, (file_name, count, decisions) in enumerate(folder.summaries, 1):
        name = file_name if sys.stdout.isatty() else f"file {number}"
        print(escaping.terminal(f"  {name}: {count} messages, {decisions}"))
    print(
        f"parse: {len(table)} messages by {writers} people in {folder.files} files"
        + consents.withheld_in_words(table)
        + absent
    )


if __name__ == "__main__":
    run(main)
