"""Drop messages in which nobody wrote anything, and personal data in the others."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Literal

import pandas as pd

from espejo.core import escaping, tables
from espejo.core.config import Members, Section, kind
from espejo.privacy import pii
from espejo.privacy.people import People
from espejo.privacy.pseudonyms import replace_mentions

Normalization = Literal["NFC", "NFD", "NFKC", "NFKD"]
_PLACEHOLDERS = r"(?:<[a-z -]+> ?)+"  # what a forwarded medium without words has for a text
MAX_EXAMPLES = 5  # masked examples of each type in the report


def _check_pseudonym(pattern: str) -> None:
    if not re.fullmatch(r"\w*\{n\}\w*", pattern):
        raise ValueError


class CleanConfig(Section):
    """What is kept of each message."""

    section = "clean"
    captions: bool
    normalize: Normalization
    pseudonyms: Annotated[str, kind("one word with {n} in it", _check_pseudonym)] | None
    pii: Literal["replace", "drop", "keep"]
    lowercase: bool
    characters: Members | None


def written_texts(messages: pd.DataFrame, normalize: Normalization) -> pd.Series:
    """What people wrote in each message: its text, or the caption of a media message."""
    texts = messages["text"].where(messages["kind"].ne("media"), messages["caption"])
    return texts.map(lambda text: unicodedata.normalize(normalize, text)).str.strip()


def find_personal_data(texts: pd.Series) -> pd.DataFrame:
    """The personal data in texts, one row a match: message (index of `texts`), type, masked."""
    rows = [
        (index, match.type, pii.mask(match))
        for index, text in texts.items()
        for match in pii.find(text)
    ]
    return pd.DataFrame(rows, columns=["message", "type", "masked"])


def apply_recipe(texts: pd.Series, lowercase: bool, characters: str | None) -> pd.Series:
    """Texts cleaned as in the notebooks: only characters of the class `characters` are kept."""
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
    """Clean messages (tables.MESSAGES): drop those without text, replace or drop personal data.

    `pseudonyms` maps names to pseudonyms (empty: names stay), `nicknames` maps names to what else
    the person is called.

    Returns the messages that are kept (columns of tables.CLEAN), how many were dropped by reason,
    and the result of `find_personal_data`.
    """
    texts = written_texts(messages, config.normalize)
    if pseudonyms:
        replaced, _ = replace_mentions(texts, pseudonyms, nicknames)
        texts = pd.Series(replaced, texts.index, dtype="str")
    has_words = messages["kind"].isin(["message", "media", "forwarded"])
    personal_data = find_personal_data(texts[has_words])
    if config.pii == "replace":
        has_data = texts.index.isin(personal_data["message"])
        texts = texts.mask(has_data, texts[has_data].map(lambda text: pii.replace(text)[0]))
    texts = apply_recipe(texts, config.lowercase, config.characters)

    forwarded = messages["kind"].eq("forwarded")
    bare_medium = forwarded & messages["text"].str.fullmatch(_PLACEHOLDERS)
    withheld = messages["kind"].eq("withheld")  # kept: group leaves out the replies to them
    whole = messages["kind"].eq("message") | forwarded
    reason = messages["kind"].where(~whole & ~withheld).mask(bare_medium, "media")
    if config.captions:
        reason = reason.mask(messages["kind"].eq("media") & texts.ne(""))
    if config.pii == "drop":
        has_data = texts.index.isin(personal_data["message"])
        reason = reason.mask(reason.isna() & has_data, "personal_data")
    reason = reason.mask(reason.isna() & texts.eq("") & ~withheld, "empty")
    # In a chat whose messages have times; a dialogue has none at all.
    no_time = messages["timestamp"].isna()
    timed_chat = (~no_time).groupby(messages["chat"]).transform("any")
    reason = reason.mask(reason.isna() & no_time & timed_chat, "no_time")
    kept = messages.drop(columns="caption").assign(text=texts)[reason.isna()]
    return kept.reset_index(drop=True), reason.value_counts().to_dict(), personal_data


def rename_people(
    messages: pd.DataFrame, people: People, pseudonyms: Mapping[str, str]
) -> pd.DataFrame:
    """Messages with one name a person: the author's main name, and pseudonyms if there are any.

    What is forwarded, or written by a program, is by nobody: tables.FORWARDED. With pseudonyms
    chats are called CHAT_1, CHAT_2 …, because a chat's name may contain a person's.
    """
    author = messages["author"].mask(messages["author"].isin(people.aliases), people.author)
    author = author.mask(messages["kind"].eq("forwarded"), tables.FORWARDED)
    if not pseudonyms:
        return messages.assign(author=author)
    return messages.assign(
        author=author.map({**pseudonyms, **{name: name for name in tables.NOBODY}}),
        chat="CHAT_" + pd.Series(pd.factorize(messages["chat"])[0] + 1).astype("str"),
    )


def people_table(people: People, messages: pd.DataFrame) -> pd.DataFrame:
    """Table PEOPLE of `people`, who have their final names, and of what nobody in `messages` wrote.

    Its words are read and never learnt, as those of people who allow that alone.
    """
    table = people.table()
    if not messages["author"].eq(tables.FORWARDED).any():
        return table
    nobody = {"name": tables.FORWARDED, "is_author": False, "consent": "context", "mark": ""}
    return pd.concat([table, pd.DataFrame([nobody])], ignore_index=True)


def page(personal_data: pd.DataFrame, action: str) -> str:
    """The result of `find_personal_data` by type as Markdown, with masked examples.

    `action` is params clean.pii: what was done about the personal data.
    """
    rows = []
    for name, matches in personal_data.groupby("type"):
        examples = " · ".join(matches["masked"].drop_duplicates().head(MAX_EXAMPLES))
        rows.append((name, str(len(matches)), escaping.markdown(examples)))
    parts = [
        "# Personal data in the messages",
        f"What was done about it (`clean.pii`): {action}. Examples are masked.",
        escaping.table(("type", "found", "for example"), rows),
    ]
    return "\n\n".join(parts) + "\n"
