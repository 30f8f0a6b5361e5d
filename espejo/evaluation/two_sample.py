"""Can the model's replies be told apart from the author's? A classifier two-sample test.

A classifier is trained to tell real from generated replies to the same contexts, and tested on
other contexts (Lopez-Paz and Oquab 2017). AUC 0.5: it cannot tell; 1: it always can. Its strongest
features are the giveaways.
"""

from collections.abc import Sequence
from itertools import compress

import numpy as np
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import Pipeline, make_pipeline

from espejo.core import tables
from espejo.evaluation import intervals
from espejo.evaluation.config import EvaluateConfig

FOLDS = 5
REPEATS = 5
NUM_GIVEAWAYS = 10


def told_apart(
    real: Sequence[Sequence[str]],
    generated: Sequence[Sequence[str]],
    sessions: intervals.Groups,
    config: EvaluateConfig,
    generated_sessions: intervals.Groups | None = None,
) -> dict:
    """AUC of telling `generated` from `real` replies, both [n] to the same contexts.

    Cross-validated by session: both replies to a context, and all of its session, are in one fold,
    so that no topic is known from training. Repeated with five partitions, since with so few
    replies the AUC depends on the partition. Messages are joined with a space: how many there are
    is measured in `habits`.

    Replies [m] to other contexts than those of `real` have `generated_sessions` [m] of their own.
    """
    texts = [_joined(real), _joined(generated)]
    groups = [np.asarray(sessions), np.asarray(sessions)]
    if generated_sessions is not None:
        groups[1] = np.asarray(generated_sessions)
    fewer = min(len(np.unique(side)) for side in groups)
    folds = min(FOLDS, fewer)
    if folds < 2 or not any(texts[0]):
        return {"n": fewer, "interval": "too few"}
    scores = [np.empty((REPEATS, len(side))) for side in groups]
    fold_of = [
        np.stack([fold_of_each(side, folds, config.seed + repeat) for repeat in range(REPEATS)])
        for side in groups
    ]
    for repeat in range(REPEATS):
        for fold in range(folds):
            inside = [side[repeat] == fold for side in fold_of]
            train, test = (
                [list(compress(side, chosen)) for side, chosen in zip(texts, places, strict=True)]
                for places in ([~side for side in inside], inside)
            )
            classifier = fitted(*train)
            for side, places, tested in zip(scores, inside, test, strict=True):
                side[repeat, places] = classifier.decision_function(tested)
    return intervals.cross_validated_auc(
        scores[1], scores[0], fold_of[1], groups[1], config, fold_of[0], groups[0]
    )


def fold_of_each(groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold [n] of each reply, whose session is in `groups` [n]."""
    fold_of = np.empty(len(groups), dtype=int)
    splits = GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)
    for fold, (_, test) in enumerate(splits):
        fold_of[test] = fold
    return fold_of


def giveaways(real: Sequence[Sequence[str]], generated: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Table GIVEAWAYS: the ten n-grams that distinguish the two best, the strongest first.

    They quote messages: for the report, never for metrics. `weight` is what an n-gram adds to the
    difference of the two mean log-odds. Of n-grams that contain one another the strongest is kept.
    """
    real_texts, generated_texts = _joined(real), _joined(generated)
    if not any(real_texts) and not any(generated_texts):
        return pd.DataFrame([], columns=tables.GIVEAWAYS.names)
    vectorizer, regression = (step for _, step in fitted(real_texts, generated_texts).steps)
    means = [vectorizer.transform(texts).mean(axis=0) for texts in (generated_texts, real_texts)]
    weights = regression.coef_[0] * np.asarray(means[0] - means[1]).ravel()
    ngrams = vectorizer.get_feature_names_out()
    chosen: list[dict] = []
    for index in np.argsort(-weights, kind="stable"):
        ngram, weight = ngrams[index], float(weights[index])
        side = "generated" if regression.coef_[0][index] > 0 else "real"
        nested = any(
            row["typical_of"] == side and (row["ngram"] in ngram or ngram in row["ngram"])
            for row in chosen
        )
        if weight > 0 and not nested:
            chosen.append({"ngram": ngram, "typical_of": side, "weight": weight})
        if len(chosen) == NUM_GIVEAWAYS:
            break
    return pd.DataFrame(chosen, columns=tables.GIVEAWAYS.names)


def _joined(replies: Sequence[Sequence[str]]) -> list[str]:
    return [" ".join(" ".join(messages).split()) for messages in replies]


def fitted(real: Sequence[str], generated: Sequence[str]) -> Pipeline:
    """The classifier that tells `generated` texts (1) from `real` ones (0)."""
    classifier = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), lowercase=False, sublinear_tf=True),
        # A small tolerance, so that it converges: with the default one, a score of 0.034 was 0.030.
        LogisticRegression(C=10, max_iter=20000, tol=1e-8),
    )
    return classifier.fit([*real, *generated], [0] * len(real) + [1] * len(generated))
