"""Contexts of the test set that the models replied to, for a person to look at."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from espejo.core import tables
from espejo.core.errors import UserError, not_made_yet


def table(path: Path, schema: pa.Schema) -> pd.DataFrame:
    """A table of the pipeline; raises UserError, also when no run has written it yet."""
    if not path.is_file():
        raise not_made_yet(f"{path} is missing")
    return tables.read(path, schema)


def draw(
    replies: pd.DataFrame, examples: pd.DataFrame, number: int, generator: np.random.Generator
) -> pd.DataFrame:
    """At most `number` rows of table EXAMPLES, drawn from the test split, that were replied to.

    Raises UserError when there is none.
    """
    rows = examples[examples["split"].eq("test") & examples["id"].isin(replies["id"])]
    if rows.empty:
        raise UserError(
            "No context of the test set was answered: give predict.generated_replies a larger "
            "number and run the same experiment again (experiment=smoke answers a few only)."
        )
    return rows.iloc[generator.permutation(len(rows))[:number]]
