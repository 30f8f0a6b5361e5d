"""Invalid settings of params.yaml end in one sentence, whichever it is and whoever reads it."""

import copy
from pathlib import Path

import pytest
import yaml

from espejo.commands import inputs
from espejo.commands.inputs import CONFIGS
from espejo.core import config
from espejo.core.errors import UserError
from espejo.core.stage import params
from espejo.dataset.filters import FilterConfig
from espejo.privacy.cleaning import CleanConfig
from tests.pipeline.test_conf import CHOICES, ROOT

PATH = Path("params.yaml")
DEFAULTS = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
BY_NAME = {config_type.section: config_type for config_type in CONFIGS}
CURRENT_NAMES = {
    *BY_NAME,
    *(
        f"{config_type.section}.{key}"
        for config_type in CONFIGS
        for key in config_type.model_fields
    ),
}
TAGS = {"start": None, "other": "", "author": "", "turn_end": "", "reply": None, "end": None}


def changed(section, **values):
    """The section as conf/ has it, with other values."""
    return copy.deepcopy(DEFAULTS[section]) | values


def refused(section, section_values):
    """The sentence with which a section is refused."""
    with pytest.raises(UserError) as error:
        config.checked(BY_NAME[section], section_values, PATH)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("choice", CHOICES)
def test_what_conf_composes_is_of_its_kind(choice, composed):
    params = composed(choice)
    assert params.keys() == BY_NAME.keys()
    config.checked_all(params, CONFIGS, PATH)


@pytest.mark.parametrize(
    ("section", "key"), [(name, key) for name in DEFAULTS for key in DEFAULTS[name]]
)
def test_every_setting_has_a_kind(section, key):
    if section == "model" and key == "template_args":
        pytest.skip("templates take what they like")
    sentence = refused(section, changed(section, **{key: [[]]}))
    assert sentence.startswith(f"params.yaml: {section}.{key}")
    assert ": expected " in sentence
    assert "Correct it where you set it, behind -S or in conf/; then `python conf" in sentence


