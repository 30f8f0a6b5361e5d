"""`espejo replay`: real and generated replies side by side, and invented names in them."""

import re
import shutil
from html.parser import HTMLParser

import pandas as pd
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from espejo.commands import replay
from espejo.commands.cli import commands
from espejo.commands.invented_names import NAMES, InventedNames, Person, people_of
from espejo.core import tables
from espejo.core.errors import UserError
from espejo.privacy.people import People
from espejo.report.page import digest
from stages import clean, group, parse
from tests.helpers.workshop import ROOT

AUTHOR, FRIEND, MOTHER = "Florencia Núñez", "Ana Gómez", "Mamá"
PEOPLE = f"""author: {AUTHOR}
people:
  {FRIEND}: train
  {MOTHER}: context
  Bárbara Lynch: withhold
aliases:
  {FRIEND}: [anita la loca, Nani]
"""
HTML = "<script>alert(1)</script>"
# Contexts, and the real and the generated reply to each.
CONTEXTS = [
    ([(FRIEND, ["flor!! mañana vamos?", "con ANA GÓMEZ no"])], ["la nani dice si"], ["hola anita"]),
    ([(MOTHER, [HTML, "\x1b[2J"]), (AUTHOR, ["mamá"])], ["a Gomez le dije"], ["nunez", HTML]),
    ([], ["escribile a ana@example.com"], []),
]


def turn(author, messages):
    return {"author": author, "messages": messages}


def write(folder, author=AUTHOR, contexts=CONTEXTS, times=True):
    """The four tables, in which each context is a session of its own."""
    examples, turns, replies = [], [], []
    for session, (context, real, generated) in enumerate(contexts):
        where = {"chat": "c", "session": session, "split": "test"}
        run = [*context, (author, real)]
        for index, (author, messages) in enumerate(run):
            time = pd.Timestamp(2025, 3, 1, 21, 10 * session + index) if times else pd.NaT
            row = {**where, "turn": len(turns), "author": author, "messages": messages}
            turns.append({**row, "start": time, "end": time})
        name = f"s{session}t{len(turns) - 1}"
        before = [turn(*pair) for pair in context]
        examples.append({**where, "id": name, "group": True, "context": before, "reply": real})
        row = {"id": name, "kind": "held_out", "prompt": None, "finished": True}
        replies.append({**row, "model": "tuned", "messages": generated})
        replies.append({**row, "model": "base", "messages": [f"untrained {session}"]})
    people = pd.DataFrame(
        [(author, True, "", "0"), (FRIEND, False, "train", "1"), (MOTHER, False, "context", "2")],
        columns=["name", "is_author", "consent", "mark"],
    )
    for name, rows, schema in (
        ("examples", examples, tables.EXAMPLES),
        ("turns", turns, tables.TURNS),
        ("replies", replies, tables.REPLIES),
        ("people", people, tables.PEOPLE),
    ):
        tables.write(pd.DataFrame(rows), folder / "data" / f"{name}.parquet", schema)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A project in which three test contexts were answered."""
    write(tmp_path)
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    params["data"]["raw"] = "raw"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "people.yaml").write_text(PEOPLE, "utf-8")
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def set_param(folder, section, **changes):
    params = yaml.safe_load((folder / "params.yaml").read_text("utf-8"))
    params[section] |= changes
    (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")


def run(*flags, width=100):
    return CliRunner().invoke(commands, ["replay", *flags], env={"COLUMNS": str(width)})


class Page(HTMLParser):
    """The tags of the page, and the texts of its bubbles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.bubbles, self.text, self.inside = [], [], "", False
        self.feed(text)
        self.bubbles = [bubble.strip() for bubble in self.bubbles]

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.inside = dict(attrs).get("class") == "bubble"  # not in the <time> there
        self.bubbles += [""] * self.inside

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        self.text += data
        if self.inside:
            self.bubbles[-1] += data


def page(folder, *flags):
    result = run("--page", *flags)
    assert result.exit_code == 0, result.output
    return (folder / replay.PAGE).read_text("utf-8")


# What is shown


def test_the_terminal_shows_context_real_reply_and_bot_with_times(folder):
    result = run("--number", "9")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert "21:00 Ana Gómez › flor!! mañana vamos?" in lines
    assert "› con ANA GÓMEZ no" in lines  # each bubble on a line of its own
    assert "› la nani dice si › hola anita" in lines  # side by side
    assert "(the conversation starts)" in lines
    assert "› escribile a ana@example.com (nothing)" in lines
    assert f"{AUTHOR} really replied the bot" in lines
    assert "untrained" not in result.output


