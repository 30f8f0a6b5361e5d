"""dvc.yaml and the stages: small scripts, and what quotes messages is never in git."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_a_small_script(stage):
    text = (ROOT / "stages" / f"{stage}.py").read_text("utf-8")
    assert len(text.splitlines()) <= 110
    defined = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert defined == ["main"]


@pytest.mark.parametrize("stage", ["parse", "clean", "group", "filter", "evaluate", "report"])
def test_a_stage_without_a_model_imports_neither_torch_nor_transformers(stage):
    assert imported(stage, {"torch", "transformers"}) == set()


@pytest.mark.parametrize("stage", ["format", "statistics"])
def test_a_stage_that_only_counts_tokens_does_not_import_what_trains(stage):
    # They would take twice as long: PEFT imports bitsandbytes, and it compilers for GPUs.
    assert imported(stage, {"transformers", "peft", "bitsandbytes"}) == {"transformers"}


def imported(stage: str, libraries: set[str]) -> set[str]:
    """Those of `libraries` that importing a stage imports."""
    code = f"import sys, stages.{stage}; print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return libraries & set(ran.stdout.split())


def test_what_quotes_messages_is_cached_and_what_goes_in_git_is_not():
    for stage in STAGES.values():
        for out in stage["outs"]:
            path, settings = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            in_git = path.startswith(("metrics/", "plots/"))
            assert settings.get("cache", True) is not in_git, path
