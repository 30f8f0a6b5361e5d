"""Which sentence encoder knows what a reply answers? For the filter and for the nearest examples.

    python -m benchmarks.encoders                      # the demo: three minutes of processor time
    python -m benchmarks.encoders --chats NAME=FOLDER  # and chats with their people.yaml
    python -m benchmarks.encoders --bits               # the demo's model with retrieved examples

Each true reply is ranked among ten of the author's own, of other sessions and similar length
(espejo/prediction/candidates.py), by its cosine with the context. No encoder was trained on these
chats, so all examples of training and validation are ranked; the test takes no part. The cosine
below which a reply has nothing to do with its context is looked for on validation: where true and
exchanged pairs are told apart best (Youden 1950). Writes docs/results/encoders.json; `make docs`
writes docs/better-mirror.md.
"""

# Import before torch: espejo sets how torch's threads wait, as in the pipeline.
from espejo.core import metrics, runtime, tables

# isort: split
import argparse
import json
import resource
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import bm25s
import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from benchmarks.chats import prepared
from benchmarks.recipes import composed
from benchmarks.sampling import Bench
from espejo.core.text import words
from espejo.dataset import similarity
from espejo.dataset.filters import joined
from espejo.evaluation import intervals, relevance
from espejo.evaluation.config import EvaluateConfig
from espejo.formatting.labels import encode
from espejo.prediction import few_shot, losses
from espejo.prediction.candidates import candidates
from espejo.prediction.predictor import evenly_spaced
from tests.helpers.configs import typed

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "docs" / "results" / "encoders.json"
RANKED = 10  # candidates, the true reply included
MOST = 600  # training examples of each chats, spread evenly; of validation, all
RESAMPLES = 500
BM25, BITS = "BM25", "nearest examples"

Scores = Callable[[Sequence[str], Sequence[str], np.ndarray], np.ndarray]


def examples(raw: Path) -> pd.DataFrame:
    """Table EXAMPLES of the chats in `raw`, without the test."""
    overrides = [f"data.raw={raw.resolve()}"]
    if raw.resolve() != ROOT / "data" / "raw" / "demo":  # public chats, read as they stand
        overrides += ["clean.pseudonyms=null", "clean.pii=keep"]
    table = prepared(composed(overrides)).examples
    answers = table["context"].map(len).gt(0) & table["reply"].map("".join).ne("")
    return table[table["split"].ne("test") & answers].reset_index(drop=True)


def by_cosine(encoder: similarity.Encoder) -> Scores:
    """Scores [m, k] of replies by their cosine with the context."""

    def scores(contexts: Sequence[str], replies: Sequence[str], indices: np.ndarray) -> np.ndarray:
        first, second = encoder.of_contexts(contexts), encoder.of_replies(replies)
        return np.einsum("md,mkd->mk", first[indices[:, 0]], second[indices])

    return scores


def by_words(contexts: Sequence[str], replies: Sequence[str], indices: np.ndarray) -> np.ndarray:
    """Scores [m, k] of replies by BM25, with the words of the context as the query."""
    index = bm25s.BM25()
    index.index([words(reply) or ["…"] for reply in replies], show_progress=False)
    rows = [index.get_scores(words(contexts[row[0]]) or ["…"])[row] for row in indices]
    return np.array(rows, dtype=float)


def threshold(scores: np.ndarray, sessions: np.ndarray, seed: int) -> dict:
    """The cosine that tells true pairs (column 0 of `scores` [m, k]) best from exchanged ones.

    Where Youden's J, the share of true pairs above it minus that of exchanged ones, is highest;
    with the 95 % interval of a bootstrap over `sessions` [m], percentiles.
    """
    best = youden(scores)
    names = np.unique(sessions)
    rows_of = {name: np.flatnonzero(sessions == name) for name in names}
    random, places = np.random.default_rng(seed), []
    for _ in range(RESAMPLES):
        drawn = random.choice(names, len(names))
        places.append(youden(scores[np.concatenate([rows_of[name] for name in drawn])]))
    low, high = np.quantile(places, (0.025, 0.975))
    return {"value": best, "low": float(low), "high": float(high), "n": len(names)}


def youden(scores: np.ndarray) -> float:
    """The value above which lie most true pairs (column 0) and fewest of the others."""
    true, other = np.sort(scores[:, 0]), np.sort(scores[:, 1:].ravel())
    cuts = np.unique([*true, *other])
    above = 1 - np.searchsorted(true, cuts, "right") / len(true)
    above_other = 1 - np.searchsorted(other, cuts, "right") / len(other)
    return float(cuts[np.argmax(above - above_other)])


def kept(scores: np.ndarray, least: float) -> dict[str, float]:
    """The share of true and of exchanged pairs that the filter would keep."""
    return {
        "true": float((scores[:, 0] > least).mean()),
        "exchanged": float((scores[:, 1:] > least).mean()),
    }


