"""The params section `predict`."""

from espejo.core.config import Count, Section, Seed, Some


class PredictConfig(Section):
    """What is asked of the base and the tuned model."""

    section = "predict"
    batch_tokens: Some
    reply_batch: Some
    seed: Seed
    notebook_examples: Some
    shots: Count
    shot_chars: Count
    ranked_contexts: Count
    candidates: Count
    generated_replies: Count
    membership_replies: Count
    prompts: list[str]
    out_of_scope: dict[str, list[str]]
