"""Keep what people wrote, without notices, calls and bare media, and without personal data.

    python -m stages.clean data/messages.parquet data/raw/demo \\
        data/clean.parquet data/people.parquet metrics/clean.json reports/personal_data.md
"""

from pathlib import Path

from espejo.core import files, metrics, tables
from espejo.core.config import DataConfig
from espejo.core.stage import params, run
from espejo.privacy import cleaning
from espejo.privacy.cleaning import CleanConfig
from espejo.privacy.people import people_of


def main(
    messages: Path,
    raw: Path,
    cleaned: Path,
    people_table: Path,
    metrics_json: Path,
    personal_data: Path,
) -> None:
    """Messages and people.yaml -> both as tables with the final names, and what was found."""
    config, people = params(CleanConfig), people_of(raw, params(DataConfig))
    exported = tables.read(messages, tables.MESSAGES)
    pseudonyms = people.pseudonyms(config.pseudonyms) if config.pseudonyms else {}
    kept, dropped, personal = cleaning.clean(exported, config, pseudonyms, people.nicknames)
    kept = cleaning.rename_people(kept, people, pseudonyms)

    tables.write(kept, cleaned, tables.CLEAN)
    listed = cleaning.people_table(people.pseudonymized(config.pseudonyms), kept)
    tables.write(listed, people_table, tables.PEOPLE)
    counts = metrics.account("messages", len(exported), len(kept), dropped)
    by_type = personal["type"].value_counts().sort_index().to_dict()
    metrics.write({"messages": counts, "personal_data": by_type}, metrics_json)
    files.write(cleaning.page(personal, config.pii), personal_data)
    print(
        f"clean: {len(kept)} of {len(exported)} messages kept, personal data {len(personal)} times "
        f"({config.pii}; {personal_data})"
    )


if __name__ == "__main__":
    run(main)
