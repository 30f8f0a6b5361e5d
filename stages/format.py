"""Write the examples as texts that the model reads, and mark the author's words in them.

    python -m stages.format data/filtered.parquet data/people.parquet \\
        data/formatted.parquet metrics/format.json
"""

import operator
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pandas as pd

from espejo.core import escaping, metrics, tables
from espejo.core.stage import params, run
from espejo.dataset import canaries, leaks
from espejo.dataset.canaries import AuditConfig
from espejo.dataset.filters import FilterConfig
from espejo.formatting import prompts
from espejo.formatting.config import FormatConfig
from espejo.formatting.training_texts import texts_in_parts
from espejo.model.config import ModelConfig
from espejo.model.tokenizers import load_tokenizer


def main(filtered: Path, people: Path, formatted: Path, metrics_json: Path) -> None:
    """Filtered examples -> the texts that the model reads, and how many examples they hold."""
    config, model, audit = params(FormatConfig), params(ModelConfig), params(AuditConfig)
    listed = tables.read(people, tables.PEOPLE)
    author, read_only = tables.author_of(listed), tables.names_with(listed, "context")
    prompter = prompts.prompter(load_tokenizer(model), model, config)
    columns = ["session", "split", *(["reply"] if audit.canaries else [])]
    replies = tables.read(filtered, tables.EXAMPLES, columns)
    sessions_aside = canaries.sessions_aside(replies, audit)
    is_aside = replies["session"].isin(sessions_aside)
    planted = canaries.planted(replies[~is_aside], audit)
    del replies

    # In parts: the contexts of a million messages, as Python objects, take gigabytes.
    def kept() -> Iterator[pd.DataFrame]:
        for part in tables.whole(tables.read_parts(filtered, tables.EXAMPLES), "session"):
            yield part[~part["session"].isin(sessions_aside)]

    held_out, cut = [], 0
    for part in chain(kept(), [planted]):
        held_out.append(leaks.hashed(part[part["split"].ne("train")]))
        trimmed = (prompts.trim(context, config.max_context_chars) for context in part["context"])
        cut += sum(map(operator.ne, trimmed, part["context"]))
    leaking = leaks.merged(held_out) if params(FilterConfig).leaks == "drop" else None
    limit = config.replies_per_text
    texts = texts_in_parts(kept(), planted, prompter, author, read_only, limit, leaking)
    tables.write_parts(texts, formatted, tables.FORMATTED)

    num_texts = len(tables.read(formatted, tables.FORMATTED, ["id"]))
    aside = int(is_aside.sum())
    num_examples = len(is_aside) - aside + len(planted)
    dropped = {"joined": num_examples - num_texts} | ({"set_aside": aside} if aside else {})
    counts = metrics.account("examples", num_examples + aside, num_texts, dropped)
    of_canaries = {"planted": len(planted)} if len(planted) else {}
    metrics.write({"examples": counts, **of_canaries, "context_cut": cut}, metrics_json)
    summary = f"format: {num_examples} examples in {num_texts} texts in the form of {model.name}"
    summary += f", {len(planted)} of them canaries" if len(planted) else ""
    summary += f"; {aside} set aside" if aside else ""
    print(escaping.terminal(summary))


if __name__ == "__main__":
    run(main)
