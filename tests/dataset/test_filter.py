"""Which training examples the filter drops, and why."""

import pandas as pd
import pytest
import yaml

from espejo.core import metrics, tables
from espejo.core.errors import UserError
from espejo.dataset.filters import FilterConfig, reasons
from stages import filter as stage
from tests.helpers.workshop import ROOT


def conf(name):
    """The rules of a file of conf/filter."""
    return yaml.safe_load((ROOT / "conf" / "filter" / f"{name}.yaml").read_text("utf-8"))


ANYTHING = conf("none")
RULES = {
    **ANYTHING,
    "links": conf("default")["links"],
    "min_context_words": 2,
    "min_reply_words": 2,
    "max_context_chars": 20,
    "max_reply_chars": 10,
}


def example(*context, reply=("si dale",)):
    """An example; each string of `context` is a turn of one message."""
    turns = [{"author": "Cami", "messages": [text]} for text in context]
    return {"context": turns, "reply": list(reply)}


def why(cases, config, test=()):
    """The reason for each of several examples, None where it is kept."""
    columns = ["context", "reply"]
    train, held_out = (pd.DataFrame(list(rows), columns=columns) for rows in (cases, test))
    reasons_found = reasons(train, held_out, FilterConfig(**config))
    return [None if pd.isna(reason) else reason for reason in reasons_found]


def reason(case, config):
    (only,) = why([case], config)
    return only


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (example("¿venís hoy?"), None),
        (example("mirá https://feria.ar"), "link"),
        (example("mirá esto", reply=["entrá", "www.x.ar"]), "link"),
        (example("mirá MERCADO.COM"), "link"),
        (example("mirá <URL>"), "link"),  # what the stage clean leaves of one
        (example("hola"), "short_context"),
        (example(), "short_context"),
        (example("hola che", reply=["dale"]), "short_reply"),
        (example("hola che", reply=["", " "]), "short_reply"),
        (example("uno dos tres cuatro.."), "long_context"),  # 21 characters
        (example("hola che", reply=["si ahi vamos"]), "long_reply"),  # 12 characters
    ],
)
def test_each_rule_gives_its_reason(case, expected):
    assert reason(case, RULES) == expected


def test_what_is_exactly_at_every_limit_is_kept():
    # Two turns of a word each with a space between: 9 + 1 + 10 = 20 characters and two words;
    # two messages of a word each: 4 + 1 + 5 = 10 characters and two words.
    case = example("a" * 9, "b" * 10, reply=["dale", "cielo"])
    assert reason(case, RULES) is None


def test_the_first_rule_broken_gives_the_reason():
    # One word of 30 characters, with a link, on both sides: all five rules are broken.
    long_link = "http://" + "x" * 23
    case, config = example(long_link, reply=[long_link]), dict(RULES)
    order = []
    changed = [rule for rule in RULES if RULES[rule] != ANYTHING[rule]]
    for rule in changed:  # each time, the rule that gave the reason is switched off
        order.append(reason(case, config))
        config[rule] = ANYTHING[rule]
    assert order == ["link", "short_context", "short_reply", "long_context", "long_reply"]
    assert reason(case, config) is None


def test_links_are_kept_where_they_are_wanted():
    case = example("mirá https://feria.ar", reply=["www.x.com"])
    assert reason(case, ANYTHING) is None
    assert reason(case, {**ANYTHING, "links": RULES["links"]}) == "link"


@pytest.mark.parametrize("text", ["awwww que lindo", "todo bien.como va", "re bien.comí recién"])
def test_words_of_a_chat_are_no_link(text):
    assert reason(example(text), {**ANYTHING, "links": RULES["links"]}) is None


CHAIN = "reenviá esta cadena a doce personas o vas a tener mala suerte"  # twelve words


def test_the_same_context_and_reply_count_once():
    cases = [example("hola"), example("Hola!"), example("hola", reply=["otra"]), example("hola")]
    # Case and punctuation make no difference.
    assert why(cases, {**ANYTHING, "duplicates": "drop"}) == [None, "duplicate", None, "duplicate"]
    assert why(cases, ANYTHING) == [None] * 4


def test_what_has_no_words_is_compared_sign_by_sign():
    cases = [example("😂", reply=["?"]), example("😂", reply=["!"]), example("😂", reply=["?"])]
    assert why(cases, {**ANYTHING, "duplicates": "drop"}) == [None, None, "duplicate"]


def test_near_duplicates_share_the_wanted_part_of_their_word_3grams():
    # Twelve words and "dale": 13 words, 11 grams. Another thirteenth word changes one gram of
    # each: 10 in common of 12, a Jaccard similarity of 0.83.
    cases = [example(CHAIN, reply=["dale"]), example(CHAIN, reply=["bueno"])]
    assert why(cases, {**ANYTHING, "near_duplicates": 0.8}) == [None, "near_duplicate"]
    assert why(cases, {**ANYTHING, "near_duplicates": 0.85}) == [None, None]


def test_short_texts_are_no_near_duplicates():
    cases = [example("uno dos tres", reply=["cuatro cinco seis siete"])] * 2  # seven words
    assert why(cases, {**ANYTHING, "near_duplicates": 0.5}) == [None, None]


def test_a_training_reply_that_says_what_is_held_out_is_dropped():
    config = {**ANYTHING, "leaks": "drop"}
    held_out = [example("hola", reply=[f"Mirá: {CHAIN}!"])]
    cases = [
        example("che", reply=[CHAIN.upper()]),
        example(CHAIN, reply=["dale"]),  # a context is not what is learnt
    ]
    assert why(cases, config, held_out) == ["stands_in_held_out", None]
    assert why(cases, ANYTHING, held_out) == [None, None]


