"""Every config of conf/model on a tiny model of its architecture: from format to evaluation.

The tiny models have the architecture that `espejo estimate` knows for the config, narrowed;
tokenizers are trained on a few lines and have the template and special tokens of the real ones.
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
from espejo.commands import estimate
from espejo.evaluation import likelihood
from espejo.formatting import labels, prompts
from espejo.model import generation, hardware, loading
from espejo.model.generation import settings
from espejo.training import sft
from tests.helpers import tiny

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("[!_]*.yaml"))

CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
LLAMA2 = ("<unk>", "<s>", "</s>")
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")
LLAMA3 = ("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")


@dataclass(frozen=True)
class Family:
    """What of a model's tokenizer matters here; `answer` is how its template opens a reply."""

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
    # Both write ChatML over pieces of SentencePiece. Of Salamandra's template, whose own system
    # text has a date, that is what is left where another system text is given.
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

# Two examples; one reply has two messages, one begins with what no vocabulary has in one piece.
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
    "initializer_range": 0.2,  # wide enough for two narrow layers to tell tokens apart
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
        pad_token_id=None,  # its row would be of zeros, and where it is the end's never foretold
        **narrowed(real.model_type),
    )
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=torch.float32).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def test_no_architecture_is_without_a_test(composed):
    assert {composed(f"model={name}")["model"]["id"] for name in MODELS} == set(FAMILIES)


# Each model in the form that its original had, and the other forms on one or two of them.
CHOICES = [
    *([f"model={name}"] for name in MODELS),
    ["model=phi3", "format=chat"],
    ["model=llama2", "format=chat"],
    ["model=mistral", "format=tagged"],
    ["model=smollm2", "experiment=pairs"],
    ["model=smollm2", "experiment=qa"],
]


@pytest.fixture(params=CHOICES, ids=lambda choice: "+".join(choice))
def ready(request, composed, tmp_path, monkeypatch):
    """The params of one choice, hastened and with certain replies, and its tiny base in place."""
    params = composed(*request.param)
    base = tmp_path / "base"
    tiny_base(params, base)
    monkeypatch.setattr(loading, "locate", lambda model: (str(base), "main"))
    params["model"]["generate"] = params["generate"] | {
        "temperature": 0,
        "repetition_penalty": 1.0,
        "max_new_tokens": 80,
    }
    params["model"]["threads"] = 1  # two wait for each other more than such small sums take
    if params["model"]["name"] != "smollm2-qlora":  # that one as it is
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
    return params


def encode(params, tokenizer, write):
    """The two examples, formatted and tokenized as the stages do it."""
    texts, rows, spans = [], [], []
    for context, reply in EXAMPLES:
        text, marks = write.example(context, reply, "Juli")
        never = write.where((), context, "Juli")
        texts.append(text)
        spans.append(marks)
        rows.append(labels.encode(tokenizer, text, marks, params["train"]["loss"], never))
    return texts, rows, spans