def compared(table: pd.DataFrame, ways: Mapping[str, Scores], config: EvaluateConfig) -> dict:
    """How well each of `ways` ranks the replies of `table`, and its threshold for the filter."""
    parts = table[table["split"].eq("train")], table[table["split"].eq("validation")]
    table = pd.concat([evenly_spaced(parts[0], MOST), parts[1]], ignore_index=True)
    sessions = table["session"].to_numpy()
    indices = candidates(table["reply"].tolist(), sessions.tolist(), RANKED, config.seed)
    texts, true = joined(table), np.zeros(len(indices), int)
    contexts, replies = texts["context"].tolist(), texts["reply"].tolist()
    ranked_sessions = sessions[indices[:, 0]]
    validation = table["split"].eq("validation").to_numpy()[indices[:, 0]]
    scores, seconds = {}, {}
    for name, way in ways.items():
        began = _processor_seconds()
        scores[name] = way(contexts, replies, indices)
        seconds[name] = _processor_seconds() - began
    first = next(iter(scores.values()))
    result: dict = {"replies": len(indices), "sessions": len(np.unique(ranked_sessions))}
    for name, values in scores.items():
        ranks = relevance.ranking({"base": first, "tuned": values}, true, ranked_sessions, config)
        result |= {"chance": ranks["chance"], "candidates": ranks["candidates"]}
        row = {**ranks["tuned"], "gain": ranks["gain"], "processor_seconds": seconds[name]}
        if name != BM25:
            least = threshold(values[validation], ranked_sessions[validation], config.seed)
            row["threshold"] = {
                **{"least": least, "validation": kept(values[validation], least["value"])},
                "train": kept(values[~validation], least["value"]),
                "train_at_0.3": kept(values[~validation], 0.3),
            }
        result.setdefault("ways", {})[name] = row
    return result


def bits(folder: Path, encoders: Mapping[str, similarity.Encoder]) -> dict:
    """Bits per own character with the nearest examples in the prompt, by each way to retrieve them.

    Of the model in `folder`, where the pipeline ran, on its validation replies. `saved` is what a
    way saves beside the examples of BM25, session by session.
    """
    bench = Bench(folder)
    rows, train = bench.contexts, few_shot.usable(bench.train, bench.predict.shot_chars)
    k, author, most = bench.predict.shots, bench.author, bench.predict.shot_chars
    shots: dict[str, list[few_shot.Shots]] = {
        "no examples": [[]] * len(rows),
        BM25: few_shot.nearest(bench.train, rows["context"].tolist(), author, k, most),
    }
    queries, documents = ([*map(_last, table["context"])] for table in (rows, train))
    for name, encoder in encoders.items():
        cosines = encoder.of_contexts(queries) @ encoder.of_contexts(documents).T
        shots[name] = [few_shot.highest(train, scores, author, k) for scores in cosines]
    result: dict = {"replies": len(rows), "examples": k}
    for model_name, model in bench.pair.both():
        sums = {name: _sums(bench, rows, model, turns) for name, turns in shots.items()}
        characters, groups = sums[BM25]["own_chars"].to_numpy(), rows["session"].to_numpy()
        nats = {name: table["own_nats"].to_numpy() for name, table in sums.items()}
        result[model_name] = {
            name: {
                measure: intervals.ratio(own / np.log(2), characters, groups, bench.evaluate)
                for measure, own in (("bits", values), ("saved", nats[BM25] - values))
            }
            for name, values in nats.items()
        }
    return result


def _last(context: Sequence[tables.Turn]) -> str:
    """The last turn of a context; "…" where there is none."""
    return " ".join(context[-1]["messages"]) if len(context) else "…"


def _sums(
    bench: Bench, rows: pd.DataFrame, model: PreTrainedModel, shots: Sequence[few_shot.Shots]
) -> pd.DataFrame:
    """`losses.per_example` of the replies of `rows`, each after its `shots`."""
    texts = [
        bench.prompter.example(row.context, row.reply, bench.author, row.group, turns)
        for row, turns in zip(rows.itertuples(), shots, strict=True)
    ]
    encoded = [encode(bench.pair.tokenizer, text, spans) for text, spans in texts]
    tokens = losses.token_losses(model, encoded, bench.predict.batch_tokens, "scoring")
    return losses.per_example(tokens, encoded, [spans for _, spans in texts])


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """All chats."""
    parser = argparse.ArgumentParser(description="Compare sentence encoders on validation.")
    parser.add_argument("--chats", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--bits", action="store_true", help="with the model in model/, too")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    folders = {"demo": ROOT / "data" / "raw" / "demo"}
    folders |= {name: Path(to) for name, to in (chats.split("=", 1) for chats in options.chats)}
    config = typed(composed([])).evaluate
    result = json.loads(options.out.read_text("utf-8")) if options.out.is_file() else {}
    names = (similarity.BUNDLED, similarity.MULTILINGUAL)
    encoders = {name: similarity.encoder(name) for name in names}
    ways = {name: by_cosine(encoder) for name, encoder in encoders.items()}
    if options.bits and BITS not in result:
        result[BITS] = bits(ROOT, encoders)
        metrics.write(result, options.out)
    for name, folder in folders.items():
        if name in result:  # remove the file to measure again
            continue
        result[name] = compared(examples(folder), {**ways, BM25: by_words}, config)
        metrics.write(result, options.out)
        for way, row in result[name]["ways"].items():
            print(name, way, *(f"{row[key]['value']:.3f}" for key in ("mrr", "hits_at_1")))


if __name__ == "__main__":
    runtime.restart_if_torch_came_first()
    main()
