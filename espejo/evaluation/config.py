"""The params section `evaluate`."""

from typing import Annotated

from pydantic import Field

from espejo.core.config import Count, Positive, Section, Seed, Some


class Margins(Section):
    """What counts as no difference."""

    author_score: Positive
    told_apart: Positive


class SharingLimits(Section):
    """What must not be exceeded before a model is given to others."""

    copied_beyond_own: float
    whole_beyond_own: float
    membership: float
    personal_data: Count


class EvaluateConfig(Section):
    """How numbers are made of what the models answered."""

    section = "evaluate"
    bootstrap: Some
    confidence: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed
    margins: Margins
    sharing_limits: SharingLimits
