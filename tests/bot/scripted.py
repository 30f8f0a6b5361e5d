"""The real command line, with an engine whose replies are known: `python -m tests.bot.scripted`.

The reply repeats what the model would read of the person's last turn, as two messages.
"""

import logging
import os
import time

from espejo.chat import local
from espejo.commands import cli
from espejo.formatting.prompts import Prompter
from tests.helpers.tiny import CHATML, tokenizer

SLOW = "despacio"  # a word that makes the reply take a second
MANIFEST = {
    "model": {"name": "scripted"},
    "data": "data/raw/demo",
    "history": 4,
    "format": {"replies_per_text": 8},
}


class ScriptedEngine:
    """Replies "eco:" and then the person's last turn, its messages joined by " + "."""

    has_base = False
    manifest = MANIFEST
    max_tokens = 10**9

    def __init__(self, _folder):
        inner = tokenizer(["<|im_start|>", "<|im_end|>"], "<|im_end|>", CHATML)
        self.prompter = Prompter(
            inner, system="SYS", empty_turn="…", separator="<|msg_sep|>", max_context_chars=2000
        )

    def pieces(self, prompt, generate, conversation, base=False):
        last = prompt.rsplit("<|im_start|>user\n", 1)[1].split("<|im_end|>")[0]
        if "falla" in last:
            raise MemoryError
        if SLOW in last:
            for _ in range(20):
                time.sleep(0.05)
                yield "e" if _ == 0 else ""
            yield "co"
        else:
            yield "eco"
        yield ":<|msg_sep|>" + last.replace("<|msg_sep|>", " + ")
        yield "<|im_end|>"

    def close(self):
        pass


if __name__ == "__main__":
    if os.environ.get("TEST_LOGGING"):
        logging.basicConfig(level=logging.DEBUG)
    local.LocalEngine = ScriptedEngine
    cli.app()
