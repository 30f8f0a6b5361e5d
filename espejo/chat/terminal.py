"""`espejo chat`: talk to the model in the terminal."""

import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import WordCompleter
from prompt_toolkit.history import InMemoryHistory
from rich.console import Console
from rich.text import Text
from transformers import set_seed
from transformers.utils.logging import disable_progress_bar

from espejo.chat import transcripts
from espejo.chat.conversation import BOT, Conversation, typed
from espejo.chat.decline import Blocklist
from espejo.chat.engine import Engine, Reply
from espejo.chat.pauses import paced, typical_pause
from espejo.core import escaping
from espejo.core.errors import UserError
from espejo.model import manifest as manifests
from espejo.model.config import GenerateConfig
from espejo.report.wording import Wording

LEAVE = {"salir", "exit", "quit"}


class ChatWording(Wording):
    """The sentences around the conversation in one language, `en` or `es`."""

    folder = Path(__file__).parent


def chat(
    load: Callable[[], Engine],
    generate: GenerateConfig,
    blocklist: Blocklist,
    seed: int | None = None,
    language: str = "en",
    base: bool = False,
    live: bool = False,
) -> None:
    """Run the conversation with the engine that `load` gives, until the person leaves.

    With `base` the base model's reply stands below each reply; with `live` a reply's messages come
    with the author's typical pause between them.
    """
    console, wording = Console(highlight=False), ChatWording(language)
    disable_progress_bar()  # it would write into the line below
    with console.status(wording.text("loading")):
        engine = load()
    if seed is not None:
        set_seed(seed)
    with closing(engine):
        if base and not engine.has_base:
            raise UserError("This engine has no base model: leave out --base, or --engine.")
        pause = typical_pause(engine.manifest) if live else 0.0
        conversation = Conversation(engine, generate, blocklist)
        _introduce(console, wording, engine.manifest, blocklist)
        _Terminal(console, wording, conversation, base, pause).run()


def _introduce(
    console: Console, wording: Wording, manifest: Mapping[str, Any], blocklist: Blocklist
) -> None:
    about = wording.text("about", name=manifest["model"]["name"], data=manifest["data"])
    parts = [about, _kind(manifest, wording), _trial(manifest, wording), wording.text("help")]
    about = " · ".join(filter(None, parts))
    console.print(Text.assemble(("espejo · ", "bold"), escaping.terminal(about)), style="dim")
    if blocklist.phrases:
        number = wording.number(len(blocklist.phrases))
        console.print(wording.text("list", number=number), style="dim")


def _kind(manifest: Mapping[str, Any], wording: Wording) -> str:
    """What to know of a model that learnt from data of its kind."""
    exchanges = (manifest.get("history", 1) + 1) // 2  # the last one ends with the reply
    return wording.text(f"kinds.{manifests.kind_of(manifest)}", exchanges=wording.number(exchanges))


def _trial(manifest: Mapping[str, Any], wording: Wording) -> str:
    """What to say of a model whose training was cut short; "" for another.

    The steps that it was limited to hold fewer texts than it did not learn from: fewer than half.
    """
    train, unlearnt = manifest.get("train", {}), len(manifest.get("unlearnt", ()))
    steps = train.get("max_steps", 0)
    if not 0 < steps * train.get("batch_size", 0) < unlearnt:
        return ""
    counts = {"steps": wording.number(steps), "unlearnt": wording.number(unlearnt)}
    return wording.text("trial", **counts)


