"""Replies to the same prompts after each epoch of a training."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from espejo.core import escaping
from espejo.formatting.prompts import Prompter
from espejo.model.config import GenerateConfig
from espejo.model.generation import generation_config, reply_all

# Fixed, not the params section `generate`, so that another temperature does not retrain.
GENERATE = GenerateConfig(
    temperature=0.7, top_k=40, top_p=1.0, repetition_penalty=1.1, max_new_tokens=60
)


@dataclass(frozen=True)
class EpochSamples:
    """Replies saved in `folder`, beside the checkpoints: a resumed training has them all."""

    folder: Path
    prompts: Sequence[str]
    prompter: Prompter
    seed: int
    sharded: bool = False  # over several processes (FSDP): no process has the whole model

    def ask(self, model: PreTrainedModel, epoch: int) -> None:
        """Save the replies of `model` to all prompts; a sharded model gives none."""
        if self.sharded:
            return
        prompts = [
            self.prompter.prompt([{"author": "", "messages": [text]}], "author")
            for text in self.prompts
        ]
        replies = reply_all(
            model,
            self.prompter.tokenizer,
            prompts,
            generation_config(self.prompter.tokenizer, self.prompter.end, GENERATE),
            self.prompter.stops,
            self.seed,
            label="asking",
        )
        bubbles = [self.prompter.bubbles(reply.text) for reply in replies]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._file(epoch).write_text(json.dumps(bubbles), "utf-8")

    def page(self) -> str:
        """All samples as Markdown."""
        parts = ["# Replies while training", "The same prompts after each epoch, sampled."]
        if self.sharded:
            parts[1:] = ["Nothing was asked: the model was sharded over several processes (FSDP)."]
        epoch = 1
        while self._file(epoch).is_file():
            parts.append(f"## After epoch {epoch}")
            replies = json.loads(self._file(epoch).read_text("utf-8"))
            for prompt, bubbles in zip(self.prompts, replies, strict=True):
                lines = map(escaping.markdown, bubbles or ["(nothing)"])
                items = "\n".join(f"- {line}" for line in lines)
                parts.append(f"**{escaping.markdown(prompt)}**\n\n{items}")
            epoch += 1
        return "\n\n".join(parts) + "\n"

    def _file(self, epoch: int) -> Path:
        return self.folder / f"replies-{epoch}.json"
