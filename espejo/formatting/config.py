"""The params section `format`; in its own module, since `prompts` loads transformers."""

from espejo.core.config import Section, Some, Word


class Tags(Section):
    """The strings of a tagged prompt: `start`, then each turn, `reply`, the reply, `end`.

    Without `reply`, all turns go into one user turn of the chat template, which writes the rest.
    Otherwise a `start` or `end` of None is the tokenizer's own token. With `closed`, the author's
    earlier turns end like the reply, with `end` before `turn_end`, so that a text can continue
    after a reply and hold the next one (training_texts.py).
    """

    start: str | None
    other: str
    author: str
    turn_end: str
    reply: str | None
    end: str | None
    closed: bool = False


class FormatConfig(Section):
    """The form in which a model reads a conversation."""

    section = "format"
    name: Word
    system: str
    empty_turn: Word
    replies_per_text: Some
    max_context_chars: Some
    tags: Tags | None
