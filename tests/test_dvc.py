"""dvc.yaml: DVC follows no imports, so each stage must name what it imports."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]


def module_file(name):
    """The file of a module of ours, or None."""
    path = ROOT / Path(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def imported(file):
    """Files of ours that `file` imports, directly; `from a import b` may name a module b."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            if name.split(".")[0] in ("espejo", "stages", "demo") and module_file(name):
                found.add(module_file(name))
    return found


def everything(file):
    """`file` and all of ours that it imports, directly or not, without empty packages."""
    seen, waiting = set(), {file}
    while waiting:
        current = waiting.pop()
        seen.add(current)
        waiting |= imported(current) - seen
    return {path.relative_to(ROOT).as_posix() for path in seen if path.stat().st_size}


@pytest.mark.parametrize("stage", STAGES)
def test_deps_name_every_module_that_a_stage_imports(stage):
    deps = set(STAGES[stage]["deps"])
    code = {dep for dep in deps if dep.endswith(".py")}
    assert code == everything(ROOT / "stages" / f"{stage}.py")


def test_the_notices_are_a_dep_wherever_the_reader_is():
    for name, stage in STAGES.items():
        if "espejo/whatsapp/__init__.py" in stage["deps"]:
            assert "espejo/whatsapp/notices.json" in stage["deps"], name


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_small_script(stage):
    assert len((ROOT / "stages" / f"{stage}.py").read_text("utf-8").splitlines()) <= 130


@pytest.mark.parametrize("stage", ["parse", "clean", "group", "filter"])
def test_no_stage_up_to_filter_imports_torch_or_transformers(stage):
    code = f"import sys, stages.{stage}; print({{'torch', 'transformers'}} & sys.modules.keys())"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == "set()\n", ran.stderr


def test_what_quotes_messages_is_cached_and_what_goes_in_git_is_not():
    for stage in STAGES.values():
        for out in stage["outs"]:
            path, settings = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            in_git = path.startswith(("metrics/", "plots/"))
            assert settings.get("cache", True) is not in_git, path
