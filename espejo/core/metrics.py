"""Metric files: accounts of rows, written as JSON with the same bytes for the same numbers."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from espejo.core import files


def account(unit: str, rows_in: int, rows_out: int, dropped: Mapping[str, int]) -> dict:
    """Where rows went: `{"unit", "in", "out", "dropped": {reason: count}}`.

    Raises ValueError when the counts do not add up: a row that vanished is a defect.
    """
    reasons = {reason: int(count) for reason, count in sorted(dropped.items())}
    if rows_in != rows_out + sum(reasons.values()):
        raise ValueError(f"{unit}: {rows_in} in is not {rows_out} out + {reasons}")
    return {"unit": unit, "in": int(rows_in), "out": int(rows_out), "dropped": reasons}


def rounded(value: object, digits: int = 6) -> object:
    """Nested metrics with floats rounded to `digits` decimals: easy to read and to compare."""
    if isinstance(value, Mapping):
        return {key: rounded(inner, digits) for key, inner in value.items()}
    return round(value, digits) if isinstance(value, float) else value


def write(metrics: Mapping[str, object], path: Path) -> None:
    """Write nested metrics as JSON. `dvc metrics` shows no lists, so there are none.

    Raises ValueError naming a number that is NaN or infinite: what was not measured has to say so.
    """
    for key, value in _not_finite(metrics):
        raise ValueError(f"{path}: {key} is {value}, which is no measurement")
    files.write(json.dumps(rounded(metrics), indent=2, ensure_ascii=False) + "\n", path)


def _not_finite(value: object, key: str = "") -> Iterator[tuple[str, float]]:
    """Each NaN or infinite number inside `value`, with its key (such as tuned.mrr.low)."""
    if isinstance(value, Mapping):
        for inner, held in value.items():
            yield from _not_finite(held, f"{key}.{inner}" if key else str(inner))
    elif isinstance(value, float) and not math.isfinite(value):
        yield key, value


def read(path: Path) -> dict:
    """Read one metric file. Raises UserError as `files.mapping` does."""
    return files.mapping(path, json.loads)
