"""The pipeline as users run it, in clones of the project: their chats, their mistakes."""

import json
import signal
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from tests.helpers import workshop
from tests.helpers.workshop import AUTHOR, PARTNER, SECRET, run


@pytest.mark.model
def test_own_chats_are_read_and_answered(ran):
    examples = pq.read_table(ran / "data" / "examples.parquet").to_pylist()
    # 30 sessions of two replies each.
    assert len(examples) == 60
    # As `make mine` sets it: no name is in the training texts, not even as the name of a chat.
    assert all(example["chat"] == "CHAT_1" for example in examples)
    assert {turn["author"] for row in examples for turn in row["context"]} == {
        "PERSON_0",
        "PERSON_1",
    }
    scores = json.loads((ran / "metrics" / "eval.json").read_text())
    assert scores["test"]["replies"] == 6
    assert scores["base"]["perplexity"]["value"] > 1
    assert SECRET in (ran / "reports" / "samples.md").read_text()


@pytest.mark.model
def test_git_add_all_stages_no_text_or_name_of_own_chats(ran):
    run("git", "add", "-A", cwd=ran)
    staged = run("git", "diff", "--cached", "--name-only", "-z", cwd=ran).stdout.split("\0")
    contents = {
        name: (ran / name).read_bytes() for name in filter(None, staged) if (ran / name).is_file()
    }
    assert "params.yaml" in contents  # the run did change what is in git
    assert "metrics/eval.json" in contents
    for word in (SECRET, AUTHOR, PARTNER, *AUTHOR.split(), *PARTNER.split(), "re linda"):
        holders = [name for name, text in contents.items() if word.encode() in text]
        assert not holders, word
        assert not [name for name in contents if word in name]


@pytest.mark.model
def test_no_commit_of_an_experiment_holds_text_or_names(ran):
    refs = run("git", "for-each-ref", "--format=%(refname)", "refs/exps", cwd=ran).stdout.split()
    assert refs
    for ref in refs:
        for word in (SECRET, AUTHOR, PARTNER):
            matches = run("git", "grep", "-l", word, ref, "--", ":!tests", cwd=ran, check=False)
            assert matches.returncode == 1, matches.stdout


@pytest.mark.model
def test_no_session_of_the_test_set_is_in_train(ran):
    rows = pq.read_table(ran / "data" / "formatted.parquet").to_pylist()
    turns = pq.read_table(ran / "data" / "turns.parquet").to_pylist()
    train = "\n".join(row["text"] for row in rows if row["split"] == "train")
    # Each text holds the number of its session, so that it stands nowhere else.
    held = [t for turn in turns if turn["split"] == "test" for t in turn["messages"]]
    numbered = [text for text in held if any(map(str.isdigit, text))]
    assert len(numbered) == 12  # 3 sessions of four such messages
    assert not [text for text in numbered if text in train]


@pytest.mark.model
def test_training_text_ends_where_the_reply_ends(ran):
    rows = pq.read_table(ran / "data" / "formatted.parquet").to_pylist()
    assert rows
    for row in rows:
        assert row["spans"][-1]["kind"] == "end"
        assert row["spans"][-1]["end"] == len(row["text"])


@pytest.mark.model
def test_nothing_to_do_the_second_time(ran):
    assert "up to date" in run("dvc", "repro", cwd=ran).stdout


@pytest.mark.model
def test_every_account_adds_up(ran):
    accounts = []

    def collect(node):
        if isinstance(node, dict):
            if "dropped" in node:
                accounts.append(node)
            for inner in node.values():
                collect(inner)

    for file in sorted((ran / "metrics").glob("*.json")):
        collect(json.loads(file.read_text()))
    assert len(accounts) >= 7
    for account in accounts:
        assert account["in"] == account["out"] + sum(account["dropped"].values())


@pytest.mark.slow
def test_a_queued_experiment_on_own_chats_reads_those_chats(tmp_path):
    folder = workshop.clone(tmp_path)
    workshop.mine(folder)
    queued = run(
        *("dvc", "exp", "run", "--queue", "-C", "data/raw/mine", "-S", "data=mine"),
        *("-S", "group.history=2,3", "group"),
        cwd=folder,
    )
    assert queued.stdout.count("Queueing") + queued.stderr.count("Queueing") >= 1
    run("dvc", "queue", "start", cwd=folder)
    run("dvc", "queue", "logs", "--follow", name_of(folder, 0), cwd=folder, check=False)
    run("dvc", "queue", "logs", "--follow", name_of(folder, 1), cwd=folder, check=False)
    run("dvc", "queue", "stop", cwd=folder, check=False)
    status = run("dvc", "queue", "status", cwd=folder).stdout
    assert status.count("Success") == 2, status
    table = json.loads(run("dvc", "exp", "show", "--json", cwd=folder).stdout)
    read = [
        metrics["metrics/group.json"]["data"]
        for experiment in table[0]["experiments"] or table[1]["experiments"]
        for revision in experiment["revs"]
        for metrics in [revision["data"]["metrics"]]
    ]
    # The demo has several hundred replies; these chats have 30 sessions of two.
    assert [data["sessions"] for data in read] == [30, 30]
    for name in (AUTHOR, PARTNER, SECRET):
        assert name not in (folder / "params.yaml").read_text()
        assert name not in (folder / "dvc.lock").read_text()


