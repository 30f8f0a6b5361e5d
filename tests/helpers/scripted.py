"""An engine that writes known replies, for tests of what stands around a model."""

from espejo.core.config import checked
from espejo.formatting.config import FormatConfig
from espejo.formatting.prompts import Prompter
from tests.helpers import tiny


def chatml():
    """A prompter with roles, for a tiny vocabulary."""
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return Prompter(
        tokenizer=tiny.tokenizer(specials, "<|im_end|>", tiny.CHATML),
        system="SYS",
        empty_turn="…",
        separator="<|msg_sep|>",
        max_context_chars=1500,
    )


def manifest(composed, **other):
    """What espejo.json of a model says to a conversation."""
    params = composed()
    checked(FormatConfig, params["format"], "params.yaml")
    return {
        "model": params["model"],
        "format": params["format"],
        "train": params["train"],
        "data": "data/raw/demo",
        "kind": "chats",
        "history": 4,
        "turn_gap": "1h",
        "session_gap": "3h",
        **other,
    }


class ScriptedEngine:
    """Answers with `replies` in turn, in pieces of three characters, then with "ok"."""

    has_base = True

    def __init__(self, manifest, prompter=None, replies=(), max_tokens=100_000):
        self.manifest, self.prompter = manifest, prompter or chatml()
        self.replies, self.max_tokens = list(replies), max_tokens
        self.prompts, self.closed = [], 0

    def pieces(self, prompt, generate, conversation, base=False):
        self.prompts.append(prompt)
        text = self.replies.pop(0) if self.replies else "ok"
        text += self.prompter.end + "and what nobody sees"
        try:
            for start in range(0, len(text), 3):
                yield text[start : start + 3]
        finally:
            self.closed += 1

    def close(self):
        pass
