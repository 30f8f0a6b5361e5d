"""`dvc push` to a folder of one's own, and `dvc pull` in another clone, on the invented demo."""

import shutil

from tests.helpers import workshop
from tests.helpers.workshop import run

STAGES = ("parse", "clean", "group")
TABLES = ("messages", "clean", "turns")


def test_another_clone_pulls_the_tables_that_one_pushed(tmp_path):
    first, second, disk = (tmp_path / name for name in ("laptop", "computer with a card", "disk"))
    workshop.clone(first)
    run("dvc", "repro", "group", cwd=first)
    run("git", "commit", "-q", "-a", "-m", "the demo's tables", "--allow-empty", cwd=first)
    run("dvc", "remote", "add", "--local", "--default", "backup", str(disk), cwd=first)
    run("dvc", "push", *STAGES, cwd=first)
    pushed = {table: (first / "data" / f"{table}.parquet").read_bytes() for table in TABLES}
    # The remote's address stays in this clone, and nothing of it went into git.
    assert (
        "backup"
        not in run("git", "grep", "-l", "backup", "--", ".dvc", cwd=first, check=False).stdout
    )
    assert run("git", "status", "--porcelain", cwd=first).stdout == ""

    run("git", "clone", "-q", str(first), str(second), cwd=tmp_path)
    shutil.rmtree(first)
    assert not any((second / "data").glob("*.parquet"))
    run("dvc", "remote", "add", "--local", "--default", "backup", str(disk), cwd=second)
    run("dvc", "pull", *STAGES, cwd=second)
    assert {t: (second / "data" / f"{t}.parquet").read_bytes() for t in TABLES} == pushed
    # And the pipeline accepts them as its own outputs.
    assert "'group' didn't change, skipping" in run("dvc", "repro", "group", cwd=second).stdout
