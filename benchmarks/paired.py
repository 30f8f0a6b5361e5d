"""The difference that a change makes, with what both the test and the training leave uncertain.

A change and the defaults are trained with several seeds each and scored on the same sessions. Two
things are drawn at random: the sessions (another month of chats) and the trainings (another seed).
The variance of the difference is the sum of both parts, which is somewhat too wide, never too
narrow (Owen 2007, "The pigeonhole bootstrap"): what sessions and trainings do together is counted
in each. Its degrees of freedom are Satterthwaite's (1946).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

Sums = Mapping[str, float]  # session -> a sum over its replies


@dataclass(frozen=True)
class Effect:
    """A difference in bits per character, with the ends of its interval."""

    value: float
    low: float
    high: float
    seeds: int
    sessions: int

    def verdict(self, useful: float) -> str:
        """lower, higher, alike (surely less than `useful` apart) or unclear."""
        if self.high < 0:
            return "lower"
        if self.low > 0:
            return "higher"
        return "alike" if -useful < self.low and self.high < useful else "unclear"


def bits(nats: Sums, chars: Sums) -> float:
    """Bits per character over all sessions."""
    return sum(nats.values()) / sum(chars.values()) / math.log(2)


def training_variance(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """The variance of a figure between trainings that differ in the seed alone, pooled over groups.

    `groups` holds the figures of each setting, one a seed. Returns the variance and its degrees of
    freedom; raises ValueError where no setting has two seeds.
    """
    several = [np.asarray(group) for group in groups if len(group) > 1]
    freedom = sum(len(group) - 1 for group in several)
    if not freedom:
        raise ValueError("no setting was trained with two seeds")
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
    return squares / freedom, freedom


def effect(
    changed: Sequence[Sums],
    default: Sequence[Sums],
    chars: Sums,
    training: tuple[float, int],
    confidence: float,
) -> Effect:
    """The mean difference in bits per character, changed - default, with its interval.

    `changed` and `default` hold the nats of each session, one mapping a seed; `chars` are the
    characters of each session. `training` is what `training_variance` gives for the bits per
    character of one training. `confidence` is that of this one interval: of m that are to hold
    together, 1 - (1 - 0.95) / m (Bonferroni).
    """
    sessions = sorted(chars)
    size = np.array([chars[session] for session in sessions]) * math.log(2)

    def averaged(runs: Sequence[Sums]) -> np.ndarray:
        return np.mean([[run[session] for session in sessions] for run in runs], axis=0)

    nats = averaged(changed) - averaged(default)
    value = float(nats.sum() / size.sum())
    n = len(sessions)
    by_session = float(((nats - value * size) ** 2).sum() * n / (n - 1) / size.sum() ** 2)
    by_training = training[0] * (1 / len(changed) + 1 / len(default))
    variance = by_session + by_training
    if not variance:  # exactly the same model
        return Effect(value, value, value, len(changed), n)
    freedom = variance**2 / (by_session**2 / (n - 1) + by_training**2 / training[1])
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(variance)
    return Effect(value, value - half, value + half, len(changed), n)
