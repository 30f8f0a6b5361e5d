"""Typed params: which keys and values a section of params.yaml may hold.

A typo in a value would otherwise have a silent effect: `clean.pii=drpo` would keep all personal
data. Each section is a `Section` in the room that reads it; types that several of them share are
here. Values that only a library can check (a scheduler, an encoder) are left to that library.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from espejo.core import faults
from espejo.core.errors import UserError

# Settings that were renamed, for people who set them under the old name.
RENAMED = {
    "format.silence": "format.empty_turn",
    "format.together": "format.replies_per_text",
    "audit.others": "audit.num_decoys",
    "train.evaluations": "train.evals_per_run",
    "train.prompts": "train.sample_prompts",
    "train.gradient_accumulation": "train.micro_batch_size (texts in memory at once)",
    "evaluate.share": "evaluate.sharing_limits",
    "evaluate.outside": "predict.out_of_scope",
    "evaluate.legacy_examples": "predict.notebook_examples",
    "evaluate.shown_contexts": "report.shown_contexts",
    "model.generate": "generate",
    **{
        f"evaluate.{name}": f"predict.{name}"
        for name in (
            *("batch_tokens", "reply_batch", "shots", "shot_chars", "ranked_contexts"),
            *("candidates", "generated_replies", "membership_replies", "prompts"),
        )
    },
}
# Values that were renamed: (setting, old value) -> value.
RENAMED_VALUES = {
    ("model.source", "embedded"): "bundled",
    ("filter.similarity.encoder", "embedded"): "bundled",
}
_ABSENT = object()


class Section(BaseModel):
    """A section of params.yaml, or a group of settings in one: all keys required, no others."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)
    section: ClassVar[str]  # its name in params.yaml


Config = TypeVar("Config", bound=Section)


def kind(expected: str, check: Callable[[Any], object]) -> BeforeValidator:
    """A type of value that `check` accepts: if it raises, the message says what is `expected`."""

    def validate(value: Any) -> Any:  # noqa: ANN401
        try:
            check(value)
        except Exception as error:
            raise ValueError(f"expected {expected}") from error
        return value

    return BeforeValidator(validate)


def _duration(text: str) -> None:
    # pandas reads a number without a unit as nanoseconds.
    if not isinstance(text, str) or not pd.Timedelta(text) >= pd.Timedelta("1s"):
        raise ValueError


Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Some = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Word = Annotated[str, Field(min_length=1)]
Keep = Literal["keep", "drop"]
Duration = Annotated[str, kind("a time such as 1h or 30min", _duration)]
Pattern = Annotated[
    str, kind("a regular expression", lambda text: pc.match_substring_regex(pa.array([""]), text))
]
Members = Annotated[
    str, kind("characters for [] of a regular expression", lambda text: re.compile(f"[^{text}]"))
]
Date = Annotated[str, kind("a date such as 2025-07-08", date.fromisoformat)]


Timezone = Annotated[
    str, kind("an IANA name of a time zone such as America/Argentina/Cordoba", ZoneInfo)
]


class Columns(Section):
    """How the columns of a table of questions are called; null: as they usually are."""

    question: Word | None
    answer: Word | None


class DataConfig(Section):
    """Which data is read, and of what kind it is."""

    section = "data"
    raw: Word  # a folder
    # chats: of people, whose names and consents are in people.yaml | dialogues: between two
    # speakers without names | questions: with their answers
    kind: Literal["chats", "dialogues", "questions"]
    learnt: Literal["second", "both"]  # whose utterances of a dialogue
    dataset: Word | None  # of dialogues or questions: an id on the Hugging Face hub, not `raw`
    revision: Word | None  # of the data set: a commit
    columns: Columns


class GroupConfig(Section):
    """How messages become turns, sessions, contexts and splits."""

    section = "group"
    turn_gap: Duration
    session_gap: Duration
    history: Some
    validation: Share
    test: Share
    min_replies: Count
    near_duplicates: Share  # dialogues and questions this similar are in one split; 1: equal ones
    seed: Seed  # of the split of what has no time


