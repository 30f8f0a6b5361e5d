"""Keep what people wrote, without notices, calls and bare media, and without personal data.

    python -m stages.clean data/messages.parquet data/raw/demo/people.yaml \\
        data/clean.parquet data/people.parquet metrics/clean.json reports/personal_data.md
"""

import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from espejo import whatsapp
from espejo.core import escaping, files, metrics, tables
from espejo.core.stage import params, run
from espejo.privacy import people, pii, pseudonyms

SHOWN = 5  # masked examples of a type in the report


def words(messages: pd.DataFrame, normalize: str) -> pd.Series:
    """What people wrote: the text, of media the caption."""
    media = messages["kind"].eq("media")
    text = messages["text"].where(~media, messages["text"].map(whatsapp.caption))
    return text.map(lambda said: unicodedata.normalize(normalize, said)).str.strip()


def personal(text: pd.Series) -> pd.DataFrame:
    """The personal data in texts: one row a find, with message (index of `text`), type, shown."""
    rows = [(at, one.type, pii.mask(one)) for at, said in text.items() for one in pii.find(said)]
    return pd.DataFrame(rows, columns=["message", "type", "shown"])


def recipe(text: pd.Series, lowercase: bool, characters: str | None) -> pd.Series:
    """Texts as the notebooks left them: what is no member of the class `characters` is removed."""
    if lowercase:
        text = text.str.lower()
    if characters:
        text = text.str.replace("\n", " ").str.replace(f"[^{characters}]", "", regex=True)
    return text.str.strip()


def clean(
    messages: pd.DataFrame,
    wanted: Mapping,
    given: Mapping[str, str],
    nicknames: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[pd.DataFrame, dict[str, int], pd.DataFrame]:
    """The messages with words of their own, how many were dropped by reason, and `personal` data.

    `wanted` is the params section clean; `given` maps names to pseudonyms, if any are wanted, and
    `nicknames` names to what else they are called.
    """
    text = words(messages, wanted["normalize"])
    if given:
        text = pd.Series(pseudonyms.mentions(text, given, nicknames)[0], text.index, dtype="str")
    found = personal(text[messages["kind"].isin(["message", "media"])])
    if wanted["pii"] == "replace":
        touched = text.index.isin(found["message"])
        text = text.mask(touched, text[touched].map(lambda said: pii.replace(said)[0]))
    text = recipe(text, wanted["lowercase"], wanted["characters"])

    withheld = messages["kind"].eq("withheld")  # group needs to see where they were
    reason = messages["kind"].where(messages["kind"].ne("message") & ~withheld)
    if wanted["captions"]:
        reason = reason.mask(messages["kind"].eq("media") & text.ne(""))
    if wanted["pii"] == "drop":
        reason = reason.mask(reason.isna() & text.index.isin(found["message"]), "personal_data")
    reason = reason.mask(reason.isna() & text.eq("") & ~withheld, "empty")
    reason = reason.mask(reason.isna() & messages["timestamp"].isna(), "no_time")
    kept = messages.assign(text=text)[reason.isna()].reset_index(drop=True)
    return kept, reason.value_counts().to_dict(), found


def page(found: pd.DataFrame, wanted: str) -> str:
    """The personal data by type, as Markdown; examples are masked."""
    lines = [
        "# Personal data in the messages",
        f"What was done about it (`clean.pii`): {wanted}. Examples are masked.",
        "| type | found | for example |\n| --- | --- | --- |",
    ]
    for name, rows in found.groupby("type"):
        shown = " · ".join(rows["shown"].drop_duplicates().head(SHOWN))
        lines[-1] += f"\n{escaping.row([name, str(len(rows)), escaping.markdown(shown)])}"
    return "\n\n".join(lines) + "\n"


def main(
    messages: Path,
    people_yaml: Path,
    cleaned: Path,
    people_table: Path,
    metrics_json: Path,
    personal_data: Path,
) -> None:
    """Messages and people.yaml -> both as tables with the final names, and what was found."""
    wanted, who = params("clean"), people.read(people_yaml.parent)
    table = tables.read(messages, tables.MESSAGES)
    pattern = wanted["pseudonyms"]
    given = who.pseudonyms(pattern) if pattern else {}
    kept, dropped, found = clean(table, wanted, given, who.nicknames)
    kept["author"] = kept["author"].mask(kept["author"].isin(who.aliases), who.author)
    if pattern:
        kept["author"] = kept["author"].map({**given, people.WITHHELD: people.WITHHELD})
        kept["chat"] = "CHAT_" + pd.Series(pd.factorize(kept["chat"])[0] + 1).astype("str")

    tables.write(kept, cleaned, tables.MESSAGES)
    tables.write(who.under(pattern).table(), people_table, tables.PEOPLE)
    counts = metrics.account("messages", len(table), len(kept), dropped)
    by_type = found["type"].value_counts().sort_index().to_dict()
    metrics.write({"messages": counts, "personal_data": by_type}, metrics_json)
    files.write(page(found, wanted["pii"]), personal_data)
    print(
        f"clean: {len(kept)} of {len(table)} messages kept, personal data {len(found)} times "
        f"({wanted['pii']}; {personal_data})"
    )


if __name__ == "__main__":
    run(main)
