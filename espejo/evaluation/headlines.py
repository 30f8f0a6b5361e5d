"""The headline measures of metrics/eval.json: where each of them stands."""

from collections.abc import Mapping, Sequence

# A kind of data has those that it measures.
HEADLINES: Mapping[str, tuple[str, ...]] = {
    "own_bits": ("tuned", "own_bits_per_character"),
    "gain": ("gain", "own_bits_per_character"),
    "author_score": ("style", "author_score", "tuned"),
    "told_apart": ("style", "told_apart", "tuned"),
    "mrr": ("relevance", "tuned", "mrr"),
    "membership": ("memory", "membership"),
    "copied": ("memory", "overlap", "tuned", "copied"),
    "facts_held": ("correctness", "tuned", "facts_held"),
    "chrf": ("correctness", "tuned", "chrf"),
}
# Those that the base model has too, which no training moves.
OF_BASE: Mapping[str, tuple[str, ...]] = {
    "own_bits": ("base", "own_bits_per_character"),
    "author_score": ("style", "author_score", "base"),
    "told_apart": ("style", "told_apart", "base"),
    "mrr": ("relevance", "base", "mrr"),
    "facts_held": ("correctness", "base", "facts_held"),
    "chrf": ("correctness", "base", "chrf"),
}


def measure(scores: Mapping, path: Sequence[str]) -> Mapping:
    """The measure at that path in metrics/eval.json; an empty one where it was not measured."""
    for key in path:
        if key not in scores:
            return {}
        scores = scores[key]
    return scores
