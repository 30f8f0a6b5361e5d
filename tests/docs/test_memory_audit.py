"""The benchmark of memory: attacks by hand, controls, and the tables of docs/memory-audit.md."""

import json

import numpy as np
import pandas as pd
import pytest
import yaml

from benchmarks import memory_audit as benchmark
from docs import memory_audit as tables
from tests.helpers.configs import EVALUATE


def test_attacks_by_hand():
    # Ten tokens: Min-K% looks at the two least likely. One token: at that one.
    rows = pd.DataFrame(
        {
            "id": ["a", "b"],
            "session": [1, 2],
            "split": ["train", "test"],
            "chars": [20, 4],
            "zipped": [8, 5],
            "base": [[1.0] * 8 + [4.0, 6.0], [3.0]],
            "tuned": [[0.5] * 8 + [4.0, 2.0], [3.5]],
            "base_all": [20.0, 4.0],
            "tuned_all": [10.5, 3.75],
        }
    )
    got = benchmark.attacks(rows).iloc[:, 3:].to_dict("list")
    expected = {
        "base_alone": [-18 / 20, -3 / 4],
        "loss": [-10 / 20, -3.5 / 4],
        "loss_per_token": [-1.0, -3.5],
        "loss_by_zlib": [-10 / 8, -3.5 / 5],
        "min_k": [-3.0, -3.5],
        "difference": [8 / 20, -0.5 / 4],
        "difference_per_token": [0.8, -0.5],
        "difference_summed": [8.0, -0.5],
        "difference_with_marks": [9.5 / 20, 0.25 / 4],
        "min_k_difference": [2.0, -0.5],
        "ratio": [-10 / 18, -3.5 / 3],
    }
    assert got.keys() == expected.keys() == tables.ATTACKS.keys()
    for name, values in expected.items():
        assert got[name] == pytest.approx(values), name


def tokens(memory, seed=3):
    """A table like that of `score_tokens`: training saves `memory` nats more on a learnt token."""
    drawn, rows = np.random.default_rng(seed), []
    for split, number in (("train", 120), ("set_aside", 60), ("test", 60)):
        for index in range(number):
            base = drawn.gamma(2, 2, drawn.integers(3, 20))
            tuned = base - drawn.normal(0.3 + memory * (split == "train"), 1, len(base))
            rows.append(
                {
                    "id": f"{split}{index}",
                    "session": len(rows) // 3,
                    **{"split": split, "chars": 4 * len(base), "zipped": 10 + 2 * len(base)},
                    **{"base": base.tolist(), "tuned": tuned.tolist()},
                    **{"base_all": base.sum() + 1, "tuned_all": tuned.sum()},
                }
            )
    return pd.DataFrame(rows)


@pytest.fixture
def recorded(tmp_path):
    """recorded(memory): the numbers of a run whose model remembers so much."""

    def run(memory):
        folder = tmp_path / str(memory)
        (folder / "metrics").mkdir(parents=True)
        params = {"model": {"name": "tiny"}, "evaluate": EVALUATE.model_dump()}
        (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
        measure = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 20}
        bits = {name: {"mean": 1.4, "max": 2.0, "possible": 10.0, "n": 4} for name in ("base",)}
        bits["tuned"] = {"mean": 3.25, "max": 9.0, "possible": 10.0, "n": 4}
        memory_section = {
            "membership_against": {"test": {"auc": measure, "base_auc": measure}},
            "overlap": {"tuned": {"whole": measure, "copied": measure}},
            "canaries": {"chance": 1.44, "author": {"1": bits}, "partner": {"1": bits}},
            "members": 100,
            "verdict": "pass",
        }
        scores = {name: {"own_bits_per_character": measure} for name in ("base", "tuned")}
        scores["memory"] = memory_section
        (folder / "metrics" / "eval.json").write_text(json.dumps(scores), "utf-8")
        trained = {"steps": 3, "loss_train": 1.0}
        (folder / "metrics" / "train.json").write_text(json.dumps(trained), "utf-8")
        for name, seconds in (("train", 60), ("evaluate", 90), ("tokens", 30)):
            (folder / f"{name}.seconds").write_text(f"{seconds}\n", "utf-8")
        tokens(memory).to_parquet(folder / benchmark.TOKENS)
        return benchmark.numbers(folder, ("train.epochs=3",))

    return run


