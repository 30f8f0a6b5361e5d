"""Several processes: as many as configured, with the result of one, and only rank 0 writes. Two
processes on the CPU stand for two GPUs. For FSDP, accelerate is made to believe that they run on
GPUs (tests/helpers/launched.py); all else is its own code.
"""

import json
import shlex
import shutil
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_multi_gpu_env
from safetensors.torch import load_file
from torch.distributed.fsdp import StateDictType
from torch.distributed.run import get_args_parser

from espejo.core import tables
from espejo.core.errors import UserError
from espejo.model import hardware, loading, tokenizers
from espejo.training import distributed
from tests.helpers import tiny
from tests.helpers.launched import TOKENIZER
from tests.helpers.workshop import ROOT, run

TRAIN, VALIDATION = 10, 5  # neither fills its last batch
EPOCHS = 3
REPLIES = ["dale", "voy", "che", "bien", "vos"]


def rows(split, count):
    """Prompts of 1, 2, … words, so that its length says which row it is, and replies of one."""
    for number in range(count):
        prompt = "hola " * (number + 1)
        reply = REPLIES[number % len(REPLIES)]
        end = len(prompt) + len(reply)
        yield {
            "id": f"{split}-{number}",
            "session": number,
            "split": split,
            "text": f"{prompt}{reply}<|im_end|>",
            "spans": [
                {"start": len(prompt), "end": end, "kind": "message"},
                {"start": end, "end": end + len("<|im_end|>"), "kind": "end"},
            ],
            "masked": [],
        }


