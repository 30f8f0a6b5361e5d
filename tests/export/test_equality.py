"""Base and adapter, merged weights, GGUF files: all give the same greedy tokens.

llama.cpp runs them as people will: its server, as `make setup` installs it.
"""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from espejo.export import bits, gguf_files, llama_cpp, merged
from espejo.export.bits import Row
from espejo.formatting.labels import encode
from espejo.formatting.prompts import trained_prompter
from espejo.model import bundled
from espejo.model.pair import ModelPair
from espejo.serving.llama_cpp import FOLDER, Server
from tests.export.conftest import train
from tests.helpers.configs import typed

NEW = 16
# How much closer to the best token a second one may come before rounding decides between them: the
# engines' logits differ by some 0.01, from a cache in float16 and another order of sums.
TIE = 0.05
MESSAGES = [
    "hola, cómo andás?",
    "Eu sale algo el finde?",
    "no puedo 😭",
    "what's 2 + 2?",
    "contame algo",
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (FOLDER / "xllamacpp").is_dir() or not llama_cpp.INSTALLED.is_dir(),
        reason="llama.cpp is not installed",
    ),
]


@pytest.fixture(scope="module", params=["smollm2", "gemma3"])
def everything(request, composed, tmp_path_factory):
    """A trained model, prompts as tokens, and all its exports: (pair, prompts, folder)."""
    name = request.param
    if name == "gemma3" and not bundled.folder(name).is_dir():
        pytest.skip("Gemma 3 is not installed")
    form = {"smollm2": "chat", "gemma3": "turns"}[name]
    params = composed(f"model={name}", f"format={form}", "model.precision=float32")
    folder = tmp_path_factory.mktemp(name)
    train(params, folder / "model", noise=0.03)
    trained = merged.read(folder / "model", typed(params).generate)
    (folder / "merged").mkdir()
    merged.write(trained, merged.load(trained), folder / "merged")
    gguf_files.write(trained, folder, "f16", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where no test replies lie, which would be scored
        assert "was not measured" in gguf_files.write(trained, folder, "q8_0", None)[1]
    gguf_files.write_adapter(trained, folder, None)
    prompts = [
        trained.prompter.prompt([{"author": "person", "messages": [text]}], "bot")
        for text in MESSAGES
    ]
    tokenizer = trained.prompter.tokenizer
    ids = [tokenizer(prompt, add_special_tokens=False)["input_ids"] for prompt in prompts]
    return name, ModelPair(folder / "model"), list(zip(prompts, ids, strict=True)), folder


def greedy(model, ids):
    """The next NEW tokens under a model of transformers, and the logits of each step."""
    with torch.no_grad():
        output = model.generate(
            torch.tensor([ids]),
            # Else the tokens of the prompt that are as the padding's would not be read.
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            do_sample=False,
            max_new_tokens=NEW,
            min_new_tokens=NEW,
            repetition_penalty=1.0,
            stop_strings=None,
            eos_token_id=None,  # goes on: after the end of a reply nothing is compared
            output_logits=True,
            return_dict_in_generate=True,
            tokenizer=None,
        )
    return output.sequences[0, len(ids) :].tolist(), torch.cat(output.logits)


def served(file, prompts, more=()):
    """The next NEW tokens after each of the prompts under a GGUF file in llama.cpp."""
    server = Server(file, 512, more)
    try:
        for ids in prompts:
            request = {"prompt": ids, "n_predict": NEW, "temperature": 0, "repeat_penalty": 1}
            request |= {"return_tokens": True, "cache_prompt": False}
            yield server.ask("/completion", request)["tokens"]
    finally:
        server.close()


def assert_same(tokens, expected, logits, ends):
    """Equal up to a token of `ends`, or they part where only rounding decides between two.

    llama.cpp leaves out the token that ends a reply; transformers was told to go on.
    """
    for place, other in enumerate(expected):
        token = tokens[place] if place < len(tokens) else None
        if token in ends | {None} and other in ends:
            return
        assert token is not None, f"a reply ends at {place}, before {other}"
        if token != other:
            gap = (logits[place, other] - logits[place, token]).item()
            assert 0 <= gap < TIE, f"token {place}: {token}, not {other}, which is {gap} above it"
            return


def test_merged_weights_give_the_same_tokens(everything):
    _, pair, prompts, folder = everything
    model = AutoModelForCausalLM.from_pretrained(folder / "merged").eval()
    with pair.tuned() as tuned:
        expected = [greedy(tuned, ids) for _, ids in prompts]
    with pair.base() as base:
        before = [greedy(base, ids)[0] for _, ids in prompts]
    assert all(tokens != old for (tokens, _), old in zip(expected, before, strict=True))
    for (_, ids), (tokens, logits) in zip(prompts, expected, strict=True):
        assert_same(greedy(model, ids)[0], tokens, logits, {*pair.tokenizer.all_special_ids})


@pytest.mark.parametrize("form", ["f16", "adapter"])
def test_llama_cpp_gives_the_same_tokens(everything, form):
    name, pair, prompts, folder = everything
    if form == "f16":
        file, more = folder / f"{name}-f16.gguf", ()
    else:
        file = folder / f"{name}-base-f16.gguf"
        more = ("--lora", str(folder / f"{name}-adapter-f32.gguf"))
    written = list(served(file, [ids for _, ids in prompts], more))
    with pair.tuned() as tuned:
        for (_, ids), tokens in zip(prompts, written, strict=True):
            assert_same(tokens, *greedy(tuned, ids), {*pair.tokenizer.all_special_ids})


def test_the_loss_in_llama_cpp_is_that_of_transformers(everything):
    name, pair, _, folder = everything
    prompter = trained_prompter(pair.tokenizer, pair.manifest)
    replies = [["re bien 🥳, vos?"], ["dale", "a las 9 ñañ"]]
    rows, end = [], pair.tokenizer.eos_token_id
    for message, reply in zip(MESSAGES, replies, strict=False):
        text, spans = prompter.example([{"author": "a", "messages": [message]}], reply, "b")
        rows.append(Row(encode(pair.tokenizer, text, spans), spans))
    with pair.tuned() as tuned:
        exact = bits.of_model(tuned, rows)
        # By another way: the whole text at once, and the sum over the labelled tokens.
        nats = []
        for row in rows:
            ids = torch.tensor([row.encoded["input_ids"]])
            with torch.no_grad():
                logp = tuned(ids).logits[0].log_softmax(-1)
            places = [i for i, kind in enumerate(row.encoded["kinds"]) if kind]
            nats.append(-sum(logp[i - 1, ids[0, i]].item() for i in places))
    characters = sum(len("".join(reply)) + len(reply) for reply in replies)
    assert exact == pytest.approx(sum(nats) / characters / np.log(2), rel=1e-4)
    assert bits.of_gguf(folder / f"{name}-f16.gguf", rows, end) == pytest.approx(exact, abs=0.01)
    coarse = bits.of_gguf(folder / f"{name}-q8_0.gguf", rows, end)
    assert coarse != pytest.approx(exact, abs=1e-6)
    assert coarse == pytest.approx(exact, abs=0.1)


@pytest.mark.parametrize("file", ["f16", "base-f16"])
def test_a_chat_in_llama_cpp_reads_the_tokens_of_training(everything, file):
    """As its server does it: the template in the file, then the tokens, one <bos> at most.

    For Gemma it takes the template's <bos> away and adds its own, whatever the file says.
    """
    name, _, prompts, folder = everything
    template = AutoTokenizer.from_pretrained(folder / "merged").chat_template
    server = Server(folder / f"{name}-{file}.gguf", 512)
    try:
        assert server.properties["chat_template"].strip() == template.strip()
        for message, (_, ids) in zip(MESSAGES, prompts, strict=True):
            body = {"messages": [{"role": "user", "content": message}]}
            text = server.ask("/apply-template", body)["prompt"]
            body = {"content": text, "parse_special": True, "add_special": True}
            assert server.ask("/tokenize", body)["tokens"] == ids
    finally:
        server.close()
