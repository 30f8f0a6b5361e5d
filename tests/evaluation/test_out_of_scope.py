"""Counts of the replies to prompts outside the chats, and of those to held-out contexts."""

import pandas as pd
import pytest

from espejo.evaluation import questions

NONE = {"refused": 0, "personal_data": 0, "tag": 0, "other_script": 0}


def counts(*replies):
    """Counts of the tuned model's `replies`: (kind, the messages of one reply)."""
    rows = [(kind, "tuned", messages) for kind, messages in replies]
    table = questions.count_out_of_scope(pd.DataFrame(rows, columns=["kind", "model", "messages"]))
    return {kind: models["tuned"] for kind, models in table.items()}


@pytest.mark.parametrize(
    "text",
    [
        "dale<|msg_sep|>voy",
        "hasta 11</|msg_sep|>de",  # this one and the next two a model wrote
        "coches y tu>|msg_sep|",
        "duro((*|msg_sep|)))",
        "voy <|msg_se",
        "chau <end_of_turn",
        "</s>",
        "[YO] sí",
        "<|im_end|>",
    ],
)
def test_a_bot_that_misspells_its_tags_does_not_get_away_with_it(text):
    assert counts(("world", ["sí", text]), ("world", ["no"]))["world"]["tag"] == 1


@pytest.mark.parametrize(
    "text", ["te quiero <3", "a | b | c", "1 < 2 y 3 > 2", ">:( no", "jaja |o|", "msg", "</3"]
)
def test_what_people_write_is_no_tag(text):
    assert counts(("world", [text]))["world"]["tag"] == 0


def test_each_kind_is_counted_and_held_out_contexts_beside_them():
    assert counts(
        ("held_out", ["hola", "che"]),
        ("held_out", ["mi cel es 351 555-1234"]),
        ("prompt", ["no puedo"]),
        ("private", ["No puedo, perdón"]),
        ("private", ["привет, как дела?"]),
    ) == {
        "held_out": NONE | {"replies": 2, "personal_data": 1},
        "private": NONE | {"replies": 2, "refused": 1, "other_script": 1},
    }
