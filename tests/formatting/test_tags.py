"""Tags that a person types stay words: no token of its own, no tag of the form, wherever they are.

Asked of the two embedded tokenizers in every form, and of tiny ones with the special tokens and the
template of every model that can be configured.
"""

from collections import Counter
from functools import cached_property

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo.formatting import prompts
from espejo.formatting.config import FormatConfig
from espejo.formatting.labels import encode
from espejo.model import loading
from espejo.model.config import ModelConfig
from tests.model.test_every_model import MODELS, ROOT, tiny_base

FORMS = sorted(path.stem for path in (ROOT / "conf" / "format").glob("*.yaml"))
# Of the originals, of other families, and of forms: most are no tag to most models.
OTHERS = ["</message_sep>", "<|im_end|>", "[INST]", "<<SYS>>", "</think>", "<tool_call>", "[IMG]"]


def words(text):
    """`text` without blanks."""
    return "".join(text.split())


class Writer:
    """A prompter, and all that is structure to it, found by another way than the prompter's."""

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
        # A letter that a vocabulary lacks is written with tokens of single bytes.
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
        """How often each token of its own and each tag of the form stands in `text`."""
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        tokens = Counter(index for index in ids if index in self.ids)
        return tokens, {tag: text.count(tag) for tag in self.form}

    def example(self, text):
        """A text in which `said` stands wherever a person's words or name do, with its spans."""
        name = f"Flor{text}"
        context = [
            {"author": name, "messages": [text, "che", text]},
            {"author": "Juli", "messages": [text]},
            {"author": name, "messages": ["che", text]},
        ]
        before = [{"author": name, "messages": [text]}, {"author": "Juli", "messages": [text]}]
        return self.prompter.example(context, [text, "dale", text], "Juli", True, before)


def checked(writer, typed):
    """`said` adds no structure to a text, is all there, and what is learnt stands in its place."""
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
    """The prompters of an embedded model: one a form that it can be written in."""
    forms = [form for form in FORMS if request.param == "smollm2" or form not in ("chat", "tagged")]
    model = f"model={request.param}"
    tokenizer = loading.load_tokenizer(ModelConfig(**composed(model)["model"]))
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


@settings(deadline=None)
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
    monkeypatch.setattr(loading, "locate", lambda model: (str(tmp_path), "main"))
    writer = Writer(params, loading.load_tokenizer(ModelConfig(**params["model"])))
    checked(writer, "".join(writer.tags))
    for tag in writer.tags:
        checked(writer, tag)


def test_a_tag_inside_a_tag_and_one_that_the_space_makes(composed, monkeypatch, tmp_path):
    params = composed("model=smollm2")
    tiny_base(params, tmp_path)
    monkeypatch.setattr(loading, "locate", lambda model: (str(tmp_path), "main"))
    params["model"]["added_tokens"] = ["<go>", "< go>", "<  go>"]
    writer = Writer(params, loading.load_tokenizer(ModelConfig(**params["model"])))
    assert checked(writer, "<|im_<|im_end|>end|>") == "< |im_< |im_end|>end|>"
    assert checked(writer, "<go>") == "<   go>"
