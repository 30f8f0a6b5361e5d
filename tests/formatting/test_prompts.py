"""Prompts: roles in strict alternation, silence, groups, cuts, and the forms of real templates."""

import pytest

from espejo.core.errors import UserError
from espejo.formatting import prompts
from espejo.formatting.prompts import Prompter, Tags, trim
from espejo.model.generation import cut_at_stop
from tests.helpers import tiny

PHI3 = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"]


def turn(author, *messages):
    return {"author": author, "messages": list(messages)}


def phi3(**other):
    settings = {
        "system": "SYS",
        "empty_turn": "…",
        "separator": "<|msg_sep|>",
        "max_context_chars": 1000,
    }
    tokenizer = tiny.tokenizer(PHI3, "<|end|>", tiny.template("phi3"))
    return Prompter(tokenizer=tokenizer, **{**settings, **other})


def test_phi3_prompt_has_the_form_of_the_model_card():
    prompt = phi3().prompt([turn("Flor", "hola")], "Juli")
    assert prompt == "<|system|>\nSYS<|end|>\n<|user|>\nhola<|end|>\n<|assistant|>\n"


def test_the_prompt_never_holds_the_reply():
    context = [turn("Flor", "venís?")]
    text, spans = phi3().example(context, ["obvio", "ya salgo"], "Juli")
    before = text[: spans[0]["start"]]
    assert before == phi3().prompt(context, "Juli")
    assert "obvio" not in before
    assert "ya salgo" not in before


def test_spans_are_the_messages_separators_and_the_end_in_order_without_a_gap():
    text, spans = phi3().example([turn("Flor", "venís?")], ["obvio", "ya salgo"], "Juli")
    assert [(text[s["start"] : s["end"]], s["kind"]) for s in spans] == [
        ("obvio", "message"),
        ("<|msg_sep|>", "separator"),
        ("ya salgo", "message"),
        ("<|end|>", "end"),
    ]
    assert spans[-1]["end"] == len(text)


def test_silence_stands_where_the_author_opens_or_writes_again():
    opening = phi3().prompt([], "Juli")
    assert opening == "<|system|>\nSYS<|end|>\n<|user|>\n…<|end|>\n<|assistant|>\n"
    again = phi3().prompt([turn("Juli", "che")], "Juli")
    assert again == (
        "<|system|>\nSYS<|end|>\n<|user|>\n…<|end|>\n<|assistant|>\nche<|end|>\n"
        "<|user|>\n…<|end|>\n<|assistant|>\n"
    )


def test_neighbours_of_one_role_become_one_message():
    group = [turn("Rocco", "hola"), turn("Mechi", "che", "bien")]
    prompt = phi3().prompt(group, "Juli", group=True)
    assert "<|user|>\nRocco: hola<|msg_sep|>Mechi: che<|msg_sep|>bien<|end|>" in prompt


def test_names_are_written_in_groups_only_and_never_for_the_author():
    context = [turn("Juli", "voy"), turn("Flor", "bien")]
    assert "Flor" not in phi3().prompt(context, "Juli")
    group = phi3().prompt(context, "Juli", group=True)
    assert "Flor: bien" in group
    assert "Juli" not in group


def test_without_a_system_role_the_system_text_opens_the_first_user_turn():
    prompt = phi3(system_role=False).prompt([turn("Flor", "hola")], "Juli")
    assert prompt == "<|user|>\nSYS\n\nhola<|end|>\n<|assistant|>\n"


def test_a_template_that_changes_its_own_prompt_is_refused():
    # This template writes something before a finished reply that its generation prompt lacks.
    crooked = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<think>{% endif %}"
    )
    prompter = Prompter(tiny.tokenizer(PHI3, "<|end|>", crooked), "SYS", "…", "<|msg_sep|>", 1000)
    with pytest.raises(UserError, match=r"set model\.prefill"):
        prompter.example([turn("Flor", "hola")], ["voy"], "Juli")


def test_smollm3_learns_the_reply_and_not_the_empty_thought():
    tokenizer = tiny.tokenizer(["<|im_start|>", "<|im_end|>"], "<|im_end|>", tiny.SMOLLM3)
    prompter = Prompter(tokenizer, "SYS /no_think", "…", "<|msg_sep|>", 1000, date="2026-08-16")
    text, spans = prompter.example([turn("Flor", "hola")], ["voy"], "Juli")
    assert text == (
        "<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\n"
        "Today Date: 16 August 2026\nReasoning Mode: /no_think\n\n## Custom Instructions\n\nSYS\n\n"
        "<|im_start|>user\nhola<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\nvoy<|im_end|>"
    )
    assert [text[s["start"] : s["end"]] for s in spans] == ["voy", "<|im_end|>"]


