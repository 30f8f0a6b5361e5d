"""people.yaml: who the author is, what others allow, and the sentence if that is not clear."""

import hashlib
import os
import re
import time
from pathlib import Path

import pandas as pd
import pytest

from espejo.commands import init, own_chats
from espejo.commands.init_wording import InitWording
from espejo.core.errors import UserError
from espejo.privacy import consents, people_file
from espejo.privacy.people import FILE, check_people, read_people

WRITERS = {"Rocco": 3, "Juli": 12, "Cami": 30}


def people_from(content, folder):
    """The people of a file with this content, which is written into `folder`."""
    data = content if isinstance(content, bytes) else content.encode()
    (folder / FILE).write_bytes(data)
    return read_people(folder)


def unsalted(folder):
    """The file without its two lines of salt, which must be there."""
    salt, _, rest = (folder / FILE).read_text("utf-8").split("\n", 2)
    assert re.fullmatch("# salt: [0-9a-f]{32}", salt)
    return rest


def complaint(content, folder, writers=WRITERS):
    """The error sentence for a file with this content."""
    people_from(content, folder)
    with pytest.raises(UserError) as error:
        check_people(folder, writers)
    return str(error.value)


def test_a_single_name_is_the_author(tmp_path):
    people = people_from("author: Juli\n", tmp_path)
    assert (people.author, people.aliases) == ("Juli", {"Juli"})


def test_a_list_is_one_person_whose_first_name_counts(tmp_path):
    people = people_from(
        "author:\n  - Juli\n  - Juli (trabajo)\n  - +54 9 351 555-0101\n", tmp_path
    )
    assert people.author == "Juli"
    assert people.aliases == {"Juli", "Juli (trabajo)", "+54 9 351 555-0101"}


def test_names_that_all_write_in_the_chats_are_accepted(tmp_path):
    people_from("author: [Juli, Rocco]\npeople: {Cami: train}\n", tmp_path)
    assert check_people(tmp_path, WRITERS).aliases == {"Juli", "Rocco"}


def test_a_missing_file_is_named_with_what_to_write_in_it(tmp_path):
    with pytest.raises(UserError, match=r"people\.yaml is missing.*author: NAME"):
        read_people(tmp_path)


def test_bad_yaml_is_reported_with_its_line(tmp_path):
    # A second colon: YAML allows no mapping inside the value of line 3.
    with pytest.raises(UserError, match=r"people\.yaml \(line 3\) is not valid YAML"):
        people_from("# quién soy\n\nauthor: Juli: la de la feria\n", tmp_path)


def test_a_file_that_is_not_utf8_is_reported_as_one_that_cannot_be_read(tmp_path):
    # As an old Windows editor saves it.
    with pytest.raises(UserError, match=r"people\.yaml"):
        people_from("author: Mamá\n".encode("cp1252"), tmp_path)


@pytest.mark.parametrize(
    "content", ["author:\n", "author: ''\n", "author: []\n", "author: ~\n", ""]
)
def test_without_a_name_all_authors_are_listed_with_most_messages_first(content, tmp_path):
    message = complaint(content, tmp_path)
    assert "people.yaml names no author" in message
    assert "Cami (30), Juli (12), Rocco (3)" in message


def test_only_the_twenty_busiest_authors_of_a_big_group_are_listed(tmp_path):
    # Vecino 1 wrote most, Vecino 23 least; three are left after twenty.
    message = complaint("author:\n", tmp_path, {f"Vecino {n}": 100 - n for n in range(1, 24)})
    assert "Vecino 1 (99), Vecino 2 (98)" in message
    assert "Vecino 20 (80) and 3 more" in message
    assert "Vecino 21" not in message


def test_a_misspelt_author_is_told_the_closest_names(tmp_path):
    message = complaint("author: Yuli\n", tmp_path)
    assert "names the author 'Yuli', who wrote no message" in message
    assert "The closest: Juli." in message
    assert "Cami (30), Juli (12), Rocco (3)" in message


