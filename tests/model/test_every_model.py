"""Every config of conf/model on a tiny model of its architecture, from format to evaluation. A tiny
model is the architecture that `espejo estimate` knows for the config, made narrow; tokenizers are
trained on a few lines, with the template and special tokens of the real ones.
"""

import datetime
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
)
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from espejo.chat.conversation import Conversation
from espejo.chat.decline import Blocklist
from espejo.chat.local import LocalEngine
from espejo.commands import estimate
from espejo.formatting import labels, prompts
from espejo.model import generation, hardware, loading, tokenizers
from espejo.model.config import GenerateConfig
from espejo.model.generation import generation_config
from espejo.prediction import losses
from espejo.training import sft
from tests.helpers import tiny
from tests.helpers.configs import typed

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("[!_]*.yaml"))

CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAMA2 = ("<unk>", "<s>", "</s>")
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")
LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


@dataclass(frozen=True)
class Family:
    """What matters of a model's tokenizer; `answer` is how its template opens a reply."""

    specials: tuple[str, ...]
    end: str
    answer: str
    template: str | None = None
    begin: str | None = None  # the token that the tokenizer puts before any text
    pad: str | None = None
    pieces: str = "bytes"  # or "words", with the space before a word as its first character


FAMILIES = {
    "smollm2": Family(
        CHATML, "<|im_end|>", "<|im_start|>assistant\n", tiny.CHATML, pad="<|im_end|>"
    ),
    "gemma3": Family(("<pad>", "<eos>", "<bos>"), "<eos>", "[YO]\n", begin="<bos>", pad="<pad>"),
    "DeepESP/gpt2-spanish": Family(("<|endoftext|>",), "<|endoftext|>", " <|ax2|>"),
    "openai-community/gpt2": Family(("<|endoftext|>",), "<|endoftext|>", "<|bot|>\n"),
    "HuggingFaceTB/SmolLM3-3B": Family(
        CHATML, "<|im_end|>", "<|im_start|>assistant\n<think>\n\n</think>\n", tiny.SMOLLM3
    ),
    "microsoft/Phi-3-mini-4k-instruct": Family(
        ("<unk>", "<s>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        "<|endoftext|>",
        "<|end|>\n<|assistant|>\n",
        tiny.template("phi3"),
        pad="<|endoftext|>",
    ),
    "meta-llama/Llama-2-7b-chat-hf": Family(
        LLAMA2, "</s>", " [/INST]", tiny.LLAMA2, begin="<s>", pieces="words"
    ),
    "mistralai/Mistral-7B-Instruct-v0.3": Family(
        (*LLAMA2, "[INST]", "[/INST]"), "</s>", "[/INST]", tiny.MISTRAL, "<s>", pieces="words"
    ),
    "meta-llama/Llama-3.1-8B-Instruct": Family(
        LLAMA3,
        "<|eot_id|>",
        "<|start_header_id|>assistant<|end_header_id|>\n\n",
        tiny.template("llama3_2"),  # 3.1's with today's date in it
        begin="<|begin_of_text|>",
    ),
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": Family(
        DEEPSEEK,
        "<｜end▁of▁sentence｜>",
        "<｜Assistant｜><think>\n\n</think>\n\n",
        tiny.template("deepseek_r1_distill"),
        begin="<｜begin▁of▁sentence｜>",
        pad="<｜end▁of▁sentence｜>",
    ),
    "Qwen/Qwen3-1.7B": Family(
        CHATML,
        "<|im_end|>",
        "<|im_start|>assistant\n<think>\n\n</think>\n\n",
        tiny.template("qwen3"),
        pad="<|endoftext|>",
    ),
}
FAMILIES |= {
    "Qwen/Qwen3-0.6B": FAMILIES["Qwen/Qwen3-1.7B"],
    "Qwen/Qwen3.5-2B": replace(
        FAMILIES["Qwen/Qwen3-1.7B"], template=tiny.template("qwen3_5_nothink")
    ),
    # Both write ChatML with SentencePiece. Salamandra's own system text has a date; with another
    # system text, its template is this one.
    **dict.fromkeys(
        ("BSC-LT/salamandra-2b-instruct", "utter-project/EuroLLM-1.7B-Instruct"),
        Family(
            ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"),
            "</s>",
            "<|im_start|>assistant\n",
            tiny.CHATML,
            begin="<s>",
            pieces="words",
        ),
    ),
    "meta-llama/Llama-3.2-1B-Instruct": FAMILIES["meta-llama/Llama-3.1-8B-Instruct"],
}