def test_a_model_that_remembers_is_told_from_one_that_does_not(recorded):
    none, much = recorded(0), recorded(1)
    for split in ("set_aside", "test"):
        nothing = none["attacks"]["difference"][split]["auc"]
        assert nothing["low"] < 0.5 < nothing["high"]
        assert much["attacks"]["difference"][split]["auc"]["low"] > 0.8
        # The base model cannot know, however much the other one remembers.
        blind = much["attacks"]["base_alone"][split]["auc"]
        assert blind["low"] < 0.5 < blind["high"]
        widths = [each["width"] for each in much["sizes"][split].values()]
        assert list(much["sizes"][split]) == ["25", "50", "100", "120"]
        assert widths == sorted(widths, reverse=True)
    # Two halves that were both not learnt: a coin, whose interval misses it rarely.
    assert much["control"]["mean"] == pytest.approx(0.5, abs=0.02)
    assert much["control"]["excluded"] < 0.1
    assert much["replies"] == {"learnt": 120, "set_aside": 60, "test": 60}


def test_the_tables_hold_a_run(recorded):
    runs = {"default": recorded(1)}
    assert "| `default` | `train.epochs=3` |" in tables.table_of_runs(runs)
    assert tables.table_of_runs(runs).endswith("| pass | 3 |")
    exposures = tables.table_of_exposures(runs)
    assert "| `default` | author | 3.2 (most 9.0) | 1.4 | 1.4 |" in exposures
    assert len(tables.table_of_attacks(runs).splitlines()) == 2 + len(tables.ATTACKS)
    assert len(tables.table_of_sizes(runs).splitlines()) == 2 + 4
    assert "nan" not in tables.table_of_runs(runs) + exposures


def with_numbers(run, auc, once, recognized):
    """`run` with that AUC, exposure of a code written once, and share that "ratio" recognizes."""
    run = json.loads(json.dumps(run))
    for key, attack in run["attacks"].items():
        hits = {"value": recognized if key == "ratio" else recognized / 2}
        attack["set_aside"]["recognized"]["0.05"] = hits
    run["attacks"]["base_alone"]["set_aside"]["recognized"]["0.05"] = {"value": 0.99}
    run["attacks"]["difference"]["set_aside"]["auc"] = {"value": auc, "low": 0.1, "high": 0.9}
    run["memory"]["canaries"]["author"]["1"]["tuned"]["mean"] = once
    return run


def test_the_limit_stands_between_what_each_run_gives_away(recorded):
    run = recorded(0)
    runs = {
        "overfitted": with_numbers(run, 0.9, 5.0, 0.6),
        "default": with_numbers(run, 0.6, 1.0, 0.1),
        "all-linear": with_numbers(run, 0.8, 1.25, 0.3),
    }
    got = tables.table_of_limits(runs, 0.7).splitlines()
    assert [line.split(" | ")[0] for line in got[2:5]] == [
        "| `default`",
        "| `all-linear`",
        "| `overfitted`",
    ]
    assert [line.split(" | ")[2:5] for line in got[2:5]] == [
        ["below", "10%", "1.0"],
        ["above", "30%", "1.2"],
        ["above", "60%", "5.0"],
    ]
    # What the base model alone recognizes (99 %) is no memory.
    assert got[-1] == (
        "Below the limit the best attack recognizes 10% of the learnt replies, and a code that was "
        "written once is exposed by 1.0 bits. Above the limit the best attack recognizes 30% to "
        "60% of the learnt replies, and a code that was written once is exposed by 1.2 to 5.0 bits."
    )


def test_without_a_run_the_tables_say_so():
    for table in (
        tables.table_of_runs,
        tables.table_of_exposures,
        tables.table_of_attacks,
        tables.table_of_sizes,
    ):
        assert table({}) == tables.NOTHING
    assert tables.table_of_limits({}, 0.7) == tables.NOTHING


def test_every_run_is_in_the_tables():
    assert tuple(benchmark.RUNS) == tables.RUNS
