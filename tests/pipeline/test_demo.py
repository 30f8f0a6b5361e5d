"""The demo chats: the files in git are rendered from the screenplays, and show a style."""

import random

import pandas as pd
import pytest
import yaml

from demo import render
from espejo import whatsapp
from espejo.dataset import novelty
from espejo.dataset.turns import turns
from espejo.privacy.cleaning import CleanConfig, clean
from tests.helpers.configs import split
from tests.helpers.workshop import ROOT

CHATS = {
    "cami": "Chat de WhatsApp con Cami.txt",
    "grupo": "Chat de WhatsApp con Asado y fanzines.txt",
    "mama": "Chat de WhatsApp con Mamá.txt",
    "tincho": "WhatsApp Chat - Tincho.zip",
}
CAST = {
    "J": "Juli",
    "M": "Mamá",
    "C": "Cami",
    "T": "Tincho",
    "R": "Rocco",
    "K": "Mechi",
}


@pytest.fixture(scope="module")
def exports():
    """The committed demo as the reader sees it, by screenplay."""
    return {name: whatsapp.read_file(render.RAW / file)[0] for name, file in CHATS.items()}


@pytest.fixture(scope="module")
def messages(exports):
    """All rows of the demo."""
    return pd.concat([export.messages for export in exports.values()], ignore_index=True)


def said_by(messages, author):
    """What somebody typed, without media and notices."""
    return messages.loc[messages["author"].eq(author) & messages["kind"].eq("message"), "text"]


def share(yes):
    return sum(yes) / len(yes)


def test_the_folder_in_git_is_what_the_renderer_writes(tmp_path, monkeypatch):
    committed = {path.name: path.read_bytes() for path in render.RAW.iterdir()}
    monkeypatch.setattr(render, "RAW", tmp_path / "demo")
    render.main()
    written = {path.name: path.read_bytes() for path in (tmp_path / "demo").iterdir()}
    del committed["people.yaml"]
    assert sorted(written) == sorted(committed) == sorted(CHATS.values())
    assert [name for name in written if written[name] != committed[name]] == []


@pytest.mark.parametrize("name", CHATS)
def test_every_line_of_a_screenplay_is_understood_and_comes_back_from_its_export(name, exports):
    # Lines with a mark for a session or pause write nothing; each other line is a message or
    # notice.
    screenplay = (render.HERE / "screenplays" / f"{name}.txt").read_text("utf-8")
    spoken = [line for line in screenplay.split("\n") if line and line[0] not in "@+"]
    expected = [None if line[0] == "*" else CAST[line[0]] for line in spoken]
    export = exports[name]
    assert [None if pd.isna(author) else author for author in export.messages["author"]] == expected
    assert export.lines_understood == export.lines
    assert export.lookalikes == 0


@pytest.mark.parametrize(
    "line",
    ["hola sin letra", "j: minúscula", "", "@ ayer", "@ 2025-13-01 10:00", "+diez", "Z: hola"],
)
def test_a_bad_line_is_named_by_its_number(line):
    screenplay = f"@ 2025-03-04 21:10\nJ: hola\n{line}\nC: ¡Hola!\n"
    with pytest.raises(ValueError, match="line 3 "):
        list(render.play(screenplay, {"J": "Juli", "C": "Cami"}, random.Random(1)))


def test_the_author_writes_unlike_everybody_else(messages):
    juli = said_by(messages, "Juli")
    assert len(juli) > 1000
    assert share([text[0].islower() for text in juli]) > 0.9
    assert share(["jaja" in text.lower() or "¿" in text or "¡" in text for text in juli]) < 0.01
    for partner in set(CAST.values()) - {"Juli"}:
        texts = said_by(messages, partner)
        assert len(texts) > 50, partner
        assert share([text[0].islower() for text in texts]) < 0.5, partner


def test_the_demo_is_big_enough_to_learn_from_and_small_enough_to_wait_for(messages):
    assert 2300 <= len(messages) <= 3100


def test_the_demo_shows_every_form_of_an_export(exports, messages):
    styles = {export.style for export in exports.values()}
    assert {"Android, 24-hour clock", "Android, 12-hour clock", "iPhone, 12-hour clock"} <= styles
    assert [export.name for export in exports.values() if export.name.endswith(".zip")] == [
        CHATS["tincho"]
    ]
    speakers = {name: export.messages["author"].nunique() for name, export in exports.items()}
    assert {name for name, count in speakers.items() if count > 2} == {"grupo"}
    assert speakers["grupo"] >= 4
    assert {"message", "media", "deleted", "system"} <= set(messages["kind"])
    assert messages["edited"].any()
    assert messages.loc[messages["kind"] == "message", "text"].str.contains("\n").any()


def test_the_demo_cannot_be_learnt_by_heart(messages):
    config = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))["clean"]
    whole = messages.assign(app="whatsapp", split=None)  # as parse writes it
    kept, _, spans = clean(whole, CleanConfig(**config), pseudonyms={})
    assert spans.empty  # everybody is invented, and so would be their numbers
    parted = split(turns(kept, "1h", "3h"), "Juli", validation=0.1, test=0.1, at_least=50)
    shares = novelty.of_author(parted, "Juli")
    assert shares["repeated_turns"] < 0.05
    assert shares["fourgrams_in_train"] <= 0.15
    # The shares mean something only where there is much to repeat.
    assert (parted["split"].eq("test") & parted["author"].eq("Juli")).sum() >= 50
