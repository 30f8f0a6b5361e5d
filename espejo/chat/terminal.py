"""`espejo chat`: talk to the model in the terminal."""

import sys
from collections.abc import Iterable
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.history import InMemoryHistory
from rich.console import Console
from rich.text import Text
from transformers import set_seed
from transformers.utils.logging import disable_progress_bar

from espejo.chat.conversation import Conversation
from espejo.chat.decline import Declined
from espejo.core import escaping
from espejo.model.config import GenerateConfig

LEAVE = {"salir", "exit", "quit"}
HELP = (
    "/base asks the base model the same · salir, exit, quit or Ctrl-D leave · Ctrl-C stops a reply"
)


def chat(
    folder: Path, generate: GenerateConfig, declined: Declined, seed: int | None = None
) -> None:
    """Run the conversation until the person leaves; `generate` as `Conversation` takes it.

    A message that `declined` holds never reaches the model, nor does it become part of the
    conversation, in which a later prompt would quote it.
    """
    console = Console(highlight=False)
    disable_progress_bar()  # it would break into the line below
    with console.status("Loading the model …"):
        conversation = Conversation(folder, generate)
    if seed is not None:
        set_seed(seed)
    manifest = conversation.pair.manifest
    about = f" · {manifest['model']['name']} trained on {manifest['data']} · {HELP}"
    console.print(Text.assemble(("espejo", "bold"), escaping.terminal(about)), style="dim")
    if declined.phrases:
        number = len(declined.phrases)
        console.print(f"Words and phrases declined by list (chat.decline): {number}", style="dim")
    # Kept in memory only: what people write here is nobody's business. Piped lines need no editing.
    ask = PromptSession(history=InMemoryHistory()).prompt if sys.stdin.isatty() else input
    refused = False  # the last message
    while True:
        try:
            said = ask("you › ").strip()
        except EOFError:
            break
        except KeyboardInterrupt:
            continue
        if said.lower() in LEAVE:
            break
        if not said:
            continue
        if said == "/base" and (refused or not conversation.turns):
            why = "That was declined by list" if refused else "Say something first"
            console.print(f"{why}: /base answers your last message.", style="dim")
            continue
        if said.startswith("/") and said != "/base":
            console.print(
                escaping.terminal(f"Unknown command {said}. {HELP}"), style="dim", markup=False
            )
            continue
        if said != "/base":
            refused = declined.holds(said)
            if refused:
                console.print("declined by list › ", end="", style="yellow", markup=False)
                console.print(
                    escaping.terminal(declined.answer, lines=True), markup=False, soft_wrap=True
                )
                continue
            conversation.say([said])
        _show(
            console, "base › " if said == "/base" else "bot › ", conversation.reply(said == "/base")
        )
    console.print("chau!", style="dim")


def _show(console: Console, label: str, reply: Iterable[str | None]) -> None:
    """Print a reply as it comes, each of its messages on a line of its own behind `label`."""
    fresh, shown = True, False  # at the beginning of a message; has anything been printed
    try:
        for text in reply:
            if text is None:
                if not fresh:
                    console.print()
                fresh = True
                continue
            text = text.lstrip() if fresh else text
            if not text:
                continue
            if fresh:
                console.print(label, end="", style="green", markup=False)
            safe = escaping.terminal(text, lines=True)
            console.print(safe, end="", markup=False, soft_wrap=True)
            fresh, shown = False, True
    except KeyboardInterrupt:
        console.print(" (stopped)", style="dim", end="")
        shown = True
    if not shown:
        console.print(f"{label}(nothing)", style="dim", end="", markup=False)
    console.print()
