"""Dialogues and questions go through all stages, on the demo's data and the bundled model.

Two steps of training: what is tested is that each stage takes each kind of data, and that the
numbers and pages speak of what was measured.
"""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from espejo.core import metrics, tables
from espejo.evaluation import repeated
from stages import (
    clean,
    evaluate,
    filter,
    format,
    group,
    parse,
    predict,
    report,
    statistics,
    train,
)
from tests.helpers.workshop import ROOT

pytestmark = pytest.mark.model
# What replies say is not looked at, nor how much examples in the prompt help.
SHORT = "generate.max_new_tokens=12", "predict.shots=1"
DIALOGUES = {"train": 100, "validation": 12, "test": 12}  # of 320, 40 and 40


@pytest.fixture(scope="module")
def run(tmp_path_factory, composed):
    """run(choice) gives the folder in which all stages ran on the data of that choice, once."""
    folders = {}

    def run_all(choice):
        if choice not in folders:
            folder = tmp_path_factory.mktemp(choice)
            with pytest.MonkeyPatch.context() as patched:
                patched.chdir(folder)
                through_all_stages(
                    folder,
                    composed(f"data={choice}", "model=smollm2", "experiment=smoke", *SHORT),
                )
            folders[choice] = folder
        return folders[choice]

    return run_all


def through_all_stages(folder, params):
    raw, data, numbers = Path(params["data"]["raw"]), Path("data"), Path("metrics")
    shutil.copytree(ROOT / raw, raw)
    for path in raw.glob("*.jsonl"):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[: DIALOGUES[path.stem]]), "utf-8")
    (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("mine.yaml"))
    numbers.mkdir()
    metrics.write({}, numbers / repeated.FILE)  # nothing was repeated

    def table(*names):
        return [data / f"{name}.parquet" for name in names]

    def account(name):
        return numbers / f"{name}.json"

    parse.main(raw, *table("messages", "probes"), account("parse"))
    clean.main(
        *table("messages"), raw, *table("clean", "people"), account("clean"), Path("personal.md")
    )
    group.main(*table("clean", "people", "turns", "examples"), account("group"))
    filter.main(*table("examples", "filtered"), account("filter"))
    format.main(*table("filtered", "people", "formatted"), account("format"))
    train.main(
        *table("formatted"), Path("model"), account("train"), Path("plots/loss.csv"), Path("e.md")
    )
    predict.main(
        *table("formatted", "filtered", "people", "probes"),
        Path("model"),
        *table("learnt", "losses", "ranks", "canaries", "replies"),
    )
    evaluate.main(data, account("eval"), Path("plots"))
    statistics.main(data, raw, account("statistics"), Path("plots"), Path("reports/statistics.md"))
    report.main(data, numbers, Path("plots"), Path("reports"))


def eval_of(folder):
    return json.loads((folder / "metrics" / "eval.json").read_text("utf-8"))


@pytest.mark.parametrize("choice", ["dialogues", "qa"])
def test_every_output_of_dvc_yaml_is_written(run, choice):
    folder = run(choice)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    outs = [
        next(iter(out)) if isinstance(out, dict) else out
        for s in stages.values()
        for out in s["outs"]
    ]
    elsewhere = {"reports/epochs.md", "reports/personal_data.md"}  # called otherwise here
    assert [out for out in outs if out not in elsewhere and not (folder / out).exists()] == []


def test_dialogues_are_measured_without_a_person(run):
    scores = eval_of(run("dialogues"))
    assert scores["kind"] == "dialogues"
    assert {"style", "controls", "correctness"}.isdisjoint(scores)
    # The held-out dialogues of the set's own test split, each with a reply of B at least.
    assert scores["test"]["sessions"] == 12
    assert scores["base"]["own_bits_per_character"]["n"] == 12
    page = (run("dialogues") / "reports" / "report.md").read_text("utf-8")
    assert "suena como vos" not in page.lower()


def test_questions_are_measured_by_their_answers(run):
    folder = run("qa")
    scores = eval_of(folder)
    assert scores["kind"] == "questions"
    assert {"style", "controls"}.isdisjoint(scores)
    replies = tables.read(folder / "data" / "replies.parquet", tables.REPLIES)
    models = {"base", "examples", "retrieved", "tuned"}
    assert set(replies["model"]) == models
    for name in models:
        # The smoke experiment answers four questions, and the probes.
        assert scores["correctness"][name]["answers"] == 4
    # Ten questions out of domain and ten unsafe ones, each answered by each model.
    for kind in ("out_of_domain", "unsafe"):
        for name in models:
            counts = dict(scores["outside"][kind][name])
            assert counts.pop("replies") == 10
            assert sum(counts.values()) == 10


def test_a_retrieved_answer_is_that_of_a_row_and_no_models(run):
    folder = run("qa")
    examples = tables.read(folder / "data" / "examples.parquet", tables.EXAMPLES)
    replies = tables.read(folder / "data" / "replies.parquet", tables.REPLIES)
    learnt = {tuple(reply) for reply in examples.loc[examples["split"].eq("train"), "reply"]}
    retrieved = replies.loc[replies["model"].eq("retrieved"), "messages"]
    assert {tuple(messages) for messages in retrieved} <= learnt


def test_probes_are_never_learnt(run):
    folder = run("qa")
    probes = tables.read(folder / "data" / "probes.parquet", tables.PROBES)
    assert probes["kind"].value_counts().to_dict() == {"out_of_domain": 10, "unsafe": 10}
    texts = "\n".join(tables.read(folder / "data" / "formatted.parquet", tables.FORMATTED)["text"])
    assert not [prompt for prompt in probes["prompt"] if prompt in texts]


def test_the_splits_are_those_that_the_folders_name(run):
    examples = tables.read(run("qa") / "data" / "examples.parquet", tables.EXAMPLES)
    # 150 rows under train/, of which a tenth of all 180 is drawn for validation; 30 under test/.
    assert examples["split"].value_counts().to_dict() == {
        "train": 132,
        "test": 30,
        "validation": 18,
    }
    turns = tables.read(run("dialogues") / "data" / "turns.parquet", tables.TURNS)
    sessions = turns.groupby("session")["split"].first().value_counts().to_dict()
    assert sessions == {"train": 100, "validation": 12, "test": 12}


@pytest.mark.parametrize("choice", ["dialogues", "qa"])
def test_statistics_say_what_does_not_apply(run, choice):
    numbers = json.loads((run(choice) / "metrics" / "statistics.json").read_text("utf-8"))
    assert numbers["verdict"] == "not_applicable"
    page = (run(choice) / "reports" / "statistics.md").read_text("utf-8")
    assert "no times" in page
