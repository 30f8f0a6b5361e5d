"""The real command line, with an engine whose replies are known: `python -m tests.bot.scripted`.

The reply repeats what the model would read of the person's last turn, as two messages.
"""

import logging
import os
import re
import sys
import time
from types import ModuleType

from espejo.commands import cli

SLOW = "despacio"  # a word that makes the reply take five seconds
ENDLESS = "sinfin"  # a word that makes it go on until it is stopped, or a test has failed
MANIFEST = {
    "model": {"name": "scripted"},
    "data": "data/raw/demo",
    "history": 4,
    "format": {"replies_per_text": 8},
}


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer():
    """Whose only words are the tags of its template."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    tags = ["<|im_start|>", "<|im_end|>"]
    words = Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>"))
    wrapped = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", eos_token=tags[1])
    wrapped.add_special_tokens({"additional_special_tokens": tags})
    wrapped.chat_template = CHATML
    return wrapped


class ScriptedEngine:
    """Replies "eco:" and then the person's last turn, its messages joined by " + "."""

    has_base = False
    manifest = MANIFEST
    max_tokens = 10**9

    def __init__(self, _folder):
        from espejo.formatting.prompts import Prompter

        settings = {"system": "SYS", "empty_turn": "…", "separator": "<|msg_sep|>"}
        self.prompter = Prompter(tokenizer(), max_context_chars=2000, **settings)

    def pieces(self, prompt, generate, conversation, base=False):
        last = prompt.rsplit("<|im_start|>user\n", 1)[1].split("<|im_end|>")[0]
        if "falla" in last:
            raise MemoryError
        if ENDLESS in last:
            for _ in range(2400):
                time.sleep(0.05)
                yield "e"  # after each piece the engine's reader looks whether it is to stop
        if SLOW in last:
            yield "e"
            time.sleep(5)
            yield "co"
        else:
            yield "eco"
        if match := re.fullmatch(r"(\d+) de (.)", last):  # so many of a character
            last = int(match[1]) * match[2]
        yield ":<|msg_sep|>" + last.replace("<|msg_sep|>", " + ")
        yield "<|im_end|>"

    def close(self):
        pass


if __name__ == "__main__":
    if os.environ.get("TEST_LOGGING"):
        logging.basicConfig(level=logging.DEBUG)
    # Not the real module, which loads torch: seconds for each of many processes.
    local = ModuleType("espejo.chat.local")
    local.LocalEngine = ScriptedEngine
    sys.modules[local.__name__] = local
    cli.app()
