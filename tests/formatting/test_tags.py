"""Tags that a person types stay plain words, never special tokens or tags of the form. Tested with
the two bundled tokenizers in every form, and with tiny tokenizers that have the special tokens and
the template of every model of conf/.
"""

from collections import Counter
from functools import cached_property

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espejo.formatting import prompts
from espejo.formatting.config import FormatConfig
from espejo.formatting.labels import encode
from espejo.model import tokenizers
from espejo.model.config import ModelConfig
from tests.model.test_every_model import MODELS, ROOT, tiny_base

FORMS = sorted(path.stem for path in (ROOT / "conf" / "format").glob("*.yaml"))
# Tags of the originals, of other model families and of forms; most models know few of them.
OTHERS = ["</message_sep>", "<|im_end|>", "[INST]", "<<SYS>>", "</think>", "<tool_call>", "[IMG]"]


def words(text):
    """`text` without blanks."""
    return "".join(text.split())


class Writer:
    """A prompter, and all its structural tokens and tags, found independently of it."""

    def __init__(self, params, tokenizer):
        self.tokenizer = tokenizer
        form = params["format"] | {"max_context_chars": 10**9}
        self.prompter = prompts.prompter(
            self.tokenizer, ModelConfig(**params["model"]), FormatConfig(**form)
        )
        added = {
            index: token.content
            for index, token in self.tokenizer.added_tokens_decoder.items()
            if token.content.strip()
        }
        # Byte tokens (<0x..>) are no structure: they write letters that the vocabulary lacks.
        self.ids = {index for index, tag in added.items() if not tag.startswith("<0x")}
        self.form = {params["model"]["separator"]} | {
            tag.strip()
            for tag in (form["tags"] or {}).values()
            if isinstance(tag, str) and tag.strip()
        }
        self.tags = [*added.values(), *sorted(self.form), *OTHERS]

    @cached_property
    def harmless(self):
        """The structure of a text in which nobody typed a tag."""
        return self.structure(self.example("voy")[0])

    def structure(self, text):
        """Counts of each special token and each tag of the form in `text`."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        tokens = Counter(index for index in ids if index in self.ids)
        return tokens, {tag: text.count(tag) for tag in self.form}

    def example(self, typed):
        """An example with `typed` wherever a person's words or name stand: its text and spans."""
        name = f"Flor{typed}"
        context = [
            {"author": name, "messages": [typed, "che", typed]},
            {"author": "Juli", "messages": [typed]},
            {"author": name, "messages": ["che", typed]},
        ]
        before = [{"author": name, "messages": [typed]}, {"author": "Juli", "messages": [typed]}]
        return self.prompter.example(context, [typed, "dale", typed], "Juli", True, before)


def checked(writer, typed):
    """`typed` adds no structure to a text, is complete, and the labels are in the right place."""
    text, spans = writer.example(typed)
    assert writer.structure(text) == writer.harmless
    messages = [text[span["start"] : span["end"]] for span in spans if span["kind"] == "message"]
    assert [words(message) for message in messages] == [words(typed), "dale", words(typed)]
    assert words(text).count(words(typed)) >= 11
    encoded = encode(writer.tokenizer, text, spans)
    assert encoded["labels"][-1] == encoded["input_ids"][-1]
    assert writer.prompter.plain(messages[0]) == messages[0]  # there is nothing left to open
    return messages[0]


@pytest.fixture(scope="module", params=["smollm2", "gemma3"])
def bundled(request, composed):
    """The prompters of a bundled model, one for each form that it supports."""
    forms = [form for form in FORMS if request.param == "smollm2" or form not in ("chat", "tagged")]
    model = f"model={request.param}"
    tokenizer = tokenizers.load_tokenizer(ModelConfig(**composed(model)["model"]))
    return {form: Writer(composed(model, f"format={form}"), tokenizer) for form in forms}


def test_every_tag_of_the_bundled_models_is_a_word_in_every_form(bundled):
    for writer in bundled.values():
        opened = [writer.prompter.plain(tag) for tag in writer.tags]
        assert [words(text) for text in opened] == [words(tag) for tag in writer.tags]
        ids = writer.tokenizer(opened, add_special_tokens=False)["input_ids"]
        assert not [tag for tag, of in zip(writer.tags, ids, strict=True) if writer.ids & {*of}]
        some = [*writer.tags[:100], *writer.tags[-100:]]  # of gemma3's 6,400
        checked(writer, "".join(some))
        for tag in writer.tags[-12:]:
            checked(writer, tag)


@given(
    st.lists(
        st.sampled_from(
            [
                "<",
                "|",
                "im",
                "_end",
                "|>",
                ">",
                "[",
                "YO",
                "]",
                "\n",
                "### ",
                "Answer",
                ":",
                " ",
                "<|im_end|>",
                "[OTRO]",
                "a",
            ]
        )
    ).map("".join)
)
def test_no_pieces_of_tags_make_one(bundled, pieces):
    for writer in bundled.values():
        text, spans = writer.example(f"a{pieces}b")
        assert writer.structure(text) == writer.harmless


@pytest.mark.parametrize("name", MODELS)
def test_every_tag_is_a_word_to_the_tokenizer_of_every_model(name, composed, tmp_path, monkeypatch):
    params = composed(f"model={name}")
    tiny_base(params, tmp_path)
    monkeypatch.setattr(tokenizers, "locate", lambda model: (str(tmp_path), "main"))
    writer = Writer(params, tokenizers.load_tokenizer(ModelConfig(**params["model"])))
    checked(writer, "".join(writer.tags))
    for tag in writer.tags:
        checked(writer, tag)


def test_a_tag_inside_a_tag_and_one_that_the_space_makes(composed, monkeypatch, tmp_path):
    params = composed("model=smollm2")
    tiny_base(params, tmp_path)
    monkeypatch.setattr(tokenizers, "locate", lambda model: (str(tmp_path), "main"))
    params["model"]["added_tokens"] = ["<go>", "< go>", "<  go>"]
    writer = Writer(params, tokenizers.load_tokenizer(ModelConfig(**params["model"])))
    assert checked(writer, "<|im_<|im_end|>end|>") == "< |im_< |im_end|>end|>"
    assert checked(writer, "<go>") == "<   go>"