def test_an_author_like_nobody_is_told_no_closest_name(tmp_path):
    assert "closest" not in complaint("author: Wxz\n", tmp_path)


def test_one_absent_name_is_an_error_beside_one_that_fits(tmp_path):
    message = complaint("author: [Juli, Juliana]\n", tmp_path)
    assert "names the author 'Juliana', who wrote no message" in message


@pytest.mark.parametrize(
    ("copied", "name"),
    [
        ("~\u202fJuli", "~ Juli"),
        ("\u202a+54\u00a09\u00a0351\u00a0555\u20110101\u202c", "+54 9 351 555-0101"),
    ],
)
def test_a_name_copied_from_the_export_is_found_whatever_its_invisible_signs(
    copied, name, tmp_path
):
    # WhatsApp writes such spaces, hyphens and marks in names; the reader of exports turns them
    # into plain ones, as in `name`.
    people_from(f"author: '{copied}'\npeople:\n  Cami: train\n", tmp_path)
    assert name in check_people(tmp_path, {name: 12, "Cami": 30}).aliases


# What others allow


def test_each_answer_is_read_and_the_author_is_not_among_the_others(tmp_path):
    people = people_from(
        "author: Juli\npeople:\n  Cami: train\n  Rocco: withhold\n  Juli: train\n  No: context\n",
        tmp_path,
    )
    assert people.consents == {"Cami": "train", "Rocco": "withhold", "No": "context"}
    assert people.with_consent("withhold") == {"Rocco"}


def test_the_first_run_writes_the_file_and_stops(tmp_path):
    with pytest.raises(UserError, match="names no author") as error:
        check_people(tmp_path, WRITERS)
    assert "withhold" in str(error.value)
    # Most messages first; a person fills in the author and the answers.
    assert unsalted(tmp_path) == "author:\npeople:\n  Cami:\n  Juli:\n  Rocco:\n"


def test_a_missing_answer_stops_and_says_whose_and_what_to_write(tmp_path):
    message = complaint("author: Juli\npeople:\n  Cami: train\n  Rocco:\n", tmp_path)
    assert "these people allow: Rocco (3)." in message
    assert "train (" in message
    assert "context (" in message
    assert "withhold (" in message
    assert "Cami" not in message


def test_a_misspelt_name_is_told_beside_the_one_it_leaves_without_an_answer(tmp_path):
    message = complaint("author: Juli\npeople:\n  Cami: train\n  Roco: train\n", tmp_path)
    assert "these people allow: Rocco (3)." in message
    assert "It also names Roco, who wrote no message." in message


def test_a_colon_without_a_space_after_it_is_explained(tmp_path):
    with pytest.raises(UserError, match=r"no space after a colon.* with a space after each colon"):
        people_from("author: Juli\npeople:\n  Cami: train\n  Rocco:train\n", tmp_path)


def test_the_line_without_a_space_is_named_though_yaml_stumbles_later(tmp_path):
    with pytest.raises(UserError, match=r"people.yaml \(line 2\) is not valid YAML"):
        people_from("# míos\nauthor:Juli\n# los demás\npeople:\n  Cami: train\n", tmp_path)


def test_somebody_new_is_added_at_the_end_and_comments_stay(tmp_path):
    content = "# míos\nauthor: Juli\npeople:\n  Cami: context   # le pregunté\n"
    message = complaint(content, tmp_path, {**WRITERS, "No": 1, "Ana: trabajo": 1})
    assert "Rocco (3), Ana: trabajo (1), No (1)" in message
    assert unsalted(tmp_path).startswith(content)
    people = read_people(tmp_path)
    assert people.consents == {"Cami": "context", "Rocco": "", "Ana: trabajo": "", "No": ""}


