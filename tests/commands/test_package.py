"""What `pip install .` gives: the dependencies of pyproject.toml, and every file of espejo/."""

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks import wheels
from tests.helpers.workshop import ROOT, run

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
NEEDED = {
    canonicalize_name(needed.name): needed for needed in map(Requirement, PROJECT["dependencies"])
}
DEVELOPERS = {
    canonicalize_name(needed.name): needed
    for needed in map(Requirement, PROJECT["optional-dependencies"]["dev"])
}
PINS = dict(
    line.split("==")
    for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines()
    if not line.startswith("#")
) | {"torch": re.search(r"torch==(\S+)", (ROOT / "Makefile").read_text("utf-8"))[1]}
PINNED = {canonicalize_name(name): version for name, version in PINS.items()}


def test_every_dependency_has_bounds_that_the_pinned_version_is_within():
    for name, needed in (NEEDED | DEVELOPERS).items():
        assert needed.specifier, name
        assert needed.specifier.contains(PINNED[name]), needed


@pytest.mark.parametrize(
    ("folders", "declared"),
    [
        (("espejo", "stages", "conf"), NEEDED),
        (("tests", "benchmarks", "docs", "demo"), NEEDED | DEVELOPERS),
    ],
)
def test_what_is_imported_is_declared(folders, declared):
    packages = packages_distributions()
    ours = {"espejo", "stages", "tests", "benchmarks", "docs", "demo", "compose"}
    missing = set()
    for file in (file for folder in folders for file in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            for name in {name.partition(".")[0] for name in names} - sys.stdlib_module_names - ours:
                of = {canonicalize_name(package) for package in packages.get(name, [name])}
                if not of & set(declared):
                    missing.add((name, file.name))
    # The script for the calendars of all languages says itself how to install Babel; the client of
    # Telegram is an extra; xllamacpp is in a folder of its own (requirements-llama-cpp.lock).
    elsewhere = {"babel", "telegram", "xllamacpp"}
    assert {(name, file) for name, file in missing if name not in elsewhere} == set()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The names of the files in the wheel of the tree as it stands, and its metadata."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).stdout
    kept = ("espejo/", "pyproject.toml", "README.md", "LICENSE", "NOTICE")
    for name in filter(None, listed.split("\0")):
        if name.startswith(kept) and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
    build = "import sys; from setuptools.build_meta import build_wheel; print(build_wheel('.'))"
    subprocess.run([sys.executable, "-c", build], cwd=folder, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as packed:
        (metadata,) = (name for name in packed.namelist() if name.endswith("/METADATA"))
        (scripts,) = (name for name in packed.namelist() if name.endswith("entry_points.txt"))
        texts = [packed.read(name).decode("utf-8") for name in (metadata, scripts)]
        return packed.namelist(), *texts


def test_the_wheel_has_every_file_of_espejo_and_no_other(wheel):
    listed = run("git", "ls-files", "-co", "--exclude-standard", "espejo", cwd=ROOT).stdout.split()
    expected = {name for name in listed if (ROOT / name).is_file()}
    assert any(name.endswith(".yaml") for name in expected)
    names, _, _ = wheel
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_the_wheel_has_the_licence_the_command_and_the_dependencies(wheel):
    names, metadata, scripts = wheel
    assert {name.rpartition("/")[2] for name in names if "/licenses/" in name} == {
        "LICENSE",
        "NOTICE",
    }
    assert "License-Expression: MIT\n" in metadata
    assert "espejo = espejo.commands.cli:app" in scripts
    stated = re.findall(r"^Requires-Dist: ([^;\n]+)$", metadata, re.MULTILINE)
    assert {canonicalize_name(Requirement(text).name) for text in stated} == set(NEEDED)


MAC = wheels.SYSTEMS["macOS 14 arm64"][1]
LINUX = wheels.SYSTEMS["Linux x86_64"][1]


@pytest.mark.parametrize(
    ("needs", "python", "system", "expected"),
    [
        ("Other_Package>=2", "3.12", LINUX, []),
        ("other-package>=3", "3.12", LINUX, ["other-package>=3, pinned is 2.5"]),
        ("third", "3.12", LINUX, ["third, which is not pinned"]),
        ('third; sys_platform == "win32"', "3.12", LINUX, []),
        ('third; sys_platform == "darwin"', "3.12", LINUX, []),
        ('third; sys_platform == "darwin"', "3.12", MAC, ["which is not pinned"]),
        ('third; python_version < "3.12"', "3.12", MAC, []),
        ('third; python_version < "3.12"', "3.11", MAC, ["which is not pinned"]),
        ('third; extra == "more"', "3.12", MAC, []),
    ],
)
def test_a_pin_that_is_missing_on_some_system_is_named(needs, python, system, expected):
    packages = [
        {"name": "first", "version": "1.0", "requires_dist": [needs]},
        {"name": "other.package", "version": "2.5"},
    ]
    complaints = list(wheels.missing(packages, python, system))
    assert len(complaints) == len(expected)
    for words, part in zip(complaints, expected, strict=True):
        assert words.startswith("first needs ")
        assert part in words
