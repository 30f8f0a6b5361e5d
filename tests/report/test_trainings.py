"""The report's section on trainings with other seeds."""

import pytest

from espejo.core import metrics
from espejo.core.errors import UserError
from espejo.evaluation import habits, two_sample
from espejo.evaluation import repeated as repeats
from espejo.evaluation.headlines import HEADLINES, OF_BASE
from espejo.report import trainings
from espejo.report.wording import Wording
from stages import report as stage
from tests.helpers import reported

TRAINED = {"steps": 78, "trainable_parameters": 9, "texts": 80, "learnt_texts": 80}


def scores(tuned=2.5, told=0.8):
    style = {
        "told_apart": {"base": reported.interval(0.9), "tuned": reported.interval(told)},
        "author_score": {"base": reported.few(0.1), "tuned": reported.few(0.9)},
    }
    memory = {"membership": reported.interval(0.6)}
    return reported.likelihoods(tuned=tuned) | {"style": style, "memory": memory}


@pytest.fixture
def repeated(tmp_path):
    """metrics/repeat.json of three trainings, whose told-apart AUC differ most."""
    path = tmp_path / repeats.FILE
    runs = [
        (scores(tuned, told), TRAINED) for tuned, told in ((2.49, 0.6), (2.5, 0.8), (2.51, 0.9))
    ]
    repeats.write(repeats.repeated("gemma3-abc", "data/raw/demo", runs, 0.95), path)
    return path


@pytest.mark.parametrize("language", ["en", "es"])
def test_differences_that_another_training_may_make_are_named(language, repeated):
    wording = Wording(language)
    (section,) = trainings.section(scores(), TRAINED, repeated, wording)
    method, table, verdict = section.blocks
    assert "gemma3-abc" in method.text
    names = [row[0] for row in table.rows]
    keys = ("own_bits", "gain", "author_score", "told_apart", "mrr", "membership")
    assert names == [wording.name("trainings.names", key) for key in keys]
    yes, no = wording.text("yes"), wording.text("no")
    # sd of 0.6, 0.8 and 0.9 is 0.15275, so the margin is 4.3027 * 0.15275 * 1.4142 = 0.929: more
    # than the difference of 0.1 from the base model.
    assert [row[-1] for row in table.rows] == [yes, "–", yes, no, yes, "–"]
    told = wording.name("trainings.names", "told_apart")
    assert wording.number(0.929, 3) in next(row for row in table.rows if row[0] == told)
    assert told in verdict.text
    assert wording.name("trainings.names", "own_bits") not in verdict.text


def test_where_each_difference_is_larger_it_says_so(tmp_path):
    path = tmp_path / repeats.FILE
    runs = [(scores(tuned), TRAINED) for tuned in (2.49, 2.5, 2.51)]
    repeats.write(repeats.repeated("x", "data/raw/demo", runs, 0.95), path)
    (section,) = trainings.section(scores(), TRAINED, path, Wording("en"))
    assert section.blocks[-1].text.startswith("Each difference from the base model is larger")


@pytest.mark.parametrize("change", ["other steps", "other test", "never measured"])
def test_of_another_run_nothing_is_said(change, repeated):
    measured, trained = scores(), dict(TRAINED)
    if change == "other steps":
        trained["steps"] = 2
    elif change == "other test":
        measured["test"]["replies"] = 7
    else:
        repeated.write_text("{}\n", "utf-8")
    assert trainings.section(measured, trained, repeated, Wording("en")) == []


def test_every_headline_has_a_name_in_both_languages():
    for language in ("en", "es"):
        assert set(Wording(language).group("trainings.names")) == set(HEADLINES) >= set(OF_BASE)


def test_the_stage_writes_it_into_both_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(two_sample, "REPEATS", 1)  # to be fast
    monkeypatch.setattr(habits, "NUM_PAIRS", 100)
    folder, arguments = tmp_path, reported.workplace(tmp_path)
    monkeypatch.chdir(folder)
    stage.main(*arguments)
    heading = Wording("es").text("trainings.title")  # in the language of that folder
    pages = [folder / "reports" / name for name in ("report.html", "report.md")]
    assert not any(heading in page.read_text("utf-8") for page in pages)
    measured = metrics.read(folder / "metrics" / "eval.json")
    metrics.write(TRAINED, folder / "metrics" / "train.json")
    result = repeats.repeated("x", "data/raw/demo", [(measured, TRAINED)] * 2, 0.95)
    repeats.write(result, folder / "metrics" / repeats.FILE)
    stage.main(*arguments)
    assert all(heading in page.read_text("utf-8") for page in pages)


def test_a_damaged_file_is_named(repeated):
    repeated.write_text("[]", "utf-8")
    with pytest.raises(UserError, match=r"repeat\.json is not what `espejo repeat` wrote"):
        trainings.section(scores(), TRAINED, repeated, Wording("en"))
