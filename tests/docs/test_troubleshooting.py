"""docs/troubleshooting.md has every error message of the code, and its advice works."""

import ast
import re

import pytest
import yaml

from espejo.core.errors import UserError
from espejo.model import manifest
from tests.helpers import workshop
from tests.helpers.workshop import ROOT, init_dvc, run

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
RAISED = {"UserError", "ExportError"}
# Messages that are built from other messages: the page has their parts.
PASSED_ON = {"…", "……", "… …", "…: …; ….", "…: … is …: ….", "…: …; rename it or move it away."}


def entries():
    """What the page lists under `it says`: phrases, each a list of parts between `…`."""
    rows = re.findall(r"^\| (`.*?) \| .*? \| .*? \|$", PAGE, re.MULTILINE)
    phrases = [phrase for row in rows for phrase in re.findall(r"`([^`]+)`", row)]
    return {phrase: [part for part in phrase.split("…") if part] for phrase in phrases}


def text_of(node):
    """A string in the source, `…` where it is filled in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    return "…"


def sources():
    """The syntax trees of espejo/, stages/ and conf/."""
    for folder in ("espejo", "stages", "conf"):
        for file in sorted((ROOT / folder).rglob("*.py")):
            yield file, ast.parse(file.read_text("utf-8"))


def errors_of_init():
    """The errors of `espejo init` in both languages, with the file of each."""
    for file in sorted((ROOT / "espejo" / "commands" / "init_texts").glob("*.yaml")):
        for sentence in yaml.safe_load(file.read_text("utf-8"))["errors"].values():
            yield file.relative_to(ROOT), re.sub(r"{\w+}", "…", sentence)


def raised():
    """The sentences of the errors that the code raises, with the file of each."""
    yield from errors_of_init()
    for file, tree in sources():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) in RAISED
                and node.args
            ):
                yield file.relative_to(ROOT), text_of(node.args[0])


def holds(text, parts):
    """Whether the parts stand in the text, in order."""
    return bool(parts) and re.search(".*".join(map(re.escape, parts)), text, re.DOTALL) is not None


def test_every_sentence_of_the_code_is_on_the_page():
    listed = entries().values()
    missing = [
        f"{file}: {sentence}"
        for file, sentence in raised()
        if sentence not in PASSED_ON and not any(holds(sentence, parts) for parts in listed)
    ]
    assert not missing


def test_no_sentence_of_the_page_has_left_the_code():
    strings = {
        text_of(node)
        for _, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.BinOp)
    }
    strings.add((ROOT / "Makefile").read_text("utf-8"))
    strings |= {sentence for _, sentence in errors_of_init()}
    # Of other programs: the shell, Hydra, git, DVC.
    others = {"command not found: dvc", "espejo", "Key … is not in struct"}
    others |= {"Please tell me who you are", "Unable to acquire lock", "-S data=mine"}
    others |= {"Could not override"}
    others |= {"espejo blind --score", "'utf-8' codec can't encode character"}
    gone = [
        phrase
        for phrase, parts in entries().items()
        if phrase not in others and not any(holds(text, parts) for text in strings)
    ]
    assert not gone


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return workshop.clone(tmp_path_factory.mktemp("project"))


def broken_table(folder):
    run("dvc", "repro", "clean", cwd=folder)
    (folder / "data" / "messages.parquet").write_bytes(b"PAR1 and no table")


def own_chat(folder):
    workshop.mine(folder)
    (folder / "data" / "raw" / "mine" / "people.yaml").write_text(
        f"author: {workshop.AUTHOR}\n", "utf-8"
    )


INPUTS = ("python", "-m", "espejo.commands.inputs")
CLEAN = (
    *("python", "-m", "stages.clean", "data/messages.parquet", "data/raw/demo"),
    *("data/clean.parquet", "data/people.parquet", "metrics/clean.json"),
    "reports/personal_data.md",
)
PARSE = (
    *("python", "-m", "stages.parse", "data/raw/mine", "data/messages.parquet"),
    *("data/probes.parquet", "metrics/parse.json"),
)


def without(name):
    return lambda folder: run("rm", "-r", name, cwd=folder)


def with_text(name, text):
    return lambda folder: (folder / name).write_text(text, "utf-8")


def answered(folder):
    (folder / "data" / "raw" / "mine" / "people.yaml").write_text(workshop.PEOPLE, "utf-8")


def made_anew(folder):
    (folder / "data" / "messages.parquet").unlink()
    run("dvc", "repro", "clean", cwd=folder)


# What goes wrong; the command that says so; what it says, as the page lists it; the command that
# the page names beside it, or what it says in words, done.
TROUBLES = {
    "no chats": (
        *(without("data/raw/demo"), INPUTS, "… is no folder: …"),
        "git checkout data/raw/demo",
    ),
    "params.yaml is gone": (
        *(without("params.yaml"), INPUTS, "there is no such file or folder"),
        "python conf/compose.py",
    ),
    "params.yaml is damaged": (
        *(with_text("params.yaml", "data: [\n"), INPUTS, "is not valid YAML"),
        "python conf/compose.py",
    ),
    "params.yaml holds something else": (
        *(with_text("params.yaml", "model: {name: x}\n"), INPUTS, "… lacks …"),
        "python conf/compose.py",
    ),
    "a setting is no text": (
        *(with_text("params.yaml", "data: {raw: 3}\n"), INPUTS, "Correct it where you set it,"),
        "python conf/compose.py",
    ),
    "conf/ is damaged": (
        with_text("conf/train/lora.yaml", "method: [\n"),
        ("python", "conf/compose.py"),
        *("conf/ does not compose with", "git checkout conf"),
    ),
    "params.yaml was edited": (
        with_text("params.yaml", "data: {raw: elsewhere}\n"),
        ("python", "conf/compose.py", "--check"),
        *("params.yaml is not what conf/ composes to", "python conf/compose.py"),
    ),
    "a table is damaged": (
        *(broken_table, CLEAN, "is damaged, or not what espejo wrote"),
        made_anew,
    ),
    "somebody was not asked": (
        *(own_chat, PARSE, "… does not say what these people allow"),
        answered,
    ),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_what_the_page_says_to_do_helps(name, project):
    spoil, command, phrase, remedy = TROUBLES[name]
    spoil(project)
    ran = run(*command, cwd=project, check=False)
    assert ran.returncode == 1
    assert holds(ran.stderr, entries()[phrase]), ran.stderr
    assert "Traceback" not in ran.stderr
    if callable(remedy):
        remedy(project)
    else:
        row = next(row for row in PAGE.splitlines() if f"`{phrase}`" in row)
        assert f"`{remedy}`" in row
        run(*remedy.split(), cwd=project)
    assert run(*command, cwd=project, check=False).returncode == 0


def test_no_sentence_is_listed_twice():
    phrases = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert len(phrases) == len(set(phrases))


def test_without_a_model_the_chat_says_what_to_run(tmp_path):
    (tmp_path / "dvc.yaml").touch()
    ran = run("espejo", "chat", "--model", "model", cwd=tmp_path, check=False)
    assert ran.returncode == 1
    assert "There is no trained model in model/" in ran.stderr
    assert "make repro" in ran.stderr


def test_after_a_run_that_failed_the_model_comes_back_as_the_chat_says(tmp_path):
    stage = {
        "cmd": "grep -q lora params.yaml && mkdir model && echo '{}' > model/espejo.json",
        "params": ["train"],
        "outs": ["model"],
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}), "utf-8")
    (tmp_path / "params.yaml").write_text("train: lora\n", "utf-8")
    run("git", "init", "-q", cwd=tmp_path)
    init_dvc(tmp_path)
    run("dvc", "repro", "-q", cwd=tmp_path)
    (tmp_path / "params.yaml").write_text("train: LoRA\n", "utf-8")
    assert run("dvc", "repro", "-q", cwd=tmp_path, check=False).returncode
    with pytest.raises(UserError, match=r"If a run has just failed, `dvc checkout` brings back"):
        manifest.read(tmp_path / "model")
    run("dvc", "checkout", cwd=tmp_path)
    assert manifest.read(tmp_path / "model") == {}