def test_replies_far_from_their_context_are_dropped():
    config = {**ANYTHING, "similarity": {"encoder": "bundled", "least": 0.3}}
    cases = [
        example("What did you have for dinner tonight?", reply=["pasta for dinner, so good"]),
        example("What did you have for dinner tonight?", reply=["the invoice number is wrong"]),
    ]
    assert why(cases, config) == [None, "unlike_context"]


def test_an_encoder_that_is_nowhere_is_one_sentence(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = {**ANYTHING, "similarity": {"encoder": "nobody/nothing", "least": 0.3}}
    with pytest.raises(UserError, match=r"encoder nobody/nothing.*encoder=bundled"):
        why([example("hola")], config)


# The notebooks' rules, worked out by hand at both sides of each limit.
@pytest.mark.parametrize(
    ("name", "case", "expected"),
    [
        ("gpt2", example("uno dos tres", reply=["uno dos tres"]), "short_context"),
        ("gpt2", example("uno dos tres cuatro", reply=["uno dos"]), "short_reply"),
        ("gpt2", example("a b c " + "d" * 594, reply=["a b c"]), "long_context"),  # 600
        ("gpt2", example("a b c " + "d" * 593, reply=["a b " + "c" * 396]), "long_reply"),  # 400
        ("phi3", example("uno dos tres cuatro cinco seis", reply=["a b c d e"]), "short"),  # 11
        ("phi3", example("a b c d e f g h i j k " + "l" * 1178, reply=["m"]), "long_context"),
        ("phi3", example("a b c d e f g h i j k", reply=["l" * 800]), "long_reply"),
        ("smollm3", example("hola", reply=["dale"]), "short"),  # 9 with the space
        ("smollm3", example("hola ", reply=["dale"]), "short"),  # 10
        ("smollm3", example("hola  ", reply=["dale"]), None),  # 11
        ("smollm3", example("entrá a http", reply=["dale"]), "link"),
        ("smollm3", example("es un www", reply=["dale"]), "link"),
    ],
)
def test_the_rules_of_the_notebooks(name, case, expected):
    # The similarity needs a model of the hub; its rule stands last and is tested above.
    assert reason(case, {**conf(f"original-{name}"), "similarity": None}) == expected


@pytest.mark.parametrize("name", ["gpt2", "phi3"])
def test_the_notebooks_compare_with_their_encoder(name):
    config = conf(f"original-{name}")["similarity"]
    assert config["encoder"].endswith("/paraphrase-multilingual-MiniLM-L12-v2")
    assert config["least"] == 0.3


def test_a_filter_that_leaves_nothing_says_what_it_dropped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {**ANYTHING, "min_reply_words": 9}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"filter": config}), "utf-8")
    write_examples(tmp_path, [("s0t1", "train", ["si dale"]), ("s1t1", "test", ["no"])])
    with pytest.raises(UserError, match=r"No training example is left of 1.*short_reply.*1"):
        stage.main(*(tmp_path / name for name in FILES))


FILES = ("examples.parquet", "filtered.parquet", "filter.json")


def write_examples(folder, rows):
    """A table of examples from (id, split, reply)."""
    examples = pd.DataFrame(
        {
            "id": [row[0] for row in rows],
            "chat": "Cami",
            "session": range(len(rows)),
            "split": [row[1] for row in rows],
            "group": False,
            "context": [[{"author": "Cami", "messages": ["hola che"]}]] * len(rows),
            "reply": [row[2] for row in rows],
        }
    )
    tables.write(examples, folder / "examples.parquet", tables.EXAMPLES)


def test_only_training_examples_are_dropped_and_each_is_accounted_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"filter": RULES}), "utf-8")
    long_reply = ["esto es larguísimo"]
    rows = [
        ("s0t1", "train", ["si dale"]),
        ("s0t3", "train", long_reply),
        ("s0t5", "train", ["https://x"]),
        ("s1t7", "validation", long_reply),
        ("s2t9", "test", ["https://x"]),
    ]
    write_examples(tmp_path, rows)
    stage.main(*(tmp_path / name for name in FILES))
    left = tables.read(tmp_path / "filtered.parquet", tables.EXAMPLES)
    assert left["id"].tolist() == ["s0t1", "s1t7", "s2t9"]
    assert metrics.read(tmp_path / "filter.json") == {
        "train": {"unit": "train", "in": 3, "out": 1, "dropped": {"link": 1, "long_reply": 1}}
    }


@pytest.mark.parametrize("split", ["validation", "test"])
def test_what_validation_or_test_holds_is_not_learnt(split, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = {"filter": {**ANYTHING, "leaks": "drop"}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(config), "utf-8")
    other = {"validation": "test", "test": "validation"}[split]
    rows = [
        ("s0t1", "train", ["si dale"]),
        ("s0t3", "train", [f"che, {CHAIN}"]),
        ("s1t5", split, [CHAIN]),
        ("s2t7", other, ["si dale"]),
    ]
    write_examples(tmp_path, rows)
    stage.main(*(tmp_path / name for name in FILES))
    left = tables.read(tmp_path / "filtered.parquet", tables.EXAMPLES)
    assert left["id"].tolist() == ["s0t1", "s1t5", "s2t7"]
    account = metrics.read(tmp_path / "filter.json")["train"]
    assert account["dropped"] == {"stands_in_held_out": 1}
