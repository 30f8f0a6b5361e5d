"""Write each example as the text that the model reads, and mark what in it is the author's.

    python -m stages.format data/filtered.parquet data/raw/demo/people.yaml \\
        data/formatted.parquet metrics/format.json
"""

from pathlib import Path

from espejo import canaries, metrics, people, tables
from espejo.models import load_tokenizer
from espejo.prompts import prompter, trim
from espejo.stage import params, run


def main(filtered: Path, names: Path, formatted: Path, account: Path) -> None:
    """Table FILTERED -> table FORMATTED, and the ACCOUNT of its examples."""
    form, model = params("format"), params("model")
    who = people.read(names.parent).under(params("clean")["pseudonyms"])
    write = prompter(load_tokenizer(model), model, form)
    kept = tables.read(filtered, tables.EXAMPLES)
    examples = canaries.plant(kept, params("audit"))
    written = [
        write.example(row.context, row.reply, who.author, row.group)
        for row in examples.itertuples()
    ]
    never = [
        write.said_by(who.who("context"), row.context, who.author, row.group)
        for row in examples.itertuples()
    ]
    table = examples[["id", "session", "split"]].assign(
        text=[text for text, _ in written], spans=[spans for _, spans in written], never=never
    )

    tables.write(table, formatted, tables.FORMATTED)
    cut = sum(
        trim(context, form["max_context_chars"]) != context for context in examples["context"]
    )
    counts = metrics.account("examples", len(examples), len(table), {})
    planted = {"planted": len(examples) - len(kept)} if len(examples) > len(kept) else {}
    metrics.write({"examples": counts, **planted, "context_cut": cut}, account)
    print(
        f"format: {len(table)} examples in the form of {model['name']}"
        + (f", {planted['planted']} of them canaries" if planted else "")
    )


if __name__ == "__main__":
    run(main)
