"""Which of several sampling settings is chosen, by a rule that was written down before the runs.

Settings are allowed whose replies repeat no more word 3-grams than the author's own, and have no
more words that are new: neither share is above the upper end of the author's interval. An allowed
setting may become the default if it beats the default in told-apart AUC: the interval of the paired
difference, session by session, lies below zero, at a confidence corrected for the number of
settings that were tried beside the default (Bonferroni). Of several, the lowest AUC is chosen.

The limit on new words was added after two first looks, whose winner drew so freely that it invented
words, which the AUC does not see; their lines are in docs/results/sampling-first-looks.jsonl.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import compress

import numpy as np
from scipy import stats

from espejo.evaluation import intervals, two_sample
from espejo.evaluation.config import EvaluateConfig

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
        fold_of = [two_sample.fold_of_each(side, folds, config.seed + repeat) for side in groups]
        for fold in range(folds):
            tested = [side == fold for side in fold_of]
            classifier = two_sample.fitted(
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


def allowed(line: Mapping) -> bool:
    """Whether the replies of a line keep to what the author does: 3-grams repeated, new words."""
    return all(
        line[share]["value"] <= line[f"own_{share}"].get("high", line[f"own_{share}"]["value"])
        for share in ("repeated", "new_words")
    )


def beside_default(lines: Sequence[Mapping], line: Mapping, confidence: float) -> dict:
    """The told-apart AUC of a line minus that of the default, the first of all `lines` tried.

    Corrected for their number, so that all differences hold together with `confidence`.
    """
    each = corrected(confidence, len(lines) - 1)
    return paired_difference(line["areas"], lines[0]["areas"], each)


def better(lines: Sequence[Mapping], confidence: float) -> list[Mapping]:
    """The allowed lines that beat the default, the best first."""
    certain = [
        line
        for line in lines[1:]
        if allowed(line) and beside_default(lines, line, confidence).get("high", 0.0) < 0
    ]
    return sorted(certain, key=lambda line: line["areas"]["all"])
