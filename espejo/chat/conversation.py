"""A conversation with a trained model: its turns and the next reply, for any front end."""

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
    """The turns of one conversation with the model in `folder` (the output of the stage train).

    Raises UserError when there is no trained model.
    """

    def __init__(self, folder: Path, generate: GenerateConfig) -> None:
        self.pair = ModelPair(folder)
        tokenizer = self.pair.tokenizer
        self._prompter = trained_prompter(tokenizer, self.pair.manifest)
        self._generation = generation_config(tokenizer, self._prompter.end, generate)
        self.turns: list[Turn] = []

    def say(self, messages: Sequence[str]) -> None:
        """Add a turn of the person."""
        self.turns.append({"author": PERSON, "messages": list(messages)})

    def reply(self, base: bool = False) -> Iterator[str | None]:
        """The reply to the person's last turn: text while it is generated, None between messages.

        The tuned model's reply becomes part of the conversation once it is read to its end. With
        `base` the base model replies instead, and its reply is not kept.
        """
        # Up to the person's last turn: /base replies to what the bot has replied to already.
        last = max(index for index, turn in enumerate(self.turns) if turn["author"] == PERSON)
        history = self.pair.manifest["history"]
        prompt = self._prompter.prompt(self.turns[: last + 1][-history:], BOT)
        tokenizer = self.pair.tokenizer
        texts = [""]
        with self.pair.base() if base else self.pair.tuned() as model:
            raw = pieces(model, tokenizer, prompt, self._generation)
            try:
                for text in messages(raw, self._prompter.separator, self._prompter.stops):
                    if text is None:
                        texts.append("")
                    else:
                        texts[-1] += text
                    yield text
            finally:
                raw.close()
        written = [text.strip() for text in texts if text.strip()]
        if written and not base:
            self.turns.append({"author": BOT, "messages": written})
