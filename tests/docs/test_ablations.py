"""The differences of docs/findings.md: by hand, by simulation, in step with the page's words."""

import json
import math

import numpy as np
import pytest
from scipy import stats

from benchmarks import ablations as benchmark
from benchmarks import paired
from benchmarks.chats import prepared
from docs import ablations
from tests.helpers.configs import typed
from tests.helpers.workshop import ROOT

BIT = math.log(2)  # nats


def test_bits_are_of_all_sessions_together():
    # 3 + 5 bits on 4 characters, not the mean of 3 / 1 and 5 / 3.
    assert paired.bits({"a": 3 * BIT, "b": 5 * BIT}, {"a": 1, "b": 3}) == pytest.approx(2.0)


def test_trainings_vary_around_the_mean_of_their_own_setting():
    # (1, 3): squares 1 + 1; (10, 10, 13): mean 11, squares 1 + 1 + 4; a single one says nothing.
    assert paired.training_variance([(1, 3), (10, 10, 13), (7,)]) == (8 / 3, 3)


@pytest.mark.parametrize(("last", "outliers"), [(5.0, {"c"}), (4.0, set())])
def test_a_setting_whose_trainings_vary_far_more_counts_for_itself(last, outliers):
    # Variances 0.02, 0.02, and 2 or 0.5: F of 100 or 25 with 1 and 2 degrees of freedom, which is
    # the square of t = 10 or 5 with two: by the tables, chances of 0.0099 and 0.038. The limit is
    # 0.05 / 3.
    groups = {"a": (1.0, 1.2), "b": (2.0, 2.2), "c": (3.0, last), "once": (9.0,)}
    assert paired.unstable(groups) == outliers


def test_settings_that_are_alike_to_the_digit_are_no_reason_to_divide():
    assert paired.unstable({"a": (1.0, 1.0), "b": (2.0, 2.0), "c": (3.0, 4.0)}) == set()


def test_trainings_without_a_second_seed_have_no_spread():
    with pytest.raises(ValueError, match="two seeds"):
        paired.training_variance([(1.0,), (2.0,)])


def test_an_effect_by_hand():
    # Two sessions of 10 characters; the change costs 2 bits in one and 4 in the other, with one
    # training each: the mean is 6 / 20. Residuals of -1 and +1 bit: 2 * 2 / 1 / 20² = 0.01 from
    # the sessions, and 2 * 0.005 from the trainings. Degrees of freedom: 0.02² / (0.01² / 1 +
    # 0.01² / 1) = 2, whose t at 95 % is 4.30265.
    chars = {"a": 10.0, "b": 10.0}
    default = [{"a": 5 * BIT, "b": 7 * BIT}]
    changed = [{"a": 7 * BIT, "b": 11 * BIT}]
    effect = paired.effect(changed, default, chars, (0.005, 1), 0.95)
    half = 4.30265 * math.sqrt(0.02)
    assert effect.value == pytest.approx(0.3)
    assert (effect.low, effect.high) == pytest.approx((0.3 - half, 0.3 + half), rel=1e-5)
    assert (effect.seeds, effect.sessions) == (1, 2)


def test_an_unstable_setting_has_its_own_part():
    # The sessions as above, 0.01; the change's one training 0.03, the default's one 0.005.
    chars = {"a": 10.0, "b": 10.0}
    default, changed = [{"a": 5 * BIT, "b": 7 * BIT}], [{"a": 7 * BIT, "b": 11 * BIT}]
    effect = paired.effect(changed, default, chars, (0.005, 1), 0.95, (0.03, 1))
    freedom = 0.045**2 / (0.01**2 + 0.03**2 + 0.005**2)
    assert effect.value == pytest.approx(0.3)
    half = stats.t.ppf(0.975, freedom) * math.sqrt(0.045)
    assert (effect.low, effect.high) == pytest.approx((0.3 - half, 0.3 + half))


