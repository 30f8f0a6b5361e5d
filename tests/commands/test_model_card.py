"""The model card holds what a reader needs and names nobody."""

from huggingface_hub import ModelCard

from espejo.commands import model_card


def test_a_card_says_what_the_model_is(composed):
    params = composed("model=smollm2")
    manifest = {
        "data": "data/raw/vera",
        "model": params["model"],
        "resolved_revision": "abc123",
        "format": params["format"],
        "history": 4,
        "train": params["train"],
        "learnt_replies": 656,
        "hardware": {
            "device": "Pocket calculator",
            "precision": "float32",
            "attention": "grouped",
            "threads": 2,
        },
        "data_sha256": "0f" * 32,
        "libraries": {"torch": "2.13.0", "peft": "0.21.2"},
    }
    counts = {"learnt_tokens_per_epoch": 17766, "best_step": 164, "loss_validation": 4.0709}
    card = ModelCard(model_card.card(manifest, counts))
    assert card.data.base_model == "smollm2"
    assert card.data.library_name == "peft"
    assert card.data.license == "apache-2.0"
    for line in (
        "| base model | smollm2, revision `abc123` |",
        "| terms of the base model | the Apache License 2.0 |",
        "| computed with | float32, grouped attention, threads: 2, on Pocket calculator |",
        "| method | LoRA, rank 16, alpha 32 |",
        "| learnt | the author's replies only: 17,766 tokens of 656 replies |",
        "| epochs and steps | 1, of which step 164 is kept |",
        "| validation loss | 4.071 nats a token |",
        f"| training table (SHA-256) | `{'0f' * 32}` |",
        "| libraries | torch 2.13.0, peft 0.21.2 |",
    ):
        assert line in card.text
    assert "vera" not in card.content
    gemma = manifest | {"model": composed("model=gemma3")["model"]}
    card = ModelCard(model_card.card(gemma, counts))
    assert card.data.license == "gemma"
    assert "Gemma Terms of Use, ai.google.dev/gemma/terms" in card.text
