"""Which of several sampling settings is chosen, by a rule that was written down before the runs.

Of the settings whose replies repeat no more word 3-grams than the author's own (their share is not
above the upper end of the author's interval), the candidate is the one with the lowest told-apart
AUC. It becomes the default only if it beats the default: the interval of the paired difference,
session by session, lies below zero, at a confidence corrected for the number of settings that were
tried beside the default (Bonferroni).

Chats whose name ends in SECOND_LOOK are a second look at two settings that the first one
found promising, on other sessions and with a model of its own: there any setting that beats the
default may become it, and of several the one with the lowest AUC.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import compress

import numpy as np
from scipy import stats

from espejo.evaluation import intervals, two_sample
from espejo.evaluation.config import EvaluateConfig

SECOND_LOOK = "second look"
FOLDS, REPEATS = two_sample.FOLDS, two_sample.REPEATS


def session_areas(
    real: Sequence[Sequence[str]],
    generated: Sequence[Sequence[str]],
    sessions: intervals.Groups,
    generated_sessions: intervals.Groups,
    config: EvaluateConfig,
) -> dict[str, float]:
    """`two_sample.told_apart` without each session: session -> area; "all" is with all of them.

    The classifiers are those of all sessions: only their scores are left out (a jackknife). Two
    settings with the same `real` replies have the same folds, so that they can be compared.
    """
    texts = [[" ".join(" ".join(reply).split()) for reply in side] for side in (real, generated)]
    groups = [np.asarray(sessions), np.asarray(generated_sessions)]
    names = np.unique(groups[0])
    places = [np.searchsorted(names, side) for side in groups]
    folds = min(FOLDS, len(names))
    won, pairs = np.zeros((len(names), len(names))), np.zeros((len(names), len(names)))
    for repeat in range(REPEATS):
        fold_of = [two_sample._folds(side, folds, config.seed + repeat) for side in groups]
        for fold in range(folds):
            tested = [side == fold for side in fold_of]
            classifier = two_sample._fitted(
                *(list(compress(side, ~of)) for side, of in zip(texts, tested, strict=True))
            )
            low, high = (
                classifier.decision_function(list(compress(side, of)))
                for side, of in zip(texts, tested, strict=True)
            )
            wins = (high[:, None] > low) + 0.5 * (high[:, None] == low)
            cells = np.ix_(places[1][tested[1]], places[0][tested[0]])
            np.add.at(won, cells, wins)
            np.add.at(pairs, cells, 1.0)

    def area(left: np.ndarray) -> float:
        return float(won[np.ix_(left, left)].sum() / pairs[np.ix_(left, left)].sum())

    everything = np.ones(len(names), bool)
    result = {"all": area(everything)}
    for index, name in enumerate(names.tolist()):
        result[str(name)] = area(np.arange(len(names)) != index)
    return result


def paired_difference(
    areas: Mapping[str, float], other: Mapping[str, float], confidence: float
) -> dict:
    """The area of one setting minus that of another, both from `session_areas`, and its interval.

    The variance is that of the jackknife over sessions, times 1 + k / (k - 1) for the overlapping
    training sets of k folds (Nadeau and Bengio 2003), as in `intervals.cross_validated_auc`;
    Student's t with n - 1 degrees of freedom, n being the number of sessions.
    """
    names = [name for name in areas if name != "all"]
    left_out = np.array([areas[name] - other[name] for name in names])
    n, k = len(names), min(FOLDS, len(names))
    value = areas["all"] - other["all"]
    if n < intervals.MIN_N:
        return {"value": value, "n": n, "interval": "too few"}
    variance = (n - 1) / n * ((left_out - left_out.mean()) ** 2).sum() * (1 + k / (k - 1))
    width = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * math.sqrt(variance)
    return {"value": value, "low": value - width, "high": value + width, "n": n}


def corrected(confidence: float, comparisons: int) -> float:
    """The confidence of each of several intervals that hold together with `confidence`."""
    return 1 - (1 - confidence) / max(1, comparisons)


def repeats_too_much(line: Mapping) -> bool:
    """Whether the replies of a line repeat more word 3-grams than the author's own interval."""
    own = line["own_repeated"]
    return line["repeated"]["value"] > own.get("high", own["value"])


def candidate(lines: Sequence[Mapping]) -> Mapping:
    """The line with the lowest told-apart AUC among those that do not repeat themselves too much.

    `lines` are all settings on the same chats, the default first, which is also the answer where
    all of them repeat too much.
    """
    allowed = [line for line in lines if not repeats_too_much(line)]
    return min(allowed or lines[:1], key=lambda line: line["areas"]["all"])


def beside_default(lines: Sequence[Mapping], line: Mapping, confidence: float) -> dict:
    """The told-apart AUC of a line minus that of the default, the first of all `lines` tried.

    Corrected for their number, so that all differences hold together with `confidence`.
    """
    each = corrected(confidence, len(lines) - 1)
    return paired_difference(line["areas"], lines[0]["areas"], each)


def better(lines: Sequence[Mapping], confidence: float) -> list[Mapping]:
    """The lines that beat the default and do not repeat themselves too much, the best first."""
    certain = [
        line
        for line in lines[1:]
        if not repeats_too_much(line)
        and beside_default(lines, line, confidence).get("high", 0.0) < 0
    ]
    return sorted(certain, key=lambda line: line["areas"]["all"])
