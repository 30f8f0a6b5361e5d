"""Training texts that leak a held-out text: by hand, in both directions, and never learnt."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espejo.core.text import ngrams, words
from espejo.dataset import leaks
from espejo.dataset.filters import FilterConfig, reasons
from espejo.formatting.labels import encode
from espejo.formatting.prompts import Prompter, Tags
from espejo.formatting.training_texts import training_texts
from tests.dataset.test_filter import ANYTHING
from tests.formatting.test_prompts import phi3
from tests.formatting.test_training_texts import table
from tests.helpers import tiny

CHAIN = "reenviá esta cadena a doce personas o vas a tener mala suerte"  # twelve words
LONG = "me olvidé las llaves adentro y vino el portero con la escalera de la vecina otra vez"  # 17
SEVENS = (
    "ayer fuimos con los chicos al parque",
    "y llovió tanto que nos volvimos caminando",
    "mojados hasta la casa de mi abuela",
)


def held_out(*replies, context=()):
    """Held-out examples of these replies, after a turn of the partner's for each text."""
    turns = [{"author": "Flor", "messages": [text]} for text in context]
    return pd.DataFrame(
        {"context": [turns] * len(replies), "reply": [[message] for message in replies]}
    )


def leaked(texts, held):
    return leaks.leaked(texts, leaks.hashed(held))


def unlearnt(examples, author):
    held = leaks.hashed(examples[examples["split"].ne("train")])
    return leaks.unlearnt(examples, author, held)


@pytest.mark.parametrize(
    ("learnt_text", "held", "leaks"),
    [
        # A run of eight words, whichever is the longer.
        (f"mirá, {CHAIN.upper()}!! jaja qué miedo", CHAIN, True),
        (CHAIN, f"mirá, {CHAIN.upper()}!! jaja qué miedo", True),
        ("che reenviá esta cadena a doce personas o vas", f"¿viste? {CHAIN}", True),
        ("che reenviá esta cadena a doce personas o qué", f"¿viste? {CHAIN}", False),  # seven
        # One word changed, added or left out in the middle: no run of eight is left.
        (CHAIN.replace("doce", "trece"), CHAIN, True),
        (CHAIN.replace("doce", "unas doce"), CHAIN, True),
        (CHAIN.replace("doce ", ""), CHAIN, True),
        (CHAIN.replace("doce", "trece").replace("vas", "podés"), CHAIN, False),  # two words
        # Seventeen words: changed in the ninth, eight stay on each side.
        (LONG.replace("portero", "cerrajero"), LONG, True),
        # An extra word after 7 of 21 words and another after 14: the longest common run has 7.
        (
            f"{SEVENS[0]} che {SEVENS[1]} {SEVENS[2]}",
            f"{SEVENS[0]} {SEVENS[1]} no {SEVENS[2]}",
            True,
        ),
        # Short texts: one inside the other, or all but one word, with at least five in common.
        ("dale, nos vemos", "dale nos vemos", False),
        ("dale nos vemos mañana", "dale nos vemos mañana", False),
        ("dale nos vemos mañana temprano", "Dale! nos vemos mañana temprano.", True),
        ("dale nos vemos mañana temprano", "dale nos vemos mañana tarde", False),  # four
        ("dale nos vemos mañana temprano ahí", "dale nos vemos mañana temprano acá", True),
        ("bueno si dale nos vemos mañana temprano eh", "dale nos vemos mañana temprano", True),
        ("dale nos vemos mañana temprano", "bueno si dale nos vemos mañana temprano eh", True),
        ("bueno si dale nos vemos mañana eh", "dale nos vemos mañana", False),
        # Part of a short one, in a longer one.
        ("che y si dale nos vemos mañana al final", "si dale nos vemos mañana temprano bah", False),
        ("", "", False),
        ("😂😂", "😂😂", False),
    ],
)
def test_leaks_by_hand(learnt_text, held, leaks):
    assert leaked([learnt_text], held_out(held)).tolist() == [leaks]
    assert leaked([held], held_out(learnt_text)).tolist() == [leaks]  # both ways