@pytest.fixture(scope="module")
def launched(composed, tmp_path_factory):
    """launched("train.launcher=cpu2") runs the stage on a tiny model: its folder and process."""

    def launch(*overrides, check=True):
        folder = tmp_path_factory.mktemp("launched")
        chosen = any(override.startswith("model=") for override in overrides)
        params = composed(
            *([] if chosen else ["model=smollm2"]),
            f"train.epochs={EPOCHS}",
            f"train.evals_per_run={EPOCHS}",
            "train.log_steps=1",
            "train.batch_size=4",
            "train.sample_prompts=[hola]",
            "train.learning_rate=0.02",
            "model.threads=1",
            "model.precision=float32",
            "generate.max_new_tokens=4",
            *overrides,
        )
        (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")
        table = pd.DataFrame([*rows("train", TRAIN), *rows("validation", VALIDATION)])
        tables.write(table, folder / "formatted.parquet", tables.FORMATTED)
        # 64 wide: weights of 4 bits come in blocks of 64.
        model = tiny.llama(len(TOKENIZER), hidden_size=64, intermediate_size=128)
        model.save_pretrained(folder / "tiny")
        shutil.copytree(ROOT / "conf" / "launch", folder / "conf" / "launch")
        command = shlex.split(params["launch"]["command"])
        ran = run(
            *command,
            "-m",
            "tests.helpers.launched",
            cwd=folder,
            check=check,
            PYTHONPATH=str(ROOT),
            CUDA_VISIBLE_DEVICES="",
        )
        return folder, ran

    return launch


@pytest.fixture(scope="module")
def alone(launched):
    return launched("train.launcher=single")


@pytest.fixture(scope="module")
def together(launched):
    return launched("train.launcher=cpu2")


def seen(folder, rank):
    """The rows that a process got, as lengths, batch by batch, without dummies."""
    batches = json.loads((folder / f"seen-{rank}.json").read_text("utf-8"))["rows"]
    return [
        [size for size in batch if size > len(distributed.DUMMY["labels"])] for batch in batches
    ]


def curve(folder):
    return pd.read_csv(folder / "0" / "loss.csv")


def distance(*folders):
    """The largest relative distance between a matrix of one adapter and that of the other.

    Not element by element: Adam's first steps are as large for a gradient of rounding errors as for
    any other.
    """
    first, second = (
        load_file(folder / "0" / "model" / "adapter_model.safetensors") for folder in folders
    )
    assert first.keys() == second.keys()
    return max(((first[name] - second[name]).norm() / first[name].norm()).item() for name in first)


def test_there_are_as_many_processes_as_asked(alone, together):
    for (folder, _), count in ((alone, 1), (together, 2)):
        metrics = json.loads((folder / "0" / "train.json").read_text("utf-8"))
        assert metrics["processes"] == count
        assert metrics["steps"] == 9  # ten rows by four, thrice


def test_two_take_the_batches_that_one_takes(alone, together):
    halves = zip(seen(together[0], 0), seen(together[0], 1), strict=True)
    assert [sorted(first + second) for first, second in halves] == [
        sorted(batch) for batch in seen(alone[0], 0)
    ]
    # Each row once an epoch: words 1 to 10, as many spaces, the reply and its end.
    whole = [size for batch in seen(alone[0], 0) for size in batch]
    assert sorted(whole) == sorted([2 * words + 2 for words in range(1, TRAIN + 1)] * EPOCHS)


def test_two_learn_what_one_learns(alone, together):
    first, second = curve(alone[0]), curve(together[0])
    assert first["train"].iloc[0] - first["train"].iloc[-1] > 0.2  # something was learnt
    assert first["validation"].notna().sum() == EPOCHS
    np.testing.assert_allclose(second.to_numpy(), first.to_numpy(), rtol=0, atol=1e-3)
    assert distance(alone[0], together[0]) < 0.02


@pytest.mark.parametrize("launcher", [pytest.param("single", marks=pytest.mark.slow), "cpu2"])
def test_a_training_that_ends_early_lists_the_texts_it_did_not_see(launched, launcher):
    folder = launched(f"train.launcher={launcher}", "train.max_steps=2")[0]
    lengths = [
        size
        for file in folder.glob("seen-*.json")
        for batch in seen(folder, file.stem.removeprefix("seen-"))
        for size in batch
    ]
    assert len(set(lengths)) == 8  # two steps of four
    manifest = json.loads((folder / "0" / "model" / "espejo.json").read_text("utf-8"))
    # Row i has i + 1 words: the words, as many spaces, the reply and its end.
    unseen = [f"train-{row}" for row in range(TRAIN) if 2 * (row + 1) + 2 not in lengths]
    assert manifest["unlearnt"] == unseen


def test_a_whole_training_has_seen_all_texts(alone):
    manifest = json.loads((alone[0] / "0" / "model" / "espejo.json").read_text("utf-8"))
    assert manifest["unlearnt"] == []


def test_the_hardware_is_printed_first_and_recorded_beside_the_model(alone):
    folder, ran = alone
    manifest = json.loads((folder / "0" / "model" / "espejo.json").read_text("utf-8"))
    assert manifest["hardware"] == {
        "device": hardware.processor(),
        "precision": "float32",
        "attention": "grouped",
        "threads": 1,
    }
    assert manifest["train"]["attention"] == "auto"  # the recorded setting is unchanged
    assert ran.stdout.splitlines()[0] == (
        "train: smollm2 (the Apache License 2.0) in float32, grouped attention, threads: 1, "
        f"on {hardware.processor()}"
    )
    numbers = (folder / "0" / "train.json").read_text("utf-8")
    assert "float32" not in numbers


def test_only_the_first_process_writes_and_prints(together):
    folder, ran = together
    assert not (folder / "1").exists()
    assert {path.name for path in (folder / "0").iterdir()} == {
        "model",
        "train.json",
        "loss.csv",
        "epochs.md",
    }
    assert list((folder / "checkpoints").iterdir()) == []
    assert ran.stdout.count("train: 10 of 10 texts learnt (10 replies in all), 9 steps") == 1
    page = (folder / "0" / "epochs.md").read_text("utf-8")
    assert page.count("**hola**") == EPOCHS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "within"),
    [("smollm2", 1e-3), ("smollm2-qlora", 1e-2)],
)
def test_a_sharded_model_learns_what_a_whole_one_learns(launched, model, within):
    # One evaluation at the end: on a CPU bitsandbytes repacks its weights in an evaluation.
    settings = [f"model={model}", "train.evals_per_run=1"]
    whole, sharded = (
        launched(*settings, f"train.launcher={launcher}")[0] for launcher in ("single", "fsdp")
    )
    for rank in (0, 1):
        recorded = json.loads((sharded / f"seen-{rank}.json").read_text("utf-8"))
        assert recorded["sharded"] == recorded["weights"] > 0
    first, second = curve(whole), curve(sharded)
    np.testing.assert_allclose(second.to_numpy(), first.to_numpy(), rtol=0, atol=within)
    assert distance(whole, sharded) < 20 * within
    page = (sharded / "0" / "epochs.md").read_text("utf-8")
    assert "Nothing was asked: the model was sharded" in page
    assert not (sharded / "1").exists()


