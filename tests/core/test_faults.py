"""Every stage and command with every fault of a disk, a file or params.yaml: one sentence each. The
stages, their inputs, outputs and params come from dvc.yaml, so a new stage is tested too.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from espejo.commands.cli import commands
from espejo.model.bundled import PACKAGES
from espejo.serving import ports
from tests.helpers import workshop
from tests.helpers.faulty import ROOT, STAGES
from tests.model.test_every_model import tiny_base

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="puts off Linux's capabilities")

RAW = "data/raw/demo"


def filled(text):
    """dvc.yaml, with its references to params.yaml replaced by the values."""
    return text.replace("${data.raw}", RAW).replace("${launch.command}", "python")


def arguments(stage):
    return shlex.split(filled(STAGES[stage]["cmd"]))[3:]


def read_by(stage):
    deps = map(filled, STAGES[stage]["deps"])
    return [dep for dep in deps if not dep.startswith(("espejo/", "stages/", "conf/"))]


def written_by(stage):
    return [out if isinstance(out, str) else next(iter(out)) for out in STAGES[stage]["outs"]]


# What can be wrong with a file


def missing(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def with_bytes(content):
    def put(path):
        missing(path)
        path.write_bytes(content)

    return put


def truncated(path):
    path.write_bytes(path.read_bytes()[:-20])


def other_columns(path):
    pq.write_table(pa.table({"line": [1], "words": ["hola"]}), path)


def other_type(path):
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, table.schema.names[0], pa.array([1] * len(table))), path)


def folder_instead(path):
    missing(path)
    path.mkdir()


def forbidden(path):
    path.chmod(0)


def inside(name, break_it):
    return lambda path: break_it(path / name)


GARBAGE = bytes(range(128, 256)) * 9
NOTHING = {"missing": missing, "a folder": folder_instead, "forbidden": forbidden}
ANY = {**NOTHING, "garbage": with_bytes(GARBAGE), "empty": with_bytes(b"")}
BROKEN = {
    ".parquet": {**ANY, "truncated": truncated, "columns": other_columns, "type": other_type},
    ".json": {**ANY, "truncated": truncated, "a list": with_bytes(b"[]")},
    ".yaml": {
        **NOTHING,
        "garbage": with_bytes(GARBAGE),
    },  # empty, as `make mine` leaves it, is fine
    ".csv": ANY,
    ".png": NOTHING,  # what a picture shows nobody reads
    "": {"missing": missing, "a file": with_bytes(b"x"), "empty": folder_instead},
}
BROKEN_MODEL = {
    **BROKEN[""],
    **{
        f"espejo.json {name}": inside("espejo.json", fault)
        for name, fault in BROKEN[".json"].items()
    },
    **{
        f"{file} {name}": inside(file, fault)
        for file in ("adapter_model.safetensors", "adapter_config.json", "tokenizer.json")
        for name, fault in ANY.items()
    },
}


def faults_of(path):
    return BROKEN_MODEL if path == "model" else BROKEN[os.path.splitext(path)[1]]


# Where it is run


@pytest.fixture(scope="module")
def project(tmp_path_factory, composed):
    """A project in which every stage ran once, with a tiny model in the place of the real one."""
    folder = tmp_path_factory.mktemp("project")
    params = composed("model=smollm2", "experiment=smoke")
    (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    (folder / RAW).mkdir(parents=True)
    (folder / RAW / "chat.txt").write_text(workshop.chat(), "utf-8")
    (folder / RAW / "people.yaml").write_text(workshop.PEOPLE, "utf-8")
    (folder / "metrics").mkdir()
    (folder / "metrics" / "repeat.json").write_text("{}\n", "utf-8")
    (folder / "conf" / "model").mkdir(parents=True)
    for name in ("config.yaml", "model/smollm2.yaml"):
        shutil.copy(ROOT / "conf" / name, folder / "conf" / name)
    return folder


@pytest.fixture(scope="module")
def run(project, composed, tmp_path_factory):
    """run(folder, program, *arguments) in a fork; returns its exit status and all its output."""
    cache = tmp_path_factory.mktemp("cache")
    name = f"smollm2-{PACKAGES['smollm2'].sha256[:16]}"
    tiny_base(composed("model=smollm2"), cache / "espejo" / "models" / name)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.helpers.faulty"],
        cwd=ROOT,
        env=workshop.environment(XDG_CACHE_HOME=str(cache), OMP_NUM_THREADS="1"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:

        def ran(folder, program, *arguments, full=False):
            print(
                json.dumps([str(folder), program, arguments, full]), file=server.stdin, flush=True
            )
            return json.loads(server.stdout.readline())

        for stage in STAGES:
            status, output = ran(project, f"stages.{stage}", *arguments(stage))
            assert status == 0, output
        yield ran
        server.stdin.close()


@pytest.fixture
def place(run, project, tmp_path):
    """A copy of the project, to be broken."""
    return shutil.copytree(project, tmp_path / "place")


def told(ran, *names):
    """Check that the output ends in one sentence that has one of `names`; returns the sentence."""
    status, output = ran
    assert status == 1, output
    assert "Traceback" not in output, output[-900:]
    sentence = output.strip().splitlines()[-1]
    assert any(name in sentence for name in names), output
    assert len(sentence) < 600
    return sentence


# Stages


def inputs(stage):
    """Each input with each fault; of the files of one kind, most faults of all but one are slow."""
    seen = set()
    for path in read_by(stage):
        kind = os.path.splitext(path)[1]
        for fault in faults_of(path):
            soon = kind not in seen or fault in ("missing", "garbage")
            marks = [] if soon else [pytest.mark.slow]
            yield pytest.param(stage, path, fault, id=f"{stage}-{path}-{fault}", marks=marks)
        seen.add(kind)


INPUTS = [case for stage in STAGES for case in inputs(stage)]


@pytest.mark.parametrize(("stage", "path", "fault"), INPUTS)
def test_an_input_that_is_missing_or_broken(stage, path, fault, place, run):
    faults_of(path)[fault](place / path)
    ran = run(place, f"stages.{stage}", *arguments(stage))
    if ran[0] == 2:  # typer's, before the stage begins
        assert fault == "forbidden", ran[1]
        assert os.path.basename(path) in ran[1]
    else:
        told(ran, os.path.basename(path))


@pytest.mark.parametrize(
    ("stage", "path"),
    [(name, path) for name in STAGES for path in read_by(name) if path.endswith(".json")],
)
def test_metrics_that_hold_nothing_give_a_report_without_them_or_a_sentence(
    stage, path, place, run
):
    (place / path).write_text("{}", "utf-8")
    ran = run(place, f"stages.{stage}", *arguments(stage))
    if ran[0]:
        told(ran, os.path.basename(path))


def outputs(stage, faulty):
    """The cases of a stage's outputs; for stages that run a model, all but the first are slow."""
    marks = [pytest.mark.slow] if stage in ("train", "predict") else []
    return [
        pytest.param(stage, path, id=f"{stage}-{path}", marks=marks if number else [])
        for number, path in enumerate(faulty)
    ]


