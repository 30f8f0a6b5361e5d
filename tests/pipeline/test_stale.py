"""What an edit costs: the stages that `dvc status` calls stale after it, by dvc.lock. Only
directly stale stages are listed: a later stage runs again only if their outputs change.
"""

from contextlib import chdir
from functools import reduce

import pytest
import yaml
from dvc.repo import Repo

from tests.helpers import workshop

MODEL = {"train", "predict"}  # what takes minutes, or hours
STAGES = ("parse", "clean", "group", "filter", "format", "train", "predict", "evaluate")
STAGES += ("statistics", "report")

# Seconds, or nothing at all: no model is trained or run.
COSMETIC = [
    ("evaluate.sharing_limits.membership=0.6", "evaluate report"),  # the report quotes the limit
    ("evaluate.bootstrap=90", "evaluate statistics report"),
    ("evaluate.margins.author_score=0.2", "evaluate report"),
    ("report.language=en", "report"),
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
    ("predict.candidates=4", "predict evaluate"),  # which says how many replies can be ranked
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
def after(tmp_path_factory):
    """after(edit) is the set of stages that are stale after it; the edit is undone again."""
    folder = workshop.clone(tmp_path_factory.mktemp("stale"))

    def status():
        # What `dvc status` reads, without starting Python each time; in the folder it names stages.
        # The outputs of the run of dvc.lock are not here, so that only what is modified counts.
        with chdir(folder), Repo() as repo:
            return {stage for stage, entries in repo.status().items() if modified(entries)}

    def stale(edit):
        key, _, value = edit.partition("=")
        path = folder / ("params.yaml" if value else key)
        before = path.read_bytes()
        try:
            path.write_bytes(changed(before, key, value))
            return status()
        finally:
            path.write_bytes(before)

    assert status() == set(), "dvc.lock is older than the code: `dvc repro`"
    return stale


def modified(entries):
    """Whether a command, parameter or dependency is another than in dvc.lock."""
    return any(
        entry in ("changed command", "changed checksum")
        or any("modified" in str(change) for change in entry.get("changed deps", {}).values())
        for entry in entries
    )


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


@pytest.mark.parametrize(("edit", "stages"), [*COSMETIC, *NO_TRAINING, *OTHERS])
def test_what_is_stale_after_an_edit(after, edit, stages):
    assert after(edit) == set(stages.split())


def test_what_is_cosmetic_runs_no_model():
    assert not MODEL & {stage for _, stages in COSMETIC for stage in stages.split()}
    assert "train" not in {stage for _, stages in NO_TRAINING for stage in stages.split()}
