"""`espejo repeat`: experiments that differ in the seed, in a small project of its own."""

import json
import shutil
import statistics
import subprocess
import sys

import pytest
import yaml

from espejo.commands import compare, repeat
from espejo.core.errors import UserError
from espejo.evaluation import repeated as repeats
from tests.helpers import reported
from tests.helpers.workshop import ROOT, environment, init_dvc, run

# A training whose numbers follow from its seed; it fails while the file `broken` lies in the data.
SCORE = """
import json, pathlib, sys, yaml
params = yaml.safe_load(open("params.yaml"))
seed = params["train"]["seed"]
if seed == 2 and pathlib.Path(params["data"]["raw"], "broken").exists():
    sys.exit("no luck with this one")
scores = json.load(open("scores.json"))
scores["tuned"]["own_bits_per_character"]["value"] = 2 + seed / 100
pathlib.Path("metrics").mkdir(exist_ok=True)
json.dump(scores, open("metrics/eval.json", "w"))
trained = {"steps": 78, "trainable_parameters": 9, "texts": 80, "learnt_texts": 80}
json.dump(trained, open("metrics/train.json", "w"))
print("trained", seed, params["train"]["rank"])
"""
PIPELINE = {
    "stages": {
        "evaluate": {
            "cmd": f"{sys.executable} score.py",
            "params": ["train", "data"],
            "deps": ["score.py", "scores.json", "${data.raw}"],
            "outs": [{f"metrics/{name}.json": {"cache": False}} for name in ("eval", "train")],
        },
        "report": {
            "cmd": "mkdir -p reports && touch reports/report.md",
            "deps": ["metrics/eval.json", "metrics/repeat.json"],
            "outs": ["reports/report.md"],
        },
    }
}


