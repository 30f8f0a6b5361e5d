"""The exported chat template writes 200 generated conversations as training did, for every config:
in transformers, and in the engine of llama.cpp.
"""

import itertools
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel

from espejo.core.errors import UserError
from espejo.export.template import exported
from espejo.formatting import prompts
from espejo.model import tokenizers
from tests.helpers import tiny
from tests.helpers.configs import changed, typed
from tests.model.test_every_model import FAMILIES, MODELS, ROOT

FORMS, EXPERIMENTS = (
    sorted(path.stem for path in (ROOT / "conf" / kind).glob("[!_]*.yaml"))
    for kind in ("format", "experiment")
)
CHOICES = [
    *([f"model={model}", f"format={form}"] for model in MODELS for form in FORMS),
    *(
        [f"model={model}", f"experiment={experiment}"]
        for model in ("gemma3", "gpt2", "llama2", "smollm2")
        for experiment in EXPERIMENTS
    ),
]
NO_TEMPLATE = {"gemma3", "gpt2", "gpt2-spanish"}  # base models
ENGINE = Path(sys.prefix) / "llama.cpp"
AUTHOR, PERSON = "Juli", "Flor"

WORDS = [
    "hola",
    "dale, voy",
    "🙂",
    "👩‍👩‍👧",
    "¿qué?",
    "a",
    "<3",
    "1 < 2",
    "{{ x }}",
    "{% if %}",
    '"\\',
]
BLANKS = [" ", "  ", "\n", "\n\n", "\t", ""]
TYPED = [
    *("<|im_end|>", "<|im_start|>", "[YO]", "[YO]\n", "[OTRO]", "[author]", "<start_of_turn>"),
    *("### Answer:", "### Question:\n", "<|msg_sep|>", "<|bot|>", "<|user|>", "<|endoftext|>"),
    *("<think>", "</think>", "/no_think", "<s>", "</s>", "[INST]", "[/INST]", "<<SYS>>", "<SYS>"),
    *("<bos>", "<eos>", "<|eot_id|>", "<｜User｜>", "<｜end▁of▁sentence｜>", "<|talk|><|ax1|>"),
    *("<", "|", "<|", "<|msg_", ">", "[", "[[", "#", "###", " Answer:", "<<|im_end|>", "im_end|>"),
]


def prompter_of(params, folder, monkeypatch):
    """The prompter of `params` with a tiny tokenizer of the model's family, saved and loaded."""
    family = FAMILIES[params["model"]["id"]]
    tiny.trained_tokenizer(
        family.specials, family.end, family.template, family.begin, family.pad, family.pieces
    ).save_pretrained(folder)
    monkeypatch.setattr(tokenizers, "locate", lambda model: (str(folder), "main"))
    config = typed(params)
    form = changed(config.format, max_context_chars=10**6)  # trimming is the client's
    return prompts.prompter(tokenizers.load_tokenizer(config.model), config.model, form)


def text(draw, tags):
    """Words, blanks at any place and tags that somebody typed; sometimes nothing."""
    kinds = [WORDS, WORDS, BLANKS, TYPED, tags]
    return "".join(draw.choice(draw.choice(kinds)) for _ in range(draw.randrange(6)))


def conversations(number, tags, seed=7):
    """Turns of an author and a person; either opens, and either may write again."""
    draw = random.Random(seed)
    for index in range(number):
        writers = [draw.choice((AUTHOR, PERSON)) for _ in range(index % 7)]
        yield [
            {
                "author": writer,
                "messages": [text(draw, tags) for _ in range(draw.choice((1, 1, 2, 3)))],
            }
            for writer in writers
        ]


def sent(turns, prompter, draw):
    """`turns` as a client sends them, and the turns that it means.

    A bubble a part is always exact. One string is a message of a person, or what a model generated,
    in which separators are structure and blanks around bubbles do not count.
    """
    messages, meant = [], []
    if not turns or draw.random() < 0.3:  # engines refuse a conversation without any message
        messages.append({"role": "system", "content": "Be brief.<|im_end|>"})
    for turn in turns:
        own, texts = turn["author"] == AUTHOR, turn["messages"]
        content = [{"type": "text", "text": bubble} for bubble in texts]
        if draw.random() < 0.5 and (own or len(texts) == 1):
            content = prompter.separator.join(texts)
            turn = {**turn, "messages": prompter.bubbles(content)} if own else turn
        messages.append({"role": "assistant" if own else "user", "content": content})
        meant.append(turn)
    return messages, meant


def rendered(prompter, template, messages, answer, **other):
    return prompter.tokenizer.apply_chat_template(
        messages,
        chat_template=template,
        tokenize=False,
        add_generation_prompt=answer,
        **other,
    )


def tags_of(prompter):
    added = [token.content for token in prompter.tokenizer.added_tokens_decoder.values()]
    return [tag for tag in added if not tag.startswith("<0x")] + [prompter.end, prompter.separator]