def test_the_base_model_is_a_third_column(folder):
    assert "› la nani dice si › hola anita › untrained 0" in [
        " ".join(line.split()) for line in run("--base").output.splitlines()
    ]


def test_a_narrow_terminal_has_one_reply_below_the_other(folder):
    result = run(width=40)
    assert result.exit_code == 0, result.output
    lines = [line.strip() for line in result.output.splitlines()]
    assert lines.index("› hola anita") > lines.index("› la nani dice si") > 0
    assert max(map(len, result.output.splitlines())) <= 40


def test_nothing_that_somebody_wrote_acts_on_the_terminal_or_is_cut_off(folder):
    write(folder, contexts=[([(FRIEND, ["\x1b[31m[bold]" + "x" * 300])], ["a"], ["\x9b2J"])])
    output = run(width=60).output
    assert not set(output) & {"\x1b", "\x9b"}
    assert "\ufffd[31m[bold]" in output
    assert output.count("x") >= 300


def test_the_page_is_one_file_without_scripts_whatever_is_in_messages_and_names(folder):
    write(folder, author=f"{HTML}&", contexts=[([(HTML, [HTML])], [HTML], [f"\x00{HTML}"])])
    text = page(folder, "--base")
    read = Page(text)
    assert "script" not in read.tags
    assert read.text.count(HTML) >= 5
    assert not {"img", "link", "iframe", "a"} & set(read.tags)
    assert not re.search(r"https?:|url\(|[\0-\x08]", text)
    style = re.search("<style>(.*?)</style>", text, re.DOTALL)[1]
    assert f"default-src 'none'; ; style-src '{digest(style)}'" in text
    assert "prefers-color-scheme: dark" in style


def test_each_card_of_the_page_says_that_one_side_is_a_bot(folder):
    set_param(folder, "report", language="en")
    text = page(folder)
    assert text.count("<article>") == 3
    assert text.count(f"Bot: written by a model that imitates {AUTHOR}, not by a person.") == 3
    assert text.count('<div class="turn mine">') == 1  # the author's own turn of a context
    assert "<time>21:01</time>" in text
    assert Page(text).bubbles.count("hola anita") == 1


def test_the_same_seed_shows_the_same_conversations(folder):
    assert page(folder, "--seed", "3", "--number", "2") == page(
        folder, "--seed", "3", "--number", "2"
    )
    assert page(folder, "--seed", "3") != page(folder, "--seed", "4")


def test_without_times_none_is_shown(folder):
    write(folder, times=False)
    assert "<time>" not in page(folder)
    assert run().exit_code == 0


@pytest.mark.parametrize(
    ("kind", "head"),
    [("dialogues", "se respondió de verdad"), ("questions", "la respuesta de la tabla")],
)
def test_data_without_people(folder, kind, head):
    set_param(folder, "data", kind=kind)
    write(
        folder, author="B", contexts=[([("A", ["Ana, llamame al 351 555-1234"])], ["si"], ["no"])]
    )
    text = page(folder, "--invent")
    assert head in text
    assert '<p class="who">A</p>' not in text
    assert Page(text).bubbles == ["Ana, llamame al <PHONE>", "si", "no"]
    assert "no tienen nombre" in text or "no nombran a quien habla" in text


# What is missing


@pytest.mark.parametrize("name", ["replies", "examples", "turns", "people"])
def test_a_table_that_is_missing(folder, name):
    (folder / "data" / f"{name}.parquet").unlink()
    with pytest.raises(UserError, match=f"{name}.parquet is missing.*run `make repro` first"):
        replay.read(folder, 5, 7, base=False, invent=False)


def test_no_test_context_was_answered(folder):
    path = folder / "data" / "replies.parquet"
    tables.write(tables.read(path, tables.REPLIES)[:0], path, tables.REPLIES)
    with pytest.raises(UserError, match="No context of the test set was answered"):
        replay.read(folder, 5, 7, base=False, invent=False)


# Invented names


def test_every_name_is_replaced_in_contexts_and_in_both_replies(folder):
    text = page(folder, "--invent")
    # Of whom the text speaks, by hand; {0} is the author, {1} the friend, {2} the mother.
    expected = [
        *("{0}!! mañana vamos?", "con {1:upper} no", "la {1} dice si", "hola {1}"),
        *(HTML, "\ufffd[2J", "mamá", "a {1:title} le dije", "{0}", HTML),
        "escribile a <EMAIL>",
    ]
    names = replay.read(folder, 3, 7, base=False, invent=True)
    assert names.author in NAMES
    friend = next(
        turn.author
        for conversation in names.conversations
        for turn in conversation.context
        if "vamos" in turn.messages[0]
    )
    cased = {"upper": friend.upper(), "title": friend}

    def filled(pattern):
        pattern = pattern.replace("{0}", names.author.lower()).replace("{1}", friend.lower())
        return re.sub(r"\{1:(\w+)\}", lambda match: cased[match[1]], pattern)

    assert sorted(Page(text).bubbles) == sorted(map(filled, expected))
    for name in ("Florencia", "Núñez", "Ana Gómez", "Gomez", "Mamá</p>", "nani", "example.com"):
        assert name not in text
    assert "Leelo antes de publicarlo" in text


