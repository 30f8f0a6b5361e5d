"""Apply people.yaml to the messages that were read."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from espejo.core.tables import WITHHELD
from espejo.privacy import nicknames
from espejo.privacy.people import SPEAKERS, check_people, read_people
from espejo.privacy.withholding import withhold


def apply_consents(folder: Path, messages: pd.DataFrame, bots: Collection[str]) -> pd.DataFrame:
    """Messages (as `sources.read` gives them) as the people in `folder/people.yaml` allow it.

    Names are spelt as the file has them, and people who withhold are left out (`withhold`), also
    under former names; the column all_names, which has these, is gone. `bots` are authors that are
    programs, whom nobody has to ask.

    Raises UserError as `check_people` does.
    """
    people = check_people(
        folder, writers(messages, bots), lambda names: nicknames.propose(messages, names)
    )
    spelt = messages["author"].map(people.spelling, na_action="ignore")
    messages = messages.assign(author=spelt)
    return withhold(messages, people.with_former_names(messages)).drop(columns="all_names")


def writers(messages: pd.DataFrame, bots: Collection[str]) -> dict[str, int]:
    """Who wrote how many messages (as `sources.read` gives them): the people who have to be asked.

    Not `bots`, and nobody who only forwarded what others wrote.
    """
    own = messages.loc[messages["kind"].ne("forwarded"), "author"]
    counts = messages["author"].value_counts()
    return counts[counts.index.isin(own.unique()) & ~counts.index.isin(list(bots))].to_dict()


def count_people(folder: Path, messages: pd.DataFrame, bots: Collection[str]) -> int:
    """How many people wrote messages (as `sources.read` gives them), or sent what others wrote.

    Several names of the author, and spellings of one name, are one person, as in
    `folder/people.yaml`; `bots` are nobody. Raises UserError as `read_people` does.
    """
    people = read_people(folder)
    names = {people.spelling(name) for name in {*messages["author"].dropna()} - {*bots}}
    return len(names - people.aliases) + bool(names & people.aliases)


def absent_in_words(folder: Path, messages: pd.DataFrame) -> str:
    """Which names under people in `folder/people.yaml` wrote nothing, for a summary; "" for none.

    That is right for somebody who is only mentioned; but a misspelt name withholds nobody.
    """
    people = read_people(folder)
    lines = "\n".join(messages["all_names"].dropna().unique()).split("\n")
    speakers = {people.spelling(name) for name in (*messages["author"].dropna(), *lines)}
    absent = [f"number {n}" for n, name in enumerate(people.consents, 1) if name not in speakers]
    if not absent:
        return ""
    return (
        f"; in people.yaml {', '.join(absent)} under people wrote nothing: only mentioned, "
        "or misspelt?"
    )


def name_speakers(messages: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Messages of data without people, whose speakers have the names in SPEAKERS.

    Tools that write roles call the two user and assistant.
    """
    learnt, other = SPEAKERS[kind]
    authors = messages["author"].replace({"assistant": learnt, "user": other})
    return messages.drop(columns="all_names").assign(author=authors)


def withheld_in_words(messages: pd.DataFrame) -> str:
    """How many messages were withheld, for a summary; "" for none."""
    withheld = messages["kind"].eq("withheld")
    own = int((withheld & messages["author"].eq(WITHHELD)).sum())
    if not withheld.any():
        return ""
    return (
        f", {withheld.sum()} of them withheld ({own} by people who withhold, "
        f"{withheld.sum() - own} of others that only repeat them)"
    )
