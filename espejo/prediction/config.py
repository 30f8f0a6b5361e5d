"""The params section `predict`."""

from espejo.core.config import Count, Section, Seed, Some


class PredictConfig(Section):
    """What the base and the tuned model score, and what they reply to."""

    section = "predict"
    batch_tokens: Some  # padded tokens scored at once
    reply_batch: Some  # replies generated at once
    seed: Seed
    notebook_examples: Some  # test examples of which all tokens are scored, for legacy.perplexity
    shots: Count  # examples in the prompt of the base model
    shot_chars: Count  # maximum characters of each of them
    # Of these three, null takes all that there are.
    ranked_contexts: Count | None
    candidates: Count  # replies ranked in each context, the true one included
    generated_replies: Count | None
    membership_replies: Count | None  # training replies scored for membership inference
    prompts: list[str]
    out_of_scope: dict[str, list[str]]


# How many replies the choices of conf/evaluate/ take (None: all), for what is told of them.
CHOICES: dict[str, dict[str, int | None]] = {
    name: dict(
        zip(("ranked_contexts", "generated_replies", "membership_replies"), counts, strict=True)
    )
    for name, counts in (
        ("quick", (10, 12, 32)),
        ("default", (20, 32, 100)),
        ("thorough", (None, 300, 500)),
    )
}
