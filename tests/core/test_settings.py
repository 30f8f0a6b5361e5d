"""Settings of params.yaml that are none: one sentence, whichever it is and wherever it is read."""

from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from espejo.core import settings
from espejo.core.errors import UserError
from espejo.core.stage import params
from espejo.formatting.prompts import Tags
from tests.pipeline.test_conf import CHOICES, ROOT

PATH = Path("params.yaml")
DEFAULTS = yaml.safe_load((ROOT / "params.yaml").read_text("utf-8"))
LIMITS = {
    **{"copied_beyond_own": 0.05, "whole_beyond_own": 0.05},
    **{"membership": 0.7, "personal_data": 0},
}
TAGS = {"start": None, "other": "", "author": "", "turn_end": "", "reply": None, "end": None}
# Of model.threads the machine decides; the other sections are read by what has words of its own.
KEYS = [
    (section, key)
    for section in DEFAULTS
    if section not in ("launch", "chat")
    for key in DEFAULTS[section]
    if (section, key) != ("model", "threads")
]


def test_the_tags_that_are_checked_are_those_that_a_prompt_has():
    """Said twice, because reading a setting must not load what writes prompts (and so torch)."""
    assert set(settings._Tags.__annotations__) == {field.name for field in fields(Tags)}


@pytest.mark.parametrize("choice", CHOICES)
def test_what_conf_composes_is_of_its_kind(choice, composed):
    for section, found in composed(choice).items():
        if section in settings.SECTIONS:
            settings.checked(section, found, PATH)


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_setting_has_a_kind(section, key):
    with pytest.raises(UserError, match=rf"^params.yaml: {section}\.{key}\S* is .*: \S.*\. Set it"):
        settings.checked(section, {key: [[]]}, PATH)


@pytest.mark.parametrize(
    ("section", "wrong", "said"),
    [
        ("clean", {"pii": "drpo"}, "clean.pii is 'drpo': expected 'replace', 'drop' or 'keep'."),
        ("clean", {"normalize": None}, "clean.normalize is None: expected 'NFC', 'NFD', 'NFKC'"),
        ("clean", {"captions": "no"}, "clean.captions is 'no': expected a valid boolean"),
        ("clean", {"characters": "z-a"}, "'z-a': expected what may stand in [] of a regular"),
        ("group", {"turn_gap": 5}, "group.turn_gap is 5: expected a valid string"),
        ("group", {"session_gap": "soon"}, "is 'soon': expected a time such as 1h or 30min"),
        ("group", {"turn_gap": "-1h"}, "is '-1h': expected a time such as"),
        ("group", {"test": 2}, "group.test is 2: expected less than or equal to 1"),
        ("group", {"history": True}, "group.history is True: expected a valid integer"),
        ("filter", {"links": "("}, "filter.links is '(': expected a regular expression"),
        ("filter", {"similarity": {"encoder": "a", "least": "x"}}, "similarity.least is 'x': exp"),
        ("filter", {"similarity": {"encoder": "a"}}, "filter.similarity.least is {'encoder': 'a'}"),
        (
            "format",
            {"tags": TAGS | {"other": 3}},
            "format.tags.other is 3: expected a valid string",
        ),
        ("format", {"tags": TAGS | {"x": 3}}, "format.tags.x is 3: Extra inputs are not permitted"),
        ("audit", {"repetitions": [1, 0]}, "audit.repetitions.1 is 0: expected greater than or"),
        ("model", {"date": "today"}, "model.date is 'today': expected a date such as 2025-07-08"),
        ("train", {"epochs": 1.5}, "train.epochs is 1.5: expected a valid integer"),
        ("train", {"learning_rate": "1e-3"}, "train.learning_rate is '1e-3': expected a valid num"),
        (
            "evaluate",
            {"sharing_limits": LIMITS | {"membership": float("nan")}},
            "membership is nan: expected a finite",
        ),
        (
            "evaluate",
            {
                "sharing_limits": {
                    name: most for name, most in LIMITS.items() if name != "membership"
                }
            },
            "evaluate.sharing_limits.membership is ",
        ),
        (
            "evaluate",
            {"sharing_limits": LIMITS | {"member": 1}},
            "sharing_limits.member is 1: Extra inputs are not",
        ),
        ("evaluate", {"margins": {"author_score": 0.1}}, "evaluate.margins.told_apart is "),
    ],
)
def test_what_is_wrong_is_named_with_what_is_expected(section, wrong, said):
    with pytest.raises(UserError) as refused:
        settings.checked(section, wrong, PATH)
    assert said in str(refused.value)
    assert "Set it by `dvc exp run -S` or in conf/" in str(refused.value)


def test_what_is_missing_or_not_known_is_no_matter():
    settings.checked("clean", {"pii": "keep", "colour": 3}, PATH)


def test_a_stage_reads_its_params_through_it(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("clean: {pii: Keep}\n", "utf-8")
    with pytest.raises(UserError, match="params.yaml: clean.pii is 'Keep'"):
        params("clean", path)
    path.write_text("clean: {pii: keep}\n", "utf-8")
    assert params("clean", path) == {"pii": "keep"}