@pytest.fixture(scope="module")
def new_project(tmp_path_factory):
    """A repository with a pipeline that takes no time, and the settings of this project."""
    folder = tmp_path_factory.mktemp("repeat") / "project"
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("mine.yaml"))
    for name in ("data/raw/demo", "data/raw/mine", "metrics", "reports"):
        (folder / name).mkdir(parents=True)
    (folder / "data/raw/demo/chat.txt").write_text("hola", "utf-8")
    (folder / "data/raw/mine/chat.txt").write_text("adiós", "utf-8")
    (folder / "score.py").write_text(SCORE, "utf-8")
    style = {
        "author_score": {name: reported.few(0.5) for name in ("base", "tuned")},
        "told_apart": {"base": reported.interval(0.9), "tuned": reported.interval(0.8)},
    }
    scores = reported.likelihoods() | {"style": style}
    (folder / "scores.json").write_text(json.dumps(scores), "utf-8")
    (folder / "metrics/repeat.json").write_text("{}\n", "utf-8")
    (folder / ".gitignore").write_text("/data/raw/mine/\n/reports/\n", "utf-8")
    metrics = ["metrics/eval.json", "metrics/train.json"]
    (folder / "dvc.yaml").write_text(yaml.safe_dump({**PIPELINE, "metrics": metrics}), "utf-8")
    run("git", "init", "-q", "-b", "main", cwd=folder)
    init_dvc(folder)
    run("dvc", "config", "hydra.enabled", "true", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run(
        *("git", "-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "all"),
        cwd=folder,
    )
    return folder


@pytest.fixture
def project(new_project, tmp_path, monkeypatch):
    """A copy of it, the current folder."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("PATH", environment()["PATH"])
    shutil.copytree(new_project, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def named(project):
    """The same, after git got a name."""
    for key in ("name", "email"):
        run("git", "config", f"user.{key}", "tester", cwd=project)
    return project


def counted(monkeypatch):
    """The seeds that are trained from now on."""
    seeds, train = [], repeat._train

    def noted(planned, seed, log):
        seeds.append(seed)
        train(planned, seed, log)

    monkeypatch.setattr(repeat, "_train", noted)
    return seeds


def test_without_a_name_for_git_nothing_runs(project):
    with pytest.raises(UserError, match="git has no name for them: once, `git config --global"):
        repeat.main(2, [])


def test_elsewhere_it_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"There is no dvc\.yaml here"):
        repeat.main(2, [])


def test_the_seed_cannot_be_a_setting(named):
    with pytest.raises(UserError, match=r"train\.seed is what differs"):
        repeat.plan(["train.seed=3"])


@pytest.mark.parametrize("setting", ["model=smollm9", "train.epoch=2", "model=smollm2,gemma3"])
def test_settings_that_do_not_compose(setting, named):
    with pytest.raises(UserError, match=r"conf/ does not compose with"):
        repeat.plan([setting])


def test_a_wrong_value_is_refused_before_anything_runs(named):
    with pytest.raises(UserError, match=r"clean\.pii is 'drpo'"):
        repeat.plan(["clean.pii=drpo"])


def test_the_name_changes_with_all_that_decides_the_result(named):
    first = repeat.plan([]).name
    assert first.startswith("gemma3-")
    assert repeat.plan(["report.language=en"]).name == first  # the page only
    assert repeat.plan(["train.rank=4"]).name != first
    (named / "score.py").write_text(SCORE + "\n", "utf-8")
    assert repeat.plan([]).name != first
    (named / "score.py").write_text(SCORE, "utf-8")
    assert repeat.plan([]).name == first
    (named / "data/raw/demo/chat.txt").write_text("chau", "utf-8")
    assert repeat.plan([]).name != first


def test_five_seeds_are_run_once_and_measured(named, monkeypatch, capsys):
    before = run("git", "status", "--short", cwd=named).stdout
    seeds = counted(monkeypatch)
    repeat.main(3, ["train.rank=4"])
    assert seeds == [1, 2, 3]
    # The model and numbers that lie here stay; only what was measured is new.
    assert run("git", "status", "--short", cwd=named).stdout == before + " M metrics/repeat.json\n"
    result = repeats.read(repeat.RESULT)
    bits = result.spreads["own_bits"]
    assert (bits.n, bits.mean, bits.values) == (3, 2.02, [2.01, 2.02, 2.03])
    assert bits.sd == pytest.approx(statistics.stdev([2.01, 2.02, 2.03]))
    assert "membership" not in result.spreads  # not measured
    page = repeat.PAGE.read_text("utf-8")
    assert f"| {result.name}-seed-2 | 2.020 |" in page
    assert "trained 2 4" in repeat.LOG.read_text("utf-8")
    output = capsys.readouterr().out
    assert "seed 1 of 3: evaluate report\n" in output
    assert "seed 3 of 3, about 0 minutes left: evaluate report\n" in output
    assert "bits per character, own: mean 2.020, sd 0.010" in output

    repeat.main(4, ["train.rank=4"])  # one more
    assert seeds == [1, 2, 3, 4]
    assert "of which 3 ran already" in capsys.readouterr().out
    assert repeats.read(repeat.RESULT).spreads["own_bits"].n == 4
    # DVC knows them as experiments.
    names = {each.name for each in compare.experiments()}
    assert {f"{result.name}-seed-{seed}" for seed in (1, 2, 3, 4)} <= names


def test_after_a_training_that_failed_it_goes_on(named, monkeypatch):
    """On own chats, which git ignores: they are copied along."""
    settings = ["data=mine"]
    (named / "conf/data/mine.yaml").write_text(
        "# @package _global_\ndata: {raw: data/raw/mine}\n", "utf-8"
    )
    (named / "conf/data/mine.yaml").write_text(
        (ROOT / "conf/data/demo.yaml").read_text("utf-8").replace("raw/demo", "raw/mine"), "utf-8"
    )
    (named / "data/raw/mine/broken").touch()
    seeds = counted(monkeypatch)
    with pytest.raises(UserError, match=r"seed 2 failed: .*reports/repeat\.log has all that"):
        repeat.main(3, settings)
    assert "no luck with this one" in repeat.LOG.read_text("utf-8")
    assert json.loads(repeat.RESULT.read_text("utf-8")) == {}
    (named / "data/raw/mine/broken").unlink()
    seeds.clear()
    repeat.main(3, settings)
    # Other data than before, so that the first is run again too.
    assert seeds == [1, 2, 3]
    assert repeats.read(repeat.RESULT).spreads["own_bits"].mean == pytest.approx(2.02)


def test_what_ran_before_an_error_is_not_run_again(named, monkeypatch):
    planned = repeat.plan([])
    repeat.LOG.write_text("", "utf-8")
    with repeat.LOG.open("w") as log:
        repeat._train(planned, 1, log)
    seeds = counted(monkeypatch)
    repeat.main(2, [])
    assert seeds == [2]


def test_the_command_ends_in_a_sentence_where_a_training_cannot_start(named):
    (named / "conf/train/lora.yaml").unlink()
    ran = subprocess.run(
        [sys.executable, "-m", "espejo.commands.cli", "repeat", "--seeds", "2"],
        capture_output=True,
        text=True,
        env=environment(PYTHONPATH=str(ROOT)),
    )
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    assert "conf/ does not compose" in ran.stderr


def row(name, bits, base=2.94, told=0.8):
    scores = reported.likelihoods(base=base, tuned=bits)
    scores["style"] = {"told_apart": {"tuned": reported.interval(told)}}
    return compare.Experiment(name, "0", {}, scores, None)


def test_compare_says_which_differences_another_training_may_make(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [row("a", 2.50), row("b", 2.52, told=0.7), row("c", 2.58), row("other", 1.5, base=3.5)]
    assert compare.chance_lines(rows) == []  # nothing was measured
    trained = {"steps": 78, "trainable_parameters": 9}
    runs = [(row("", bits).scores, trained) for bits in (2.49, 2.50, 2.51)]
    repeats.write(repeats.repeated("mine", "data/raw/demo", runs, 0.95), compare.REPEATED)
    # By hand: sd 0.01; t of two degrees of freedom at 97.5 % is 4.3027; times the root of 2.
    margin = repeats.read(compare.REPEATED).spreads["own_bits"].margin
    assert margin == pytest.approx(0.060849, abs=1e-6)
    head, bits, told, mrr = compare.chance_lines(rows)
    assert "as mine" in head
    assert bits == "  bits/char: a is best; no difference from b (margin 0.061)"
    assert told == "  told apart (AUC): b is best; ahead of all others (margin 0.000)"
    assert mrr == "  MRR: a is best; no difference from b, c (margin 0.000)"
    page = compare.page(rows)
    assert "as mine:\n\n- bits/char: a is best; no difference from b (margin 0.061)\n- told" in page