@pytest.mark.slow
def test_processes_with_different_dropout_still_share_the_rows(launched):
    # An order drawn after dropout would differ between processes from the second epoch on.
    folder, _ = launched("train.launcher=cpu2", "train.dropout=0.3")
    whole = [size for rank in (0, 1) for batch in seen(folder, rank) for size in batch]
    assert sorted(whole) == sorted([2 * words + 2 for words in range(1, TRAIN + 1)] * EPOCHS)


@pytest.mark.slow  # the sum itself is tested below
def test_a_step_that_cannot_be_shared_ends_all_with_one_sentence(launched):
    _, ran = launched("train.launcher=cpu2", "train.batch_size=3", check=False)
    assert ran.returncode != 0
    assert ran.stderr.count("A step of 3 texts") == 1
    assert "cannot be shared by 2 processes: make it a multiple of 2." in ran.stderr


@pytest.mark.parametrize(
    ("batch_size", "micro_batch_size", "count", "expected"),
    [
        (4, None, 1, (4, 1)),
        (4, 9, 1, (4, 1)),
        (8, 1, 1, (1, 8)),
        (8, 3, 1, (2, 4)),  # three at once do not go
        (4, None, 2, (4, 1)),  # two each
        (16, 4, 2, (8, 2)),  # four each, twice
        (8, 1, 4, (4, 2)),  # one each, twice
        (6, None, 2, (6, 1)),  # three each
        (12, 4, 2, (6, 2)),  # six each, of which four at once do not go: three, twice
    ],
)
def test_a_step_is_shared_evenly(batch_size, micro_batch_size, count, expected):
    assert distributed.split_batch(batch_size, micro_batch_size, count) == expected


@pytest.mark.parametrize("count", [3, 8])
def test_a_step_is_not_shared_unevenly(count):
    with pytest.raises(UserError, match=f"make it a multiple of {count}"):
        distributed.split_batch(4, 1, count)


@pytest.mark.parametrize(
    ("launcher", "command"),
    [
        ("single", "python"),
        ("cpu2", "env CUDA_VISIBLE_DEVICES= torchrun --standalone --nproc_per_node 2"),
        ("ddp", "torchrun --standalone --nproc_per_node gpu"),
        ("fsdp", "accelerate launch --config_file conf/launch/fsdp.yaml --num_processes 2"),
    ],
)
def test_a_launcher_composes(composed, launcher, command):
    assert composed(f"train.launcher={launcher}")["launch"]["command"] == command
    # It stays what it is where all weights are trained, which is another choice of the same group.
    assert composed("train=full", f"train.launcher={launcher}")["launch"]["command"] == command


def test_one_process_is_the_default(composed):
    assert composed()["launch"]["command"] == "python"
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text("utf-8"))["stages"]
    assert stages["train"]["cmd"].startswith("${launch.command} -m stages.train data/")


def test_what_the_page_sets_composes(composed):
    page = (ROOT / "docs" / "cluster.md").read_text("utf-8")
    commands = [line for line in page.splitlines() if " -S " in line]
    assert len(commands) == 4
    for line in commands:
        words = shlex.split(line)
        values = [words[index + 1] for index, word in enumerate(words) if word == "-S"]
        chosen = [value for value in values if value != "data=mine"]  # a user's own
        chosen = [value for value in chosen if "," not in value]  # a sweep, which DVC takes apart
        assert composed(*chosen)["launch"]["command"] != "python"


def test_the_slurm_job_is_a_script(tmp_path):
    job = ROOT / "docs" / "slurm.sbatch"
    run("bash", "-n", job, cwd=tmp_path)
    lines = job.read_text("utf-8").splitlines()
    first_command = lines.index("set -euo pipefail")
    # Slurm reads its settings up to the first command only.
    assert not [line for line in lines[first_command:] if line.startswith("#SBATCH")]


