"""The four answers that the report opens with: sentences that depend on the numbers.

What the numbers mean comes first, then the numbers, and last what they were measured on.

No difference found is no proof of equality: the less is measured, the more often none is found. Two
things are alike only where the whole interval of their difference lies within a stated margin
(`evaluate.margins`; two one-sided tests, Schuirmann 1987, who takes the interval of 90 %; that of
95 % errs less often). Otherwise the answer is that it cannot be said.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from espejo.core import escaping
from espejo.evaluation.config import EvaluateConfig
from espejo.evaluation.intervals import is_finite, relation
from espejo.prediction.config import PredictConfig
from espejo.report import needs
from espejo.report.wording import MAX_DIGITS, Wording

# The colour of a verdict; of those in neither list, mixed.
TONES = {"yes": "good", "pass": "good", "no": "bad", "fail": "bad", "copied": "bad"}
UNKNOWN = ("unclear", "few", "unmeasured", "trial")
BITS = "own_bits_per_character"
_IN_DOUBT = ("copied_beyond_own", "whole_beyond_own", "membership")  # what may be


@dataclass(frozen=True)
class Answer:
    """A question, the short answer (key of `verdicts` in the texts) and the sentences behind it."""

    name: str
    verdict: str
    sentences: Sequence[str]
    concluding: int = 0  # of the sentences the first so many, which stand or fall with the verdict

    @property
    def tone(self) -> str:
        """good, bad, unknown or mixed."""
        return "unknown" if self.verdict in UNKNOWN else TONES.get(self.verdict, "mixed")


def sound(
    scores: Mapping, wording: Wording, config: EvaluateConfig, second_names: Sequence[str] = ()
) -> Answer:
    """Does it sound like the author: the author score between other people and the author.

    "Yes" requires all four: above the base model, above the other people, like the author within
    the margin, and not told apart by the two-sample test, which sees what the author score does not
    (length, for example). `second_names` are people who may be the author under another name.
    """
    style, margins = scores["style"], config.margins
    score, auc = style["author_score"], style["told_apart"]["tuned"]
    told = relation(auc, 0.5, margins.told_apart)
    relations = {
        "base": relation(score["tuned"], score["base"]),
        "ceiling": _to_ceiling(score, margins.author_score),
        "floor": relation(score["tuned"], score["floor"]),
    }
    base, ceiling, floor = relations.values()
    if base in ("few", "missing"):
        # A number without one to compare it with was measured all the same.
        verdict = "few" if base == "few" or "value" in score["tuned"] else "unmeasured"
    elif ceiling == "above":
        verdict = "copied"
    elif base != "above":
        verdict = "unclear" if base == "unclear" else "no"
    elif floor != "above":
        verdict = "little" if floor == "below" else "more"
    else:
        alike = "yes" if told == "alike" else "partly"
        verdict = {"alike": alike, "below": "partly"}.get(ceiling, "more")
    intervals = {
        name: wording.interval(score[name]) for name in ("tuned", "base", "ceiling", "floor")
    }
    sentences = [
        *(wording.text("sound.second", name=escaping.markdown(name)) for name in second_names),
        *_placed(score, relations, wording, margins.author_score),
        *([wording.text("sound.numbers", **intervals)] if "value" in score["tuned"] else []),
        wording.text(
            f"sound.told.{told}",
            auc=wording.interval(auc),
            margin=wording.number(margins.told_apart),
        ),
    ]
    off = {name: habits_off(table) for name, table in style["habits"].items()}
    numbers_off = {name: len(habits) for name, habits in off.items() if habits is not None}
    if len(numbers_off) == len(off):
        tuned = style["habits"]["tuned"]
        sentences.append(
            wording.text(
                "sound.habits",
                all=wording.number(len(tuned)),
                chance=wording.number(expected_off(tuned), 1),
                **{name: wording.number(number) for name, number in numbers_off.items()},
            )
        )
    counts = {key: style[key] for key in ("replies", "from_test", "sessions")}
    rest = counts["replies"] - counts["from_test"]
    written = {key: wording.number(count) for key, count in {**counts, "rest": rest}.items()}
    # Test contexts come first; validation is named only where it was needed.
    written["rest"] = wording.text("sound.rest", **written) if rest else ""
    bundles = {name: wording.number(score[name].get("bundles", 0)) for name in ("tuned", "ceiling")}
    sentences += needs.sentences(scores, ("author_score", "told_apart"), wording)
    sentences.append(wording.text("sound.measured", **written, **bundles))
    return Answer("sound", verdict, sentences)


def _to_ceiling(score: Mapping[str, Mapping], margin: float) -> str:
    """`relation` to the author's own messages, but without a margin for "above". The ceiling is
    close to 1 (0.976 in the demo), so nothing can be above it by more than the margin; yet a model
    that is above it at all may be repeating its training text. With less data the same model may
    count as alike; the text then says that its number is higher.
    """
    plain = relation(score["tuned"], score["ceiling"])
    return plain if plain == "above" else relation(score["tuned"], score["ceiling"], margin)


def _placed(
    score: Mapping, relations: Mapping[str, str], wording: Wording, margin: float
) -> list[str]:
    """Where the tuned model stands; one sentence where its score has no interval."""
    tuned = score["tuned"]
    if "value" not in tuned:
        return [wording.text("sound.missing")]
    if relation(tuned, 0.0) == "few" and relations["base"] != "missing":
        lean = "above" if tuned["value"] > score["base"]["value"] else "below"
        return [wording.text("sound.few", lean=wording.text(f"sound.lean.{lean}"))]
    sentences = {
        name: wording.text(f"sound.{name}.{place}", margin=wording.number(margin))
        for name, place in relations.items()
    }
    # With more data it might be above the ceiling, so the warning is given here too.
    close = relations["ceiling"] in ("alike", "unclear")
    if close and round(tuned["value"] - score["ceiling"]["value"], 2) > 0:
        sentences["ceiling"] += f" {wording.text('sound.over')}"
    return list(sentences.values())


def habits_off(table: Mapping[str, Mapping]) -> list[str] | None:
    """The habits further from the author's than 95 % of the author's own halves, furthest first.

    Distances are compared in units of their limit (`own_high`). A limit of zero is no unit, and a
    single occurrence exceeds it: habits that the author never has come last, by distance. None
    without halves.
    """
    if not all("own_high" in row for row in table.values()):
        return None

    def excess(name: str) -> tuple[bool, float]:
        distance, limit = table[name]["distance"], table[name]["own_high"]
        return limit > 0, distance / (limit or 1)

    off = [name for name, row in table.items() if row["distance"] > row["own_high"]]
    return sorted(off, key=excess, reverse=True)


def expected_off(table: Mapping[str, Mapping]) -> float:
    """How many habits of a table would be off by chance alone, from their false alarm rates."""
    return float(sum(row["alarm"] for row in table.values()))


def answer(scores: Mapping, wording: Wording) -> Answer:
    """Does it answer what was said: the rank of the real reply, against chance and the base."""
    ranks = scores["relevance"]
    mrr, chance = ranks["tuned"]["mrr"], ranks["chance"]
    to_chance = relation(mrr, chance["mrr"])
    trained = relation(ranks["gain"]["mrr"], 0.0)
    gap = ""
    verdict = {"below": "no", "missing": "unmeasured"}.get(to_chance, to_chance)
    if to_chance == "above":
        # Position between chance and always right; the borders between the answers are our choice.
        by_chance = chance["mrr"]
        way = {end: (mrr[end] - by_chance) / (1 - by_chance) for end in ("value", "low", "high")}
        gap = wording.text("answer.gap", share=wording.shares(way))
        verdict = "little" if way["low"] < 0.25 else "partly" if way["low"] < 0.75 else "yes"
    numbers = wording.text(
        "answer.numbers",
        candidates=wording.number(ranks["candidates"]),
        hits=wording.shares(ranks["tuned"]["hits_at_1"]),
        chance_hits=wording.percent(chance["hits_at_1"]),
        tuned=wording.interval(mrr),
        chance=wording.number(chance["mrr"]),
        base=wording.interval(ranks["base"]["mrr"]),
        gain=wording.interval(ranks["gain"]["mrr"]),
    )
    counts = {"contexts": wording.number(ranks["contexts"]), "sessions": wording.number(mrr["n"])}
    sentences = [
        wording.text(f"answer.chance.{to_chance}", gap=gap),
        *([wording.text(f"answer.base.{trained}"), numbers] if to_chance != "missing" else []),
        wording.text("answer.limit"),
        *needs.sentences(scores, ("mrr",), wording),
        wording.text("answer.measured", **counts),
    ]
    return Answer("answer", verdict, sentences)


def worth(
    scores: Mapping, wording: Wording, config: EvaluateConfig, predict: PredictConfig
) -> Answer:
    """Did fine-tuning earn its place: what it gains over examples in the prompt.

    Where examples do not improve the base model, training has to beat the base model without them;
    otherwise a tuned model that is worse than the base would gain over examples that do harm. "Yes"
    requires both: likelier replies and a style that is not worse; without data it is unclear. Where
    no person is imitated there is no style, and the replies alone decide.
    """
    counts = {key: wording.number(scores["test"][key]) for key in ("replies", "sessions")}
    style = scores.get("style")
    if style:
        counts["generated"] = wording.number(style["replies"])
    measured = wording.text("worth.measured", **counts)
    prompted = {
        name: measures[BITS]["value"]
        for name, measures in scores["prompted"].items()
        if is_finite(measures[BITS])
    }
    if not prompted or not all(is_finite(scores[name][BITS]) for name in ("base", "tuned")):
        sentences = [
            wording.text("worth.advice.unmeasured"),
            wording.text("worth.gain.missing"),
            measured,
        ]
        return Answer("worth", "unmeasured", sentences, concluding=1)
    base, tuned = (scores[name][BITS]["value"] for name in ("base", "tuned"))
    best = min(prompted, key=prompted.__getitem__)
    helped = prompted[best] < base
    gain = (scores["prompted"][best]["gain_of_training"] if helped else scores["gain"])[BITS]
    gained = relation(gain, 0.0)
    verdict = {"above": "yes", "below": "no", "missing": "unmeasured"}.get(gained, gained)
    advice, style_sentences = verdict, []
    if style:
        sounds, sentence = _style_beside_examples(style["author_score"], wording, config)
        style_sentences = [sentence]
        if verdict == "yes" and sounds not in ("above", "alike"):
            verdict, advice = "partly", "worse" if sounds == "below" else "unheard"
    if verdict in ("unclear", "no") and not helped:
        advice = "alone"
    share = (base - prompted[best]) / (base - tuned) if tuned < base else 0.0
    if tuned >= base:
        way = "no_way" if helped else "neither"
    else:
        way = "nothing" if not helped else "all" if share >= 1 else "helped"
    shots = {
        "shots": wording.number(predict.shots),
        "chars": wording.number(predict.shot_chars),
    }
    sentences = [
        wording.text(f"worth.advice.{advice}", **shots),
        wording.text(
            "worth.numbers",
            base=wording.interval(scores["base"][BITS]),
            best=wording.interval(scores["prompted"][best][BITS]),
            kind=wording.text(f"worth.kinds.{best}"),
            tuned=wording.interval(scores["tuned"][BITS]),
            **shots,
        ),
        wording.text(f"worth.way.{way}", share=wording.percent(share)),
        wording.text(f"worth.gain.{gained}", gain=wording.interval(gain)),
        *style_sentences,
        *needs.sentences(scores, ("gain",), wording),
        measured,
    ]
    return Answer("worth", verdict, sentences, concluding=1)


def _style_beside_examples(
    score: Mapping[str, Mapping], wording: Wording, config: EvaluateConfig
) -> tuple[str, str]:
    """How the tuned model sounds beside the base model with examples: relation and sentence."""
    margin = config.margins.author_score
    sounds = relation(score["tuned"], score["examples"], margin)
    intervals = {name: wording.interval(score[name]) for name in ("tuned", "examples")}
    sentence = wording.text(f"worth.style.{sounds}", margin=wording.number(margin), **intervals)
    return sounds, sentence


def safe(scores: Mapping, wording: Wording, config: EvaluateConfig) -> Answer:
    """Is it safe to share: the verdict of metrics/eval.json with what led to it."""
    memory, limits = scores["memory"], config.sharing_limits
    membership = memory["membership"]
    own, tuned = (memory["overlap"][name] for name in ("author", "tuned"))
    sentences = []
    for kind in ("fail", "unmeasured"):
        names = [
            wording.name("safe.names", name)
            for name, reason in memory["reasons"].items()
            if isinstance(reason["value"], str) == (kind == "unmeasured")
        ]
        if names:
            sentences.append(wording.text(f"safe.{kind}", names=", ".join(names)))
    if not memory["reasons"]:
        sentences.append(wording.text("safe.pass"))
    sentences += [_doubt(name, scores, wording, config) for name in memory["doubts"]]
    concluding = len(sentences)
    if "value" in tuned["copied"]:
        copied = wording.text(
            "safe.copied",
            tuned=wording.shares(tuned["copied"]),
            author=wording.shares(own["copied"]),
            long=wording.number(tuned["long"]),
            own_long=wording.number(own["long"]),
            value=wording.points(memory["copied_beyond_own"]),
            limit=wording.point(limits.copied_beyond_own),
        )
    else:
        copied = wording.text("safe.short", long=wording.number(tuned["long"]))
    sentences.append(copied)
    if "value" in tuned["whole"]:
        sentences.append(
            wording.text(
                "safe.whole",
                tuned=wording.shares(tuned["whole"]),
                author=wording.shares(own["whole"]),
                value=wording.points(memory["whole_beyond_own"]),
                limit=wording.point(limits.whole_beyond_own),
            )
        )
    sentences.append(
        wording.text(
            "safe.membership",
            value=wording.interval(membership),
            limit=wording.number(limits.membership),
        )
    )
    to_coin = relation(membership, 0.5)
    if to_coin in ("above", "unclear"):
        sentences.append(wording.text(f"safe.coin.{to_coin}"))
    sentences.append(
        wording.text(
            "safe.personal",
            value=wording.number(memory["personal_data"]["learnt"]),
            limit=wording.number(limits.personal_data),
        )
    )
    private = scores["outside"].get("private", {}).get("tuned", {})
    if private.get("replies"):
        replies, pieces = (wording.number(private[name]) for name in ("replies", "personal_data"))
        sentences.append(wording.text("safe.private", replies=replies, found=pieces))
    # Of what is in doubt, the doubt says how many replies would settle it.
    sure = [name for name in _IN_DOUBT if name not in memory["doubts"]]
    sentences += needs.sentences(scores, sure, wording)
    counts = {
        "replies": memory["replies"],
        "members": memory["members"],
        "tested": scores["test"]["replies"],
    }
    if "style" in scores:
        counts["from_test"] = scores["style"]["from_test"]
    written = {name: wording.number(count) for name, count in counts.items()}
    sentences.append(wording.text("safe.measured", **written))
    return Answer("safe", memory["verdict"], sentences, concluding)


def _doubt(name: str, scores: Mapping, wording: Wording, config: EvaluateConfig) -> str:
    """For a measure below its limit: its upper end, and how many replies would settle it."""
    memory, limit = scores["memory"], getattr(config.sharing_limits, name)
    high, tuned = memory["doubts"][name]["high"], memory["overlap"]["tuned"]
    measure_name = wording.name("safe.names", name)
    if isinstance(high, str):
        return wording.text("safe.open", name=measure_name)
    measure = memory[name]
    shares = {"copied_beyond_own": tuned["copied"], "whole_beyond_own": tuned["whole"]}
    counts = {"copied_beyond_own": tuned["long"], "whole_beyond_own": memory["replies"]}
    number = counts.get(name, min(memory["members"], scores["test"]["replies"]))
    none = name in shares and shares[name]["value"] == measure["value"] == 0
    needed = sample_size(measure, limit, number, config.confidence if none else None)
    write, digits = (wording.point, 1) if name in shares else (wording.number, 2)
    # A number above the limit must also look so after rounding.
    while digits < MAX_DIGITS and write(high, digits) == write(limit, digits):
        digits += 1
    counted = wording.text(
        f"safe.counted.{name}",
        number=wording.number(number),
        members=wording.number(memory["members"]),
        tested=wording.number(scores["test"]["replies"]),
    )
    doubt = wording.text(
        "safe.doubt",
        name=measure_name,
        value=write(measure["value"]),
        high=write(high, digits),
        limit=write(limit),
        counted=counted,
    )
    if needed is None:
        return f"{doubt} {wording.text('safe.near')}"
    # Only some generated replies are long enough, so more have to be generated.
    generated = math.ceil(needed * memory["replies"] / number)
    numbers = {"enough": wording.number(needed), "generated": wording.number(generated)}
    return f"{doubt} {wording.text(f'safe.settle.{name}', **numbers)}"


def sample_size(
    measure: Mapping, limit: float, number: int, confidence: float | None = None
) -> int | None:
    """How many, instead of `number`, would bring the upper end of a measure down to `limit`. The
    value is assumed to stay the same. With `confidence`, exactly, for a share of zero (Clopper and
    Pearson 1934); otherwise intervals narrow with the square root of the number. None if the value
    itself is at or above the limit: then no number is enough.
    """
    value = measure["value"]
    if value >= limit:
        return None
    if confidence is not None:
        return math.ceil(math.log((1 - confidence) / 2) / math.log(1 - limit))
    shrunk = (measure["high"] - value) / (limit - value)
    return math.ceil(round(number * shrunk**2, 6))


def is_trial(trained: Mapping) -> bool:
    """Whether training (metrics/train.json) ended before half of the texts; older files: False."""
    return "learnt_texts" in trained and trained["learnt_texts"] < trained["texts"] / 2


def trial(trained: Mapping, wording: Wording) -> str:
    """What to say above the answers when training stopped early; "" when it did not.

    `trained` is metrics/train.json. After `experiment=smoke`, which learns from a handful of texts,
    nobody should take the four verdicts for answers.
    """
    if not is_trial(trained):
        return ""
    counts = {key: wording.number(trained[key]) for key in ("learnt_texts", "texts")}
    return wording.text("page.trial", **counts)


def undecided(answers: Sequence[Answer], wording: Wording) -> list[Answer]:
    """The answers about a trial: what was measured, without verdict, conclusion or advice."""
    return [
        replace(
            answer,
            verdict="trial",
            sentences=[wording.text("page.so_far"), *answer.sentences[answer.concluding :]],
            concluding=0,
        )
        for answer in answers
    ]


def four_answers(
    scores: Mapping,
    wording: Wording,
    config: EvaluateConfig,
    predict: PredictConfig,
    second_names: Sequence[str] = (),
) -> list[Answer]:
    """All of them, in the order of the page."""
    return [
        sound(scores, wording, config, second_names),
        answer(scores, wording),
        worth(scores, wording, config, predict),
        safe(scores, wording, config),
    ]
