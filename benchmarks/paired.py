"""The difference that a change makes, with what both the test and the training leave uncertain.

A change and the defaults are trained with several seeds each and scored on the same sessions. Two
things are drawn at random: the sessions (another month of chats) and the trainings (another seed).
The variance of the difference is the sum of both parts, which is somewhat too wide, never too
narrow (Owen 2007, "The pigeonhole bootstrap"): what sessions and trainings do together is counted
in each. Its degrees of freedom are Satterthwaite's (1946).
"""

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy import stats

Name = TypeVar("Name", bound=Hashable)
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


def unstable(groups: Mapping[Name, Sequence[float]], error: float = 0.05) -> set[Name]:
    """The settings whose trainings vary surely more than those of the others.

    `groups` holds the figures of each setting, one a seed. The largest variance is compared with
    the pooled others by an F test, at `error` divided by their number, and left out while it is
    too large ('t Lam 2010: Cochran's test for groups of any size). Such a setting must not widen
    the intervals of all others.
    """
    several = {name: np.asarray(group) for name, group in groups.items() if len(group) > 1}
    outliers: set[Name] = set()
    while len(several) > 2:
        variances = {name: float(group.var(ddof=1)) for name, group in several.items()}
        largest = max(variances, key=lambda name: variances[name])
        others = [group.tolist() for name, group in several.items() if name != largest]
        pooled, freedom = training_variance(others)
        if not pooled:
            break
        ratio = variances[largest] / pooled
        if stats.f.sf(ratio, len(several[largest]) - 1, freedom) >= error / len(several):
            break
        outliers.add(largest)
        del several[largest]
    return outliers


def effect(
    changed: Sequence[Sums],
    default: Sequence[Sums],
    chars: Sums,
    training: tuple[float, int],
    confidence: float,
    unstable_training: tuple[float, int] | None = None,
) -> Effect:
    """The mean difference in bits per character, changed - default, with its interval.

    `changed` and `default` hold the nats of each session, one mapping a seed; `chars` are the
    characters of each session. `training` is what `training_variance` gives for the bits per
    character of one training; `unstable_training` the same for trainings of a changed setting that
    is `unstable`. `confidence` is that of this one interval: of m that are to hold
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
    parts = [(by_session, n - 1)]
    if unstable_training is None:
        parts.append((training[0] * (1 / len(changed) + 1 / len(default)), training[1]))
    else:
        parts.append((unstable_training[0] / len(changed), unstable_training[1]))
        parts.append((training[0] / len(default), training[1]))
    variance = sum(part for part, _ in parts)
    if not variance:  # exactly the same model
        return Effect(value, value, value, len(changed), n)
    freedom = variance**2 / sum(part**2 / of_part for part, of_part in parts)
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * math.sqrt(variance)
    return Effect(value, value - half, value + half, len(changed), n)