class _Terminal:
    """One conversation in one terminal: reads lines, obeys commands, shows replies."""

    def __init__(
        self,
        console: Console,
        wording: Wording,
        conversation: Conversation,
        base: bool,
        pause: float,
    ) -> None:
        self._console, self._wording, self._conversation = console, wording, conversation
        self._base, self._pause = base, pause
        self._declined = False  # the last message
        self._commands: dict[str, Callable[[str], None]] = {
            "/base": self._base_reply,
            "/regenerate": self._regenerate,
            "/reset": self._reset,
            "/save": self._save,
            "/set": self._set,
            "/help": self._help,
        }

    def run(self) -> None:
        """Read lines until the person leaves."""
        ask: Callable[[str], str] = input  # lines from a pipe need no editing
        if sys.stdin.isatty():
            # The history is kept in memory only: what people write here is private.
            completer = WordCompleter([*self._commands], sentence=True)
            session = PromptSession[str](
                history=InMemoryHistory(), completer=completer, complete_while_typing=False
            )
            ask = session.prompt
        while True:
            try:
                line = typed(ask(self._wording.text("you")))
            except EOFError:
                break
            except KeyboardInterrupt:
                continue
            if line.lower().removeprefix("/") in LEAVE:
                break
            if line:
                try:
                    self._answer(line)
                except UserError as error:
                    self._note(str(error))
        self._say("goodbye")

    def _answer(self, line: str) -> None:
        command, _, rest = line.partition(" ")
        if command.startswith("/"):
            unknown = partial(self._unknown, command)
            self._commands.get(command, unknown)(rest.strip())
            return
        answer = self._conversation.say(line)
        self._declined = answer is not None
        if answer is not None:
            label = self._wording.text("declined")
            self._console.print(label, end="", style="yellow", markup=False)
            self._console.print(escaping.terminal(answer, lines=True), markup=False, soft_wrap=True)
            return
        self._reply()

    def _reply(self) -> None:
        self._show("bot", self._conversation.reply())
        if self._base:
            self._show("base", self._conversation.reply(base=True))

    def _unknown(self, command: str, rest: str) -> None:
        self._say("unknown", command=command, help=self._wording.text("help"))

    def _nothing_to_answer(self, command: str) -> bool:
        if self._declined or not self._conversation.turns:
            self._say("was_declined" if self._declined else "first", command=command)
            return True
        return False

    def _base_reply(self, rest: str) -> None:
        if not self._conversation.engine.has_base:
            self._say("no_base")
        elif not self._nothing_to_answer("/base"):
            self._show("base", self._conversation.reply(base=True))

    def _regenerate(self, rest: str) -> None:
        if not self._nothing_to_answer("/regenerate"):
            self._show("bot", self._conversation.regenerate())

    def _reset(self, rest: str) -> None:
        self._conversation.reset()
        self._declined = False
        self._say("reset")

    def _save(self, path: str) -> None:
        if not self._conversation.turns:
            self._say("no_turns")
            return
        where = Path(path).expanduser() if path else None
        saved = transcripts.save(self._conversation.turns, self._wording, where)
        self._say("saved", path=saved)

    def _set(self, rest: str) -> None:
        if rest:
            name, _, value = rest.replace("=", " ").partition(" ")
            self._conversation.set(name, value.strip())
        settings = self._conversation.generate.model_dump().items()
        self._note(" · ".join(f"{name} {value}" for name, value in settings))

    def _help(self, rest: str) -> None:
        for command, text in self._wording.group("commands").items():
            self._note(f"{command}  {text}")

    def _say(self, key: str, **values: object) -> None:
        self._note(self._wording.text(key, **values))

    def _note(self, text: str) -> None:
        self._console.print(escaping.terminal(text), style="dim", markup=False, soft_wrap=True)

    def _show(self, key: str, reply: Reply) -> None:
        """Print a reply after the label `key`, and what the model could not read."""
        label = self._wording.text(key)
        _show(self._console, label, paced(reply, self._pause), self._wording)
        if key == BOT and self._conversation.left_out:
            self._say("left_out", number=self._wording.number(self._conversation.left_out))


def _show(console: Console, label: str, reply: Reply, wording: Wording) -> None:
    """Print a reply as it comes, each of its messages on a line of its own after `label`."""
    at_start, anything = True, False  # of a message; whether something was printed
    try:
        for text in reply:
            if not isinstance(text, str):
                if text is None and not at_start:
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
    finally:
        reply.close()
    if not anything:
        console.print(f"{label}{wording.text('nothing')}", style="dim", end="", markup=False)
    console.print()