def as_it_was(folder, project, stage):
    """Each output is the old one, a whole new one or none; no draft is left."""
    assert not [path for path in folder.rglob(".*") if "checkpoints" not in path.parts]
    for path in written_by(stage):
        if path != "model" and (folder / path).is_file():
            assert (folder / path).read_bytes() == (project / path).read_bytes(), path


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk(stage, place, project, run):
    names = [os.path.basename(path) for path in written_by(stage)]
    told(run(place, f"stages.{stage}", *arguments(stage), full=True), *names, "checkpoints")
    as_it_was(place, project, stage)


@pytest.mark.parametrize(
    ("stage", "folder"),
    [
        case
        for name in STAGES
        for case in outputs(
            name, sorted({os.path.dirname(path) or path for path in written_by(name)})
        )
    ],
)
def test_a_folder_that_can_only_be_read(stage, folder, place, project, run):
    (place / folder).chmod(0o555)
    inside = [path for path in written_by(stage) if path.startswith(folder)]
    output = told(run(place, f"stages.{stage}", *arguments(stage)), *inside, "checkpoints")
    assert "there is no permission to read or write it; allow it" in output
    as_it_was(place, project, stage)


@pytest.mark.parametrize(
    ("stage", "path"),
    [
        case
        for name in STAGES
        for case in outputs(name, [path for path in written_by(name) if path != "model"])
    ],
)
def test_a_folder_in_the_place_of_an_output(stage, path, place, run):
    folder_instead(place / path)
    output = told(run(place, f"stages.{stage}", *arguments(stage)), path)
    assert "there is a folder where a file is expected; move it away" in output


