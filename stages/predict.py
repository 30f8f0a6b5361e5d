"""Losses, ranks and replies of the base and the tuned model, from which `evaluate` makes numbers.

    python -m stages.predict data/formatted.parquet data/filtered.parquet data/people.parquet \\
        data/probes.parquet model data/learnt.parquet data/losses.parquet data/ranks.parquet \\
        data/canaries.parquet data/replies.parquet
"""

from pathlib import Path
from time import perf_counter

from espejo.core import tables
from espejo.core.config import DataConfig
from espejo.core.stage import params, run
from espejo.dataset.canaries import AuditConfig, set_aside
from espejo.model.config import GenerateConfig
from espejo.model.pair import ModelPair
from espejo.prediction import expected_time
from espejo.prediction.config import PredictConfig
from espejo.prediction.predictor import Predictor, learnt_examples, learnt_texts


def main(
    formatted: Path,
    filtered: Path,
    people: Path,
    probes: Path,
    model: Path,
    learnt: Path,
    losses: Path,
    ranks: Path,
    canaries: Path,
    replies: Path,
) -> None:
    """Texts, examples and a model -> the texts it learnt, losses, ranks and replies."""
    config, generate, audit = params(PredictConfig), params(GenerateConfig), params(AuditConfig)
    kind = params(DataConfig).kind
    texts = tables.read(formatted, tables.FORMATTED)
    examples = tables.read(filtered, tables.EXAMPLES)
    people_table = tables.read(people, tables.PEOPLE)
    author = tables.author_of(people_table)
    read_only = tables.names_with(people_table, "context")
    pair = ModelPair(model)  # loaded last, since it takes long: a missing file is reported at once
    examples = set_aside(examples, audit)
    examples = learnt_examples(examples, texts["id"], pair.manifest)
    predictor = Predictor(
        *(pair, examples, author, config, generate),
        probes=tables.read(probes, tables.PROBES),
        retrieve_for_prompts=kind == "questions",
    )

    loss = pair.manifest["train"]["loss"]
    train = learnt_texts(predictor.split("train"), loss, author, read_only)
    tables.write(train, learnt, tables.LEARNT)
    times = [perf_counter()]
    generated = predictor.replies()
    tables.write(generated, replies, tables.REPLIES)
    times.append(perf_counter())
    tables.write(predictor.losses(texts), losses, tables.LOSSES)
    times.append(perf_counter())
    tables.write(predictor.ranks(), ranks, tables.RANKS)
    times.append(perf_counter())
    tables.write(predictor.canaries(audit), canaries, tables.CANARIES)
    print(
        f"predict: {len(predictor.split('test'))} test replies scored, "
        f"{generated['id'].nunique()} prompts and contexts answered by base and tuned model"
    )
    counts = {name: len(predictor.split(name)) for name in ("train", "validation", "test")}
    prompts = generated["id"].nunique() - len(predictor.answered_examples())
    if kind != "questions":  # data=qa sets how many are answered itself
        print(expected_time.sentence(times, config, counts, prompts), end="")


if __name__ == "__main__":
    run(main)
