"""What each measure would need for an interval of a useful width, and what can be had.

An interval narrows with the square root of the number of replies, as long as sessions stay as long
and as different as they are: its width now holds the variance and the design effect of sessions
(Kish 1965), so nothing else has to be assumed. With more sessions the quantile of Student's t falls
too (as in sample sizes for clusters, Donner and Klar 2000). What is useful is in the settings
(`evaluate.useful_widths`, half widths).
"""

import math
from collections.abc import Mapping

from scipy import stats
from scipy.optimize import brentq

from espejo.evaluation.config import EvaluateConfig
from espejo.evaluation.few_sessions import MIN_SESSIONS
from espejo.prediction.config import CHOICES

BITS = "own_bits_per_character"
ALL = "all"  # in place of a choice of conf/evaluate/, where the data set the number themselves
_MOST_REPLIES = 10**7  # nobody has more


def needs(scores: Mapping, held_out: Mapping[str, int], config: EvaluateConfig) -> dict[str, dict]:
    """For each measure of `scores` (metrics/eval.json) how many replies it has and would take.

    `held_out` are the numbers of replies in each split: test, validation and train (learnt ones),
    and of the test replies that can be `ranked` among others.
    A row has the `half_width` of the interval and the `useful` one, how many replies were `used`
    and are `needed`, in how many `sessions` (not of shares, which are over answers), how many the
    data have (`available`), and how many of them each of the `choices` of conf/evaluate/ uses. A
    measure without an interval has no half width, and tells nothing of what is needed.
    """
    useful, kind = config.useful_widths, scores["kind"]
    generated = _of_choices("generated_replies", held_out["test"] + held_out["validation"])
    if kind == "questions":  # data=qa sets the number itself
        generated = {ALL: generated["thorough"]}
    tested = dict.fromkeys(CHOICES, held_out["test"])
    gain, ranks = scores["gain"][BITS], scores["relevance"]
    mrr, ranked = ranks["tuned"]["mrr"], _of_choices("ranked_contexts", held_out["ranked"])
    rows = {
        "gain": (gain, useful.bits_per_character, held_out["test"], tested, gain["n"]),
        "mrr": (mrr, useful.mrr, ranks["contexts"], ranked, mrr["n"]),
    }
    if kind == "questions":
        measures = scores["correctness"].get("tuned", {})
        for name in ("facts_held", "facts_right"):
            if name in measures:
                rows[name] = (measures[name], useful.correctness, measures["answers"], generated, 0)
    if kind == "chats":
        style = scores["style"]
        widths = {"author_score": useful.author_score, "told_apart": useful.told_apart}
        for name, width in widths.items():
            measure = style[name]["tuned"]
            rows[name] = (measure, width, style["replies"], generated, style["sessions"])
    if kind != "questions":
        memory = scores["memory"]
        for name in ("copied_beyond_own", "whole_beyond_own"):
            rows[name] = (memory[name], useful.copies, memory["replies"], generated, 0)
        members = _of_choices("membership_replies", held_out["train"])
        pairs = {name: _pairs(number, held_out["test"]) for name, number in members.items()}
        used = _pairs(memory["members"], held_out["test"])
        membership = memory["membership"]
        rows["membership"] = (membership, useful.membership, used, pairs, membership["n"])
    return {name: _row(*row, config.confidence) for name, row in rows.items()}


def _of_choices(setting: str, available: int) -> dict[str, int]:
    """How many of the `available` replies each choice of conf/evaluate/ takes; None takes all."""
    numbers = {name: settings[setting] for name, settings in CHOICES.items()}
    return {
        name: available if number is None else min(number, available)
        for name, number in numbers.items()
    }


def _pairs(members: int, tested: int) -> int:
    """As many of each kind are as good as so many of both: the harmonic mean."""
    return round(2 / (1 / members + 1 / tested)) if members and tested else 0


def _row(
    measure: Mapping,
    useful: float,
    used: int,
    choices: Mapping[str, int],
    sessions: int,
    confidence: float,
) -> dict:
    row: dict = {"useful": useful, "used": used, "available": max(choices.values())}
    row["choices"] = dict(choices)
    if "low" not in measure or not used:
        return row
    needed = replies_needed(measure, used, useful, confidence)
    row |= {"half_width": half_width(measure), "needed": needed}
    if sessions:
        row["sessions"] = max(MIN_SESSIONS, math.ceil(round(sessions * needed / used, 6)))
    return row


def half_width(measure: Mapping) -> float:
    """Half of the width of a measure's interval."""
    return (measure["high"] - measure["low"]) / 2


def replies_needed(measure: Mapping, used: int, useful: float, confidence: float) -> int:
    """How many replies, in place of `used`, would give a `measure` the half width `useful`.

    For a share of which none of n was a hit, and for the difference of two such, the upper limit is
    1 - tail ** (1 / n) (Clopper and Pearson 1934), which narrows with n and not with its root.
    """
    tail = (1 - confidence) / 2
    if measure["value"] == 0 and math.isclose(
        measure["high"], 1 - tail ** (1 / measure["n"]), rel_tol=1e-3
    ):
        return math.ceil(math.log(tail) / math.log(1 - useful) * used / measure["n"])

    def excess(log_replies: float) -> float:
        replies = math.exp(log_replies)
        return math.log(expected_half_width(measure, used, replies, confidence) / useful)

    lowest, highest = 0.0, math.log(_MOST_REPLIES)
    if half_width(measure) == 0 or excess(lowest) <= 0:
        return 1
    if excess(highest) > 0:
        return _MOST_REPLIES
    return math.ceil(round(math.exp(brentq(excess, lowest, highest)), 3))


def expected_half_width(measure: Mapping, used: int, replies: float, confidence: float) -> float:
    """The half width of a `measure` that was taken on `used` replies, on so many `replies`."""
    quantiles = [
        float(stats.t.ppf((1 + confidence) / 2, max(1.0, measure["n"] * share - 1)))
        for share in (1.0, replies / used)
    ]
    return half_width(measure) * math.sqrt(used / replies) * quantiles[1] / quantiles[0]


def outcome(row: Mapping) -> tuple[str, str]:
    """What a row of `needs` comes to, and the choice that it takes ("" for none).

    reached (it is narrow enough), choice (another choice uses enough replies), partly (another one
    uses more, and yet not enough), chats (all are used already) or unknown (there is no interval).
    """
    more = {name: n for name, n in row["choices"].items() if n > row["used"]}
    most = max(more, key=more.__getitem__, default="")
    if "needed" not in row:
        return "unknown", most
    if row["half_width"] <= row["useful"]:
        return "reached", ""
    enough = [name for name, number in more.items() if number >= row["needed"]]
    if enough:
        return "choice", min(enough, key=more.__getitem__)
    return ("partly", most) if most else ("chats", "")
