"""Can the model's replies be told apart from the author's? A classifier two-sample test.

A classifier is trained to tell real from generated replies to the same contexts, and tested on
other contexts (Lopez-Paz and Oquab 2017). AUC 0.5: it cannot tell; 1: it always can. Its strongest
features are the giveaways.
"""

from collections.abc import Sequence

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
) -> dict:
    """AUC of telling `generated` from `real` replies, both [n] to the same contexts.

    Cross-validated by session: both replies to a context, and all of its session, are in one fold,
    so that no topic is known from training. Repeated with five partitions, since with so few
    replies the AUC depends on the partition. Messages are joined with a space: how many there are
    is measured in `habits`.
    """
    real_texts, generated_texts, groups = _joined(real), _joined(generated), np.asarray(sessions)
    folds = min(FOLDS, len(np.unique(groups)))
    if folds < 2 or not any(real_texts):
        return {"n": len(np.unique(groups)), "interval": "too few"}
    scores = np.empty((2, REPEATS, len(groups)))
    fold_of = np.empty((REPEATS, len(groups)), dtype=int)
    for repeat in range(REPEATS):
        splits = GroupKFold(folds, shuffle=True, random_state=config.seed + repeat)
        for fold, (train, test) in enumerate(splits.split(groups, groups=groups)):
            classifier = _fitted(
                [real_texts[i] for i in train], [generated_texts[i] for i in train]
            )
            for side, texts in enumerate((real_texts, generated_texts)):
                scores[side, repeat, test] = classifier.decision_function([texts[i] for i in test])
            fold_of[repeat, test] = fold
    return intervals.cross_validated_auc(scores[1], scores[0], fold_of, groups, config)


def giveaways(real: Sequence[Sequence[str]], generated: Sequence[Sequence[str]]) -> pd.DataFrame:
    """Table GIVEAWAYS: the ten n-grams that distinguish the two best, the strongest first.

    They quote messages: for the report, never for metrics. `weight` is what an n-gram adds to the
    difference of the two mean log-odds. Of n-grams that contain one another the strongest is kept.
    """
    real_texts, generated_texts = _joined(real), _joined(generated)
    if not any(real_texts) and not any(generated_texts):
        return pd.DataFrame([], columns=tables.GIVEAWAYS.names)
    vectorizer, regression = (step for _, step in _fitted(real_texts, generated_texts).steps)
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


def _fitted(real: Sequence[str], generated: Sequence[str]) -> Pipeline:
    classifier = make_pipeline(
        TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 4), lowercase=False, sublinear_tf=True),
        # A small tolerance, so that it converges: with the default one, a score of 0.034 was 0.030.
        LogisticRegression(C=10, max_iter=20000, tol=1e-8),
    )
    return classifier.fit([*real, *generated], [0] * len(real) + [1] * len(generated))
