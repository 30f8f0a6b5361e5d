"""Write the examples as texts that the model reads, and mark the author's words in them.

    python -m stages.format data/filtered.parquet data/people.parquet \\
        data/formatted.parquet metrics/format.json
"""

from pathlib import Path

import pandas as pd

from espejo.core import escaping, metrics, tables
from espejo.core.stage import params, run
from espejo.dataset import canaries, leaks
from espejo.dataset.canaries import AuditConfig
from espejo.dataset.filters import FilterConfig
from espejo.formatting import prompts
from espejo.formatting.config import FormatConfig
from espejo.formatting.training_texts import training_texts
from espejo.model.config import ModelConfig
from espejo.model.loading import load_tokenizer


def main(filtered: Path, people: Path, formatted: Path, metrics_json: Path) -> None:
    """Filtered examples -> the texts that the model reads, and how many examples they hold."""
    config, model = params(FormatConfig), params(ModelConfig)
    listed = tables.read(people, tables.PEOPLE)
    author, read_only = tables.author_of(listed), tables.names_with(listed, "context")
    prompter = prompts.prompter(load_tokenizer(model), model, config)
    kept = tables.read(filtered, tables.EXAMPLES)
    audit = params(AuditConfig)
    split = canaries.set_aside(kept, audit)
    kept = split[split["split"].ne(canaries.SET_ASIDE)].reset_index(drop=True)
    masked = leaks.unlearnt(kept, author) if params(FilterConfig).leaks == "drop" else set()
    examples = canaries.plant(kept, audit)
    tested = examples["split"].eq("test")
    table = pd.concat(
        [
            # Validation uses the same form as training: texts of several replies.
            training_texts(
                *(examples[~tested], prompter, author, read_only),
                *(config.replies_per_text, masked),
            ),
            # Test replies are scored one by one, each after the context that it has in a chat.
            training_texts(examples[tested], prompter, author, read_only, 1),
        ],
        ignore_index=True,
    )

    tables.write(table, formatted, tables.FORMATTED)
    most = config.max_context_chars
    cut = sum(prompts.trim(context, most) != context for context in examples["context"])
    texts, aside = len(table), len(split) - len(kept)
    dropped = {"joined": len(examples) - texts} | ({"set_aside": aside} if aside else {})
    counts = metrics.account("examples", len(examples) + aside, texts, dropped)
    planted = {"planted": len(examples) - len(kept)} if len(examples) > len(kept) else {}
    metrics.write({"examples": counts, **planted, "context_cut": cut}, metrics_json)
    summary = f"format: {len(examples)} examples in {texts} texts in the form of {model.name}"
    summary += f", {planted['planted']} of them canaries" if planted else ""
    summary += f"; {aside} set aside" if aside else ""
    print(escaping.terminal(summary))


if __name__ == "__main__":
    run(main)
