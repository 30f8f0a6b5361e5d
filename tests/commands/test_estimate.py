"""`espejo estimate`: published counts, arithmetic by hand, and a training that is measured."""

import json
import sys
from pathlib import Path

import pytest

from espejo.commands import estimate
from espejo.core.errors import UserError
from espejo.model import bundled, hardware
from tests.helpers.workshop import ROOT, run

MODELS = sorted(path.stem for path in (ROOT / "conf" / "model").glob("[!_]*.yaml"))
# As the models' pages on the hub give them; GPT-2's and SmolLM2's as transformers counts the files.
PUBLISHED = {
    "smollm2": 134_515_008,
    "gpt2": 124_439_808,
    "gpt2-spanish": 124_439_808,
    "phi3": 3_821_079_552,
    "smollm3": 3_075_098_624,
    "llama2": 6_738_415_616,
    "llama3": 8_030_261_248,
    "mistral": 7_248_023_552,
    "deepseek-qwen": 1_777_088_000,
    "salamandra-2b": 2_253_490_176,
}
# Models of 1.5B to 8B weights, and whether qlora-8gb makes them fit 8 GB. Of Llama 3.1 the
# embeddings and the head alone, float32 in training, take 2 x 128,256 x 4,096 x 4 bytes = 4.2 GB.
LARGE = {
    **dict.fromkeys(
        ("deepseek-qwen", "eurollm-1.7b", "qwen3", "qwen3.5-2b", "salamandra-2b"), True
    ),
    **dict.fromkeys(("smollm3", "phi3", "llama2", "mistral"), True),
    "llama3": False,
}
WITHIN = 1.5  # the estimate may be off by this factor


@pytest.fixture(scope="module")
def needs(composed):
    return {name: estimate.need(composed(f"model={name}")) for name in MODELS}


def test_counts_are_the_published_ones(needs):
    assert {name: needs[name].parameters for name in PUBLISHED} == PUBLISHED


@pytest.mark.parametrize("name", sorted(bundled.PACKAGES))
def test_the_shipped_sizes_are_those_of_the_bundled_models(name):
    try:
        config = json.loads((bundled.folder(name) / "config.json").read_text("utf-8"))
    except UserError:
        pytest.skip(f"{name} is an optional extra")
    shipped = json.loads((ROOT / "espejo" / "commands" / "architectures.json").read_text("utf-8"))[
        name
    ]
    assert shipped["config"] == {key: config[key] for key in shipped["config"]}


def test_adapters_are_counted_as_their_matrices(needs):
    # Rank 16: each module from a to b has 16 (a + b). Llama 2: 32 layers of four 4096 to 4096,
    # two 4096 to 11008 and one back.
    assert needs["llama2"].trained == 32 * 16 * (4 * 8192 + 3 * (4096 + 11008))
    # SmolLM3: 36 layers; q and o 2048 to 2048, k and v 2048 to 512.
    assert needs["smollm3"].trained == 36 * 16 * (2 * 4096 + 2 * (2048 + 512))
    assert needs["gpt2-spanish"].trained == needs["gpt2-spanish"].parameters


def test_a_chat_holds_the_weights_and_little_else(needs):
    # Llama 2: 32,000 x 4096 in and out stay in two bytes; the rest in four bits and their scales.
    big = 2 * 32_000 * 4096
    four_bits = (6_738_415_616 - big) * 0.5159 + big * 2
    assert four_bits < needs["llama2"].chat < 1.25 * four_bits
    # All weights trained are a second model beside the base.
    assert needs["smollm2-clm"].chat - needs["smollm2"].chat == pytest.approx(0.27e9, rel=0.05)


def test_the_longest_text_follows_the_settings(composed):
    # 64 + 600 / 2.5 + 250 / 2.5
    short = ("format.max_context_chars=600", "filter.max_reply_chars=250")
    assert estimate.lengths(composed(*short, "format.replies_per_text=1")) == (404, 100)
    # Where a text holds several replies, or all of it is learnt, nearly all may be the author's.
    assert estimate.lengths(composed(*short)) == (404, 404)
    assert estimate.lengths(composed(*short, "format.replies_per_text=1", "train.loss=text")) == (
        404,
        404,
    )
    # A filter without a limit leaves replies of a thousand characters: 64 + 600 + 400. The turns of
    # Phi-3's form are in one user turn, so that no reply stands before another.
    assert estimate.lengths(composed("model=phi3", "filter=none")) == (1064, 400)


def test_estimates_are_what_a_card_was_seen_to_take(needs):
    results = json.loads((ROOT / "docs" / "results" / "gpu.json").read_text("utf-8"))
    rows = results["checks"]["memory"]["rows"]
    assert {row["case"] for row in rows} < set(MODELS)  # models added since then were not measured
    for row in rows:
        estimated = needs[row["case"]].training / 1e9
        assert estimated == pytest.approx(row["training_gb"], rel=0.15), row["case"]
        # A GPU that is said to be enough also holds the fragmentation between the blocks.
        assert row["reserved_gb"] < min(estimate.cards(estimated * 1e9)), row["case"]


def test_large_models_are_all_those_above_one_and_a_half_billion(needs):
    assert set(LARGE) == {name for name, need in needs.items() if need.parameters > 1.5e9}


@pytest.mark.parametrize("name", LARGE)
def test_a_card_that_is_chosen_holds_every_large_model(composed, name):
    on_15, on_8 = (
        estimate.need(composed(f"model={name}", f"train=qlora-{size}gb")).training
        for size in (15, 8)
    )
    assert 15 in estimate.cards(on_15)
    assert (8 in estimate.cards(on_8)) == LARGE[name]


