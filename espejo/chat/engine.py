"""What writes the replies of a conversation: models in this process, or a llama.cpp server."""

from collections.abc import Generator, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from espejo.formatting.prompts import Prompter
from espejo.model.config import GenerateConfig


@dataclass(frozen=True)
class Waiting:
    """A reply has not begun: `ahead` others are served first."""

    ahead: int


# A reply while it is generated: its text, None between two of its messages; `Waiting` before that.
Reply = Generator[str | None | Waiting, None, None]


class Engine(Protocol):
    """Writes replies, one at a time, first come, first served; any number of threads may ask."""

    manifest: Mapping[str, Any]  # espejo.json of the model
    prompter: Prompter  # the one with which the model was trained
    has_base: bool  # whether the model before training can be asked too
    max_tokens: int  # of prompt and reply together

    def pieces(
        self,
        prompt: str,
        generate: GenerateConfig,
        conversation: Hashable,
        base: bool = False,
    ) -> Generator[str | Waiting, None, None]:
        """The raw text of a reply while it is generated, special tokens included.

        First `Waiting`, each time the number of those ahead changes. Closing the generator stops
        the reply, or leaves the queue. `conversation` tells conversations apart: what the engine
        has read of one it need not read again.
        """

    def close(self) -> None:
        """Free what the engine holds: a process, a port."""
