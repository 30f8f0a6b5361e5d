"""`espejo init`: asks for what the first run on one's own chats needs, or takes it from flags.

What it says is in init_texts/, in English and in Spanish.
"""

import os
import re
import shlex
import sys
import textwrap
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
from espejo.commands.init_wording import InitWording
from espejo.commands.own_chats import CONF, PEOPLE_YAML, RAW, Source
from espejo.core import escaping, faults, names
from espejo.core.errors import UserError
from espejo.core.text import fold
from espejo.privacy import nicknames, people, people_file
from espejo.privacy.people import Writers

ENTER = "withhold"  # no answer is no consent
MAX_ROWS = 40  # people in the table
MAX_NAMES = 5  # files in a list

T = TypeVar("T")
console = Console(highlight=False, markup=False, emoji=False)


def by_hand(language: str = "en") -> None:
    """Make data/raw/mine, people.yaml and the settings, for somebody who fills them in."""
    wording = InitWording(language)
    own_chats.write([], _people_file(wording).text, wording)
    to_copy = [] if own_chats.present() else ["copy"]
    _print(wording.text("by_hand.head"))
    for number, step in enumerate([*to_copy, "run", "answer"], 1):
        text = wording.text(f"by_hand.{step}", raw=RAW, people=PEOPLE_YAML)
        _print(f"{number}. {text}")
    exports = "--exports ~/Downloads " if to_copy else ""
    _print(wording.text("by_hand.flags", exports=exports))
    if not own_chats.git_identity():
        _print(wording.text("git"))


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
    wording = InitWording(language)
    models = proposal.models()
    model = model and proposal.named(model, models, wording)
    others = others and _answer(others, wording)
    flags = dict(_consent_flag(flag, wording) for flag in consents)
    file = _people_file(wording)

    present = _read(own_chats.present(), RAW, wording)
    new = _exports(exports, [source.path for source in present], wording)
    chats = [chat.messages for source in (*present, *new) for chat in source.chats]
    table, repeated = whatsapp.merge_exports(chats)
    if repeated:
        _print(wording.text("exports.repeated", count=wording.number(repeated)))
    writers = people.match_writers(file, PEOPLE_YAML, table["author"].value_counts().to_dict())
    if not writers.messages:
        raise wording.error("no_messages")
    if any(writers.absent):
        raise UserError(people.author_problem(writers, PEOPLE_YAML))
    if _in_terminal():
        _show(writers, table, wording)
    author = _author(writers, me, wording)
    unlisted = [name for name in writers.unlisted if name not in author]
    proposals = nicknames.propose(table, unlisted)
    answers, aliases = _answers(writers, author, flags, others, proposals, wording)
    proposals = {name: words for name, words in proposals.items() if words and name not in aliases}
    comment = wording.text("files.also_called", names="{names}")
    text = people.completed_text(file, unlisted, lambda _: proposals, author, answers, comment)
    if text is not None:
        text = people_file.add_aliases(people_file.parse(text, PEOPLE_YAML), aliases)
    if text is None:
        raise wording.error("no_place", people=PEOPLE_YAML)
    model = model or _model(models, wording)

    if not file.salted:
        text = people_file.with_salt(text, wording.text("files.salt"))
    copies = own_chats.write(new, text, wording)
    copied = _list(copies, wording)
    _print(wording.text("written", people=PEOPLE_YAML, conf=CONF, raw=RAW, names=copied))
    consents_now = {**writers.people.consents, **answers}
    if {consents_now[name] for name in writers.messages if name in consents_now} == {"withhold"}:
        _print(wording.text("consent.all_withhold", people=PEOPLE_YAML), "yellow")
    _print_nicknames(proposals, answers, wording)
    _print(f"\n{wording.text('mentioned')}")
    if not own_chats.git_identity():
        _print(wording.text("git"))
    _print_next(model, wording)


def _people_file(wording: InitWording) -> people_file.File:
    if PEOPLE_YAML.exists():
        return people_file.read(PEOPLE_YAML)
    return people_file.parse(own_chats.template(wording), PEOPLE_YAML)


