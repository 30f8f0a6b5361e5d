"""Questions in a terminal, and sentences that fit it."""

import re
import sys
import textwrap
from collections.abc import Callable
from typing import TypeVar

from prompt_toolkit import prompt
from rich.console import Console

from espejo.commands.init_wording import InitWording
from espejo.core import escaping
from espejo.core.errors import UserError

T = TypeVar("T")
console = Console(highlight=False, markup=False, emoji=False)


class Stopped(UserError):
    """Somebody ended a question with Ctrl-C or Ctrl-D."""


def tell(text: str, style: str | None = None) -> None:
    """Print `text`, which may hold names, in lines that fit the terminal."""
    console.print(wrapped(escaping.terminal(text, lines=True)), style=style, soft_wrap=True)


def wrapped(text: str) -> str:
    """`text` with lines that fit the terminal, broken between words; elsewhere as it is.

    Lines that begin with four spaces are commands, to be copied, and stay whole.
    """
    if not console.is_terminal:
        return text
    return "\n".join(map(_wrapped_line, text.split("\n")))


def _wrapped_line(line: str) -> str:
    if line.startswith("    "):
        return line
    # What goes on below "  train     …" or "1. …" begins where the words of that line begin.
    mark = re.match(r"  \w+ {2,}|\d\. ", line)
    return textwrap.fill(
        line,
        console.width,
        subsequent_indent=" " * len(mark[0] if mark else ""),
        break_long_words=False,
        break_on_hyphens=False,
    )


def in_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def need_terminal(wording: InitWording, missing: str, **values: object) -> None:
    """Raise UserError, which says what is `missing` (a key), where nobody can be asked."""
    if not in_terminal():
        raise wording.error("no_terminal", missing=wording.text(f"missing.{missing}", **values))


def ask(question: str, parse: Callable[[str], T], wording: InitWording) -> T:
    """What `parse` makes of the line typed; after a UserError of it the question comes again.

    Raises Stopped.
    """
    while True:
        try:
            line = prompt(f"{wrapped(escaping.terminal(question))} › ").strip()
        except EOFError:
            raise Stopped(wording.text("errors.stopped", key="Ctrl-D")) from None
        except KeyboardInterrupt as error:  # the cause: it ends with another status
            raise Stopped(wording.text("errors.stopped", key="Ctrl-C")) from error
        try:
            return parse(line)
        except Stopped:  # in a question that this answer led to
            raise
        except UserError as error:
            tell(str(error), "yellow")


def agreed(question: str, wording: InitWording) -> bool:
    """Whether the answer is yes, as it is for an empty line."""

    def parse(line: str) -> bool:
        if not line or line.casefold() in wording.text("answers.yes").split(", "):
            return True
        if line.casefold() in wording.text("answers.no").split(", "):
            return False
        raise wording.error("yes_or_no")

    return ask(question, parse, wording)
