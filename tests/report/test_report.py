"""reports/report.html and .md: sentences that agree with the numbers, and a self-contained page."""

import copy
import math
import re
import shutil
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise, product

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from espejo.commands.inputs import CONFIGS
from espejo.core import metrics, tables
from espejo.core.errors import UserError
from espejo.evaluation import apps, controls, habits, memorization, second_name, two_sample
from espejo.evaluation.intervals import relation
from espejo.report import page, sections, verdicts
from espejo.report.wording import FOLDER, Wording
from stages import report as stage
from tests.helpers import reported
from tests.helpers.configs import EVALUATE, PREDICT, changed
from tests.helpers.reported import few, interval
from tests.helpers.synthetic import chats
from tests.helpers.workshop import ROOT

SHARES = ("copied_beyond_own", "whole_beyond_own")
WITH_EXAMPLES = changed(PREDICT, shots=3, shot_chars=120)
verdict_of = partial(memorization.verdict, limits=EVALUATE.sharing_limits)
LANGUAGES = ("en", "es")
BOTH = [Wording(language) for language in LANGUAGES]
# How much a verdict claims: nothing, something, everything (like the author, or too much so).
CLAIMS = {"more": 1, "little": 1, "partly": 1, "yes": 2, "copied": 2}


@pytest.fixture(scope="module")
def wording():
    return Wording("en")


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Fewer cross-validations and halves, to be fast: the page does not depend on their number."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(two_sample, "REPEATS", 1)
        patch.setattr(habits, "NUM_PAIRS", 100)
        yield


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A folder in which the stage ran, and its arguments."""
    folder = tmp_path_factory.mktemp("report")
    arguments = reported.workplace(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        stage.main(*arguments)
    return folder, arguments


@pytest.fixture
def elsewhere(ran, tmp_path, monkeypatch):
    """A copy of that folder to change."""
    folder, arguments = ran
    copied = shutil.copytree(folder, tmp_path / "report")
    monkeypatch.chdir(copied)
    return copied, [copied / path.relative_to(folder) for path in arguments]


@pytest.fixture(scope="module")
def measured(ran):
    """metrics/eval.json of `ran`."""
    return metrics.read(ran[0] / "metrics" / "eval.json")


@pytest.fixture
def scores(measured):
    """A copy to change, in which every result is good."""
    return copy.deepcopy(measured) | {
        "style": measured["style"]
        | {
            "author_score": {
                name: interval(value, bundles=20)
                for name, value in {
                    **{"floor": 0.1, "nearest": 0.2, "base": 0.3},
                    **{"examples": 0.4, "tuned": 0.8, "ceiling": 0.82},
                }.items()
            },
            "told_apart": {name: interval(0.5) for name in ("base", "examples", "tuned")},
        },
        "memory": {
            **{"replies": 200, "members": 32},
            "overlap": {
                source: {
                    **{"longest_mean": interval(2.0), "longest_max": 4, "long": 120},
                    **{"copied": interval(0.02, 0.01), "whole": interval(0.02, 0.01)},
                }
                for source in ("author", "tuned")
            },
            **{name: interval(0.0, 0.02) for name in SHARES},
            "membership": interval(0.6),
            "personal_data": {"written": 0, "learnt": 0, "replies": 0},
            **{"verdict": "pass", "reasons": {}, "doubts": {}},
        },
    }


def leaves(node, path=""):
    if isinstance(node, dict):
        for key, inner in node.items():
            yield from leaves(inner, f"{path}.{key}")
    else:
        yield path, node


def placeholders(text):
    return sorted(re.findall(r"\{\w+\}", str(text)))


def test_both_languages_have_the_same_keys_and_the_same_numbers_in_them():
    texts = [dict(leaves(Wording(language).texts)) for language in LANGUAGES]
    assert texts[0].keys() == texts[1].keys()
    for key, english in texts[0].items():
        spanish = texts[1][key]
        assert type(english) is type(spanish), key
        assert isinstance(english, str | list), key
        assert placeholders(english) == placeholders(spanish), key
        if isinstance(english, list):
            assert len(english) == len(spanish), key
            assert {type(head) for head in [*english, *spanish]} == {str}, key


def test_every_setting_that_a_text_names_exists():
    sections_by_name = {config.section: config for config in CONFIGS}
    for language in LANGUAGES:
        texts = " ".join(str(text) for _, text in leaves(Wording(language).texts))
        settings_named = re.findall(r"`(\w+)\.(\w+)`", texts)
        assert ("predict", "generated_replies") in settings_named
        for section, key in settings_named:
            assert key in sections_by_name[section].model_fields, f"{section}.{key}"


def test_a_language_that_is_not_there_is_named():
    with pytest.raises(UserError, match="'pt'.*en or es"):
        Wording("pt")


@pytest.mark.parametrize(
    ("language", "written"),
    [
        ("en", ["1,234.50", "0.00", "84%", "0.50 [0.45, 0.55]", "0.50 (no interval; sessions: 3)"]),
        (
            "es",
            [
                "1.234,50",
                "0,00",
                "84\u00a0%",
                "0,50 [0,45; 0,55]",
                "0,50 (sin intervalo; sesiones: 3)",
            ],
        ),
    ],
)
def test_numbers_look_as_the_language_writes_them(language, written):
    wording = Wording(language)
    assert [
        wording.number(1234.5),
        wording.number(-0.001),
        wording.percent(0.84),
        wording.interval(interval(0.5)),
        wording.interval(few(0.5)),
    ] == written
    assert wording.interval(few()) == wording.text("unmeasured")
    assert wording.number(1) == "1"


@pytest.mark.parametrize(
    ("low", "value", "high", "written"),
    [
        (0.0, 0.0, 0.109, "0% [0%, 11%]"),
        (0.0, 0.0, 0.004, "0% [0%, <1%]"),
        (0.996, 1.0, 1.0, "100% [>99%, 100%]"),
        (0.498, 0.5, 0.502, "50.0% [49.8%, 50.2%]"),
        (0.0001, 0.0002, 0.0004, "0.02% [0.01%, 0.04%]"),
        (0.0, 0.003, 0.109, "<1% [0%, 11%]"),
    ],
)
def test_an_interval_of_a_share_is_never_written_as_one_of_width_zero(
    wording, low, value, high, written
):
    assert wording.shares({"value": value, "low": low, "high": high, "n": 32}) == written


@given(st.tuples(*[st.floats(0, 1)] * 2).map(sorted).filter(lambda ends: ends[1] - ends[0] > 1e-4))
def test_the_ends_of_an_interval_look_different(ends):
    low, high = ends
    measure = {"value": low, "low": low, "high": high, "n": 20}
    for wording in BOTH:
        for written in (wording.shares, wording.points, wording.interval):
            first, last = re.findall(r"\[(.*?)[,;] (.*)\]", written(measure))[0]
            assert first != last


def test_differences_of_shares_are_in_points_and_bundles_are_called_so(wording):
    assert (
        wording.points({"value": 0.0, "low": -0.109, "high": 0.0512, "n": 32}) == "0 [-10.9, 5.1]"
    )
    assert (
        wording.interval(few(0.97, n=2, bundles=3))
        == "0.97 (no interval; bundles: 3, which begin in sessions: 2)"
    )


@pytest.mark.parametrize(
    ("measure", "other", "margin", "where"),
    [
        # Of two intervals of 0.05 to both sides the difference has 0.0707: the root of 0.05² twice.
        (interval(0.8), interval(0.72), 0.0, "above"),
        (interval(0.8), interval(0.74), 0.0, "unclear"),
        (interval(0.8), interval(0.88), 0.0, "below"),
        (interval(0.56), 0.5, 0.0, "above"),
        (interval(0.54), 0.5, 0.0, "unclear"),
        (interval(0.44), 0.5, 0.0, "below"),
        (interval(0.8), interval(0.82), 0.1, "alike"),  # -0.0907 to 0.0507
        (interval(0.8), interval(0.84), 0.1, "unclear"),  # -0.1107 to 0.0307
        (interval(0.8), interval(0.88), 0.1, "below"),
        (interval(0.53, 0.02), 0.5, 0.1, "alike"),  # different from 0.5, but by less than the
        # margin
        (interval(0.0, 0.03), 0.0, 0.0, "unclear"),
        (few(0.8), interval(0.1), 0.1, "few"),
        (interval(0.8), few(0.8), 0.1, "few"),
        (interval(0.8), few(), 0.1, "missing"),
        (interval(math.nan), 0.0, 0.1, "missing"),
        (interval(0.0), math.nan, 0.1, "missing"),
        (interval(0.0) | {"high": math.inf}, 0.0, 0.1, "missing"),
        (few(math.nan), 0.0, 0.1, "missing"),
    ],
)
def test_where_a_measure_is_from_another(measure, other, margin, where):
    assert relation(measure, other, margin) == where


@pytest.mark.parametrize(
    ("high", "verdict", "sentence"),
    [
        (0.97, "partly", "still clearly short"),  # -0.195 and at most 0.1901 more
        (0.99, "more", "as your own messages cannot be said"),
    ],
)
def test_from_few_data_nothing_is_alike(scores, wording, high, verdict, sentence):
    """Results that an older version called the author's own voice, although there were few data."""
    scores["style"]["author_score"] |= {
        "tuned": {"value": 0.78, "low": 0.45, "high": high, "n": 10, "bundles": 12},
        "ceiling": {"value": 0.975, "low": 0.969, "high": 0.981, "n": 16, "bundles": 16},
    }
    scores["style"]["told_apart"]["tuned"] = {"value": 0.72, "low": 0.49, "high": 0.93, "n": 12}
    answer = verdicts.sound(scores, wording, EVALUATE)
    assert answer.verdict == verdict
    text = " ".join(answer.sentences)
    assert sentence in text
    assert "tells its replies from yours cannot be said: AUC 0.72 [0.49, 0.93]" in text