def checked(config: type[Config], settings: Mapping, path: Path) -> Config:
    """The section `settings`, read from the file `path`, as a `config`.

    Raises UserError about the first setting that was renamed, has a wrong value, is unknown (with
    the nearest known one) or is missing.
    """
    try:
        return config.model_validate(settings)
    except ValidationError as error:
        details = error.errors()
        keys = [".".join(map(str, (config.section, *detail["loc"]))) for detail in details]
        wrong = list(zip(keys, details, strict=True))
    by_type = {
        name: [(key, detail) for key, detail in wrong if detail["type"] == name]
        for name in ("extra_forbidden", "missing")
    }
    unknown, missing = by_type.values()
    again = faults.again(path)
    refuse_renamed({config.section: settings}, path)
    for key, detail in wrong:
        if detail["type"] not in by_type:
            raise UserError(
                f"{path}: {key} is {detail['input']!r}: {_expected(config, detail)}. Correct it "
                f"where you set it, behind -S or in conf/; then {again}."
            )
    for key, detail in unknown:
        place, _, name = key.rpartition(".")
        fields = _at(config, detail["loc"][:-1]).model_fields
        raise UserError(
            f"{path}: {key} is no setting; {nearest(name, fields, f'{place}.')}. Fix it where you "
            f"set it (in conf/ or behind -S); {again}."
        )
    raise UserError(f"{path} lacks {missing[0][0]}; {again}.")


def refuse_renamed(params: Mapping, path: Path) -> None:
    """Raise UserError for a setting or a value in `params` (all sections) that was renamed."""
    names = [(old, new) for old, new in RENAMED.items() if _value(params, old) is not _ABSENT]
    values = [
        (f"{key}={old}", f"{key}={new}")
        for (key, old), new in RENAMED_VALUES.items()
        if _value(params, key) == old
    ]
    for old, new in names + values:
        raise UserError(
            f"{path}: {old} is called {new} now. Rename it where you set it (in conf/ or "
            f"behind -S); {faults.again(path)}."
        )


def _value(params: Mapping, key: str) -> object:
    """What `params` hold under a key such as "train.epochs"; _ABSENT where there is none."""
    value: object = params
    for part in key.split("."):
        value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
    return value


def checked_all(params: Mapping, configs: Iterable[type[Section]], path: Path) -> None:
    """Raise UserError, as `checked` does, for any section of `params`, or an unknown section.

    For the start of a run: a wrong setting of the last stage is found before the first stage runs.
    """
    refuse_renamed(params, path)
    by_name = {config.section: config for config in configs}
    for section, settings in params.items():
        if section not in by_name:
            raise UserError(
                f"{path}: {section} is no section of settings; {nearest(section, by_name)}. Fix it "
                f"where you set it (in conf/); {faults.again(path)}."
            )
        checked(by_name[section], settings, path)


def nearest(name: str, names: Iterable[str], before: str = "") -> str:
    """Which of the `names` is nearest to `name`, or, if none is near, all of them."""
    names = list(names)
    close = get_close_matches(name, names, n=1)
    if close:
        return f"the nearest is {before}{close[0]}"
    return f"there are {', '.join(names)}"


def _expected(config: type[Section], error: Mapping) -> str:
    """What was expected in place of a wrong value, from pydantic's message."""
    if error["type"] == "model_type":
        return f"expected {', '.join(_at(config, error['loc']).model_fields)} below it"
    message = error["msg"].removeprefix("Value error, ")
    return message.replace("Input should be", "expected")


def _at(config: type[Section], loc: Iterable[str | int]) -> type[Section]:
    """The group of settings at the place `loc` inside a section."""
    for key in loc:
        annotation = config.model_fields[str(key)].annotation
        options = (annotation, *get_args(annotation))  # of `Tags | None` too
        groups = (option for option in options if isinstance(option, type))
        config = next(group for group in groups if issubclass(group, Section))
    return config
