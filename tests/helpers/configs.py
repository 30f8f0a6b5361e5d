"""Params sections as the code takes them, for tests."""

from types import SimpleNamespace

from espejo.commands.inputs import CONFIGS
from espejo.core.config import GroupConfig
from espejo.dataset import splits
from espejo.evaluation.config import EvaluateConfig, Margins, SharingLimits, UsefulWidths
from espejo.prediction.config import PredictConfig

# Whatever values params.yaml has.
EVALUATE = EvaluateConfig(
    bootstrap=300,
    confidence=0.95,
    seed=7,
    margins=Margins(author_score=0.1, told_apart=0.1),
    useful_widths=UsefulWidths(
        author_score=0.1,
        told_apart=0.1,
        mrr=0.1,
        bits_per_character=0.1,
        copies=0.05,
        membership=0.1,
        correctness=0.1,
    ),
    sharing_limits=SharingLimits(
        copied_beyond_own=0.05, whole_beyond_own=0.05, membership=0.7, personal_data=0
    ),
)
PREDICT = PredictConfig(
    batch_tokens=2048,
    reply_batch=4,
    seed=7,
    notebook_examples=1,
    shots=1,
    shot_chars=99,
    ranked_contexts=9,
    candidates=3,
    generated_replies=8,
    membership_replies=6,
    prompts=["Hola"],
    out_of_scope={},
)

# Params section data of people's chats.
DATA = {
    "raw": "data/raw/demo",
    "kind": "chats",
    "learnt": "second",
    "dataset": None,
    "revision": None,
    "columns": {"question": None, "answer": None},
}


def group(**changed):
    """The params section group with the default settings, except for `changed`."""
    default = {
        "turn_gap": "1h",
        "session_gap": "3h",
        "history": 4,
        "validation": 0.1,
        "test": 0.1,
        "min_replies": 50,
        "near_duplicates": 0.7,
        "seed": 7,
    }
    return GroupConfig(**default | changed)


def split(turns, author, validation, test, at_least):
    """`splits.split` of one author's turns with these shares and this least number of replies."""
    config = group(validation=validation, test=test, min_replies=at_least)
    return splits.split(turns, frozenset({author}), config)


def typed(params):
    """The sections of `params` (dictionaries) as configs: typed(params).model, .train …"""
    return SimpleNamespace(
        **{kind.section: kind.model_validate(params[kind.section]) for kind in CONFIGS}
    )


def changed(config, **values):
    """`config` with other values, which are checked as usual."""
    return type(config).model_validate(config.model_dump() | values)
