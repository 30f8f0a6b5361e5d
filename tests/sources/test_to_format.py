"""Chats of each app go from the export to the texts that a model reads, and nothing is lost."""

import json

import pytest
import yaml

from espejo.core import tables
from stages import clean, filter, format, group, parse
from tests.sources.files_of_apps import CAMI, JULI, WRITERS, talk

EXCHANGES = list(talk(60))
ROLES = {"user": CAMI, "assistant": JULI}


@pytest.fixture
def to_format(tmp_path, monkeypatch, composed):
    """to_format(*apps) runs the stages on a chat of each app; gives tables and accounts by name."""
    monkeypatch.chdir(tmp_path)
    raw, data, numbers = tmp_path / "raw", tmp_path / "data", tmp_path / "metrics"
    raw.mkdir()
    params = composed("model=smollm2", "format=chat")
    params["parse"]["timezone"] = "America/Argentina/Cordoba"
    params["group"]["min_replies"] = 10
    # Each app holds the same chat, so that nearly all would be dropped as said before.
    params["filter"] |= {"leaks": "keep", "duplicates": "keep", "near_duplicates": None}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")

    def run(*apps):
        for app in apps:
            WRITERS[app](raw, EXCHANGES)
        others = [CAMI] * (set(apps) != {"roles"}) + ["user"] * ("roles" in apps)
        authors = [JULI] * (set(apps) != {"roles"}) + ["assistant"] * ("roles" in apps)
        people = {"author": authors, "people": dict.fromkeys(others, "train")}
        (raw / "people.yaml").write_text(yaml.safe_dump(people, allow_unicode=True), "utf-8")
        table = {
            name: data / f"{name}.parquet"
            for name in (
                *("messages", "probes", "clean", "people", "turns", "examples", "filtered"),
                "formatted",
            )
        }
        account = {name: numbers / f"{name}.json" for name in ("parse", "clean", "group", "filter")}
        parse.main(raw, table["messages"], table["probes"], account["parse"])
        clean.main(
            *(table["messages"], raw, table["clean"], table["people"], account["clean"]),
            tmp_path / "personal.md",
        )
        group.main(
            *(table["clean"], table["people"], table["turns"], table["examples"]), account["group"]
        )
        filter.main(table["examples"], table["filtered"], account["filter"])
        format.main(
            *(table["filtered"], table["people"], table["formatted"], numbers / "format.json")
        )
        return table, {name: json.loads(path.read_text()) for name, path in account.items()}

    return run


def check(table, account, chats):
    """Each of the 60 replies of each of `chats` chats is an example, and stands in a text."""
    examples = tables.read(table["examples"], tables.EXAMPLES)
    formatted = tables.read(table["formatted"], tables.FORMATTED)
    replies = [text for _, author, text in EXCHANGES if author == JULI]
    assert sorted(text for reply in examples["reply"] for text in reply) == sorted(replies * chats)
    assert set(examples["split"]) == {"train", "validation", "test"}
    texts = "\n".join(formatted["text"])
    assert all(texts.count(reply) >= chats for reply in replies)
    assert account["parse"]["messages"]["in"] == account["parse"]["messages"]["out"] == 120 * chats
    assert account["clean"]["messages"]["dropped"] == {}
    assert account["group"]["turns"]["out"] == 60 * chats


@pytest.mark.parametrize("app", WRITERS)
def test_a_chat_of_each_app(app, to_format):
    table, account = to_format(app)
    check(table, account, 1)
    assert account["parse"]["apps"] == {app: 120}


def test_chats_of_all_apps_together(to_format):
    table, account = to_format(*WRITERS)
    check(table, account, len(WRITERS))
    people = tables.read(table["people"], tables.PEOPLE)
    assert people["name"].tolist() == [JULI, CAMI, "user"]  # one author under two names
    turns = tables.read(table["turns"], tables.TURNS)
    assert set(turns["author"]) == {JULI, CAMI, "user"}