WIDTHS = (0.01, 0.05, 0.15, 0.4, None)  # less and less data with the same outcome, finally none
# Every place that a verdict turns on, the tuned model being at 0.8; of gains and ranks one each.
PLACES = list(
    product(
        *((0.1, 0.8, 0.9), (0.3, 0.8, 0.9), (0.3, 0.78, 0.9), (0.76, 0.8, 0.84, 0.95)),
        *((0.0, 0.1), (0.1, 0.3, 0.5, 0.9)),
    )
)


def with_ever_less(values, random):
    """Measures by name for each of WIDTHS; some intervals are three times as wide as others."""
    times = dict(zip(values, random.choice([1, 3], len(values)), strict=True))
    return [
        {
            name: few(value) if width is None else interval(value, width * times[name])
            for name, value in values.items()
        }
        for width in WIDTHS
    ]


@pytest.mark.parametrize("seed", range(3))
def test_less_data_never_turns_an_answer_into_a_more_favourable_one(seed):
    random = np.random.default_rng(seed)
    for index in random.permutation(len(PLACES))[:150]:
        floor, base, examples, ceiling, gain, rank = PLACES[index]
        values = {"floor": floor, "nearest": floor, "base": base, "examples": examples}
        values |= {"tuned": 0.8, "ceiling": ceiling, "gain": gain, "rank": rank, "told": 0.5}
        claims = [claimed(measures) for measures in with_ever_less(values, random)]
        for more, less in pairwise(claims):
            fewer = (after <= before for before, after in zip(more, less, strict=True))
            assert all(fewer), (values, claims)


