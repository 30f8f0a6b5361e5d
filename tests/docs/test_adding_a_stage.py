"""The example of docs/adding-a-stage.md works as it stands there."""

import json
import re

import pyarrow.parquet as pq

from tests.docs import pages
from tests.helpers import workshop
from tests.helpers.workshop import ROOT, run

PAGE = (ROOT / "docs" / "adding-a-stage.md").read_text("utf-8")


def test_the_example_runs_and_is_taken_by_the_rooms_test(tmp_path):
    folder = workshop.clone(tmp_path)
    written = dict.fromkeys(("espejo/statistics/hours.py", "stages/hours.py"))
    for language, code in pages.fenced(PAGE):
        if language == "python":
            written[re.match(r"# (\S+)\n", code)[1]] = code
    for name, code in written.items():
        (folder / name).write_text(code, "utf-8")
    stage = next(code for language, code in pages.fenced(PAGE) if language == "yaml")
    pipeline = (folder / "dvc.yaml").read_text("utf-8")
    (folder / "dvc.yaml").write_text(pipeline.replace("stages:\n", f"stages:\n{stage}", 1), "utf-8")

    run("dvc", "repro", "hours", cwd=folder)
    counts = json.loads((folder / "metrics" / "hours.json").read_text("utf-8"))["messages"]
    times = pq.read_table(folder / "data" / "clean.parquet")["timestamp"].drop_null()
    assert len(counts) == 24
    assert sum(counts.values()) == len(times)
    assert counts["21"] == sum(time.as_py().hour == 21 for time in times)
    run("pytest", "-q", "tests/pipeline/test_rooms.py", "-k", "hours", cwd=folder)
