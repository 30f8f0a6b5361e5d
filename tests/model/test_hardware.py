"""What `auto` chooses: on CPUs with fast and slow bfloat16, on GPUs, with few cores."""

import json
import os
import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError
from sentence_transformers.util import get_device_name
from transformers import Gemma2Config, LlamaConfig

from espejo.core.errors import UserError
from espejo.dataset import similarity
from espejo.model import attention, hardware
from tests.helpers.configs import changed
from tests.helpers.workshop import ROOT

LLAMA = LlamaConfig()


@pytest.fixture
def cost(monkeypatch):
    """cost(6.4) makes this machine a processor whose bfloat16 products take 6.4 times as long."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    def put(factor):
        hardware._warn_slow.cache_clear()
        monkeypatch.setattr(hardware, "bfloat16_cost", lambda: factor)

    return put


@pytest.mark.parametrize(
    ("factor", "expected"),
    [(0.2, torch.bfloat16), (0.9, torch.float32), (1.0, torch.float32), (15.0, torch.float32)],
)
def test_a_processor_takes_what_it_multiplies_clearly_faster(cost, factor, expected):
    cost(factor)
    assert hardware.dtype_of("auto") == hardware.dtype_of("wide") == expected


def test_a_fixed_precision_is_obeyed_with_one_warning_where_it_is_slow(cost, capsys):
    cost(6.42)
    assert hardware.dtype_of("bfloat16") == torch.bfloat16
    assert hardware.dtype_of("bfloat16") == torch.bfloat16
    output = capsys.readouterr().out
    assert output.count("\n") == 1
    assert "6.4 times slower in bfloat16" in output
    assert "model.precision=auto" in output
    assert hardware.dtype_of("float32") == torch.float32
    cost(0.2)
    assert hardware.dtype_of("float32") == torch.float32
    assert hardware.dtype_of("bfloat16") == torch.bfloat16
    assert capsys.readouterr().out == ""


def test_a_card_takes_bfloat16_where_it_has_it_and_float16_where_not(gpu):
    gpu(True)
    assert hardware.dtype_of("auto") == hardware.dtype_of("bfloat16") == torch.bfloat16
    gpu(False)
    assert hardware.dtype_of("auto") == hardware.dtype_of("bfloat16") == torch.float16
    assert hardware.dtype_of("float32") == torch.float32


def test_a_model_that_float16_cannot_hold_is_never_computed_in_it(gpu, configs):
    # Gemma 3's hidden states reach 104,000, and float16 ends at 65,504: its loss was NaN.
    precision = configs("model=gemma3").model.precision
    gpu(False)
    assert hardware.dtype_of(precision) == torch.float32
    gpu(True)
    assert hardware.dtype_of(precision) == torch.bfloat16


def test_attention_follows_the_device_and_the_architecture(gpu, cost):
    cost(1.0)
    assert hardware.resolve_attention("auto", LLAMA) == attention.NAME
    assert hardware.resolve_attention("auto", Gemma2Config()) == "eager"  # it caps its scores
    assert hardware.resolve_attention("eager", LLAMA) == "eager"
    gpu(True)
    assert hardware.resolve_attention("auto", LLAMA) == "sdpa"
    assert hardware.resolve_attention("grouped", LLAMA) == "grouped"


@pytest.mark.parametrize("precision", ["bloat16", "BFLOAT16", "int8", "", None])
def test_an_unknown_precision_is_refused(smollm2, precision):
    with pytest.raises(ValidationError, match="'auto', 'wide', 'bfloat16', 'float16' or 'float32'"):
        changed(smollm2, precision=precision)


@pytest.mark.parametrize("name", ["nothing", "flash", ""])
def test_an_unknown_attention_is_refused(name):
    with pytest.raises(UserError, match=r"train\.attention is .* auto, sdpa, eager or grouped"):
        hardware.resolve_attention(name, LLAMA)
    assert hardware.resolve_attention("grouped", LLAMA) == "grouped"


@pytest.mark.parametrize("threads", [0, -2, "many", "", 1.5, None])
def test_an_invalid_number_of_threads_is_refused(smollm2, threads):
    with pytest.raises(ValidationError, match="expected auto or a number from 1 on"):
        changed(smollm2, threads=threads)


def in_child(code, **environment):
    """What `code` prints in a process of its own, on the first processor it may use."""
    ran = subprocess.run(
        [sys.executable, "-c", f"from espejo.model import hardware; {code}"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_threads_are_the_cores_that_the_process_may_use():
    code = """
