"""The params sections `model` and `generate`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from espejo.core.config import Count, Date, Positive, Section, Some, Word, kind


def _threads(value: object) -> None:
    number = str(value).isdecimal() and int(str(value)) > 0
    if value != "auto" and not number:
        raise ValueError


class ModelConfig(Section):
    """Which base model, and how it is loaded and asked."""

    section = "model"
    name: Word
    source: Literal["embedded", "hub"]
    id: Word
    revision: Word | None  # of a hub: a branch, tag or commit; None for its main one
    quantization: Literal["nf4"] | None
    double_quantization: bool
    precision: Literal["auto", "wide", "bfloat16", "float16", "float32"]
    threads: Annotated[int | str, kind("auto or a number from 1 on", _threads)]
    system_role: bool
    system_suffix: str
    template_args: dict[str, Any] | None
    date: Date | None
    prefill: str
    added_tokens: list[Word]
    separator: Word


class GenerateConfig(Section):
    """How a reply is drawn."""

    section = "generate"
    temperature: Annotated[float, Field(ge=0)]  # 0: the likeliest token, nothing drawn
    top_k: Count  # 0: all
    top_p: Annotated[float, Field(gt=0, le=1)]
    repetition_penalty: Positive
    max_new_tokens: Some