def test_more_seeds_make_the_training_s_part_smaller():
    chars = {str(session): 10.0 for session in range(20)}
    noise = np.random.default_rng(0).normal(size=20)
    default = {str(session): 20.0 for session in range(20)}
    changed = {str(session): 20.0 + noise[session] for session in range(20)}
    widths = []
    for seeds in (1, 4):
        effect = paired.effect([changed] * seeds, [default] * seeds, chars, (0.01, 30), 0.95)
        widths.append(effect.high - effect.low)
    assert widths[1] < widths[0]


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_intervals_hold_the_true_difference_as_often_as_they_say(spread):
    # Sessions differ in how much a change helps, trainings in how well they went; the truth is 0.1.
    random, hits, rounds = np.random.default_rng(5), 0, 400
    for _ in range(rounds):
        size = random.integers(50, 300, 20)
        chars = {str(session): float(count) for session, count in enumerate(size)}
        by_session = random.normal(0.1, 0.05, 20)
        runs = []
        for _ in range(3):
            shift = by_session + random.normal(0, spread) + random.normal(0, 0.01, 20)
            runs.append({str(i): float(shift[i] * size[i] * BIT) for i in range(20)})
        plain = []
        for _ in range(3):
            level = random.normal(0, spread) + random.normal(0, 0.01, 20)
            plain.append({str(i): float(level[i] * size[i] * BIT) for i in range(20)})
        others = random.normal(0, spread, (10, 3))  # settings from which the spread is known
        training = paired.training_variance(others.tolist()) if spread else (0.0, 1)
        effect = paired.effect(runs, plain, chars, training, 0.95)
        # Weighted by characters, the true difference of these sessions' like is 0.1.
        hits += effect.low <= 0.1 <= effect.high
    assert 0.92 <= hits / rounds <= 0.995


@pytest.mark.parametrize(
    ("ends", "verdict"),
    [
        ((-0.3, -0.1), "lower"),
        ((0.001, 0.1), "higher"),
        ((-0.01, 0.01), "alike"),
        ((-0.01, 0.03), "unclear"),
    ],
)
def test_what_an_interval_says(ends, verdict):
    assert paired.Effect(0.0, *ends, seeds=3, sessions=20).verdict(0.02) == verdict


def line(chats, change, seed, nats, **more):
    """A run on record of two sessions with ten characters each."""
    return {
        "chats": chats,
        "model": "gemma3",
        "change": change,
        "seed": seed,
        "own_nats": {"tuned": {"1": nats[0], "2": nats[1]}},
        "own_chars": {"1": 10.0, "2": 10.0},
        "processor_seconds": 100.0,
        **more,
    }


def test_a_change_is_compared_with_the_defaults_on_the_same_chats():
    record = ablations.Record(
        [
            line("demo", "default", 1, (10 * BIT, 10 * BIT)),
            line("demo", "default", 2, (10 * BIT, 12 * BIT)),
            line("other", "default", 1, (90 * BIT, 90 * BIT)),
            line("demo", "rank 4", 1, (12 * BIT, 12 * BIT), processor_seconds=50.0),
        ]
    )
    # 24 bits on 20 characters against (20 + 22) / 2.
    assert record.effect("rank 4", "demo", "gemma3").value == pytest.approx(0.15)
    assert record.seconds("rank 4", "demo", "gemma3") == 0.5
    assert record.comparisons() == 1  # so the interval is one of 95 %
    # The two defaults: 1.0 and 1.1 bits.
    assert record.training("demo") == (pytest.approx(0.005), 1)


def test_the_sentence_says_what_a_change_did_where():
    def effect(low, high):
        return paired.Effect((low + high) / 2, low, high, seeds=3, sessions=20)

    better, worse = effect(-0.3, -0.1), {"a": effect(0.1, 0.3), "b": effect(0.02, 0.04)}
    assert ablations._sentence("rank 4", worse) == (
        "Rank 4: worse on both (+0.030 to +0.200 bits)."
    )
    mixed = {"a": better, "b": effect(-0.01, 0.01), "c": effect(-0.1, 0.1), "d": effect(-0.1, 0.2)}
    assert ablations._sentence("2 epochs", mixed) == (
        "2 epochs: better on a (-0.200 bits); no difference of 0.02 bits or more on b; "
        "cannot be told from the defaults on c and d."
    )


