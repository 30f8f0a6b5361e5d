"""What an edit costs: the stages that `dvc status` calls stale after it, on a real run. Only
directly stale stages are listed: a later stage runs again only if their outputs change.
"""

import json
from functools import reduce

import pytest
import yaml

from tests.helpers.workshop import run

MODEL = {"train", "predict"}  # what takes minutes, or hours
STAGES = ("parse", "clean", "group", "filter", "format", "train", "predict", "evaluate")
STAGES += ("statistics", "report")

# Seconds, or nothing at all: no model is trained or run.
COSMETIC = [
    ("evaluate.sharing_limits.membership=0.6", "evaluate report"),  # the report quotes the limit
    ("evaluate.bootstrap=90", "evaluate statistics report"),
    ("evaluate.margins.author_score=0.2", "evaluate report"),
    ("report.language=es", "report"),  # it was prepared in English
    ("report.shown_contexts=1", "report"),
    ("statistics.top_words=5", "statistics"),
    ("chat.declined=Paso.", ""),
    ("chat.decline=[bomba]", ""),
    ("espejo/plots/style.py", "report"),  # a colour
    ("espejo/report/es.yaml", "report"),  # a sentence
    ("espejo/report/page.css", "report"),
    ("espejo/evaluation/habits.py", "evaluate statistics report"),
    ("espejo/statistics/page.py", "statistics"),
    ("espejo/chat/terminal.py", ""),
    ("espejo/export/model_card.py", ""),  # the text of the model card
    ("espejo/commands/compare.py", ""),
    ("conf/config.yaml", ""),  # a comment: what it sets stands in params.yaml
    ("conf/model/smollm2.yaml", ""),
    ("README.md", ""),
    ("tests/conftest.py", ""),
]
# No training, but the trained model runs again.
NO_TRAINING = [
    ("generate.temperature=0.6", "predict"),
    ("generate.max_new_tokens=20", "predict"),
    ("predict.generated_replies=5", "predict"),
    ("predict.prompts=[Chau]", "predict"),
    ("predict.shots=2", "predict report"),  # the report says how many
    # evaluate and report read from there what the choices of conf/evaluate use.
    ("espejo/prediction/candidates.py", "predict evaluate report"),
]
OTHERS = [
    ("train.epochs=2", "train"),
    ("model.name=other", "format train statistics report"),
    ("clean.pii=keep", "clean"),
    ("clean.pseudonyms=NN_{n}", "clean statistics"),
    ("group.history=3", "group train"),  # the chat uses the same history
    ("group.session_gap=2h", "group train"),  # ... and the same sessions
    ("filter.near_duplicates=0.8", "filter"),
    ("audit.canaries=1", "format predict"),
    ("espejo/training/sft.py", "train"),
    ("espejo/model/pair.py", "format train predict statistics report"),
    ("espejo/whatsapp/kinds.py", "parse"),
    ("espejo/core/text.py", " ".join(STAGES)),
    ("stages/filter.py", "filter"),
]


@pytest.fixture(scope="module")
def after(ran):
    """after(edit) is the set of stages that are stale after it; the edit is undone again."""

    def status():
        return set(json.loads(run("dvc", "status", "--json", cwd=ran).stdout))

    def stale(edit):
        key, _, value = edit.partition("=")
        path = ran / ("params.yaml" if value else key)
        before = path.read_bytes()
        try:
            path.write_bytes(changed(before, key, value))
            return status()
        finally:
            path.write_bytes(before)

    assert status() == set()
    return stale


def changed(content, key, value):
    """Edit a file: another value at `key` or, without a value, one more comment."""
    if not value:
        return content + b"\n# edited\n"
    params = yaml.safe_load(content)
    *path, name = key.split(".")
    section = reduce(dict.__getitem__, path, params)
    assert section[name] != yaml.safe_load(value), "that is no change"
    section[name] = yaml.safe_load(value)
    return yaml.safe_dump(params).encode()


@pytest.mark.model
@pytest.mark.parametrize(("edit", "stages"), [*COSMETIC, *NO_TRAINING, *OTHERS])
def test_what_is_stale_after_an_edit(after, edit, stages):
    assert after(edit) == set(stages.split())


def test_what_is_cosmetic_runs_no_model():
    assert not MODEL & {stage for _, stages in COSMETIC for stage in stages.split()}
    assert "train" not in {stage for _, stages in NO_TRAINING for stage in stages.split()}
