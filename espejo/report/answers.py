"""The four answers that the report opens with: sentences that depend on the numbers.

What it means comes first, the numbers behind it after.

Two intervals that overlap say nothing here, so the sentence says that it cannot tell. That is
stricter than a test of the difference, which the gain of training over examples is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from espejo.report.wording import Wording

# How a verdict is shown, besides in words.
TONES = {"yes": "good", "pass": "good", "no": "bad", "fail": "bad", "copied": "bad"}
UNKNOWN = ("unclear", "few", "unmeasured")


@dataclass(frozen=True)
class Answer:
    """A question, the short answer (key of `verdicts` in the texts) and the sentences behind it."""

    name: str
    verdict: str
    sentences: Sequence[str]

    @property
    def tone(self) -> str:
        """good, bad, unknown or mixed."""
        return "unknown" if self.verdict in UNKNOWN else TONES.get(self.verdict, "mixed")


def relation(measure: Mapping, other: Mapping | float) -> str:
    """Where a measure is from another, or from a fixed number, by their intervals.

    above, below, alike (the intervals overlap), few (one of them has no interval) or missing.
    """
    if not isinstance(other, Mapping):
        other = {"value": other, "low": other, "high": other}
    if "value" not in measure or "value" not in other:
        return "missing"
    if "low" not in measure or "low" not in other:
        return "few"
    if measure["low"] > other["high"]:
        return "above"
    return "below" if measure["high"] < other["low"] else "alike"


def sound(scores: Mapping, say: Wording) -> Answer:
    """Does it sound like the author: the author score between others and the author."""
    style = scores["style"]
    score, told = style["author_score"], style["told_apart"]["tuned"]
    found = {name: relation(score["tuned"], score[name]) for name in ("base", "ceiling", "floor")}
    base, ceiling, floor = found.values()
    if base in ("few", "missing"):
        verdict = "few" if base == "few" else "unmeasured"
    elif ceiling == "above":
        verdict = "copied"
    elif base == "alike":
        verdict = "unclear"
    elif base == "below":
        verdict = "no"
    elif floor != "above":
        verdict = "little" if floor in ("alike", "below") else "more"
    else:
        verdict = {"alike": "yes", "below": "partly"}.get(ceiling, "more")
    shown = {name: say.interval(score[name]) for name in ("tuned", "base", "ceiling", "floor")}
    sentences = [
        *_placed(score, found, say),
        *([say.say("sound.numbers", **shown)] if "value" in score["tuned"] else []),
        say.say(f"sound.told.{relation(told, 0.5)}", auc=say.interval(told)),
    ]
    if all(habits_off(table) is not None for table in style["habits"].values()):
        off = {name: say.number(len(habits_off(t))) for name, t in style["habits"].items()}
        number = say.number(len(style["habits"]["tuned"]))
        sentences.append(say.say("sound.habits", all=number, **off))
    return Answer("sound", verdict, sentences)


def _placed(score: Mapping, found: Mapping[str, str], say: Wording) -> list[str]:
    """Where the tuned model stands; without an interval of its own one sentence says it all."""
    if "value" not in score["tuned"]:
        return [say.say("sound.missing")]
    if relation(score["tuned"], 0.0) != "few" or found["base"] == "missing":
        return [say.say(f"sound.{name}.{where}") for name, where in found.items()]
    above = score["tuned"]["value"] > score["base"]["value"]
    return [say.say("sound.few", lean=say.say(f"sound.lean.{'above' if above else 'below'}"))]


def habits_off(table: Mapping[str, Mapping]) -> list[str] | None:
    """The habits further from the author's than 95 % of the author's own halves, furthest first.

    None when there were no halves.
    """
    if not all("own_high" in row for row in table.values()):
        return None
    far = {name: row["distance"] / max(row["own_high"], 1e-9) for name, row in table.items()}
    return [name for name in sorted(far, key=far.__getitem__, reverse=True) if far[name] > 1]


def answer(scores: Mapping, say: Wording) -> Answer:
    """Does it answer what was said: the rank of the true reply, against chance and the base."""
    before, after = scores["relevance"]["base"], scores["relevance"]["tuned"]
    chance = after["chance"]
    found = relation(after["mrr"], chance["mrr"])
    trained = relation(after["mrr"], before["mrr"])
    gap = ""
    verdict = {"below": "no", "alike": "unclear", "few": "few", "missing": "unmeasured"}.get(found)
    if found == "above":
        share = (after["mrr"]["value"] - chance["mrr"]) / (1 - chance["mrr"])
        gap = say.say("answer.gap", share=say.percent(share))
        # Words for how far from chance to always right: no source says where they begin.
        verdict = "little" if share < 0.25 else "partly" if share < 0.75 else "yes"
    numbers = say.say(
        "answer.numbers",
        candidates=say.number(after["candidates"]),
        hits=say.shares(after["hits_at_1"]),
        chance_hits=say.percent(chance["hits_at_1"]),
        tuned=say.interval(after["mrr"]),
        chance=say.number(chance["mrr"]),
        base=say.interval(before["mrr"]),
    )
    sentences = [
        say.say(f"answer.chance.{found}", gap=gap),
        *([say.say(f"answer.base.{trained}"), numbers] if found != "missing" else []),
        say.say("answer.limit"),
    ]
    return Answer("answer", verdict, sentences)


def worth(scores: Mapping, say: Wording) -> Answer:
    """Did fine-tuning earn its place: what it gains over examples in the prompt."""
    key = "own_bits_per_character"
    kinds = {name: measures[key]["value"] for name, measures in scores["prompted"].items()}
    best = min(kinds, key=kinds.__getitem__)
    gain = scores["prompted"][best]["gain_of_training"][key]
    found = relation(gain, 0.0)
    verdict = {
        "above": "yes",
        "alike": "unclear",
        "below": "no",
        "few": "few",
        "missing": "unmeasured",
    }[found]
    style = scores["style"]["author_score"]
    sounds = relation(style["tuned"], style["examples"])
    if verdict == "yes" and sounds == "below":
        verdict = "partly"
    base, tuned = (scores[name][key]["value"] for name in ("base", "tuned"))
    if tuned >= base:
        way, share = "no_way", 0.0
    else:
        share = (base - kinds[best]) / (base - tuned)
        way = "nothing" if share <= 0 else "all" if share >= 1 else "helped"
    said = {name: say.interval(style[name]) for name in ("tuned", "examples")}
    sentences = [
        say.say(f"worth.advice.{verdict}"),
        say.say(
            "worth.numbers",
            base=say.interval(scores["base"][key]),
            best=say.interval(scores["prompted"][best][key]),
            kind=say.say(f"worth.kinds.{best}"),
            tuned=say.interval(scores["tuned"][key]),
        ),
        say.say(f"worth.way.{way}", share=say.percent(share)),
        say.say(f"worth.gain.{found}", gain=say.interval(gain)),
        say.say(f"worth.style.{sounds}", **said),
    ]
    return Answer("worth", verdict, sentences)


def doubts(memory: Mapping, limits: Mapping[str, float]) -> list[str]:
    """What a `pass` of metrics/eval.json, which goes by values alone, leaves open.

    "unclear": chance alone could have kept the membership inference below its limit; "few": what
    was measured was too little for an interval.
    """
    member, overlap = memory["membership"], memory["overlap"]["tuned"]["copied"]
    found = {
        "unclear": member.get("high", 0.0) > limits["membership"],
        "few": "low" not in member or "low" not in overlap,
    }
    return [doubt for doubt, holds in found.items() if holds]


def safe(scores: Mapping, say: Wording, limits: Mapping[str, float]) -> Answer:
    """Is it safe to share: the verdict of metrics/eval.json with what led to it."""
    memory, private = scores["memory"], scores["outside"].get("private", {}).get("tuned", {})
    member = memory["membership"]
    own, tuned = (memory["overlap"][who]["copied"] for who in ("author", "tuned"))
    verdict, sentences = memory["verdict"], []
    if verdict == "fail":
        reasons = []
        for name, reason in memory["reasons"].items():
            called = say.name("safe.reasons", name)
            missing = isinstance(reason["value"], str)
            reasons.append(say.say("safe.not_measured", name=called) if missing else called)
        sentences.append(say.say("safe.fail", reasons=", ".join(reasons)))
    else:
        sentences.append(say.say("safe.pass"))
        for doubt in doubts(memory, limits):
            verdict = "pass_unclear"
            sentences.append(say.say(f"safe.{doubt}"))
    beyond = beyond_own(tuned, own)
    coin = relation(member, 0.5)
    known = [say.say(f"safe.coin.{coin}")] if coin in ("above", "alike") else []
    sentences += [
        say.say(
            "safe.copied",
            tuned=say.shares(tuned),
            author=say.shares(own),
            value=say.say("unmeasured") if beyond is None else say.number(100 * beyond, 0),
            most=say.number(100 * limits["copied_beyond_own"], 0),
        ),
        say.say(
            "safe.membership", value=say.interval(member), most=say.number(limits["membership"])
        ),
        *known,
        say.say(
            "safe.personal",
            value=say.number(memory["personal_data"]["learnt"]),
            most=say.number(limits["personal_data"]),
        ),
    ]
    if private.get("replies"):
        asked, found = (say.number(private[name]) for name in ("replies", "personal_data"))
        sentences.append(say.say("safe.private", replies=asked, found=found))
    return Answer("safe", verdict, sentences)


def beyond_own(tuned: Mapping, own: Mapping) -> float | None:
    """How much more is copied than the author repeats, or None where that was not measured."""
    if "value" not in tuned or "value" not in own:
        return None
    return tuned["value"] - own["value"]


def four(scores: Mapping, say: Wording, limits: Mapping[str, float]) -> list[Answer]:
    """All of them, in the order of the page."""
    return [
        sound(scores, say),
        answer(scores, say),
        worth(scores, say),
        safe(scores, say, limits),
    ]