def claimed(score):
    """How much the answers and the controls claim of these measures."""
    table = {"habit": {"distance": 0.1}}
    scores = reported.likelihoods(gain=score["gain"])
    scores["relevance"]["tuned"]["mrr"] = score["rank"]
    scores["style"] = {
        **{"replies": 32, "from_test": 16, "sessions": 12},
        "author_score": score,
        "told_apart": {"tuned": score["told"]},
        "habits": {"base": table, "tuned": table},
    }
    answers = (
        verdicts.sound(scores, BOTH[0], EVALUATE),
        verdicts.answer(scores, BOTH[0]),
        verdicts.worth(scores, BOTH[0], EVALUATE, WITH_EXAMPLES),
    )
    row = dict.fromkeys(controls.COPIES, interval(0.5)) | {"score": score["tuned"]}
    impostors = [
        controls.holds(name, row, score["ceiling"], EVALUATE)
        for name in ("friend", "shuffled", "copy")
    ]
    alike = relation(score["told"], 0.5, 0.1) == "alike"
    claims = (CLAIMS.get(answer.verdict, 0) for answer in answers)
    return [*claims, *(holds is True for holds in impostors), alike]


def test_less_data_never_passes_what_more_data_did_not():
    order, random = ("fail", "pass_with_doubts", "pass"), np.random.default_rng(1)
    seen = set()
    for places in product((-0.1, 0.0, 0.03, 0.1), (0.0, 0.04, 0.05), (0.5, 0.66, 0.72)):
        names = ("copied_beyond_own", "whole_beyond_own", "membership")
        judged = [
            order.index(verdict_of({**measured, "personal_data": 0})["verdict"])
            for measured in with_ever_less(dict(zip(names, places, strict=True)), random)
        ]
        assert judged == sorted(judged, reverse=True)
        seen |= set(judged)
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(
    ("changed", "verdict", "sentence"),
    [
        ({}, "yes", "It sounds more like you than the base model."),
        ({}, "yes", "like your own messages: the difference, with its interval, stays within 0.10"),
        ({"base": interval(0.74)}, "unclear", "than the base model cannot be said"),
        ({"base": interval(0.95)}, "no", "It sounds less like you than the base model."),
        ({"ceiling": interval(0.84)}, "more", "as much like you as your own messages cannot be"),
        ({"ceiling": interval(0.78)}, "yes", "Its number is even above yours"),
        ({"ceiling": interval(0.95)}, "partly", "still clearly short of your own"),
        ({"ceiling": interval(0.65)}, "copied", "suspicious"),
        # Within the margin, but still above the ceiling.
        ({"ceiling": interval(0.78, 0.005), "tuned": interval(0.8, 0.01)}, "copied", "suspicious"),
        ({"floor": interval(0.74)}, "more", "not clearly above the other people"),
        ({"floor": interval(0.95)}, "little", "even below the other people"),
        ({"ceiling": few(0.9)}, "more", "too little to compare it with your own"),
        ({"floor": few(0.1)}, "more", "too little to compare it with the other people"),
        ({"tuned": few(0.8)}, "few", "a hint and no proof, puts it above the base model"),
        ({"tuned": few(0.2)}, "few", "does not put it above"),
        ({"tuned": few()}, "unmeasured", "not enough messages for an author score"),
        ({"tuned": few(0.7), "base": few()}, "few", "compare it with the base model"),
    ],
)
def test_does_it_sound_like_you(scores, wording, changed, verdict, sentence):
    scores["style"]["author_score"] |= changed
    answer = verdicts.sound(scores, wording, EVALUATE)
    assert answer.verdict == verdict
    assert sentence in " ".join(answer.sentences)


@pytest.mark.parametrize(
    ("auc", "verdict", "sentence"),
    [
        (interval(0.56), "partly", "does tell its replies from yours: AUC 0.56 [0.51, 0.61]"),
        (interval(0.54), "yes", "hardly better than a coin: AUC 0.54 [0.49, 0.59]"),
        (interval(0.54), "yes", "within 0.10 of the 0.5 of a coin"),
        (interval(0.54, 0.07), "partly", "cannot be said: AUC 0.54 [0.47, 0.61]"),
        (interval(0.3), "partly", "That is no likeness"),
        (few(0.9), "partly", "cannot be said from so few sessions"),
        (few(), "partly", "There were not enough replies"),
    ],
)
def test_whether_replies_are_told_apart(scores, wording, auc, verdict, sentence):
    """A model sounds like the author only if the two-sample test agrees with the author score."""
    scores["style"]["told_apart"]["tuned"] = auc
    answer = verdicts.sound(scores, wording, EVALUATE)
    assert answer.verdict == verdict
    assert sentence in " ".join(answer.sentences)


@pytest.mark.parametrize(
    ("tuned", "gain", "verdict", "sentences"),
    [
        # Of the way from 0.2929 to 1: 0.6071 / 0.7071 = 86 %, from 79 % to 93 %.
        (interval(0.9), interval(0.6), "yes", ["better than chance", "Training improved it"]),
        (interval(0.9), interval(0.6), "yes", [", 86% [79%, 93%] of the way from chance"]),
        (interval(0.84), interval(0.2), "partly", [", 77% [70%, 84%] of the way"]),
        (interval(0.5), interval(0.2), "little", [", 29% [22%, 36%] of the way"]),
        (interval(0.36), interval(0.04), "little", ["helped here cannot be said"]),
        (interval(0.34), interval(0.3), "unclear", ["the interval includes chance"]),
        (interval(0.2), interval(0.3), "no", ["worse than chance"]),
        (interval(0.6), interval(-0.2), "partly", ["Training made it worse"]),
        (few(0.9), interval(0.3), "few", ["too few sessions"]),
        (few(n=0), few(n=0), "unmeasured", ["not enough contexts", "Measured on 20 contexts"]),
    ],
)
def test_does_it_answer(scores, wording, tuned, gain, verdict, sentences):
    scores["relevance"]["tuned"] |= {"mrr": tuned}
    scores["relevance"]["gain"] |= {"mrr": gain}
    answer = verdicts.answer(scores, wording)
    assert answer.verdict == verdict
    for sentence in sentences:
        assert sentence in " ".join(answer.sentences)


