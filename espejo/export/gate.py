"""May the model leave this machine? What was measured decides, and what people.yaml allows."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from espejo.core import files, metrics, tables
from espejo.core.errors import UserError, not_made_yet
from espejo.export import model_card
from espejo.model import manifest as manifests
from espejo.privacy import people
from espejo.report import verdicts

NONE, TRIAL, AUDIT = "none", "trial", "audit"  # of `measured`, beside those in metrics/eval.json
REFUSED = ("fail", NONE, TRIAL, AUDIT)
_EVAL, _TRAIN = Path("metrics/eval.json"), Path("metrics/train.json")
_FORMATTED, _PEOPLE = Path("data/formatted.parquet"), Path("data/people.parquet")


@dataclass(frozen=True)
class Verdict:
    """The verdict on sharing a model, and whether it was overridden; `trained` is train.json."""

    name: str
    overridden: bool
    trained: Mapping
    kind: str

    @property
    def answer(self) -> str:
        """The answer to "Safe to share?"."""
        return model_card.sharing(self.trained, self.name, self.kind)

    @property
    def note(self) -> str:
        """A paragraph for the model card; "" where nothing was overridden."""
        if not self.overridden:
            return ""
        return f"**Exported despite the verdict `{self.name}`**, by whoever trained it."


def check(model: Path, manifest: Mapping, despite: str | None = None) -> Verdict:
    """The verdict on the model in the folder `model`, if it may be exported.

    Raises UserError for the verdicts in REFUSED, unless `despite` names the very one, and always
    where somebody in the chats does not allow it. What answers questions is meant to repeat its
    answers: there the verdict refuses nothing, but it must have been measured.
    """
    kind = manifests.kind_of(manifest)
    if kind == "chats":
        check_consents(model, manifest)
    name, reason = measured(model)
    trained = {} if name == NONE and not _TRAIN.is_file() else metrics.read(_TRAIN)
    if despite is not None and despite != name:
        raise UserError(
            f"--despite names the verdict {despite}, and that of {model}/ is {name}: export it "
            "again without --despite, and read what it says."
        )
    refused = name in REFUSED and (name != "fail" or kind != "questions")
    verdict = Verdict(name, refused, trained, kind)
    if not refused or despite:
        return verdict
    if name == NONE:
        raise UserError(
            f"Whether {model}/ may be shared is not known: {reason}. `dvc repro` measures it; to "
            f"export it all the same, add `--despite {NONE}`."
        )
    way = {
        TRIAL: "a whole run (`dvc exp run` without experiment=smoke) gives one",
        AUDIT: "`dvc repro` without experiment=audit trains the model to keep",
    }.get(name, "the report says why (reports/report.html)")
    raise UserError(
        f"{model}/ is not exported: its verdict on sharing is {verdict.answer}; {way}. To export "
        f"it all the same, add `--despite {name}`."
    )


def measured(model: Path) -> tuple[str, str]:
    """The verdict on sharing the model in the folder `model`; for NONE, why there is none.

    dvc.lock says which files a measurement was made from: one of another model counts as none.
    """
    for path in (_EVAL, _TRAIN, Path("dvc.lock")):
        if not path.is_file():
            return NONE, f"{path} is missing"
    hashes = _hashes()
    links = [
        *(("predict", "deps", model, "model"), ("train", "outs", _TRAIN, str(_TRAIN))),
        ("evaluate", "outs", _EVAL, str(_EVAL)),
    ]
    for stage, part, path, name in links:
        if hashes[stage, part].get(name) != _md5(path):
            return NONE, f"dvc.lock has {_EVAL} of another model, or of other data"
    written, read = hashes["predict", "outs"], hashes["evaluate", "deps"]
    if any(written[name] != read[name] for name in written.keys() & read.keys()):
        return NONE, f"{_EVAL} is older than what the model wrote (data/replies.parquet)"
    if verdicts.is_trial(metrics.read(_TRAIN)):
        return TRIAL, ""
    memory = metrics.read(_EVAL)["memory"]
    return (AUDIT if "canaries" in memory else memory["verdict"]), ""


def _hashes() -> dict[tuple[str, str], dict[str, str]]:
    """The hashes in dvc.lock: (stage, "deps" or "outs") -> path -> MD5."""
    stages = files.mapping(Path("dvc.lock"), yaml.safe_load)["stages"]
    return {
        (stage, part): {
            entry["path"]: entry.get("md5", "") for entry in stages.get(stage, {}).get(part, ())
        }
        for stage in ("format", "train", "predict", "evaluate")
        for part in ("deps", "outs")
    }


def _md5(path: Path) -> str:
    """The hash of a file or folder as in dvc.lock."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    listed = [
        {"md5": _md5(file), "relpath": file.relative_to(path).as_posix()}
        for file in path.rglob("*")
        if file.is_file()
    ]
    listed.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest() + ".dir"


