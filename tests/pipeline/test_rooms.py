"""The rooms of espejo/: imports go downward, and each stage names the rooms that it uses.

DVC follows no imports: what a stage imports must stand in its deps, by folder.
"""

import ast
from pathlib import Path

import pytest
import yaml

from stages import train

ROOT = Path(__file__).resolve().parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
# From the ground up: a room imports those before it.
ROOMS = (
    *("core", "whatsapp", "sources", "privacy", "dataset", "model", "formatting", "training"),
    *("prediction", "evaluation", "statistics", "report", "plots", "serving", "chat", "export"),
    *("web", "bot", "commands"),
)


def module_file(name):
    """The file of a module of ours, or None."""
    path = ROOT / Path(*name.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)


def imported(file):
    """Files of ours that `file` imports, directly; `from a import b` may name a module b."""
    files = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        ours = [name for name in names if name.split(".")[0] in ("espejo", "stages", "demo")]
        files |= {module_file(name) for name in ours} - {None}
    return files


def room(file):
    """The room of a file, or None: espejo/__init__.py, __main__.py and what is no code of ours."""
    parts = file.relative_to(ROOT).parts
    return parts[1] if parts[0] == "espejo" and len(parts) > 2 else None


def used(file):
    """The rooms that `file` imports something from, directly or not; empty packages are nothing."""
    seen, waiting = set(), {file}
    while waiting:
        current = waiting.pop()
        seen.add(current)
        waiting |= imported(current) - seen
    return {room(path) for path in seen if path.stat().st_size} - {None}


def arrows():
    """Every import of a module of another room: pairs of files."""
    files = sorted((ROOT / "espejo").rglob("*.py"))
    pairs = ((file, other) for file in files for other in imported(file) if other.stat().st_size)
    return [(a, b) for a, b in pairs if room(a) and room(b) and room(a) != room(b)]


def test_espejo_holds_rooms_only():
    inside = {path.name for path in (ROOT / "espejo").iterdir()} - {"__pycache__"}
    assert inside - {"__init__.py", "__main__.py"} == set(ROOMS)


def test_imports_go_downward():
    upward = [
        f"{file.relative_to(ROOT)} imports {other.relative_to(ROOT)}"
        for file, other in arrows()
        if ROOMS.index(room(other)) > ROOMS.index(room(file))
    ]
    assert upward == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_rooms_that_it_uses_and_on_no_other(stage):
    deps = [Path(dep).parts for dep in STAGES[stage]["deps"] if dep.startswith("espejo")]
    assert {parts[1] for parts in deps if len(parts) == 2} == used(ROOT / f"stages/{stage}.py")
    assert all(len(parts) == 2 for parts in deps)


def test_a_training_resumes_with_the_code_of_the_rooms_that_its_stage_depends_on():
    """The key of its checkpoints holds that code: stages/train.py ROOMS."""
    deps = [Path(dep).parts for dep in STAGES["train"]["deps"] if dep.startswith("espejo/")]
    assert sorted(train.ROOMS) == sorted(parts[1] for parts in deps)
    kept = {room(file) for file in train.CODE}
    assert kept == set(train.ROOMS)
    modules = {file for name in train.ROOMS for file in (ROOT / "espejo" / name).rglob("*.py")}
    assert set(train.CODE) == modules


def test_dvc_yaml_is_read_in_a_minute():
    assert len((ROOT / "dvc.yaml").read_text("utf-8").splitlines()) <= 260
