"""`espejo init` with exports of any app, with questions and answers, and with dialogues."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

from espejo import sources
from espejo.commands import asking, init, own_chats
from espejo.core import files
from espejo.core.errors import UserError
from tests.helpers import workshop
from tests.helpers.dialogue import COMMAND, GROUP, WRITERS, answer, ended, export, tree
from tests.helpers.workshop import run

NOON = 1_748_000_000  # seconds
RAW = own_chats.RAW


def telegram(*messages, name="Bruno", chat_id=77):
    """A result.json with a chat: (author, text) a minute apart, forwarded with a third value."""
    rows = [
        {
            "id": number,
            "type": "message",
            "date_unixtime": str(NOON + 60 * number),
            "from": author,
            "from_id": f"user{sum(author.encode())}",
            "text": text,
            **({"forwarded_from": "Diario Sur"} if forwarded else {}),
        }
        for number, (author, text, *forwarded) in enumerate(messages, 1)
    ]
    chat = {"name": name, "type": "personal_chat", "id": chat_id, "messages": rows}
    return json.dumps(chat, ensure_ascii=False)


def thread(*messages, title="Bruno"):
    """A message_1.json of Messenger, newest first."""
    rows = [
        {"sender_name": author, "timestamp_ms": 1000 * (NOON - 60 * number), "content": text}
        for number, (author, text) in enumerate(messages)
    ]
    people = [{"name": name} for name in dict.fromkeys(author for author, _ in messages)]
    return json.dumps({"participants": people, "title": title, "messages": rows})


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def flagged(*exports, **flags):
    of_people = {"me": ["Ana"], "consents": [], "others": "context", "model": "smollm2"}
    init.main([str(path) for path in exports], **{**of_people, **flags})


def tables(kind, *exports, columns=(), language="en"):
    init.main([*map(str, exports)], [], [], None, "smollm2", language, kind, columns)


def copies():
    """The files in data/raw/mine but people.yaml."""
    return {name for name in tree(RAW) if name != "people.yaml"}


# Chats of several apps


def test_telegram_and_whatsapp_together_and_an_author_of_two_names(terminal, downloads):
    folder = downloads.parent / "ChatExport_2025-06-03"
    put(folder / "result.json", telegram(("Ana Telegram", "hola"), ("Bruno", "buenas")))
    put(folder / "photos" / "photo_1.jpg", "no data")
    with zipfile.ZipFile(downloads.parent / "WhatsApp Chat - Bruno.zip", "w") as archive:
        archive.writestr("_chat.txt", export(WRITERS))
    child = terminal("--model", "smollm2", "--others", "context")
    child.expect_exact("WhatsApp, Telegram (JSON),")
    answer(child, "Exports", str(folder))
    child.expect_exact(f"Telegram: 1 chat, 2 messages ({folder.name}/result.json).")
    answer(
        child, "1 file so far. Another path", str(downloads.parent / "WhatsApp Chat - Bruno.zip")
    )
    child.expect_exact("WhatsApp: 1 chat, 30 messages (WhatsApp Chat - Bruno.zip).")
    answer(child, "2 files so far. Another path", "")
    child.expect(r"Bruno\s+10\s+2\b")
    child.expect(r"Ana Telegram\s+1\s+1\b")
    child.expect_exact("Your name in one app may differ from that in another")
    answer(child, "Which of them are you?", "2,6")
    end, status = ended(child)
    assert status == 0
    assert "Copied to data/raw/mine: ChatExport_2025-06-03, WhatsApp Chat - Bruno.zip" in (
        end.replace("\r\n", " ")
    ) or "WhatsApp Chat - Bruno.zip, ChatExport_2025-06-03" in end.replace("\r\n", " ")
    assert copies() == {"ChatExport_2025-06-03/result.json", "WhatsApp Chat - Bruno.zip"}
    people = yaml.safe_load((RAW / "people.yaml").read_text("utf-8"))
    assert people["author"] == ["Ana", "Ana Telegram"]
    assert set(people["people"]) == {"Bruno", "Carla", "Ana (vieja)", "Dario"}


def test_parse_reads_the_copies_as_init_showed_them(project, downloads):
    put(downloads / "tg" / "result.json", telegram(("Ana", "hola"), ("Bruno", "buenas")))
    put(downloads / "inbox" / "bruno_1" / "message_1.json", thread(("Bruno", "y?"), ("Ana", "voy")))
    flagged(downloads, me=["Ana", "Ana (vieja)"])
    folder = sources.folder.read_all(
        RAW, "chats", sources.folder.Options(sources.folder.zone(None))
    )
    assert folder.messages["app"].value_counts().to_dict() == {
        "whatsapp": 30,
        "telegram": 2,
        "messenger": 2,
    }


def test_two_files_of_one_name_do_not_replace_each_other(project, downloads):
    first = put(downloads / "a" / "result.json", telegram(("Ana", "hola"), ("Bruno", "eh")))
    more = [("Ana", "hola"), ("Bruno", "eh"), ("Ana", "chau")]
    second = put(downloads / "b" / "result.json", telegram(*more))
    flagged(first, second)
    assert copies() == {"result.json", "result (2).json"}
    assert len(sources.read(RAW)) == 3
    # Folders of one name: the second lies a folder deeper.
    for number, folder in enumerate(
        (downloads / "c" / "DataExport", downloads / "d" / "DataExport")
    ):
        put(folder / "result.json", telegram(("Ana", f"chat {number}"), chat_id=number))
        flagged(folder, me=[])
    assert copies() == {
        *("result.json", "result (2).json"),
        *("DataExport/result.json", "2/DataExport/result.json"),
    }
    before = tree(RAW)
    flagged(downloads / "d" / "DataExport", second, me=[])  # there already
    assert tree(RAW) == before


def test_of_a_zip_only_the_chats_are_copied_and_nothing_leads_out(project, downloads):
    path = downloads / "facebook-ana.zip"
    inbox = "your_facebook_activity/messages/inbox"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{inbox}/bruno_1/message_1.json", thread(("Bruno", "y?"), ("Ana", "voy")))
        archive.writestr(f"{inbox}/bruno_1/photos/1.jpg", "no data")
        archive.writestr("preferences/language.json", "{}")
        archive.writestr("../../../evil.json", telegram(("Ana", "x")))
        archive.writestr("x/../../../evil.json", telegram(("Ana", "y")))
        archive.writestr(zipfile.ZipInfo("/evil.json"), telegram(("Ana", "z")))
    flagged(path)
    assert copies() == {f"facebook-ana/{inbox}/bruno_1/message_1.json", "evil.json"}
    assert not (downloads.parent / "evil.json").exists()


def test_a_thread_of_metas_keeps_the_folders_that_its_reader_looks_at(project, downloads):
    folder = downloads / "your_instagram_activity" / "messages" / "inbox" / "bruno_1"
    file = put(folder / "message_1.json", thread(("Bruno", "y?"), ("Ana", "voy")))
    place = "your_instagram_activity/messages/inbox/bruno_1/message_1.json"
    flagged(folder)
    assert copies() == {place}
    assert set(sources.read(RAW)["app"]) == {"instagram"}
    shutil.rmtree(RAW)
    flagged(file)
    assert copies() == {place}


def test_a_web_page_of_another_channel_is_said_to_be_left_out(project, downloads, capsys):
    put(downloads / "tg" / "result.json", telegram(("Ana", "hola"), ("Bruno", "buenas")))
    put(downloads / "Taller - avisos [44].html", "<html>")
    flagged(downloads, me=["Ana"])
    told = capsys.readouterr().out.replace("\n", " ")
    assert "Left out: Taller - avisos [44].html is a web page, and espejo reads JSON" in told


def test_a_web_page_is_refused_with_the_way_to_json(terminal, downloads):
    shutil.rmtree(downloads)
    put(downloads / "ChatExport_1" / "messages.html", "<html>")
    child = terminal()
    answer(child, "Exports", str(downloads / "ChatExport_1"))
    child.expect_exact("messages.html is a web page, and espejo reads JSON: export again.")
    child.expect_exact("Telegram Desktop:")
    answer(child, "Exports", str(downloads / "ChatExport_1" / "messages.html"))
    child.expect_exact("messages.html is a web page")
    with pytest.raises(UserError, match="es una página web, y espejo lee JSON: exportá de nuevo"):
        flagged(downloads, language="es")


def test_bots_and_people_who_only_forwarded_are_not_asked_about(project, downloads):
    text = telegram(("Ana", "hola"), ("Bruno", "noticia", True), ("Cleo", "dale"))
    flagged(put(downloads / "x" / "result.json", text))
    people = yaml.safe_load((RAW / "people.yaml").read_text("utf-8"))
    assert people["people"] == {"Cleo": "context"}


def test_damaged_files_of_a_folder_are_left_out(project, downloads, capsys):
    put(downloads / "half.json", telegram(("Ana", "hola"), ("Bruno", "eh"))[:-10])
    put(downloads / "settings.json", "{}")
    (downloads / "damaged.zip").write_bytes(b"PK\x03\x04")
    flagged(downloads, me=["Ana", "Ana (vieja)"])
    out = capsys.readouterr().out
    assert "/half.json: " in out
    assert "Left out: settings.json is no export of an app that espejo knows." in out
    assert "Left out: damaged.zip" in out
    assert copies() == {GROUP}


# Tables


QUESTIONS = "question,answer\n¿Abren hoy?,Sí\n¿Cuánto sale?,$ 300\n"
OTHER_COLUMNS = "Nº;Duda;Réplica\n1;¿Abren hoy?;Sí\n2;¿Cuánto sale?;$ 300\n"


@pytest.fixture
def table(downloads):
    return put(downloads / "my.csv", QUESTIONS)


@pytest.fixture
def other_table(downloads):
    return put(downloads / "otra.csv", OTHER_COLUMNS)


def settings():
    return yaml.safe_load(own_chats.CONF.read_text("utf-8"))


# What is Spanish in conf/, for who answers in English.
IN_ENGLISH = {"format": {"system": "Answer the user's question."}, "report": {"language": "en"}}


def test_questions_by_flags(project, table, capsys):
    tables("questions", table)
    out = capsys.readouterr().out
    assert "Questions with their answers: 2 (my.csv)." in out
    assert "    # ask it\n    espejo chat\n" in out
    assert tree(RAW) == {"my.csv": QUESTIONS.encode()}  # no people.yaml
    assert settings() == {
        "defaults": ["qa", "_self_"],
        "data": {"raw": "data/raw/mine", "columns": {"question": None, "answer": None}},
        **IN_ENGLISH,
        "train": {"sample_prompts": ["What does it cost?"]},
    }


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_settings_compose_to_those_of_the_kind(language, tmp_path, downloads, other_table):
    folder = workshop.clone(tmp_path / "clone")
    flags = ["--kind", "questions", "--exports", str(other_table), "--model", "smollm2"]
    flags += ["--column", "question=Duda", "--column", "answer=Réplica"]
    run(*COMMAND, *flags, "--language", language, cwd=folder, PYTHONPATH=str(folder))
    run("python", "conf/compose.py", "data=mine", cwd=folder)
    params = yaml.safe_load((folder / "params.yaml").read_text("utf-8"))
    assert params["data"]["raw"] == "data/raw/mine"
    assert params["data"]["kind"] == "questions"
    assert params["data"]["columns"] == {"question": "Duda", "answer": "Réplica"}
    assert params["clean"]["pii"] == "keep"  # of conf/data/qa.yaml
    # Who answers in English is not given Spanish sentences.
    system = {"en": "Answer the user's question.", "es": "Respondé la pregunta del usuario."}
    assert params["format"]["system"] == system[language]
    assert params["report"]["language"] == language
    assert run("git", "status", "--porcelain", cwd=folder).stdout == " M params.yaml\n"
    ran = run("python", "-m", "espejo.commands.inputs", cwd=folder, PYTHONPATH=str(folder))
    assert ran.stdout.startswith("espejo: data data/raw/mine (questions), model gemma3")


def test_a_table_is_offered_and_its_columns_are_asked_for(terminal, other_table):
    child = terminal("--model", "smollm2")
    answer(child, "Exports", str(other_table))
    answer(child, "otra.csv is a table of questions with answers, it seems.", "no")
    child.expect_exact("Nothing was taken from")
    answer(child, "Exports", str(other_table))
    answer(child, "Make a bot that answers them? (Enter: yes)", "perhaps")
    child.expect_exact("Type yes or no.")
    answer(child, "Make a bot that answers them? (Enter: yes)", "")
    child.expect_exact("The columns of otra.csv: 1 Nº, 2 Duda, 3 Réplica (if")
    child.expect_exact("question,answer).")  # what a table without a header needs
    answer(child, "Which of them holds the question?", "4")
    child.expect_exact("Type a number from 1 to 3, or the name of a column.")
    answer(child, "Which of them holds the question?", "2")
    answer(child, "Which of them holds the answer?", "replica")
    child.expect_exact("Questions with their answers: 2 (otra.csv).")
    answer(child, "1 file so far. Another path", "")
    assert ended(child)[1] == 0
    assert settings()["data"]["columns"] == {"question": "Duda", "answer": "Réplica"}
    assert not (RAW / "people.yaml").exists()


def test_in_spanish_and_ctrl_c_in_a_question_within_a_question_stops(terminal, other_table):
    child = terminal("--language", "es")
    answer(child, "Exportaciones", str(other_table))
    answer(child, "otra.csv parece una tabla de preguntas con respuestas.", "sí")
    child.expect_exact("¿Cuál contiene la pregunta?")
    child.send("\x03")
    end, status = ended(child)
    assert (status, "detenido con Ctrl-C; no se escribió nada." in end) == (130, True)
    assert not Path("data").exists()


def test_columns_that_exist_in_the_settings_are_taken(project, other_table, downloads):
    columns = ["question=Duda", "answer=Réplica"]
    tables("questions", other_table, columns=columns)
    more = put(downloads / "más.csv", OTHER_COLUMNS.replace("hoy", "mañana"))
    tables("questions", more)
    assert copies() == {"otra.csv", "más.csv"}
    with pytest.raises(UserError, match=r'write `columns: {question: "Nº", answer: "Réplica"}`'):
        tables(None, put(downloads / "3.csv", OTHER_COLUMNS + "3;a;b\n"), columns=["question=Nº"])


def test_a_folder_keeps_its_splits_and_its_probes(project, downloads, capsys):
    folder = downloads / "qa"
    put(folder / "train" / "a.csv", QUESTIONS)
    put(folder / "test" / "b.csv", QUESTIONS.replace("hoy", "mañana"))
    put(folder / "probes.csv", "question,kind\n¿Quién ganó?,out_of_domain\n")
    put(folder / "prices.csv", "thing,price\nx,1\n")
    tables("questions", folder)
    assert copies() == {"qa/train/a.csv", "qa/test/b.csv", "qa/probes.csv"}
    out = capsys.readouterr().out
    assert "Questions that are only put to the model at the end: 1." in out
    assert "Left out: prices.csv: expected 'question' and 'answer', there are 'thing'" in out


def test_a_table_that_parse_would_refuse_is_named_with_the_same_sentence(
    project, downloads, capsys
):
    folder = downloads / "qa"
    put(folder / "faq.csv", QUESTIONS)
    put(folder / "empty.csv", "")
    put(folder / "no_header.csv", "¿Abren?,Sí\n")
    put(folder / "notes.txt", "buy bread")
    put(folder / "broken.csv", 'question,answer\na,"b\n')
    put(folder / "same.csv", 'question,answer\na,"b\n')
    tables("questions", folder)
    assert copies() == {"qa/faq.csv"}
    out = " ".join(capsys.readouterr().out.split())
    assert "Left out: empty.csv: the file is empty; remove it." in out
    assert "no_header.csv: expected 'question' and 'answer', there are '¿Abren?', 'Sí'" in out
    assert "Left out: notes.txt is no table with a column of questions and one of answers." in out
    for name in ("broken", "same"):
        assert f"Left out: qa/{name}.csv, line 2: the quote that opens this cell is never" in out
    assert "already" not in out
    for kind in ("questions", None):
        with pytest.raises(UserError, match="empty.csv: the file is empty; remove it"):
            tables(kind, folder / "empty.csv")
        with pytest.raises(UserError, match="no questions .* broken.csv, line 2: the quote that"):
            tables(kind, folder / "broken.csv")
    with pytest.raises(UserError, match="¿Abren\\?, Sí .a table without a header needs one first"):
        tables("questions", folder / "no_header.csv")


DIALOGUES = '{"dialog": ["Hi there", "Hello you"]}\n{"dialog": ["Bye now", "See you"]}\n'
ROLES = json.dumps(
    {
        "messages": [
            {"role": "user", "content": "Hi there"},
            {"role": "assistant", "content": "Hello you"},
        ]
    }
)


@pytest.mark.parametrize(("language", "sentence"), [("en", "Dialogues: 2"), ("es", "Diálogos: 2")])
def test_dialogues_by_flags(language, sentence, project, downloads, capsys):
    tables("dialogues", put(downloads / "d.jsonl", DIALOGUES), language=language)
    assert sentence in capsys.readouterr().out
    assert copies() == {"d.jsonl"}
    system = {"system": "Reply as you always do."}  # in Spanish, conf/ has it
    assert settings() == {
        "defaults": ["dialogues", "_self_"],
        "data": {"raw": "data/raw/mine", "learnt": "second"},
        **({**IN_ENGLISH, "format": system} if language == "en" else {}),
    }


def test_dialogues_are_offered_and_so_are_roles(terminal, downloads, monkeypatch):
    child = terminal("--model", "smollm2", "--exports", str(put(downloads / "d.jsonl", DIALOGUES)))
    answer(child, "d.jsonl holds dialogues of speakers without names.", "y")
    assert ended(child)[1] == 0
    shutil.rmtree(RAW)
    own_chats.CONF.unlink()
    child = terminal("--model", "smollm2", "--exports", str(put(downloads / "r.jsonl", ROLES)))
    answer(child, "r.jsonl holds roles and no names.", "")
    assert ended(child)[1] == 0
    assert settings()["defaults"] == ["dialogues", "_self_"]


def test_roles_may_count_as_people(project, downloads):
    flagged(put(downloads / "r.jsonl", ROLES), me=["assistant"])
    people = yaml.safe_load((RAW / "people.yaml").read_text("utf-8"))
    assert people["author"] == "assistant"
    assert people["people"] == {"user": "context"}


def test_by_hand_for_a_table(project, capsys):
    init.by_hand("en", "questions")
    out = capsys.readouterr().out
    assert "1. Copy your table (CSV, TSV, JSON, JSONL or Parquet) into data/raw/mine/\n" in out
    assert "\n2. Run this:\n    dvc exp run -S data=mine\n" in out
    assert settings()["defaults"] == ["qa", "_self_"]
    assert tree(RAW) == {}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kind": "tables"}, "--kind 'tables': there are chats, dialogues, questions."),
        ({"columns": ["Duda"]}, "--column 'Duda': expected question=NAME or answer=NAME"),
        ({"kind": "questions"}, r"--column question=NAME .* otra.csv are these, Nº, Duda, Ré"),
        ({}, r"otra.csv holds no chats that espejo can read: .* --kind questions; dialogues:"),
    ],
)
def test_what_is_wrong_with_a_table_is_one_sentence(arguments, sentence, project, other_table):
    with pytest.raises(UserError, match=sentence):
        tables(arguments.get("kind"), other_table, columns=arguments.get("columns", ()))
    assert not Path("data").exists()


def test_without_a_terminal_the_kind_has_to_be_named(project, table, downloads):
    with pytest.raises(UserError, match="my.csv holds questions with answers and no chats: add"):
        tables(None, table)
    with pytest.raises(UserError, match=r"d.jsonl contiene diálogos y ningún chat: agregá"):
        tables(None, put(downloads / "d.jsonl", DIALOGUES), language="es")


def test_one_kind_at_a_time(project, table, downloads):
    tables("questions", table)
    with pytest.raises(UserError, match="are for questions with answers, and they hold one kind"):
        tables("chats", downloads / GROUP)
    with pytest.raises(UserError, match="holds no questions with answers that espejo can read"):
        flagged(downloads / GROUP)
    own_chats.CONF.unlink()  # then the files decide
    with pytest.raises(UserError, match="son para preguntas con respuestas"):
        tables("dialogues", table, language="es")


def test_names_of_columns_are_no_references_of_hydra(project, downloads):
    table = put(downloads / "x.csv", OTHER_COLUMNS.replace("Duda", "${q}"))
    tables("questions", table, columns=["question=${q}", "answer=Réplica"])
    assert settings()["data"]["columns"]["question"] == r"\${q}"


def test_a_full_disk_leaves_no_folder_behind(project, downloads, monkeypatch):
    folder = put(downloads / "tg" / "result.json", telegram(("Ana", "hola"), ("Bruno", "e"))).parent

    def full(_text, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(files, "write", full)
    before = tree(project)
    with pytest.raises(OSError, match="No space"):
        flagged(folder)
    assert tree(project) == before
    assert not Path("data").exists()


def test_an_answer_of_yes_or_no(monkeypatch):
    lines = iter(["tal vez", "N"])
    monkeypatch.setattr(asking, "prompt", lambda _: next(lines))
    assert asking.agreed("?", init.InitWording("es")) is False