def check_consents(model: Path, manifest: Mapping) -> None:
    """Raise UserError where somebody in the chats does not allow that this model is given away.

    Two rules: a model that learnt whole texts needs the answer train from all of the others; and
    nobody may allow less now than when it was trained, for then it holds what they took back.
    """
    if not (_PEOPLE.is_file() and _FORMATTED.is_file()):
        path = _FORMATTED if _PEOPLE.is_file() else _PEOPLE
        raise not_made_yet(f"{path} is missing, so it is not known whose words {model}/ learnt")
    sha256 = hashlib.sha256(_FORMATTED.read_bytes()).hexdigest()
    if manifest.get("data_sha256", sha256) != sha256:  # manifests of the first versions have none
        raise UserError(
            f"{model}/ learnt other texts than those in {_FORMATTED}, so it is not known what the "
            "people in them allow: run `dvc repro`, or `dvc exp apply` the experiment it is of."
        )
    folder = Path(manifest["data"])
    path = folder / people.FILE
    read = _hashes()["format", "deps"].get(str(_PEOPLE)) if Path("dvc.lock").is_file() else None
    if read not in (None, _md5(_PEOPLE)):
        raise UserError(
            f"{path} has changed, and was read again, since {model}/ was trained: run `dvc repro` "
            "to its end, and export the model that it leaves."
        )
    trained = tables.read(_PEOPLE, tables.PEOPLE)
    others, now = trained[~trained["is_author"]], people.read_people(folder)
    if not {*trained.loc[trained["is_author"], "mark"]} <= {*now.marks.values()}:
        raise UserError(
            f"{path} has another author, or another salt in its first line, than when {model}/ was "
            "trained, so it is not known who has taken something back: put it back, or run "
            "`dvc repro`."
        )
    less = taken_back(others[others["mark"].ne("")], now)
    if less:
        raise UserError(
            f"Since {model}/ was trained, people have taken back what they allowed in {path}: "
            f"{_list(less)}. Run `dvc repro`, which trains without it, and export that model."
        )
    read_only = others.loc[others["consent"].ne("train"), "name"].tolist()
    if manifest["train"]["loss"] == "text" and read_only:
        raise UserError(
            f"{model}/ learnt from whole texts, and in {path} not everybody in them has answered "
            f"train: {_list(read_only)}. Ask them, or train on your replies only "
            "(`-S train.loss=reply`); --despite does not change this."
        )


def taken_back(then: pd.DataFrame, now: people.People) -> list[str]:
    """Who allows less `now` than `then` (rows of table PEOPLE), each as somebody reads it.

    People are known by their mark: pseudonyms are places in the file, which others may take.
    """
    ranks = (*people.ANSWERS, "")  # from the least strict; "": no answer, or no longer in the file
    name_of = {mark: name for name, mark in now.marks.items()}
    less = []
    for person in then.itertuples():
        name = name_of.get(person.mark, "")
        answer = now.consents.get(name, "")
        if name not in now.aliases and ranks.index(answer) > ranks.index(person.consent):
            same = name in ("", person.name)
            less.append(person.name if same else f"{name} ({person.name})")
    return less


def _list(people_names: list[str]) -> str:
    more = len(people_names) - people.MAX_NAMES
    return ", ".join(people_names[: people.MAX_NAMES]) + (f" and {more} more" if more > 0 else "")