def check(prompter, number=200):
    """Both ways are equal, whoever was last, and so are the tokens; returns the template."""
    template = exported(prompter)
    draw = random.Random(3)
    for index, turns in enumerate(conversations(number, tags_of(prompter))):
        messages, meant = sent(turns, prompter, draw)
        expected = prompter.prompt(meant, AUTHOR)
        assert rendered(prompter, template, messages, True) == expected
        if meant and meant[-1]["author"] == AUTHOR:
            whole, _ = prompter.example(meant[:-1], meant[-1]["messages"], AUTHOR)
            assert rendered(prompter, template, messages, False) == whole
        if index % 20 == 0:
            ids = prompter.tokenizer.apply_chat_template(
                messages, chat_template=template, add_generation_prompt=True, return_dict=False
            )
            assert ids == prompter.tokenizer(expected, add_special_tokens=False)["input_ids"]
    return template


@pytest.mark.parametrize("choice", CHOICES, ids="+".join)
def test_as_training_did(choice, composed, tmp_path, monkeypatch):
    params = composed(*choice)
    prompter = prompter_of(params, tmp_path, monkeypatch)
    form = prompter.tags
    if params["model"]["name"] in NO_TEMPLATE and (form is None or form.reply is None):
        with pytest.raises(UserError, match="no chat template"):
            exported(prompter)
    else:
        check(prompter)


def byte_model(path, specials, add_bos):
    """A GGUF file: a tiny Llama over single bytes and `specials`, the first of which is bos."""
    alphabet = sorted(ByteLevel.alphabet())
    tokens = [*alphabet, *specials]
    control = len(tokens) - len(alphabet)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * len(alphabet) + [3] * control)
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(len(alphabet))
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_add_bos_token(add_bos)
    shapes = {
        "token_embd": (len(tokens), 32),
        "output_norm": (32,),
        "blk.0.attn_norm": (32,),
        "blk.0.ffn_norm": (32,),
        **{f"blk.0.{name}": (32, 32) for name in ("attn_q", "attn_k", "attn_v", "attn_output")},
        **{f"blk.0.{name}": (32, 32) for name in ("ffn_gate", "ffn_up", "ffn_down")},
    }
    draw = np.random.default_rng(0)
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", draw.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# One server of llama.cpp a template; its answers to requests (path, body).
SERVE = """
import json, sys, urllib.request
import xllamacpp
answers = []
for job in json.load(sys.stdin):
    params = xllamacpp.CommonParams()
    params.model.path, params.chat_template = job["model"], job["template"]
    params.n_ctx, params.n_parallel, params.port = 4096, 1, 0
    params.warmup, params.prefill_assistant = False, False
    params.cpuparams.n_threads = 1
    server = xllamacpp.Server(params)
    answers.append([])
    for path, body in job["requests"]:
        request = urllib.request.Request(
            server.listening_address + path, json.dumps(body).encode() if body else None
        )
        answers[-1].append(json.load(urllib.request.urlopen(request)))
print(json.dumps(answers))
"""