def test_once_everybody_has_answered_nothing_is_written_any_more(tmp_path):
    content = "# salt: 0123456789abcdef0123456789abcdef\npeople: {Cami: train, Rocco: context}\n"
    content += "author: Juli\n"
    people_from(content, tmp_path)
    check_people(tmp_path, WRITERS)
    assert (tmp_path / FILE).read_text("utf-8") == content


@pytest.mark.parametrize("answer", ["yes", "sí", "12", "[train]", "{a: b}", "2020-01-01"])
def test_an_answer_that_is_none_is_named(answer, tmp_path):
    with pytest.raises(UserError, match="after Cami: expected train"):
        people_from(f"author: Juli\npeople:\n  Cami: {answer}\n", tmp_path)


@pytest.mark.parametrize("answer", ["Train", "TRAIN", "'train'", "train   # le pregunté"])
def test_an_answer_is_an_answer_in_any_case(answer, tmp_path):
    people = people_from(f"author: Juli\npeople:\n  Cami: {answer}\n", tmp_path)
    assert people.consents == {"Cami": "train"}


def test_people_that_are_no_mapping_are_refused(tmp_path):
    with pytest.raises(UserError, match="expected lines `NAME: ANSWER`"):
        people_from("author: Juli\npeople: [Cami]\n", tmp_path)


# Names are read as written, and what a person wrote stays


@pytest.mark.parametrize(
    "name",
    [
        "No",
        "true",
        "null",
        "~",
        "2020-01-01",
        "0x1F",
        "1e400",
        "9" * 900,
        "12:30",
        "<<",
        "=",
        "3.14",
    ],
)
def test_a_name_that_yaml_takes_for_something_else_is_a_name(name, tmp_path):
    assert people_from(f"author: Juli\npeople:\n  {name}: withhold\n", tmp_path).with_consent(
        "withhold"
    ) == {name}


@pytest.mark.parametrize(
    "name",
    [
        *("Ana: trabajo", "Ana\u0085Paz", "Ana\u2028Paz", "Ana\x0bPaz", "@Ana", "# Ana", "- Ana"),
        *(
            '"Ana"',
            "'Ana",
            "Ana #2",
            "\\Ana",
            "No",
            "null",
            "~ Ana",
            "Ana \U0001f469\u200d\U0001f9b0",
        ),
        *(
            "[Ana]",
            "{Ana}",
            "*",
            "&a",
            "!x",
            "%x",
            "`",
            "|",
            ">",
            "? Ana",
            "Ana:",
            "+54 9 351 555-0101",
        ),
        *("\u200bAna", "Ana\ufe0f", "\ufeffAna", "\u202eAna"),
    ],
)
def test_whoever_is_added_can_be_answered_for(name, tmp_path):
    message = complaint("author: Juli\n", tmp_path, {"Juli": 2, name: 1})
    assert "could not be added" not in message
    path = tmp_path / FILE
    path.write_bytes(re.sub(rb":\n\Z", b": withhold\n", path.read_bytes()))
    people = check_people(tmp_path, {"Juli": 2, name: 1})
    assert people.with_consent("withhold") == {people.spelling(name)}