def test_training_is_judged_context_by_context(scores, wording):
    """Base and tuned vary by 0.2 each, in the same contexts: what training changes varies less."""
    scores["relevance"] |= {
        "base": {"mrr": interval(0.5, 0.2), "hits_at_1": interval(0.3)},
        "tuned": {"mrr": interval(0.6, 0.2), "hits_at_1": interval(0.3)},
        "gain": {"mrr": interval(0.1, 0.04), "hits_at_1": interval(0.0)},
    }
    text = " ".join(verdicts.answer(scores, wording).sentences)
    assert "Training improved it." in text
    assert "0.10 [0.06, 0.14]" in text


@pytest.mark.parametrize(
    ("numbers", "verdict", "sentences"),
    [
        # 2.94 base, 2.8 with the nearest examples, 2.5 tuned: 0.14 of 0.44
        ({}, "yes", ["went 32% of the way", "0.30 [0.27, 0.33]", "fine-tuning pays here"]),
        ({}, "yes", ["against 3 examples of at most 120 characters in the prompt"]),
        ({"nearest": 2.52}, "unclear", ["includes zero", "try examples in the prompt first"]),
        ({"nearest": 2.4}, "no", ["as far as training", "does not pay", "-0.10 [-0.13, -0.07]"]),
        ({"nearest": 3.1, "same": 3.2}, "yes", ["did not help this model,", "saves 0.44"]),
        # It saves 0.2 beside examples that harm, and beside none at all it is worse by 0.1.
        (
            {"base": 2.9, "nearest": 3.2, "same": 3.3, "tuned": 3.0},
            "no",
            ["Neither training nor examples", "changes -0.10 [-0.13, -0.07]", "use it as it is"],
        ),
        (
            {"base": 2.91, "nearest": 3.2, "same": 3.3, "tuned": 2.9},
            "unclear",
            ["did not help this model,", "changes 0.01 [-0.02, 0.04]", "use it as it is"],
        ),
        ({"same": 2.7}, "yes", ["always the same examples", "55% of the way"]),
        ({"tuned": 3.0}, "no", ["Training did not improve on the base model."]),
        ({"gain": few(0.3)}, "few", ["0.30 (no interval; sessions: 3)", "gather more chats"]),
        ({"gain": few()}, "unmeasured", ["could not be measured"]),
        ({"gain": interval(math.nan)}, "unmeasured", ["could not be measured"]),
    ],
)
def test_did_fine_tuning_earn_its_place(scores, wording, numbers, verdict, sentences):
    answer = verdicts.worth(
        scores | reported.likelihoods(**numbers), wording, EVALUATE, WITH_EXAMPLES
    )
    assert answer.verdict == verdict
    for sentence in sentences:
        assert sentence in " ".join(answer.sentences)


def test_without_bits_there_is_no_advice(scores, wording):
    """As for an author whose messages hold no words."""
    for name in ("base", "tuned"):
        scores[name]["own_bits_per_character"] = few(n=0)
    answer = verdicts.worth(scores, wording, EVALUATE, WITH_EXAMPLES)
    assert answer.verdict == "unmeasured"
    assert "Measured" in answer.sentences[-1] or "measured" in answer.sentences[-1]


@pytest.mark.parametrize(
    ("examples", "verdict", "sentence"),
    [
        (interval(0.4), "yes", "It also sounds more like you"),
        (interval(0.78), "yes", "as much like you as the base model with examples does"),
        (interval(0.78), "yes", "the difference, with its interval, stays within 0.10"),
        (interval(0.75), "partly", "Whether it also sounds more like you cannot be said"),
        (interval(0.95), "partly", "But it sounds less like you"),
        (few(0.4), "partly", "too few messages to decide"),
    ],
)
def test_style_against_examples_in_the_prompt(scores, wording, examples, verdict, sentence):
    scores["style"]["author_score"]["examples"] = examples
    answer = verdicts.worth(scores, wording, EVALUATE, WITH_EXAMPLES)
    assert answer.verdict == verdict
    assert sentence in " ".join(answer.sentences)


NONE_OF_32 = {"value": 0.0, "low": 0.0, "high": 0.1089, "n": 32}


