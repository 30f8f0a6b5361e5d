"""An export is complete, or it is not there; nothing else is ever replaced."""

import errno
import json

import pytest

from espejo.core.errors import UserError
from espejo.export import folders
from tests.helpers.workshop import run


def write(folder, text):
    with folders.written(folder, {"target": "merged"}) as draft:
        (draft / "weights").write_text(text, "utf-8")


def test_an_earlier_export_is_replaced(tmp_path):
    folder = tmp_path / "exports" / "merged"
    write(folder, "first")
    (folder / "left over").write_text("", "utf-8")
    write(folder, "second")
    assert sorted(path.name for path in folder.iterdir()) == [folders.MARK, "weights"]
    assert (folder / "weights").read_text("utf-8") == "second"
    assert json.loads((folder / folders.MARK).read_text("utf-8")) == {"target": "merged"}
    assert [path.name for path in folder.parent.iterdir()] == ["merged"]


@pytest.mark.parametrize("name", ["thesis.txt", "espejo.json"])
def test_what_is_no_export_stays(tmp_path, name):
    (tmp_path / name).write_text("mine", "utf-8")
    with pytest.raises(UserError, match="is no earlier export, so it stays"):
        write(tmp_path, "weights")
    with pytest.raises(UserError, match="is no earlier export, so it stays"):
        write(tmp_path / name, "weights")
    assert (tmp_path / name).read_text("utf-8") == "mine"


def test_no_export_goes_where_git_would_take_it(tmp_path):
    run("git", "init", "-q", cwd=tmp_path)
    (tmp_path / ".gitignore").write_text("/exports/\n", "utf-8")
    with pytest.raises(UserError, match="which does not ignore it, and a model may repeat"):
        write(tmp_path / "shared" / "gguf", "weights")
    assert not (tmp_path / "shared").exists()
    write(tmp_path / "exports" / "gguf", "weights")
    assert run("git", "status", "--porcelain", cwd=tmp_path).stdout == "?? .gitignore\n"


def test_an_empty_folder_may_be_named(tmp_path):
    (tmp_path / "out").mkdir()
    write(tmp_path / "out", "weights")
    assert (tmp_path / "out" / "weights").is_file()


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), UserError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_an_export_that_fails_leaves_the_earlier_one(tmp_path, error, raised):
    folder = tmp_path / "merged"
    write(folder, "first")

    def fail(folder):
        with folders.written(folder, {}) as draft:
            (draft / "weights").write_text("half", "utf-8")
            raise error

    with pytest.raises(raised):
        fail(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]
    assert (folder / "weights").read_text("utf-8") == "first"


def test_an_export_that_was_killed_leaves_nothing_that_looks_complete(tmp_path):
    killed = tmp_path / ".merged.draft"
    killed.mkdir()
    (killed / "half").write_text("", "utf-8")
    before = tmp_path / ".merged.before"  # killed while the new one took the old one's place
    before.mkdir()
    (before / folders.MARK).write_text("{}", "utf-8")
    write(tmp_path / "merged", "weights")
    assert [path.name for path in tmp_path.iterdir()] == ["merged"]
    assert sorted(path.name for path in (tmp_path / "merged").iterdir()) == [
        folders.MARK,
        "weights",
    ]