@pytest.mark.parametrize(
    ("content", "becomes"),
    [
        ("# míos\n# solo\n", "# míos\n# solo\nauthor:\npeople:\n  J:\n  Ana:\n"),
        ("# sin salto", "# sin salto\nauthor:\npeople:\n  J:\n  Ana:\n"),
        ("author: J  # yo", "author: J  # yo\npeople:\n  Ana:\n"),
        ("author: J\npeople:\n\n# fin\n", "author: J\npeople:\n  Ana:\n\n# fin\n"),
        (
            "people:\n    B:   train   # él\n    # y\n\nauthor: J\naliases:\n  B: [b]\n",
            "people:\n    B:   train   # él\n    Ana:\n    # y\n\nauthor: J\naliases:\n  B: [b]\n",
        ),
        (
            "author: J\r\npeople:\r\n  B: train\r\n",
            "author: J\r\npeople:\r\n  B: train\r\n  Ana:\r\n",
        ),
        ("author: J\npeople: {B: train}\n", 'author: J\npeople: {B: train, "Ana": }\n'),
        # If there is no place for a name nothing changes, and the sentence says so.
        ("{author: J}\n", None),
        ("author: J\npeople: {B: train,}\n", None),
        ("author: J\n...\n", None),
    ],
)
def test_no_line_of_a_persons_own_changes(content, becomes, tmp_path):
    messages = {"J": 2, "B": 2, "Ana": 1}
    if "B:" not in content:
        del messages["B"]
    message = complaint(content, tmp_path, messages)
    assert ("write them yourself" in message) == (becomes is None)
    now = (tmp_path / FILE).read_bytes().decode()
    assert re.sub(r"\A# salt: .*\r?\n# .*\r?\n", "", now) == (becomes or content)


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        ("- Juli\n- Ana\n", 1, "is a list"),
        ("# yo\nJuli\n", 2, "is one word"),
        ("author:\n  Juli: yo\n", 2, "a list of pairs stands after author"),
        ("author: [[Juli]]\n", 1, "a list stands after author"),
        ("author: Juli\nautor: Ana\n", 2, "'autor': expected author, people or aliases there"),
        ("author: Juli\npeople:\nAna: train\n", 3, "names under people, two spaces further in"),
        ("author: Juli\npeople: Ana\n", 2, "one word stands under people"),
        ("author: Juli\npeople:\n  - Ana: train\n", 3, "a list stands under people"),
        ("people:\n  Ana: train\n  Ana: withhold\n", 3, "Ana stands on line 2 already"),
        ("author: Juli\nauthor: Ana\n", 2, "author stands on line 1 already"),
        ("people:\n  ? [Ana, B]\n  : train\n", 2, "expected a name before the colon"),
        ("people:\n  '': train\n", 2, "expected a name before the colon"),
        ("aliases:\n  Ana: [A]\n", 2, "Ana has aliases and stands neither"),
        ("aliases: Ana\n", 1, "one word stands under aliases"),
        ("people:\n  Ana: train\naliases:\n  Ana: {a: b}\n", 4, "not a name after Ana"),
        ("author: Juli\npeople:\n\tAna: train\n", 3, "a tab where it begins"),
        ("author: Juli\npeople:\n  @Ana: train\n", 3, "a name that begins with @ and is not in"),
        ("author: Juli\npeople:\n  Ana: *x\n", 3, "found undefined alias 'x'"),
        ("author: Juli\n---\nauthor: Ana\n", 2, "another document"),
        ("author: Juli\nx: " + "[" * 2000, 2, "brackets within brackets"),
        ("author: Juli\nx: " + "{a: " * 2000, 2, "brackets within brackets"),
        ("author: Juli\nx:\n" + "".join(" " * n + "- \n" for n in range(600)), None, "is not"),
        ("author: Juli\npeople:\n  A\uffff: train\n", 3, "a sign that YAML does not know, U+FFFF"),
        ("author: Juli\npeople:\n  Mamá: train\n".encode("cp1252"), 3, "not in UTF-8"),
        ("author: Juli\n".encode("utf-16"), 1, "is in UTF-16: save it as UTF-8"),
        (
            b"author: Juli\n" + b"# " + b"x" * people_file.MAX_BYTES,
            None,
            "far beyond a list of people",
        ),
        ("a: &a [x]\n" + "".join(f"b{n}: &b{n} [*a,*a]\n" for n in range(40)), 1, "says 'a'"),
    ],
)
def test_what_is_no_list_of_people_is_one_sentence_and_stays(content, line, reason, tmp_path):
    began = time.process_time()
    path = tmp_path / FILE
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        check_people(tmp_path, WRITERS)
    message = str(error.value)
    assert time.process_time() - began < 3
    assert reason in message
    assert "\n" not in message
    assert message.startswith(str(path))
    if line is not None:
        assert f"(line {line})" in message
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffauthor: Juli\npeople:\n  Cami: train\n",
        "author:\tJuli\npeople:\n  Cami:\ttrain\n",
        "author:\u00a0Juli\npeople:\n\u00a0\u00a0Cami:\u00a0train\n",
        "author: Juli\r\npeople:\r\n  Cami: train\r\n",
        "author: Juli\rpeople:\r  Cami: train\r",
        "%YAML 1.2\n---\nauthor: Juli\npeople: {Cami: train}\n",
    ],
)
def test_what_can_only_be_meant_one_way_is_read(content, tmp_path):
    people = people_from(content, tmp_path)
    assert (people.author, people.consents) == ("Juli", {"Cami": "train"})