@pytest.mark.parametrize(
    ("changed", "verdict", "sentences"),
    [
        (
            {"membership": interval(0.64)},
            "pass",
            ["no proof that it is safe", "0.64 [0.59, 0.69]", "know them somewhat"],
        ),
        # 32 members: the interval has to shrink from 0.05 to 0.04, (5 / 4)² * 32 = 50.
        (
            {"membership": interval(0.66)},
            "pass_with_doubts",
            ["0.66 was measured on 32 replies that it learnt", "up to 0.71, above the limit of 0.7"]
            + ["About 50 replies of each kind with the same result would settle it"],
        ),
        # As written to two digits it would not be above.
        ({"membership": interval(0.652)}, "pass_with_doubts", ["0.702, above the limit of 0.70"]),
        ({"membership": interval(0.7)}, "pass_with_doubts", ["might not settle it"]),
        ({"membership": few(0.6)}, "pass_with_doubts", ["too little to say up to where"]),
        ({"membership": interval(0.9)}, "fail", ["Over the limit: membership in the training"]),
        (
            {"membership": few()},
            "fail",
            ["Not measured: membership in the training set. What was not measured does not pass."],
        ),
        # 0.95 to the power of 72 is 0.0249, of 71 it is 0.0262: below 0.025 from 72 on.
        (
            {"whole_beyond_own": NONE_OF_32, "whole": NONE_OF_32, "replies": 32},
            "pass_with_doubts",
            ["whole replies copied: 0 was measured on 32 replies (in points beyond yours)"]
            + ["it may be up to 10.9, above the limit of 5.", "About 72 replies with the same"],
        ),
        # Of 64 replies 32 are long: for 72 long ones 144 have to be generated.
        (
            {"copied_beyond_own": NONE_OF_32, "copied": NONE_OF_32, "long": 32, "replies": 64},
            "pass_with_doubts",
            ["0 was measured on 32 replies long enough", "About 72 such replies", "some 144 have"],
        ),
        # The author's own three of a hundred are not assumed to be zero: (0.08 / 0.05)² * 200 =
        # 512.
        (
            {"whole_beyond_own": interval(0.0, 0.08), "whole": interval(0.03)},
            "pass_with_doubts",
            ["About 512 replies with the same"],
        ),
        (
            {"copied_beyond_own": few(n=4), "copied": few(n=4), "long": 4},
            "pass_with_doubts",
            ["In doubt, copied text: there was too little", "Only 4 of its replies have eight"],
        ),
    ],
)
def test_is_it_safe_to_share(scores, wording, changed, verdict, sentences):
    tuned = scores["memory"]["overlap"]["tuned"]
    for name, measure in changed.items():
        (tuned if name in tuned else scores["memory"])[name] = measure
    judged = {name: scores["memory"][name] for name in (*SHARES, "membership")}
    scores["memory"] |= verdict_of({**judged, "personal_data": 0})
    answer = verdicts.safe(scores, wording, EVALUATE)
    assert answer.verdict == verdict
    for sentence in sentences:
        assert sentence in " ".join(answer.sentences)


def test_copies_among_long_replies_and_whole_ones_stand_beside_the_authors(scores, wording):
    for source, copied, whole, long in (("author", 0.1, 0.2, 90), ("tuned", 0.3, 0.4, 80)):
        measures = {"copied": interval(copied, 0.02), "whole": interval(whole, 0.02), "long": long}
        scores["memory"]["overlap"][source] |= measures
    text = " ".join(verdicts.safe(scores, wording, EVALUATE).sentences)
    assert "Of its 80 replies of eight words or more, 30% [28%, 32%] repeat" in text
    assert "of your 90 new ones of that length, 10% [8%, 12%] do" in text
    assert "Of all its replies, 40% [38%, 42%] say again, whole" in text
    assert "of your new ones, 20% [18%, 22%] do" in text


def test_each_answer_ends_with_what_it_was_measured_on(scores, wording):
    scores["style"] |= {"replies": 31, "from_test": 17, "sessions": 13}
    scores["style"]["author_score"]["tuned"]["bundles"] = 3
    scores["style"]["author_score"]["ceiling"]["bundles"] = 16
    scores["test"] = {"replies": 85, "sessions": 18, "own_characters": 1}
    scores["relevance"] |= {"contexts": 20}
    scores["relevance"]["tuned"]["mrr"]["n"] = 14
    scores["memory"] |= {"replies": 31, "members": 27}
    numbers = {
        "sound": {"31", "17", "14", "13", "3", "16"},
        "answer": {"20", "14"},
        "worth": {"85", "18", "31"},
        "safe": {"31", "17", "27"},
    }
    for answer in verdicts.four_answers(scores, wording, EVALUATE, WITH_EXAMPLES):
        last = answer.sentences[-1]
        assert numbers[answer.name] <= set(re.findall(r"\d+", last)), last
        assert last.startswith("*")
    lead = wording.texts["page"]["lead"]
    assert "replies}" not in lead
    assert "true value" in lead


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_verdict_has_words_and_a_tone(language):
    for verdict in Wording(language).group("verdicts"):
        assert verdicts.Answer("", verdict, []).tone in ("good", "bad", "mixed", "unknown")


def test_habits_that_are_off_come_furthest_first():
    table = {
        "far": {"distance": 0.9, "own_high": 0.1},
        "near": {"distance": 0.1, "own_high": 0.1},
        "off": {"distance": 0.2, "own_high": 0.1},
        "slipped_once": {"distance": 0.01, "own_high": 0.0},
        "slipped_often": {"distance": 0.9, "own_high": 0.0},
        "never": {"distance": 0.0, "own_high": 0.0},
    }
    # 9 times the limit, then 2 times; last, habits without a limit.
    assert verdicts.habits_off(table) == ["far", "off", "slipped_often", "slipped_once"]
    assert verdicts.habits_off({"far": {"distance": 0.9}}) is None


def test_beside_the_habits_that_are_off_stands_how_many_chance_alone_makes(scores, wording):
    row = {"own": 0.05, "own_high": 0.1, "alarm": 0.05}
    off, never = row | {"distance": 0.2}, row | {"distance": 0.0, "own_high": 0.0, "alarm": 0.0}
    table = {f"habit_{number}": off for number in range(10)} | {"never": never}
    scores["style"]["habits"] = {"base": table, "tuned": table}
    text = " ".join(verdicts.sound(scores, wording, EVALUATE).sentences)
    assert "Of 11 habits measured, 10 are further" in text
    assert "By chance alone 0.5 are to be expected." in text  # ten times 0.05


def test_the_measures_see_through_the_impostors(measured):
    rows, ceiling = measured["controls"], measured["style"]["author_score"]["ceiling"]
    assert {name: controls.holds(name, row, ceiling, EVALUATE) for name, row in rows.items()} == {
        "friend": True,
        "shuffled": True,
        "copy": True,
    }
    assert rows["friend"]["told"]["low"] > 0.8
    assert rows["shuffled"]["copied_beyond_own"]["value"] == 0


