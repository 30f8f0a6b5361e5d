"""Two processors: the recorded numbers of the demo in bfloat16 and in float32 agree."""

import copy

import pytest

from benchmarks import processors
from espejo.evaluation.headlines import HEADLINES
from tests.helpers import reported

RECORDED = processors.RESULTS / processors.RUNS[1] / "eval.json"
recorded = pytest.mark.skipif(not RECORDED.is_file(), reason="float32 was not recorded yet")


def scores(**changed):
    """What a run measures, as far as it is compared."""
    return reported.likelihoods(**changed) | {
        "style": {
            "author_score": {"tuned": reported.few(0.9)},
            "told_apart": {"tuned": reported.interval(0.8)},
        },
        "memory": {
            "membership": reported.interval(0.65),
            "overlap": {"tuned": {"copied": reported.interval(0.02)}},
        },
    }


def test_a_run_agrees_with_itself():
    assert list(processors.disagreements(scores(), scores())) == []
    rows = {row.name: row.agrees for row in processors.compared(scores(), scores())}
    assert rows == {
        **{"likelihood_base": True, "likelihood_tuned": True, "own_bits": True, "gain": True},
        **{"author_score": None, "told_apart": True, "mrr": True, "membership": True},
        "copied": True,
    }


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"base": 2.951}, "likelihood_base"),
        ({"tuned": 2.511}, "likelihood_tuned"),
        ({"tuned": 2.489}, "likelihood_tuned"),
        ({"tuned": 2.56}, "own_bits"),
    ],
)
def test_a_likelihood_that_differs(change, name):
    wrong = [text.split(":")[0] for text in processors.disagreements(scores(), scores(**change))]
    assert name in wrong


@pytest.mark.parametrize("around", [0.05, 0.2])
def test_a_value_outside_the_interval_of_either(around):
    """The wide interval of one does not excuse a value outside the narrow one of the other."""
    other = scores()
    other["memory"]["membership"] = reported.interval(0.71, around)
    assert [text.split(":")[0] for text in processors.disagreements(scores(), other)] == [
        "membership"
    ]
    assert list(processors.disagreements(other, scores()))


@pytest.mark.parametrize(("value", "agrees"), [(0.86, True), (0.88, False)])
def test_two_draws_may_differ_by_what_both_leave_open(value, agrees):
    # 0.8 ± 0.05 and value ± 0.05: apart by at most the root of 0.05² + 0.05², which is 0.0707.
    other = scores()
    other["style"]["told_apart"]["tuned"] = reported.interval(value)
    for pair in ((scores(), other), (other, scores())):
        assert (list(processors.disagreements(*pair)) == []) is agrees


def test_what_only_one_of_them_measured_disagrees():
    other = scores()
    other["memory"]["membership"] = {"n": 0, "interval": "too few"}
    assert list(processors.disagreements(scores(), other))
    other = scores()
    other["style"]["author_score"]["tuned"] = reported.interval(0.9)
    assert list(processors.disagreements(scores(), other))


@recorded
def test_bfloat16_and_float32_agree_on_the_demo():
    first, second = map(processors.recorded, processors.RUNS)
    assert first != second  # two runs, not one copied twice
    assert list(processors.disagreements(first, second)) == []
    names = {row.name for row in processors.compared(first, second)}
    of_chats = set(HEADLINES) - {"facts_held", "chrf"}
    assert names == of_chats | {"likelihood_base", "likelihood_tuned"}


@recorded
@pytest.mark.parametrize("name", ["own_bits", "gain", "told_apart", "mrr", "membership", "copied"])
def test_a_doctored_copy_of_the_recorded_numbers_is_noticed(name):
    first, second = map(processors.recorded, processors.RUNS)
    doctored = copy.deepcopy(second)
    place = doctored
    for key in HEADLINES[name]:
        place = place[key]
    width = place["high"] - place["low"]
    place |= {end: place[end] + 2 * width for end in ("value", "low", "high")}
    assert any(text.startswith(name) for text in processors.disagreements(first, doctored))
