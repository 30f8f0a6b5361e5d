"""`make test-without-model` skips every test that runs a bundled model, marked or not."""

import sys

from tests.helpers.workshop import ROOT, run


def test_what_runs_a_bundled_model_is_left_out_and_all_else_runs():
    chosen = ("-q", "-rs", "-p", "no:cacheprovider", "-m", "not model")
    files = ("tests/formatting/test_labels.py", "tests/pipeline/test_consent.py")
    ran = run(sys.executable, "-m", "pytest", *chosen, *files, cwd=ROOT)
    lines = ran.stdout.splitlines()
    skipped = [line for line in lines if line.startswith("SKIPPED")]
    assert len(skipped) == 1  # its tokenizer is the bundled model's
    assert "runs a bundled model" in skipped[0]
    assert ", 1 skipped, 3 deselected" in lines[-1]  # all tests of consent run the pipeline
    assert not any(word in lines[-1] for word in ("failed", "error"))
