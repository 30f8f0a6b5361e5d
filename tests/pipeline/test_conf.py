"""conf/: everything composes, and params.yaml is of its shape."""

import shutil
from pathlib import Path

import pytest
import yaml
from dvc.utils.hydra import compose_and_dump

from espejo.commands import own_chats

ROOT = Path(__file__).resolve().parents[2]
GROUPS = ("format", "data", "clean", "filter", "train", "model", "evaluate", "experiment")
# conf/data/mine.yaml is a user's own: what they write in it is not for our tests.
CHOICES = [
    f"{group}={path.stem}"
    for group in GROUPS
    for path in sorted((ROOT / "conf" / group).glob("*.yaml"))
    if path.stem != "mine"
]


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
    # A user's `dvc exp run -S …` may have rewritten the values: .ci/run checks those.
    chosen = [f"model={params['model']['name']}", f"format={params['format']['name']}"]
    assert shape(params) == shape(composed(*chosen))


@pytest.mark.parametrize(
    "path", sorted((ROOT / "conf" / "model").glob("*.yaml")), ids=lambda p: p.stem
)
def test_a_model_is_named_like_its_file_and_has_a_revision(composed, path):
    model = composed(f"model={path.stem}")["model"]
    assert model["name"] == path.stem
    assert model["revision"]
    assert model["source"] in ("embedded", "hub")


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
    assert composed("model=phi3", "experiment=qa")["format"]["name"] == "qa"
    assert composed("experiment=original", "clean=default")["clean"] == composed()["clean"]


def test_a_format_is_named_like_its_file(composed):
    for path in sorted((ROOT / "conf" / "format").glob("*.yaml")):
        assert composed(f"format={path.stem}")["format"]["name"] == path.stem


def test_added_tokens_are_trained_with_all_weights(composed):
    for path in sorted((ROOT / "conf" / "model").glob("*.yaml")):
        params = composed(f"model={path.stem}")
        if params["model"]["added_tokens"]:
            assert params["train"]["method"] == "full", path.stem


def test_no_setting_of_the_demo_names_a_person():
    names = ("Juli", "Cami", "Tincho", "Mechi", "Rocco", "Mamá")
    written = (ROOT / "params.yaml").read_text("utf-8") + (ROOT / "dvc.lock").read_text("utf-8")
    assert not [name for name in names if name in written]


def test_own_chats_have_pseudonyms_whatever_else_is_chosen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf" / "data").mkdir(parents=True)
    own_chats.main()
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
    ("asked", "said"),
    [
        ("train.epoch=1", "train.epoch is no setting; the nearest is train.epochs."),
        ("evaluate.share.membership=1", "evaluate.share is called evaluate.sharing_limits now."),
        ("model.generate.top_k=1", "model.generate is called generate now."),
        ("evalaute.seed=1", "evalaute.seed is no setting; the nearest is evaluate."),
        ("format.tags.zz=1", "format.tags.zz is no setting; there are start, other, author, "),
        ("experiment=smok", "Could not find 'experiment/smok'; there are audit, original, pairs,"),
        ("train.epochs", "Error parsing override 'train.epochs'."),
    ],
)
def test_what_does_not_compose_is_one_sentence(asked, said, monkeypatch):
    import compose

    before = (ROOT / "params.yaml").read_bytes()
    monkeypatch.setattr("sys.argv", ["conf/compose.py", asked])
    with pytest.raises(SystemExit) as refused:
        compose.main()
    assert str(refused.value).startswith(f"conf/ does not compose with {asked}: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (ROOT / "params.yaml").read_bytes() == before
