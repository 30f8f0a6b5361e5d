"""people.yaml: whose way of writing is learnt, and what a person is told when that is not clear."""

import pytest

from espejo import people
from espejo.errors import UserError

WRITERS = {"Rocco": 3, "Juli": 12, "Cami": 30}


def written(content, folder):
    """The people of a file with this content."""
    data = content if isinstance(content, bytes) else content.encode()
    (folder / people.FILE).write_bytes(data)
    return people.read(folder)


def complaint(content, folder, writers=WRITERS):
    """What somebody with this file is told."""
    written(content, folder)
    with pytest.raises(UserError) as error:
        people.settled(folder, writers)
    return str(error.value)


def test_a_single_name_is_the_author(tmp_path):
    who = written("author: Juli\n", tmp_path)
    assert (who.author, who.aliases) == ("Juli", {"Juli"})


def test_a_list_is_one_person_whose_first_name_counts(tmp_path):
    who = written("author:\n  - Juli\n  - Juli (trabajo)\n  - +54 9 351 555-0101\n", tmp_path)
    assert who.author == "Juli"
    assert who.aliases == {"Juli", "Juli (trabajo)", "+54 9 351 555-0101"}


def test_names_that_all_write_in_the_chats_are_accepted(tmp_path):
    written("author: [Juli, Rocco]\npeople: {Cami: train}\n", tmp_path)
    assert people.settled(tmp_path, WRITERS).aliases == {"Juli", "Rocco"}


def test_a_missing_file_is_named_with_what_to_write_in_it(tmp_path):
    with pytest.raises(UserError, match=r"people\.yaml is missing.*author: NAME"):
        people.read(tmp_path)


def test_bad_yaml_is_reported_with_its_line(tmp_path):
    # A second colon: YAML allows no mapping inside the value of line 3.
    with pytest.raises(UserError, match=r"people\.yaml \(line 3\) is not valid YAML"):
        written("# quién soy\n\nauthor: Juli: la de la feria\n", tmp_path)


def test_a_file_that_is_not_utf8_is_reported_as_one_that_cannot_be_read(tmp_path):
    # As an old Windows editor saves it.
    with pytest.raises(UserError, match=r"people\.yaml"):
        written("author: Mamá\n".encode("cp1252"), tmp_path)


@pytest.mark.parametrize("content", ["author:\n", "author: ''\n", "author: []\n", "", "Juli\n"])
def test_without_a_name_all_authors_are_listed_with_most_messages_first(content, tmp_path):
    told = complaint(content, tmp_path)
    assert "people.yaml names no author" in told
    assert "Cami (30), Juli (12), Rocco (3)" in told


def test_only_the_twenty_busiest_authors_of_a_big_group_are_listed(tmp_path):
    # Vecino 1 wrote most, Vecino 23 least; three are left after twenty.
    told = complaint("author:\n", tmp_path, {f"Vecino {n}": 100 - n for n in range(1, 24)})
    assert "Vecino 1 (99), Vecino 2 (98)" in told
    assert "Vecino 20 (80) and 3 more" in told
    assert "Vecino 21" not in told


def test_a_misspelt_author_is_told_the_closest_names(tmp_path):
    told = complaint("author: Yuli\n", tmp_path)
    assert "names the author 'Yuli', who wrote no message" in told
    assert "The closest: Juli." in told
    assert "Cami (30), Juli (12), Rocco (3)" in told


def test_an_author_like_nobody_is_told_no_closest_name(tmp_path):
    assert "closest" not in complaint("author: Wxz\n", tmp_path)


def test_one_absent_name_is_an_error_beside_one_that_fits(tmp_path):
    told = complaint("author: [Juli, Juliana]\n", tmp_path)
    assert "names the author 'Juliana', who wrote no message" in told


@pytest.mark.parametrize(
    ("copied", "known"),
    [
        ("~\u202fJuli", "~ Juli"),
        ("\u202a+54\u00a09\u00a0351\u00a0555\u20110101\u202c", "+54 9 351 555-0101"),
    ],
)
def test_a_name_copied_from_the_export_is_found_whatever_its_invisible_signs(
    copied, known, tmp_path
):
    # WhatsApp writes such spaces, hyphens and marks in names; the reader of exports turns them
    # into plain ones, as `known` in the table of messages.
    written(f"author: '{copied}'\npeople:\n  Cami: train\n", tmp_path)
    assert known in people.settled(tmp_path, {known: 12, "Cami": 30}).aliases


# What others allow


def test_each_answer_is_read_and_the_author_is_not_among_the_others(tmp_path):
    who = written(
        "author: Juli\npeople:\n  Cami: train\n  Rocco: withhold\n  Juli: train\n  No: context\n",
        tmp_path,
    )
    assert who.consents == {"Cami": "train", "Rocco": "withhold", "No": "context"}
    assert who.who("withhold") == {"Rocco"}


