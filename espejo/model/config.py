"""The params sections `model` and `generate`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from espejo.core.config import Count, Date, Positive, Section, Some, Word, kind

Precision = Literal["auto", "wide", "bfloat16", "float16", "float32"]


def _threads(value: object) -> None:
    number = str(value).isdecimal() and int(str(value)) > 0
    if value != "auto" and not number:
        raise ValueError


class ModelConfig(Section):
    """Which base model, how it is loaded, and how its prompts are written."""

    section = "model"
    name: Word
    source: Literal["bundled", "hub"]
    id: Word
    revision: Word | None  # on the hub: a branch, tag or commit; None: the main branch
    quantization: Literal["nf4"] | None
    double_quantization: bool
    precision: Precision
    threads: Annotated[int | str, kind("auto or a number from 1 on", _threads)]
    system_role: bool
    system_suffix: str
    template_args: dict[str, Any] | None
    date: Date | None
    prefill: str
    added_tokens: list[Word]
    separator: Word


class GenerateConfig(Section):
    """How replies are sampled."""

    section = "generate"
    temperature: Annotated[float, Field(ge=0)]  # 0: greedy decoding
    top_k: Count  # 0: no limit
    top_p: Annotated[float, Field(gt=0, le=1)]
    repetition_penalty: Positive
    max_new_tokens: Some