def _print(text: str, style: str | None = None) -> None:
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


def _in_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _need_terminal(wording: InitWording, missing: str, **values: object) -> None:
    """Raise UserError, which says what is `missing` (a key), where nobody can be asked."""
    if not _in_terminal():
        raise wording.error("no_terminal", missing=wording.text(f"missing.{missing}", **values))


def _ask(question: str, parse: Callable[[str], T], wording: InitWording) -> T:
    """What `parse` makes of the line typed; after a UserError of it the question comes again."""
    while True:
        try:
            return parse(prompt(f"{wrapped(escaping.terminal(question))} › ").strip())
        except EOFError:
            raise wording.error("stopped", key="Ctrl-D") from None
        except KeyboardInterrupt as error:  # the cause: it ends with another status
            raise wording.error("stopped", key="Ctrl-C") from error
        except UserError as error:
            _print(str(error), "yellow")


# Exports


def _exports(flags: Sequence[str], present: Sequence[Path], wording: InitWording) -> list[Source]:
    """The exports of the flags, or those typed in, without what is `present`."""
    new: list[Source] = []
    for flag in flags:
        new += _fresh(Path(os.path.expanduser(flag)), present, new, wording)
    if flags or (present and not _in_terminal()):
        return new
    _need_terminal(wording, "exports")
    if present:
        _print(wording.text("exports.present", raw=RAW, names=_list(present, wording)))
    _print(wording.text("exports.where", raw=RAW))
    while True:
        count = len(present) + len(new)
        key = {0: "question", 1: "one_more"}.get(count, "more")
        question = wording.text(f"exports.{key}", count=count)
        more = _ask(question, partial(_typed, present=present, new=new, wording=wording), wording)
        if more is None:
            return new
        new += more


def _typed(
    line: str, present: Sequence[Path], new: Sequence[Source], wording: InitWording
) -> list[Source] | None:
    """The exports at the paths of a line; None for an empty line, if there are some already."""
    if not line and not present and not new:
        raise wording.error("no_path")
    more: list[Source] = []
    for path in paths_in(line):
        with faults.about(path):
            more += _fresh(path, present, [*new, *more], wording)
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
    path: Path, present: Sequence[Path], new: Sequence[Source], wording: InitWording
) -> list[Source]:
    """The exports at `path` that are not there yet."""
    sources = _read(own_chats.files_at(path, wording), path, wording)
    fresh = own_chats.fresh(sources, [*present, *(source.path for source in new)])
    again = len(sources) - len(fresh)
    files = _list([source.path for source in fresh], wording)
    key = "exports.found_again" if again else "exports.found"
    _print(wording.text(key, names=files, again=again))
    return fresh


def _list(paths: Sequence[Path], wording: InitWording) -> str:
    first = ", ".join(path.name for path in paths[:MAX_NAMES]) or wording.text("exports.none_new")
    more = len(paths) - MAX_NAMES
    return wording.text("exports.and_more", names=first, count=more) if more > 0 else first


def _read(paths: Sequence[Path], root: Path, wording: InitWording) -> list[Source]:
    """The exports among the files `paths` below `root`; it prints which are none.

    Raises UserError where there is no export, and for a file in data/raw/mine that is none.
    """
    if not paths:
        return []
    sources, left_out = [], []
    with console.status("") as status:
        for number, path in enumerate(paths, 1):
            reading = wording.text(
                "exports.reading", number=number, total=len(paths), name=path.name
            )
            status.update(Text(escaping.terminal(reading)))
            try:
                sources.append(Source(path, whatsapp.read_file(path)))
            except whatsapp.ExportError as error:
                if root in (path, RAW):
                    raise
                left_out.append(str(error))
    if left_out and not sources:
        raise wording.error("no_export", path=root, reason=left_out[0])
    for reason in left_out[:MAX_NAMES]:
        _print(wording.text("exports.left_out", reason=reason), "dim")
    if len(left_out) > MAX_NAMES:
        _print(wording.text("exports.more_left_out", count=len(left_out) - MAX_NAMES), "dim")
    return sources


# People