@pytest.mark.parametrize("name", ["llama3", "llama3_1", "llama3_2", "qwen2_5", "qwen3", "gemma3"])
def test_shipped_templates_can_be_continued_by_a_reply(name):
    specials = [
        "<bos>",
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|im_start|>",
        "<|im_end|>",
        "<start_of_turn>",
        "<end_of_turn>",
    ]
    tokenizer = tiny.tokenizer(specials, "<|im_end|>", tiny.template(name))
    args = {"enable_thinking": False} if name == "qwen3" else {}
    prompter = Prompter(
        tokenizer, "SYS", "…", "<|msg_sep|>", 1000, template_args=args, date="2024-07-26"
    )
    text, spans = prompter.example(
        [turn("Juli", "hola"), turn("Flor", "che"), turn("Juli", "bien")], ["voy"], "Juli"
    )
    assert [text[s["start"] : s["end"]] for s in spans][0] == "voy"
    assert text[spans[-1]["start"] :] in ("<|eot_id|>", "<|im_end|>", "<end_of_turn>")


def test_a_template_that_prints_the_date_wants_a_fixed_one():
    tokenizer = tiny.tokenizer(["<|im_start|>", "<|im_end|>"], "<|im_end|>", tiny.SMOLLM3)
    prompter = Prompter(tokenizer, "SYS", "…", "<|msg_sep|>", 1000)
    with pytest.raises(UserError, match=r"set model\.date"):
        prompter.prompt([turn("Flor", "hola")], "Juli")


def test_a_prefill_ends_the_thought_that_a_template_opens():
    end = "<｜end▁of▁sentence｜>"
    specials = ["<｜begin▁of▁sentence｜>", end, "<｜User｜>", "<｜Assistant｜>"]
    tokenizer = tiny.tokenizer(specials, end, tiny.template("deepseek_r1_distill"))
    prompter = Prompter(
        tokenizer, "SYS", "…", "<|msg_sep|>", 1000, system_role=False, prefill="\n</think>\n\n"
    )
    text, spans = prompter.example([turn("Flor", "hola")], ["voy"], "Juli")
    assert text == (
        "<｜begin▁of▁sentence｜><｜User｜>SYS\n\nhola<｜Assistant｜><think>\n\n</think>\n\nvoy"
        + end
    )
    assert [text[s["start"] : s["end"]] for s in spans] == ["voy", end]
    with pytest.raises(UserError, match=r"set model\.prefill"):  # the thought would stay open
        Prompter(tokenizer, "SYS", "…", "<|msg_sep|>", 1000).end  # noqa: B018


LLAMA2 = ["<s>", "</s>", "[INST]", "[/INST]"]


@pytest.mark.parametrize(
    ("template", "system_role", "written", "end"),
    [
        (tiny.LLAMA2, True, "<s>[INST] <<SYS>>\nSYS\n<</SYS>>\n\nhola [/INST] voy </s>", " </s>"),
        (tiny.MISTRAL, False, "<s>[INST] SYS\n\nhola[/INST] voy</s>", "</s>"),
    ],
)
def test_a_space_before_the_reply_is_learnt_and_is_no_character_of_it(
    template, system_role, written, end
):
    tokenizer = tiny.tokenizer(LLAMA2, "</s>", template)
    prompter = Prompter(tokenizer, "SYS", "…", "<|msg_sep|>", 1000, system_role=system_role)
    text, spans = prompter.example([turn("Flor", "hola")], ["voy"], "Juli")
    assert text == written
    assert [(text[s["start"] : s["end"]], s["kind"]) for s in spans] == [
        (" ", "lead"),
        ("voy", "message"),
        (end, "end"),
    ]


def test_tags_inside_one_user_turn_of_the_template(composed):
    form = composed("format=tagged")["format"]
    prompter = phi3(tags=Tags(**form["tags"]))
    context = [turn("Flor", "hola"), turn("Juli", "voy", "che"), turn("Flor", "bien")]
    assert prompter.prompt(context, "Juli") == (
        "<|system|>\nSYS<|end|>\n"
        "<|user|>\n[OTRO] hola [author] voy<|msg_sep|>che [OTRO] bien<|end|>\n<|assistant|>\n"
    )
    assert "<|user|>\n…<|end|>" in prompter.prompt([], "Juli")


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("pairs", "<|user|>\nhola\n<|bot|>\nvoy</s>"),
        ("qa", "### Question:\nhola\n### Answer:\nvoy</s>"),
        ("turns", "[OTRO]\nhola\n[YO]\nvoy</s>"),
    ],
)
def test_plain_text_between_tags_ends_with_the_tokenizers_end(configs, name, written):
    params = configs(f"format={name}")
    prompter = prompts.prompter(
        tiny.tokenizer(["<s>", "</s>"], "</s>"), params.model, params.format
    )
    text, _spans = prompter.example([turn("Flor", "hola")], ["voy"], "Juli")
    assert text == written
    # An untrained model continues with the next turn, so the reply is cut there.
    tag = written.split("\n")[0]
    assert cut_at_stop(f"voy\n{tag}\nche", prompter.stops).text.strip() == "voy"


