"""Every command and setting that a page names exists: targets, options, choices, keys."""

import importlib.util
import re
from itertools import pairwise
from pathlib import Path

import pytest
import typer
from dvc.cli import DvcParserError
from dvc.cli.parser import get_main_parser

from espejo.commands import cli
from tests.docs import pages
from tests.helpers.workshop import ROOT

PAGES = (*pages.PRESENT, *pages.NOTEBOOKS)
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
TARGETS = set(re.findall(r"^([\w/.-]+):", MAKEFILE, re.MULTILINE))
VARIABLES = {*re.findall(r"^(\w+) [?:]?=", MAKEFILE, re.MULTILINE)}
ESPEJO = typer.main.get_command(cli.commands)
GROUPS = {path.name for path in (ROOT / "conf").iterdir() if path.is_dir()} - {"launch"}
# Made by `make mine` on each machine.
OWN = {("data", "mine")}
_DOTS = re.compile(r"…|\.\.\.")


def wrong_with_make(arguments):
    for word in arguments:
        if "=" in word:
            if word.partition("=")[0] not in VARIABLES:
                return f"no variable {word}"
        elif not word.startswith("-") and word not in TARGETS:
            return f"no target {word}"
    return ""


def wrong_with_espejo(arguments):
    name, *rest = arguments
    if _DOTS.search(name) or name == "--help":
        return ""
    if name not in ESPEJO.commands:
        return f"no command {name}"
    command = ESPEJO.commands[name]
    if rest and (inner := getattr(command, "commands", None)):
        name, *rest = rest
        if name not in inner:
            return f"no command {name}"
        command = inner[name]
    options = {
        option for param in command.params for option in (*param.opts, *param.secondary_opts)
    }
    unknown = [word for word in rest if word.startswith("-") and word not in options | {"--help"}]
    return f"no option {unknown}" if unknown else ""


def wrong_with_dvc(arguments):
    if arguments == ["--version"] or _DOTS.search(arguments[-1]):
        return ""
    plain = all(re.fullmatch(r"[a-z]+", word) for word in arguments)
    try:  # a command that is only mentioned may lack what it is about
        get_main_parser().parse_args([*arguments, "--help"] if plain else arguments)
    except DvcParserError:
        return f"dvc does not take {arguments}"
    except SystemExit:  # of --help
        return ""
    return ""


def wrong_with_python(arguments):
    if arguments[0] == "-m":
        module = importlib.util.find_spec(arguments[1])
        return "" if module or arguments[1] == "stages.hours" else f"no module {arguments[1]}"
    if arguments[0] == "-c":
        return ""
    return "" if (ROOT / arguments[0]).is_file() else f"no file {arguments[0]}"


def wrong_with_pytest(arguments):
    missing = [word for word in arguments if "/" in word and not (ROOT / word).exists()]
    return f"no test {missing}" if missing else ""


CHECKS = {
    "make": wrong_with_make,
    "espejo": wrong_with_espejo,
    "dvc": wrong_with_dvc,
    "python": wrong_with_python,
    "pytest": wrong_with_pytest,
}


def overrides(page):
    """What follows -S on the page: in a command, or between backticks alone."""
    texts = []
    for line in pages.commands(page):
        texts += [after for word, after in pairwise(line) if word == "-S"]
    for span in pages.spans(page.read_text("utf-8")) if page.suffix == ".md" else []:
        texts += re.findall(r"-S '?([\w.]+=[^\s']*)", span)
    return texts


def wrong_with_override(override, params):
    key, _, value = override.partition("=")
    if key.startswith("{") or key.isupper() or "…" in key:
        return ""
    if key in GROUPS:
        names = [value] if _DOTS.search(value) else value.split(",")
        missing = [
            name
            for name in names
            if not (ROOT / "conf" / key / f"{name}.yaml").is_file()
            and (key, name) not in OWN
            and not re.search(r"[A-Z{…]", name)
        ]
        return f"no choice {key}={missing}" if missing else ""
    return wrong_with_setting(key, params)


def wrong_with_setting(key, params):
    section = params
    for part in key.split("."):
        if section is None:  # filter.similarity, which the default has not
            return ""
        if not isinstance(section, dict) or part not in section:
            return f"no setting {key}"
        section = section[part]
    return ""


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_the_commands_of_a_page_exist(page):
    wrong = [
        f"{' '.join(command)}: {problem}"
        for command in pages.commands(page)
        if command[0] in CHECKS and (problem := CHECKS[command[0]](command[1:]))
    ]
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=pages.name)
def test_the_settings_of_a_page_exist(page, composed):
    params = composed()
    wrong = [problem for each in overrides(page) if (problem := wrong_with_override(each, params))]
    sections = "|".join(params)
    for span in pages.spans(page.read_text("utf-8")) if page.suffix == ".md" else []:
        named = re.fullmatch(rf"((?:{sections})(?:\.[a-z_]+)+)(?:=\S*)?", span)
        if named and not (ROOT / span).exists() and not span.endswith((".yaml", ".txt", ".md")):
            wrong += filter(None, [wrong_with_setting(named[1], params)])
    assert not wrong


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        (["make", "mien"], "no target"),
        (["make", "repro", "MODLE=smollm2"], "no variable"),
        (["espejo", "chatt"], "no command"),
        (["espejo", "chat", "--sead", "3"], "no option"),
        (["dvc", "exp", "rnu"], "dvc does not take"),
        (["python", "-m", "espejo.nothing"], "no module"),
        (["pytest", "tests/nothing.py"], "no test"),
    ],
)
def test_a_slip_in_a_command_is_found(command, wrong):
    assert CHECKS[command[0]](command[1:]).startswith(wrong)


@pytest.mark.parametrize(
    "override", ["model=smollm9", "train.epoch=2", "filter=orignal-gpt2", "evaluate.share=1"]
)
def test_a_slip_in_a_setting_is_found(override, composed):
    assert wrong_with_override(override, composed())


def test_commands_are_read_from_blocks_and_lines(tmp_path):
    page = Path(tmp_path / "page.md")
    page.write_text(
        "Say `make mine` or `espejo chat`.\n\n```bash\nHF_HOME=/x make repro  # all of it\n"
        "dvc exp run -S a=1 && espejo compare\n```\n",
        "utf-8",
    )
    assert pages.commands(page) == [
        ["make", "repro"],
        ["dvc", "exp", "run", "-S", "a=1"],
        ["espejo", "compare"],
        ["make", "mine"],
        ["espejo", "chat"],
    ]
