"""What may leave the machine: the verdict on sharing, and what people allow."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from espejo.core import tables
from espejo.core.errors import UserError
from espejo.export import gate
from espejo.model import manifest as manifests
from espejo.privacy.people import read_people
from tests.export.conftest import COUNTS, learn, lock, say
from tests.helpers.workshop import AUTHOR, PARTNER, init_dvc, run


def check(project, despite=None, **changed):
    """The gate, with values of the manifest `changed`."""
    manifest = manifests.read(project / "model")
    return gate.check(Path("model"), {**manifest, **changed}, despite)


@pytest.fixture
def here(project):
    """Relative paths, as the command has them: those in dvc.lock are relative too."""
    return project


@pytest.mark.parametrize("verdict", ["pass", "pass_with_doubts"])
def test_a_model_that_may_be_shared_is_exported(here, verdict):
    say(here, verdict)
    answer = check(here)
    assert (answer.name, answer.overridden, answer.note) == (verdict, False, "")
    assert answer.answer.startswith(f"{verdict}: nothing speaks against it")
    assert ("too little was measured" in answer.answer) == (verdict == "pass_with_doubts")


def trial(folder):
    (folder / "metrics" / "train.json").write_text(
        json.dumps(COUNTS | {"texts": 39, "learnt_texts": 4}), "utf-8"
    )
    lock(folder)


def audit(folder):
    """It passes every limit, and says invented codes."""
    scores = {"memory": {"verdict": "pass", "canaries": {"author": {"1": {}}}}}
    (folder / "metrics" / "eval.json").write_text(json.dumps(scores), "utf-8")
    lock(folder)


REFUSED = {
    "audit": audit,
    "fail": lambda folder: say(folder, "fail"),
    "trial": trial,
    "none": lambda folder: (folder / "metrics" / "eval.json").unlink(),
}


@pytest.mark.parametrize("verdict", REFUSED)
def test_what_must_not_be_shared_needs_its_verdict_by_name(here, verdict):
    REFUSED[verdict](here)
    with pytest.raises(UserError, match=f"add `--despite {verdict}`"):
        check(here)
    for other in {*REFUSED, "pass"} - {verdict}:
        with pytest.raises(UserError, match=f"that of .*model/ is {verdict}"):
            check(here, other)
    answer = check(here, verdict)
    assert answer.overridden
    assert f"despite the verdict `{verdict}`" in answer.note


def test_a_verdict_that_speaks_for_it_needs_no_despite(here):
    with pytest.raises(UserError, match="--despite names the verdict fail, and that of"):
        check(here, "fail")


def other_model(folder):
    (folder / "model" / "adapter_model.safetensors").write_bytes(b"another training")


def other_file(folder):
    (folder / "model" / "more.safetensors").write_bytes(b"weights that were not measured")


def other_numbers(folder):
    path = folder / "metrics" / "eval.json"
    path.write_text(path.read_text("utf-8") + " ", "utf-8")


def not_evaluated_since(folder):
    stages = yaml.safe_load((folder / "dvc.lock").read_text("utf-8"))
    stages["stages"]["predict"]["outs"][0]["md5"] = "6f"
    (folder / "dvc.lock").write_text(yaml.safe_dump(stages), "utf-8")


def no_lock(folder):
    (folder / "dvc.lock").unlink()


@pytest.mark.parametrize(
    "change", [other_model, other_file, other_numbers, not_evaluated_since, no_lock]
)
def test_a_verdict_on_another_model_is_none(here, change):
    change(here)
    with pytest.raises(UserError, match="is not known: .*`--despite none`"):
        check(here)


def test_a_folder_has_the_hash_that_dvc_gives_it(tmp_path):
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    for name in ("b.json", "inner/ñ.txt", "B.json", "a b"):
        (folder / name).write_text(name, "utf-8")
    run("git", "init", "-q", cwd=tmp_path)
    init_dvc(tmp_path)
    run("dvc", "add", "-q", "model", cwd=tmp_path)
    outs = yaml.safe_load((tmp_path / "model.dvc").read_text("utf-8"))["outs"]
    assert gate._md5(folder) == outs[0]["md5"]


def allow(folder, answer):
    """Write into people.yaml what PARTNER allows; None: PARTNER no longer stands there."""
    people = {} if answer is None else {PARTNER: answer}
    rewrite(folder, yaml.safe_dump({"author": AUTHOR, "people": people}, allow_unicode=True))


def rewrite(folder, text):
    """Put `text` into people.yaml, below its comments: one of them is its salt."""
    file = folder / "data" / "raw" / "xiomara" / "people.yaml"
    comments = [line for line in file.read_text("utf-8").splitlines() if line.startswith("#")]
    assert comments[0].startswith("# salt: ")
    file.write_text("\n".join([*comments, text]), "utf-8")


@pytest.mark.parametrize("answer", ["context", "withhold", None, ""])
def test_who_takes_a_consent_back_stops_every_export_until_it_is_trained_again(here, answer):
    allow(here, answer)
    with pytest.raises(UserError, match=f"taken back what they allowed .*: {PARTNER}\\. Run `dvc"):
        check(here)
    REFUSED["fail"](here)
    with pytest.raises(UserError, match="taken back"):
        check(here, "fail")


def test_after_another_training_the_answers_of_then_count(here):
    allow(here, "context")
    learn(here)
    assert check(here).name == "pass"
    allow(here, "train")  # allows more now: nothing is taken back
    assert check(here).name == "pass"


def text_loss(folder):
    return {**manifests.read(folder / "model")["train"], "loss": "text"}


def test_a_model_of_whole_texts_needs_train_from_all_of_the_others(here):
    assert check(here, train=text_loss(here)).name == "pass"
    allow(here, "context")
    learn(here)
    for despite in (None, "fail"):
        say(here, "fail" if despite else "pass")
        with pytest.raises(UserError, match=f"not everybody .* train: {PARTNER}\\."):
            check(here, despite, train=text_loss(here))


def test_people_are_known_by_their_names_and_not_by_their_place_in_the_file(here):
    raw = here / "data" / "raw" / "xiomara"
    table = read_people(raw).pseudonymized("NN_{n}").table()
    tables.write(table, here / "data" / "people.parquet", tables.PEOPLE)
    assert check(here).name == "pass"
    # Somebody comes before PARTNER, whose pseudonym would be NN_2 now, and theirs NN_1.
    for answer in ("train", "withhold"):
        rewrite(here, f"author: {AUTHOR}\npeople:\n  Mila: {answer}\n  {PARTNER}: train\n")
        assert check(here).name == "pass"
    rewrite(here, f"author: {AUTHOR}\npeople:\n  Mila: train\n  {PARTNER}: withhold\n")
    with pytest.raises(UserError, match=rf"taken back .*: {PARTNER} \(NN_1\)\. Run"):
        check(here)
    rewrite(here, f"author: {AUTHOR}\npeople:\n  Mila: train\n")  # asked of nobody any more
    with pytest.raises(UserError, match=r"taken back .*: NN_1\. Run"):
        check(here)
    rewrite(here, f"author: [{AUTHOR}, {PARTNER}]\n")  # another name of the author, after all
    assert check(here).name == "pass"
    (raw / "people.yaml").write_text(f"author: {AUTHOR}\npeople:\n  {PARTNER}: train\n", "utf-8")
    with pytest.raises(UserError, match="another author, or another salt"):
        check(here)


def test_people_yaml_read_again_without_a_training_is_no_consent(here):
    # `dvc repro clean` after a consent was taken back: the table agrees with the file, the model
    # does not.
    path = here / "dvc.lock"
    stages = yaml.safe_load(path.read_text("utf-8"))
    md5 = gate._md5(here / "data" / "people.parquet")
    stages["stages"]["format"] = {"deps": [{"path": "data/people.parquet", "md5": md5}]}
    path.write_text(yaml.safe_dump(stages), "utf-8")
    assert check(here).name == "pass"
    raw = here / "data" / "raw" / "xiomara"
    allow(here, "withhold")
    tables.write(read_people(raw).table(), here / "data" / "people.parquet", tables.PEOPLE)
    with pytest.raises(UserError, match="people.yaml has changed, and was read again"):
        check(here)


def test_words_that_nobody_in_the_file_wrote_take_nothing_back(here):
    people_path = here / "data" / "people.parquet"
    table = tables.read(people_path, tables.PEOPLE)
    nobody = {"name": "forwarded", "is_author": False, "consent": "context", "mark": ""}
    table = pd.concat([table, pd.DataFrame([nobody])], ignore_index=True)
    tables.write(table, people_path, tables.PEOPLE)
    assert check(here).name == "pass"


def test_consents_of_other_data_say_nothing(here):
    (here / "data" / "formatted.parquet").write_bytes(b"other texts")
    with pytest.raises(UserError, match="learnt other texts than those in data/formatted.parquet"):
        check(here, "none")
    older = manifests.read(here / "model")
    del older["data_sha256"]  # the first versions did not keep it
    assert gate.check(Path("model"), older).name == "pass"
    (here / "data" / "people.parquet").unlink()
    with pytest.raises(UserError, match=re.escape("people.parquet is missing")):
        check(here, "none")


def test_dialogues_have_a_verdict_and_no_people(here):
    allow(here, "withhold")
    assert check(here, kind="dialogues").name == "pass"
    say(here, "fail")
    with pytest.raises(UserError, match="add `--despite fail`"):
        check(here, kind="dialogues")


def test_answers_to_questions_are_meant_to_be_repeated(here):
    say(here, "fail")
    answer = check(here, kind="questions")
    assert not answer.overridden
    assert "only where its table may be read" in answer.answer
    REFUSED["none"](here)
    with pytest.raises(UserError, match="add `--despite none`"):
        check(here, kind="questions")
