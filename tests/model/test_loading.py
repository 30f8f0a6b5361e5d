"""Loading: bundled models, 4-bit weights, and a hub that does not answer."""

import hashlib
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from espejo.core.errors import UserError
from espejo.model import bundled, hardware, loading, tokenizers
from espejo.training import sft
from tests.helpers import tiny


def test_the_bundled_model_is_the_pretrained_one(smollm2):
    tokenizer, model = tokenizers.load_tokenizer(smollm2), loading.load_base(smollm2)
    assert model.num_parameters() == 134_515_008
    assert model.dtype == hardware.dtype_of("auto")
    # A model of random weights gives every token about ln 49,152 = 10.8 nats.
    ids = tokenizer(
        "The capital of France is Paris, and the capital of Italy is", return_tensors="pt"
    )["input_ids"]
    with torch.no_grad():
        assert model(input_ids=ids, labels=ids).loss < 5


def test_four_bit_weights_are_really_in_four_bits(configs, smollm2):
    qlora = configs("model=smollm2-qlora").model
    small, large = loading.load_base(qlora), loading.load_base(smollm2)
    # Linear layers hold 106 of 135 million weights: half a byte each in place of two.
    assert small.get_memory_footprint() < 0.5 * large.get_memory_footprint()
    assert type(small.model.layers[0].self_attn.q_proj).__name__ == "Linear4bit"


@pytest.mark.parametrize(("first", "dynamic"), [("json", "1"), ("espejo", "0")])
def test_torch_gets_all_threads_it_asks_for(first, dynamic):
    openmp = next((Path(torch.__path__[0]) / "lib").glob("libgomp*"), None)
    if openmp is None:
        pytest.skip("this build of torch brings another OpenMP")
    code = f"import {first}, torch, ctypes; print(ctypes.CDLL({str(openmp)!r}).omp_get_dynamic())"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"OMP_DYNAMIC": "true"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [dynamic]


def test_mixed_precision_follows_the_device_and_what_is_trained(gpu):
    assert sft.mixed_precision("lora", "bfloat16") == {"bf16": False, "fp16": False}
    assert sft.mixed_precision("full", "bfloat16") == {"bf16": True, "fp16": False}
    assert sft.mixed_precision("full", "float32") == {"bf16": False, "fp16": False}
    gpu(True)
    assert sft.mixed_precision("lora", "bfloat16") == {"bf16": True, "fp16": False}
    assert sft.mixed_precision("full", "float32") == {"bf16": False, "fp16": False}


def test_a_card_without_bfloat16_computes_and_trains_in_float16(gpu, configs, monkeypatch):
    gpu(False)
    assert sft.mixed_precision("lora", "bfloat16") == {"bf16": False, "fp16": True}
    options = {}

    def load(name, **named):
        options.update(named)
        return tiny.llama(50_000)

    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", load)
    loading.load_base(configs("model=smollm2-qlora").model)
    assert options["dtype"] == torch.float16
    nf4 = options["quantization_config"]
    assert (nf4.bnb_4bit_quant_type, nf4.bnb_4bit_use_double_quant) == ("nf4", True)
    assert nf4.bnb_4bit_compute_dtype == torch.float16


def test_adapters_beside_float16_weights_are_float32(configs):
    config = configs().train
    for dtype, expected in ((torch.float16, torch.float32), (torch.bfloat16, torch.bfloat16)):
        model = sft.add_lora(tiny.llama(40).to(dtype), config)
        trained = {weight.dtype for weight in model.parameters() if weight.requires_grad}
        assert trained == {expected}


def package(modules, sha256):
    return bundled.Package(modules, sha256, "make setup", "apache-2.0", "some terms")


def test_a_package_that_is_missing_says_how_to_install_it(monkeypatch, tmp_path):
    monkeypatch.setattr(bundled, "user_cache_path", lambda name: tmp_path)
    monkeypatch.setattr(bundled, "PACKAGES", {"gemma3": package(("no_such_module",), "0")})
    with pytest.raises(UserError, match=r"not installed: run `make setup`"):
        bundled.folder("gemma3")


def test_a_model_that_no_package_carries_is_refused():
    with pytest.raises(UserError, match="^model.id is 'gpt9', which no package carries: smollm2"):
        bundled.folder("gpt9")


def test_a_damaged_package_is_refused_and_leaves_nothing(monkeypatch, tmp_path):
    damaged = tmp_path / "broken_model_package"
    damaged.mkdir()
    (damaged / "__init__.py").write_text("")
    (damaged / "model.gguf").write_bytes(b"GGUF and nothing more")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(bundled, "user_cache_path", lambda name: tmp_path / "cache")
    entry = package(("broken_model_package",), "0" * 64)
    monkeypatch.setattr(bundled, "PACKAGES", {"smollm2": entry})
    with pytest.raises(UserError, match="is damaged"):
        bundled.folder("smollm2")
    assert list((tmp_path / "cache" / "models").iterdir()) == []


def test_two_processes_that_convert_at_once_end_with_one_model(monkeypatch, tmp_path):
    source = tmp_path / "fine_model_package"
    source.mkdir()
    (source / "__init__.py").write_text("")
    (source / "model.gguf").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(bundled, "user_cache_path", lambda name: tmp_path / "cache")
    digest = hashlib.sha256(b"weights").hexdigest()
    entry = package(("fine_model_package",), digest)
    monkeypatch.setattr(bundled, "PACKAGES", {"smollm2": entry})
    both_convert = threading.Barrier(2, timeout=60)

    def convert(gguf, target):
        target.mkdir()
        (target / "model.safetensors").write_bytes(gguf.read_bytes())
        both_convert.wait()  # neither has renamed its draft yet: a real race

    monkeypatch.setattr(bundled, "_convert", convert)
    folders = []
    workers = [
        threading.Thread(target=lambda: folders.append(bundled.folder("smollm2"))) for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(folders) == 2
    assert folders[0] == folders[1]
    assert [path.name for path in folders[0].parent.iterdir()] == [folders[0].name]
    assert (folders[0] / "model.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["smollm3", "llama2", "gpt2-spanish"])
def test_a_hub_model_without_a_network_stops_with_one_sentence(configs, name, monkeypatch):
    # An address on this machine where nothing listens: as good as no network, and as quick.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/nonexistent")
    model = configs(f"model={name}").model
    with pytest.raises(UserError) as error:
        tokenizers.load_tokenizer(model)
    text = str(error.value)
    assert text.startswith(f"The model {model.id} is not on this machine")
    assert f"hf download {model.id}" in text
    assert "\n" not in text
