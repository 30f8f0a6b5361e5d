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
    with pytest.raises(UserError) as error:
        people.check(written(content, folder), writers, folder)
    return str(error.value)


def test_a_single_name_is_the_author(tmp_path):
    who = written("author: Juli\n", tmp_path)
    assert (who.author, who.aliases) == ("Juli", {"Juli"})


def test_a_list_is_one_person_whose_first_name_counts(tmp_path):
    who = written("author:\n  - Juli\n  - Juli (trabajo)\n  - +54 9 351 555-0101\n", tmp_path)
    assert who.author == "Juli"
    assert who.aliases == {"Juli", "Juli (trabajo)", "+54 9 351 555-0101"}


def test_names_that_all_write_in_the_chats_are_accepted(tmp_path):
    who = written("author: [Juli, Rocco]\n", tmp_path)
    assert people.check(who, WRITERS, tmp_path) is None


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
    who = written(f"author: '{copied}'\n", tmp_path)
    people.check(who, {known: 12, "Cami": 30}, tmp_path)
    assert known in who.aliases
