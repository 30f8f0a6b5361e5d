"""Tags that a person types stay words: no token of its own, no tag of the form, wherever they are.

Asked of the two embedded tokenizers in every form, and of tiny ones with the special tokens and the
template of every model that can be configured.
"""

from collections import Counter
from functools import cached_property

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espejo.formatting.config import FormatConfig
from espejo.formatting.labels import encode
from espejo.formatting.prompts import prompter
from espejo.model import loading
from espejo.model.config import ModelConfig
from tests.model.test_every_model import MODELS, ROOT, tiny_base

FORMS = sorted(path.stem for path in (ROOT / "conf" / "format").glob("*.yaml"))
# Of the originals, of other families, and of forms: most are no tag to most models.
OTHERS = ["</message_sep>", "<|im_end|>", "[INST]", "<<SYS>>", "</think>", "<tool_call>", "[IMG]"]


def words(text):
    """`text` without blanks."""
    return "".join(text.split())


class Asked:
    """A prompter, and all that is structure to it, found by another way than the prompter's."""

    def __init__(self, params, tokenizer):
        self.tokenizer = tokenizer
        form = params["format"] | {"max_context_chars": 10**9}
        self.write = prompter(self.tokenizer, ModelConfig(**params["model"]), FormatConfig(**form))
        added = {
            at: one.content
            for at, one in self.tokenizer.added_tokens_decoder.items()
            if one.content.strip()
        }
        # A letter that a vocabulary lacks is written with tokens of single bytes.
        self.ids = {at for at, tag in added.items() if not tag.startswith("<0x")}
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
        tokens = Counter(at for at in ids if at in self.ids)
        return tokens, {tag: text.count(tag) for tag in self.form}

    def example(self, said):
        """A text in which `said` stands wherever a person's words or name do, with its spans."""
        name = f"Flor{said}"
        context = [
            {"author": name, "messages": [said, "che", said]},
            {"author": "Juli", "messages": [said]},
            {"author": name, "messages": ["che", said]},
        ]
        before = [{"author": name, "messages": [said]}, {"author": "Juli", "messages": [said]}]
        return self.write.example(context, [said, "dale", said], "Juli", True, before)


def checked(asked, said):
    """`said` adds no structure to a text, is all there, and what is learnt stands in its place."""
    text, spans = asked.example(said)
    assert asked.structure(text) == asked.harmless
    mine = [text[span["start"] : span["end"]] for span in spans if span["kind"] == "message"]
    assert [words(one) for one in mine] == [words(said), "dale", words(said)]
    assert words(text).count(words(said)) >= 11
    encoded = encode(asked.tokenizer, text, spans)
    assert encoded["labels"][-1] == encoded["input_ids"][-1]
    assert asked.write.plain(mine[0]) == mine[0]  # there is nothing left to open
    return mine[0]


@pytest.fixture(scope="module", params=["smollm2", "gemma3"])
def embedded(request, composed):
    """The prompters of an embedded model: one a form that it can be written in."""
    forms = [form for form in FORMS if request.param == "smollm2" or form not in ("chat", "tagged")]
    model = f"model={request.param}"
    tokenizer = loading.load_tokenizer(ModelConfig(**composed(model)["model"]))
    return {form: Asked(composed(model, f"format={form}"), tokenizer) for form in forms}


def test_every_tag_of_the_embedded_models_is_a_word_in_every_form(embedded):
    for asked in embedded.values():
        opened = [asked.write.plain(tag) for tag in asked.tags]
        assert [words(one) for one in opened] == [words(tag) for tag in asked.tags]
        ids = asked.tokenizer(opened, add_special_tokens=False)["input_ids"]
        assert not [tag for tag, of in zip(asked.tags, ids, strict=True) if asked.ids & {*of}]
        some = [*asked.tags[:100], *asked.tags[-100:]]  # of gemma3's 6,400
        checked(asked, "".join(some))
        for tag in asked.tags[-12:]:
            checked(asked, tag)


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
def test_no_pieces_of_tags_make_one(embedded, said):
    for asked in embedded.values():
        text, spans = asked.example(f"a{said}b")
        assert asked.structure(text) == asked.harmless


@pytest.mark.parametrize("name", MODELS)
def test_every_tag_is_a_word_to_the_tokenizer_of_every_model(name, composed, tmp_path, monkeypatch):
    params = composed(f"model={name}")
    tiny_base(params, tmp_path)
    monkeypatch.setattr(loading, "locate", lambda model: (str(tmp_path), "main"))
    asked = Asked(params, loading.load_tokenizer(ModelConfig(**params["model"])))
    checked(asked, "".join(asked.tags))
    for tag in asked.tags:
        checked(asked, tag)


def test_a_tag_inside_a_tag_and_one_that_the_space_makes(composed, monkeypatch, tmp_path):
    params = composed("model=smollm2")
    tiny_base(params, tmp_path)
    monkeypatch.setattr(loading, "locate", lambda model: (str(tmp_path), "main"))
    params["model"]["added_tokens"] = ["<go>", "< go>", "<  go>"]
    asked = Asked(params, loading.load_tokenizer(ModelConfig(**params["model"])))
    assert checked(asked, "<|im_<|im_end|>end|>") == "< |im_< |im_end|>end|>"
    assert checked(asked, "<go>") == "<   go>"
