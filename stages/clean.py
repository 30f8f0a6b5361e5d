"""Keep what people wrote: drop notices, calls and bare media, and give the author one name.

    python -m stages.clean data/messages.parquet data/raw/demo/people.yaml \\
        data/clean.parquet metrics/clean.json
"""

import unicodedata
from pathlib import Path

import pandas as pd

from espejo import metrics, people, tables, whatsapp
from espejo.stage import params, run


def written(text: pd.Series, normalize: str, lowercase: bool, characters: str | None) -> pd.Series:
    """Texts as people wrote them, or as the recipe of the notebooks left them.

    `characters` is a class of regular expressions: what is not in it is removed, a line break
    becomes a space.
    """
    text = text.map(lambda words: unicodedata.normalize(normalize, words))
    if lowercase:
        text = text.str.lower()
    if characters:
        text = text.str.replace("\n", " ").str.replace(f"[^{characters}]", "", regex=True)
    return text.str.strip()


def clean(
    messages: pd.DataFrame,
    captions: bool = True,
    normalize: str = "NFC",
    lowercase: bool = False,
    characters: str | None = None,
) -> tuple[pd.DataFrame, dict]:
    """The messages with words of their own, and how many were dropped for each reason."""
    media = messages["kind"].eq("media")
    caption = messages["text"].where(~media, messages["text"].map(whatsapp.caption))
    text = written(caption, normalize, lowercase, characters)
    withheld = messages["kind"].eq("withheld")  # group needs to see where they were
    reason = messages["kind"].where(messages["kind"].ne("message") & ~withheld)
    if captions:
        reason = reason.mask(media & text.ne(""))
    reason = reason.mask(reason.isna() & text.eq("") & ~withheld, "empty")
    reason = reason.mask(reason.isna() & messages["timestamp"].isna(), "no_time")
    kept = messages.assign(text=text)[reason.isna()].reset_index(drop=True)
    return kept, reason.value_counts().to_dict()


def main(messages: Path, names: Path, cleaned: Path, account: Path) -> None:
    """Table MESSAGES and people.yaml (NAMES) -> table CLEANED, and the ACCOUNT of its messages."""
    table = tables.read(messages, tables.MESSAGES)
    who = people.read(names.parent)
    kept, dropped = clean(table, **params("clean"))
    kept["author"] = kept["author"].mask(kept["author"].isin(who.aliases), who.author)

    tables.write(kept, cleaned, tables.MESSAGES)
    counts = metrics.account("messages", len(table), len(kept), dropped)
    metrics.write({"messages": counts}, account)
    print(f"clean: {len(kept)} of {len(table)} messages kept")


if __name__ == "__main__":
    run(main)
