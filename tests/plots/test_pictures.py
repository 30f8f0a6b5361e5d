"""The plots show their tables, in words and numbers of the report's language."""

import re

import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.text import Text

from espejo.plots import activity, evaluation, style, training
from espejo.plots.wordcloud import wordcloud
from espejo.report.wording import Wording
from tests.helpers import reported
from tests.helpers.reported import few, interval

LANGUAGES = ("en", "es")
DRAWN = {
    "loss": training.loss,
    "likelihood": evaluation.likelihood,
    "reply_lengths": evaluation.reply_lengths,
    "messages_over_time": activity.messages_over_time,
    "hour_weekday": activity.hour_weekday,
    "turn_lengths": activity.turn_lengths,
}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture(params=LANGUAGES)
def wording(request):
    return Wording(request.param)


def words_of(figure):
    """All text on a figure, after it is drawn."""
    figure.canvas.draw()
    texts = {text.get_text() for text in figure.findobj(Text) if text.get_visible()}
    return texts - {""}


def scores():
    """The parts of metrics/eval.json that pictures show."""
    places = {"floor": 0.1, "nearest": 0.2, "base": 0.3, "examples": 0.4, "ceiling": 0.97}
    return reported.likelihoods() | {
        "style": {
            "replies": 31,
            "author_score": {
                **{name: interval(value, bundles=20) for name, value in places.items()},
                "tuned": few(0.81, n=4, bundles=7),
            },
            "told_apart": {"base": interval(0.91), "examples": few(n=0), "tuned": interval(0.72)},
        },
        "memory": {
            **{"replies": 31, "members": 17, "verdict": "pass_with_doubts"},
            "overlap": {
                "author": {"copied": interval(0.02, 0.01)},
                "tuned": {"copied": interval(0.34, 0.01)},
            },
            "membership": interval(0.63),
        },
    }


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_of_a_table_speaks_the_language_of_the_report(name):
    table = reported.of_pictures()[name]
    texts = [words_of(DRAWN[name](table, Wording(language))) for language in LANGUAGES]
    titles = [
        Wording(language).group(f"plots.{name}").get("title")
        or Wording(language).text(f"plots.{name}.turns.title")
        for language in LANGUAGES
    ]
    for title, own, other in zip(titles, texts, texts[::-1], strict=True):
        assert title in own
        assert title not in other


def test_curves_are_named_with_their_end_and_without_what_was_not_measured(wording):
    curve = pd.DataFrame({"step": [5, 10], "train": [4.5, 3.25], "validation": [None, 3.75]})
    figure = training.loss(curve, wording)
    train, validation = figure.axes[0].get_lines()
    assert train.get_xydata().tolist() == [[5, 4.5], [10, 3.25]]
    assert validation.get_xydata().tolist() == [[10, 3.75]]
    texts = words_of(figure)
    for name, end in (("train", 3.25), ("validation", 3.75)):
        assert wording.text(f"plots.loss.{name}", end=wording.number(end)) in texts
    alone = training.loss(curve.assign(validation=float("nan")), wording)
    assert len(alone.axes[0].get_lines()) == 1


def test_the_loss_of_preferences_has_an_axis_of_its_own(wording):
    curve = pd.DataFrame(
        {
            "step": [5, 10, 11, 12],
            "train": [4.5, 3.25, None, None],
            "validation": [None, 3.75, None, None],
            "preference": [None, None, 0.69, 0.5],
        }
    )
    figure = training.loss(curve, wording)
    left, right = figure.axes
    assert right.get_lines()[0].get_xydata().tolist() == [[11, 0.69], [12, 0.5]]
    drawn = [line.get_xydata().tolist() for line in left.get_lines() if len(line.get_xdata())]
    assert drawn == [[[5, 4.5], [10, 3.25]], [[10, 3.75]]]
    label = wording.text("plots.loss.preference", end=wording.number(0.5))
    assert label in {text.get_text() for text in left.get_legend().get_texts()}


def test_bars_of_every_model_with_their_numbers(wording):
    figure = evaluation.base_against_tuned(scores(), wording)
    heights = [bar.get_height() for bar in figure.axes[2].patches]
    assert heights == [2.94, 3.0, 2.8, 2.5]  # the messages' own bits per character
    assert {wording.number(value) for value in heights} <= words_of(figure)
    unmeasured = scores()
    unmeasured["prompted"]["same_examples"]["own_bits_per_character"] = few(n=0)
    figure = evaluation.base_against_tuned(unmeasured, wording)
    assert [bar.get_height() for bar in figure.axes[2].patches] == [2.94, 2.8, 2.5]


def test_at_a_glance_says_what_was_not_measured_or_on_little_and_the_verdict(wording):
    texts = words_of(evaluation.at_a_glance(scores(), wording))
    assert wording.text("unmeasured") in texts
    assert wording.text("plots.few", value=wording.number(0.81), n=4) in texts
    assert {wording.number(value) for value in (0.91, 0.72, 0.97, 0.34, 0.63)} <= texts
    verdict = wording.name("verdicts", "pass_with_doubts")
    (title,) = [text for text in texts if verdict in text]
    assert "31" in title
    assert "17" in title


def test_at_a_glance_of_dialogues_shows_relevance_and_copies():
    wording = Wording("en", "dialogues")
    without_style = {key: value for key, value in scores().items() if key != "style"}
    figure = evaluation.at_a_glance(without_style, wording)
    assert len(figure.axes) == 2
    texts = words_of(figure)
    assert {wording.number(value) for value in (0.48, 0.34, 0.63)} <= texts
    assert not [text for text in texts if "author" in text]


