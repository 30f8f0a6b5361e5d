"""The three answers on a model that learnt to answer questions, from its generated answers.

As in `verdicts`, a verdict claims no more than the whole interval allows, so that less data never
turns it into a better one. The borders (a quarter, half, three quarters) are our choice and stand
in the sentences.
"""

from collections.abc import Mapping, Sequence

from espejo.evaluation import intervals
from espejo.evaluation.config import EvaluateConfig
from espejo.evaluation.correctness import OUTCOMES
from espejo.evaluation.intervals import is_finite, relation
from espejo.prediction.config import PredictConfig
from espejo.report import needs
from espejo.report.verdicts import Answer
from espejo.report.wording import Wording

BORDERS = {"yes": 0.75, "partly": 0.5, "little": 0.25}  # of the low end; in descending order
MODELS = ("base", "examples", "tuned")
RETRIEVED = "retrieved"  # no model: the answer of the nearest row


def correct(scores: Mapping, wording: Wording) -> Answer:
    """Are its answers right: the facts that they hold, and those of theirs that are right.

    Both count: an answer that lists everything holds all facts, and one that says a single true
    thing invents none.
    """
    correctness = scores["correctness"]
    tuned = correctness["tuned"]
    held, right = tuned["facts_held"], tuned["facts_right"]
    verdict = _graded([held, right])
    sentences = [wording.text(f"correct.verdict.{verdict}")]
    if is_finite(held):
        numbers = {"held": wording.shares(held), "right": wording.shares(right)}
        sentences.append(wording.text("correct.numbers", **numbers))
    chrf = {name: wording.interval(correctness[name]["chrf"], 1) for name in MODELS}
    counts = {name: wording.number(tuned[name]) for name in ("answers", "with_facts")}
    # Test questions are answered first, then as many of validation as are missing.
    rest = max(0, tuned["answers"] - scores["test"]["replies"]) if "test" in scores else 0
    counts["rest"] = wording.number(rest)
    sentences += [
        wording.text("correct.chrf", **chrf),
        wording.text("correct.limit"),
        *needs.sentences(scores, ("facts_held", "facts_right"), wording),
        wording.text("correct.measured", **counts),
    ]
    return Answer("correct", verdict, sentences, concluding=1)


def _graded(shares: Sequence[Mapping]) -> str:
    """The verdict that the worst of `shares` gives; the first of them decides what is measured."""
    if not is_finite(shares[0]):
        return "unmeasured"
    if any("high" in share and share["high"] < BORDERS["little"] for share in shares):
        return "no"
    if not all("low" in share for share in shares):
        return "few"
    low = min(share["low"] for share in shares)
    return next((verdict for verdict, border in BORDERS.items() if low >= border), "unclear")


def retrieval(scores: Mapping, wording: Wording, predict: PredictConfig) -> Answer:
    """Was fine-tuning worth it: against the base model with retrieved rows, and against it alone.

    Facts decide, or chrF where the references hold none. "Yes" takes more of them than both, since
    retrieved rows may do harm, and a wording that is not further from the reference; and more than
    the nearest row's own answer, which takes no model.
    """
    correctness = scores["correctness"]
    over = {name: correctness["gain"][f"over_{name}"] for name in ("examples", "base")}
    by_facts = is_finite(over["examples"]["facts_held"]) or is_finite(over["base"]["facts_held"])
    key, unit = ("facts_held", "facts") if by_facts else ("chrf", "chrf")
    gains = {name: measures[key] for name, measures in over.items()}
    to = {name: relation(gain, 0.0) for name, gain in gains.items()}
    verdict = {"above": "yes", "below": "no", "missing": "unmeasured"}.get(
        to["examples"], to["examples"]
    )
    advice = verdict
    if verdict == "yes" and to["base"] != "above":
        # Then the retrieved rows did harm, and it is the base model that has to be beaten.
        verdict = {"below": "no", "missing": "unmeasured"}.get(to["base"], to["base"])
        advice = "alone" if verdict in ("no", "unclear") else verdict
    elif verdict == "yes" and correct(scores, wording).verdict == "no":
        verdict, advice = "partly", "wrong"  # better, and still of no use
    elif verdict == "yes" and relation(over["examples"]["chrf"], 0.0) == "below":
        verdict = advice = "partly"
    lookup = _over_lookup(correctness, key)
    if verdict in ("yes", "partly") and lookup in ("unclear", "below"):
        verdict, advice = {"unclear": "unclear", "below": "no"}[lookup], "lookup"
    shots = {
        "shots": wording.number(predict.shots),
        "chars": wording.number(predict.shot_chars),
    }
    write = wording.points if by_facts else lambda measure: wording.interval(measure, 1)
    what = wording.text(f"retrieval.what.{unit}")
    values = {
        name: wording.shares(correctness[name][key])
        if by_facts
        else wording.interval(correctness[name][key], 1)
        for name in (*MODELS, RETRIEVED)
        if name in correctness
    }
    sentences = [
        wording.text(f"retrieval.advice.{advice}", **shots),
        wording.text(f"retrieval.numbers.{unit}", **values, **shots),
        *(
            wording.text(f"retrieval.over.{to[name]}", model=model, what=what, gain=write(gain))
            for name, gain in gains.items()
            for model in [wording.text(f"retrieval.models.{name}")]
        ),
        *([wording.text("retrieval.lookup", **values)] if lookup != "missing" else []),
        wording.text("retrieval.measured", answers=wording.number(correctness["tuned"]["answers"])),
    ]
    return Answer("retrieval", verdict, sentences, concluding=1)


def _over_lookup(correctness: Mapping, key: str) -> str:
    """How tuned answers compare with the nearest row's; older versions did not measure that."""
    gain = correctness["gain"].get(f"over_{RETRIEVED}")
    return relation(gain[key], 0.0) if gain else "missing"


def field(scores: Mapping, wording: Wording, config: EvaluateConfig) -> Answer:
    """Does it stay in its field: what it does with questions that the data have no answer to.

    Only a refusal stays in it. What it answers from elsewhere may be true; a fact of the data in
    answer to something else is not.
    """
    kinds = {kind: models for kind, models in scores["outside"].items() if _asked(models)}
    if not kinds:
        return Answer("field", "unmeasured", [wording.text("field.none")])
    total = {
        key: sum(models["tuned"][key] for models in kinds.values())
        for key in ("replies", *OUTCOMES)
    }
    hits = [1] * total["refused"] + [0] * (total["replies"] - total["refused"])
    refused = intervals.share(hits, range(len(hits)), config)
    verdict = "few" if total["replies"] < intervals.MIN_N else _graded([refused])
    sentences = [wording.text(f"field.verdict.{verdict}", refused=wording.shares(refused))]
    for kind, models in kinds.items():
        counts = {
            f"{name}_{key}": wording.number(models[name][key])
            for name in ("base", "tuned")
            for key in OUTCOMES
        }
        name = wording.name("outside.kinds", kind)
        replies = wording.number(models["tuned"]["replies"])
        sentences.append(wording.text("field.counts", kind=name, replies=replies, **counts))
    if total["hallucinated"]:
        written = wording.number(total["hallucinated"])
        sentences.append(wording.text("field.invented", hallucinated=written))
    sentences += [
        wording.text("field.limit"),
        wording.text("field.measured", replies=wording.number(total["replies"])),
    ]
    return Answer("field", verdict, sentences, concluding=1)


def _asked(models: Mapping[str, Mapping]) -> bool:
    """Whether the tuned model was asked questions of a kind; `models` are the counts of each."""
    return bool(models.get("tuned", {}).get("replies"))