def test_a_config_goes_all_the_way(ready, tmp_path):
    model, wanted = ready["model"], ready["train"]
    tokenizer = loading.load_tokenizer(model)
    write = prompts.prompter(tokenizer, model, ready["format"])
    how = settings(tokenizer, write.end, model["generate"])
    texts, rows, spans = encode(ready, tokenizer, write)

    # What is learnt: the reply and the token that ends it, which stops generation as well.
    for (context, reply), text, row in zip(EXAMPLES, texts, rows, strict=True):
        asked = write.prompt(context, "Juli")
        assert text.startswith(asked)
        opening = ready["format"]["tags"] and ready["format"]["tags"]["reply"]
        assert asked.endswith(opening or FAMILIES[model["id"]].answer)
        assert asked.count("<think>") == asked.count("</think>")
        ids = tokenizer(asked, add_special_tokens=False)["input_ids"]
        assert row["input_ids"][: len(ids)] == ids  # the same tokens in training and in chat
        if wanted["loss"] == "reply":
            assert set(row["labels"][: len(ids)]) == {labels.IGNORED}
        learnt = row["labels"][len(ids) :]
        assert learnt == row["input_ids"][len(ids) :]
        assert learnt[-1] in how.eos_token_id
        said = tokenizer.decode(learnt[:-1]).strip()
        assert said == model["separator"].join(reply)

    # A batch is padded with labels that count for nothing; the ends stay, whatever pads.
    batch = DataCollatorForLanguageModeling(pad_token_id=tokenizer.pad_token_id)(
        [{key: row[key] for key in ("input_ids", "labels")} for row in rows]
    )
    assert (batch["labels"][batch["attention_mask"] == 0] == labels.IGNORED).all()
    ends = [row["labels"][-1] for row in rows]
    assert [batch["labels"][at, len(row["labels"]) - 1] for at, row in enumerate(rows)] == ends

    dtype = "float32" if wanted["method"] == "full" else None
    base = loading.load_base(model, dtype=dtype)
    trained = sft.train(base, tokenizer, rows, rows, wanted, tmp_path / "checkpoints")
    if model["quantization"]:  # models.upcast: whatever TRL prefers
        learnt = [weight for weight in trained.model.parameters() if weight.requires_grad]
        assert {weight.dtype for weight in learnt} == {torch.float32}
    if wanted["method"] == "lora":
        touched = {
            name.split(".")[-2]
            for name, _ in trained.model.named_modules()
            if name.endswith("lora_A")
        }
        assert touched == set(wanted["targets"])
    folder = tmp_path / "model"
    facts = {"data": "x", "model": model, "format": ready["format"], "history": 4, "train": wanted}

    def answers(tuned):
        return [answer(tuned, tokenizer, write, how, context) for context, _ in EXAMPLES]

    expected = [reply for _, reply in EXAMPLES]
    assert answers(trained.model.eval()) == expected
    loading.save(trained.model, tokenizer, folder, facts)

    conversation = Conversation(folder)
    mirror = conversation.mirror
    with mirror.tuned() as tuned:
        assert answers(tuned) == expected
    for context, reply in EXAMPLES:
        conversation.turns = [
            {**turn, "author": "bot" if turn["author"] == "Juli" else "person"} for turn in context
        ]
        list(conversation.reply())
        assert conversation.turns[-1] == {"author": "bot", "messages": reply}

    losses = {}
    for name, one in mirror.both():
        every = [labels.encode(tokenizer, *pair, "text") for pair in zip(texts, spans, strict=True)]
        scored = likelihood.of_reply(likelihood.token_losses(one, every, 4096), every)
        sums = likelihood.per_example(scored, every, spans)
        # "dale, voy" + separator + "llevo pan" + end; "🙂 re bien" + end
        assert sums["chars"].tolist() == [20, 10]
        assert sums["own_chars"].tolist() == [18, 9]
        losses[name] = sums["nats"].sum() / sums["tokens"].sum()
    assert losses["tuned"] < 0.2
    assert losses["base"] > 2


