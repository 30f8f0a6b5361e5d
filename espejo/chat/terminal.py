"""`espejo chat`: talk to the model in the terminal."""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import InMemoryHistory
from rich.console import Console
from rich.text import Text
from transformers import set_seed
from transformers.utils.logging import disable_progress_bar

from espejo.chat.conversation import Conversation
from espejo.chat.decline import Blocklist
from espejo.core import escaping
from espejo.model.config import GenerateConfig

LEAVE = {"salir", "exit", "quit"}
BASE = "/base"
HELP = (
    "/base asks the base model the same · salir, exit, quit or Ctrl-D leave · Ctrl-C stops a reply"
)


def chat(
    model: Path, generate: GenerateConfig, blocklist: Blocklist, seed: int | None = None
) -> None:
    """Run the conversation with the model in the folder `model` until the person leaves.

    A message that matches `blocklist` never reaches the model, nor does it become part of the
    conversation, from which a later prompt would quote it.
    """
    console = Console(highlight=False)
    disable_progress_bar()  # it would write into the line below
    with console.status("Loading the model …"):
        conversation = Conversation(model, generate)
    if seed is not None:
        set_seed(seed)
    manifest = conversation.pair.manifest
    about = f" · {manifest['model']['name']} trained on {manifest['data']} · {HELP}"
    console.print(Text.assemble(("espejo", "bold"), escaping.terminal(about)), style="dim")
    if blocklist.phrases:
        number = len(blocklist.phrases)
        console.print(f"Words and phrases declined by list (chat.decline): {number}", style="dim")
    ask: Callable[[str], str] = input  # lines from a pipe need no editing
    if sys.stdin.isatty():
        # The history is kept in memory only: what people write here is private.
        ask = PromptSession[str](history=InMemoryHistory()).prompt
    declined = False  # the last message
    while True:
        try:
            line = ask("you › ").strip()
        except EOFError:
            break
        except KeyboardInterrupt:
            continue
        if line.lower() in LEAVE:
            break
        if not line:
            continue
        if line == BASE and (declined or not conversation.turns):
            why = "That was declined by list" if declined else "Say something first"
            console.print(f"{why}: /base answers your last message.", style="dim")
            continue
        if line.startswith("/") and line != BASE:
            console.print(
                escaping.terminal(f"Unknown command {line}. {HELP}"), style="dim", markup=False
            )
            continue
        if line != BASE:
            declined = blocklist.matches(line)
            if declined:
                console.print("declined by list › ", end="", style="yellow", markup=False)
                console.print(
                    escaping.terminal(blocklist.answer, lines=True), markup=False, soft_wrap=True
                )
                continue
            conversation.say([line])
        label = "base › " if line == BASE else "bot › "
        _show(console, label, conversation.reply(base=line == BASE))
    console.print("chau!", style="dim")


def _show(console: Console, label: str, reply: Iterable[str | None]) -> None:
    """Print a reply as it comes, each of its messages on a line of its own after `label`."""
    at_start, anything = True, False  # of a message; whether something was printed
    try:
        for text in reply:
            if text is None:
                if not at_start:
                    console.print()
                at_start = True
                continue
            text = text.lstrip() if at_start else text
            if not text:
                continue
            if at_start:
                console.print(label, end="", style="green", markup=False)
            safe = escaping.terminal(text, lines=True)
            console.print(safe, end="", markup=False, soft_wrap=True)
            at_start, anything = False, True
    except KeyboardInterrupt:
        console.print(" (stopped)", style="dim", end="")
        anything = True
    if not anything:
        console.print(f"{label}(nothing)", style="dim", end="", markup=False)
    console.print()
