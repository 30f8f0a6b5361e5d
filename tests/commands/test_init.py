"""`espejo init`: by questions in a terminal, by flags, and what is on the disk afterwards."""

import errno
import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from string import Formatter

import pexpect
import pytest
import yaml
from rich.console import Console

from espejo.commands import asking, collecting, estimate, exports, init, own_chats, proposal
from espejo.commands.init_wording import InitWording, language_of
from espejo.core import files
from espejo.core.errors import UserError
from espejo.privacy import people, people_file
from tests.helpers import workshop
from tests.helpers.dialogue import COMMAND, GROUP, WRITERS, answer, ended, export, tree
from tests.helpers.workshop import ROOT, environment, run

FLAGS = {"me": ["Ana", "Ana (vieja)"], "consents": [], "others": "context", "model": "smollm2"}


def flagged(*exports, **flags):
    init.main([str(path) for path in exports], **{**FLAGS, **flags})


def written():
    """people.yaml without its comments."""
    text = (own_chats.RAW / "people.yaml").read_text("utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


# In a terminal


def test_a_person_is_asked_for_everything(terminal, downloads):
    child = terminal()
    answer(child, "Exports", "/nowhere/at all")
    child.expect_exact("/nowhere/at all: there is no such file or folder.")
    answer(child, "Exports", "")
    child.expect_exact("Type the path of a file or a folder.")
    answer(child, "Exports", str(downloads).replace(" ", "\\ "))  # as a terminal of macOS drags it
    answer(child, "1 file so far. Another path (Enter: no more)", "")
    rows = {
        name: rf"{number}\s+{re.escape(name)}\s+{count}\s+1\b" for number, (name, count) in ROWS
    }
    child.expect(r"\s+".join(rows.values()))
    answer(child, "Which of them are you? (1, or 1,4 for two names)", "9")
    child.expect_exact("Type numbers from 1 to 5")
    answer(child, "Which of them are you?", "2,4")
    child.expect_exact("Ask them: their words are in your chats.")
    answer(child, "Bruno (9)", "perhaps")
    child.expect_exact("'perhaps' is no answer: type train, context or withhold.")
    answer(child, "Bruno (9)", "t")
    answer(child, "Carla (7)", "")
    answer(
        child, "What else is Carla called? (commas between; Enter: nothing)", "la flaca,  Lita ,"
    )
    answer(child, "Dario (2)", "context")
    child.expect_exact("there is no graphics card that torch can use")
    answer(child, "Another model?", "gpt9")
    child.expect_exact("There is no model 'gpt9'; there are deepseek-qwen, eurollm-1.7b")
    answer(child, "Another model?", "smollm2")
    end, status = ended(child)

    assert status == 0
    assert "    dvc exp run -S data=mine -S model=smollm2 -S experiment=smoke\r\n" in end
    assert "    dvc exp run -S data=mine -S model=smollm2\r\n" in end
    assert end.index("experiment=smoke") < end.index("the real one") < end.index("espejo chat")
    assert written() == [
        'author: ["Ana", "Ana (vieja)"]',
        "people:",
        "  Bruno: train",
        "  Carla: withhold",  # Enter
        "  Dario: context",
        "aliases:",
        '  Carla: ["la flaca", "Lita"]',
    ]
    assert (own_chats.RAW / GROUP).read_text("utf-8") == export(WRITERS)
    assert (downloads / GROUP).exists()
    assert "pseudonyms: PERSON_{n}\n" in own_chats.CONF.read_text("utf-8")
    # The check that the pipeline makes: nothing is missing.
    settled = people.check_people(own_chats.RAW, WRITERS)
    assert settled.author == "Ana"


ROWS = list(enumerate(WRITERS.items(), 1))


def test_one_answer_is_for_all_who_follow(terminal, downloads):
    child = terminal("--exports", str(downloads), "--me", "Ana", "--model", "smollm2")
    answer(child, "Bruno (9)", "")
    answer(child, "What else is Bruno called?", "No")
    answer(child, "Carla (7)", "c rest")
    assert ended(child)[1] == 0
    assert written() == [
        "author: Ana",
        "people:",
        "  Bruno: withhold",
        "  Carla: context",
        "  Ana (vieja): context",
        "  Dario: context",
    ]


def test_once_more_asks_for_the_new_people_alone_and_changes_no_line(terminal, downloads):
    own_chats.RAW.mkdir(parents=True)
    shutil.copy(downloads / GROUP, own_chats.RAW)
    before = (
        f"# salt: {'0' * 32}\n# mine, by hand\nauthor: Ana   # me\npeople:\n"
        "  Dario: withhold   # asked on Monday\n  Carla: context\n\n"
        "  # met at the club\n  Bruno: train\n  Ana (vieja):\naliases:\n  Carla: [Carlota]\n"
    )
    (own_chats.RAW / "people.yaml").write_text(before, "utf-8")
    # The next export of the same chat has the same name, and another chat comes along.
    grown = export(WRITERS) + export({"Ana": 1, "Elisa": 1}, datetime(2025, 4, 1))
    (downloads / GROUP).write_text(grown, "utf-8")
    with_fabio = export({"Ana (vieja)": 2, "Ana (nueva)": 3, "Fabio": 1}, datetime(2025, 5, 1))
    (downloads / "WhatsApp Chat with Fabio.txt").write_text(with_fabio, "utf-8")

    child = terminal("--model", "smollm2")
    child.expect_exact(f"data/raw/mine has these already: {GROUP}.")
    answer(child, "1 file so far. Another path (Enter: no more)", f"'{downloads}'")
    answer(child, "3 files so far. Another path (Enter: no more)", "")
    # The 30 messages of the first export.
    child.expect_exact("Messages that stand in several exports of one chat count once: 30.")
    child.expect(r"Ana\s+9\s+1\s+you")  # one is new, eight stand in both exports
    child.expect(r"Bruno\s+9\s+1\s+train")
    answer(child, "Is one of the new ones you, under another name?", "Ana (nueva)")
    answer(child, "Ana (vieja) (6)", "c")
    answer(child, "Elisa (1)", "t")
    answer(child, "Fabio (1)", "w")
    answer(child, "What else is Fabio called?", "Fabi")
    assert ended(child)[1] == 0
    expected = (
        before.replace("author: Ana ", 'author: [Ana, "Ana (nueva)"] ')
        .replace("  Ana (vieja):", "  Ana (vieja): context")
        .replace("aliases:", '  Elisa: train\n  Fabio: withhold\naliases:\n  Fabio: ["Fabi"]')
    )
    assert (own_chats.RAW / "people.yaml").read_text("utf-8") == expected
    assert tree(own_chats.RAW) == {
        GROUP: export(WRITERS).encode(),
        GROUP.replace(".txt", " (2).txt"): grown.encode(),
        "WhatsApp Chat with Fabio.txt": with_fabio.encode(),
        "people.yaml": expected.encode(),
    }
    # Neither a person nor an export is new: no other question is asked, and nothing changes.
    child = terminal("--model", "smollm2")
    answer(child, "3 files so far. Another path (Enter: no more)", "")
    assert ended(child)[1] == 0
    assert (own_chats.RAW / "people.yaml").read_text("utf-8") == expected


CTRL_C = ("\x03", 130, "espejo: stopped by Ctrl-C; nothing was written.")
CTRL_D = ("\x04", 1, "espejo: stopped by Ctrl-D; nothing was written.")


@pytest.mark.parametrize(
    ("question", "flags", "stop"),
    [
        ("Exports", [], CTRL_D),
        ("Which of them are you?", ["--exports"], CTRL_C),
        ("Bruno (9)", ["--me", "Ana", "--exports"], CTRL_D),
        ("Another model?", ["--me", "Ana", "--others", "c", "--exports"], CTRL_C),
    ],
)
def test_whoever_stops_has_written_nothing(question, flags, stop, terminal, downloads):
    key, status, sentence = stop
    if flags:
        flags = [*flags, str(downloads)]
    before = tree(Path())
    child = terminal(*flags)
    child.expect_exact(question)
    child.expect_exact("›")
    child.send(key)
    end, ended_with = ended(child)
    assert ended_with == status
    assert sentence in end
    assert "Traceback" not in end
    assert tree(Path()) == before
    assert not Path("data").exists()


def test_a_name_cannot_command_the_terminal(terminal, downloads):
    hostile = "Eva\x1b]0;owned\x07 [red]:cat:\u202exyz"
    (downloads / GROUP).write_text(export({"Ana": 3, hostile: 2}), "utf-8")
    (downloads / "no\x1b[31m.txt").write_text("no export\n", "utf-8")
    child = terminal("--exports", str(downloads), "--me", "Ana", "--model", "smollm2")
    child.logfile_read = (log := open(downloads / "log", "w", encoding="utf-8"))  # noqa: SIM115
    answer(child, "Eva\ufffd]0;owned\ufffd [red]:cat:xyz (2)", "context")
    end, status = ended(child)
    log.close()
    assert status == 0
    output = (downloads / "log").read_text("utf-8")
    assert "Left out: no\ufffd[31m.txt" in output
    assert not set(output) & set("\x07\u202e")
    assert "\x1b]" not in output
    assert "\x1b[31m" not in output


# In Spanish


def test_in_a_spanish_terminal_it_asks_in_spanish(project, downloads, terminal):
    messages = {"Ana": 1002, "Bruno": 1, "Carla": 1}
    (downloads / GROUP).write_text(export(messages), "utf-8")
    child = terminal("--exports", str(downloads), LC_ALL="", LANG="es_AR.UTF-8")
    child.expect_exact(f"WhatsApp: 1 chat, 1.004 mensajes ({GROUP}).")
    child.expect("nombre.*mensajes.*chats")
    child.expect(r"Ana\s+1\.002")
    answer(child, "¿Quién de estas personas sos vos? (1, o 1,3 si son dos nombres)", "1")
    child.expect_exact("withhold  queda afuera, con toda respuesta a sus mensajes")
    answer(child, "Bruno (1)", "quizás")
    child.expect_exact("'quizás' no es una respuesta: escribí train, context o withhold.")
    answer(child, "Bruno (1)", "c resto")
    child.expect_exact("no hay una placa de video que torch pueda usar")
    answer(child, "¿Otro modelo?", "smollm2")
    end, status = ended(child)
    assert status == 0
    assert "Escrito: data/raw/mine/people.yaml" in end
    assert "# la corrida de verdad" in end
    assert written() == ["author: Ana", "people:", "  Bruno: context", "  Carla: context"]


def test_a_flag_wins_over_the_terminal_and_ctrl_c_answers_in_its_language(terminal, downloads):
    child = terminal("--language", "es", "--exports", str(downloads))
    child.expect_exact("¿Quién de estas personas sos vos?")
    child.send("\x03")
    end, status = ended(child)
    assert status == 130
    assert "espejo: detenido con Ctrl-C; no se escribió nada." in end


def test_one_name_is_offered_as_one(project, downloads, terminal):
    (downloads / GROUP).write_text(export({"Ana": 2}), "utf-8")
    answer(terminal("--exports", str(downloads)), "Which of them are you? (1)", "1")


def sentences(language):
    """Every sentence by its key, and the placeholders in it."""

    def below(node, key):
        if isinstance(node, str):
            return {key: sorted(name for _, name, _, _ in Formatter().parse(node) if name)}
        return {
            place: names
            for part in node
            for place, names in below(node[part], f"{key}.{part}").items()
        }

    path = InitWording.folder / f"{language}.yaml"
    return below(yaml.safe_load(path.read_text("utf-8")), "")


def test_both_languages_have_the_same_sentences_and_placeholders():
    assert sentences("es") == sentences("en")
    assert sentences("en")[".errors.answered"] == ["answer", "name", "people"]


def test_the_numbers_are_written_as_the_language_does():
    assert [InitWording(language).number(1234.56, 1) for language in ("en", "es")] == [
        "1,234.6",
        "1.234,6",
    ]
    assert InitWording("es").number(1002) == "1.002"


@pytest.mark.parametrize(
    ("variables", "language"),
    [
        ({"LANG": "es_AR.UTF-8"}, "es"),
        ({"LANG": "es"}, "es"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "est_EE"}, "en"),
        ({"LANG": "es_ES", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "es_MX.UTF-8", "LC_ALL": ""}, "es"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_terminal(variables, language):
    assert language_of(variables) == language


def test_lines_are_broken_between_words_and_commands_are_not(monkeypatch):
    console = Console(force_terminal=True, width=30)
    monkeypatch.setattr(asking, "console", console)
    text = (
        "Written: data/raw/mine/people.yaml and more.\n\n"
        "  train     their words may be learnt from\n"
        "1. Copy your exports into data/raw/mine/\n"
        "    git config --global user.name 'Your Name'"
    )
    assert asking.wrapped(text).split("\n") == [
        "Written:",
        "data/raw/mine/people.yaml and",
        "more.",
        "",
        "  train     their words may be",
        "            learnt from",
        "1. Copy your exports into",
        "   data/raw/mine/",
        "    git config --global user.name 'Your Name'",
    ]


def test_the_files_are_in_the_language_and_have_the_same_settings(project, downloads):
    (downloads / GROUP).write_text(export(WRITERS) + CALLED, "utf-8")
    flagged(downloads)
    settings = yaml.safe_load(own_chats.CONF.read_text("utf-8"))
    assert settings.pop("report") == {"language": "en"}  # es without it
    shutil.rmtree(own_chats.RAW)
    own_chats.CONF.unlink()
    flagged(downloads, language="es")
    lines = (own_chats.RAW / "people.yaml").read_text("utf-8").splitlines()
    assert lines[1].startswith("# Conservá esa línea")
    assert (
        "#   context    el modelo puede leer sus palabras como contexto y nunca las aprende"
        in lines
    )
    carla = "  Carla: context   # ¿le dicen también Carlita? Entonces escribilo debajo de aliases"
    assert carla in lines
    text = own_chats.CONF.read_text("utf-8")
    assert text.startswith("# @package _global_\n# Tus propios chats")
    assert (
        yaml.safe_load(text)
        == settings
        == {
            "data": {"raw": "data/raw/mine"},
            "clean": {"pseudonyms": "PERSON_{n}"},
        }
    )


@pytest.mark.parametrize("language", ["en", "es"])
def test_every_line_with_a_command_of_its_own_stays_whole(language):
    lines = "\n".join(
        InitWording(language).text(key, people="", exports="")
        for key in ("git", "by_hand.run_chats", "by_hand.flags")
    ).splitlines()
    commands = [line for line in lines if line.strip().startswith(("git ", "dvc ", "espejo "))]
    assert len(commands) == 4
    assert all(line.startswith("    ") for line in commands)


# By flags


def test_flags_answer_everything(project, downloads, capsys):
    flagged(downloads, consents=["Carla=train", "Dario=w"])
    assert written() == [
        'author: ["Ana", "Ana (vieja)"]',
        "people:",
        "  Bruno: context",
        "  Carla: train",
        "  Dario: withhold",
    ]
    assert "dvc exp run -S data=mine -S model=smollm2\n" in capsys.readouterr().out


def test_a_first_name_will_do_where_one_person_has_it(project, downloads):
    (downloads / GROUP).write_text(export({"José Paz": 3, "Mora Gil": 2, "Mora Ruiz": 1}), "utf-8")
    flagged(downloads, me=["jose"])
    assert written()[0] == "author: José Paz"
    with pytest.raises(UserError, match=r"Nobody called 'mora' writes .* Mora Gil \(2\)"):
        flagged(downloads, me=[], consents=["mora=train"])


@pytest.mark.parametrize(
    ("flags", "missing"),
    [
        ({"exports": []}, "--exports is missing: a file, a .zip or a folder"),
        ({"me": []}, r"--me is missing, one name of Bruno \(9\), Ana \(8\)"),
        ({"others": None}, r"--others \(or --consent for each\) is missing: .*Dario \(2\)"),
        ({"me": ["Anna"]}, r"Nobody called 'Anna' writes in these chats. These do: Ana \(8\)"),
        ({"consents": ["Carlo=train"]}, "Nobody called 'Carlo'"),
        ({"consents": ["Carla"]}, "expected NAME=ANSWER, such as 'Cami=context'"),
        ({"consents": ["Carla=yes"]}, "'yes' is no answer: type train, context or withhold"),
        ({"consents": ["Ana=train"]}, "--consent Ana=train: that is you"),
        ({"others": "none"}, "'none' is no answer: type train, context or withhold"),
        ({"model": "gpt9"}, "There is no model 'gpt9'; there are deepseek-qwen,"),
        ({"model": "_defaults"}, "There is no model '_defaults'; there are deepseek-qwen,"),
        ({"language": "pt"}, "--language 'pt': expected en or es"),
        ({"language": "es", "model": "gpt9"}, "No hay ningún modelo 'gpt9'; hay deepseek-qwen,"),
        ({"language": "es", "exports": []}, "y falta --exports: un archivo, un .zip o una carpeta"),
        ({"exports": ["/nowhere"]}, "/nowhere: there is no such file or folder"),
        ({"exports": ["conf/config.yaml"]}, r"conf/config.yaml: expected an export \(.txt, .json"),
        ({"exports": ["conf"]}, r"conf: there is no export \(.txt, .json, .zip"),
    ],
)
def test_what_is_missing_or_wrong_is_named_and_nothing_is_written(
    flags, missing, project, downloads
):
    before = tree(project)
    with pytest.raises(UserError, match=missing):
        flagged(*flags.pop("exports", [downloads]), **flags)
    assert tree(project) == before
    assert not Path("data").exists()


def test_without_a_terminal_one_sentence_and_status_1(project):
    ran = subprocess.run(
        COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment()
    )
    assert ran.returncode == 1
    assert ran.stderr.strip().startswith("espejo: there is no terminal to ask in, and --exports")
    assert "espejo init --exports ~/Downloads --me Juli --others context" in ran.stderr
    assert ran.stdout == ""


def test_by_hand_says_what_to_do_and_which_flags_answer(project, downloads, capsys):
    init.by_hand()
    out = capsys.readouterr().out
    assert "1. Copy your exports into data/raw/mine/, a .zip or folder as it came\n" in out
    assert "\n    dvc exp run -S data=mine\n3. Write your name" in out
    assert "\n    espejo init --exports ~/Downloads --me Juli --others context\n" in out
    shutil.copy(downloads / GROUP, own_chats.RAW)
    init.by_hand("es")
    out = capsys.readouterr().out
    assert "Copiá" not in out
    assert "\n1. Corré esto; se detiene" in out
    assert "\n    espejo init --me Juli --others context\n" in out
    flagged(me=["Ana"])  # which is enough, as printed
    assert written()[0] == "author: Ana"


def test_outside_the_project_it_says_where_to_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="run this in the folder of the project"):
        flagged(tmp_path)


def test_the_answers_of_people_yaml_stay(project, downloads):
    flagged(downloads)
    with pytest.raises(UserError, match=r"people\.yaml says context after Carla: change it there"):
        flagged(downloads, consents=["Carla=train"])
    before = tree(project)
    flagged(downloads, me=[], consents=["Carla=context"], others="train")
    assert tree(project) == before


# "Carlita" and "Dari" stand where a name does, and begin like one.
CALLED = "".join(
    f"02/03/2025, 10:0{number} - Bruno: vino Carlita {number} con Dari\n" for number in range(3)
)


def test_nicknames_are_proposed_as_comments_and_at_the_end(project, downloads, capsys):
    (downloads / GROUP).write_text(export(WRITERS) + CALLED, "utf-8")
    flagged(downloads, consents=["Dario=withhold"])
    assert "  Carla: context   # also called Carlita? Then say so under aliases" in written()
    out = capsys.readouterr().out
    assert "Write those that are right into data/raw/mine/people.yaml, under aliases" in out
    # Dario withholds, and stands first although he writes less.
    assert '    aliases:\n      Dario: ["Dari"]\n      Carla: ["Carlita"]\n' in out
    assert "People who are only mentioned, and write nothing, keep their names" in out


def test_in_a_terminal_a_possible_nickname_is_an_example(terminal, downloads):
    (downloads / GROUP).write_text(export(WRITERS) + CALLED, "utf-8")
    child = terminal("--exports", str(downloads), "--me", "Ana", "--model", "smollm2")
    answer(child, "Bruno (12)", "t")
    answer(child, "Carla (7)", "w")
    answer(child, "What else is Carla called? For example Carlita", "carlita")
    answer(child, "Ana (vieja) (4)", "c")
    answer(child, "Dario (2)", "c")
    end, status = ended(child)
    assert status == 0
    assert 'Dario: ["Dari"]' in end
    assert "Carla:" not in end
    assert written()[2:] == [
        "  Bruno: train",
        "  Carla: withhold",
        "  Ana (vieja): context",
        "  Dario: context   # also called Dari? Then say so under aliases",
        "aliases:",
        '  Carla: ["carlita"]',
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("people:\n  Ana: train", 'people:\n  Ana: train\naliases:\n  Ana: ["No", "a: b"]\n'),
        (
            "aliases:\r\npeople:\r\n  Ana:\r\n",
            'aliases:\r\n  Ana: ["No", "a: b"]\r\npeople:\r\n  Ana:\r\n',
        ),
        ("aliases:\n # she\n Eva: [e]\n", 'aliases:\n Ana: ["No", "a: b"]\n # she\n Eva: [e]\n'),
        ("aliases: {Eva: e}\n", None),
        ("{author: Ana}\n", None),
        ("aliases:\n  Ana: [a]\n", None),
    ],
)
def test_aliases_are_added_and_no_line_is_changed(text, expected):
    file = people_file.parse(text, Path("people.yaml"))
    assert people_file.add_aliases(file, {"Ana": ["No", "a: b"], "Eva": []}) == expected


def test_a_people_yaml_without_a_place_for_names_stays_as_it_is(project, downloads):
    own_chats.RAW.mkdir(parents=True)
    (own_chats.RAW / "people.yaml").write_text("{author: Ana}\n", "utf-8")
    with pytest.raises(UserError, match=r"people\.yaml is written in a way that has no place"):
        flagged(downloads)
    assert tree(own_chats.RAW) == {"people.yaml": b"{author: Ana}\n"}


def test_an_author_whom_nobody_is_ends_it(project, downloads):
    own_chats.RAW.mkdir(parents=True)
    (own_chats.RAW / "people.yaml").write_text("author: Anna\n", "utf-8")
    with pytest.raises(UserError, match="names the author 'Anna', who wrote no message"):
        flagged(downloads)


def test_when_all_withhold_it_says_that_nothing_is_left(project, downloads, capsys):
    flagged(downloads, others="withhold")
    assert "nothing is left to learn from" in capsys.readouterr().out


# Exports


def test_a_line_is_read_as_typed_and_as_dragged(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ["Ana's chat.zip", "b c.txt", "d.txt", "ñ 1.txt"]
    for name in names:
        (tmp_path / name).touch()
    apostrophe, blank, plain, accent = (tmp_path / name for name in names)
    lines = {
        "~/b c.txt": [blank],
        str(apostrophe): [apostrophe],
        f"'{blank}'": [blank],
        f'"{apostrophe}" ~/d.txt': [apostrophe, plain],
        str(blank).replace(" ", "\\ "): [blank],
        f"'{tmp_path}/Ana'\\''s chat.zip' '{plain}'": [apostrophe, plain],
        f"file://{tmp_path}/%C3%B1%201.txt": [accent],
        "~/Ana's other.zip": [tmp_path / "Ana's other.zip"],
        "~/not there.zip": [tmp_path / "not there.zip"],
        "": [],
    }
    assert {line: collecting.paths_in(line) for line in lines} == lines


def test_the_same_content_is_taken_once_and_no_file_is_replaced(project, downloads):
    (downloads / "again (1).txt").write_text(export(WRITERS), "utf-8")
    other = export({"Ana": 2, "Bruno": 1}, datetime(2025, 6, 1))
    beside = downloads.parent / "other"
    beside.mkdir()
    (beside / GROUP).write_text(other, "utf-8")
    flagged(downloads, beside, downloads)
    exports = {name: data for name, data in tree(own_chats.RAW).items() if name != "people.yaml"}
    numbered = GROUP.replace(".txt", " (2).txt")
    assert exports == {GROUP: export(WRITERS).encode(), numbered: other.encode()}


def test_an_unpacked_export_keeps_the_name_of_its_folder(project, downloads):
    unpacked = downloads / "WhatsApp Chat - Bruno"
    unpacked.mkdir()
    (unpacked / "_chat.txt").write_text(export(WRITERS), "utf-8")
    (downloads / GROUP).unlink()
    flagged(downloads)
    assert set(tree(own_chats.RAW)) == {"WhatsApp Chat - Bruno.txt", "people.yaml"}


def test_files_that_are_no_exports_are_named_and_left_out(project, downloads, capsys):
    for number in range(7):
        (downloads / f"recipe {number}.txt").write_text("harina, agua\n", "utf-8")
    flagged(downloads)
    out = capsys.readouterr().out
    assert out.count("Left out: recipe ") == 5
    assert "and 2 more files that are no exports" in out
    assert set(tree(own_chats.RAW)) == {GROUP, "people.yaml"}
    (downloads / GROUP).unlink()
    with pytest.raises(
        UserError, match="My downloads holds no chats that espejo can read: recipe 0.txt"
    ):
        flagged(downloads)


def test_a_whole_home_or_thousands_of_files_are_not_read(project, downloads, monkeypatch):
    monkeypatch.setenv("HOME", str(downloads))
    with pytest.raises(UserError, match="name the folder with the exports"):
        flagged(downloads.parent)
    monkeypatch.setattr(exports, "MAX_FILES", 0)
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(UserError, match=r"holds 1 files that may be exports: name a folder with"):
        flagged(downloads)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_one_sentence(project, downloads):
    (downloads / GROUP).chmod(0)
    with pytest.raises(UserError, match="there is no permission to read it"):
        flagged(downloads / GROUP)


@pytest.mark.parametrize("full_at", [1, 2, 3, 4])
def test_a_full_disk_leaves_nothing_half_written(full_at, project, downloads, monkeypatch):
    """At the first copy, the second, the settings, and people.yaml."""
    other = export({"Ana": 2, "Bruno": 1}, datetime(2025, 6, 1))
    (downloads / "WhatsApp Chat with Bruno.txt").write_text(other, "utf-8")
    before, replaced, calls = tree(project), os.replace, []

    def replace(source, target):
        calls.append(target)
        if len(calls) == full_at:
            raise OSError(errno.ENOSPC, "No space left on device")
        replaced(source, target)

    monkeypatch.setattr(files.os, "replace", replace)
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(UserError, match="the disk is full; make room there"):
        flagged(downloads)
    assert tree(project) == before
    assert not Path("data").exists()
    assert len(calls) == full_at


# The model


@pytest.mark.parametrize(
    ("card_gb", "free_gb", "name", "why"),
    [
        (0, 8, "gemma3", "no graphics card that torch can use, and 8.0 GB of memory are free"),
        (0, 3.9, "smollm2", "only 3.9 GB of memory are free"),
        (0, 4, "gemma3", "knows Spanish"),
        (6, 8, "gemma3", "your graphics card has less than 8 GB"),
        (8.4, 3, "phi3", "it fits your graphics card (Card 9, 8 GB"),
        (15.8, 8, "qwen3", "Card 9, 16 GB"),
        (80, 8, "smollm3", "downloads it"),
    ],
)
def test_the_proposal_follows_card_and_memory(card_gb, free_gb, name, why):
    machine = proposal.Machine("Card 9" if card_gb else "", int(card_gb * 1e9), int(free_gb * 1e9))
    assert proposal.proposed(machine, InitWording("en"))[0] == name
    assert why in proposal.proposed(machine, InitWording("en"))[1]


def test_a_model_is_proposed_for_the_smallest_card_that_holds_its_training(composed):
    for size, name in proposal.FOR_CARDS.items():
        params = composed(f"model={name}")
        assert estimate.cards(estimate.need(params).training)[0] == size, name
    assert composed()["model"]["name"] == proposal.DEFAULT
    on_processor = estimate.need(composed(f"model={proposal.DEFAULT}")).training
    assert 1.5 * on_processor < proposal.MIN_FREE_BYTES  # the README's advice: 1.5 times as much
    assert estimate.need(composed(f"model={proposal.SMALL}")).training < on_processor


# What comes next


def test_the_commands_that_are_printed_work_and_git_sees_nothing(tmp_path, downloads):
    folder = workshop.clone(tmp_path / "clone")
    export_of = folder.parent / f"WhatsApp Chat with {workshop.PARTNER}.txt"
    export_of.write_text(workshop.chat(), "utf-8")
    flags = ["--exports", str(export_of), "--me", workshop.AUTHOR, "--others", "train"]
    ran = run(*COMMAND, *flags, "--model", "smollm2", cwd=folder, PYTHONPATH=str(folder))
    assert run("git", "status", "--porcelain", cwd=folder).stdout == ""
    lines = [line.split("#")[0].split() for line in ran.stdout.split("Next:")[1].splitlines()]
    smoke, real = (line for line in lines if line[:3] == ["dvc", "exp", "run"])
    assert smoke[:-2] == real
    run(*smoke, "parse", cwd=folder)
    params = (folder / "params.yaml").read_text("utf-8")
    assert "raw: data/raw/mine" in params
    assert "name: smollm2" in params


@pytest.mark.parametrize("active", [True, False])
def test_the_environment_is_activated_first_where_it_is_not(
    active, project, downloads, monkeypatch, capsys
):
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "activate").touch()
    monkeypatch.setenv("VIRTUAL_ENV", str(project / ".venv") if active else "/elsewhere")
    flagged(downloads)
    commands = capsys.readouterr().out.split("Next:\n")[1].splitlines()
    assert commands[1].strip().startswith("dvc exp run" if active else "source .venv/bin/activate")


def test_make_mine_asks_in_a_terminal_and_makes_the_files_elsewhere(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    command = tmp_path / ".venv" / "bin" / "espejo"
    command.parent.mkdir(parents=True)
    command.write_text('#!/bin/sh\necho "ran: $@."\n', "utf-8")
    command.chmod(0o755)
    env = {key: value for key, value in environment().items() if not key.startswith("MAKE")}
    make = ["make", "--old-file=setup", "mine"]
    ran = subprocess.run(
        make, cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert ran.stdout == "ran: init --by-hand.\n"
    child = pexpect.spawn(make[0], make[1:], cwd=tmp_path, env=env, encoding="utf-8", timeout=30)
    assert ended(child)[0].splitlines() == ["ran: init."]
