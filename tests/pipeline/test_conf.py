"""conf/: everything composes, and params.yaml is of its shape."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from espejo.commands import init, own_chats
from espejo.prediction.config import CHOICES as PREDICT_CHOICES

ROOT = Path(__file__).resolve().parents[2]
GROUPS = ("format", "data", "clean", "filter", "train", "model", "evaluate", "experiment")
# conf/data/mine.yaml is a user's own: what they write in it is not for our tests.
CHOICES = [
    f"{group}={path.stem}"
    for group in GROUPS
    for path in sorted((ROOT / "conf" / group).glob("[!_]*.yaml"))
    if path.stem != "mine"
]
MODELS = [choice.removeprefix("model=") for choice in CHOICES if choice.startswith("model=")]


def shape(params):
    """Keys and types, all the way down; a number may be whole or not."""
    if isinstance(params, dict):
        return {key: shape(value) for key, value in params.items()}
    return "number" if isinstance(params, int | float) else type(params).__name__


def test_every_group_has_choices():
    assert {choice.split("=")[0] for choice in CHOICES} == set(GROUPS)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_composes_to_the_same_sections_and_keys(composed, choice):
    default, chosen = composed(), composed(choice)
    assert chosen.keys() == default.keys()
    for section in default:
        assert chosen[section].keys() == default[section].keys(), section


def test_params_yaml_has_the_shape_of_conf(composed):
    params = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
    # A user's `dvc exp run -S …` may have rewritten params.yaml, so .ci/run checks the values.
    chosen = [f"model={params['model']['name']}", f"format={params['format']['name']}"]
    assert shape(params) == shape(composed(*chosen))


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_named_like_its_file_and_says_all_that_it_must(composed, name):
    params = composed(f"model={name}")
    assert params["model"]["name"] == name
    assert params["model"]["revision"]
    assert params["model"]["source"] in ("bundled", "hub")
    assert "???" not in str(params)  # Hydra's sign for what must be stated


def test_a_model_is_a_few_lines():
    # The originals' notebooks set more.
    for name in set(MODELS) - {"gpt2", "gpt2-spanish", "llama2", "phi3", "smollm3"}:
        text = (ROOT / "conf" / "model" / f"{name}.yaml").read_text("utf-8")
        lines = [line for line in text.splitlines() if line.strip() and line[0] != "#"]
        assert len(lines) <= 15, name


def test_the_example_of_the_page_on_adding_a_model_is_one_of_them():
    page = (ROOT / "docs" / "adding-a-model.md").read_text("utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    assert example == (ROOT / "conf" / "model" / "eurollm-1.7b.yaml").read_text("utf-8")


CARDS = ("train=qlora-15gb", "train=qlora-8gb")
SET_BY_CARDS = {
    "model": ("quantization", "double_quantization"),
    "train": ("gradient_checkpointing", "micro_batch_size"),
}


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("name", sorted(set(MODELS) - {"gpt2", "gpt2-spanish", "smollm2-clm"}))
def test_a_card_changes_memory_and_not_what_is_learnt(composed, name, card):
    as_it_comes, on_card = composed(f"model={name}"), composed(card, f"model={name}")
    assert on_card["model"]["quantization"] == "nf4"
    assert on_card["model"]["double_quantization"] is True
    assert on_card["train"]["gradient_checkpointing"] is True
    if card == "train=qlora-8gb":
        assert on_card["train"]["micro_batch_size"] == 1
    for section, keys in SET_BY_CARDS.items():
        for key in keys:
            del as_it_comes[section][key], on_card[section][key]
    if as_it_comes["model"]["source"] == "bundled":  # they bring no recipe of their own
        del as_it_comes["train"], on_card["train"]
    assert on_card == as_it_comes  # train.batch_size is the texts of a step


def test_a_card_wins_over_any_model_in_any_order(tmp_path):
    conf = tmp_path / "conf"
    shutil.copytree(ROOT / "conf", conf, ignore=shutil.ignore_patterns("mine.yaml"))
    (conf / "model" / "own.yaml").write_text(
        "# @package _global_\n"
        "defaults: [_defaults, /train/lora-hub, _self_]\n"
        "model: {name: own, id: somebody/own, quantization: null, double_quantization: false}\n"
        "generate: {temperature: 1.0}\n"
        "train: {batch_size: 12, micro_batch_size: 12, gradient_checkpointing: false}\n",
        "utf-8",
    )
    params = tmp_path / "params.yaml"
    for order in (["model=own", CARDS[1]], [CARDS[1], "model=own"]):
        compose_and_dump(params, str(conf), None, "config", "", order)
        written = yaml.safe_load(params.read_text("utf-8"))
        assert written["model"]["quantization"] == "nf4"
        assert written["model"]["double_quantization"] is True
        assert written["train"]["gradient_checkpointing"] is True
        assert (written["train"]["batch_size"], written["train"]["micro_batch_size"]) == (12, 1)
        assert written["train"]["learning_rate"] == 2.0e-4
    # A user's settings for own data, or on the command line, win over the GPU's preset.
    compose_and_dump(params, str(conf), None, "config", "", [*order, "train.micro_batch_size=3"])
    assert yaml.safe_load(params.read_text("utf-8"))["train"]["micro_batch_size"] == 3


def test_choices_that_are_no_card_leave_a_model_as_it_is(composed):
    for name in ("llama3", "phi3", "qwen3"):
        assert composed(f"model={name}", "train=lora") == composed(f"model={name}")
    assert composed("model=smollm2", "train=full") == composed("model=smollm2") | {
        "train": composed("model=smollm2")["train"] | {"method": "full", "learning_rate": 2.0e-5}
    }


def test_what_is_told_of_the_choices_of_evaluate_is_what_they_are(composed):
    assert set(PREDICT_CHOICES) == {
        choice.removeprefix("evaluate=") for choice in CHOICES if choice.startswith("evaluate=")
    }
    for name, settings in PREDICT_CHOICES.items():
        predict = composed(f"evaluate={name}")["predict"]
        assert {key: predict[key] for key in settings} == settings, name
    # The rest is the same: evaluate=thorough changes how much is measured, not how.
    default, thorough = composed(), composed("evaluate=thorough")
    default["predict"] |= PREDICT_CHOICES["thorough"]
    assert thorough == default


def test_qlora_is_one_recipe(composed):
    recipe = {
        "method": "lora",
        "dropout": 0.05,
        "epochs": 3,
        "learning_rate": 2.0e-4,
        "targets": [*("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")],
    }
    for choices in (["model=llama3"], ["model=qwen3"], ["model=smollm2", "train=qlora"]):
        train = composed(*choices)["train"]
        assert {key: train[key] for key in recipe} == recipe, choices


@pytest.mark.parametrize(
    ("name", "form", "filter_"),
    [
        ("smollm2", "chat", "default"),
        ("smollm3", "chat", "original-smollm3"),
        ("phi3", "tagged", "original-phi3"),
        ("gpt2-spanish", "talk", "original-gpt2"),
        ("llama2", "qa", "default"),
        ("gemma3", "turns", "default"),
    ],
)
def test_a_model_brings_the_format_and_filter_of_its_original(composed, name, form, filter_):
    params = composed(f"model={name}")
    assert params["format"]["name"] == form
    assert params["filter"] == composed(f"filter={filter_}")["filter"]


def test_what_a_user_says_wins_over_what_a_model_brings(composed):
    params = composed("model=phi3", "filter=default", "format=chat")
    assert params["filter"] == composed()["filter"]
    assert params["format"] == composed("format=chat")["format"]
    assert composed("model=phi3", "experiment=llama2-qa")["format"]["name"] == "qa"
    assert composed("experiment=original", "clean=default")["clean"] == composed()["clean"]


def test_a_format_is_named_like_its_file(composed):
    for path in sorted((ROOT / "conf" / "format").glob("*.yaml")):
        assert composed(f"format={path.stem}")["format"]["name"] == path.stem


def test_added_tokens_are_trained_with_all_weights(composed):
    for name in MODELS:
        params = composed(f"model={name}")
        if params["model"]["added_tokens"]:
            assert params["train"]["method"] == "full", name


def test_no_setting_of_the_demo_names_a_person():
    names = ("Juli", "Cami", "Tincho", "Mechi", "Rocco", "Mamá")
    written = (ROOT / "params.yaml").read_text("utf-8") + (ROOT / "dvc.lock").read_text("utf-8")
    assert not [name for name in names if name in written]


def test_own_chats_have_pseudonyms_whatever_else_is_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    init.by_hand()
    folder = tmp_path / "all"
    shutil.copytree(ROOT / "conf", folder)
    shutil.copy(tmp_path / own_chats.CONF, folder / "data" / "mine.yaml")
    for chosen in (
        [],
        ["experiment=smoke"],
        ["model=gemma3"],
        ["model=phi3"],
        ["clean=original"],
        ["experiment=original"],
    ):
        compose_and_dump(
            tmp_path / "params.yaml", str(folder), None, "config", "", ["data=mine", *chosen]
        )
        params = yaml.safe_load((tmp_path / "params.yaml").read_text("utf-8"))
        assert params["clean"]["pseudonyms"] == "PERSON_{n}", chosen
        assert params["data"]["raw"] == "data/raw/mine"


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("train.epoch=1", "train.epoch is no setting; the nearest is train.epochs."),
        ("evaluate.share.membership=1", "evaluate.share is called evaluate.sharing_limits now."),
        ("model.generate.top_k=1", "model.generate is called generate now."),
        ("evalaute.seed=1", "evalaute.seed is no setting; the nearest is evaluate."),
        ("format.tags.zz=1", "format.tags.zz is no setting; there are start, other, author, "),
        ("experiment=smok", "Could not find 'experiment/smok'; there are audit, dailydialog, "),
        ("train.epochs", "Error parsing override 'train.epochs'."),
    ],
)
def test_what_does_not_compose_is_one_sentence(override, expected, monkeypatch):
    import compose

    before = (ROOT / "params.yaml").read_bytes()
    monkeypatch.setattr("sys.argv", ["conf/compose.py", override])
    with pytest.raises(SystemExit) as refused:
        compose.main()
    assert str(refused.value).startswith(f"conf/ does not compose with {override}: ")
    assert expected in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (ROOT / "params.yaml").read_bytes() == before


def test_a_wrong_value_is_refused_as_the_stages_refuse_it(monkeypatch):
    import compose

    before = (ROOT / "params.yaml").read_bytes()
    monkeypatch.setattr("sys.argv", ["conf/compose.py", "data.kind=Chats"])
    with pytest.raises(SystemExit) as refused:
        compose.main()
    sentence = "params.yaml: data.kind is 'Chats': expected 'chats', 'dialogues' or 'questions'."
    assert str(refused.value).startswith(sentence)
    assert (ROOT / "params.yaml").read_bytes() == before


def test_another_python_is_told_where_ours_is():
    # -S: without the packages that are installed, as outside of .venv.
    command = (sys.executable, "-S", "conf/compose.py", "train.epochs=2")
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 1
    assert ran.stderr.startswith("This Python has no yaml: `source .venv/bin/activate`")