@pytest.mark.parametrize(
    ("name", "score", "copied", "whole", "holds"),
    [
        ("friend", interval(0.76), few(), few(), False),  # fooled: as high as the author
        ("friend", interval(0.9), few(), few(), False),
        ("friend", interval(0.7), few(), few(), None),  # -0.05 with 0.07 to both sides
        ("friend", interval(0.2), few(), few(), True),
        ("shuffled", interval(0.76), few(), few(), True),
        ("shuffled", interval(0.76, 0.3), few(), few(), None),  # overlaps, and no more
        ("shuffled", interval(0.9), few(), few(), False),
        ("shuffled", interval(0.2), few(), few(), False),
        ("copy", interval(0.76), interval(0.5), few(), True),
        ("copy", interval(0.9), interval(0.5), few(), True),
        ("copy", interval(0.76), few(), interval(0.5), True),
        ("copy", interval(0.76), interval(0.05), interval(0.05), False),  # at the limit
        ("copy", interval(0.76), few(), few(), None),
        ("copy", interval(0.7), interval(0.5), few(), None),
        ("copy", interval(0.2), interval(0.5), few(), False),
        ("base", few(0.2), few(), few(), None),
    ],
)
def test_a_measure_that_its_impostor_fools_is_said_to_be(name, score, copied, whole, holds):
    row = {"score": score, **dict(zip(controls.COPIES, (copied, whole), strict=True))}
    assert controls.holds(name, row, interval(0.75), EVALUATE) is holds


def likely(turns, author):
    """The names in table SECOND_NAMES."""
    return second_name.suspects(turns, author, EVALUATE)["name"].tolist()


def under_two_names(turns, which):
    """`turns` in which the author is called otherwise in some."""
    renamed = turns["author"].eq("Juli") & which(turns)
    return turns.assign(author=turns["author"].mask(renamed, "J. del trabajo"))


@pytest.mark.parametrize(
    "which",
    [
        lambda turns: turns["chat"].eq("Mamá"),
        lambda turns: turns["session"] % 2 == 0,
        lambda turns: turns["session"] % 4 == 2,  # of one chat, half
    ],
    ids=["by chat", "half of both chats", "little"],
)
def test_a_second_name_of_the_author_is_noticed(which, scores):
    turns = under_two_names(chats(), which)
    assert likely(turns, "Juli") == ["J. del trabajo"]
    for language in LANGUAGES:
        wording = Wording(language)
        text = " ".join(verdicts.sound(scores, wording, EVALUATE, ["J. del trabajo"]).sentences)
        assert "J. del trabajo" in text
        assert "people.yaml" in text


def test_the_page_names_them(elsewhere):
    folder, arguments = elsewhere
    assert "escribe como vos" not in (folder / "reports" / "report.md").read_text("utf-8")
    two = under_two_names(chats(), lambda turns: turns["session"] % 2 == 0)
    names = second_name.suspects(two, "Juli", EVALUATE)
    tables.write(names, folder / "data" / "second_names.parquet", tables.SECOND_NAMES)
    stage.main(*arguments)
    for name in ("report.html", "report.md"):
        assert "J. del trabajo escribe como vos" in (folder / "reports" / name).read_text("utf-8")


@pytest.mark.parametrize(("learnt", "trial"), [(4, True), (327, True), (328, False), (655, False)])
def test_a_trial_is_called_one_above_the_answers(elsewhere, capsys, learnt, trial):
    """experiment=smoke learns from 4 texts; of 655, 328 are the larger half."""
    folder, arguments = elsewhere
    metrics.write({"texts": 655, "learnt_texts": learnt}, folder / "metrics" / "train.json")
    stage.main(*arguments)
    sentence = f"Este modelo aprendió de {learnt} de los 655 textos de entrenamiento: es un ensayo"
    markdown = (folder / "reports" / "report.md").read_text("utf-8")
    html = (folder / "reports" / "report.html").read_text("utf-8")
    assert markdown.startswith(f"# ¿Se parece a vos?\n\n**{sentence}") == trial
    assert (f"<strong>{sentence}" in html) == trial
    assert (sentence in capsys.readouterr().out) == trial
    so_far = "Lo que sigue es del ensayo"  # before each of the four
    assert (markdown.count(so_far), html.count(so_far)) == ((4, 4) if trial else (0, 0))


def test_of_a_trial_nothing_is_concluded_or_advised(scores, wording):
    before = verdicts.four_answers(scores, wording, EVALUATE, WITH_EXAMPLES)
    texts = {
        answer.name: " ".join(answer.sentences) for answer in verdicts.undecided(before, wording)
    }
    concluded = {
        "worth": "fine-tuning pays here",
        "safe": "None of the measures exceeds its limit",
    }
    for answer in before:
        text = texts[answer.name]
        assert text.startswith("What follows is about the trial")
        assert answer.sentences[-1] in text  # what it was measured on
        assert concluded.get(answer.name, "") in " ".join(answer.sentences)
        assert answer.name not in concluded or concluded[answer.name] not in text
    assert "bits per character" in texts["worth"]
    assert "an AUC of" in texts["safe"]


@pytest.mark.parametrize("seed", range(3))
def test_friends_are_no_second_name(seed):
    turns = chats(seed=seed)
    group = turns.assign(chat="all of them")  # so that nobody is alone with the author
    assert likely(group, "Juli") == []
    assert likely(group, "Cami") == []


def test_who_is_alone_with_the_author_is_another_person():
    """A friend who writes exactly like the author, and gets answers."""
    turns = chats()
    mine = turns["author"].eq("Juli").to_numpy()
    twin = turns["author"].where(turns["author"].ne("Cami"), "Gemelo")
    turns = turns.assign(author=twin)
    turns.loc[turns["author"].eq("Gemelo"), "messages"] = turns.loc[
        mine & turns["chat"].eq("Cami").to_numpy(), "messages"
    ].to_numpy()[::-1]
    group = turns.assign(chat="all of them")
    assert likely(group, "Juli") == ["Gemelo"]
    assert likely(turns, "Juli") == []


