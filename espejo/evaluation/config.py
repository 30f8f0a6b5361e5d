"""The params section `evaluate`."""

from typing import Annotated

from pydantic import Field

from espejo.core.config import Count, Positive, Section, Seed, Some


class Margins(Section):
    """Differences that are too small to matter."""

    author_score: Positive
    told_apart: Positive


class SharingLimits(Section):
    """Limits for a model that is shared with others."""

    copied_beyond_own: float
    whole_beyond_own: float
    membership: float
    personal_data: Count


class UsefulWidths(Section):
    """Half widths of intervals that are narrow enough to decide by."""

    author_score: Positive
    told_apart: Positive
    mrr: Positive
    bits_per_character: Positive
    copies: Positive
    membership: Positive
    correctness: Positive


class EvaluateConfig(Section):
    """How the tables of `predict` become numbers with intervals, and the verdict on sharing."""

    section = "evaluate"
    bootstrap: Some  # resamples
    confidence: Annotated[float, Field(gt=0, lt=1)]
    seed: Seed
    margins: Margins
    useful_widths: UsefulWidths
    sharing_limits: SharingLimits