def test_torchrun_reads_its_commands(composed):
    for launcher, each in (("cpu2", "2"), ("ddp", "gpu")):
        words = shlex.split(composed(f"train.launcher={launcher}")["launch"]["command"])
        options = words[words.index("torchrun") + 1 :]
        parsed = get_args_parser().parse_args([*options, "-m", "stages.train", "model"])
        assert (parsed.nproc_per_node, parsed.standalone, parsed.module) == (each, True, True)
        assert (parsed.training_script, parsed.training_script_args) == ("stages.train", ["model"])


def test_accelerate_reads_its_file(composed, monkeypatch):
    monkeypatch.chdir(ROOT)
    file = "conf/launch/fsdp.yaml"
    assert load_config_from_file(file).distributed_type == DistributedType.FSDP
    words = shlex.split(composed("train.launcher=fsdp")["launch"]["command"])
    monkeypatch.setattr(
        sys, "argv", ["accelerate"]
    )  # it looks there for options on the command line
    parsed = launch_command_parser().parse_args([*words[2:], "-m", "stages.train", "model"])
    parsed, _, _ = _validate_launch_command(parsed)
    assert (parsed.use_fsdp, parsed.num_processes, parsed.module) == (True, 2, True)
    for name, value in prepare_multi_gpu_env(parsed).items():
        if name.startswith(("FSDP_", "ACCELERATE_")):
            monkeypatch.setenv(name, value)
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    assert plugin.state_dict_type == StateDictType.FULL_STATE_DICT
    assert plugin.cpu_ram_efficient_loading is True
    assert "transformer" in plugin.auto_wrap_policy.__name__
    assert distributed.sharded()


def test_sharded_4_bit_weights_are_stored_in_the_dtype_they_compute_in(
    configs, monkeypatch, smollm2
):
    # PEFT's guide to FSDP with QLoRA wants both dtypes equal.
    options = {}
    monkeypatch.setattr(tokenizers, "locate", lambda model: ("nowhere", "0"))

    def stop(name, **named):
        options.update(named)
        raise InterruptedError

    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", stop)
    qlora = configs("model=smollm2-qlora").model
    computed = hardware.dtype_of("auto")
    for sharded, storage in ((True, computed), (False, torch.uint8)):
        with pytest.raises(InterruptedError):
            loading.load_base(qlora, sharded=sharded)
        nf4 = options["quantization_config"]
        assert nf4.bnb_4bit_quant_storage == storage
        assert nf4.bnb_4bit_compute_dtype == computed
        assert options["device_map"] == torch.device("cpu")
    with pytest.raises(InterruptedError):
        loading.load_base(smollm2, sharded=True)
    assert options["device_map"] is None


def test_each_process_has_its_own_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    assert hardware.device() == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert hardware.device() == torch.device("cuda", 3)


PREFERENCE = ("train=dpo", "train.preference.batch_size=2", "train.preference.learning_rate=0.01")


@pytest.mark.parametrize("quantization", ["null", "nf4"])
def test_the_stage_prefers_real_replies_after_the_training(launched, quantization):
    written = []
    for _ in range(2):
        folder, ran = launched(*PREFERENCE, f"model.quantization={quantization}")
        assert "real replies to the model's own" in ran.stdout
        files = sorted((folder / "0").rglob("*"))
        written.append({file.name: file.read_bytes() for file in files if file.is_file()})
    assert written[0] == written[1]
    assert not [name for name in written[0] if "ref" in name]
    metrics = json.loads(written[0]["train.json"])
    numbers = metrics["preference"]
    assert numbers["replies"]["in"] == TRAIN
    assert numbers["replies"]["out"] == numbers["pairs"]
    assert numbers["reward_margin"] > 0
    curve = pd.read_csv(folder / "0" / "loss.csv")
    assert curve["preference"].count() == numbers["steps"]
    assert curve["train"].count() == metrics["steps"]
    saved = load_file(folder / "0" / "model" / "adapter_model.safetensors")
    assert all(".lora_" in name and ".ref." not in name for name in saved)
    assert not (folder / "checkpoints").exists() or not list((folder / "checkpoints").iterdir())


def test_several_processes_do_not_prefer(launched):
    _, ran = launched(*PREFERENCE, "train.launcher=cpu2", check=False)
    assert ran.returncode
    assert "train.preference trains in one process" in ran.stdout + ran.stderr
