"""The four answers that the report opens with: sentences that depend on the numbers.

What it means comes first, then the numbers behind it, and last what they were measured on.

Nothing is said to be alike because no difference was found: whoever measures little would be told
so most often. Two things are alike where the whole interval of their difference lies within a
margin that is stated (`evaluate.margins`; two one-sided tests, Schuirmann 1987; with the interval
of 95 % it errs less often than with that of 90 %, which is his). Otherwise it cannot be said.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from espejo.core import escaping
from espejo.evaluation.intervals import is_finite, relation
from espejo.report.wording import MOST, Wording

# How a verdict is shown, besides in words.
TONES = {"yes": "good", "pass": "good", "no": "bad", "fail": "bad", "copied": "bad"}
UNKNOWN = ("unclear", "few", "unmeasured")
BITS = "own_bits_per_character"


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


def sound(
    scores: Mapping, wording: Wording, wanted: Mapping, second_names: Sequence[str] = ()
) -> Answer:
    """Does it sound like the author: the author score between others and the author.

    Yes takes all four: above the base model, above the other people, alike with the author, and not
    told apart reply by reply, which the author score may not see (how long it writes, for one).
    `second_names` are people who may be the author by another name.
    """
    style, margins = scores["style"], wanted["margins"]
    score, told = style["author_score"], style["told_apart"]["tuned"]
    where = relation(told, 0.5, margins["told_apart"])
    found = {
        "base": relation(score["tuned"], score["base"]),
        "ceiling": _beside_ceiling(score, margins["author_score"]),
        "floor": relation(score["tuned"], score["floor"]),
    }
    base, ceiling, floor = found.values()
    if base in ("few", "missing"):
        verdict = "few" if base == "few" else "unmeasured"
    elif ceiling == "above":
        verdict = "copied"
    elif base != "above":
        verdict = "unclear" if base == "unclear" else "no"
    elif floor != "above":
        verdict = "little" if floor == "below" else "more"
    else:
        alike = "yes" if where == "alike" else "partly"
        verdict = {"alike": alike, "below": "partly"}.get(ceiling, "more")
    shown = {name: wording.interval(score[name]) for name in ("tuned", "base", "ceiling", "floor")}
    counts = {key: style[key] for key in ("replies", "from_test", "sessions")}
    counts["rest"] = counts["replies"] - counts["from_test"]
    bundles = {name: wording.number(score[name].get("bundles", 0)) for name in ("tuned", "ceiling")}
    sentences = [
        *(wording.text("sound.second", name=escaping.markdown(name)) for name in second_names),
        *_placed(score, found, wording, margins["author_score"]),
        *([wording.text("sound.numbers", **shown)] if "value" in score["tuned"] else []),
        wording.text(
            f"sound.told.{where}",
            auc=wording.interval(told),
            margin=wording.number(margins["told_apart"]),
        ),
    ]
    if all(habits_off(table) is not None for table in style["habits"].values()):
        tuned = style["habits"]["tuned"]
        off = {name: wording.number(len(habits_off(t))) for name, t in style["habits"].items()}
        expected = wording.number(float(sum(row["alarm"] for row in tuned.values())), 1)
        sentences.append(
            wording.text("sound.habits", all=wording.number(len(tuned)), chance=expected, **off)
        )
    written = {key: wording.number(count) for key, count in counts.items()}
    # Test contexts come first; validation is named only where it was needed.
    written["rest"] = wording.text("sound.rest", **written) if counts["rest"] else ""
    sentences.append(wording.text("sound.measured", **written, **bundles))
    return Answer("sound", verdict, sentences)


def _beside_ceiling(score: Mapping[str, Mapping], margin: float) -> str:
    """`relation` to the author's own messages, where above is looked for first, without a margin.

    A ceiling is near 1 (0.976 in the demo), and nothing is above that by more than the margin.
    Whoever outdoes the author within it is no less suspicious of repeating what was learnt. From
    less data the same model may be called alike: the text says then that its number is higher.
    """
    plain = relation(score["tuned"], score["ceiling"])
    return plain if plain == "above" else relation(score["tuned"], score["ceiling"], margin)


def _placed(score: Mapping, found: Mapping[str, str], wording: Wording, margin: float) -> list[str]:
    """Where the tuned model stands; without an interval of its own one sentence says it all."""
    tuned = score["tuned"]
    if "value" not in tuned:
        return [wording.text("sound.missing")]
    if relation(tuned, 0.0) == "few" and found["base"] != "missing":
        above = tuned["value"] > score["base"]["value"]
        return [
            wording.text(
                "sound.few", lean=wording.text(f"sound.lean.{'above' if above else 'below'}")
            )
        ]
    said = {
        name: wording.text(f"sound.{name}.{where}", margin=wording.number(margin))
        for name, where in found.items()
    }
    # With more data it may be above: that warning is not to get lost for want of them.
    close = found["ceiling"] in ("alike", "unclear")
    if close and round(tuned["value"] - score["ceiling"]["value"], 2) > 0:
        said["ceiling"] += f" {wording.text('sound.over')}"
    return list(said.values())


def habits_off(table: Mapping[str, Mapping]) -> list[str] | None:
    """The habits further from the author's than 95 % of the author's own halves, furthest first.

    How far is counted in limits (`own_high`). A limit of zero is no unit, and one slip is beyond
    it: what the author never does comes last, by its distance. None when there were no halves.
    """
    if not all("own_high" in row for row in table.values()):
        return None

    def far(name: str) -> tuple[bool, float]:
        distance, limit = table[name]["distance"], table[name]["own_high"]
        return limit > 0, distance / (limit or 1)

    off = [name for name, row in table.items() if row["distance"] > row["own_high"]]
    return sorted(off, key=far, reverse=True)


def answer(scores: Mapping, wording: Wording) -> Answer:
    """Does it answer what was said: the rank of the true reply, against chance and the base."""
    ranks = scores["relevance"]
    mrr, chance = ranks["tuned"]["mrr"], ranks["chance"]
    found = relation(mrr, chance["mrr"])
    trained = relation(ranks["gain"]["mrr"], 0.0)
    gap = ""
    verdict = {"below": "no", "missing": "unmeasured"}.get(found, found)
    if found == "above":
        least = chance["mrr"]
        way = {end: (mrr[end] - least) / (1 - least) for end in ("value", "low", "high")}
        gap = wording.text("answer.gap", share=wording.shares(way))
        # Words for how far from chance to always right, at least: no source says where they begin.
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
        wording.text(f"answer.chance.{found}", gap=gap),
        *([wording.text(f"answer.base.{trained}"), numbers] if found != "missing" else []),
        wording.text("answer.limit"),
        wording.text("answer.measured", **counts),
    ]
    return Answer("answer", verdict, sentences)


def worth(scores: Mapping, wording: Wording, wanted: Mapping, predicted: Mapping) -> Answer:
    """Did fine-tuning earn its place: what it gains over examples in the prompt.

    Where these make the base model no better, training has to beat it as it is: who does worse than
    the base model gains most over examples that harm it. Yes takes both: it foresees better, and
    does not sound worse, which without data cannot be said.
    """
    counts = {key: wording.number(scores["test"][key]) for key in ("replies", "sessions")}
    style = scores["style"]
    measured = wording.text("worth.measured", **counts, generated=wording.number(style["replies"]))
    kinds = {
        name: measures[BITS]["value"]
        for name, measures in scores["prompted"].items()
        if is_finite(measures[BITS])
    }
    if not kinds or not all(is_finite(scores[name][BITS]) for name in ("base", "tuned")):
        said = [
            wording.text("worth.advice.unmeasured"),
            wording.text("worth.gain.missing"),
            measured,
        ]
        return Answer("worth", "unmeasured", said)
    base, tuned = (scores[name][BITS]["value"] for name in ("base", "tuned"))
    best = min(kinds, key=kinds.__getitem__)
    helped = kinds[best] < base
    gain = (scores["prompted"][best]["gain_of_training"] if helped else scores["gain"])[BITS]
    found = relation(gain, 0.0)
    verdict = {"above": "yes", "below": "no", "missing": "unmeasured"}.get(found, found)
    score, margin = style["author_score"], wanted["margins"]["author_score"]
    sounds = relation(score["tuned"], score["examples"], margin)
    advice = verdict
    if verdict == "yes" and sounds not in ("above", "alike"):
        verdict, advice = "partly", "worse" if sounds == "below" else "unheard"
    if verdict in ("unclear", "no") and not helped:
        advice = "alone"
    share = (base - kinds[best]) / (base - tuned) if tuned < base else 0.0
    if tuned >= base:
        way = "no_way" if helped else "neither"
    else:
        way = "nothing" if not helped else "all" if share >= 1 else "helped"
    shots = {
        "shots": wording.number(predicted["shots"]),
        "chars": wording.number(predicted["shot_chars"]),
    }
    said = {name: wording.interval(score[name]) for name in ("tuned", "examples")}
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
        wording.text(f"worth.gain.{found}", gain=wording.interval(gain)),
        wording.text(f"worth.style.{sounds}", margin=wording.number(margin), **said),
        measured,
    ]
    return Answer("worth", verdict, sentences)


def safe(scores: Mapping, wording: Wording, wanted: Mapping) -> Answer:
    """Is it safe to share: the verdict of metrics/eval.json with what led to it."""
    memory, limits = scores["memory"], wanted["sharing_limits"]
    private = scores["outside"].get("private", {}).get("tuned", {})
    member = memory["membership"]
    own, tuned = (memory["overlap"][who] for who in ("author", "tuned"))
    sentences = []
    for kind in ("fail", "unmeasured"):
        named = [
            wording.name("safe.names", name)
            for name, reason in memory["reasons"].items()
            if isinstance(reason["value"], str) == (kind == "unmeasured")
        ]
        if named:
            sentences.append(wording.text(f"safe.{kind}", names=", ".join(named)))
    if not memory["reasons"]:
        sentences.append(wording.text("safe.pass"))
    sentences += [doubted(name, scores, wording, wanted) for name in memory["doubts"]]
    if "value" in tuned["copied"]:
        copied = wording.text(
            "safe.copied",
            tuned=wording.shares(tuned["copied"]),
            author=wording.shares(own["copied"]),
            long=wording.number(tuned["long"]),
            own_long=wording.number(own["long"]),
            value=wording.points(memory["copied_beyond_own"]),
            most=wording.point(limits["copied_beyond_own"]),
        )
    else:
        copied = wording.text("safe.short", long=wording.number(tuned["long"]))
    whole = []
    if "value" in tuned["whole"]:
        shares = {"tuned": wording.shares(tuned["whole"]), "author": wording.shares(own["whole"])}
        beyond = wording.points(memory["whole_beyond_own"])
        most = wording.point(limits["whole_beyond_own"])
        whole = [wording.text("safe.whole", **shares, value=beyond, most=most)]
    coin = relation(member, 0.5)
    known = [wording.text(f"safe.coin.{coin}")] if coin in ("above", "unclear") else []
    sentences += [
        copied,
        *whole,
        wording.text(
            "safe.membership",
            value=wording.interval(member),
            most=wording.number(limits["membership"]),
        ),
        *known,
        wording.text(
            "safe.personal",
            value=wording.number(memory["personal_data"]["learnt"]),
            most=wording.number(limits["personal_data"]),
        ),
    ]
    if private.get("replies"):
        asked, found = (wording.number(private[name]) for name in ("replies", "personal_data"))
        sentences.append(wording.text("safe.private", replies=asked, found=found))
    sentences.append(
        wording.text(
            "safe.measured",
            replies=wording.number(memory["replies"]),
            from_test=wording.number(scores["style"]["from_test"]),
            members=wording.number(memory["members"]),
            tested=wording.number(scores["test"]["replies"]),
        )
    )
    return Answer("safe", memory["verdict"], sentences)


def doubted(name: str, scores: Mapping, wording: Wording, wanted: Mapping) -> str:
    """What a measure below its limit leaves open: how high it may be, and what would settle it."""
    memory, most = scores["memory"], wanted["sharing_limits"][name]
    high, tuned = memory["doubts"][name]["high"], memory["overlap"]["tuned"]
    called = wording.name("safe.names", name)
    if isinstance(high, str):
        return wording.text("safe.open", name=called)
    measure = memory[name]
    shares = {"copied_beyond_own": tuned["copied"], "whole_beyond_own": tuned["whole"]}
    counts = {"copied_beyond_own": tuned["long"], "whole_beyond_own": memory["replies"]}
    number = counts.get(name, min(memory["members"], scores["test"]["replies"]))
    none = name in shares and shares[name]["value"] == measure["value"] == 0
    enough = settling(measure, most, number, wanted["confidence"] if none else None)
    write, digits = (wording.point, 1) if name in shares else (wording.number, 2)
    # What is above the limit has to look it.
    while digits < MOST and write(high, digits) == write(most, digits):
        digits += 1
    counted = wording.text(
        f"safe.counted.{name}",
        number=wording.number(number),
        members=wording.number(memory["members"]),
        tested=wording.number(scores["test"]["replies"]),
    )
    said = wording.text(
        "safe.doubt",
        name=called,
        value=write(measure["value"]),
        high=write(high, digits),
        most=write(most),
        counted=counted,
    )
    if enough is None:
        return f"{said} {wording.text('safe.near')}"
    # Of those that are generated only some are long.
    generated = math.ceil(enough * memory["replies"] / number)
    settle = {"enough": wording.number(enough), "generated": wording.number(generated)}
    return f"{said} {wording.text(f'safe.settle.{name}', **settle)}"


def settling(
    measure: Mapping, most: float, number: int, confidence: float | None = None
) -> int | None:
    """About how many, instead of `number`, bring the high end of a measure down to `most`.

    If it stays as it is. With `confidence`: of a share of which there was none, exactly (Clopper
    and Pearson 1934). Else by the root of the number, with which intervals get narrower. None
    where the value itself is at the limit: no number is enough then.
    """
    value = measure["value"]
    if value >= most:
        return None
    if confidence is not None:
        return math.ceil(math.log((1 - confidence) / 2) / math.log(1 - most))
    shrunk = (measure["high"] - value) / (most - value)
    return math.ceil(round(number * shrunk**2, 6))


def four(
    scores: Mapping,
    wording: Wording,
    wanted: Mapping,
    predicted: Mapping,
    second_names: Sequence[str] = (),
) -> list[Answer]:
    """All of them, in the order of the page; from the params sections evaluate and predict."""
    return [
        sound(scores, wording, wanted, second_names),
        answer(scores, wording),
        worth(scores, wording, wanted, predicted),
        safe(scores, wording, wanted),
    ]