def test_the_page_says_what_follows_from_each_change_that_is_better_somewhere():
    page = (ROOT / "docs" / "findings.md").read_text("utf-8")
    told = page.split("## What follows for the defaults")[1].split("\n## ")[0].lower()
    record = ablations.Record(ablations.runs())
    better = {
        change
        for question in ablations.QUESTIONS
        for change in question.commands
        for pair in record.pairs(change)
        if record.effect(change, *pair).verdict(ablations.USEFUL) == "lower"
    }
    assert better
    assert not [change for change in better if change not in told]


def test_the_default_model_is_the_better_one_on_all_chats():
    # As the page and README say, who recommend it for English too.
    rows = [row.split("|") for row in ablations.ablations_models().splitlines()]
    differences = {row[1].strip(): row[5] for row in rows if "SmolLM2" in row[2]}
    assert set(differences) == {"demo", "ActionParsnip", "Seveas"}
    for chats, difference in differences.items():
        assert float(difference.split("[")[1].split(",")[0]) > 0, chats


def test_the_page_and_the_benchmark_ask_the_same():
    tried = {
        change
        for question, changes in benchmark.CHANGES.items()
        for change in changes
        if question not in (benchmark.DEFAULT, "model")
    }
    told = {change for question in ablations.QUESTIONS for change in question.commands}
    assert told == tried


def test_every_run_composes_and_differs_from_the_defaults_in_what_it_says(monkeypatch):
    runs = [run for run in benchmark.runs(["demo", "public"], []) if run.seed == 1]
    assert len(runs) == len(set(runs))
    # The other chats differ from the demo in their model, and so in what is said relative to it.
    relative = ("adapters in the upper half", "three times the rate")
    config = {
        run: typed(benchmark.composed(benchmark.settings(run, ROOT / "data/raw/demo")))
        for run in runs
        if run.chats == "demo" or run.change in relative
    }
    default = config[benchmark.Run("demo", "gemma3", "default", 1)]
    assert (default.group.validation, default.train.evals_per_run) == (0.3, 1)

    def of(change, chats="demo", model="gemma3"):
        return config[benchmark.Run(chats, model, change, 1)]

    assert of("rank 4").train.rank == 4
    assert of("adapters in the upper half").train.layers == 9
    assert of("adapters in the upper half", "public", "smollm2").train.layers == 15
    assert of("three times the rate").train.learning_rate == pytest.approx(3e-3)
    assert of("three times the rate", "public", "smollm2").train.learning_rate == pytest.approx(
        9e-3
    )
    assert of("similarity filter").filter.similarity.least == 0.3
    assert of("tags in place of roles", model="smollm2").format.name == "turns"
    assert of("history 8").group.history == 8


def test_chats_whose_defaults_were_trained_once_are_left_out(tmp_path):
    lines = [
        line("demo", "default", 1, (1, 1)),
        line("demo", "default", 2, (1, 1)),
        line("other", "default", 1, (1, 1)),
        line("other", "rank 4", 1, (1, 1)),
    ]
    path = tmp_path / "ablations.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), "utf-8")
    assert {run["chats"] for run in ablations.runs(path)} == {"demo"}
    assert ablations.runs(tmp_path / "none.jsonl") == []


def test_the_runs_on_record_quote_nobody():
    if not ablations.RUNS.is_file():
        pytest.skip("no run is on record yet")
    changes = {change for asked_together in benchmark.CHANGES.values() for change in asked_together}
    for run in map(json.loads, ablations.RUNS.read_text("utf-8").splitlines()):
        numbers = [run["own_chars"], *run["own_nats"].values()]
        assert all(key.isdigit() for sums in numbers for key in sums)
        assert run["change"] in changes


def test_what_is_scored_are_the_sessions_before_the_test():
    raw = ROOT / "data" / "raw" / "demo"
    params = benchmark.composed([f"data.raw={raw}", f"group.validation={benchmark.SCORED}"])
    whole = prepared(params).examples
    table, people = benchmark.examples(params)
    assert people["name"].is_unique
    tested = set(whole.loc[whole["split"].eq("test"), "id"])
    scored = set(whole.loc[whole["split"].eq("validation"), "id"])
    assert tested
    assert not tested & set(table["id"])
    assert set(table.loc[table["split"].eq("test"), "id"]) == scored
    assert set(table["split"]) == {"train", "test"}
