"""Of what kind each setting of params.yaml is, so that a slip of the keyboard ends in a sentence.

A word that is none of those wanted would otherwise do something else in silence: `clean.pii=drpo`
would keep all personal data. What a library alone can judge (a scheduler, an encoder) is left to
it, and what depends on the machine or the model to the module that asks for it.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, ConfigDict, Field, FiniteFloat, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from espejo.core import faults
from espejo.core.errors import UserError

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Some = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Word = Annotated[str, Field(min_length=1)]
Keep = Literal["keep", "drop"]


def _duration(text: str) -> None:
    if not pd.Timedelta(text) > pd.Timedelta(0):
        raise ValueError


def _kind(expected: str, check: Callable[[str], object]) -> AfterValidator:
    """Whatever `check` raises means that a value is not what is `expected`."""

    def judge(value: str) -> str:
        try:
            check(value)
        except Exception as error:
            raise ValueError(f"expected {expected}") from error
        return value

    return AfterValidator(judge)


Duration = Annotated[str, _kind("a time such as 1h or 30min", _duration)]
Pattern = Annotated[
    str, _kind("a regular expression", lambda text: pc.match_substring_regex(pa.array([""]), text))
]
Members = Annotated[
    str,
    _kind("what may stand in [] of a regular expression", lambda text: re.compile(f"[^{text}]")),
]
Date = Annotated[str, _kind("a date such as 2025-07-08", date.fromisoformat)]


_Margin = Annotated[float, Field(gt=0)]


class _Tags(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")
    start: str | None
    other: str
    author: str
    turn_end: str
    reply: str | None
    end: str | None
    closed: NotRequired[bool]


class _Similarity(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")
    encoder: Word
    least: float


class _Margins(TypedDict):
    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")
    author_score: _Margin
    told_apart: _Margin


class _Limits(TypedDict):
    # All of them: a limit that is left out would let everything pass.
    __pydantic_config__ = ConfigDict(strict=True, extra="forbid")
    copied_beyond_own: FiniteFloat
    whole_beyond_own: FiniteFloat
    membership: FiniteFloat
    personal_data: FiniteFloat


SECTIONS: dict[str, dict[str, Any]] = {
    "parse": {"min_understood": Share},
    "clean": {
        "captions": bool,
        "normalize": Literal["NFC", "NFD", "NFKC", "NFKD"],
        "pseudonyms": str | None,
        "pii": Literal["replace", "drop", "keep"],
        "lowercase": bool,
        "characters": Members | None,
    },
    "group": {
        "turn_gap": Duration,
        "session_gap": Duration,
        "history": Some,
        "validation": Share,
        "test": Share,
        "min_replies": Count,
    },
    "filter": {
        "links": Pattern | None,
        **dict.fromkeys(
            (
                *("min_context_words", "min_reply_words", "min_words", "min_chars"),
                *("max_context_chars", "max_reply_chars"),
            ),
            Count,
        ),
        "leaks": Keep,
        "duplicates": Keep,
        "near_duplicates": Share | None,
        "similarity": _Similarity | None,
    },
    "format": {
        "name": Word,
        "system": str,
        "empty_turn": Word,
        "replies_per_text": Some,
        "max_context_chars": Some,
        "tags": _Tags | None,
    },
    "audit": {
        "canaries": Count,
        "repetitions": list[Some],
        "digits": Some,
        "num_decoys": Count,
        "seed": Seed,
    },
    "statistics": {"top_words": Count, "languages": list[Word], "people": Count},
    "report": {"language": Literal["es", "en"], "shown_contexts": Count},
    "data": {"raw": Word},
    "model": {
        **dict.fromkeys(("name", "id", "separator", "precision"), Word),
        "source": Literal["embedded", "hub"],
        "revision": str | None,
        "quantization": Literal["nf4"] | None,
        "double_quantization": bool,
        "system_role": bool,
        "system_suffix": str,
        "template_args": dict[str, Any] | None,
        "date": Date | None,
        "prefill": str,
        "added_tokens": list[Word],
    },
    "generate": {
        "temperature": Annotated[float, Field(ge=0)],
        "top_k": Count,
        "top_p": Annotated[float, Field(gt=0, le=1)],
        "repetition_penalty": Annotated[float, Field(gt=0)],
        "max_new_tokens": Some,
    },
    "train": {
        "method": Literal["lora", "full"],
        "loss": Literal["reply", "text"],
        **dict.fromkeys(("rank", "batch_size"), int),
        **dict.fromkeys(("epochs", "max_steps", "log_steps", "evals_per_run"), int),
        **dict.fromkeys(("layers", "micro_batch_size", "padding", "patience"), int | None),
        **dict.fromkeys(("alpha", "learning_rate", "weight_decay", "max_grad_norm"), float),
        "dropout": Share,
        "warmup_ratio": Share,
        "targets": list[Word],
        "gradient_checkpointing": bool,
        **dict.fromkeys(("attention", "scheduler", "launcher"), Word),
        "prompts": list[str],
        "seed": Seed,
    },
    "predict": {
        **dict.fromkeys(("batch_tokens", "reply_batch", "notebook_examples"), Some),
        "seed": Seed,
        **dict.fromkeys(("shots", "shot_chars", "ranked_contexts"), Count),
        **dict.fromkeys(("candidates", "generated_replies", "membership_replies"), Count),
        "prompts": list[str],
        "out_of_scope": dict[str, list[str]],
    },
    "evaluate": {
        "bootstrap": Some,
        "confidence": Annotated[float, Field(gt=0, lt=1)],
        "margins": _Margins,
        "seed": Seed,
        "sharing_limits": _Limits,
    },
}


def checked(section: str, found: Mapping, path: Path) -> None:
    """Raise UserError naming the first setting of a section that is not of its kind.

    A setting that is missing, or of another version, is no matter here.
    """
    kinds = TypedDict(section, SECTIONS[section], total=False)
    kinds.__pydantic_config__ = ConfigDict(strict=True)
    try:
        TypeAdapter(kinds).validate_python(dict(found))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, (section, *first["loc"])))
        said = first["msg"].removeprefix("Value error, ")
        expected = said.replace("Input should be", "expected")
        raise UserError(
            f"{path}: {key} is {first['input']!r}: {expected}. Set it by `dvc exp run -S` or in "
            f"conf/; {faults.again(path)}."
        ) from None
