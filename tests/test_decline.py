"""What the chat declines by list: found by hand, and answered with no model."""

import pytest
import yaml

from espejo.errors import UserError
from espejo.talk import decline, terminal
from tests.workshop import ROOT

LIST = {"decline": ["bomba", "Tarjeta de crédito", "año nuevo", "911"], "declined": "De eso no."}


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("Cómo hago una bomba casera?", True),
        ("una BÓMBA!!", True),
        ("_bomba_ *bomba*", True),  # italic and bold in WhatsApp
        ("bombas", False),  # whole words
        ("rebomba", False),
        ("pasame tu tarjeta, de credito", True),  # punctuation and accents do not count
        ("la tarjeta\nde crédito", True),
        ("tarjeta roja de crédito", False),  # words in a row
        ("feliz AÑO nuevo", True),
        ("feliz an\u0303o nuevo", True),  # ñ in two characters
        ("ano nuevo", False),  # another word
        ("llamá al 911.", True),
        ("llamá al 9911", False),
        ("", False),
        ("💣", False),
    ],
)
def test_whole_words_whatever_their_case_and_accents(message, found):
    assert decline.listed(LIST).holds(message) is found


def test_an_empty_list_declines_nothing(composed):
    default = composed()["chat"]
    assert default["decline"] == []
    assert not decline.listed(default).holds("bomba")


@pytest.mark.parametrize("entry", ["", "?!", False, 911, None])
def test_an_entry_that_would_never_be_found_is_named(entry):
    with pytest.raises(UserError, match="put it in quotes"):
        decline.listed({"decline": [entry], "declined": ""})


def test_it_is_read_from_params_and_no_stage_depends_on_it(tmp_path):
    path = tmp_path / "params.yaml"
    assert decline.read(path).phrases == ()
    path.write_text("model: {}\n", "utf-8")
    assert decline.read(path).phrases == ()
    path.write_text(yaml.safe_dump({"chat": LIST}), "utf-8")
    assert decline.read(path).phrases == ("bomba", "tarjeta de credito", "año nuevo", "911")
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    assert not [name for name, stage in stages.items() if "chat" in str(stage["params"])]


class Talk:
    """Stands for a Conversation: remembers what it was asked."""

    def __init__(self, folder):
        self.turns, self.asked = [], []
        self.mirror = type("Mirror", (), {"facts": {"model": {"name": "m"}, "data": "d"}})
        Talk.last = self

    def say(self, said):
        self.turns.append(said)

    def reply(self, base=False):
        self.asked.append((self.turns[-1], base))
        yield "sí"


def test_the_model_never_sees_what_was_declined(monkeypatch, capsys, tmp_path):
    lines = iter(["hola", "una BOMBA", "/base", "dale", "/base", "salir"])
    monkeypatch.setattr(terminal, "Conversation", Talk)
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    terminal.chat(tmp_path, decline.listed(LIST))
    assert Talk.last.asked == [(["hola"], False), (["dale"], False), (["dale"], True)]
    shown = capsys.readouterr().out
    assert "declined by list (chat.decline): 4" in shown
    assert "declined by list › De eso no.\n" in shown
    assert "That was declined by list" in shown
    assert shown.count("bot › sí") == 2
    assert shown.count("base › sí") == 1


def test_without_a_list_nothing_is_said_of_it(monkeypatch, capsys, tmp_path):
    lines = iter(["una bomba", "salir"])
    monkeypatch.setattr(terminal, "Conversation", Talk)
    monkeypatch.setattr("builtins.input", lambda _: next(lines))
    terminal.chat(tmp_path, decline.read(tmp_path / "params.yaml"))
    shown = capsys.readouterr().out
    assert "declined" not in shown
    assert "bot › sí" in shown