import os
os.environ.pop("LOKY_MAX_CPU_COUNT", None)
print(hardware.threads("auto"))
os.environ["LOKY_MAX_CPU_COUNT"] = "1"
print(hardware.threads("auto"))
os.environ.pop("LOKY_MAX_CPU_COUNT")
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
print(hardware.threads("auto"), hardware.threads(3))
"""
    cores, limited, pinned, set_to_three = map(int, in_child(code).split())
    assert 1 <= cores <= len(os.sched_getaffinity(0))
    assert (limited, pinned, set_to_three) == (1, 1, 3)


def test_hyperthreads_of_one_core_count_once(monkeypatch):
    monkeypatch.setattr(hardware.joblib, "cpu_count", lambda: 8)
    monkeypatch.setattr(hardware, "_allowed_cores", lambda: 4)
    assert hardware.threads("auto") == 4
    monkeypatch.setattr(hardware, "_allowed_cores", lambda: 0)  # no affinity, as on a Mac
    monkeypatch.setattr(hardware.psutil, "cpu_count", lambda logical: 6)
    assert hardware.threads("auto") == 6
    monkeypatch.setattr(hardware.psutil, "cpu_count", lambda logical: None)
    assert hardware.threads("auto") == 8
    monkeypatch.setattr(hardware, "_allowed_cores", lambda: 16)  # a container's quota is below
    assert hardware.threads("auto") == 8


def test_processes_of_a_launcher_share_the_cores(monkeypatch):
    monkeypatch.setattr(hardware.joblib, "cpu_count", lambda: 6)
    monkeypatch.setattr(hardware, "_allowed_cores", lambda: 6)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert hardware.threads("auto") == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "16")
    assert hardware.threads("auto") == 1


@pytest.fixture
def probed(monkeypatch, tmp_path):
    """probed(0.5) is the cost that is returned where a measurement would give 0.5."""
    monkeypatch.setattr(hardware, "user_cache_path", lambda name: tmp_path)

    def cost(answer):
        hardware.bfloat16_cost.cache_clear()  # as in a process of its own
        monkeypatch.setattr(hardware, "_measured_cost", lambda: answer)
        return hardware.bfloat16_cost()

    yield cost
    hardware.bfloat16_cost.cache_clear()


def test_a_machine_is_measured_once_and_the_cost_cannot_flip(probed, monkeypatch, tmp_path):
    assert probed(0.5) == 0.5
    assert probed(7.0) == 0.5
    monkeypatch.setattr(hardware, "_machine", lambda: "another processor")
    assert probed(7.0) == 7.0
    monkeypatch.undo()
    costs = json.loads((tmp_path / "bfloat16_cost.json").read_text("utf-8"))
    assert sorted(costs.values()) == [0.5, 7.0]
    assert [path.name for path in tmp_path.iterdir()] == ["bfloat16_cost.json"]


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"x": "y"}', '{"x": null}'])
def test_a_damaged_cache_is_replaced(probed, tmp_path, content):
    (tmp_path / "bfloat16_cost.json").write_text(content, "utf-8")
    assert probed(3.0) == 3.0
    assert list(json.loads((tmp_path / "bfloat16_cost.json").read_text("utf-8")).values()) == [3.0]


def test_without_a_cache_folder_each_run_measures(probed, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("", "utf-8")
    monkeypatch.setattr(hardware, "user_cache_path", lambda name: tmp_path / "file" / "below")
    assert probed(3.0) == 3.0
    assert probed(4.0) == 4.0


def test_the_machine_is_identified_by_processor_torch_and_limits(monkeypatch):
    for name in hardware._LIMITS:
        monkeypatch.delenv(name, raising=False)
    plain = hardware._machine()
    assert hardware.processor() in plain
    assert f"torch {torch.__version__}" in plain
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert hardware._machine() == f"{plain} ONEDNN_MAX_CPU_ISA=AVX2"


def test_products_are_timed_in_both_precisions():
    # On any CPU, one takes at most a hundred times as long as the other.
    assert 0.01 < hardware._measured_cost() < 100


def test_a_mac_computes_on_its_processor(apple):
    assert get_device_name() == "mps"  # what would be taken here by default
    assert hardware.device() == torch.device("cpu")
    assert similarity.encoder(similarity.BUNDLED).model.device == torch.device("cpu")