@pytest.mark.parametrize("stage", ["clean", "statistics", "report"])
def test_a_file_in_the_place_of_a_folder(stage, place, run):
    with_bytes(b"")(place / "reports")
    output = told(run(place, f"stages.{stage}", *arguments(stage)), "reports/")
    assert "there is a file where its folder should be; move it away" in output


SECTIONS = [
    (name, section)
    for name, stage in STAGES.items()
    for section in sorted({param.partition(".")[0] for param in stage["params"]})
]


@pytest.mark.parametrize(
    ("stage", "section", "value"),
    [
        (stage, section, value)
        for number, (stage, section) in enumerate(SECTIONS)
        for value in ([None, 7, {}] if number == 0 else [{}])
    ],
)
def test_a_section_of_params_that_is_missing_empty_or_no_section(stage, section, value, place, run):
    params = yaml.safe_load((place / "params.yaml").read_text("utf-8"))
    params.pop(section)
    if value is not None:
        params[section] = value
    (place / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
    output = told(
        run(place, f"stages.{stage}", *arguments(stage)),
        f"params.yaml lacks {section}",
        f"params.yaml: {section} ",
    )
    assert "`python conf/compose.py` writes params.yaml again" in output


BROKEN_PARAMS = {**ANY, "no YAML": with_bytes(b"parse: [1"), "a list": with_bytes(b"- 1")}


@pytest.mark.parametrize(
    ("stage", "fault"),
    [
        *(("parse", fault) for fault in BROKEN_PARAMS),
        *((stage, "no YAML") for stage in STAGES if stage != "parse"),
    ],
)
def test_params_that_cannot_be_read(stage, fault, place, run):
    BROKEN_PARAMS[fault](place / "params.yaml")
    told(run(place, f"stages.{stage}", *arguments(stage)), "params.yaml")


# Commands

READ_BY_COMMANDS = {
    "chat": ["model", "params.yaml"],
    "novelty": ["data/turns.parquet", "data/people.parquet"],
    "blind": ["data/replies.parquet", "data/examples.parquet", "params.yaml"],
    "replay": [
        *(f"data/{name}.parquet" for name in ("replies", "examples", "turns", "people")),
        "params.yaml",
    ],
    "card": ["metrics/train.json", "metrics/eval.json"],
    "web": ["model", "params.yaml"],
    "serve": [],  # tests/serving
    "export": [],  # tests/export
    "compare": [],
    "repeat": [],  # tests/commands/test_repeat.py
    "estimate": ["conf/config.yaml"],
    "init": [],  # tests/commands/test_init.py
    "forget": [],  # tests/commands/test_forget.py
}


def test_every_command_is_tried():
    names = {command.name or command.callback.__name__ for command in commands.registered_commands}
    assert names == set(READ_BY_COMMANDS)


@pytest.mark.parametrize(
    ("command", "path", "fault"),
    [
        pytest.param(command, path, fault, id=f"{command}-{path}-{fault}")
        for command, paths in READ_BY_COMMANDS.items()
        for path in paths
        for fault in faults_of(path)
        if (command, path, fault) != ("chat", "params.yaml", "missing")  # then nothing is declined
    ],
)
def test_a_command_whose_input_is_missing_or_broken(command, path, fault, place, run):
    faults_of(path)[fault](place / path)
    options = ("--port", str(ports.choose())) if command == "web" else ()
    told(run(place, "espejo", command, *options), os.path.basename(path), "conf")


@pytest.mark.parametrize("command", ["chat", "novelty", "blind", "replay"])
def test_a_command_that_finds_all_it_needs(command, place, run):
    status, output = run(place, "espejo", command)
    assert status == 0, output


def test_a_comparison_where_dvc_has_nothing(place, run):
    told(run(place, "espejo", "compare"), "`dvc exp show` failed")


@pytest.mark.parametrize("command", [("blind",), ("replay", "--page")])
def test_a_page_on_a_full_disk(command, place, run):
    told(run(place, "espejo", *command, full=True), f"reports/{command[0]}.html")
    assert not list((place / "reports").glob(f"*{command[0]}*"))


@pytest.mark.parametrize("command", [("blind",), ("replay", "--page")])
def test_a_page_where_nothing_can_be_written(command, place, run):
    (place / "reports").chmod(0o555)
    told(run(place, "espejo", *command), f"reports/{command[0]}.html")
