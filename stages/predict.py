"""Ask the base and the tuned model: losses, ranks and replies, which `evaluate` makes numbers of.

    python -m stages.predict data/formatted.parquet data/filtered.parquet data/people.parquet \\
        model data/learnt.parquet data/losses.parquet data/ranks.parquet data/canaries.parquet \\
        data/replies.parquet
"""

from pathlib import Path

from espejo.core import tables
from espejo.core.stage import params, run
from espejo.dataset.canaries import AuditConfig
from espejo.model.config import GenerateConfig
from espejo.model.pair import ModelPair
from espejo.prediction.predictor import Predictor, learnt_examples, learnt_texts


def main(
    formatted: Path,
    filtered: Path,
    people: Path,
    model: Path,
    learnt: Path,
    losses: Path,
    ranks: Path,
    canaries: Path,
    replies: Path,
) -> None:
    """Texts, examples and a model -> what it learnt, its losses, ranks and replies."""
    config, generate, audit = params("predict"), params(GenerateConfig), params(AuditConfig)
    texts = tables.read(formatted, tables.FORMATTED)
    examples = tables.read(filtered, tables.EXAMPLES)
    known = tables.read(people, tables.PEOPLE)
    author = tables.author_of(known)
    pair = ModelPair(model)  # once all that may be missing was read: it takes long
    taught = learnt_examples(examples, texts["id"], pair.manifest)
    predictor = Predictor(pair, taught, author, config, generate)

    read_only = tables.names_with(known, "context")
    loss = pair.manifest["train"]["loss"]
    answers = predictor.replies()
    scored = predictor.losses(texts)
    tables.write(
        learnt_texts(predictor.split("train"), loss, author, read_only), learnt, tables.LEARNT
    )
    tables.write(scored, losses, tables.LOSSES)
    tables.write(predictor.ranks(), ranks, tables.RANKS)
    tables.write(predictor.canaries(audit), canaries, tables.CANARIES)
    tables.write(answers, replies, tables.REPLIES)
    print(
        f"predict: {len(predictor.split('test'))} test replies scored, "
        f"{answers['id'].nunique()} prompts and contexts answered by base and tuned model"
    )


if __name__ == "__main__":
    run(main)