# Two examples: one reply has two messages, the other begins with a character of several tokens.
EXAMPLES = [
    ([{"author": "Flor", "messages": ["¿venís hoy?"]}], ["dale, voy", "llevo pan"]),
    (
        [
            {"author": "Flor", "messages": ["che", "¿bien?"]},
            {"author": "Juli", "messages": ["todo bien"]},
            {"author": "Flor", "messages": ["¿y vos?"]},
        ],
        ["🙂 re bien"],
    ),
]
NARROW = {
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "initializer_range": 0.2,  # large enough that two narrow layers can tell tokens apart
}
NARROW_GPT2 = {"n_embd": 64, "n_layer": 2, "n_head": 2, "initializer_range": 0.1}
NARROW_QWEN3_5 = NARROW | {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 32,
    "linear_value_head_dim": 32,
    "layer_types": ["linear_attention", "full_attention"],
}


def narrowed(model_type):
    """The settings that make a model of that type tiny."""
    return {"gpt2": NARROW_GPT2, "qwen3_5_text": NARROW_QWEN3_5}.get(model_type, NARROW)


def tiny_base(params, folder):
    """A base model and tokenizer for `params`, saved in `folder` as a hub would have them."""
    family = FAMILIES[params["model"]["id"]]
    tokenizer = tiny.trained_tokenizer(
        family.specials, family.end, family.template, family.begin, family.pad, family.pieces
    )
    real = estimate.architecture(params["model"]["id"])
    config = AutoConfig.for_model(
        real.model_type,
        vocab_size=len(tokenizer),
        tie_word_embeddings=real.tie_word_embeddings,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,  # its embedding would be zeros, so that as end token it would never be
        # predicted
        **narrowed(real.model_type),
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_no_architecture_is_without_a_test(composed):
    assert {composed(f"model={name}")["model"]["id"] for name in MODELS} == set(FAMILIES)


# Each model in its original form, and the other forms with one or two models.
CHOICES = [
    *([f"model={name}"] for name in MODELS),
    ["model=phi3", "format=chat"],
    ["model=llama2", "format=chat"],
    ["model=mistral", "format=tagged"],
    ["model=gpt2", "experiment=dailydialog"],
    ["model=llama2", "experiment=llama2-qa"],
    ["model=smollm2", "experiment=dailydialog"],
    ["model=smollm2", "experiment=llama2-qa"],
]


@pytest.fixture(params=CHOICES, ids=lambda choice: "+".join(choice))
def ready(request, composed, tmp_path, monkeypatch):
    """The configs of one choice, with a short training and greedy replies; its base is tiny."""
    params = composed(*request.param)
    base = tmp_path / "base"
    tiny_base(params, base)
    monkeypatch.setattr(tokenizers, "locate", lambda model: (str(base), "main"))
    params["generate"] |= {
        "temperature": 0,
        "repetition_penalty": 1.0,
        "max_new_tokens": 80,
    }
    params["model"]["threads"] = 1  # with two threads, most of the time goes into waiting
    if params["model"]["name"] != "smollm2-qlora":  # that one is tiny already
        params["model"]["precision"] = "float32"
    params["train"] |= {
        "epochs": 60,
        "max_steps": -1,
        "batch_size": 2,
        "micro_batch_size": None,
        "learning_rate": 0.02 if params["train"]["method"] == "lora" else 0.01,
        "dropout": 0.0,
        "evals_per_run": 2,
        "log_steps": 30,
        "weight_decay": 0.0,
    }
    return typed(params)


def encode(tokenizer, prompter, loss):
    """The two examples, formatted and tokenized as the stages do it."""
    texts, rows, spans = [], [], []
    for context, reply in EXAMPLES:
        text, marks = prompter.example(context, reply, "Juli")
        masked = prompter.where((), context, "Juli")
        texts.append(text)
        spans.append(marks)
        rows.append(labels.encode(tokenizer, text, marks, loss, masked))
    return texts, rows, spans


def test_a_config_goes_all_the_way(ready, tmp_path):
    model, train = ready.model, ready.train
    tokenizer = tokenizers.load_tokenizer(model)
    prompter = prompts.prompter(tokenizer, model, ready.format)
    greedy = generation_config(tokenizer, prompter.end, ready.generate)
    texts, rows, spans = encode(tokenizer, prompter, train.loss)

    # The labels: the reply and its end token, which also stops generation.
    for (context, reply), text, row in zip(EXAMPLES, texts, rows, strict=True):
        prompt = prompter.prompt(context, "Juli")
        assert text.startswith(prompt)
        opening = ready.format.tags and ready.format.tags.reply
        assert prompt.endswith(opening or FAMILIES[model.id].answer)
        assert prompt.count("<think>") == prompt.count("</think>")
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        assert row["input_ids"][: len(ids)] == ids  # the same tokens in training and in chat
        if train.loss == "reply":
            assert set(row["labels"][: len(ids)]) == {labels.IGNORED}
        learnt = row["labels"][len(ids) :]
        assert learnt == row["input_ids"][len(ids) :]
        assert learnt[-1] in greedy.eos_token_id
        assert tokenizer.decode(learnt[:-1]).strip() == model.separator.join(reply)

    # Padding has no labels; the end tokens keep theirs, whatever the padding token.
    batch = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id)(
        [{key: row[key] for key in ("input_ids", "labels")} for row in rows]
    )
    assert (batch["labels"][batch["attention_mask"] == 0] == labels.IGNORED).all()
    ends = [row["labels"][-1] for row in rows]
    last = [len(row["labels"]) - 1 for row in rows]
    assert batch["labels"][range(len(rows)), last].tolist() == ends

    base = loading.load_base(model, "float32" if train.method == "full" else None)
    trained = sft.train(base, tokenizer, rows, rows, train, tmp_path / "checkpoints")
    if model.quantization:  # loading.needs_float32_adapters: whatever TRL prefers
        learnt = [weight for weight in trained.model.parameters() if weight.requires_grad]
        assert {weight.dtype for weight in learnt} == {torch.float32}
    if train.method == "lora":
        touched = {
            name.split(".")[-2]
            for name, _ in trained.model.named_modules()
            if name.endswith("lora_A")
        }
        assert touched == set(train.targets)
    folder = tmp_path / "model"
    manifest = {"data": "x", "history": 4}
    manifest |= {name: getattr(ready, name).model_dump() for name in ("model", "format", "train")}

    def replies(tuned):
        return [generated(tuned, tokenizer, prompter, greedy, context) for context, _ in EXAMPLES]

    expected = [reply for _, reply in EXAMPLES]
    assert replies(trained.model.eval()) == expected
    loading.save(trained.model, tokenizer, folder, manifest)

    engine = LocalEngine(folder)
    conversation = Conversation(engine, ready.generate, Blocklist((), ""))
    pair = engine.pair
    with pair.tuned() as tuned:
        assert replies(tuned) == expected
    for context, reply in EXAMPLES:
        conversation.turns = [
            {**turn, "author": "bot" if turn["author"] == "Juli" else "person"} for turn in context
        ]
        list(conversation.reply())
        assert conversation.turns[-1] == {"author": "bot", "messages": reply}
    engine.close()

    nats = {}
    whole = [labels.encode(tokenizer, *row, "text") for row in zip(texts, spans, strict=True)]
    for name, either in pair.both():
        of_replies = losses.of_reply(losses.token_losses(either, whole, 4096), whole)
        sums = losses.per_example(of_replies, whole, spans)
        # "dale, voy" + separator + "llevo pan" + end; "🙂 re bien" + end
        assert sums["chars"].tolist() == [20, 10]
        assert sums["own_chars"].tolist() == [18, 9]
        nats[name] = sums["nats"].sum() / sums["tokens"].sum()
    assert nats["tuned"] < 0.2
    assert nats["base"] > 2


