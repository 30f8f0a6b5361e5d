"""Params sections as the code takes them, for tests."""

from types import SimpleNamespace

from espejo.commands.inputs import CONFIGS
from espejo.evaluation.config import EvaluateConfig, Margins, SharingLimits
from espejo.prediction.config import PredictConfig

# Whatever values params.yaml has.
EVALUATE = EvaluateConfig(
    bootstrap=300,
    confidence=0.95,
    seed=7,
    margins=Margins(author_score=0.1, told_apart=0.1),
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


def typed(params):
    """The sections of `params` (dictionaries) as configs: typed(params).model, .train …"""
    return SimpleNamespace(
        **{kind.section: kind.model_validate(params[kind.section]) for kind in CONFIGS}
    )


def changed(config, **values):
    """`config` with other values, which are checked as usual."""
    return type(config).model_validate(config.model_dump() | values)
