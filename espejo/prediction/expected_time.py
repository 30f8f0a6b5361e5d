"""How long another choice of conf/evaluate/ would take here, from how long this one took.

Seconds differ from run to run, so they stand in no file that DVC compares: the stage prints them.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from espejo.prediction.config import CHOICES, PredictConfig

CHOICE = "thorough"
PARTS = ("replies", "losses", "ranks")  # of predict, in order
# Each test reply is scored under four models (base, base with either kind of examples, tuned), and
# each learnt one under two.
_TEST_MODELS, _LEARNT_MODELS = 4, 2


def work(
    settings: Mapping[str, int | None], replies: Mapping[str, int], prompts: int
) -> dict[str, int]:
    """How much each part of predict has to do: texts answered, scored, and ranked among others.

    `settings` are those of `CHOICES`, None being all; `replies` counts those of each split, and
    `prompts` the fixed ones.
    """

    def at_most(setting: str, available: int) -> int:
        number = settings[setting]
        return available if number is None else min(number, available)

    held_out = replies["test"] + replies["validation"]
    learnt = at_most("membership_replies", replies["train"])
    return {
        "replies": prompts + at_most("generated_replies", held_out),
        "losses": _TEST_MODELS * replies["test"] + _LEARNT_MODELS * learnt,
        "ranks": at_most("ranked_contexts", replies["test"]),
    }


def seconds(
    spent: Mapping[str, float], now: Mapping[str, int], other: Mapping[str, int]
) -> float | None:
    """Seconds that `other` work would take where `now` took `spent`; None where it is no more.

    Work of a kind that was not done now has no known pace, and is not counted.
    """
    if all(other[part] <= now[part] for part in other):
        return None
    return sum(spent[part] * other[part] / now[part] for part in other if now[part])


def sentence(
    times: Sequence[float], config: PredictConfig, replies: Mapping[str, int], prompts: int
) -> str:
    """A line on how long this run took and the thorough one would; "" where that is no more.

    `times` are the seconds of a clock before, between and after `PARTS`.
    """
    spent = {
        part: after - before for part, (before, after) in zip(PARTS, pairwise(times), strict=True)
    }
    now, other = (
        work(settings, replies, prompts) for settings in (config.model_dump(), CHOICES[CHOICE])
    )
    longer = seconds(spent, now, other)
    if longer is None:
        return ""
    minutes = [max(1, round(time / 60)) for time in (sum(spent.values()), longer)]
    return f"predict: {minutes[0]} min; with -S evaluate={CHOICE} about {minutes[1]} min here\n"
