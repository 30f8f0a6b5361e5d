"""What a model answers to the same prompts after each epoch of its training."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from espejo.core import escaping
from espejo.formatting.prompts import Prompter
from espejo.model.generation import reply_all, settings


@dataclass(frozen=True)
class Diary:
    """Notes in `folder`, beside the checkpoints, so that a kill loses none."""

    folder: Path
    prompts: Sequence[str]
    write: Prompter
    generate: Mapping[str, float]  # the params section model.generate
    seed: int
    sharded: bool = False  # over several processes: none of them can answer alone

    def note(self, model: PreTrainedModel, epoch: int) -> None:
        """Ask `model` all prompts and keep what it answers; one that is sharded is not asked."""
        if self.sharded:
            return
        how = settings(self.write.tokenizer, self.write.end, self.generate)
        asked = [
            self.write.prompt([{"author": "", "messages": [text]}], "author")
            for text in self.prompts
        ]
        replies = reply_all(
            model, self.write.tokenizer, asked, how, self.write.stops, self.seed, label="asking"
        )
        answers = [self.write.bubbles(reply.text) for reply in replies]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file(epoch).write_text(json.dumps(answers), "utf-8")

    def page(self) -> str:
        """All notes as Markdown."""
        parts = ["# Replies while training", "The same prompts after each epoch, sampled."]
        if self.sharded:
            parts[1:] = ["Nothing was asked: the model was sharded over several processes (FSDP)."]
        epoch = 1
        while self._file(epoch).is_file():
            parts.append(f"## After epoch {epoch}")
            answers = json.loads(self._file(epoch).read_text("utf-8"))
            for text, answer in zip(self.prompts, answers, strict=True):
                lines = map(escaping.markdown, answer or ["(nothing)"])
                said = "\n".join(f"- {line}" for line in lines)
                parts.append(f"**{escaping.markdown(text)}**\n\n{said}")
            epoch += 1
        return "\n\n".join(parts) + "\n"

    def _file(self, epoch: int) -> Path:
        return self.folder / f"replies-{epoch}.json"