def answer(model, tokenizer, write, how, context):
    """The bubbles of a reply that must have ended by itself."""
    asked = tokenizer(write.prompt(context, "Juli"), add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        written = model.generate(**asked, generation_config=how)[0, asked["input_ids"].shape[1] :]
    assert written[-1] in how.eos_token_id
    assert len(written) < how.max_new_tokens
    return write.bubbles(tokenizer.decode(written[:-1]).removesuffix(write.end))


# Some of these carry a state on that is not keys and values alone, or see a window of them.
@pytest.fixture(params=[*{estimate.architecture(id_).model_type: id_ for id_ in FAMILIES}.values()])
def tiny_pair(request, tmp_path):
    """A tiny model, drawn at random, and its tokenizer: one of each architecture."""
    tiny_base({"model": {"id": request.param}}, tmp_path)
    model = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    model.set_attn_implementation(hardware.attention("auto", model.config))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return model, tokenizer


def test_of_a_model_that_also_sees_what_reads_text_is_loaded(composed, tmp_path, monkeypatch):
    # As the hub has Qwen3.5: a composite, whose text model AutoModelForCausalLM takes out.
    whole = Qwen3_5ForConditionalGeneration(
        Qwen3_5Config(
            text_config=NARROW_QWEN3_5 | {"vocab_size": 60, "tie_word_embeddings": True},
            vision_config={"depth": 1, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 64},
            tie_word_embeddings=True,
        )
    ).eval()
    whole.save_pretrained(tmp_path)
    monkeypatch.setattr(loading, "locate", lambda model: (str(tmp_path), "main"))
    text = loading.load_base(composed("model=qwen3.5-2b")["model"] | {"precision": "float32"})
    assert text.num_parameters() < whole.num_parameters()
    ids = torch.arange(3, 40)[None]
    with torch.inference_mode():
        assert torch.equal(text(ids).logits, whole(ids).logits)


PROMPTS = ["hola", "che ¿bien? todo bien ¿y vos? re bien", "dale, voy llevo pan", "¿venís hoy?"]


def behind(prompt, number):
    """So many texts that go on from `prompt` (ids), each otherwise; their labels are the rest."""
    rests = [[(31 * size + 17 * at) % 300 + 40 for at in range(size)] for size in range(3, 99)]
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
    """By transformers alone: each text by itself, from its first token on, without a cache."""
    losses = []
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
        every = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none")
        losses.append(every[[label != labels.IGNORED for label in row["labels"][1:]]].numpy())
    return losses


def test_what_texts_begin_with_is_read_once_and_scored_as_in_whole_texts(tiny_pair):
    model, _ = tiny_pair
    long, short = ([(7 * at) % 300 + 40 for at in range(size)] for size in (40, 23))
    rows = behind(long, 6)
    found = likelihood.token_losses(model, rows, 4096)
    for losses, expected in zip(found, losses_of_whole_texts(model, rows), strict=True):
        assert losses == pytest.approx(expected, abs=1e-3)
    # Two prompts together, the shorter padded on its left.
    asked = [behind(long, 4), behind(short, 4)]
    expected = [[losses.sum() for losses in losses_of_whole_texts(model, rows)] for rows in asked]
    found = likelihood.of_candidates(model, asked, 4096)
    assert found == pytest.approx(np.array(expected), abs=1e-3)


def test_replies_together_are_those_of_each_prompt_alone(tiny_pair):
    model, tokenizer = tiny_pair
    greedy = {"temperature": 0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.3}
    how = settings(tokenizer, tokenizer.eos_token, greedy | {"max_new_tokens": 30})
    alone = []
    for prompt in PROMPTS:
        asked = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
        with torch.inference_mode():
            written = model.generate(**asked, generation_config=how, use_cache=False)
        alone.append(tokenizer.decode(written[0, asked["input_ids"].shape[1] :]))
    # The first reply is over with its first character, and the others go on without it.
    stops = [alone[0].strip()[0], tokenizer.eos_token]
    together = generation.reply_all(model, tokenizer, PROMPTS, how, stops, seed=7)
    assert together == [generation.ended(text, stops) for text in alone]


@pytest.mark.parametrize("name", MODELS)
def test_the_formatted_text_is_the_same_on_another_day(composed, name, tmp_path, monkeypatch):
    params = composed(f"model={name}")
    tiny_base_tokenizer = tmp_path / "base"
    tiny_base(params, tiny_base_tokenizer)
    monkeypatch.setattr(loading, "locate", lambda model: (str(tiny_base_tokenizer), "main"))
    written = []
    for day in (1, 2):

        class Clock(datetime.datetime):
            @classmethod
            def now(cls, tz=None, day=day):
                return cls(2031, 3, day)

        monkeypatch.setattr("transformers.utils.chat_template_utils.datetime", Clock)
        write = prompts.prompter(
            loading.load_tokenizer(params["model"]), params["model"], params["format"]
        )
        written.append(write.example(*EXAMPLES[0], "Juli")[0])
    assert written[0] == written[1]
    assert "2031" not in written[0]
    dated = re.search(r"Today Date: (.*)\n", written[0])
    assert (dated[1] if dated else None) == {
        "smollm3": "08 July 2025",
        "llama3": "26 Jul 2024",
        "llama3.2-1b": "26 Jul 2024",
    }.get(name)