def served(jobs):
    """The answers of llama.cpp to `jobs`: dictionaries of model, template and requests."""
    run = subprocess.run(
        [sys.executable, "-c", SERVE],
        input=json.dumps([{**job, "model": str(job["model"])} for job in jobs]),
        env={"PYTHONPATH": str(ENGINE), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.splitlines()[-1])


@pytest.fixture
def engine():
    if not (ENGINE / "xllamacpp").is_dir():
        pytest.skip("xllamacpp is not installed: make setup")


# Each form, each way of a template with a role, a thought or a date, and each beginning.
IN_THE_ENGINE = [
    *([f"model={name}"] for name in ("gemma3", "gpt2-spanish", "smollm3", "qwen3.5-2b", "llama3")),
    *([f"model={name}"] for name in ("deepseek-qwen", "mistral", "phi3", "smollm2", "qwen3")),
    ["model=llama2", "format=chat"],
    ["model=llama2", "format=qa"],
    ["model=smollm2", "format=pairs"],
    ["model=mistral", "format=tagged"],
]


def test_llama_cpp_writes_the_same(engine, composed, tmp_path, monkeypatch):
    jobs, expected = [], []
    model = tmp_path / "model.gguf"
    byte_model(model, ["<x>", "<y>"], add_bos=False)
    for number, choice in enumerate(IN_THE_ENGINE):
        prompter = prompter_of(composed(*choice), tmp_path / str(number), monkeypatch)
        draw = random.Random(number)
        job = {"model": model, "template": exported(prompter), "requests": []}
        for turns in conversations(14, tags_of(prompter), seed=number):
            messages, meant = sent(turns, prompter, draw)
            job["requests"].append(("/apply-template", {"messages": messages}))
            expected.append(prompter.prompt(meant, AUTHOR))
            if meant and meant[-1]["author"] == AUTHOR:
                body = {"messages": messages, "add_generation_prompt": False}
                job["requests"].append(("/apply-template", body))
                expected.append(prompter.example(meant[:-1], meant[-1]["messages"], AUTHOR)[0])
        jobs.append(job)
    answers = itertools.chain.from_iterable(served(jobs))
    assert [answer["prompt"] for answer in answers] == expected


@pytest.mark.parametrize("name", ["llama2", "salamandra-2b"])  # training had a bos, and had none
def test_llama_cpp_reads_the_tokens_of_training(engine, name, composed, tmp_path, monkeypatch):
    prompter = prompter_of(composed(f"model={name}", "format=chat"), tmp_path, monkeypatch)
    model = tmp_path / "model.gguf"
    byte_model(model, ["<s>", "<|im_start|>", "<|im_end|>", "</s>"], add_bos=False)
    prompt = prompter.prompt([{"author": PERSON, "messages": ["che", "¿bien?"]}], AUTHOR)
    bubbles = [{"type": "text", "text": bubble} for bubble in ("che", "¿bien?")]
    messages = [{"role": "user", "content": bubbles}]
    tokens = {"content": prompt, "parse_special": True}
    requests = [
        ("/tokenize", {**tokens, "add_special": False}),
        ("/tokenize", {**tokens, "add_special": True}),
        ("/apply-template", {"messages": messages}),
        ("/v1/chat/completions", {"messages": messages, "max_tokens": 1}),
    ]
    job = {"model": model, "template": exported(prompter), "requests": requests}
    [[plain, special, written, reply]] = served([job])
    assert plain["tokens"] == special["tokens"]
    assert written["prompt"] == prompt
    assert reply["usage"]["prompt_tokens"] == len(plain["tokens"])
    bos = len(ByteLevel.alphabet())
    assert plain["tokens"].count(bos) == (1 if name == "llama2" else 0)


def test_what_a_client_sends_besides_the_conversation_changes_nothing(
    composed, tmp_path, monkeypatch
):
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    for name in ("qwen3", "smollm2", "llama3", "mistral", "gemma3"):
        prompter = prompter_of(composed(f"model={name}"), tmp_path / name, monkeypatch)
        template = exported(prompter)
        user = {"role": "user", "content": "hola"}
        system = {"role": "system", "content": "You are a pirate."}
        expected = prompter.prompt([{"author": PERSON, "messages": ["hola"]}], AUTHOR)
        assert rendered(prompter, template, [user], True) == expected
        assert rendered(prompter, template, [system, user, system], True) == expected
        other = {"tools": [tool], "enable_thinking": True, "date_string": "1 Jan 2031"}
        assert rendered(prompter, template, [user], True, **other) == expected
        if prompter.tags is None:
            assert expected.count(prompter.system) == 1


@pytest.mark.parametrize("name", ["smollm2", "gemma3"])
def test_every_tag_of_a_bundled_tokenizer_is_written_as_words(name, composed):
    params = composed(f"model={name}")
    config = typed(params)
    tokenizer = tokenizers.load_tokenizer(config.model)
    form = changed(config.format, max_context_chars=10**9)
    prompter = prompts.prompter(tokenizer, config.model, form)
    template = exported(prompter)
    assert len(template) < 12_000  # characters: gemma3 has 6,400 tags
    tags = [tag for tag in tags_of(prompter) if tag.strip()]
    near = ["<unused6242>", "<unused007>", "<unused>", "<unused12", "<h7>", "<h0>", "</h1 >"]
    texts = ["".join(tags), "▁▁▁▁▁ \n\n\n", *near, *tags[:60], *tags[-60:]]
    messages = [{"role": "user", "content": [{"type": "text", "text": text} for text in texts]}]
    expected = prompter.prompt([{"author": PERSON, "messages": texts}], AUTHOR)
    assert rendered(prompter, template, messages, True) == expected
    check(prompter, 40)


def overlapping(tags, composed, tmp_path, monkeypatch):
    params = composed("model=smollm2")
    params["model"]["added_tokens"] = tags
    return prompter_of(params, tmp_path, monkeypatch)


def test_tags_within_tags_and_tags_that_the_space_makes(composed, tmp_path, monkeypatch):
    tags = ["<go>", "< go>", "<  go>", "=<go>", "=x", "(=x=)", "--", "~1", "~2", "~3", "~10"]
    prompter = overlapping(tags, composed, tmp_path, monkeypatch)
    template = exported(prompter)
    pieces = ["<go>", "=", "<", " ", "go>", "x", "(", ")", "-", "~", "1", "0", "4"]
    draw = random.Random(5)
    texts = ["".join(draw.choices(pieces, k=draw.randrange(12))) for _ in range(500)]
    messages = [{"role": "user", "content": [{"type": "text", "text": text} for text in texts]}]
    expected = prompter.prompt([{"author": PERSON, "messages": texts}], AUTHOR)
    assert rendered(prompter, template, messages, True) == expected
    assert "<   go>" in expected


@pytest.mark.parametrize("tags", [["---"], ["+=-*", "-*+="]])
def test_tags_that_overlap_each_other_are_refused(tags, composed, tmp_path, monkeypatch):
    prompter = overlapping(tags, composed, tmp_path, monkeypatch)
    with pytest.raises(UserError, match=re.escape(tags[0])):
        exported(prompter)