def test_too_little_makes_nobody_a_second_name():
    turns = under_two_names(chats(), lambda turns: turns["session"] % 2 == 0)
    second = turns["author"].eq("J. del trabajo") & turns["split"].ne("train")
    little = turns[~second | (second.cumsum() <= 15)]  # 15 turns of two messages or so: two bundles
    assert likely(little, "Juli") == []
    assert likely(turns[turns["turn"] < 3], "Juli") == []


class Reader(HTMLParser):
    """Tags that are open, those that closed wrongly, and all attributes."""

    EMPTY = ("meta", "img", "br", "link", "input")

    def __init__(self, text):
        super().__init__()
        self.open, self.wrong, self.attributes, self.tags = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attrs]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def loads(text):
    """What a page would load: sources, links to other files, imports."""
    reader = Reader(text)
    addresses = [
        value
        for _, name, value in reader.attributes
        if name in ("src", "href", "srcset", "action", "data", "poster") and value
    ]
    addresses += re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", text)
    return [
        address
        for address in addresses
        if not str(address).startswith(("data:image/png;base64,", "#"))
    ]


def test_the_page_is_whole_and_loads_nothing(ran):
    text = (ran[0] / "reports" / "report.html").read_text("utf-8")
    reader = Reader(text)
    assert (reader.open, reader.wrong) == ([], [])
    assert loads(text) == []
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
    assert "script" not in reader.tags
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)[1]
    assert f"'{page.digest(style)}'" in policy
    assert not [pair for pair in reader.attributes if pair[1] == "style"]  # the policy forbids them
    assert text.count("data:image/png;base64,") == len(reported.PICTURES)
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for _, name, value in reader.attributes if name == "href"} <= set(ids)
    assert all(value for tag, name, value in reader.attributes if (tag, name) == ("img", "alt"))


def test_it_opens_with_the_four_answers(ran):
    for name in ("report.html", "report.md"):
        text = (ran[0] / "reports" / name).read_text("utf-8")
        wording = Wording("es")
        places = [
            text.index(wording.text(f"{question}.question"))
            for question in ("sound", "answer", "worth", "safe")
        ]
        assert places == sorted(places)
        assert places[-1] < text.index(wording.text("glance.title"))


def test_two_runs_give_the_same_bytes(ran, monkeypatch):
    folder, arguments = ran
    monkeypatch.chdir(folder)
    again = folder / "again"
    pictures = {path: path.read_bytes() for path in (folder / "plots").iterdir()}
    stage.main(*arguments[:-1], again)
    for name in ("report.html", "report.md", "samples.md", "wordcloud.png"):
        assert (again / name).read_bytes() == (folder / "reports" / name).read_bytes()
    assert {path: path.read_bytes() for path in (folder / "plots").iterdir()} == pictures


def test_english_by_setting_and_marks_in_messages_stay_text(ran, elsewhere):
    folder, arguments = elsewhere
    settings = (folder / "params.yaml").read_text("utf-8")
    (folder / "params.yaml").write_text(settings.replace("language: es", "language: en"), "utf-8")
    path = folder / "data" / "replies.parquet"
    replies = tables.read(path, tables.REPLIES)
    nasty = ["<script>alert(1)</script>", "a | b\n# no *title*", "{{ 7 * 7 }}"]
    written = {("prompt-1", "tuned"): nasty, ("prompt-2", "tuned"): [], ("prompt-2", "base"): []}
    replies["messages"] = [
        written.get((row.id, row.model), row.messages) for row in replies.itertuples()
    ]
    tables.write(replies, path, tables.REPLIES)
    stage.main(*arguments)
    text = (folder / "reports" / "report.html").read_text("utf-8")
    assert "Does it sound like you?" in text
    assert '<html lang="en">' in text
    for name in reported.PICTURES:  # they have words as well
        picture = f"plots/{name}.png"
        assert (folder / picture).read_bytes() != (ran[0] / picture).read_bytes(), picture
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "{{ 7 * 7 }}" in text
    assert "(nothing)" in text
    assert Reader(text).wrong == []
    markdown = (folder / "reports" / "report.md").read_text("utf-8")
    assert r"\<script\>alert(1)\</script\><br>a \| b<br>\# no \*title\*<br>{{ 7 \* 7 }}" in markdown
    tables_ = [block.splitlines() for block in re.findall(r"(?:^\|.*\n)+", markdown, re.MULTILINE)]
    for lines in tables_:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1, lines[0]


