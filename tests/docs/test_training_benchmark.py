"""What the benchmarks count, by hand, and a clock that stops during evaluation."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from benchmarks import floor, pipeline, recipes, training
from tests.helpers import tiny
from tests.prediction.test_losses import rows


@pytest.mark.parametrize(("method", "expected"), [("full", 1_128_960), ("lora", 752_640)])
def test_work_is_counted_by_weights_and_tokens(method, expected):
    # A layer: q and o 32 x 32, k and v 32 x 16, three of 32 x 64: 9,216 weights; the head 40 x 32.
    # 2 * (2 * 9,216 * 10 tokens + 1,280 * 3 labels) = 376,320 forward, and 2 or 3 times that.
    assert training.flops(tiny.llama(40), tokens=10, learnt=3, method=method) == expected


@pytest.mark.parametrize(
    ("figure", "seconds"),
    [(3.1, 0), (2.75, 5), (2.5, 10), (2.45, 15), (2.42, 18), (2.405, None), (2.3, None)],
)
def test_a_figure_is_reached_on_the_line_between_two_looks(figure, seconds):
    reached = recipes.reached({0.0: 3.0, 10.0: 2.5, 20.0: 2.4, 30.0: 2.41}, figure)
    assert reached == (None if seconds is None else pytest.approx(seconds))


def test_a_dip_that_rises_again_has_not_reached_a_figure():
    assert recipes.reached({0.0: 3.0, 10.0: 2.5, 20.0: 2.8, 30.0: 2.4}, 2.6) == pytest.approx(25)


def test_the_clock_counts_steps_and_not_looks(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(recipes.time, "perf_counter", lambda: now[0])

    def look(model):
        now[0] += 1000
        return now[0]

    clock, model = recipes.Clock(look, looks=2), tiny.llama(40)
    clock.on_train_begin(None, None, None, model=model)
    for step in (1, 2, 3, 4):
        now[0] += 7  # a validation between two steps
        clock.on_step_begin(None, None, None, model=model)
        now[0] += step
        state = SimpleNamespace(global_step=step, max_steps=4)
        clock.on_step_end(None, state, None, model=model)
    # Steps take 1, 2, 3 and 4 seconds; looked at before the first, after the second and the last.
    assert clock.seconds == 10
    assert list(clock.curve) == [0, 3, 10]
    assert model.training


@pytest.mark.parametrize(("share", "kept"), [(1, range(9)), (0.34, [0, 4, 8]), (0.01, [0, 8])])
def test_a_share_is_spread_over_all_sessions(share, kept):
    rows = pd.DataFrame({"session": [session for session in range(9) for _ in range(3)]})
    sessions = recipes.some(rows, share)["session"].tolist()
    assert sessions == [session for session in kept for _ in range(3)]


def test_one_by_one_and_batched_give_the_same_losses():
    texts = rows([12, 5, 30, 7, 30, 19], first_label=4)
    result = training.both_ways(tiny.llama(50), texts, batch_tokens=64)
    assert result["largest_difference"] < 1e-5
    assert result["one_by_one_per_second"] > 0


def test_what_other_machines_took_is_told_where_it_is_known():
    before = SimpleNamespace(user=10.0, system=1.0, steal=5.0, idle=100.0)
    after = SimpleNamespace(user=70.0, system=11.0, steal=35.0, idle=900.0)  # 60 + 10 + 30
    assert pipeline.stolen(before, after) == " Other machines took 30% of the time asked for."
    assert pipeline.stolen(SimpleNamespace(user=1.0), SimpleNamespace(user=2.0)) == ""


def test_the_floor_counts_tokens_labels_and_both_ways(monkeypatch):
    # A second for each row of each product, and two there and back.
    monkeypatch.setattr(floor, "seconds_per_row", lambda *shape, back=False: 1.0 + shape[-1])
    model = tiny.llama(40)
    batches = [rows([5, 7], first_label=3), rows([6, 6], first_label=3)]
    # 2 layers of 7 products a token; 24 tokens, and 2 + 4 + 3 + 3 = 12 labels at the head.
    forth = (24 * 14 + 12) * torch.get_num_threads()
    assert floor.floor(model, batches, back=False) == pytest.approx(forth)
    assert floor.floor(model, batches, back=True) == pytest.approx(2 * forth)
    measured = {"tokens": 24, "labels": 12, "seconds": 3.0, "floor": 2.0}
    assert floor.work(batches, 3.0, 2.0) == measured
    markdown = floor.table({"training": measured, "scoring the test replies": measured})
    assert markdown.endswith("| training | 24 | 12 | 3.0 | 2.0 | 1.50 |")