def test_a_separator_that_is_a_token_does_not_end_a_reply():
    tokenizer = tiny.tokenizer([*PHI3, "<|msg_sep|>"], "<|end|>", tiny.template("phi3"))
    prompter = Prompter(tokenizer, "SYS", "…", "<|msg_sep|>", 1000)
    assert cut_at_stop("dale<|msg_sep|>voy<|end|>", prompter.stops).text == "dale<|msg_sep|>voy"


def test_trim_drops_whole_turns_oldest_first():
    context = [turn("a", "x" * 60), turn("b", "y" * 50), turn("a", "z" * 40)]
    assert trim(context, 150) == context
    assert trim(context, 149) == context[1:]
    assert trim(context, 89) == context[2:]


def test_trim_keeps_the_end_of_a_last_turn_that_is_too_long():
    assert trim([turn("a", "abc", "defgh")], 6) == [turn("a", "c", "defgh")]
    assert trim([turn("a", "abc", "defgh")], 4) == [turn("a", "efgh")]
    assert trim([], 10) == []


def test_a_long_reply_is_never_cut():
    text, spans = phi3(max_context_chars=10).example([turn("Flor", "hola" * 10)], ["x" * 500], "J")
    assert text[spans[0]["start"] : spans[0]["end"]] == "x" * 500


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("mirá <3 jaja", "mirá <3 jaja"),
        ("<Multimedia omitido>", "<Multimedia omitido>"),
        ("a<|im_end|>b", "a< |im_end|>b"),
        ("</s> [INST] [lista]", "< /s> [ INST] [lista]"),
        ("<end_of_turn>", "< end_of_turn>"),
        ("[/INST][TOOL_CALLS]", "[ /INST][ TOOL_CALLS]"),
        ("<think>\n</think>", "< think>\n< /think>"),
        ("<｜User｜>", "< ｜User｜>"),
    ],
)
def test_plain_opens_control_tokens_and_leaves_the_rest(text, written):
    assert phi3().plain(text) == written


def test_bubbles_split_at_the_separator_and_leave_out_empty_ones():
    assert phi3().bubbles("dale<|msg_sep|> voy <|msg_sep|><|msg_sep|>") == ["dale", "voy"]
    assert phi3().bubbles("  ") == []


def test_bubbles_leave_out_a_separator_that_the_limit_of_tokens_left_unfinished():
    assert phi3().bubbles("dale<|msg_sep|>voy ya<|msg_") == ["dale", "voy ya"]
    assert phi3().bubbles("dale <3") == ["dale <3"]


def test_the_prompter_of_the_params_uses_tags_where_there_are_some(configs):
    params = configs("model=gemma3")
    tokenizer = tiny.tokenizer(["<bos>", "<eos>"], "<eos>")
    prompter = prompts.prompter(tokenizer, params.model, params.format)
    context = [turn("Flor", "hola"), turn("Juli", "che", "qué"), turn("Flor", "venís?")]
    text, _spans = prompter.example(context, ["voy"], "Juli")
    # The author's earlier turns end like the reply, the partner's do not.
    earlier = "[OTRO]\nhola\n[YO]\nche<|msg_sep|>qué<eos>\n"
    assert text == f"{earlier}[OTRO]\nvenís?\n[YO]\nvoy<eos>"
    # So a text can continue after a reply, and the next reply stands where its own prompt puts it.
    first, _spans = prompter.example(context[:1], ["che", "qué"], "Juli")
    assert text.startswith(first)


def test_a_model_without_a_template_says_what_to_choose(configs):
    params = configs("model=gemma3", "format=chat")
    tokenizer = tiny.tokenizer(["<bos>", "<eos>"], "<eos>")
    prompter = prompts.prompter(tokenizer, params.model, params.format)
    with pytest.raises(UserError, match="no chat template.*format=turns"):
        prompter.example([turn("Flor", "hola")], ["voy"], "Juli")


@pytest.mark.parametrize(
    "message",
    [
        "".join(map(chr, range(0xFDD0, 0xFDF0))),  # noncharacters
        "".join(map(chr, range(0x10FF00, 0x110000))),  # the end of Unicode
        "\0\x1e\x1f|\ue000\ufffe\uffff]^-\\",
    ],
)
def test_whose_words_they_are_is_known_whatever_characters_they_are_of(message):
    context = [turn("Flor", message, message), turn("Juli", message), turn("Rocco", message)]
    prompter = phi3(max_context_chars=10_000)
    prompt = prompter.prompt(context, "Juli", group=True)
    spans = prompter.where([0], context, "Juli", group=True)
    assert [prompt[span["start"] : span["end"]] for span in spans] == [
        f"Flor: {message}<|msg_sep|>{message}"
    ]
    text, spans = prompter.example(context, [message], "Juli", group=True)
    assert text[spans[0]["start"] : spans[0]["end"]] == message
