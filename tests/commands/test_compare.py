"""`espejo compare`: experiments of a small DVC repository, their numbers and replies."""

import json
import subprocess

import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from espejo.commands import compare
from espejo.commands.cli import commands
from espejo.core import metrics, tables
from espejo.core.errors import UserError
from tests.helpers import reported
from tests.helpers.workshop import init_dvc, run

STAGE = {
    "cmd": "true",
    "params": ["model", "data"],
    "outs": ["data/replies.parquet", "model", {"metrics/eval.json": {"cache": False}}],
}


def results(folder, model, tuned, text, verdict):
    """What a run of the pipeline leaves behind."""
    params = {
        "model": {"name": model},
        "data": {"raw": "data/raw/demo"},
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    style = {"author_score": {"tuned": reported.interval(0.8)}}
    memory = {"verdict": verdict, "members": 32}
    scores = reported.likelihoods(tuned=tuned) | {"style": style, "memory": memory}
    metrics.write(scores, folder / "metrics" / "eval.json")
    rows = [
        {
            **{"id": f"prompt-{number}", "kind": "prompt", "prompt": prompt},
            **{"model": name, "messages": messages, "finished": True},
        }
        for number, prompt in enumerate(("Hola", "y | vos?"), 1)
        for name, messages in (("base", []), ("tuned", [f"{text} {number}", "x | y"]))
    ]
    tables.write(pd.DataFrame(rows), folder / "data" / "replies.parquet", tables.REPLIES)
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model" / "weights").write_bytes(b"0" * 1_500_000)


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository with a commit, an experiment `other`, and no replies of one called `lost`."""
    folder = tmp_path_factory.mktemp("compare")
    run("git", "init", "-q", "-b", "main", cwd=folder)
    for name in ("user.name", "user.email"):
        run("git", "config", name, "tester", cwd=folder)
    init_dvc(folder)
    pipeline = {"stages": {"evaluate": STAGE}, "metrics": ["metrics/eval.json"]}
    (folder / "dvc.yaml").write_text(yaml.safe_dump(pipeline), "utf-8")
    results(folder, "smollm2", 2.5, "main says", "pass")
    run("dvc", "commit", "-f", "-q", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run("git", "commit", "-q", "-m", "main", cwd=folder)
    results(folder, "gemma3", 2.1, "other says", "pass_with_doubts")
    run("dvc", "exp", "save", "-n", "other", cwd=folder)
    return folder


def test_the_table_and_the_replies_of_every_experiment(repository, monkeypatch):
    monkeypatch.chdir(repository)
    experiments = compare.experiments()
    # The workspace is the experiment that was saved.
    assert [experiment.name for experiment in experiments] == ["main", "other"]
    assert compare.table(experiments) == [
        (
            *("main", "smollm2", "demo", "88.2 → 75.0", "2.94 → 2.50"),
            *("0.80 [0.75, 0.85]", "0.48 [0.43, 0.53]", "pass", "1.5", "–"),
        ),
        (
            *("other", "gemma3", "demo", "88.2 → 63.0", "2.94 → 2.10"),
            *("0.80 [0.75, 0.85]", "0.48 [0.43, 0.53]", "pass_with_doubts", "1.5", "–"),
        ),
    ]
    page = compare.page(experiments)
    assert "| prompt | main, base | main, tuned | other, base | other, tuned |" in page
    assert (
        r"| y \| vos? | *(nothing)* | main says 2<br>x \| y | *(nothing)* "
        r"| other says 2<br>x \| y |"
    ) in page
    ran = CliRunner().invoke(commands, ["compare"])
    assert ran.exit_code == 0, ran.output
    assert compare.PAGE.read_text("utf-8") == page
    assert f"]({compare.PICTURE.name})" in page
    assert compare.PICTURE.parent == compare.PAGE.parent
    assert compare.PICTURE.read_bytes().startswith(b"\x89PNG")


def test_the_table_in_the_terminal_fits_80_columns(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    params = {"model": {"name": "deepseek-qwen"}, "data": {"raw": "data/raw/mine"}}
    scores = reported.likelihoods(base=12.94, tuned=10.5) | {
        "style": {"author_score": {"tuned": reported.few(0.8)}},
        "memory": {"verdict": "fail"},
    }
    named = [
        compare.Experiment(name, "0", params, scores, 1) for name in ("main", "deepseek-qwen-long")
    ]
    older = compare.Experiment("older", "0", {}, {}, None)
    monkeypatch.setattr(compare, "experiments", lambda: [*named, older])
    ran = CliRunner().invoke(commands, ["compare"])
    assert ran.exit_code == 0, ran.output
    lines = ran.output.splitlines()
    assert max(map(len, lines)) <= 80
    numbers = ["12.94", "→", "10.50", "0.80?", "0.48", "fail"]
    assert len([line for line in lines if line.split()[-6:] == numbers]) == 2
    assert [line for line in lines if "older" in line and "– → –" in line]
    (main,) = [line for line in lines if "main" in line]
    assert "deepseek-qwen" in main
    assert "mine" in main


@pytest.mark.parametrize(
    ("memory", "verdict"),
    [
        ({"verdict": "pass", "members": 32}, "pass"),
        ({"verdict": "pass"}, "pass?"),  # measured before there were doubts: values alone
        ({"verdict": "pass_with_doubts", "members": 32}, "pass_with_doubts"),
        ({"verdict": "fail"}, "fail"),
        ({}, "–"),
    ],
)
def test_the_verdict_is_that_of_the_evaluation(memory, verdict):
    assert compare.Experiment("one", "0", {}, {"memory": memory}, None).verdict == verdict


def test_experiments_on_different_chats_are_called_so(monkeypatch, tmp_path):
    def on(folder):
        params = {"data": {"raw": f"data/raw/{folder}"}}
        return compare.Experiment("one", "0", params, {}, None)

    older = compare.Experiment("older", "0", {}, {}, None)  # which says nothing of its chats
    assert compare.several_chats([on("mine"), older, on("mine")]) == ""
    warning = "These are experiments on different chats (mine, demo): compare only rows that"
    assert compare.several_chats([on("mine"), on("demo")]).startswith(warning)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compare, "experiments", lambda: [on("mine"), on("demo")])
    ran = CliRunner().invoke(commands, ["compare"])
    assert warning in " ".join(ran.output.split())
    assert warning in compare.PAGE.read_text("utf-8")


def test_the_picture_shows_values_and_intervals():
    style = {"author_score": {"base": reported.few(0.2), "tuned": reported.interval(0.8)}}
    scores = reported.likelihoods(base=2.94, tuned=2.5) | {"style": style}
    experiments = [
        compare.Experiment("first", "0", {"model": {"name": "a"}}, scores, None),
        compare.Experiment("older", "1", {"model": {"name": "b"}}, {}, None),
    ]
    figure = compare.picture(experiments)
    bits, score = figure.axes

    def drawn(panel):
        # A line for an interval, from end to end, and a point for the value in it.
        lines = [tuple(round(float(x), 3) for x in line.get_xdata()) for line in panel.lines]
        return sorted(line for line in lines if line)

    assert drawn(bits) == [(2.45, 2.55), (2.5,), (2.89, 2.99), (2.94,)]
    assert drawn(score) == [(0.2,), (0.2, 0.2), (0.75, 0.85), (0.8,)]
    # The first on top, though places are counted from below.
    assert [label.get_text() for label in bits.get_yticklabels()] == [
        "older\nb · –",
        "first\na · –",
    ]
    assert all(line.get_ydata()[0] > 0.5 for line in bits.lines if len(line.get_xdata()))


def test_replies_that_are_not_here_and_scores_of_before(repository, monkeypatch):
    monkeypatch.chdir(repository)
    older = compare.Experiment("lost", "0" * 40, {}, {"base": {}, "tuned": {}}, None)
    page = compare.page([older])
    assert "| lost | – | – | – → – | – → – | – | – | – | – | – |" in page
    assert "No replies in this machine's cache for lost. Where they were pushed" in page


def test_no_command_is_named_for_replies_of_other_chats(repository, monkeypatch):
    """It would put their model in the place of the one that lies here."""
    monkeypatch.chdir(repository)
    other = compare.Experiment("far", "0" * 40, {"data": {"raw": "data/raw/mine"}}, {}, None)
    end = compare.page([other]).splitlines()[-1]
    assert end == (
        "No replies in this machine's cache for far: of other chats than those that lie here."
    )


def of_questions(name, epochs, **changed):
    """An experiment that learnt to answer questions, of which nothing is in the cache."""
    params = {"model": {"name": "smollm2"}, "data": {"raw": "data/raw/qa"}}
    scores = reported.likelihoods() | {
        "kind": "questions",
        "memory": {"verdict": "fail", "members": 32},
        "correctness": reported.correctness(**changed),
        "outside": reported.outcomes(tuned=(1, 7, 2, 0)),
    }
    return compare.Experiment(name, "0", params | {"train": {"epochs": epochs}}, scores, 1_000_000)


def test_right_answers_have_a_table_of_their_own():
    rows = [of_questions("one", 1, tuned=0.3, width=0.01), of_questions("three", 3)]
    first, second = compare.table(rows)
    # No author, and no verdict on sharing what is meant to be repeated.
    assert (first[5], first[7], first[-1]) == ("–", "–", "train.epochs=1")
    assert second[-1] == "train.epochs=3"
    assert compare.correct_table(rows)[0] == (
        *("one", "smollm2", "qa"),
        "10% [9%, 11%] → 40% [39%, 41%] → 30% [29%, 31%]",
        "80% [79%, 81%]",
        "20.0 [17.0, 23.0] → 30.0 [27.0, 33.0] → 50.0 [47.0, 53.0]",
        *("2 of 20", "4 of 20", "train.epochs=1"),
    )
    assert compare.correct_short(rows) == [
        ("one", "0.10 → 0.40 → 0.30", "20.0 → 30.0 → 50.0", "2 of 20", "4 of 20"),
        ("three", "0.10 → 0.40 → 0.80", "20.0 → 30.0 → 50.0", "2 of 20", "4 of 20"),
    ]
    assert compare.correct_table([row("a", "demo")]) == []


def test_of_experiments_on_different_data_each_has_a_dash_where_nothing_applies(monkeypatch):
    chats = row("a", "demo")
    monkeypatch.setattr(compare.Experiment, "replies", lambda _: None)
    page = compare.page([chats, of_questions("one", 1)])
    correct = page.split("## Answers to questions\n\n")[1].split("\n\n")[0]
    assert len(correct.splitlines()) == 3  # heads, the line below them, and one experiment
    assert "## Answers to questions" not in compare.page([chats])
    panels = compare.picture([chats, of_questions("one", 1)]).axes
    assert [panel.get_title(loc="left").split(" (")[0] for panel in panels] == [
        *("bits per character, own", "facts held", "chrF"),
    ]


def test_one_and_three_epochs_answer_the_same_test_questions_side_by_side(monkeypatch):
    rows = [of_questions("one", 1), of_questions("three", 3)]
    tested = pd.DataFrame(
        {
            "id": ["q-1"],
            "context": [[{"author": "question", "messages": ["¿A qué hora | abre?"]}]],
            "reply": [["A las 9."]],
        }
    )

    def replies(each):
        return pd.DataFrame(
            [
                {
                    **{"id": "q-1", "kind": "held_out", "prompt": None, "model": model},
                    "messages": [f"{model} after {each.params['train']['epochs']}"],
                }
                for model in ("base", "examples", "tuned")
            ]
        )

    monkeypatch.setattr(compare.Experiment, "tested", lambda _: tested)
    monkeypatch.setattr(compare.Experiment, "replies", replies)
    page = compare.page(rows)
    assert (
        "| question | reference | one, base | one, base with rows | one, tuned "
        "| three, base | three, base with rows | three, tuned |"
    ) in page
    assert (
        r"| ¿A qué hora \| abre? | A las 9. | base after 1 | examples after 1 | tuned after 1 "
        "| base after 3 | examples after 3 | tuned after 3 |"
    ) in page
    assert "## The same prompts" not in page  # there are none for questions


def test_the_first_test_questions_are_read_from_the_experiment(tmp_path, monkeypatch):
    rows = [
        {
            **{"id": f"q-{number}", "chat": "c", "session": number, "group": False},
            "split": "test" if number > 1 else "train",
            **{"context": [{"author": "question", "messages": ["?"]}], "reply": ["!"]},
        }
        for number in range(20)
    ]
    tables.write(pd.DataFrame(rows), tmp_path / compare.EXAMPLES, tables.EXAMPLES)
    monkeypatch.chdir(tmp_path)
    here = compare.Experiment("workspace", None, {}, {}, None)
    assert here.tested()["id"].tolist() == [f"q-{number}" for number in range(2, 12)]
    assert compare.Experiment("far", "0" * 40, {}, {}, None).tested() is None


def test_the_terminal_shows_right_answers_within_80_columns(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    rows = [of_questions("qa-one-epoch-long", 1), of_questions("qa-three", 3), row("a", "demo")]
    monkeypatch.setattr(compare, "experiments", lambda: rows)
    ran = CliRunner().invoke(commands, ["compare"])
    assert ran.exit_code == 0, ran.output
    assert max(map(len, ran.output.splitlines())) <= 80
    assert "0.10 → 0.40 → 0.80" in ran.output
    assert "qa-three: train.epochs=3" in ran.output
    assert compare.CORRECT_LEGEND in ran.output


def row(model, chats, name="one", **sections):
    params = {"model": {"name": model}, "data": {"raw": f"data/raw/{chats}"}, **sections}
    return compare.Experiment(name, "0", params, {}, None)


def test_settings_are_named_where_experiments_with_the_same_model_and_chats_differ():
    rows = [
        row("a", "mine", train={"rank": 4, "lr": 0.1}, format={"tags": {"end": None}}),
        row("a", "mine", train={"rank": 8, "lr": 0.1}, format={"tags": {"end": "x\n"}}),
        row("b", "mine", train={"rank": 8, "lr": 0.5}, report={"language": "en"}),
        row("a", "demo", train={"rank": 16, "lr": 0.1}),
        row("a", "demo", train={"lr": 0.1}),  # of a version without ranks
    ]
    assert compare.different_settings(rows) == [
        "format.tags.end=null, train.rank=4",
        r'format.tags.end="x\n", train.rank=8',
        "train.rank=8",  # its lr is the model's own
        "",
        "",
    ]
    page = compare.page(rows)
    assert page.count(r"train\.rank=") == 3


def test_more_than_four_settings_are_counted():
    rows = [row("a", "mine", n, train=dict.fromkeys("abcdef", n)) for n in ("x", "y")]
    first, second = compare.different_settings(rows)
    assert first == "train.a=x, train.b=x, train.c=x, train.d=x … and 2 more"
    assert compare.settings_lines(rows) == [
        *("Settings that differ:", f"  x: {first}", f"  y: {second}"),
    ]
    assert compare.settings_lines(rows[:1]) == []


@pytest.mark.parametrize(
    ("trained", "verdict"),
    [
        ({"texts": 39, "learnt_texts": 4}, "trial"),
        ({"texts": 39, "learnt_texts": 20}, "pass"),
        ({"texts": 39}, "pass"),  # older files
    ],
)
def test_a_trial_has_no_verdict(trained, verdict):
    scores = {"memory": {"verdict": "pass", "members": 32}}
    assert compare.Experiment("one", "0", {}, scores, 1, trained).verdict == verdict


def test_where_there_is_no_repository(tmp_path):
    with pytest.raises(UserError, match="nothing to compare"):
        compare.experiments(tmp_path)


def test_where_nothing_was_evaluated(monkeypatch):
    output = json.dumps([{"rev": "workspace", "name": None, "data": None, "experiments": None}])
    done = subprocess.CompletedProcess([], 0, output, "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(UserError, match="run `make repro` first"):
        compare.experiments()


def test_replies_here_that_are_damaged(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / compare.REPLIES).write_bytes(b"PAR1 and no more")
    monkeypatch.chdir(tmp_path)
    here = compare.Experiment("workspace", None, {}, {}, None)
    with pytest.raises(UserError, match=r"data/replies\.parquet is damaged, or not what espejo"):
        here.replies()


def test_an_experiment_that_failed_has_no_numbers_of_its_own():
    entry = {"rev": "1" * 40, "name": "one", "data": None}
    groups = [
        {"name": name, "revs": [entry], "executor": executor}
        for name, executor in (
            ("done", None),
            ("broken", {"state": "failed", "name": "dvc-task"}),
            ("waiting", {"state": "queued", "name": None}),
        )
    ]
    commit = {"rev": "2" * 40, "name": "main", "data": None, "experiments": groups}
    assert [each.name for each in compare._parsed([commit])] == ["main", "done"]
