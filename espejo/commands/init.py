"""`espejo init`: asks for what the first run on one's own chats needs, or takes it from flags."""

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

import pandas as pd
from prompt_toolkit import prompt
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from espejo import whatsapp
from espejo.commands import own_chats, proposal
from espejo.commands.own_chats import CONF, PEOPLE_YAML, RAW, Source
from espejo.core import escaping, faults, names
from espejo.core.errors import UserError
from espejo.privacy import nicknames, people, people_file
from espejo.privacy.people import Writers

ENTER = "withhold"  # no answer is no consent
MAX_ROWS = 40  # people in the table
MAX_NAMES = 5  # files in a list
GIT = """
Once, before that: DVC keeps experiments as commits, on this machine, and git wants a name for them:
  git config --global user.name 'Your Name'
  git config --global user.email you@example.com"""

T = TypeVar("T")
console = Console(highlight=False, markup=False, emoji=False)


def by_hand() -> None:
    """Make data/raw/mine, people.yaml and the settings, for somebody who fills them in."""
    own_chats.write([], _people_file().text)
    _print(
        f"1. Copy your exports (.txt or .zip) into {RAW}/\n"
        f"2. dvc exp run -S data=mine (it stops, and {PEOPLE_YAML} lists who writes)\n"
        "3. Write your name and what the others allow into that file, and run it again\n"
        "In a terminal `espejo init` asks for all of this instead."
    )
    if not own_chats.git_identity():
        _print(GIT)


def main(
    exports: Sequence[str],
    me: Sequence[str],
    consents: Sequence[str],
    others: str | None,
    model: str | None,
) -> None:
    """Ask for whatever the flags leave open; then write everything, or nothing.

    Raises UserError for a flag that is wrong, or missing where there is no terminal to ask in.
    """
    models = proposal.models()
    model = model and _model_named(model, models)
    others = others and _answer(others)
    flags = dict(map(_consent_flag, consents))
    file = _people_file()

    present = _read(own_chats.present(), RAW)
    new = _exports(exports, [source.path for source in present])
    chats = [chat.messages for source in (*present, *new) for chat in source.chats]
    table, _ = whatsapp.joined(chats)
    writers = people.match_writers(file, PEOPLE_YAML, table["author"].value_counts().to_dict())
    if not writers.messages:
        raise UserError("These exports hold no message that somebody wrote: export other chats.")
    if any(writers.absent):
        raise UserError(people.author_problem(writers, PEOPLE_YAML))
    if _in_terminal():
        _show(writers, table)
    author = _author(writers, me)
    answers = _answers(writers, author, flags, others)
    text = people.completed_text(
        file,
        [name for name in writers.unlisted if name not in author],
        lambda unlisted: nicknames.propose(table, unlisted),
        author,
        answers,
    )
    if text is None:
        raise UserError(
            f"{PEOPLE_YAML} is written in a way that has no place for more names: put `author:` "
            "and `people:` on lines of their own there, and each name on a line below `people:`."
        )
    model = model or _model(models)

    copies = own_chats.write(new, text if file.salted else people_file.with_salt(text))
    _print(f"\nWritten: {PEOPLE_YAML} and {CONF}. Copied to {RAW}: {_list(copies)}.")
    consents_now = {**writers.people.consents, **answers}
    if {consents_now[name] for name in writers.messages if name in consents_now} == {"withhold"}:
        _print(
            "Everybody withholds their words, and so every reply of yours that answers them: "
            f"nothing is left to learn from. Ask them, and change {PEOPLE_YAML}.",
            "yellow",
        )
    if not own_chats.git_identity():
        _print(GIT)
    _print_next(model)


def _people_file() -> people_file.File:
    if PEOPLE_YAML.exists():
        return people_file.read(PEOPLE_YAML)
    return people_file.parse(own_chats.template(), PEOPLE_YAML)


def _print(text: str, style: str | None = None) -> None:
    console.print(escaping.terminal(text, lines=True), style=style, soft_wrap=True)


def _in_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _need_terminal(missing: str) -> None:
    """Raise UserError, which says what is `missing`, where nobody can be asked."""
    if not _in_terminal():
        raise UserError(
            f"there is no terminal to ask in, and {missing}. An example of all that is needed: "
            "`espejo init --exports ~/Downloads --me Juli --others context` (espejo init --help)."
        )


def _ask(question: str, parse: Callable[[str], T]) -> T:
    """What `parse` makes of the line typed; after a UserError of it the question comes again."""
    while True:
        try:
            return parse(prompt(f"{escaping.terminal(question)} › ").strip())
        except EOFError:
            raise UserError("stopped by Ctrl-D; nothing was written.") from None
        except UserError as error:
            _print(str(error), "yellow")


# Exports