def test_of_a_held_out_context_only_a_run_of_eight_leaks():
    held = held_out("si", context=[f"mirá {CHAIN}", "dale nos vemos mañana temprano"])
    cases = [f"uh {CHAIN}", CHAIN.replace("doce", "trece"), "dale nos vemos mañana temprano"]
    assert leaked(cases, held).tolist() == [True, False, False]


def test_a_run_is_of_one_turn():
    # Eight words in a row that nobody said: the end of one turn and the beginning of the next.
    held = held_out("a doce personas o", context=["reenviá esta cadena ya"])
    assert leaked(["reenviá esta cadena ya a doce personas o"], held).tolist() == [False]
    # The messages of one turn are said in a row.
    split_in_two = pd.DataFrame(
        {"context": [[]], "reply": [["reenviá esta cadena ya", "a doce o más"]]}
    )
    assert leaked(["reenviá esta cadena ya a doce o más"], split_in_two).tolist() == [True]


# Texts of repeated words and pieces, so that many pairs have runs in common.
few_words = st.lists(
    st.sampled_from(["a", "b", "c d", "e f g h", "i j k l m n o"]), max_size=8
).map(" ".join)


def in_common(left, right, size=8):
    """Whether two texts share so many words in a row, by a search for substrings."""
    left, right = f" {left} ", f" {right} "
    starts = [index for index, letter in enumerate(left[:-1]) if letter == " "]
    return any(
        left[start : start + 2 * size + 1] in right
        for start in starts
        if len(left[start:]) > 2 * size
    )


@given(left=few_words, right=few_words)
def test_leaks_are_the_same_both_ways(left, right):
    assert leaked([left], held_out(right))[0] == leaked([right], held_out(left))[0]
    leak = leaked([left], held_out("", context=[right]))[0]
    assert leak == leaked([right], held_out("", context=[left]))[0] == in_common(left, right)


def leaks_by_sets(text, replies, turns):
    """The same by sets of words, as the docstring of `leaked` says it."""

    def parts(words):
        return {part for size in (5, 6, 7) for part in ngrams(words, size)}

    def rests(words):
        whole = {words} if 5 <= len(words) <= 24 else set()
        shorter = range(len(words) if 5 < len(words) <= 24 else 0)
        return whole | {words[:index] + words[index + 1 :] for index in shorter}

    text, *replies = (tuple(words(each)) for each in (text, *replies))
    others = [*replies, *(tuple(words(turn)) for turn in turns)]
    return (
        any(set(ngrams(text, 8)) & set(ngrams(other, 8)) for other in others)
        or any(text in parts(reply) for reply in replies)
        or any(reply in parts(text) and len(reply) < 8 for reply in replies)
        or any(rests(text) & rests(reply) for reply in replies)
    )


@given(
    texts=st.lists(few_words, max_size=6),
    replies=st.lists(few_words, max_size=4),
    turns=st.lists(few_words, max_size=3),
)
def test_hashes_leak_as_the_words_do(texts, replies, turns):
    expected = [leaks_by_sets(text, replies, turns if replies else ()) for text in texts]
    assert leaked(texts, held_out(*replies, context=turns)).tolist() == expected
    # In parts, as the stage format hashes them.
    parts = [held_out(reply, context=turns) for reply in replies] or [held_out()]
    in_parts = leaks.merged([leaks.hashed(part) for part in parts])
    assert leaks.leaked(texts, in_parts).tolist() == expected


@given(text=few_words, data=st.data())
def test_a_word_changed_added_or_left_out_leaks_at_any_length(text, data):
    words = text.split()
    place = data.draw(st.integers(0, len(words)))
    new = data.draw(st.sampled_from([[], ["x"]]))
    changed = words[:place] + new + words[place + data.draw(st.integers(0, 1)) :]
    same = len(words) - (len(words) + len(new) > len(changed))  # what both have
    assert leaked([" ".join(changed)], held_out(text))[0] >= (same >= 5)


@given(st.lists(few_words, min_size=1, max_size=6), st.lists(few_words, min_size=1, max_size=6))
def test_what_the_filter_keeps_shares_no_eight_words_with_what_is_held_out(trained, held):
    train, others = held_out(*trained), held_out(*held[:3], context=held[3:])
    why = reasons(train, others, FilterConfig(**ANYTHING | {"leaks": "drop"}))
    for reply in train.loc[why.isna(), "reply"]:
        assert not any(in_common(reply[0], text) for text in held)