def _show(writers: Writers, table: pd.DataFrame, wording: InitWording) -> None:
    """Print the people with their messages and chats, and what people.yaml says of them."""
    keys = table["author"].map(names.key, na_action="ignore")
    chats = table.groupby(keys)["chat"].nunique()
    rows = Table(box=SIMPLE, pad_edge=False)
    heads = ("", *(wording.text(f"people.{head}") for head in ("name", "messages", "chats")), "")
    for place, head in enumerate(heads):
        rows.add_column(head, justify="left" if place == 1 else "right", overflow="fold")
    for number, (name, count) in enumerate(list(writers.messages.items())[:MAX_ROWS], 1):
        is_author = name in writers.people.aliases
        status = wording.text("people.you") if is_author else writers.people.consents.get(name, "")
        messages, in_chats = wording.number(count), chats[names.key(name)]
        cells = (number, escaping.terminal(name), messages, in_chats, status)
        rows.add_row(*(Text(str(cell)) for cell in cells))
    console.print(rows)
    if len(writers.messages) > MAX_ROWS:
        _print(wording.text("people.more", count=len(writers.messages) - MAX_ROWS))


def _author(writers: Writers, flags: Sequence[str], wording: InitWording) -> list[str]:
    """Names of the author that people.yaml does not have yet."""
    own = [_named(flag, writers, wording) for flag in flags]
    if not flags and writers.absent:
        counts = people.format_counts(list(writers.messages), writers.messages)
        _need_terminal(wording, "me", names=counts)
        last = min(len(writers.messages), 4)
        example = wording.text("people.two_names", one=1, two=last) if last > 1 else "1"
        question = wording.text("people.which", example=example)
        own = _ask(question, lambda line: chosen(line, writers, wording), wording)
    elif not flags and writers.unlisted and _in_terminal():
        question = wording.text("people.new_name")
        own = _ask(question, lambda line: chosen(line, writers, wording) if line else [], wording)
    return [name for name in dict.fromkeys(own) if name not in writers.people.aliases]


def chosen(line: str, writers: Writers, wording: InitWording) -> list[str]:
    """The people named in a line: by numbers of the table, or by a name. Raises UserError."""
    ranked = list(writers.messages)
    numbers = line.replace(",", " ").split()
    if not all(map(str.isdecimal, numbers)):
        return [_named(line, writers, wording)]
    places = [int(number) for number in numbers]
    if not places or not all(1 <= place <= len(ranked) for place in places):
        raise wording.error("numbers", last=len(ranked))
    return [ranked[place - 1] for place in places]


def _named(name: str, writers: Writers, wording: InitWording) -> str:
    """A name as people.yaml or the chats spell it; a first name that one person has will do.

    Raises UserError where nobody has it.
    """
    spellings = {names.key(spelling): spelling for spelling in writers.messages}
    if names.key(name) in spellings:
        return spellings[names.key(name)]
    first = [fold(name)]
    with_first_name = [text for key, text in spellings.items() if fold(key).split()[:1] == first]
    if len(with_first_name) == 1:
        return with_first_name[0]
    close = get_close_matches(name, writers.messages, n=3, cutoff=0.5)
    there = people.format_counts(close or list(writers.messages), writers.messages)
    raise wording.error("nobody", name=repr(name), names=there)


# What the others allow


def _answer(text: str, wording: InitWording) -> str:
    """An answer, in full or its first letter. Raises UserError."""
    for answer in people.ANSWERS:
        if text.casefold() in (answer, answer[0]):
            return answer
    raise wording.error("no_answer", text=repr(text))


def _consent_flag(flag: str, wording: InitWording) -> tuple[str, str]:
    name, _, answer = flag.rpartition("=")
    if not name:
        raise wording.error("consent_form", flag=repr(flag))
    return name, _answer(answer, wording)