def test_texts_at_once_take_the_memory_and_a_step_of_more_takes_none(composed):
    def training(*overrides):
        return estimate.need(composed("model=qwen3-0.6b", *overrides)).training

    assert training("train.batch_size=8", "train.micro_batch_size=2") == training()
    assert training("train.batch_size=8") > 2 * training()


def test_cards_hold_what_is_below_nine_tenths_of_them():
    assert estimate.cards(7.1e9) == [8, 15, 24, 40, 80]
    assert estimate.cards(7.3e9) == [15, 24, 40, 80]
    assert estimate.cards(100e9) == []


def test_an_unknown_architecture_says_where_it_goes():
    with pytest.raises(UserError, match=r"add it to espejo/commands/architectures\.json"):
        estimate.architecture("nobody/no-such-model")


def test_the_command_lists_every_config():
    command = (sys.executable, "-m", "espejo.commands.cli", "estimate", "-S", "train=qlora-8gb")
    lines = run(*command, cwd=ROOT).stdout.splitlines()
    listed = [line.split()[0] for line in lines if line[:1].islower()]
    # GPT-2 calls its layers otherwise, and is too small to need it.
    trainable = [name for name in MODELS if name not in ("gpt2", "gpt2-spanish")]
    assert listed == ["model", *trainable, "gpt2:", "gpt2-spanish:"]
    llama3 = next(line for line in lines if line.startswith("llama3 "))
    assert "GB  15 24 40 80" in llama3
    assert lines[-1] == "To train so: `dvc exp run -S model=NAME -S train=qlora-8gb`."


def test_what_to_try_next_is_what_was_not_asked_for(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where nobody has chats of their own
    assert estimate.advice(["format=turns"]) == (
        "On a smaller card, with as many texts a step: "
        "`dvc exp run -S model=NAME -S format=turns -S train=qlora-15gb` (a T4) or "
        "`dvc exp run -S model=NAME -S format=turns -S train=qlora-8gb`. "
        "What fits then: `espejo estimate -S format=turns -S train=qlora-8gb`."
    )


def test_whoever_has_own_chats_is_told_to_train_on_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "data" / "mine.yaml").touch()
    assert estimate.advice(["train=qlora-8gb"]) == (
        "To train so: `dvc exp run -S data=mine -S model=NAME -S train=qlora-8gb`."
    )
    assert "data=mine" not in estimate.advice(["data=demo", "train=qlora-8gb"])


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("train=qlora-9gb", r"does not compose with .*train=qlora-9gb.*; there are .*qlora-8gb"),
        ("data=nope", r"Could not find 'data/nope'; there are demo"),
        ("model=nope", "There is no model 'nope'; there are deepseek-qwen, "),
        ("model=_defaults", "There is no model '_defaults'; there are deepseek-qwen, "),
        ("format.together=4", "override 'format.together'; `python conf/compose.py` with the same"),
    ],
)
def test_settings_that_there_are_none_of_end_in_a_sentence(setting, expected):
    with pytest.raises(UserError, match=expected) as error:
        estimate.estimate_all(ROOT / "conf", [setting])
    assert "_defaults" not in str(error.value).partition("there are")[2]


def test_a_model_that_is_named_is_estimated_alone():
    needs, refused = estimate.estimate_all(ROOT / "conf", ["model=smollm2,gpt2-spanish"])
    assert list(needs) == ["smollm2", "gpt2-spanish"]
    assert not refused


# What training needs, without freed memory that the process keeps (on a CPU some tenths more, and
# different in each run).
MEASURED = """\
import json, re, resource, sys
from pathlib import Path
from espejo.commands import estimate
from espejo.model import loading, tokenizers
from espejo.model.config import ModelConfig
from espejo.training import sft
from espejo.training.config import TrainConfig

loading.keep_freed_memory = lambda: None

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

params = json.loads(sys.argv[1])
model, train = ModelConfig(**params["model"]), TrainConfig(**params["train"])
tokens, learnt = estimate.lengths(params)
tokenizer = tokenizers.load_tokenizer(model)
ids = [(7 * at) % 40_000 + 100 for at in range(tokens)]
row = {"input_ids": ids, "labels": [-100] * (tokens - learnt) + ids[-learnt:], "kinds": []}
before = resident()
base = loading.load_base(model)
sft.train(base, tokenizer, [row] * 8, [row], train, Path(sys.argv[2]))
# Not getrusage: it counts what the process that started this one had.
peak = re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
print(json.dumps(int(peak) * 1024 - before))
"""


@pytest.mark.model
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_the_estimate_is_what_a_training_takes(composed, tmp_path):
    params = composed(
        "model=smollm2",
        "format.max_context_chars=600",
        "filter.max_reply_chars=250",
        "train.max_steps=2",
        "train.evals_per_run=1",
    )
    # The estimate is of a GPU with auto settings; here it must match the measured run.
    params["model"]["precision"] = str(hardware.dtype_of("auto")).removeprefix("torch.")
    params["train"]["attention"] = "grouped"
    ran = run(
        sys.executable,
        "-c",
        MEASURED,
        json.dumps(params),
        str(tmp_path / "run"),
        cwd=ROOT,
        CUDA_VISIBLE_DEVICES="",
    )
    peak = float(ran.stdout.splitlines()[-1])
    estimated = estimate.need(params).training
    assert peak / WITHIN < estimated < peak * WITHIN, (
        f"{peak / 1e9:.2f} GB, not {estimated / 1e9:.2f}"
    )