def test_the_first_run_writes_the_file_and_stops(tmp_path):
    with pytest.raises(UserError, match="names no author") as error:
        people.settled(tmp_path, WRITERS)
    assert "withhold" in str(error.value)
    # Most messages first; a person fills in the author and the answers.
    assert (tmp_path / people.FILE).read_text("utf-8") == (
        "author:\npeople:\n  Cami:\n  Juli:\n  Rocco:\n"
    )


def test_a_missing_answer_stops_and_says_whose_and_what_to_write(tmp_path):
    told = complaint("author: Juli\npeople:\n  Cami: train\n  Rocco:\n", tmp_path)
    assert "these people allow: Rocco (3)." in told
    assert "train (" in told
    assert "context (" in told
    assert "withhold (" in told
    assert "Cami" not in told


def test_a_misspelt_name_is_told_beside_the_one_it_leaves_without_an_answer(tmp_path):
    told = complaint("author: Juli\npeople:\n  Cami: train\n  Roco: train\n", tmp_path)
    assert "these people allow: Rocco (3)." in told
    assert "It also names Roco, who wrote no message." in told


def test_a_colon_without_a_space_after_it_is_explained(tmp_path):
    with pytest.raises(UserError, match="just before: .* with a space after each colon"):
        written("author: Juli\npeople:\n  Cami: train\n  Rocco:train\n", tmp_path)


def test_the_line_without_a_space_is_named_though_yaml_stumbles_later(tmp_path):
    with pytest.raises(UserError, match=r"people.yaml \(line 2\) is not valid YAML"):
        written("# míos\nauthor:Juli\n# los demás\npeople:\n  Cami: train\n", tmp_path)


def test_somebody_new_is_added_at_the_end_and_comments_stay(tmp_path):
    content = "# míos\nauthor: Juli\npeople:\n  Cami: context   # le pregunté\n"
    told = complaint(content, tmp_path, {**WRITERS, "No": 1, "Ana: trabajo": 1})
    assert "Rocco (3), Ana: trabajo (1), No (1)" in told
    now = (tmp_path / people.FILE).read_text("utf-8")
    assert now.startswith(content)
    who = people.read(tmp_path)
    assert who.consents == {"Cami": "context", "Rocco": "", "Ana: trabajo": "", "No": ""}


def test_once_everybody_has_answered_nothing_is_written_any_more(tmp_path):
    content = "people: {Cami: train, Rocco: context}\nauthor: Juli\n"
    written(content, tmp_path)
    people.settled(tmp_path, WRITERS)
    assert (tmp_path / people.FILE).read_text("utf-8") == content


@pytest.mark.parametrize("answer", ["yes", "Train", "12", "[train]"])
def test_an_answer_that_is_none_is_named(answer, tmp_path):
    with pytest.raises(UserError, match="after Cami: expected train"):
        written(f"author: Juli\npeople:\n  Cami: {answer}\n", tmp_path)


def test_people_that_are_no_mapping_are_refused(tmp_path):
    with pytest.raises(UserError, match="expected lines `NAME: ANSWER`"):
        written("author: Juli\npeople: [Cami]\n", tmp_path)


# Pseudonyms


def test_a_pseudonym_is_the_place_in_the_file_and_the_author_has_none_of_the_others(tmp_path):
    who = written(
        "author: [Juli, Juli (viejo)]\npeople: {Rocco: train, Juli: train, Ana: context}\n",
        tmp_path,
    )
    assert who.pseudonyms("PERSONA_{n}") == {
        "Juli": "PERSONA_0",
        "Juli (viejo)": "PERSONA_0",
        "Rocco": "PERSONA_1",
        "Ana": "PERSONA_2",
    }
    under = who.under("PERSONA_{n}")
    assert under.author == "PERSONA_0"
    assert under.who("context") == {"PERSONA_2"}
    assert who.under(None) is who


def test_somebody_new_leaves_the_pseudonyms_of_the_others_alone(tmp_path):
    written("author: Juli\npeople: {Rocco: train, Cami: train}\n", tmp_path)
    before = people.read(tmp_path).pseudonyms("P{n}")
    with pytest.raises(UserError):
        people.settled(tmp_path, {**WRITERS, "Abril": 50})
    after = people.read(tmp_path).pseudonyms("P{n}")
    assert before.items() <= after.items()
    assert after["Abril"] == "P3"


@pytest.mark.parametrize("pattern", ["PERSONA", "PERSON {n}", "<{n}>", "{n}{n} {m}", ""])
def test_a_pattern_must_be_one_word_with_a_number(pattern, tmp_path):
    with pytest.raises(UserError, match="one word with {n}"):
        written("author: Juli\n", tmp_path).pseudonyms(pattern)
