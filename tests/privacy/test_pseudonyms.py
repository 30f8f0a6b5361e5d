"""Pseudonyms: which words of a text are somebody's name, and whose."""

import socket
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espejo.privacy import pii
from espejo.privacy.pseudonyms import replace_mentions

# All invented; Argentina reserves no phone numbers for fiction.
PSEUDONYMS = {
    "Flor Gómez 🌸": "PERSON_1",
    "Ana Trabajo": "PERSON_2",
    "Sol": "PERSON_3",
    "+54 9 351 555-1234": "PERSON_4",
    "Juan Pérez": "PERSON_5",
    "Juan Ibáñez": "PERSON_6",
    "Mamá": "PERSON_7",
    "Jo": "PERSON_8",
    "Dr. Núñez": "PERSON_9",
    "La Colo": "PERSON_10",
    "Tomás Rosa": "PERSON_11",
    "🌸": "PERSON_12",
}


def replaced(text, pseudonyms=PSEUDONYMS):
    return replace_mentions([text], pseudonyms)[0][0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # the first word of a name in any form
        ("hola flor! cómo va", "hola PERSON_1! cómo va"),
        ("FLOR vení", "PERSON_1 vení"),
        ("tomas, y vos?", "PERSON_11, y vos?"),
        ("jaja flor,juan", "jaja PERSON_1,PERSON_5"),
        # later words capitalised, or after the first
        ("vino Gómez", "vino PERSON_1"),
        ("vino gómez", "vino gómez"),
        ("Flor Gómez vino", "PERSON_1 vino"),
        ("flor gomez vino", "PERSON_1 vino"),
        # with @, as WhatsApp writes mentions
        ("@Flor vení", "@PERSON_1 vení"),
        ("@\u2068Flor Gómez 🌸\u2069 vení", "@\u2068PERSON_1 🌸\u2069 vení"),
        ("@Jo vení jo", "@PERSON_8 vení jo"),
        ("@5493515551234 vení", "@PERSON_4 vení"),
        # one first name, several people
        ("Juan Ibáñez y Juan Pérez", "PERSON_6 y PERSON_5"),
        ("juan, juan juan", "PERSON_5, PERSON_5 PERSON_5"),
        # accents left out, or written apart
        ("IBANEZ", "PERSON_6"),
        ("Iba\u0301n\u0303ez", "PERSON_6"),
        # names that are words
        ("hace mucho sol", "hace mucho sol"),
        ("Sol de mañana", "Sol de mañana"),
        ("dijo Sol que viene", "dijo PERSON_3 que viene"),
        ("ganó. Sol de mañana", "ganó. Sol de mañana"),
        ("UN SOL", "UN SOL"),
        ("@sol", "@PERSON_3"),
        ("a mi mamá, a Mamá", "a mi mamá, a PERSON_7"),
        ("una rosa para Rosa", "una rosa para PERSON_11"),
        # what people add to a contact
        ("Ana, al trabajo", "PERSON_2, al trabajo"),
        ("el Trabajo de ana", "el Trabajo de PERSON_2"),
        ("el dr Nuñez", "el dr PERSON_9"),
        ("la colo", "la PERSON_10"),
        # whole words
        ("florcita, flores, flor_gomez, flor2", "florcita, flores, flor_gomez, flor2"),
        ("🌸", "🌸"),
    ],
)
def test_mentions(text, expected):
    assert replaced(text) == expected


def test_mentions_are_counted_by_who_is_mentioned():
    texts, counts = replace_mentions(["flor y juan", "FLOR!", "nada"], PSEUDONYMS)
    assert texts == ["PERSON_1 y PERSON_5", "PERSON_1!", "nada"]
    assert counts == Counter(PERSON_1=2, PERSON_5=1)


def test_a_name_of_several_phones_is_one_person():
    pseudonyms = {"Juli": "PERSON_1", "Julieta (trabajo)": "PERSON_1"}
    assert replaced("Juli, o Julieta", pseudonyms) == "PERSON_1, o PERSON_1"


def test_what_people_yaml_lists_as_aliases_is_a_name_whatever_it_is():
    pseudonyms = {"Mamá": "PERSON_1", "Flor": "PERSON_2"}
    nicknames = {"Mamá": ["ma", "la vieja"], "Flor": ["Florcita", "351 555 1234"]}
    texts, counts = replace_mentions(
        ["¿Ma, está LA VIEJA? vieja costumbre", "florcíta y Flor: 3515551234", "mamá, mamama"],
        pseudonyms,
        nicknames,
    )
    assert texts == [
        "¿PERSON_1, está PERSON_1? vieja costumbre",
        "PERSON_2 y PERSON_2: PERSON_2",
        "mamá, mamama",
    ]
    assert counts == Counter(PERSON_1=2, PERSON_2=3)


def test_personal_data_around_a_pseudonym_is_still_found():
    once = replaced("flor@example.com, flor: +54 9 351 555-9876 y @5493515550000")
    assert pii.replace(once)[0] == "<EMAIL>, PERSON_1: <PHONE> y @<PHONE>"


words = st.sampled_from(
    ["flor", "Flor", "gómez", "Gómez", "sol", "Sol", "juan", "Juan", "Ibáñez", "ana", "Trabajo"]
    + ["@", "@flor", "PERSON_1", ",", ".", "y", ""]
)


@given(st.builds(" ".join, st.lists(words | st.text(max_size=4), max_size=8)))
def test_replacing_twice_is_replacing_once(text):
    once = replaced(text)
    assert replaced(once) == once


@given(st.text())
def test_without_people_nothing_changes(text):
    assert replace_mentions([text], {}) == ([text], Counter())


def test_nothing_goes_to_the_network(monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", forbidden)
    assert replaced("flor") == "PERSON_1"


@pytest.mark.parametrize("unit", ["flor ", "Sol ", "flor gomez ", "@", "a", "\u0301", "@flor"])
def test_the_longest_message_takes_seconds_not_minutes(unit):
    began = time.process_time()
    replaced((unit * 100_000)[:100_000])
    assert time.process_time() - began < 3
