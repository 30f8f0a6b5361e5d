"""`espejo init`: asks for what the first run on one's own chats needs, or takes it from flags.

What it says is in init.en.yaml and init.es.yaml: `say` gives it in one of the two languages.
"""

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
from espejo.commands.sentences import Sentences
from espejo.core import escaping, faults, names
from espejo.core.errors import UserError
from espejo.privacy import nicknames, people, people_file
from espejo.privacy.people import Writers

ENTER = "withhold"  # no answer is no consent
MAX_ROWS = 40  # people in the table
MAX_NAMES = 5  # files in a list

T = TypeVar("T")
console = Console(highlight=False, markup=False, emoji=False)


def by_hand(language: str = "en") -> None:
    """Make data/raw/mine, people.yaml and the settings, for somebody who fills them in."""
    say = Sentences(language)
    own_chats.write([], _people_file().text)
    _print(say("by_hand", raw=RAW, people=PEOPLE_YAML))
    if not own_chats.git_identity():
        _print(say("git"))


def main(
    exports: Sequence[str],
    me: Sequence[str],
    consents: Sequence[str],
    others: str | None,
    model: str | None,
    language: str = "en",
) -> None:
    """Ask for whatever the flags leave open, in `language`; then write everything, or nothing.

    Raises UserError for a flag that is wrong, or missing where there is no terminal to ask in.
    """
    say = Sentences(language)
    models = proposal.models()
    model = model and proposal.named(model, models, say)
    others = others and _answer(others, say)
    flags = dict(_consent_flag(flag, say) for flag in consents)
    file = _people_file()

    present = _read(own_chats.present(), RAW, say)
    new = _exports(exports, [source.path for source in present], say)
    chats = [chat.messages for source in (*present, *new) for chat in source.chats]
    table, _ = whatsapp.merge_exports(chats)
    writers = people.match_writers(file, PEOPLE_YAML, table["author"].value_counts().to_dict())
    if not writers.messages:
        raise say.error("no_messages")
    if any(writers.absent):
        raise UserError(people.author_problem(writers, PEOPLE_YAML))
    if _in_terminal():
        _show(writers, table, say)
    author = _author(writers, me, say)
    answers = _answers(writers, author, flags, others, say)
    text = people.completed_text(
        file,
        [name for name in writers.unlisted if name not in author],
        lambda unlisted: nicknames.propose(table, unlisted),
        author,
        answers,
    )
    if text is None:
        raise say.error("no_place", people=PEOPLE_YAML)
    model = model or _model(models, say)

    copies = own_chats.write(new, text if file.salted else people_file.with_salt(text))
    copied = _list(copies, say)
    _print(say("written", people=PEOPLE_YAML, conf=CONF, raw=RAW, names=copied))
    consents_now = {**writers.people.consents, **answers}
    if {consents_now[name] for name in writers.messages if name in consents_now} == {"withhold"}:
        _print(say("consent.all_withhold", people=PEOPLE_YAML), "yellow")
    if not own_chats.git_identity():
        _print(say("git"))
    _print_next(model, say)


def _people_file() -> people_file.File:
    if PEOPLE_YAML.exists():
        return people_file.read(PEOPLE_YAML)
    return people_file.parse(own_chats.template(), PEOPLE_YAML)


def _print(text: str, style: str | None = None) -> None:
    console.print(escaping.terminal(text, lines=True), style=style, soft_wrap=True)


def _in_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _need_terminal(say: Sentences, missing: str, **values: object) -> None:
    """Raise UserError, which says what is `missing` (a key), where nobody can be asked."""
    if not _in_terminal():
        raise say.error("no_terminal", missing=say(f"missing.{missing}", **values))


def _ask(question: str, parse: Callable[[str], T], say: Sentences) -> T:
    """What `parse` makes of the line typed; after a UserError of it the question comes again."""
    while True:
        try:
            return parse(prompt(f"{escaping.terminal(question)} › ").strip())
        except EOFError:
            raise say.error("stopped", key="Ctrl-D") from None
        except KeyboardInterrupt as error:  # the cause: it ends with another status
            raise say.error("stopped", key="Ctrl-C") from error
        except UserError as error:
            _print(str(error), "yellow")


# Exports