@pytest.mark.parametrize("kind", ["a folder", "a pipe", "unreadable"])
def test_what_cannot_be_read_is_one_sentence(kind, tmp_path, monkeypatch):
    path = tmp_path / FILE
    if kind == "a folder":
        path.mkdir()
    elif kind == "a pipe":
        os.mkfifo(path)
    else:
        path.write_text("author: Juli\n", "utf-8")

        def refuse(_):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(
        UserError, match=r"people\.yaml (is a folder or|cannot be read \(Permission)"
    ):
        check_people(tmp_path, WRITERS)


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    content = "author: Juli\npeople:\n  Cami: train\n"
    people_from(content, tmp_path)

    def full(path, _):
        path.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match="Rocco .*cannot be written .No space left on device"):
        check_people(tmp_path, WRITERS)
    monkeypatch.undo()
    assert [file.name for file in tmp_path.iterdir()] == [FILE]
    assert (tmp_path / FILE).read_text("utf-8") == content


# Spellings


@pytest.mark.parametrize(
    "sign", ["\u200e", "\ufeff", "\u200b", "\u00ad", "\u2060", "\ufe0f", "\u0085"]
)
@pytest.mark.parametrize("swapped", [False, True])
def test_of_two_spellings_that_look_the_same_the_stricter_answer_wins(sign, swapped, tmp_path):
    other = f'"Ca{sign}mi"' if sign != "\u0085" else '"Cami\\x85"'
    for first, second, strictest in (
        ("train", "withhold", "withhold"),
        ("train", "context", "context"),
        ("context", "withhold", "withhold"),
        ("", "train", "train"),
    ):
        answers = (second, first) if swapped else (first, second)
        people = people_from(
            f"author: Juli\npeople:\n  Cami: {answers[0]}\n  {other}: {answers[1]}\n", tmp_path
        )
        assert people.consents == {"Cami": strictest}
        assert people.spelling(f"Ca{sign}mi" if sign != "\u0085" else "Cami\x85") == "Cami"


def test_accents_apart_and_no_break_spaces_are_the_same_name(tmp_path):
    people = people_from(
        "author: Juli\npeople:\n  Iba\u0301n\u0303ez Paz: withhold\n"
        "  Ib\u00e1\u00f1ez\u202fPaz: train\n  Ibanez Paz: context\n",
        tmp_path,
    )
    assert list(people.consents.values()) == ["withhold", "context"]


def test_a_spelling_of_the_chats_is_nobody_new(tmp_path):
    people_from("author: Juli\npeople:\n  Cami: train\n  Rocco: context\n", tmp_path)
    people = check_people(tmp_path, {"Ju\u200bli": 9, "Cam\ufeffi": 3, "Cami": 1, "Rocco": 1})
    assert people.spelling("Cam\ufeffi") == "Cami"
    assert people.spelling("Ju\u200bli") == "Juli"
    assert people.spelling("Nadie") == "Nadie"
    assert unsalted(tmp_path) == "author: Juli\npeople:\n  Cami: train\n  Rocco: context\n"