def _answers(
    writers: Writers,
    author: Sequence[str],
    flags: Mapping[str, str],
    others: str | None,
    proposals: Mapping[str, Sequence[str]],
    wording: InitWording,
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """What those people allow of whom people.yaml does not say it.

    And what else those are called who were asked about and withhold: an empty list for nothing.
    """
    answers: dict[str, str] = {}
    aliases: dict[str, list[str]] = {}
    for flag, answer in flags.items():
        name = _named(flag, writers, wording)
        if name in author or name in writers.people.aliases:
            raise wording.error("own_consent", flag=flag, answer=answer)
        before = writers.people.consents.get(name) or answer
        if before != answer:
            raise wording.error("answered", people=PEOPLE_YAML, answer=before, name=name)
        answers[name] = answer
    left = [name for name in writers.unanswered if name not in (*author, *answers)]
    if left and others is None:
        _need_terminal(wording, "others", names=people.format_counts(left, writers.messages))
        answers_explained = (f"  {a:8}  {wording.text(f'consent.{a}')}" for a in people.ANSWERS)
        hint = wording.text("consent.hint", enter=ENTER)
        _print("\n".join([wording.text("consent.head"), *answers_explained, hint]))
    for name in left:
        if others is None:
            question = f"{name} ({wording.number(writers.messages[name])})"
            parse = partial(_answer_or_rest, wording=wording)
            answers[name], for_the_rest = _ask(question, parse, wording)
            others = answers[name] if for_the_rest else None
            if answers[name] == "withhold" and name not in writers.people.nicknames:
                aliases[name] = _aliases(name, proposals.get(name, ()), wording)
        else:
            answers[name] = others
    missing = {name: answers[name] for name in answers if not writers.people.consents.get(name)}
    return missing, aliases


def _answer_or_rest(line: str, wording: InitWording) -> tuple[str, bool]:
    """What a person allows, and whether all who follow allow the same. Raises UserError."""
    answer = line.casefold().removesuffix(wording.text("rest"))
    return _answer(answer.strip() or ENTER, wording), answer != line.casefold()


def _aliases(name: str, proposed: Sequence[str], wording: InitWording) -> list[str]:
    """What else a person is called, as it is typed in."""
    key = "called_for_example" if proposed else "called"
    question = wording.text(f"consent.{key}", name=name, example=", ".join(proposed))
    line = _ask(question, str, wording)
    if line.casefold() in wording.text("consent.nothing").split(", "):
        return []
    return [alias for alias in map(names.plain, line.split(",")) if alias]


def _print_nicknames(
    proposals: Mapping[str, Sequence[str]], answers: Mapping[str, str], wording: InitWording
) -> None:
    """Print possible nicknames as people.yaml would have them, first of those who withhold."""
    ranked = sorted(proposals, key=lambda name: answers.get(name) != "withhold")[:MAX_ROWS]
    if ranked:
        lines = people_file.alias_lines({name: proposals[name] for name in ranked})
        head = wording.text("nicknames", people=PEOPLE_YAML)
        _print("\n".join(["", head, "    aliases:", *(f"      {line}" for line in lines)]))


# The model, and what comes next


def _model(models: Sequence[str], wording: InitWording) -> str:
    """The proposed model or, in a terminal, another one that is typed in."""
    with console.status(wording.text("model.looking")):
        name, why = proposal.proposed(proposal.this_machine(), wording)
    _print(wording.text("model.proposed", name=name, why=why))
    if not _in_terminal():
        return name
    question = wording.text("model.another", name=name)
    return _ask(question, lambda line: proposal.named(line or name, models, wording), wording)


def _print_next(model: str, wording: InitWording) -> None:
    """Print the commands that come next, as they work in this shell."""
    run = f"dvc exp run -S data=mine -S model={model}"
    commands = {f"{run} -S experiment=smoke": "smoke", run: "run", "espejo chat": "chat"}
    activate = Path(".venv/bin/activate")
    if activate.exists() and os.environ.get("VIRTUAL_ENV") != str(Path(".venv").resolve()):
        commands = {f"source {activate}": "activate", **commands}
    # Comments stand above: after a command, zsh would take "#" and what follows for arguments.
    lines = [
        f"    # {wording.text(f'next.{key}')}\n    {command}" for command, key in commands.items()
    ]
    _print("\n".join([wording.text("next.head"), *lines]))