def test_whoever_reads_the_terminal_is_told_what_may_remain(folder):
    contexts = [([(FRIEND, ["viste a Ramona? con Ana en Rosario"])], ["si, Ramona"], ["no"])]
    write(folder, contexts=contexts)
    output = " ".join(run("--invent").output.split())
    assert "Perhaps names, since they have a capital inside a sentence: Ramona, Rosario" in output
    assert "only talked about may remain" in output


def test_without_people_yaml_the_nicknames_are_unknown_and_it_says_so(folder):
    (folder / "raw" / "people.yaml").unlink()
    result = run("--invent")
    output = " ".join(result.output.split())
    assert result.exit_code == 0, result.output
    assert "Nicknames of theirs are not known and may remain: raw/people.yaml is missing" in output
    assert "la nani dice si" in output
    assert "gómez" not in output.lower()


def test_where_the_tables_have_pseudonyms_these_are_replaced_too(folder):
    set_param(folder, "clean", pseudonyms="PERSON_{n}")
    contexts = [
        ([("PERSON_1", ["PERSON_0!!", "a person, PERSON_12"])], ["person_1 y Gómez"], ["Barbara"])
    ]
    write(folder, author="PERSON_0", contexts=contexts)
    drawn = replay.read(folder, 5, 7, base=False, invent=True)
    (conversation,) = drawn.conversations
    friend = conversation.context[0].author
    assert friend in NAMES
    assert conversation.context[0].messages == [f"{drawn.author.upper()}!!", "a person, PERSON_12"]
    assert conversation.replies["real"] == [f"{friend.lower()} y {friend}"]
    assert conversation.replies["tuned"][0] in NAMES  # of somebody who withholds, too


SOMEBODY = [
    Person("Ana Gómez", ["Ana Gómez"], ["Nani"]),
    Person("Martín Ulloa", ["Martín Ulloa (gas)"]),
    Person("Tincho", ["Tincho"]),
    Person("Juan Pérez", ["Juan Pérez"]),
    Person("Juan Paz", ["Juan Paz"]),
    Person("Sol", ["Sol"]),
    Person("Jo", ["Jo"]),
    Person("+54 9 351 555-1234", ["+54 9 351 555-1234"]),
    Person("李明", ["李明"]),
    Person("🦄", ["🦄"]),
    Person("Camila", ["Camila"]),
    Person("Florencia", ["Florencia"]),
]


@pytest.fixture(scope="module")
def invented():
    return InventedNames(SOMEBODY, [], seed=1)


@pytest.mark.parametrize(
    ("text", "people"),
    [
        ("mañana, banana, Anastasia, mariana", []),  # parts of other words
        ("ana y ANA y Aná y anà y a\u0301na", ["Ana Gómez"] * 5),
        ("Ana's, los gomez, los Ulloas", ["Ana Gómez", "Ana Gómez", "Martín Ulloa"]),
        ("Gómez Ana, ana_gomez.vcf", ["Ana Gómez"] * 2),
        ("la Anita, la anita", ["Ana Gómez"] * 2),
        ("tinchooo, Tinchito, tinchitos", ["Tincho"] * 3),
        ("martincito y marti, y mart", ["Martín Ulloa"] * 3),
        ("flor!!\nflor\nhola, flor\ny Flor y @flor", ["Florencia"] * 5),
        ("flor de asado. Flor de mate", []),  # an ordinary word, and at the start any has a capital
        ("juan, Juan Perez, juan paz", ["Juan Pérez", "Juan Pérez", "Juan Paz"]),
        ("Juancito", ["Juan Pérez"]),
        ("hace sol, Sol; las soles, y paz", ["Sol"]),
        ("jo, que frio. Jo. y Jo @jo", ["Jo"] * 2),
        ("llamá al 3515551234", ["+54 9 351 555-1234"]),
        ("🦄🦄", []),
        ("camisita, Camilita, la Cami", ["Camila"] * 2),
        ("el gas", []),  # what was added to a contact
        ("nani Nanis", ["Ana Gómez"] * 2),
    ],
)
def test_what_is_a_name(invented, text, people):
    labels = {invented.labels[person.label].lower(): person.label for person in SOMEBODY}
    pattern = re.compile(r"(?<![^\W_])(?:" + "|".join(labels) + r")(?![^\W_])", re.IGNORECASE)
    assert [labels[name.lower()] for name in pattern.findall(invented.text(text))] == people


