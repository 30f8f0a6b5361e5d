"""The sharing gate on real weights: an adapter that is overfitted on purpose must not pass."""

import pandas as pd
import pytest

from espejo import whatsapp
from espejo.dataset.turns import examples, turns
from espejo.evaluation import membership, questions
from espejo.formatting import prompts
from espejo.formatting.labels import encode
from espejo.model import loading, tokenizers
from espejo.model.pair import ModelPair
from espejo.prediction.predictor import Predictor, learnt_texts
from espejo.privacy.cleaning import CleanConfig, clean
from espejo.training import sft
from tests.helpers.configs import changed, split, typed
from tests.helpers.workshop import ROOT


@pytest.fixture(scope="module")
def demo():
    """Twenty training replies of the demo's author and as many held out, as table EXAMPLES."""
    messages = whatsapp.read(ROOT / "data" / "raw" / "demo")
    config = CleanConfig(
        captions=True,
        normalize="NFC",
        pseudonyms=None,
        pii="keep",
        lowercase=False,
        characters=None,
    )
    kept, _, _ = clean(messages, config, pseudonyms={})
    grouped = turns(kept, "1h", "3h").drop(columns="withheld")
    table = examples(split(grouped, "Juli", 0.1, 0.1, at_least=50), "Juli", history=4)
    long = table[table["reply"].map(lambda reply: 30 < sum(map(len, reply)) < 120)]
    parts = [part.iloc[:: len(part) // 20][:20] for _, part in long.groupby("split")]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
def test_thirty_epochs_on_twenty_replies_fail_the_gate(demo, composed, tmp_path):
    sections = typed(composed("model=smollm2"))
    model = sections.model
    tokenizer, base = tokenizers.load_tokenizer(model), loading.load_base(model)
    prompter = prompts.prompter(tokenizer, model, sections.format)
    sets = {
        name: [
            encode(tokenizer, *prompter.example(row.context, row.reply, "Juli", row.group))
            for row in part.itertuples()
        ]
        for name, part in demo.groupby("split")
    }
    assert len(sets["train"]) == 20
    # Validated on the training replies, so the best checkpoint is the most memorized one.
    often = {"epochs": 30, "scheduler": "constant", "batch_size": 5, "evals_per_run": 1}
    train = changed(sections.train, **often, learning_rate=1e-3)
    trained = sft.train(
        base, tokenizer, sets["train"], sets["train"][:4], train, tmp_path / "checkpoints"
    )
    manifest = {"data": "", "model": model.model_dump(), "format": sections.format.model_dump()}
    manifest |= {"history": 4, "train": train.model_dump()}
    loading.save(trained.model, tokenizer, tmp_path / "model", manifest)

    pair = ModelPair(tmp_path / "model")
    # The test replies alone, and no examples in the prompt.
    config = changed(sections.predict, generated_replies=20, shot_chars=0)
    predictor = Predictor(pair, demo, "Juli", config, sections.generate)
    test = predictor.split("test")
    written = [
        predictor.prompter.example(r.context, r.reply, "Juli", r.group) for r in test.itertuples()
    ]
    texts = test[["id", "session", "split"]].assign(
        text=[text for text, _ in written], spans=[spans for _, spans in written]
    )
    members = membership.evaluate(predictor.losses(texts), sections.evaluate)
    seen = members["membership"]
    assert members["members"] == 20
    assert seen["value"] > 0.95
    replies = predictor.replies()
    learnt = learnt_texts(predictor.split("train"), train.loss, "Juli", frozenset())
    memory = questions.evaluate_memorization(
        replies,
        questions.answered_examples(replies, demo),
        learnt["messages"].tolist(),
        seen,
        sections.evaluate,
    )
    assert memory["replies"] == 20
    assert memory["verdict"] == "fail"
    assert {"membership", "whole_beyond_own"} <= set(memory["reasons"]), memory