@pytest.mark.parametrize(
    ("section", "wrong", "expected"),
    [
        (
            "clean",
            {"pii": "Replace"},
            "clean.pii is 'Replace': expected 'replace', 'drop' or 'keep'.",
        ),
        ("clean", {"normalize": None}, "clean.normalize is None: expected 'NFC', 'NFD', 'NFKC'"),
        ("clean", {"captions": "no"}, "clean.captions is 'no': expected a valid boolean"),
        ("clean", {"characters": "z-a"}, "'z-a': expected characters for [] of a regular"),
        *(
            ("clean", {"pseudonyms": pattern}, f"{pattern!r}: expected one word with {{n}} in it.")
            for pattern in ("PERSONA", "PERSON {n}", "<{n}>", "{n}{n} {m}", "")
        ),
        ("group", {"turn_gap": 5}, "group.turn_gap is 5: expected a time such as 1h or 30min"),
        ("group", {"session_gap": "soon"}, "is 'soon': expected a time such as 1h or 30min"),
        ("group", {"session_gap": "3"}, "is '3': expected a time such as 1h or 30min"),
        ("group", {"turn_gap": "-1h"}, "is '-1h': expected a time such as"),
        ("group", {"test": 2}, "group.test is 2: expected less than or equal to 1"),
        ("group", {"history": True}, "group.history is True: expected a valid integer"),
        ("filter", {"links": "("}, "filter.links is '(': expected a regular expression"),
        ("filter", {"similarity": {"encoder": "a", "least": "x"}}, "similarity.least is 'x': exp"),
        ("filter", {"similarity": "a"}, "filter.similarity is 'a': expected encoder, least below"),
        (
            "format",
            {"tags": TAGS | {"other": 3}},
            "format.tags.other is 3: expected a valid string",
        ),
        ("audit", {"repetitions": [1, 0]}, "audit.repetitions.1 is 0: expected greater than or"),
        ("model", {"date": "today"}, "model.date is 'today': expected a date such as 2025-07-08"),
        ("model", {"quantization": "NF4"}, "model.quantization is 'NF4': expected 'nf4'."),
        (
            "model",
            {"precision": "half"},
            "'half': expected 'auto', 'wide', 'bfloat16', 'float16' or",
        ),
        ("model", {"threads": 0}, "model.threads is 0: expected auto or a number from 1 on."),
        ("model", {"threads": True}, "model.threads is True: expected auto or a number from 1 on."),
        ("generate", {"top_p": 0}, "generate.top_p is 0: expected greater than 0."),
        ("train", {"method": "LoRA"}, "train.method is 'LoRA': expected 'lora' or 'full'."),
        ("train", {"epochs": 1.5}, "train.epochs is 1.5: expected a valid integer"),
        ("train", {"batch_size": 0}, "train.batch_size is 0: expected greater than or equal to 1"),
        ("train", {"learning_rate": "1e-3"}, "train.learning_rate is '1e-3': expected a valid num"),
        ("train", {"alpha": 0.5}, "train.alpha is 0.5: expected a valid integer"),
        ("train", {"weight_decay": float("nan")}, "train.weight_decay is nan: expected a finite"),
        ("predict", {"out_of_scope": {"a": "b"}}, "out_of_scope.a is 'b': expected a valid list"),
        (
            "evaluate",
            {"sharing_limits": None},
            "sharing_limits is None: expected copied_beyond_own,",
        ),
        ("statistics", {"languages": "es"}, "statistics.languages is 'es': expected a valid list"),
        ("report", {"language": "pt"}, "report.language is 'pt': expected 'es' or 'en'."),
        ("chat", {"decline": ["bomba", 911]}, "chat.decline.1 is 911: expected a word or phrase"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_expected(section, wrong, expected):
    sentence = refused(section, changed(section, **wrong))
    assert expected in sentence
    assert "Correct it where you set it, behind -S or in conf/" in sentence


@pytest.mark.parametrize("threads", ["auto", 4, "4"])
def test_threads_are_auto_or_a_number(threads):
    values = changed("model", threads=threads)
    assert config.checked(BY_NAME["model"], values, PATH).threads == threads


LIMITS = DEFAULTS["evaluate"]["sharing_limits"]


@pytest.mark.parametrize(
    ("section", "values", "expected"),
    [
        ("clean", changed("clean", pi="keep"), "clean.pi is no setting; the nearest is clean.pii."),
        (
            "group",
            changed("group", zz=1),
            "group.zz is no setting; there are turn_gap, session_gap, history",
        ),
        (
            "evaluate",
            changed("evaluate", sharing_limits=LIMITS | {"member": 1}),
            "evaluate.sharing_limits.member is no setting; the nearest is "
            "evaluate.sharing_limits.membership. Fix it where you set it",
        ),
        (
            "format",
            changed("format", tags=TAGS | {"clsed": True}),
            "format.tags.clsed is no setting; the nearest is format.tags.closed.",
        ),
        # An invalid value is reported before an unknown key.
        ("clean", changed("clean", pi="keep", pii="x"), "clean.pii is 'x'"),
    ],
)
def test_what_is_not_known_is_named_with_the_nearest_that_is(section, values, expected):
    assert expected in refused(section, values)


@pytest.mark.parametrize(
    ("section", "key"),
    [(config_type.section, key) for config_type in CONFIGS for key in config_type.model_fields],
)
def test_what_is_missing_is_named(section, key):
    values = {name: value for name, value in DEFAULTS[section].items() if name != key}
    assert refused(section, values).startswith(f"params.yaml lacks {section}.{key}; `python conf/")


def test_a_limit_for_sharing_that_is_missing_is_named():
    limits = {name: most for name, most in LIMITS.items() if name != "membership"}
    sentence = refused("evaluate", changed("evaluate", sharing_limits=limits))
    assert sentence.startswith("params.yaml lacks evaluate.sharing_limits.membership;")


@pytest.mark.parametrize(("old", "new"), config.RENAMED.items())
def test_a_setting_of_another_name_is_told_its_new_one_by_whatever_stage_is_first(
    old, new, tmp_path
):
    changed_params = copy.deepcopy(DEFAULTS)
    section, key = old.split(".")
    changed_params[section][key] = 1
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(changed_params), "utf-8")
    with pytest.raises(UserError) as error:
        params(CleanConfig, path)
    assert f"params.yaml: {old} is called {new} now. Rename it" in str(error.value)
    assert old not in CURRENT_NAMES
    assert new.partition(" (")[0] in CURRENT_NAMES  # the meaning may follow


@pytest.mark.parametrize(("key", "old", "new"), [(*k, v) for k, v in config.RENAMED_VALUES.items()])
def test_a_value_of_another_name_is_told_its_new_one(key, old, new, tmp_path):
    settings = copy.deepcopy(DEFAULTS)
    *sections, name = key.split(".")
    section = settings
    for part in sections:
        section[part] = section[part] or {}
        section = section[part]
    section[name] = old
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump(settings), "utf-8")
    with pytest.raises(UserError, match=f"^.*params.yaml: {key}={old} is called {key}={new} now"):
        params(CleanConfig, path)
    section[name] = new
    config.refuse_renamed(settings, path)


def test_a_stage_reads_its_params_through_it(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"clean": changed("clean", pii="Keep")}), "utf-8")
    with pytest.raises(UserError, match="params.yaml: clean.pii is 'Keep'"):
        params(CleanConfig, path)
    path.write_text(yaml.safe_dump({"clean": changed("clean", pii="keep")}), "utf-8")
    assert params(CleanConfig, path).pii == "keep"


def test_groups_inside_a_section_are_configs_too(tmp_path):
    path = tmp_path / "params.yaml"
    similarity = {"encoder": "bundled", "least": 0.25}
    path.write_text(yaml.safe_dump({"filter": changed("filter", similarity=similarity)}), "utf-8")
    read = params(FilterConfig, path).similarity
    assert (read.encoder, read.least) == ("bundled", 0.25)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"evalute": {}}, "evalute is no section of settings; the nearest is evaluate."),
        ({"evaluate": changed("evaluate", seed=-1)}, "evaluate.seed is -1: expected greater than"),
        ({"train": None}, "train is None: expected method, loss, "),
    ],
)
def test_make_repro_begins_with_a_look_at_all_settings(wrong, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    PATH.write_text(yaml.safe_dump(DEFAULTS | wrong), "utf-8")
    with pytest.raises(UserError, match=f"^params.yaml: {expected}"):
        inputs.main()


def test_a_launcher_of_ones_own_may_have_a_name_of_ones_own():
    launch = changed("launch", slurm="srun python")
    config.checked(BY_NAME["launch"], launch, PATH)
    assert "launch.slurm is 3: expected" in refused("launch", launch | {"slurm": 3})
