"""Examples in the prompt: which are chosen, and where they stand."""

import sys

import numpy as np
import pandas as pd
import pytest

from espejo.prediction import few_shot
from tests.formatting.test_prompts import phi3, turn
from tests.helpers.workshop import ROOT, run


def examples(*pairs):
    """Rows of EXAMPLES from (what Flor said or None, the reply of Juli)."""
    context = [[turn("Flor", question)] if question else [] for question, _ in pairs]
    return pd.DataFrame({"context": context, "reply": [[reply] for _, reply in pairs]})


TRAIN = examples(
    ("vamos al cine el sábado?", "dale, qué dan"),
    ("compraste pan?", "uh no"),
    (None, "hola!!"),
    ("tenés los apuntes de química?", "los de la segunda unidad nomás"),
    ("qué película vemos en el cine?", "la de terror ni loca"),
)


def texts(turns):
    return [" ".join(turn["messages"]) for turn in turns]


def test_the_nearest_examples_share_the_words_and_the_nearest_stands_last():
    contexts = [[turn("Flor", "hola"), turn("Flor", "qué película dan en el cine?")]]
    (turns,) = few_shot.nearest(TRAIN, contexts, "Juli", k=2, max_chars=200)
    assert texts(turns) == [
        "vamos al cine el sábado?",
        "dale, qué dan",
        "qué película vemos en el cine?",
        "la de terror ni loca",
    ]
    assert [turn["author"] for turn in turns] == ["Flor", "Juli"] * 2


def test_examples_by_any_score_the_highest_last():
    rows = few_shot.usable(TRAIN, max_chars=37)
    assert len(rows) == 2  # 24 + 13 and 14 + 5 characters
    turns = few_shot.highest(rows, np.array([0.2, 0.9]), "Juli", k=2)
    assert texts(turns)[1::2] == ["dale, qué dan", "uh no"]
    assert texts(few_shot.highest(rows, np.array([0.2, 0.9]), "Juli", k=1))[1] == "uh no"


def test_what_answers_nothing_or_is_too_long_is_no_example():
    turns = few_shot.fixed(TRAIN, "Juli", k=9, max_chars=28, seed=1)
    # 24 + 13 and longer are out, and so is the one without a context; "compraste pan?" has 14 + 5.
    assert texts(turns) == ["compraste pan?", "uh no"]


def test_the_same_seed_draws_the_same_examples():
    first, again = (few_shot.fixed(TRAIN, "Juli", k=2, max_chars=200, seed=3) for _ in range(2))
    assert first == again
    assert len(first) == 4


@pytest.mark.parametrize("context", [[], [turn("", "nada")]])
def test_a_context_without_known_words_gets_examples_all_the_same(context):
    (turns,) = few_shot.nearest(TRAIN, [context], "Juli", k=2, max_chars=200)
    assert len(turns) == 4


@pytest.mark.parametrize("train", [TRAIN.iloc[:0], examples((None, "hola"), (None, "che")), TRAIN])
def test_where_no_example_fits_there_is_none(train):
    contexts = [[turn("Flor", "hola")], []]
    assert few_shot.nearest(train, contexts, "Juli", k=2, max_chars=5) == [[], []]
    assert few_shot.fixed(train, "Juli", k=2, max_chars=5, seed=1) == []


def test_examples_stand_before_the_context_and_do_not_use_up_its_limit():
    prompter = phi3(max_context_chars=4)
    before = [turn("Flor", "venís?"), turn("Juli", "voy")]
    prompt = prompter.prompt([turn("Flor", "hola")], "Juli", shots=before)
    assert prompt == (
        "<|system|>\nSYS<|end|>\n<|user|>\nvenís?<|end|>\n<|assistant|>\nvoy<|end|>\n"
        "<|user|>\nhola<|end|>\n<|assistant|>\n"
    )


def test_where_the_author_opens_silence_parts_the_examples_from_the_context():
    before = [turn("Flor", "venís?"), turn("Juli", "voy")]
    prompt = phi3().prompt([turn("Juli", "che")], "Juli", shots=before)
    assert "voy<|end|>\n<|user|>\n…<|end|>\n<|assistant|>\nche<|end|>" in prompt


def test_jax_is_kept_off_the_graphics_card(tmp_path):
    # Where JAX is installed, bm25s calls it as soon as it is imported.
    (tmp_path / "jax").mkdir()
    (tmp_path / "jax" / "__init__.py").touch()
    module = "import os\n\ndef top_k(*_):\n    print(os.environ.get('JAX_PLATFORMS'))\n"
    (tmp_path / "jax" / "lax.py").write_text(module, "utf-8")
    ran = run(
        sys.executable,
        "-c",
        "import espejo.prediction.few_shot",
        cwd=ROOT,
        PYTHONPATH=str(tmp_path),
    )
    assert ran.stdout.split() == ["cpu"]