def _exports(flags: Sequence[str], present: Sequence[Path]) -> list[Source]:
    """The exports of the flags, or those typed in, without what is `present`."""
    new: list[Source] = []
    for flag in flags:
        new += _fresh(Path(os.path.expanduser(flag)), present, new)
    if flags or (present and not _in_terminal()):
        return new
    _need_terminal("--exports is missing: a folder, a .txt or a .zip of exported chats")
    _print(
        "Where are the chats that you exported? A folder, or a .txt or .zip; you can drag it into "
        f"this window. They are copied to {RAW}, which git ignores. Nothing is written before the "
        "last question; Ctrl-C stops."
    )
    while True:
        count = len(present) + len(new)
        question = f"More exports (Enter: no, {count} will do)" if count else "Exports"
        more = _ask(question, partial(_typed, present=present, new=new))
        if more is None:
            return new
        new += more


def _typed(line: str, present: Sequence[Path], new: Sequence[Source]) -> list[Source] | None:
    """The exports at the paths of a line; None for an empty line, if there are some already."""
    if not line and not present and not new:
        raise UserError("Type the path of a folder, of a .txt or of a .zip.")
    more: list[Source] = []
    for path in paths_in(line):
        with faults.about(path):
            more += _fresh(path, present, [*new, *more])
    return more if line else None


def paths_in(line: str) -> list[Path]:
    """The paths in a line, as they are typed or as terminals write what is dragged into them.

    That is with ~, in quotes, with backslashes before blanks, as file://, or several at once.
    """
    whole = Path(os.path.expanduser(line))
    if not line or os.path.exists(whole):
        return [whole] if line else []
    try:
        parts = [_dragged(part) for part in shlex.split(line)]
    except ValueError:  # an apostrophe in a name
        return [whole]
    return parts if any(map(os.path.exists, parts)) else [whole]


def _dragged(part: str) -> Path:
    if part.startswith("file://"):
        return Path(unquote(urlsplit(part).path))
    return Path(os.path.expanduser(part))


def _fresh(path: Path, present: Sequence[Path], new: Sequence[Source]) -> list[Source]:
    """The exports at `path` that are not there yet."""
    sources = _read(own_chats.files_at(path), path)
    fresh = own_chats.fresh(sources, [*present, *(source.path for source in new)])
    again = len(sources) - len(fresh)
    _print(
        f"Exports: {_list([source.path for source in fresh])}"
        + (f"; there already, and not taken twice: {again}." if again else ".")
    )
    return fresh


def _list(paths: Sequence[Path]) -> str:
    first = ", ".join(path.name for path in paths[:MAX_NAMES]) or "nothing new"
    return first + (f" and {len(paths) - MAX_NAMES} more" if len(paths) > MAX_NAMES else "")


def _read(paths: Sequence[Path], root: Path) -> list[Source]:
    """The exports among the files `paths` below `root`; it prints which are none.

    Raises UserError where there is no export, and for a file in data/raw/mine that is none.
    """
    if not paths:
        return []
    sources, left_out = [], []
    with console.status("") as status:
        for number, path in enumerate(paths, 1):
            reading = f"Reading {number} of {len(paths)}: {path.name}"
            status.update(Text(escaping.terminal(reading)))
            try:
                sources.append(Source(path, whatsapp.read_file(path)))
            except whatsapp.ExportError as error:
                if root in (path, RAW):
                    raise
                left_out.append(str(error))
    if left_out and not sources:
        raise UserError(f"{root} holds no export of WhatsApp: {left_out[0]}")
    for reason in left_out[:MAX_NAMES]:
        _print(f"Left out: {reason}", "dim")
    if len(left_out) > MAX_NAMES:
        _print(f"… and {len(left_out) - MAX_NAMES} more files that are no exports.", "dim")
    return sources


# People


def _show(writers: Writers, table: pd.DataFrame) -> None:
    """Print the people with their messages and chats, and what people.yaml says of them."""
    keys = table["author"].map(names.key, na_action="ignore")
    chats = table.groupby(keys)["chat"].nunique()
    rows = Table(box=SIMPLE, pad_edge=False)
    for head in ("", "name", "messages", "chats", ""):
        rows.add_column(head, justify="left" if head == "name" else "right", overflow="fold")
    for number, (name, messages) in enumerate(list(writers.messages.items())[:MAX_ROWS], 1):
        status = "you" if name in writers.people.aliases else writers.people.consents.get(name, "")
        cells = (number, escaping.terminal(name), f"{messages:,}", chats[names.key(name)], status)
        rows.add_row(*(Text(str(cell)) for cell in cells))
    console.print(rows)
    if len(writers.messages) > MAX_ROWS:
        _print(f"… and {len(writers.messages) - MAX_ROWS} more people, who wrote less.")


def _author(writers: Writers, flags: Sequence[str]) -> list[str]:
    """Names of the author that people.yaml does not have yet."""
    own = [_named(flag, writers) for flag in flags]
    if not flags and writers.absent:
        _need_terminal(
            "--me is missing, one name of "
            f"{people.format_counts(list(writers.messages), writers.messages)}"
        )
        own = _ask("Which of them are you? (1, or 1,4 for two names)", lambda t: chosen(t, writers))
    elif not flags and writers.unlisted and _in_terminal():
        question = "Is one of the new ones you, under another name? (Enter: no)"
        own = _ask(question, lambda line: chosen(line, writers) if line else [])
    return [name for name in dict.fromkeys(own) if name not in writers.people.aliases]


