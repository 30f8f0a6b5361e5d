"""How sampling settings and encoders are compared: by hand, and with scores that are told apart."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import choice, encoders, sampling
from docs import better_mirror
from espejo.evaluation import two_sample
from tests.helpers.configs import EVALUATE
from tests.helpers.synthetic import chats, pairs


def line(area, repeated=0.0, new_words=0.0, **values):
    limits = {name: {"value": 0, "high": 0.1} for name in ("own_repeated", "own_new_words")}
    measures = {"repeated": {"value": repeated}, "new_words": {"value": new_words}}
    return {"areas": {"all": area}, **measures, **limits, **values}


def test_areas_are_those_of_the_two_sample_test():
    turns = chats(sessions=120)
    rows = pairs(turns, "test")
    real, sessions = rows["reply"].tolist(), rows["session"].tolist()
    friend = turns[turns["author"].eq("Cami")]["messages"].tolist()
    mixed = [own if place % 3 else friend[place] for place, own in enumerate(real)]
    generated, groups = [*mixed, *mixed[::-1]], [*sessions, *sessions]
    got = choice.session_areas(real, generated, sessions, groups, EVALUATE)
    measure = two_sample.told_apart(real, generated, sessions, EVALUATE, groups)
    assert got["all"] == pytest.approx(measure["value"])
    assert {name for name in got if name != "all"} == set(map(str, sessions))


def test_a_paired_difference_by_hand():
    # Ten sessions, whose areas differ by 0.1 up or down: the squares add up to 0.1, times 9 / 10,
    # times 1 + 5 / 4 for five folds: 0.2025, the square of 0.45. Student's t with 9 degrees: 2.262.
    areas = {str(n): 0.7 + (0.1 if n % 2 else -0.1) for n in range(10)} | {"all": 0.6}
    other = {str(n): 0.7 for n in range(10)} | {"all": 0.8}
    got = choice.paired_difference(areas, other, 0.95)
    assert got["value"] == pytest.approx(-0.2)
    assert got["high"] - got["value"] == pytest.approx(2.262 * 0.45, rel=1e-3)
    assert got["value"] - got["low"] == pytest.approx(2.262 * 0.45, rel=1e-3)
    few = {name: area for name, area in areas.items() if name != "3"}
    assert choice.paired_difference(few, other, 0.95)["interval"] == "too few"


def test_ten_comparisons_take_a_tenth_of_the_error():
    assert choice.corrected(0.95, 10) == pytest.approx(0.995)
    assert choice.corrected(0.95, 0) == 0.95


def test_what_repeats_or_invents_more_than_the_author_is_not_allowed():
    assert choice.allowed(line(0.9, repeated=0.1, new_words=0.1))
    assert not choice.allowed(line(0.6, repeated=0.11))
    assert not choice.allowed(line(0.6, new_words=0.11))


def settled(value, shift):
    """A line whose session areas are those of the default but for `shift`, nearly the same."""
    areas = {str(n): 0.9 + shift + n / 1e4 * (shift != 0) for n in range(20)}
    settings = {"temperature": value, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}
    return line(0.9 + shift, 0.0, setting={**settings, "examples": 0}) | {
        "areas": {**areas, "all": 0.9 + shift}
    }


def test_the_default_stays_unless_another_certainly_beats_it():
    default, sure, surer = settled(0.7, 0.0), settled(0.9, -0.2), settled(1.0, -0.3)
    assert "becomes **0.9, no limit" in better_mirror.chosen([default, sure])
    assert "the default stays" in better_mirror.chosen([default, settled(1.0, -0.001)])
    assert "the default stays" in better_mirror.chosen([default, settled(1.0, 0.2)])
    assert "becomes **1, no limit" in better_mirror.chosen([default, sure, surer])


def test_a_setting_that_invents_words_is_not_chosen_however_low_its_auc():
    default, sure = settled(0.7, 0.0), settled(0.9, -0.2)
    inventing = {**settled(1.0, -0.3), "new_words": {"value": 0.2}}
    verdict = better_mirror.chosen([default, sure, inventing])
    assert "Not allowed: 1, no limit" in verdict
    assert "becomes **0.9, no limit" in verdict


def test_new_words_by_hand():
    # Of nine words, "xq" and "zurbo" are new; a number is no word of letters.
    replies = [["hola che", "xq 1999"], ["zurbo hola"], ["che", "che hola hola"]]
    got = sampling.new_words(replies, {"hola", "che"}, [1, 2, 3], EVALUATE)
    assert got["value"] == pytest.approx(2 / 9)


def test_repeated_trigrams_by_hand():
    # "a b c a b c" has four 3-grams, of which "a b c" comes twice; "uno dos tres" has one.
    got = sampling.repeated([["a b c", "a b c"], ["uno dos tres"], ["sí"]], [1, 2, 3], EVALUATE)
    assert got["value"] == pytest.approx(1 / 5)


def test_a_run_goes_on_where_it_was_stopped(tmp_path):
    path = tmp_path / "sampling.jsonl"
    assert sampling.done(path, "demo") == set()
    first = {"chats": "demo", "setting": sampling.SETTINGS[0]._asdict()}
    other = {"chats": "others", "setting": sampling.SETTINGS[1]._asdict()}
    path.write_text(f"{json.dumps(first)}\n{json.dumps(other)}\n", "utf-8")
    assert sampling.done(path, "demo") == {sampling.SETTINGS[0]}


def test_all_settings_differ():
    assert len(set(sampling.SETTINGS)) == len(sampling.SETTINGS)


def test_a_threshold_by_hand():
    # Above 0.5 lie three of four true pairs and one of four others: J is 1/2, and nowhere more.
    scores = np.array([[0.9, 0.5], [0.8, 0.4], [0.7, 0.3], [0.2, 0.75]])
    assert encoders.youden(scores) == 0.5
    assert encoders.kept(scores, 0.5) == {"true": 0.75, "exchanged": 0.25}
    limits = encoders.threshold(np.tile(scores, (5, 1)), np.arange(20), seed=1)
    assert limits["low"] <= limits["value"] <= limits["high"]


def test_a_context_is_compared_with_each_candidate():
    unit = {"a": [1.0, 0.0], "b": [0.0, 1.0], "c": [0.6, 0.8]}
    embed = lambda texts: np.array([unit[text] for text in texts])  # noqa: E731
    encoder = SimpleNamespace(of_contexts=embed, of_replies=embed)
    indices = np.array([[0, 2], [1, 0]])
    got = encoders.by_cosine(encoder)(["a", "b", "c"], ["a", "b", "c"], indices)
    assert got == pytest.approx(np.array([[1.0, 0.6], [1.0, 0.0]]))


def test_words_in_common_rank_a_reply_first():
    contexts = ["vamos al cine?", "compraste pan?"]
    got = encoders.by_words(contexts, ["al cine sí", "pan no"], np.array([[0, 1], [1, 0]]))
    assert (got[:, 0] > got[:, 1]).all()