# A training session in which a reply and a partner's message say what the test holds.
TALK = [
    ("Flor", "hola"),
    ("Juli", CHAIN),
    ("Flor", "qué miedo"),
    ("Juli", "dale"),
    ("Flor", f"uh {CHAIN.upper()}"),
    ("Juli", "bien"),
]


def filtered(*dropped, talk=TALK):
    """Training examples of a session without those of some replies, and the test."""
    train = table(0, talk)
    train = train[~train["id"].isin(dropped)]
    test = table(1, [("Flor", "hola"), ("Juli", CHAIN)]).assign(split="test")
    return pd.concat([train, test], ignore_index=True)


def learnt(examples, prompter, most, masked, loss="text"):
    """What the training texts teach, token by token."""
    rows = training_texts(
        examples[examples["split"] == "train"], prompter, "Juli", set(), most, masked
    )
    texts = []
    for row in rows.itertuples():
        coded = encode(prompter.tokenizer, row.text, row.spans, loss, row.masked)
        offsets = prompter.tokenizer(row.text, return_offsets_mapping=True)["offset_mapping"]
        taught = zip(offsets, coded["labels"], strict=True)
        texts.append("".join(row.text[a:b] for (a, b), label in taught if label != -100))
    return "\n".join(texts)


TAGS = Tags(
    start="<s>", other="[OTRO]", author="[YO]", turn_end="\n", reply="[YO]", end="</s>", closed=True
)
TAGGED = tiny.tokenizer(["<s>", "</s>", "[OTRO]", "[YO]"], "</s>")
WRITERS = {
    "template": phi3(),
    "tags": Prompter(TAGGED, "", "…", "<|msg_sep|>", 1000, tags=TAGS),
}


@pytest.mark.parametrize("most", [1, 8])
@pytest.mark.parametrize("writer", WRITERS)
def test_whole_texts_teach_no_dropped_reply_and_no_leak_of_a_partner(writer, most):
    examples, prompter = filtered("s0t1"), WRITERS[writer]
    masked = unlearnt(examples, "Juli")
    assert masked == {
        (0, "Juli", (CHAIN,)),  # its example was dropped
        (0, "Flor", (f"uh {CHAIN.upper()}",)),
    }
    plain, safe = (learnt(examples, prompter, most, turns) for turns in ((), masked))
    assert "cadena" in plain
    assert "CADENA" in plain
    assert "cadena" not in safe.lower()
    for kept in ("hola", "qué miedo", "dale", "bien"):  # everything else is still learnt
        assert safe.count(kept) == plain.count(kept) > 0


def test_what_is_dropped_for_another_reason_is_not_learnt_either():
    examples = filtered("s0t3", talk=[*TALK[:1], ("Juli", "voy"), *TALK[2:4], *TALK[2:3], TALK[5]])
    assert unlearnt(examples, "Juli") == {(0, "Juli", ("dale",))}


def test_a_reply_that_is_kept_elsewhere_in_its_session_stays():
    talk = [("Flor", "a"), ("Juli", "si"), ("Flor", "b"), ("Juli", "si"), ("Flor", "c")]
    assert unlearnt(filtered("s0t1", talk=[*talk, ("Juli", "no")]), "Juli") == set()


def test_nothing_of_validation_and_test_is_masked():
    # A session of validation whose own words stand, of course, among what is held out.
    later = table(2, [("Flor", CHAIN), ("Juli", CHAIN), ("Flor", "si"), ("Juli", "no")])
    examples = pd.concat([filtered("s0t1"), later.assign(split="validation")], ignore_index=True)
    masked = unlearnt(examples, "Juli")
    assert {session for session, _, _ in masked} == {0}
    row = training_texts(later, WRITERS["tags"], "Juli", set(), 8, masked)["masked"].iloc[0]
    assert row == []


def test_replies_in_a_joined_text_are_learnt_as_replies():
    examples = filtered("s0t1")
    masked = unlearnt(examples, "Juli")
    taught = learnt(examples, WRITERS["template"], 8, masked, loss="reply")
    assert taught == "dale<|end|>bien<|end|>"