def _exports(flags: Sequence[str], present: Sequence[Path], say: Sentences) -> list[Source]:
    """The exports of the flags, or those typed in, without what is `present`."""
    new: list[Source] = []
    for flag in flags:
        new += _fresh(Path(os.path.expanduser(flag)), present, new, say)
    if flags or (present and not _in_terminal()):
        return new
    _need_terminal(say, "exports")
    _print(say("exports.where", raw=RAW))
    while True:
        count = len(present) + len(new)
        question = say("exports.more", count=count) if count else say("exports.question")
        more = _ask(question, partial(_typed, present=present, new=new, say=say), say)
        if more is None:
            return new
        new += more


def _typed(
    line: str, present: Sequence[Path], new: Sequence[Source], say: Sentences
) -> list[Source] | None:
    """The exports at the paths of a line; None for an empty line, if there are some already."""
    if not line and not present and not new:
        raise say.error("no_path")
    more: list[Source] = []
    for path in paths_in(line):
        with faults.about(path):
            more += _fresh(path, present, [*new, *more], say)
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


def _fresh(
    path: Path, present: Sequence[Path], new: Sequence[Source], say: Sentences
) -> list[Source]:
    """The exports at `path` that are not there yet."""
    sources = _read(own_chats.files_at(path, say), path, say)
    fresh = own_chats.fresh(sources, [*present, *(source.path for source in new)])
    again = len(sources) - len(fresh)
    names = _list([source.path for source in fresh], say)
    _print(say("exports.found_again" if again else "exports.found", names=names, again=again))
    return fresh


def _list(paths: Sequence[Path], say: Sentences) -> str:
    first = ", ".join(path.name for path in paths[:MAX_NAMES]) or say("exports.none_new")
    more = len(paths) - MAX_NAMES
    return say("exports.and_more", names=first, count=more) if more > 0 else first


def _read(paths: Sequence[Path], root: Path, say: Sentences) -> list[Source]:
    """The exports among the files `paths` below `root`; it prints which are none.

    Raises UserError where there is no export, and for a file in data/raw/mine that is none.
    """
    if not paths:
        return []
    sources, left_out = [], []
    with console.status("") as status:
        for number, path in enumerate(paths, 1):
            reading = say("exports.reading", number=number, total=len(paths), name=path.name)
            status.update(Text(escaping.terminal(reading)))
            try:
                sources.append(Source(path, whatsapp.read_file(path)))
            except whatsapp.ExportError as error:
                if root in (path, RAW):
                    raise
                left_out.append(str(error))
    if left_out and not sources:
        raise say.error("no_export", path=root, reason=left_out[0])
    for reason in left_out[:MAX_NAMES]:
        _print(say("exports.left_out", reason=reason), "dim")
    if len(left_out) > MAX_NAMES:
        _print(say("exports.more_left_out", count=len(left_out) - MAX_NAMES), "dim")
    return sources


# People


def _show(writers: Writers, table: pd.DataFrame, say: Sentences) -> None:
    """Print the people with their messages and chats, and what people.yaml says of them."""
    keys = table["author"].map(names.key, na_action="ignore")
    chats = table.groupby(keys)["chat"].nunique()
    rows = Table(box=SIMPLE, pad_edge=False)
    heads = ("", *(say(f"people.{head}") for head in ("name", "messages", "chats")), "")
    for place, head in enumerate(heads):
        rows.add_column(head, justify="left" if place == 1 else "right", overflow="fold")
    for number, (name, count) in enumerate(list(writers.messages.items())[:MAX_ROWS], 1):
        is_author = name in writers.people.aliases
        status = say("people.you") if is_author else writers.people.consents.get(name, "")
        messages, in_chats = say.number(count), chats[names.key(name)]
        cells = (number, escaping.terminal(name), messages, in_chats, status)
        rows.add_row(*(Text(str(cell)) for cell in cells))
    console.print(rows)
    if len(writers.messages) > MAX_ROWS:
        _print(say("people.more", count=len(writers.messages) - MAX_ROWS))


def _author(writers: Writers, flags: Sequence[str], say: Sentences) -> list[str]:
    """Names of the author that people.yaml does not have yet."""
    own = [_named(flag, writers, say) for flag in flags]
    if not flags and writers.absent:
        counts = people.format_counts(list(writers.messages), writers.messages)
        _need_terminal(say, "me", names=counts)
        last = min(len(writers.messages), 4)
        example = say("people.two_names", one=1, two=last) if last > 1 else "1"
        question = say("people.which", example=example)
        own = _ask(question, lambda line: chosen(line, writers, say), say)
    elif not flags and writers.unlisted and _in_terminal():
        question = say("people.new_name")
        own = _ask(question, lambda line: chosen(line, writers, say) if line else [], say)
    return [name for name in dict.fromkeys(own) if name not in writers.people.aliases]