def test_almost_nothing_measured_still_makes_a_page(elsewhere):
    """As after `experiment=smoke` on short chats: no intervals, no private prompts."""
    folder, arguments = elsewhere
    scores = metrics.read(folder / "metrics" / "eval.json")
    for name in scores["style"]["author_score"]:
        scores["style"]["author_score"][name] = few(n=0)
    for name in scores["style"]["told_apart"]:
        scores["style"]["told_apart"][name] = few(n=1)
    scores["memory"] |= {"membership": few(n=0), "verdict": "fail", "doubts": {}}
    scores["memory"]["reasons"] = {"membership": {"value": "not measured", "most": 0.7}}
    scores["outside"] = {}
    for table in scores["style"]["habits"].values():
        for row in table.values():
            row.pop("own_high")
    metrics.write(scores, folder / "metrics" / "eval.json")
    stage.main(*arguments)
    text = (folder / "reports" / "report.html").read_text("utf-8")
    assert Reader(text).wrong == []
    assert "no se midió" in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_planted_secrets_are_in_the_section_on_memory_where_there_are_any(measured, language):
    wording = Wording(language)
    plain = sections.memorization(measured, wording, EVALUATE.sharing_limits)
    bits = {"mean": 1.5, "max": 3.25, "possible": 10.0, "n": 4}
    both = {"base": bits, "tuned": bits | {"mean": 9.75, "max": 10.0}}
    by_role = {role: {"1": both, "16": both} for role in ("author", "partner")}
    planted = measured | {
        "memory": measured["memory"] | {"canaries": {"chance": 1.4379, **by_role}}
    }
    section = sections.memorization(planted, wording, EVALUATE.sharing_limits)
    assert section.blocks[: len(plain.blocks)] == plain.blocks
    heading, text, table = section.blocks[len(plain.blocks) :]
    assert heading.text == table.title == wording.text("memory.canaries.title")
    assert wording.number(1.44) in text.text
    assert wording.number(10.0) in text.text
    assert len(table.heads) == 6
    role, roles = wording.text("memory.canaries.roles.author"), {row[0] for row in table.rows}
    assert table.rows[1] == (role, "16", "4", *map(wording.number, (1.5, 9.75, 10.0)))
    assert (len(table.rows), len(roles)) == (4, 2)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_controls_of_membership_stand_below_it(measured, language):
    wording = Wording(language)
    plain = sections.memorization(measured, wording, EVALUATE.sharing_limits).blocks[1].rows
    controls = {
        "auc": interval(0.55),
        "base_auc": interval(0.48),
        "recognized": {"0.05": interval(0.07), "0.01": few()},
    }
    against = {"test": controls, "set_aside": controls | {"auc": interval(0.52)}}
    scores = measured | {"memory": measured["memory"] | {"membership_against": against}}
    rows = sections.memorization(scores, wording, EVALUATE.sharing_limits).blocks[1].rows
    index = [row[0] for row in plain].index(wording.text("memory.membership")) + 1
    assert [*rows[:index], *rows[index + 5 :]] == plain
    assert [(row[0], row[2]) for row in rows[index : index + 5]] == [
        (wording.text(f"memory.{name}"), written)
        for name, written in (
            ("test_recognized", wording.shares(interval(0.07))),
            ("test_base", wording.interval(interval(0.48))),
            ("set_aside", wording.interval(interval(0.52))),
            ("set_aside_recognized", wording.shares(interval(0.07))),
            ("set_aside_base", wording.interval(interval(0.48))),
        )
    ]


def luminance(colour):
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(*colours):
    low, high = sorted(map(luminance, colours))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_every_colour_of_text_can_be_read_on_what_it_stands_on(scheme):
    styles = (FOLDER / "page.css").read_text("utf-8")
    blocks = re.findall(r":root \{(.*?)\}", styles, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", blocks[scheme]))
    on = {
        "paper": ("ink", "soft", "accent"),
        "card": ("ink", "soft", "good", "bad", "mixed", "unknown"),
        "mine": ("ink",),
        "theirs": ("ink",),
    }
    for ground, texts in on.items():
        for text in texts:
            assert contrast(colours[ground], colours[text]) >= 4.5, (ground, text)


def test_the_stage_depends_on_its_texts_its_templates_and_what_it_reads(ran):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    deps = set(stages["report"]["deps"])
    assert FOLDER.relative_to(ROOT).as_posix() in deps
    folder, _ = ran
    inputs = [*(folder / "data").iterdir(), *(folder / "metrics").iterdir()]
    inputs += [folder / "plots" / f"{name}.csv" for name in reported.of_pictures()]
    there = {path.relative_to(folder).as_posix() for path in inputs}
    assert there == {path for path in deps if path.startswith(("data/", "metrics/", "plots/"))}


def test_the_stage_draws_every_picture_that_dvc_expects(ran):
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    outs = [out if isinstance(out, str) else next(iter(out)) for out in stages["report"]["outs"]]
    expected = {f"plots/{name}.png" for name in reported.PICTURES}
    assert {path for path in outs if path.startswith("plots/") and path.endswith("png")} == expected
    written = {f"plots/{path.name}" for path in (ran[0] / "plots").glob("*.png")}
    assert written == expected
    assert all((ran[0] / path).is_file() for path in outs)


@pytest.mark.parametrize("language", BOTH, ids=LANGUAGES)
def test_apps_are_compared_in_a_section_of_their_own_with_the_habits_that_differ(language):
    capital = {"first": interval(0.1), "second": interval(0.9), "difference": interval(-0.8)}
    length = {"first": interval(20.0), "second": interval(21.0), "difference": interval(-1.0, 2)}
    comparison = {
        "turns": 120,
        "told_apart": interval(0.9),
        "same_app": {"whatsapp": interval(0.55)},
        "habits": {"characters": length, "capital": capital},
        "verdict": "apps",
    }
    few_turns = {"told_apart": few(n=4), "same_app": {}, "habits": {}, "verdict": "few"}
    between = {"telegram": {"whatsapp": comparison}, "signal": {"telegram": few_turns}}
    section = sections.apps(between, language)
    whole, of_habits = (block for block in section.blocks if block.kind == "table")
    assert whole.rows[0][0].startswith("Telegram ")
    assert whole.rows[0][2] == f"WhatsApp: {language.interval(interval(0.55))}"
    assert [row[3] for row in whole.rows] == [
        language.text("apps.verdicts.apps"),
        language.text("apps.verdicts.few"),
    ]
    assert whole.rows[1][2] == "–"
    assert [*of_habits.heads[1:3]] == ["Telegram", "WhatsApp"]
    assert [row[0] for row in of_habits.rows] == [language.text("apps.habits.names.capital")]
    assert of_habits.rows[0][3] == language.points(capital["difference"])


def test_every_verdict_and_habit_of_apps_has_words():
    for wording in BOTH:
        assert {*wording.group("apps.habits.names")} == {*apps.HABITS}
        assert {*wording.group("apps.verdicts")} == {"few", "none", "alone", "chats", "apps"}
