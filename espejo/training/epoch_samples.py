"""What a model answers to the same prompts after each epoch of its training."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from espejo.core import escaping
from espejo.formatting.prompts import Prompter
from espejo.model.generation import reply_all, settings

# Always these, and not the params section generate: another temperature must not train anew.
GENERATE = {
    "temperature": 0.7,
    "top_k": 40,
    "top_p": 1.0,
    "repetition_penalty": 1.1,
    "max_new_tokens": 60,
}


@dataclass(frozen=True)
class EpochSamples:
    """Kept in `folder`, beside the checkpoints, so that a kill loses none."""

    folder: Path
    prompts: Sequence[str]
    prompter: Prompter
    seed: int
    sharded: bool = False  # over several processes: none of them can answer alone

    def ask(self, model: PreTrainedModel, epoch: int) -> None:
        """Ask `model` all prompts and keep what it answers; one that is sharded is not asked."""
        if self.sharded:
            return
        how = settings(self.prompter.tokenizer, self.prompter.end, GENERATE)
        asked = [
            self.prompter.prompt([{"author": "", "messages": [text]}], "author")
            for text in self.prompts
        ]
        replies = reply_all(
            model,
            self.prompter.tokenizer,
            asked,
            how,
            self.prompter.stops,
            self.seed,
            label="asking",
        )
        answers = [self.prompter.bubbles(reply.text) for reply in replies]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file(epoch).write_text(json.dumps(answers), "utf-8")

    def page(self) -> str:
        """All samples as Markdown."""
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
