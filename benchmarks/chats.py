"""Chats prepared for a benchmark by the pipeline's own stages, beside the workspace."""

import contextlib
import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import yaml

from espejo.core import tables
from stages import clean, filter, group, parse


class Prepared(NamedTuple):
    """Tables EXAMPLES (filtered), TURNS and PEOPLE of some chats."""

    examples: pd.DataFrame
    turns: pd.DataFrame
    people: pd.DataFrame


def prepared(params: Mapping) -> Prepared:
    """What parse, clean, group and filter make of the chats that `params` (all sections) name.

    `data.raw` must be an absolute path. What the stages print is not shown.
    """
    raw, ignored = Path(params["data"]["raw"]), Path("metrics.json")
    messages, probes, cleaned, people, turns, examples, filtered = (
        Path(f"{name}.parquet")
        for name in ("messages", "probes", "clean", "people", "turns", "examples", "filtered")
    )
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(scratch)  # stages read params.yaml in the working directory
        try:
            Path("params.yaml").write_text(yaml.safe_dump(dict(params)), "utf-8")
            with contextlib.redirect_stdout(io.StringIO()):
                parse.main(raw, messages, probes, ignored)
                clean.main(messages, raw, cleaned, people, ignored, Path("personal_data.md"))
                group.main(cleaned, people, turns, examples, ignored)
                filter.main(examples, filtered, ignored)
            return Prepared(
                tables.read(filtered, tables.EXAMPLES),
                tables.read(turns, tables.TURNS),
                tables.read(people, tables.PEOPLE),
            )
        finally:
            os.chdir(before)
