"""Tiny tokenizers and models for tests: vocabularies written out, weights drawn at random."""

from importlib.resources import files

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

WORDS = ["<unk>", "\n", "\n\n", " ", "SYS", "hola", "dale", "voy", "che", "bien", "vos", "…", ":"]


def template(name):
    """A chat template as TRL ships it."""
    return (files("trl") / "chat_templates" / f"{name}.jinja").read_text("utf-8")


def tokenizer(specials, eos, chat_template=None):
    """A tokenizer whose ids are places in WORDS, then in `specials`, then <|msg_sep|>."""
    words = [*WORDS, *specials, "<|msg_sep|>"]
    inner = Tokenizer(
        models.WordLevel({word: index for index, word in enumerate(words)}, unk_token="<unk>")
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


# Templates that TRL does not ship, written after what the real ones render (docs of the models).
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SMOLLM3 = """\
{%- set today = strftime_now("%d %B %Y") -%}
{{- '<|im_start|>system\n## Metadata\n\nKnowledge Cutoff Date: June 2025\nToday Date: ' + today -}}
{{- '\nReasoning Mode: ' + ('/think' if enable_thinking else '/no_think') -}}
{{- '\n\n## Custom Instructions\n\n' + messages[0].content.replace('/no_think', '').rstrip() -}}
{{- '\n\n' -}}
{%- for m in messages[1:] -%}
  {{- '<|im_start|>' + m.role + '\n' -}}
  {{- '<think>\n\n</think>\n' if m.role == 'assistant' and not enable_thinking else '' -}}
  {{- m.content + '<|im_end|>\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|im_start|>assistant\n' + ('' if enable_thinking else '<think>\n\n</think>\n') -}}
{%- endif -%}"""
_ALTERNATE = (
    "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Roles must alternate') }}{% endif %}"
)
LLAMA2 = (
    "{% if messages[0].role == 'system' %}{% set said = messages[1:] %}"
    "{% set system = '<<SYS>>\n' + messages[0].content + '\n<</SYS>>\n\n' %}"
    "{% else %}{% set said = messages %}{% set system = '' %}{% endif %}"
    "{% for m in said %}" + _ALTERNATE + "{% if m.role == 'user' %}"
    "{{ bos_token + '[INST] ' + (system if loop.first else '') + m.content.strip() + ' [/INST]' }}"
    "{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}" + _ALTERNATE + "{% if m.role == 'user' %}"
    "{{ '[INST] ' + m.content + '[/INST]' }}"
    "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
)

TEXT = [
    "Respondé como siempre. ¿venís hoy? dale, voy llevo pan che ¿bien? todo bien ¿y vos? re bien",
    "[OTRO] hola [author] che [YO] hola\n### Question:\nhola\n### Answer:\nche\n<|user|>\n<|bot|>",
    "<think>\n\n</think>\n system user assistant Today Date: 08 July 2025 /no_think <|msg_sep|> …",
]


def trained_tokenizer(specials, eos, chat_template, begin, pad, pieces):
    """A BPE tokenizer of 400 entries, over bytes as GPT-2's or over words as SentencePiece's."""
    words = pieces == "words"
    inner = Tokenizer(models.BPE(byte_fallback=words, unk_token="<unk>" if words else None))
    if words:
        inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
        inner.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        )
        alphabet, single = [], [f"<0x{byte:02X}>" for byte in range(256)]
    else:
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        alphabet, single = pre_tokenizers.ByteLevel.alphabet(), []
    trainer = trainers.BpeTrainer(
        vocab_size=400 + len(single),
        special_tokens=[*specials, *single],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    inner.train_from_iterator(TEXT, trainer)
    if begin:
        inner.post_processor = processors.TemplateProcessing(
            single=f"{begin} $A", special_tokens=[(begin, inner.token_to_id(begin))]
        )
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        eos_token=eos,
        bos_token=begin or eos,
        pad_token=pad,
        unk_token="<unk>" if "<unk>" in specials else None,
        additional_special_tokens=[token for token in specials if token not in (eos, begin, pad)],
    )
    wrapped.chat_template = chat_template
    return wrapped