def test_aliases_are_by_the_name_that_has_them(tmp_path):
    people = people_from(
        "author: Juli\npeople:\n  Mamá: withhold\n"
        "aliases:\n  Mamá: [ma, la vieja]\n  Juli: Juliancito\n",
        tmp_path,
    )
    assert people.nicknames == {"Mamá": ["ma", "la vieja"], "Juli": ["Juliancito"]}
    assert people.aliases == {"Juli"}


def test_somebody_new_stands_behind_a_last_name_without_an_answer(tmp_path):
    complaint("author: Juli\npeople:\n  Cami:\n\n# others\naliases:\n  Cami: [ma]\n", tmp_path)
    assert unsalted(tmp_path) == (
        "author: Juli\npeople:\n  Cami:\n  Rocco:\n\n# others\naliases:\n  Cami: [ma]\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("author:\npeople:\n  Cami: # yes\n", "author: Juli\npeople:\n  Cami: train # yes\n"),
        (
            "author: [Ana, 'B']   # me\npeople: {Cami: , Rocco: context}\n",
            "author: [Ana, 'B', \"Juli\"]   # me\npeople: {Cami: train , Rocco: context}\n",
        ),
        (
            "author:\n- Ana\n- B   # two\npeople:\n  Cami: ~\n  Rocco: withhold\n",
            'author:\n- Ana\n- B\n- "Juli"   # two\npeople:\n  Cami: train\n  Rocco: withhold\n',
        ),
        ('people:\n  "Cami":\n\n\n', 'author: Juli\npeople:\n  "Cami": train\n\n\n'),
        (
            "\ufeffauthor: Ana\r\npeople:\r\n  Cami:\r\n",
            '\ufeffauthor: [Ana, "Juli"]\r\npeople:\r\n  Cami: train\r\n',
        ),
        ("author: Ana\npeople:\n  Cami: ''\n", 'author: [Ana, "Juli"]\npeople:\n  Cami: train\n'),
        # No place, or there is an answer already.
        ("{people: {Cami: }}\n", None),
        ("author: Ana\npeople: {Cami}\n", None),
        ("author: Ana\npeople:\n  ? Cami\n", None),
        ("author: Ana\npeople:\n  Cami: context\n", None),
        ("author: Ana\npeople:\n", None),
    ],
)
def test_the_author_and_answers_are_filled_in_and_nothing_else_changes(before, after):
    file = people_file.parse(before, Path("x"))
    assert people_file.fill_in(file, ["Juli"], {"Cami": "train"}) == after


@pytest.mark.parametrize(
    "name", ["No", "12", "~", "null", "# x", "a: b", "[x]", "'x", '"', "x #y", "- a", "@ana", "ñ\t"]
)
def test_an_author_of_any_name_is_read_back(name):
    for before in ("author:\npeople:\n", "author: Ana\n", "", "# only a comment"):
        file = people_file.parse(before, Path("x"))
        text = people_file.fill_in(file, [name], {})
        names = [entry.name for entry in people_file.parse(text, Path("x")).author]
        assert names[-1:] == [name.strip()]


def test_nicknames_are_proposed_as_comments_and_never_as_an_answer(tmp_path):
    with pytest.raises(UserError):
        check_people(tmp_path, WRITERS, lambda names: {"Cami": ["Camucha"]})
    assert unsalted(tmp_path).splitlines()[2:] == [
        "  Cami:   # also called Camucha? Then say so under aliases",
        "  Juli:",
        "  Rocco:",
    ]
    assert read_people(tmp_path).nicknames == {}


# The salt


