"""Drop training examples that break a rule of the filter. Validation and test keep every reply.

python -m stages.filter data/examples.parquet data/filtered.parquet metrics/filter.json
"""

from pathlib import Path

from espejo.core import metrics, tables
from espejo.core.errors import UserError
from espejo.core.stage import params, run
from espejo.dataset.filters import FilterConfig, reasons


def main(examples: Path, filtered: Path, metrics_json: Path) -> None:
    """Examples -> those that are kept, and the account of the training examples."""
    table = tables.read(examples, tables.EXAMPLES)
    training = table["split"].eq("train")
    train, held_out = table[training], table[~training]
    dropped = reasons(train, held_out, params(FilterConfig)).dropna()
    kept = table.drop(index=dropped.index).reset_index(drop=True)

    left = len(train) - len(dropped)
    if not left:
        raise UserError(
            f"No training example is left of {len(train)}: {dropped.value_counts().to_dict()}. "
            "Choose a milder filter, for example `-S filter=none`."
        )
    tables.write(kept, filtered, tables.EXAMPLES)
    counts = metrics.account("train", len(train), left, dropped.value_counts())
    metrics.write({"train": counts}, metrics_json)
    print(f"filter: {left} of {len(train)} training replies kept")


if __name__ == "__main__":
    run(main)
