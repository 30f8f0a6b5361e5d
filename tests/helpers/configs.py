"""Params sections for tests, whatever stands in params.yaml; `model_copy(update=…)` changes one."""

from espejo.evaluation.config import EvaluateConfig, Margins, SharingLimits
from espejo.prediction.config import PredictConfig

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
    batch_tokens=1024,
    reply_batch=4,
    seed=7,
    notebook_examples=8,
    shots=3,
    shot_chars=120,
    ranked_contexts=10,
    candidates=5,
    generated_replies=8,
    membership_replies=6,
    prompts=["Hola"],
    out_of_scope={"world": ["¿Quién sos?"]},
)