def md5(path):
    """The MD5 that DVC writes into dvc.lock."""
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_whoever_guesses_the_answers_cannot_confirm_them(tmp_path):
    content = "author: Juli\npeople:\n  Cami: train\n  Rocco: context\n"
    people_from(content, tmp_path)
    path = tmp_path / FILE
    check_people(tmp_path, WRITERS)
    # The guess of the content is right, but the file has other bytes.
    assert hashlib.md5(content.encode()).hexdigest() != md5(path)
    assert unsalted(tmp_path) == content
    first = path.read_bytes()
    check_people(tmp_path, WRITERS)
    assert path.read_bytes() == first  # once is enough: DVC would read the chats again
    path.write_text(content, "utf-8")
    check_people(tmp_path, WRITERS)
    assert path.read_bytes() != first  # another one each time


def test_make_mine_salts_its_file_with_128_bits_of_chance(tmp_path, monkeypatch, capsys):
    salts = set()
    for name in ("a", "b"):
        (tmp_path / name / "conf" / "data").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        init.by_hand()
        text = Path("data/raw/mine/people.yaml").read_text("utf-8")
        template = own_chats.template(InitWording("en"))
        assert text.split("\n", 1)[1] == template.split("\n", 1)[1]
        salts.add(re.match("# salt: ([0-9a-f]{32})\n", text)[1])
        assert people_file.parse(text, Path("x")).salted
    assert len(salts) == 2


def test_the_demo_says_that_it_needs_none():
    demo = Path(__file__).resolve().parents[2] / "data" / "raw" / "demo" / FILE
    assert people_file.read(demo).salted


def test_without_a_salt_and_without_a_way_to_write_one_nothing_is_read(tmp_path, monkeypatch):
    people_from("author: Juli\npeople: {Cami: train, Rocco: train}\n", tmp_path)

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(people_file, "write", refuse)
    with pytest.raises(UserError, match=r"Read-only file system.*`# salt: ` and 32 random digits"):
        check_people(tmp_path, WRITERS)


# Pseudonyms


def test_a_pseudonym_is_the_place_in_the_file_and_the_author_has_none_of_the_others(tmp_path):
    people = people_from(
        "author: [Juli, Juli (viejo)]\npeople: {Rocco: train, Juli: train, Ana: context}\n",
        tmp_path,
    )
    assert people.pseudonyms("PERSONA_{n}") == {
        "Juli": "PERSONA_0",
        "Juli (viejo)": "PERSONA_0",
        "Rocco": "PERSONA_1",
        "Ana": "PERSONA_2",
    }
    pseudonymized = people.pseudonymized("PERSONA_{n}")
    assert pseudonymized.author == "PERSONA_0"
    assert pseudonymized.with_consent("context") == {"PERSONA_2"}
    assert people.pseudonymized(None) is people


def test_somebody_new_leaves_the_pseudonyms_of_the_others_alone(tmp_path):
    people_from("author: Juli\npeople: {Rocco: train, Cami: train}\n", tmp_path)
    before = read_people(tmp_path).pseudonyms("P{n}")
    with pytest.raises(UserError):
        check_people(tmp_path, {**WRITERS, "Abril": 50})
    after = read_people(tmp_path).pseudonyms("P{n}")
    assert before.items() <= after.items()
    assert after["Abril"] == "P3"


def test_a_name_under_people_that_wrote_nothing_is_told_by_its_number(tmp_path):
    (tmp_path / "people.yaml").write_text(
        "author: Juli\npeople:\n  Vale: train\n  Valeria: withhold\n  Mora 🌸: context\n", "utf-8"
    )
    messages = pd.DataFrame(
        {"author": ["Juli", "Vale", None, "Mora"], "all_names": [None, None, None, "Mora\nMora 🌸"]}
    )
    assert consents.absent_in_words(tmp_path, messages) == (
        "; in people.yaml number 2 under people wrote nothing: only mentioned, or misspelt?"
    )
    assert consents.absent_in_words(tmp_path, messages.assign(author="Valeria")).startswith(
        "; in people.yaml number 1 under"
    )
    everybody = pd.DataFrame({"author": ["Vale", "Valeria", "Mora 🌸"], "all_names": None})
    assert consents.absent_in_words(tmp_path, everybody) == ""
