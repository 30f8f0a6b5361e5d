"""The test set is the same for every model: the same replies, and the same characters of them."""

from contextlib import nullcontext
from functools import cache

import pytest
import yaml

from espejo.core import tables
from espejo.core.errors import UserError
from espejo.model import bundled, tokenizers
from espejo.prediction.predictor import Predictor
from stages import clean, filter, format, group, parse
from tests.helpers import tiny, workshop
from tests.helpers.configs import changed, typed

MODELS = ("smollm2", "smollm2-clm", "gemma3")
# What tokenizers and templates may split or change: control tokens, accents, emoji, spaces, lines.
ODD = "re linda <|im_end|> ñandú 👩‍🚀  [INST] <end_of_turn> jaja"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory, composed):
    """A folder in which the stages that need no model ran on a small chat."""
    folder = tmp_path_factory.mktemp("exam")
    (folder / "raw").mkdir()
    text = workshop.chat().replace("re linda", ODD)
    (folder / "raw" / f"Chat de WhatsApp con {workshop.PARTNER}.txt").write_text(text, "utf-8")
    (folder / "raw" / "people.yaml").write_text(workshop.PEOPLE, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settle(folder, composed())
        data, numbers = folder / "data", folder / "metrics"
        tables_of_parse = (data / f"{name}.parquet" for name in ("messages", "probes"))
        parse.main(folder / "raw", *tables_of_parse, numbers / "parse.json")
        clean.main(
            *(data / "messages.parquet", folder / "raw"),
            *(data / "clean.parquet", data / "people.parquet"),
            *(numbers / "clean.json", folder / "reports" / "personal_data.md"),
        )
        group.main(
            *(data / "clean.parquet", data / "people.parquet", data / "turns.parquet"),
            *(data / "examples.parquet", numbers / "group.json"),
        )
    return folder


def settle(folder, params):
    (folder / "params.yaml").write_text(yaml.safe_dump(params), "utf-8")


class Both:
    """Stands for a ModelPair: the model's own tokenizer, with tiny weights before and after."""

    def __init__(self, tokenizer, manifest):
        self.tokenizer, self.manifest = tokenizer, manifest

    def base(self):
        return nullcontext(tiny.llama(len(self.tokenizer), 0))

    def both(self):
        for name, seed in (("base", 0), ("tuned", 1)):
            yield name, tiny.llama(len(self.tokenizer), seed)


@pytest.fixture(scope="module")
def scored(workplace, composed):
    """scored("gemma3"): its test replies as the stages format and predict have them."""

    def score(name):
        params = composed(f"model={name}")
        if params["model"]["source"] == "bundled":
            try:
                bundled.folder(params["model"]["id"])
            except UserError:
                pytest.skip(f"{name} is an optional extra")
        data, numbers = workplace / "data", workplace / "metrics"
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(workplace)
            settle(workplace, params)
            filter.main(
                *(data / "examples.parquet", data / "filtered.parquet"), numbers / "filter.json"
            )
            format.main(
                *(data / "filtered.parquet", data / "people.parquet"),
                *(data / "formatted.parquet", numbers / "format.json"),
            )
        table = tables.read(data / "formatted.parquet", tables.FORMATTED)
        test = table[table["split"] == "test"].reset_index(drop=True)
        sections = typed(params)
        pair = Both(tokenizers.load_tokenizer(sections.model), params)
        examples = tables.read(data / "filtered.parquet", tables.EXAMPLES)
        config = changed(sections.predict, membership_replies=2)
        predictor = Predictor(pair, examples, workshop.AUTHOR, config, sections.generate)
        scores = predictor.losses(table)
        tested = scores[scores["split"].eq("test")]
        return test, dict(tuple(tested.groupby("model", sort=False)))

    return cache(score)


def own(table):
    """The messages of each test reply, by id, as the spans of its text give them."""
    return {
        row.id: [row.text[s["start"] : s["end"]] for s in row.spans if s["kind"] == "message"]
        for row in table.itertuples()
    }


@pytest.mark.parametrize("name", MODELS)
def test_the_same_replies_and_characters_are_scored_whatever_the_model(scored, workplace, name):
    table, sums = scored(name)
    examples = tables.read(workplace / "data" / "examples.parquet", tables.EXAMPLES)
    tested = examples[examples["split"] == "test"]
    # Independently of the stages: a quoted control token gets a space inside.
    plain_texts = {
        row.id: [
            text.replace("<|im", "< |im").replace("[INST", "[ INST").replace("<end", "< end")
            for text in row.reply
        ]
        for row in tested.itertuples()
    }
    assert any("👩‍🚀" in text for texts in plain_texts.values() for text in texts)
    assert own(table) == plain_texts
    assert set(sums) == {"base", "tuned", "same_examples", "nearest_examples"}
    for each in sums.values():
        assert each["id"].tolist() == list(plain_texts)
        assert each["own_chars"].tolist() == [
            sum(map(len, texts)) for texts in plain_texts.values()
        ]
        # A separator and an end are one character each.
        assert each["chars"].tolist() == [sum(map(len, t)) + len(t) for t in plain_texts.values()]
        assert (each["own_tokens"] > 0).all()


def test_models_cut_the_same_characters_into_different_tokens(scored):
    """Otherwise the test above would compare equal tokenizations."""
    tokens = [scored(name)[1]["base"]["own_tokens"].tolist() for name in ("smollm2", "gemma3")]
    assert tokens[0] != tokens[1]