def chosen(line: str, writers: Writers, say: Sentences) -> list[str]:
    """The people named in a line: by numbers of the table, or by a name. Raises UserError."""
    ranked = list(writers.messages)
    numbers = line.replace(",", " ").split()
    if not all(map(str.isdecimal, numbers)):
        return [_named(line, writers, say)]
    places = [int(number) for number in numbers]
    if not places or not all(1 <= place <= len(ranked) for place in places):
        raise say.error("numbers", last=len(ranked))
    return [ranked[place - 1] for place in places]


def _named(name: str, writers: Writers, say: Sentences) -> str:
    """A name as people.yaml or the chats spell it. Raises UserError where nobody has it."""
    spellings = {names.key(spelling): spelling for spelling in writers.messages}
    if names.key(name) in spellings:
        return spellings[names.key(name)]
    close = get_close_matches(name, writers.messages, n=3, cutoff=0.5)
    there = people.format_counts(close or list(writers.messages), writers.messages)
    raise say.error("nobody", name=repr(name), names=there)


# What the others allow


def _answer(text: str, say: Sentences) -> str:
    """An answer, in full or its first letter. Raises UserError."""
    for answer in people.ANSWERS:
        if text.casefold() in (answer, answer[0]):
            return answer
    raise say.error("no_answer", text=repr(text), answers=", ".join(people.ANSWERS))


def _consent_flag(flag: str, say: Sentences) -> tuple[str, str]:
    name, _, answer = flag.rpartition("=")
    if not name:
        raise say.error("consent_form", flag=repr(flag))
    return name, _answer(answer, say)


def _answers(
    writers: Writers,
    author: Sequence[str],
    flags: Mapping[str, str],
    others: str | None,
    say: Sentences,
) -> dict[str, str]:
    """What those people allow of whom people.yaml does not say it."""
    answers = {}
    for flag, answer in flags.items():
        name = _named(flag, writers, say)
        if name in author or name in writers.people.aliases:
            raise say.error("own_consent", flag=flag, answer=answer)
        before = writers.people.consents.get(name) or answer
        if before != answer:
            raise say.error("answered", people=PEOPLE_YAML, answer=before, name=name)
        answers[name] = answer
    left = [name for name in writers.unanswered if name not in (*author, *answers)]
    if left and others is None:
        _need_terminal(say, "others", names=people.format_counts(left, writers.messages))
        meanings = [f"  {answer:8}  {say(f'consent.{answer}')}" for answer in people.ANSWERS]
        _print("\n".join([say("consent.head"), *meanings, say("consent.hint", enter=ENTER)]))
    for name in left:
        if others is None:
            question = f"{name} ({say.number(writers.messages[name])})"
            parse = partial(_answer_or_rest, say=say)
            answers[name], for_the_rest = _ask(question, parse, say)
            others = answers[name] if for_the_rest else None
        else:
            answers[name] = others
    return {name: answers[name] for name in answers if not writers.people.consents.get(name)}


def _answer_or_rest(line: str, say: Sentences) -> tuple[str, bool]:
    """What a person allows, and whether all who follow allow the same. Raises UserError."""
    answer = line.casefold().removesuffix(say("rest"))
    return _answer(answer.strip() or ENTER, say), answer != line.casefold()


# The model, and what comes next


def _model(models: Sequence[str], say: Sentences) -> str:
    """The proposed model or, in a terminal, another one that is typed in."""
    with console.status(say("model.looking")):
        name, why = proposal.proposed(proposal.this_machine(), say)
    _print(say("model.proposed", name=name, why=why))
    if not _in_terminal():
        return name
    question = say("model.another", name=name)
    return _ask(question, lambda line: proposal.named(line or name, models, say), say)


def _print_next(model: str, say: Sentences) -> None:
    """Print the commands that come next, as they work in this shell."""
    run = f"dvc exp run -S data=mine -S model={model}"
    commands = {f"{run} -S experiment=smoke": "smoke", run: "run", "espejo chat": "chat"}
    activate = Path(".venv/bin/activate")
    if activate.exists() and os.environ.get("VIRTUAL_ENV") != str(Path(".venv").resolve()):
        commands = {f"source {activate}": "activate", **commands}
    width = max(map(len, commands))
    lines = [f"  {command:{width}}  # {say(f'next.{key}')}" for command, key in commands.items()]
    _print("\n".join([say("next.head"), *lines]))