def generated(model, tokenizer, prompter, greedy, context):
    """The bubbles of a reply that must end with an end token, not at the token limit."""
    prompt = prompter.prompt(context, "Juli")
    inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        whole = model.generate(**inputs, generation_config=greedy)[0]
    reply = whole[inputs["input_ids"].shape[1] :]
    assert reply[-1] in greedy.eos_token_id
    assert len(reply) < greedy.max_new_tokens
    return prompter.bubbles(tokenizer.decode(reply[:-1]).removesuffix(prompter.end))


# Some have a recurrent state besides keys and values, or a sliding window.
@pytest.fixture(params=[*{estimate.architecture(id_).model_type: id_ for id_ in FAMILIES}.values()])
def tiny_pair(request, tmp_path):
    """A tiny model, drawn at random, and its tokenizer: one of each architecture."""
    tiny_base({"model": {"id": request.param}}, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    model.set_attn_implementation(hardware.resolve_attention("auto", model.config))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return model, tokenizer


def test_of_a_model_that_also_sees_what_reads_text_is_loaded(configs, tmp_path, monkeypatch):
    # As on the hub, Qwen3.5 is multimodal; AutoModelForCausalLM loads its text model.
    whole = Qwen3_5ForConditionalGeneration(
        Qwen3_5Config(
            text_config=NARROW_QWEN3_5 | {"vocab_size": 60, "tie_word_embeddings": True},
            vision_config={"depth": 1, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 64},
            tie_word_embeddings=True,
        )
    ).eval()
    whole.save_pretrained(tmp_path)
    monkeypatch.setattr(tokenizers, "locate", lambda model: (str(tmp_path), "main"))
    text = loading.load_base(configs("model=qwen3.5-2b").model, "float32")
    assert text.num_parameters() < whole.num_parameters()
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        assert torch.equal(text(ids).logits, whole(ids).logits)


PROMPTS = ["hola", "che ¿bien? todo bien ¿y vos? re bien", "dale, voy llevo pan", "¿venís hoy?"]


def behind(prompt, number):
    """`number` different continuations of `prompt` (ids), which are labelled."""
    rests = [[(31 * size + 17 * n) % 300 + 40 for n in range(size)] for size in range(3, 99)]
    return [
        {
            "input_ids": prompt + rest,
            "labels": [labels.IGNORED] * len(prompt) + rest,
            "kinds": [""] * (len(prompt) + len(rest)),
        }
        for rest in rests[:number]
    ]


@torch.inference_mode()
def losses_of_whole_texts(model, rows):
    """The losses by transformers alone: each text by itself, without a cache."""
    expected = []
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
        every = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        expected.append(every[[label != labels.IGNORED for label in row["labels"][1:]]].numpy())
    return expected


def test_a_shared_beginning_is_read_once_and_scored_as_in_whole_texts(tiny_pair):
    model, _ = tiny_pair
    long, short = ([(7 * n) % 300 + 40 for n in range(size)] for size in (40, 23))
    rows = behind(long, 6)
    scored = losses.token_losses(model, rows, 4096)
    for of_text, expected in zip(scored, losses_of_whole_texts(model, rows), strict=True):
        assert of_text == pytest.approx(expected, abs=1e-3)
    # Two prompts together, the shorter padded on its left.
    candidates = [behind(long, 4), behind(short, 4)]
    expected = [
        [of_text.sum() for of_text in losses_of_whole_texts(model, rows)] for rows in candidates
    ]
    sums = losses.of_candidates(model, candidates, 4096)
    assert sums == pytest.approx(np.array(expected), abs=1e-3)


def test_replies_together_are_those_of_each_prompt_alone(tiny_pair):
    model, tokenizer = tiny_pair
    greedy = GenerateConfig(
        temperature=0, top_k=0, top_p=1, repetition_penalty=1.3, max_new_tokens=30
    )
    config = generation_config(tokenizer, tokenizer.eos_token, greedy)
    alone = []
    for prompt in PROMPTS:
        inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            whole = model.generate(**inputs, generation_config=config, use_cache=False)
        alone.append(tokenizer.decode(whole[0, inputs["input_ids"].shape[1] :]))
    # The first reply ends with its first character, and the others continue without it.
    stops = [alone[0].strip()[0], tokenizer.eos_token]
    together = generation.reply_all(model, tokenizer, PROMPTS, config, stops, seed=7)
    assert together == [generation.cut_at_stop(text, stops) for text in alone]


@pytest.mark.parametrize("name", MODELS)
def test_the_formatted_text_is_the_same_on_another_day(composed, name, tmp_path, monkeypatch):
    params = composed(f"model={name}")
    tiny_base(params, tmp_path)
    monkeypatch.setattr(tokenizers, "locate", lambda model: (str(tmp_path), "main"))
    texts, config = [], typed(params)
    for day in (1, 2):

        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz=None, day=day):
                return cls(2031, 3, day)

        monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Clock)
        tokenizer = tokenizers.load_tokenizer(config.model)
        prompter = prompts.prompter(tokenizer, config.model, config.format)
        texts.append(prompter.example(*EXAMPLES[0], "Juli")[0])
    assert texts[0] == texts[1]
    assert "2031" not in texts[0]
    dated = re.search(r"Today Date: (.*)\n", texts[0])
    assert (dated[1] if dated else None) == {
        "smollm3": "08 July 2025",
        "llama3": "26 Jul 2024",
        "llama3.2-1b": "26 Jul 2024",
    }.get(name)
