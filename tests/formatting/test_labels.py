"""Labels: exactly the author's messages, separators and end, with ids written by hand."""

from collections import Counter

import pandas as pd
import pytest

from espejo.dataset.turns import examples
from espejo.formatting.labels import encode
from espejo.formatting.prompts import Prompter, Tags
from espejo.model.tokenizers import load_tokenizer
from tests.helpers import tiny

CONTEXT = [{"author": "Flor", "messages": ["hola"]}]
REPLY = ["dale", "voy"]
_ = -100

# Places in tiny.WORDS: \n 1, " " 3, SYS 4, hola 5, dale 6, voy 7; specials follow from 13 on.
PHI3 = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"]
LLAMA3 = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]


def prompter_for(tokenizer, **other):
    settings = {
        "system": "SYS",
        "empty_turn": "…",
        "separator": "<|msg_sep|>",
        "max_context_chars": 100,
    }
    return Prompter(tokenizer=tokenizer, **{**settings, **other})


def encoded(prompter, loss="reply"):
    text, spans = prompter.example(CONTEXT, REPLY, "Juli")
    return text, encode(prompter.tokenizer, text, spans, loss)


def test_phi3_labels_are_the_reply_and_its_end():
    prompter = prompter_for(tiny.tokenizer(PHI3, "<|end|>", tiny.template("phi3")))
    text, got = encoded(prompter)
    assert text == (
        "<|system|>\nSYS<|end|>\n<|user|>\nhola<|end|>\n<|assistant|>\ndale<|msg_sep|>voy<|end|>"
    )
    # <|system|> 13, <|user|> 14, <|assistant|> 15, <|end|> 16, <|msg_sep|> 18
    assert got["input_ids"] == [13, 1, 4, 16, 1, 14, 1, 5, 16, 1, 15, 1, 6, 18, 7, 16]
    assert got["labels"] == [_, _, _, _, _, _, _, _, _, _, _, _, 6, 18, 7, 16]
    assert got["kinds"][12:] == ["message", "separator", "message", "end"]


def test_llama3_labels_are_the_reply_and_its_end():
    prompter = prompter_for(tiny.tokenizer(LLAMA3, "<|eot_id|>", tiny.template("llama3")))
    text, got = encoded(prompter)
    assert text.endswith(
        "<|start_header_id|>assistant<|end_header_id|>\n\ndale<|msg_sep|>voy<|eot_id|>"
    )
    # <|begin_of_text|> 13, <|start_header_id|> 14, <|end_header_id|> 15, <|eot_id|> 16, \n\n 2,
    # <|msg_sep|> 17; the names of the roles are unknown words, 0
    assert got["input_ids"] == (
        [13, 14, 0, 15, 2, 4, 16, 14, 0, 15, 2, 5, 16, 14, 0, 15, 2, 6, 17, 7, 16]
    )
    assert got["labels"] == [_] * 17 + [6, 17, 7, 16]
    assert got["kinds"][17:] == ["message", "separator", "message", "end"]


def test_chatml_labels_of_the_bundled_model(smollm2):
    text, got = encoded(prompter_for(load_tokenizer(smollm2)))
    assert text.endswith("<|im_start|>assistant\ndale<|msg_sep|>voy<|im_end|>")
    # From the model's vocabulary: dale 22821, < 44, | 108, msg 9000, _ 79, sep 29070, > 46,
    # v 102, oy 922, <|im_end|> 2
    reply = [22821, 44, 108, 9000, 79, 29070, 108, 46, 102, 922, 2]
    assert [label for label in got["labels"] if label != _] == reply
    assert got["input_ids"][-len(reply) :] == reply
    assert set(got["labels"][: -len(reply)]) == {_}
    assert got["kinds"][-len(reply) :] == (
        ["message"] + ["separator"] * 7 + ["message"] * 2 + ["end"]
    )


def test_tagged_labels_are_the_reply_and_its_end():
    tags = Tags(
        start="<s>", other="[OTRO]\n", author="[YO]\n", turn_end="\n", reply="[YO]\n", end="</s>"
    )
    specials = ["<s>", "</s>", "[OTRO]", "[YO]"]
    prompter = prompter_for(tiny.tokenizer(specials, "</s>"), tags=tags)
    text, got = encoded(prompter)
    assert text == "<s>[OTRO]\nhola\n[YO]\ndale<|msg_sep|>voy</s>"
    # <s> 13, </s> 14, [OTRO] 15, [YO] 16, <|msg_sep|> 17
    assert got["input_ids"] == [13, 15, 1, 5, 1, 16, 1, 6, 17, 7, 14]
    assert got["labels"] == [_, _, _, _, _, _, _, 6, 17, 7, 14]


def test_loss_on_text_labels_everything_and_keeps_the_kinds():
    prompter = prompter_for(tiny.tokenizer(PHI3, "<|end|>", tiny.template("phi3")))
    _text, got = encoded(prompter, loss="text")
    assert got["labels"] == got["input_ids"]
    assert got["kinds"].count("message") == 2


