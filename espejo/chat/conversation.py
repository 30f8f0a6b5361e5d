"""A conversation with a trained model: what was said, and the next reply, for any front end."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from espejo.chat.stream import messages, pieces
from espejo.core.tables import Turn
from espejo.formatting.prompts import trained_prompter
from espejo.model.config import GenerateConfig
from espejo.model.generation import generation_config
from espejo.model.pair import ModelPair

BOT, PERSON = "bot", "person"


class Conversation:
    """Holds the turns of one conversation with the model in `folder` (the stage train's output).

    Raises UserError when there is no trained model.
    """

    def __init__(self, folder: Path, generate: GenerateConfig) -> None:
        """`generate` is the params section of that name: temperature, limit of new tokens …"""
        self.pair = ModelPair(folder)
        self._prompter = trained_prompter(self.pair.tokenizer, self.pair.manifest)
        self._how = generation_config(self.pair.tokenizer, self._prompter.end, generate)
        self.turns: list[Turn] = []

    def say(self, said: Sequence[str]) -> None:
        """Add a turn of the person: one or more messages."""
        self.turns.append({"author": PERSON, "messages": list(said)})

    def reply(self, base: bool = False) -> Iterator[str | None]:
        """The reply to what was said last: text as it is written, None between two messages.

        The tuned model's reply, once read to its end, becomes part of the conversation. With
        `base`, the model before training answers in its place, and nothing is remembered.
        """
        # Up to the person's last turn: /base answers what the bot has answered already.
        last = max(at for at, turn in enumerate(self.turns) if turn["author"] == PERSON)
        history = self.pair.manifest["history"]
        prompt = self._prompter.prompt(self.turns[: last + 1][-history:], BOT)
        tokenizer = self.pair.tokenizer
        said = [""]
        with self.pair.base() if base else self.pair.tuned() as model:
            raw = pieces(model, tokenizer, prompt, self._how)
            try:
                for text in messages(raw, self._prompter.separator, self._prompter.stops):
                    if text is None:
                        said.append("")
                    else:
                        said[-1] += text
                    yield text
            finally:
                raw.close()
        spoken = [text.strip() for text in said if text.strip()]
        if spoken and not base:
            self.turns.append({"author": BOT, "messages": spoken})