def test_a_name_in_a_script_without_spaces(invented):
    assert invented.text("和李明去") == f"和{invented.label('李明')}去"


def test_a_name_is_written_as_the_real_one_was(invented):
    name = invented.label("Tincho")
    assert invented.text("tincho Tincho TINCHO!") == f"{name.lower()} {name} {name.upper()}!"


def test_mentions_and_personal_data_go_too(invented):
    name = invented.label("Ana Gómez")
    text = (
        "@\u2068Otra Persona\u2069 @fulano.93 @ana @ana93 tod@s 12@ ana@example.com @5493515550000"
    )
    assert invented.text(text) == (
        f"<USER> <USER> @{name.lower()} <USER> tod@s 12@ <EMAIL> @<PHONE>"
    )


def test_names_of_the_chats_are_not_given_to_anybody():
    used = [f"con {name.lower()} y" for name in NAMES[:-2]]
    names = InventedNames(SOMEBODY, used, seed=1)
    first = set(names.labels.values()) & set(NAMES)
    assert first == set(NAMES[-2:])
    assert len(set(names.labels.values())) == len(SOMEBODY)  # Sam, Chris, Sam 2, Chris 2 …
    everywhere = InventedNames(SOMEBODY, [" ".join(NAMES)], seed=1)
    assert everywhere.label("Tincho").startswith("Person")


def test_the_seed_decides_who_is_called_what():
    names = [InventedNames(SOMEBODY, [], seed).labels for seed in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


def test_who_is_in_the_chats():
    table = pd.DataFrame({"name": ["Juli", "Cami", tables.FORWARDED]})
    listed = People(
        "Juli", frozenset({"Juli", "Juliana R"}), {"Cami": "train", "Ema": "withhold"},
        {"Juliana R": ["july"], "Cami": ["c"]},
    )  # fmt: skip
    people = people_of(table, ["Cami", "Zoe", tables.FORWARDED], listed, None)
    assert people == [
        Person("Juli", ["Juli", "Juliana R"], ["july"]),
        Person("Cami", ["Cami"], ["c"]),
        Person("Zoe", ["Zoe"]),
        Person("Ema", ["Ema"], []),
    ]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The demo's tables, as the stages make them, and replies that name its people."""
    folder = tmp_path_factory.mktemp("demo")
    shutil.copytree(ROOT / "data" / "raw" / "demo", folder / "data" / "raw" / "demo")
    shutil.copy(ROOT / "params.yaml", folder)
    data, metrics = folder / "data", folder / "metrics"
    messages, cleaned, people = (data / f"{n}.parquet" for n in ("messages", "clean", "people"))
    raw, turns, examples = data / "raw" / "demo", data / "turns.parquet", data / "examples.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        parse.main(raw, messages, data / "probes.parquet", metrics / "parse.json")
        clean.main(messages, raw, cleaned, people, metrics / "clean.json", folder / "personal.md")
        group.main(cleaned, people, turns, examples, metrics / "group.json")
    tested = tables.read(examples, tables.EXAMPLES)
    tested = tested[tested["split"].eq("test")]
    replies = [
        {"id": name, "kind": "held_out", "prompt": None, "model": "tuned"}
        | {"messages": ["q dijo mechi?", "nada, TINCHO"], "finished": True}
        for name in tested["id"]
    ]
    tables.write(pd.DataFrame(replies), data / "replies.parquet", tables.REPLIES)
    return folder, len(tested)


def test_no_name_of_the_demo_is_left(demo, monkeypatch):
    folder, tested = demo
    monkeypatch.chdir(folder)
    text = page(folder, "--number", "500")
    assert text.count("<article>") == tested
    read = re.compile(r"(?<!\w)(?:juli|cami|tincho|mechi|rocco)(?!\w)", re.IGNORECASE)
    before = len(read.findall(text))
    assert before > 3 * tested
    assert text.count("<time>") > tested
    renamed = page(folder, "--number", "500", "--invent")
    assert not read.findall(renamed)
    assert '<p class="who">Mamá</p>' in text
    assert '<p class="who">Mamá</p>' not in renamed
    # Besides the names the page is the same: as many cards, bubbles and times.
    for mark in ("<article>", 'class="bubble"', "<time>"):
        assert renamed.count(mark) == text.count(mark)


def test_the_terminal_takes_any_console():
    drawn = replay.Replay([replay.Replayed([], {"real": [], "tuned": ["a"]}, "")], "Juli", "chats")
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    replay.show(drawn, console, "es")
    assert "el bot" in console.export_text()