def chosen(line: str, writers: Writers) -> list[str]:
    """The people named in a line: by numbers of the table, or by a name. Raises UserError."""
    ranked = list(writers.messages)
    numbers = line.replace(",", " ").split()
    if not all(map(str.isdecimal, numbers)):
        return [_named(line, writers)]
    places = [int(number) for number in numbers]
    if not places or not all(1 <= place <= len(ranked) for place in places):
        raise UserError(f"Type numbers from 1 to {len(ranked)}, with commas between them.")
    return [ranked[place - 1] for place in places]


def _named(name: str, writers: Writers) -> str:
    """A name as people.yaml or the chats spell it. Raises UserError where nobody has it."""
    spellings = {names.key(spelling): spelling for spelling in writers.messages}
    if names.key(name) in spellings:
        return spellings[names.key(name)]
    close = get_close_matches(name, writers.messages, n=3, cutoff=0.5)
    raise UserError(
        f"Nobody called {name!r} writes in these chats. There are "
        f"{people.format_counts(close or list(writers.messages), writers.messages)}."
    )


# What the others allow


def _answer(text: str) -> str:
    """An answer, in full or its first letter. Raises UserError."""
    for answer in people.ANSWERS:
        if text.casefold() in (answer, answer[0]):
            return answer
    raise UserError(f"{text!r} is none of {', '.join(people.ANSWERS)}.")


def _consent_flag(flag: str) -> tuple[str, str]:
    name, _, answer = flag.rpartition("=")
    if not name:
        raise UserError(f"--consent {flag!r}: expected NAME=ANSWER, such as 'Cami=context'.")
    return name, _answer(answer)


def _answers(
    writers: Writers, author: Sequence[str], flags: Mapping[str, str], others: str | None
) -> dict[str, str]:
    """What those people allow of whom people.yaml does not say it."""
    answers = {}
    for flag, answer in flags.items():
        name = _named(flag, writers)
        if name in author or name in writers.people.aliases:
            raise UserError(f"--consent {flag}={answer}: that is you, who need not answer.")
        before = writers.people.consents.get(name) or answer
        if before != answer:
            raise UserError(f"{PEOPLE_YAML} says {before} after {name}: change it there.")
        answers[name] = answer
    left = [name for name in writers.unanswered if name not in (*author, *answers)]
    if left and others is None:
        _need_terminal(
            "--others (or --consent for each) is missing: what do these people allow, "
            f"{people.format_counts(left, writers.messages)}"
        )
        _print(
            "\nWhat do the others allow? Ask them: their words are in your chats.\n"
            + "".join(f"  {name:8}  {text}\n" for name, text in own_chats.CONSENTS.items())
            + f"The first letter will do. Enter: {ENTER}. With `rest` after it (`context rest`) an "
            "answer is for all who follow."
        )
    for name in left:
        if others is None:
            question = f"{name} ({writers.messages[name]:,})"
            answers[name], for_the_rest = _ask(question, _answer_or_rest)
            others = answers[name] if for_the_rest else None
        else:
            answers[name] = others
    return {name: answers[name] for name in answers if not writers.people.consents.get(name)}


def _answer_or_rest(line: str) -> tuple[str, bool]:
    """What a person allows, and whether all who follow allow the same. Raises UserError."""
    answer = line.casefold().removesuffix("rest")
    return _answer(answer.strip() or ENTER), answer != line.casefold()


# The model, and what comes next


def _model_named(name: str, models: Sequence[str]) -> str:
    if name not in models:
        raise UserError(f"There is no model {name!r}; there are {', '.join(models)}.")
    return name


def _model(models: Sequence[str]) -> str:
    """The proposed model or, in a terminal, another one that is typed in."""
    with console.status("Looking at this machine …"):
        name, why = proposal.proposed(proposal.this_machine())
    _print(f"\nModel: {name}, since {why}")
    if not _in_terminal():
        return name
    return _ask(f"Another model? (Enter: {name})", lambda t: _model_named(t or name, models))


def _print_next(model: str) -> None:
    """Print the commands that come next, as they work in this shell."""
    run = f"dvc exp run -S data=mine -S model={model}"
    commands = {
        f"{run} -S experiment=smoke": "every stage in some minutes: does it run?",
        run: "the real one",
        "espejo chat": "talk to it",
    }
    activate = Path(".venv/bin/activate")
    if activate.exists() and os.environ.get("VIRTUAL_ENV") != str(Path(".venv").resolve()):
        commands = {f"source {activate}": "once a terminal", **commands}
    width = max(map(len, commands))
    lines = [f"  {command:{width}}  # {purpose}" for command, purpose in commands.items()]
    _print("\n".join(["\nNext:", *lines]))
