"""The models in this process: each token is read once, and replies are those of a bare model."""

import pytest
import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig

from espejo.chat.conversation import BOT, Conversation
from espejo.chat.decline import Blocklist
from espejo.chat.local import MAX_CACHES, LocalEngine
from espejo.model import loading, tokenizers
from espejo.training.sft import add_lora
from tests.helpers.configs import typed

GREEDY = ("generate.max_new_tokens=8", "generate.temperature=0", "model.precision=float32")
NOBODY = Blocklist((), "")


@pytest.fixture(scope="module")
def ready(composed):
    """Typed sections, with short greedy replies; float32, in which no rounding decides a token."""
    return typed(composed("model=smollm2", *GREEDY))


@pytest.fixture(scope="module")
def folder(ready, tmp_path_factory):
    """A tuned SmolLM2: an adapter drawn at random, large enough to change what it says."""
    folder = tmp_path_factory.mktemp("local") / "model"
    torch.manual_seed(1)
    tuned = add_lora(loading.load_base(ready.model, "float32"), ready.train)
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.02)
    manifest = {"data": "x", "history": ready.group.history}
    manifest |= {name: getattr(ready, name).model_dump() for name in ("model", "format", "train")}
    loading.save(tuned, tokenizers.load_tokenizer(ready.model), folder, manifest)
    return folder


@pytest.fixture(scope="module")
def engine(folder):
    engine = LocalEngine(folder)
    yield engine
    engine.close()


@pytest.fixture
def read(engine):
    """How many tokens went through the model, at each of its steps."""
    sizes = []
    with engine.pair.tuned() as model:
        embeddings = model.get_input_embeddings()
    hook = embeddings.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].shape[1]))
    yield sizes
    hook.remove()


def text_of(reply):
    """A reply as one text: on a slow machine notices of waiting come first."""
    return "".join(piece for piece in reply if isinstance(piece, str))


def written(engine, conversation):
    """The tokens of the whole conversation as one text, by the tokenizer alone."""
    turns = [*conversation.turns]
    text, _ = engine.prompter.example(turns[:-1], turns[-1]["messages"], BOT)
    return len(engine.pair.tokenizer(text, add_special_tokens=False)["input_ids"])


def test_a_conversation_of_ten_turns_reads_each_token_once(engine, ready, read):
    conversation = Conversation(engine, ready.generate, NOBODY)
    for text in ("hola, cómo andás?", "qué hiciste hoy?", "y mañana?", "dale", "nos vemos"):
        conversation.say(text)
        list(conversation.reply())
    assert len(conversation.turns) == 10
    whole = written(engine, conversation)
    # Blanks at the edges of a reply are dropped, which may change a token: each of the five replies
    # may cost one again. Read anew each time, it would be three times as many.
    assert whole - 5 <= sum(read) <= whole + 5


def bare(engine, prompt, ready, base=False):
    """Greedy tokens without any cache from before, by transformers alone."""
    tokenizer = engine.pair.tokenizer
    inputs = tokenizer(prompt, add_special_tokens=False, return_tensors="pt")
    with engine.pair.base() if base else engine.pair.tuned() as model:
        output = model.generate(
            **inputs,
            do_sample=False,
            temperature=None,
            top_k=None,
            top_p=None,
            max_new_tokens=ready.generate.max_new_tokens,
            repetition_penalty=ready.generate.repetition_penalty,
            eos_token_id=tokenizer.convert_tokens_to_ids("<|im_end|>"),
            pad_token_id=tokenizer.pad_token_id,
        )
    return tokenizer.decode(output[0, inputs["input_ids"].shape[1] :])


@pytest.fixture
def prompts(engine, monkeypatch):
    """The prompts that the engine is given."""
    seen, pieces = [], engine.pieces

    def watched(prompt, *rest):
        seen.append(prompt)
        return pieces(prompt, *rest)

    monkeypatch.setattr(engine, "pieces", watched)
    return seen


def test_what_was_read_before_changes_no_reply(engine, ready, prompts):
    conversation = Conversation(engine, ready.generate, NOBODY)
    other = Conversation(engine, ready.generate, NOBODY)
    replies = []
    for text in ("hola, cómo andás?", "contame algo"):
        conversation.say(text)
        replies.append(text_of(conversation.reply()))
        replies.append(text_of(conversation.reply(base=True)))
        other.say(f"otra cosa, {text}")  # in between, of somebody else
        replies.append(text_of(other.reply()))
        replies.append(text_of(other.regenerate()))
    expected = [
        bare(engine, prompt, ready, base=index % 4 == 1) for index, prompt in enumerate(prompts)
    ]
    assert replies == [text.split("<|im_end|>")[0].split("<|msg_sep|>")[0] for text in expected]
    assert len({*replies[:2]}) == 2  # the adapter does change the reply


def test_conversations_beyond_those_kept_are_read_again(engine, ready, read):
    people = [Conversation(engine, ready.generate, NOBODY) for _ in range(MAX_CACHES + 1)]
    for person in people:
        person.say("hola, cómo andás?")
        list(person.reply())
    sizes = []
    for person in (people[-1], people[0]):
        read.clear()
        person.say("bien")
        list(person.reply())
        sizes.append(read[0])
    assert sizes[0] < 25 < sizes[1]  # the first of them was forgotten: its whole text is read


@pytest.mark.parametrize("room", [8, 24])
def test_layers_with_a_sliding_window_give_the_same_replies(engine, ready, room, monkeypatch):
    """Gemma 3's layers look back a few tokens only; the text here is longer than that."""
    torch.manual_seed(2)
    config = Gemma3TextConfig(
        vocab_size=len(engine.pair.tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=room,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    )
    small = Gemma3ForCausalLM(config).eval()
    monkeypatch.setattr(engine.pair, "_tuned", small)
    sizes, seen = [], []
    small.get_input_embeddings().register_forward_pre_hook(
        lambda _, inputs: sizes.append(inputs[0].shape[1])
    )
    conversation = Conversation(engine, ready.generate, NOBODY)
    for text in ("hola, cómo andás? todo bien por acá", "y vos qué contás?", "dale, nos vemos"):
        conversation.say(text)
        prompt = engine.prompter.prompt(conversation.turns, BOT)
        sizes.clear()
        raw = engine.pieces(prompt, ready.generate, conversation)
        text = text_of(raw)
        seen.append(sizes[0])
        assert text == bare(engine, prompt, ready).removesuffix("\ufffd")
        conversation.turns.append({"author": BOT, "messages": [text.split("<|im_end|>")[0]]})
    assert max(seen[1:]) < 60  # what the cache holds is not read again, also beyond the window
