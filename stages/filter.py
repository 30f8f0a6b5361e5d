"""Drop training examples that break a rule of the filter. Validation and test keep every reply.

python -m stages.filter data/examples.parquet data/filtered.parquet metrics/filter.json
"""

from pathlib import Path

import pandas as pd

from espejo.core import metrics, tables
from espejo.core.errors import UserError
from espejo.core.stage import params, run
from espejo.dataset.filters import FilterConfig, joined, reasons_by_text


def main(examples: Path, filtered: Path, metrics_json: Path) -> None:
    """Examples -> those that are kept, and the account of the training examples."""
    # In parts: the contexts of a million messages, as Python objects, take gigabytes.
    texts, held_out = [], []
    for part in tables.read_parts(examples, tables.EXAMPLES):
        training = part["split"].eq("train")
        texts.append(joined(part[training]))
        held_out.append(part[~training])
    train, others = pd.concat(texts), pd.concat(held_out)
    del texts, held_out
    dropped = reasons_by_text(train, others, params(FilterConfig)).dropna()
    left = len(train) - len(dropped)
    if not left:
        raise UserError(
            f"No training example is left of {len(train)}: {dropped.value_counts().to_dict()}. "
            "Choose a milder filter, for example `-S filter=none`."
        )
    num_train = len(train)
    del train, others
    kept = (
        part[~part.index.isin(dropped.index)]
        for part in tables.read_parts(examples, tables.EXAMPLES)
    )
    tables.write_parts(kept, filtered, tables.EXAMPLES)
    counts = metrics.account("train", num_train, left, dropped.value_counts())
    metrics.write({"train": counts}, metrics_json)
    print(f"filter: {left} of {num_train} training replies kept")


if __name__ == "__main__":
    run(main)
