"""Which training examples are not worth learning, and why."""

import pandas as pd
import pytest
import yaml

from espejo import metrics, tables
from stages import filter as stage
from stages.filter import reason

WANTED = {
    "links": "drop",
    "min_context_words": 2,
    "min_reply_words": 2,
    "max_context_chars": 20,
    "max_reply_chars": 10,
}
ANYTHING = {
    "links": "keep",
    "min_context_words": 0,
    "min_reply_words": 0,
    "max_context_chars": 1000,
    "max_reply_chars": 1000,
}


def example(*context, reply=("si dale",)):
    """An example; each string of `context` is a turn of one message."""
    turns = [{"author": "Cami", "messages": [text]} for text in context]
    return pd.Series({"context": turns, "reply": list(reply)})


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (example("¿venís hoy?"), None),
        (example("mirá https://feria.ar"), "link"),
        (example("mirá esto", reply=["entrá", "www.x.ar"]), "link"),
        (example("mirá MERCADO.COM"), "link"),
        (example("hola"), "short_context"),
        (example(), "short_context"),
        (example("hola che", reply=["dale"]), "short_reply"),
        (example("hola che", reply=["", " "]), "short_reply"),
        (example("uno dos tres cuatro.."), "long_context"),  # 21 characters
        (example("hola che", reply=["si ahi vamos"]), "long_reply"),  # 12 characters
    ],
)
def test_each_rule_gives_its_reason(case, expected):
    assert reason(case, WANTED) == expected


def test_what_is_exactly_at_every_limit_is_kept():
    # Two turns of a word each with a space between: 9 + 1 + 10 = 20 characters and two words;
    # two messages of a word each: 4 + 1 + 5 = 10 characters and two words.
    case = example("a" * 9, "b" * 10, reply=["dale", "cielo"])
    assert reason(case, WANTED) is None


def test_the_first_rule_broken_gives_the_reason():
    # One word of 30 characters, with a link, on both sides: all five rules are broken.
    long_link = "http://" + "x" * 23
    case, wanted = example(long_link, reply=[long_link]), dict(WANTED)
    order = []
    for rule in WANTED:  # each time, the rule that was named is given up
        order.append(reason(case, wanted))
        wanted[rule] = ANYTHING[rule]
    assert order == ["link", "short_context", "short_reply", "long_context", "long_reply"]
    assert reason(case, wanted) is None


def test_links_are_kept_where_they_are_wanted():
    case = example("mirá https://feria.ar", reply=["www.x.com"])
    assert reason(case, ANYTHING) is None
    assert reason(case, {**ANYTHING, "links": "drop"}) == "link"


@pytest.mark.parametrize("text", ["awwww que lindo", "todo bien.como va", "re bien.comí recién"])
def test_words_of_a_chat_are_no_link(text):
    assert reason(example(text), {**ANYTHING, "links": "drop"}) is None


def test_only_training_examples_are_dropped_and_each_is_accounted_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"filter": WANTED}), "utf-8")
    long_reply = ["esto es larguísimo"]
    rows = [
        ("s0t1", "train", ["si dale"]),
        ("s0t3", "train", long_reply),
        ("s0t5", "train", ["https://x"]),
        ("s1t7", "validation", long_reply),
        ("s2t9", "test", ["https://x"]),
    ]
    examples = pd.DataFrame(
        {
            "id": [row[0] for row in rows],
            "chat": "Cami",
            "session": [0, 0, 0, 1, 2],
            "split": [row[1] for row in rows],
            "group": False,
            "context": [[{"author": "Cami", "messages": ["hola che"]}]] * 5,
            "reply": [row[2] for row in rows],
        }
    )
    tables.write(examples, tmp_path / "examples.parquet", tables.EXAMPLES)
    paths = (tmp_path / name for name in ("examples.parquet", "filtered.parquet", "filter.json"))
    stage.main(*paths)
    left = tables.read(tmp_path / "filtered.parquet", tables.EXAMPLES)
    assert left["id"].tolist() == ["s0t1", "s1t7", "s2t9"]
    assert metrics.read(tmp_path / "filter.json") == {
        "train": {"unit": "train", "in": 3, "out": 1, "dropped": {"link": 1, "long_reply": 1}}
    }
