"""`espejo chat`: talk to the model in the terminal."""

import sys
from collections.abc import Callable, Iterable, Mapping
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
from espejo.model import manifest as manifests
from espejo.model.config import GenerateConfig
from espejo.report.wording import Wording

LEAVE = {"salir", "exit", "quit"}
BASE = "/base"


class ChatWording(Wording):
    """The sentences around the conversation in one language, `en` or `es`."""

    folder = Path(__file__).parent


def chat(
    model: Path,
    generate: GenerateConfig,
    blocklist: Blocklist,
    seed: int | None = None,
    language: str = "en",
) -> None:
    """Run the conversation with the model in the folder `model` until the person leaves.

    A message that matches `blocklist` never reaches the model, nor does it become part of the
    conversation, from which a later prompt would quote it.
    """
    console, wording = Console(highlight=False), ChatWording(language)
    disable_progress_bar()  # it would write into the line below
    with console.status(wording.text("loading")):
        conversation = Conversation(model, generate)
    if seed is not None:
        set_seed(seed)
    manifest = conversation.pair.manifest
    about = wording.text("about", name=manifest["model"]["name"], data=manifest["data"])
    parts = [about, _remembered(manifest, wording), _trial(manifest, wording), wording.text("help")]
    about = " · ".join(filter(None, parts))
    console.print(Text.assemble(("espejo · ", "bold"), escaping.terminal(about)), style="dim")
    if blocklist.phrases:
        number = wording.number(len(blocklist.phrases))
        console.print(wording.text("list", number=number), style="dim")
    ask: Callable[[str], str] = input  # lines from a pipe need no editing
    if sys.stdin.isatty():
        # The history is kept in memory only: what people write here is private.
        ask = PromptSession[str](history=InMemoryHistory()).prompt
    declined = False  # the last message
    while True:
        try:
            line = ask(wording.text("you")).strip()
        except EOFError:
            break
        except KeyboardInterrupt:
            continue
        if line.lower() in LEAVE:
            break
        if not line:
            continue
        if line == BASE and (declined or not conversation.turns):
            console.print(wording.text("was_declined" if declined else "first"), style="dim")
            continue
        if line.startswith("/") and line != BASE:
            unknown = wording.text("unknown", command=line, help=wording.text("help"))
            console.print(escaping.terminal(unknown), style="dim", markup=False)
            continue
        if line != BASE:
            declined = blocklist.matches(line)
            if declined:
                console.print(wording.text("declined"), end="", style="yellow", markup=False)
                console.print(
                    escaping.terminal(blocklist.answer, lines=True), markup=False, soft_wrap=True
                )
                continue
            conversation.say([line])
        label = wording.text("base" if line == BASE else "bot")
        _show(console, label, conversation.reply(base=line == BASE), wording)
    console.print(wording.text("goodbye"), style="dim")


def _remembered(manifest: Mapping, wording: Wording) -> str:
    """How much of a conversation a model is told, where its data makes that worth a word."""
    exchanges = (manifest.get("history", 1) + 1) // 2  # the last one ends with the reply
    return wording.text(f"kinds.{manifests.kind_of(manifest)}", exchanges=wording.number(exchanges))


def _trial(manifest: Mapping, wording: Wording) -> str:
    """What to say of a model whose training was cut short; "" for another.

    The steps that it was limited to hold fewer texts than it did not learn from: fewer than half.
    """
    train, unlearnt = manifest.get("train", {}), len(manifest.get("unlearnt", ()))
    steps = train.get("max_steps", 0)
    if not 0 < steps * train.get("batch_size", 0) < unlearnt:
        return ""
    counts = {"steps": wording.number(steps), "unlearnt": wording.number(unlearnt)}
    return wording.text("trial", **counts)


def _show(console: Console, label: str, reply: Iterable[str | None], wording: Wording) -> None:
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
        console.print(f" {wording.text('stopped')}", style="dim", end="")
        anything = True
    if not anything:
        console.print(f"{label}{wording.text('nothing')}", style="dim", end="", markup=False)
    console.print()