def test_a_token_that_begins_before_the_reply_counts_as_its_first_labelled_character():
    # A token across the border of prompt and reply holds a character of the reply.
    prompter = prompter_for(tiny.tokenizer(PHI3, "<|end|>", tiny.template("phi3")))
    got = encode(prompter.tokenizer, "hola dale", [{"start": 2, "end": 9, "kind": "message"}])
    assert got["kinds"] == ["message", "message", "message"]
    assert got["labels"] == [5, 3, 6]


@pytest.mark.parametrize("message", ["<|end|>", "[INST] che", "</s>", "<|im_end|> dale"])
def test_a_quoted_control_token_does_not_end_the_reply(message):
    prompter = prompter_for(tiny.tokenizer(PHI3, "<|end|>", tiny.template("phi3")))
    text, spans = prompter.example(CONTEXT, [message], "Juli")
    assert message not in text[spans[0]["start"] : spans[0]["end"]]
    assert encode(prompter.tokenizer, text, spans)["labels"].count(16) == 1


def test_whole_text_learns_nothing_of_whoever_may_only_be_read():
    prompter = prompter_for(tiny.tokenizer(PHI3, "<|end|>", tiny.template("phi3")))
    context = [
        {"author": "Flor", "messages": ["hola"]},
        {"author": "Juli", "messages": ["dale"]},
        {"author": "Tincho", "messages": ["voy", "voy"]},
    ]
    text, spans = prompter.example(context, ["dale"], "Juli")
    masked = prompter.where([2], context, "Juli")
    assert [text[span["start"] : span["end"]] for span in masked] == ["voy<|msg_sep|>voy"]
    got = encode(prompter.tokenizer, text, spans, "text", masked)
    # system \n SYS end \n | user \n hola end \n | assistant \n dale end \n | user \n voy sep voy
    # end \n | assistant \n dale end; the three tokens of the third turn are left out, nothing else
    ids = [13, 1, 4, 16, 1, 14, 1, 5, 16, 1, 15, 1, 6, 16, 1, 14, 1, 7, 18, 7, 16, 1, 15, 1, 6, 16]
    assert got["input_ids"] == ids
    assert got["labels"] == [*ids[:17], _, _, _, *ids[20:]]


def test_marks_find_the_words_where_a_template_trims_them():
    prompter = prompter_for(tiny.tokenizer(LLAMA3, "<|eot_id|>", tiny.template("llama3")))
    context = [{"author": "Flor", "messages": ["  hola voy  "]}]
    text, _spans = prompter.example(context, ["dale"], "Juli")
    (span,) = prompter.where([0], context, "Juli")
    assert text[span["start"] : span["end"]] == "hola voy"


def test_the_name_before_what_somebody_says_in_a_group_is_theirs_as_well():
    prompter = prompter_for(tiny.tokenizer(PHI3, "<|end|>", tiny.template("phi3")))
    text = prompter.prompt(CONTEXT, "Juli", group=True)
    (span,) = prompter.where([0], CONTEXT, "Juli", group=True)
    assert text[span["start"] : span["end"]] == "Flor: hola"
    assert prompter.where([], CONTEXT, "Juli", group=True) == []


# A session of six turns, each a word; with a history of 4 its windows are, the reply last:
# of two people:  hola dale | hola dale che voy | dale che voy bien vos
# of Juli alone:  hola | hola dale | hola dale che | ... voy | ... bien | dale che voy bien vos
WORDS = ["hola", "dale", "che", "voy", "bien", "vos"]


@pytest.mark.parametrize(
    ("loss", "speakers", "times"),
    [
        ("text", ["Flor", "Juli"] * 3, [2, 3, 2, 2, 1, 1]),
        ("text", ["Juli"] * 6, [5, 5, 4, 3, 2, 1]),
        ("reply", ["Flor", "Juli"] * 3, [0, 1, 0, 1, 0, 1]),
        ("reply", ["Juli"] * 6, [1, 1, 1, 1, 1, 1]),
    ],
)
def test_the_originals_learn_a_turn_up_to_five_times_an_epoch_and_ours_a_reply_once(
    loss, speakers, times
):
    turns = pd.DataFrame(
        {
            "chat": "Flor",
            "session": 0,
            "turn": range(6),
            "author": speakers,
            "messages": [[word] for word in WORDS],
            "split": "train",
        }
    )
    tags = Tags(
        start="<s>", other="[OTRO]\n", author="[YO]\n", turn_end="\n", reply="[YO]\n", end="</s>"
    )
    prompter = prompter_for(tiny.tokenizer(["<s>", "</s>", "[OTRO]", "[YO]"], "</s>"), tags=tags)
    learnt = Counter()
    for row in examples(turns, "Juli", history=4).itertuples():
        text, spans = prompter.example(row.context, row.reply, "Juli")
        learnt.update(encode(prompter.tokenizer, text, spans, loss)["labels"])
    assert [learnt[prompter.tokenizer.convert_tokens_to_ids(word)] for word in WORDS] == times
