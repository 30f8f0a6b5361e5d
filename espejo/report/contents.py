"""What a report on each kind of data holds (params data.kind): its answers and its sections."""

from collections.abc import Mapping, Sequence

import pandas as pd

from espejo.evaluation.config import EvaluateConfig
from espejo.prediction.config import PredictConfig
from espejo.report import question_verdicts, sections, verdicts
from espejo.report.blocks import Section
from espejo.report.verdicts import Answer
from espejo.report.wording import Wording


def kind_of(scores: Mapping) -> str:
    """The kind of data that metrics/eval.json is about; files of older versions do not say it."""
    return scores.get("kind", "chats")


def answers(
    scores: Mapping,
    wording: Wording,
    evaluate: EvaluateConfig,
    predict: PredictConfig,
    second_names: Sequence[str] = (),
) -> list[Answer]:
    """The answers that the page opens with, in order."""
    kind = kind_of(scores)
    if kind == "questions":
        return [
            question_verdicts.correct(scores, wording),
            question_verdicts.retrieval(scores, wording, predict),
            question_verdicts.field(scores, wording, evaluate),
        ]
    if kind == "dialogues":
        return [
            verdicts.answer(scores, wording),
            verdicts.worth(scores, wording, evaluate, predict),
            verdicts.safe(scores, wording, evaluate),
        ]
    return verdicts.four_answers(scores, wording, evaluate, predict, second_names)


def parts(
    scores: Mapping,
    accounts: Mapping[str, Mapping],
    replies: pd.DataFrame,
    tested: pd.DataFrame,
    giveaways: pd.DataFrame,
    wording: Wording,
    config: EvaluateConfig,
) -> list[Section]:
    """The sections below the answers; `tested` are the rows of EXAMPLES whose replies are shown."""
    kind = kind_of(scores)
    between_apps = accounts["statistics"].get("between_apps")
    likelihood = sections.likelihood(scores, wording)
    relevance = sections.relevance(scores, wording)
    if kind == "questions":
        measured = [
            sections.correctness(scores, wording),
            *sections.outcomes(scores, wording),
            sections.lengths(wording),
            likelihood,
            relevance,
            sections.sharing(scores, wording),
        ]
    else:
        memory = sections.memorization(scores, wording, config.sharing_limits)
        outside = sections.out_of_scope(scores, wording)
        measured = (
            [likelihood, sections.lengths(wording), relevance, memory, *outside]
            if kind == "dialogues"
            else [
                likelihood,
                sections.sound(scores, wording, giveaways),
                relevance,
                memory,
                *outside,
                sections.impostors(scores, wording, config),
            ]
        )
    return [
        sections.glance(wording),
        *measured,
        sections.samples(replies, tested, wording, named=kind != "questions"),
        *([sections.apps(between_apps, wording)] if between_apps else []),
        sections.data(accounts, wording, timed=kind == "chats"),
    ]