def name_of(folder, revision):
    """The name of experiment number `revision` in the queue."""
    rows = run("dvc", "queue", "status", cwd=folder).stdout.splitlines()[1:]
    return rows[revision].split()[1]


# Mistakes of users: each ends in one sentence that says what to do.


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A clone in which single stages are run by hand."""
    return workshop.clone(tmp_path_factory.mktemp("mistakes"))


def refused(place, stage, *arguments):
    """The error message of a stage, which must not be a traceback."""
    ran = run(sys.executable, "-m", f"stages.{stage}", *arguments, cwd=place, check=False)
    assert ran.returncode == 1
    assert "Traceback" not in ran.stderr
    return ran.stderr.strip()


def raw(place, name, **files):
    folder = place / "data" / "raw" / name
    folder.mkdir(parents=True)
    for file, content in files.items():
        path = folder / file.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(folder.relative_to(place))


@pytest.mark.parametrize(
    ("name", "files", "expected"),
    [
        ("none", {}, "data/raw/none: expected exports of chats"),
        ("empty", {"chat__txt": ""}, "chat.txt: the file is empty"),
        ("other", {"notes__txt": "comprar pan\n"}, "notes.txt: no line looks like a message"),
        ("damaged", {"chat__zip": b"PK\x03\x04 broken"}, "chat.zip"),
        ("nobody", {"chat__txt": workshop.chat(2)}, "people.yaml names no author"),
        (
            "unasked",
            {"chat__txt": workshop.chat(2), "people__yaml": f"author: {AUTHOR}\n"},
            f"does not say what these people allow: {PARTNER} (4)",
        ),
        (
            "misspelt",
            {"chat__txt": workshop.chat(2), "people__yaml": "author: Xiomara Quintrel\n"},
            f"The closest: {AUTHOR}",
        ),
    ],
)
def test_bad_exports_end_in_one_sentence(place, name, files, expected):
    outs = ("data/m.parquet", "data/p.parquet", "metrics/m.json")
    sentence = refused(place, "parse", raw(place, name, **files), *outs)
    assert sentence.startswith("parse: ")
    assert expected in sentence
    assert "\n" not in sentence


def test_an_unknown_author_is_told_who_is_in_the_chats(place):
    folder = raw(place, "unknown", chat__txt=workshop.chat(3), people__yaml="author: Nadie\n")
    outs = ("data/m.parquet", "data/p.parquet", "metrics/m.json")
    sentence = refused(place, "parse", folder, *outs)
    # Three sessions: nine messages of the author, six of the partner.
    assert f"{AUTHOR} (9), {PARTNER} (6)" in sentence


def test_too_few_replies_says_how_many_there_are_and_are_needed(place):
    folder = raw(place, "few", chat__txt=workshop.chat(7), people__yaml=workshop.PEOPLE)
    stage = [sys.executable, "-m"]
    parsed = ("data/a.parquet", "data/probes.parquet", "metrics/a.json")
    run(*stage, "stages.parse", folder, *parsed, cwd=place)
    run(
        *stage,
        "stages.clean",
        "data/a.parquet",
        folder,
        "data/b.parquet",
        "data/people.parquet",
        "metrics/b.json",
        "reports/b.md",
        cwd=place,
    )
    sentence = refused(
        place,
        "group",
        "data/b.parquet",
        "data/people.parquet",
        "data/c.parquet",
        "data/d.parquet",
        "metrics/c.json",
    )
    assert "14 replies and at least 50 are needed" in sentence


def test_ctrl_c_ends_a_stage_with_a_sentence():
    # What a shell starts in the background ignores SIGINT, and so would all that it starts.
    waits = """
import signal, time
from espejo.core import stage

signal.signal(signal.SIGINT, signal.default_int_handler)

def main():
    print("began", flush=True)
    time.sleep(60)

stage.run(main)
"""
    with subprocess.Popen(
        [sys.executable, "-c", waits], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout.readline() == "began\n"
        running.send_signal(signal.SIGINT)
        told = running.communicate(timeout=30)[1].strip()
    assert running.returncode == 130
    assert told.endswith(
        "stopped by Ctrl-C. What had ended before stays as it is; the same command runs this again."
    )
    assert "Traceback" not in told