def test_at_a_glance_of_questions_shows_facts_wording_and_what_leaves_the_field():
    wording = Wording("en", "questions")
    of_questions = {key: value for key, value in scores().items() if key != "style"} | {
        "correctness": reported.correctness(base=0.11, examples=0.42, tuned=0.83, right=0.74),
        "outside": reported.outcomes(base=(1, 9, 0, 0), tuned=(0, 8, 2, 0)),
    }
    figure = evaluation.at_a_glance(of_questions, wording)
    held, right, chrf, outside = figure.axes
    assert [line.get_xdata()[0] for line in held.lines if len(line.get_xdata()) == 1] == [
        *(0.83, 0.42, 0.11),
    ]
    assert [line.get_xdata()[0] for line in chrf.lines if len(line.get_xdata()) == 1] == [
        *(0.5, 0.3, 0.2),
    ]
    texts = words_of(figure)
    assert {"0.83", "0.74", "0.50", "2 of 20", "0 of 20", "4 of 20"} <= texts
    assert "with facts: 28" in held.get_title(loc="left")
    assert "questions: 20" in outside.get_title(loc="left")
    assert right.get_title(loc="left").startswith("Its facts")
    none = evaluation.at_a_glance(of_questions | {"outside": {}}, wording)
    assert wording.text("unmeasured") in words_of(none)


@pytest.mark.parametrize("name", ["messages_over_time", "hour_weekday"])
def test_of_data_without_times_a_picture_says_so(wording, name, tmp_path):
    path = tmp_path / "none.csv"
    reported.of_pictures()[name][:0].to_csv(path, index=False)
    figure = DRAWN[name](style.read_csv(path), wording)
    assert words_of(figure) == {wording.text("plots.no_times")}
    style.save(figure, tmp_path / "none.png")
    assert (tmp_path / "none.png").read_bytes().startswith(b"\x89PNG")


def test_the_funnel_goes_down_and_names_steps_in_the_language(wording):
    table = pd.DataFrame({"step": ["messages exported", "turns"], "rows": [12345, 67]})
    figure = evaluation.funnel(table, wording)
    assert [bar.get_width() for bar in figure.axes[0].patches] == [12345, 67]
    tops = [bar.get_y() for bar in figure.axes[0].patches]
    assert tops[0] > tops[1]
    texts = words_of(figure)
    assert f" {wording.number(12345)}" in texts
    assert wording.name("plots.funnel.steps", "messages exported") in texts


def test_slices_are_named_with_how_many_replies_they_hold(wording):
    figure = evaluation.likelihood(reported.of_pictures()["likelihood"], wording)
    position, length = figure.axes
    assert [tick.get_text() for tick in position.get_xticklabels()] == ["1\n(40)", "2+\n(40)"]
    assert [tick.get_text() for tick in length.get_xticklabels()] == ["1–10\n(80)"]
    assert [line.get_ydata().tolist() for line in length.get_lines()] == [[2.94], [2.5]]


def test_hours_and_days_stand_in_their_place(wording):
    table = reported.of_pictures()["hour_weekday"]
    figure = activity.hour_weekday(table.sample(frac=1, random_state=1), wording)
    counts = figure.axes[0].get_images()[0].get_array()
    assert counts.shape == (7, 24)
    assert counts[3, 5] == 15  # day times hour
    days = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert days == wording.texts_in("plots.weekdays")


@pytest.mark.parametrize(
    ("periods", "unit", "day"),
    [
        (["2025-03-03", "2025-03-10", "2025-03-17"], "week", r"\d+ "),
        (["2025-03-01", "2025-04-01", "2025-05-01"], "month", ""),
    ],
)
def test_weeks_and_months_are_said_to_be_them(wording, periods, unit, day):
    table = pd.DataFrame({"period": periods, "author": [1, 0, 2], "others": [3, 4, 0]})
    figure = activity.messages_over_time(table, wording)
    texts = words_of(figure)
    assert wording.text(f"plots.messages_over_time.{unit}") in texts
    months = "|".join(wording.texts_in("plots.months")[1:6])
    ticks = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert ticks
    assert all(re.fullmatch(rf"{day}({months})\n2025", tick) for tick in ticks), ticks
    # The others' bars stand on the author's.
    author, others = (figure.axes[0].containers[index].patches for index in (0, 1))
    assert [bar.get_height() for bar in author] == [1, 0, 2]
    assert [bar.get_y() for bar in others] == [1, 0, 2]


def test_classes_of_lengths_are_named_by_their_ends(wording):
    figure = activity.turn_lengths(reported.of_pictures()["turn_lengths"], wording)
    messages, _ = figure.axes
    assert [tick.get_text() for tick in messages.get_xticklabels()] == ["1", "2–5", "6+"]
    assert [bar.get_height() for bar in messages.patches] == [50, 30, 20, 10, 30, 60]


def test_the_same_picture_has_the_same_bytes(tmp_path, wording):
    for name in ("one", "two"):
        figure = training.loss(reported.of_pictures()["loss"], wording)
        style.save(figure, tmp_path / f"{name}.png")
    first, second = ((tmp_path / f"{name}.png").read_bytes() for name in ("one", "two"))
    assert first == second
    assert first.startswith(b"\x89PNG")


def test_a_cloud_of_no_words_is_blank_and_the_same_counts_give_the_same_bytes(tmp_path):
    for name, counts in (
        ("blank", {}),
        ("one", {"asado": 3, "feria": 1}),
        ("two", {"asado": 3, "feria": 1}),
    ):
        words = pd.DataFrame({"word": list(counts), "count": list(counts.values())})
        wordcloud(words, tmp_path / f"{name}.png")
    blank, first, second = (
        (tmp_path / f"{name}.png").read_bytes() for name in ("blank", "one", "two")
    )
    assert first == second != blank
