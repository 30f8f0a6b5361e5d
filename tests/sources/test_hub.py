"""A data set of the hub is read like files of its splits; without a network a sentence says so."""

from pathlib import Path

import datasets
import pytest

from espejo.core.config import DataConfig
from espejo.core.errors import UserError
from espejo.sources import ParseConfig, hub, read_folder
from tests.helpers.configs import DATA

REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def offered(monkeypatch):
    """offered(splits) lets the hub have one data set; gives what it is asked for."""
    calls = []

    def offer(splits):
        def load_dataset(name, revision):
            calls.append((name, revision))
            return datasets.DatasetDict(
                {split: datasets.Dataset.from_dict(columns) for split, columns in splits.items()}
            )

        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return calls

    return offer


def read(folder, **data):
    config = DataConfig.model_validate(
        DATA | {"raw": str(folder), "dataset": "somebody/set", "revision": REVISION} | data
    )
    return read_folder(Path(folder), config, ParseConfig(min_understood=0.98, timezone="UTC"))


def test_dialogues_of_the_hub_have_the_splits_that_it_names(offered, tmp_path):
    calls = offered(
        {
            "train": {"dialog": [["hola", "buenas"], ["¿y?", "nada", "ah"]], "id": [1, 2]},
            "test": {"dialog": [["chau", "nos vemos"]], "id": [3]},
        }
    )
    table = read(tmp_path, kind="dialogues").messages
    assert calls == [("somebody/set", REVISION)]
    assert table["text"].tolist() == ["hola", "buenas", "¿y?", "nada", "ah", "chau", "nos vemos"]
    assert table["split"].tolist() == ["train"] * 5 + ["test"] * 2
    assert table["chat"].nunique() == 3


def test_a_data_set_of_the_hub_stands_in_place_of_the_folder(offered, tmp_path):
    offered({"train": {"question": ["¿uno?"], "answer": ["1"]}})
    (tmp_path / "invented.csv").write_text("question;answer\n¿dos?;2\n", "utf-8")
    table = read(tmp_path, kind="questions").messages
    assert table["text"].tolist() == ["¿uno?", "1"]


def test_columns_that_are_no_text_do_not_matter(offered, tmp_path):
    offered(
        {
            "train": {
                "question": ["¿uno?", "¿dos?"],
                "answer": ["1", "2"],
                "image": [b"\xff\x00", None],
                "score": [float("nan"), 1.0],
            }
        }
    )
    table = read(tmp_path, kind="questions").messages
    assert table["text"].tolist() == ["¿uno?", "1", "¿dos?", "2"]


def test_the_columns_may_be_named(offered, tmp_path):
    offered({"train": {"Frage": ["eins?"], "Antwort": ["1"]}})
    columns = {"question": "Frage", "answer": "Antwort"}
    assert read(tmp_path, kind="questions", columns=columns).messages["text"].tolist() == [
        "eins?",
        "1",
    ]


@pytest.mark.parametrize("revision", [None, "main", REVISION[:12]])
def test_what_may_change_tomorrow_is_no_revision(revision):
    with pytest.raises(UserError, match=r"data\.revision is .*expected the commit"):
        hub.fetch("somebody/set", revision)


def test_without_a_network_it_says_what_to_do(monkeypatch):
    def no_network(name, revision):
        raise ConnectionError(f"Couldn't reach '{name}' on the Hub (LocalEntryNotFoundError)")

    monkeypatch.setattr(datasets, "load_dataset", no_network)
    with pytest.raises(UserError) as error:
        hub.fetch("somebody/set", REVISION)
    sentence = str(error.value)
    assert "somebody/set" in sentence
    assert "download its files elsewhere" in sentence
