"""Messages without what nobody wrote, and without personal data."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

import pandas as pd

from espejo.core import escaping
from espejo.core.config import Members, Section, kind
from espejo.privacy import pii
from espejo.privacy.people import WITHHELD, People
from espejo.privacy.pseudonyms import mentions

Normalization = Literal["NFC", "NFD", "NFKC", "NFKD"]
SHOWN = 5  # masked examples of a type on the page


def _pseudonym(pattern: str) -> None:
    if not re.fullmatch(r"\w*\{n\}\w*", pattern):
        raise ValueError


class CleanConfig(Section):
    """What is kept of each message."""

    section = "clean"
    captions: bool
    normalize: Normalization
    pseudonyms: Annotated[str, kind("one word with {n} in it", _pseudonym)] | None
    pii: Literal["replace", "drop", "keep"]
    lowercase: bool
    characters: Members | None


def written(messages: pd.DataFrame, normalize: Normalization) -> pd.Series:
    """What people wrote: the text, of media the caption."""
    texts = messages["text"].where(messages["kind"].ne("media"), messages["caption"])
    return texts.map(lambda text: unicodedata.normalize(normalize, text)).str.strip()


def personal_data(texts: pd.Series) -> pd.DataFrame:
    """The personal data in texts: one row a find, with message (index of `texts`), type, shown."""
    rows = [
        (index, match.type, pii.mask(match))
        for index, text in texts.items()
        for match in pii.find(text)
    ]
    return pd.DataFrame(rows, columns=["message", "type", "shown"])


def recipe(texts: pd.Series, lowercase: bool, characters: str | None) -> pd.Series:
    """Texts as the notebooks left them: what is no member of the class `characters` is removed."""
    if lowercase:
        texts = texts.str.lower()
    if characters:
        texts = texts.str.replace("\n", " ").str.replace(f"[^{characters}]", "", regex=True)
    return texts.str.strip()


def clean(
    messages: pd.DataFrame,
    config: CleanConfig,
    pseudonyms: Mapping[str, str],
    nicknames: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> tuple[pd.DataFrame, dict[str, int], pd.DataFrame]:
    """The messages (columns of tables.CLEAN) with words of their own; how many were dropped, by
    reason; and the `personal_data` in them.

    `given` maps names to pseudonyms, if there are any, and `nicknames` names to what else they are
    called.
    """
    texts = written(messages, config.normalize)
    if pseudonyms:
        texts = pd.Series(mentions(texts, pseudonyms, nicknames)[0], texts.index, dtype="str")
    personal = personal_data(texts[messages["kind"].isin(["message", "media"])])
    if config.pii == "replace":
        touched = texts.index.isin(personal["message"])
        texts = texts.mask(touched, texts[touched].map(lambda text: pii.replace(text)[0]))
    texts = recipe(texts, config.lowercase, config.characters)

    withheld = messages["kind"].eq("withheld")  # group needs to see where they were
    reason = messages["kind"].where(messages["kind"].ne("message") & ~withheld)
    if config.captions:
        reason = reason.mask(messages["kind"].eq("media") & texts.ne(""))
    if config.pii == "drop":
        reason = reason.mask(reason.isna() & texts.index.isin(personal["message"]), "personal_data")
    reason = reason.mask(reason.isna() & texts.eq("") & ~withheld, "empty")
    reason = reason.mask(reason.isna() & messages["timestamp"].isna(), "no_time")
    kept = messages.drop(columns="caption").assign(text=texts)[reason.isna()]
    return kept.reset_index(drop=True), reason.value_counts().to_dict(), personal


def renamed(messages: pd.DataFrame, people: People, pseudonyms: Mapping[str, str]) -> pd.DataFrame:
    """Messages with one name for each person: that of people.yaml, or what `given` has for it.

    With pseudonyms chats get numbers for names, which may hold a name.
    """
    author = messages["author"].mask(messages["author"].isin(people.aliases), people.author)
    if not pseudonyms:
        return messages.assign(author=author)
    return messages.assign(
        author=author.map({**pseudonyms, WITHHELD: WITHHELD}),
        chat="CHAT_" + pd.Series(pd.factorize(messages["chat"])[0] + 1).astype("str"),
    )


def page(personal: pd.DataFrame, done: str) -> str:
    """The `personal_data` by type, as Markdown; examples are masked, `done` is params clean.pii."""
    rows = []
    for name, finds in personal.groupby("type"):
        examples = " · ".join(finds["shown"].drop_duplicates().head(SHOWN))
        rows.append((name, str(len(finds)), escaping.markdown(examples)))
    parts = [
        "# Personal data in the messages",
        f"What was done about it (`clean.pii`): {done}. Examples are masked.",
        escaping.table(("type", "found", "for example"), rows),
    ]
    return "\n\n".join(parts) + "\n"
