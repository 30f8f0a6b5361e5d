"""Tiny tokenizers and models for tests: vocabularies written out, weights drawn at random."""

from importlib.resources import files

import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = ["<unk>", "\n", "\n\n", " ", "SYS", "hola", "dale", "voy", "che", "bien", "vos", "…", ":"]


def template(name):
    """A chat template as TRL ships it."""
    return (files("trl") / "chat_templates" / f"{name}.jinja").read_text("utf-8")


def tokenizer(specials, eos, chat_template=None):
    """A tokenizer whose ids are places in WORDS, then in `specials`, then <|msg_sep|>."""
    words = [*WORDS, *specials, "<|msg_sep|>"]
    inner = Tokenizer(
        models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="<unk>")
    )
    pieces = Regex(r"<\|msg_sep\|>|\n\n|\n| |:|[^ \n:<]+|<")
    inner.pre_tokenizer = pre_tokenizers.Split(pieces, behavior="isolated")
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        unk_token="<unk>",
        eos_token=eos,
        pad_token="<unk>",
        bos_token=specials[0],
    )
    wrapped.add_special_tokens({"additional_special_tokens": list(specials)})
    wrapped.chat_template = chat_template
    return wrapped


def llama(vocabulary, seed=0, **other):
    """A Llama of two narrow layers, in float32."""
    torch.manual_seed(seed)
    shape = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 512,
        "attn_implementation": "eager",
    }
    return LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **{**shape, **other})).eval()
