"""Write the examples as texts that the model reads, and mark what in them is the author's.

    python -m stages.format data/filtered.parquet data/people.parquet \\
        data/formatted.parquet metrics/format.json
"""

from pathlib import Path

import pandas as pd

from espejo.core import escaping, metrics, tables
from espejo.core.stage import params, run
from espejo.dataset import canaries, leaks
from espejo.formatting.prompts import prompter, trim
from espejo.formatting.training_texts import sequences
from espejo.model.loading import load_tokenizer


def main(filtered: Path, people: Path, formatted: Path, metrics_json: Path) -> None:
    """Filtered examples -> the texts that the model reads, and how many examples they hold."""
    form, model = params("format"), params("model")
    known = tables.read(people, tables.PEOPLE)
    author, read_only = tables.author_of(known), tables.names_with(known, "context")
    write = prompter(load_tokenizer(model), model, form)
    kept = tables.read(filtered, tables.EXAMPLES)
    drops = params("filter")["leaks"] == "drop"
    masked = leaks.unlearnt(kept, author) if drops else set()
    examples = canaries.plant(kept, params("audit"))
    tested = examples["split"].eq("test")
    table = pd.concat(
        [
            # What is validated is what is learnt: texts of several replies.
            sequences(
                examples[~tested],
                write,
                author,
                read_only,
                form["replies_per_text"],
                masked,
            ),
            # Scored one by one, each after the context that it has in a chat.
            sequences(examples[tested], write, author, read_only, 1),
        ],
        ignore_index=True,
    )

    tables.write(table, formatted, tables.FORMATTED)
    cut = sum(
        trim(context, form["max_context_chars"]) != context for context in examples["context"]
    )
    texts = len(table)
    counts = metrics.account("examples", len(examples), texts, {"joined": len(examples) - texts})
    planted = {"planted": len(examples) - len(kept)} if len(examples) > len(kept) else {}
    metrics.write({"examples": counts, **planted, "context_cut": cut}, metrics_json)
    said = f"format: {len(examples)} examples in {texts} texts in the form of {model['name']}"
    said += f", {planted['planted']} of them canaries" if planted else ""
    print(escaping.terminal(said))


if __name__ == "__main__":
    run(main)
