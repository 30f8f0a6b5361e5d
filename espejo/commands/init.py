"""`espejo init`: asks for what the first run on one's own chats needs, or takes it from flags.

What it says is in init_texts/, in English and in Spanish.
"""

import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from espejo.commands import asking, collecting, own_chats, proposal
from espejo.commands.asking import ask, in_terminal, need_terminal, tell
from espejo.commands.collecting import Collection
from espejo.commands.init_wording import InitWording
from espejo.commands.own_chats import CONF, PEOPLE_YAML, RAW
from espejo.core import escaping, names
from espejo.core.errors import UserError
from espejo.core.text import fold
from espejo.privacy import nicknames, people, people_file
from espejo.privacy.people import Writers
from espejo.sources.registry import Kind

ENTER = "withhold"  # no answer is no consent
MAX_ROWS = 40  # people in the table


def by_hand(language: str = "en", kind: str | None = None) -> None:
    """Make data/raw/mine, people.yaml and the settings, for somebody who fills them in."""
    wording = InitWording(language)
    collection = collecting.collect_present(collecting.kind_named(kind, wording), (), wording)
    chosen_kind = collection.kind or "chats"
    of_people = chosen_kind == "chats"
    text = _people_file(wording).text if of_people else None
    own_chats.write([], text, _settings(chosen_kind, collection, wording))
    to_copy = [] if collection.present else [f"copy_{chosen_kind}"]
    tell(wording.text(f"by_hand.head_{chosen_kind}"))
    for number, step in enumerate(
        [*to_copy, f"run_{chosen_kind}", *(["answer"] if of_people else [])], 1
    ):
        step_text = wording.text(f"by_hand.{step}", raw=RAW, people=PEOPLE_YAML)
        tell(f"{number}. {step_text}")
    if of_people:
        flags = "--exports ~/Downloads " if to_copy else ""
        tell(wording.text("by_hand.flags", exports=flags))
    if not own_chats.git_identity():
        tell(wording.text("git"))


def main(
    exports: Sequence[str],
    me: Sequence[str],
    consents: Sequence[str],
    others: str | None,
    model: str | None,
    language: str = "en",
    kind: str | None = None,
    columns: Sequence[str] = (),
) -> None:
    """Ask for whatever the flags leave open, in `language`; then write everything, or nothing.

    Raises UserError for a flag that is wrong, or missing where there is no terminal to ask in.
    """
    wording = InitWording(language)
    models = proposal.models()
    model = model and proposal.named(model, models, wording)
    others = others and _answer(others, wording)
    flags = dict(_consent_flag(flag, wording) for flag in consents)
    collection = collecting.collect(exports, collecting.kind_named(kind, wording), columns, wording)
    if collection.kind != "chats":
        _write_tables(collection, model or _model(models, wording), wording)
        return
    _write_chats(collection, me, flags, others, model, wording)


def _write_tables(collection: Collection, model: str, wording: InitWording) -> None:
    """Copy what names nobody, so that there is nobody to ask."""
    kind = collection.kind or "questions"
    collection.joined()  # raises ExportError where there is nothing to learn
    columns = dict(collection.options.columns)
    if CONF.exists() and columns != own_chats.columns_there():
        raise wording.error("columns_there", conf=CONF, columns=_columns_text(columns))
    copies = own_chats.write(collection.new, None, _settings(kind, collection, wording))
    tell(wording.text("written_tables", conf=CONF, raw=RAW, names=_copied(copies, wording)))
    tell(f"\n{wording.text(f'privacy_{kind}')}")
    if not own_chats.git_identity():
        tell(wording.text("git"))
    _print_next(model, kind, wording)


def _settings(kind: Kind, collection: Collection, wording: InitWording) -> str:
    columns = {use: collection.options.columns.get(use) for use in collecting.USES}
    return wording.text(f"files.settings_{kind}", columns=_columns_text(columns))


def _columns_text(columns: Mapping[str, str | None]) -> str:
    """Names of columns as YAML, in which Hydra takes "${" for a reference."""
    escaped = {use: name and name.replace("${", r"\${") for use, name in columns.items()}
    inside = (f"{use}: {json.dumps(name, ensure_ascii=False)}" for use, name in escaped.items())
    return f"{{{', '.join(inside)}}}"


def _copied(copies: Sequence[Path], wording: InitWording) -> str:
    tops = dict.fromkeys(copy.relative_to(RAW).parts[0] for copy in copies)
    return collecting.listed(list(tops), wording)


def _write_chats(
    collection: Collection,
    me: Sequence[str],
    flags: Mapping[str, str],
    others: str | None,
    model: str | None,
    wording: InitWording,
) -> None:
    """Ask who the author is and what the others allow, then copy the exports."""
    file = _people_file(wording)
    table, messages, repeated = collection.writers()
    if repeated:
        tell(wording.text("exports.repeated", count=wording.number(repeated)))
    writers = people.match_writers(file, PEOPLE_YAML, messages)
    if not writers.messages:
        raise wording.error("no_messages")
    if any(writers.absent):
        raise UserError(people.author_problem(writers, PEOPLE_YAML))
    if in_terminal():
        _show(writers, table, wording)
    author = _author(writers, me, table["app"].nunique() > 1, wording)
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
    model = model or _model(proposal.models(), wording)

    if not file.salted:
        text = people_file.with_salt(text, wording.text("files.salt"))
    settings = _settings("chats", collection, wording)
    copied = _copied(own_chats.write(collection.new, text, settings), wording)
    tell(wording.text("written", people=PEOPLE_YAML, conf=CONF, raw=RAW, names=copied))
    consents_now = {**writers.people.consents, **answers}
    if {consents_now[name] for name in writers.messages if name in consents_now} == {"withhold"}:
        tell(wording.text("consent.all_withhold", people=PEOPLE_YAML), "yellow")
    _print_nicknames(proposals, answers, wording)
    tell(f"\n{wording.text('mentioned')}")
    if not own_chats.git_identity():
        tell(wording.text("git"))
    _print_next(model, "chats", wording)


def _people_file(wording: InitWording) -> people_file.File:
    if PEOPLE_YAML.exists():
        return people_file.read(PEOPLE_YAML)
    return people_file.parse(own_chats.template(wording), PEOPLE_YAML)


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
    asking.console.print(rows)
    if len(writers.messages) > MAX_ROWS:
        tell(wording.text("people.more", count=len(writers.messages) - MAX_ROWS))


def _author(
    writers: Writers, flags: Sequence[str], several_apps: bool, wording: InitWording
) -> list[str]:
    """Names of the author that people.yaml does not have yet."""
    own = [_named(flag, writers, wording) for flag in flags]
    if not flags and writers.absent:
        counts = people.format_counts(list(writers.messages), writers.messages)
        need_terminal(wording, "me", names=counts)
        last = min(len(writers.messages), 4)
        example = wording.text("people.two_names", one=1, two=last) if last > 1 else "1"
        if several_apps and last > 1:
            tell(wording.text("people.several_apps"))
        question = wording.text("people.which", example=example)
        own = ask(question, lambda line: chosen(line, writers, wording), wording)
    elif not flags and writers.unlisted and in_terminal():
        question = wording.text("people.new_name")
        own = ask(question, lambda line: chosen(line, writers, wording) if line else [], wording)
    return [name for name in dict.fromkeys(own) if name not in writers.people.aliases]


def chosen(line: str, writers: Writers, wording: InitWording) -> list[str]:
    """The people named in a line: by numbers of the table, or by a name. Raises UserError."""
    ranked = list(writers.messages)
    numbers = line.replace(",", " ").split()
    if not all(map(str.isdecimal, numbers)):
        whole = names.key(line) in map(names.key, ranked)  # a name may have a comma in it
        parts = [line] if whole else filter(None, map(str.strip, line.split(",")))
        return [_named(part, writers, wording) for part in parts]
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
    alike = [text for key, text in spellings.items() if fold(key) == fold(names.key(name))]
    if len(alike) == 1:  # without its accents
        return alike[0]
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
        need_terminal(wording, "others", names=people.format_counts(left, writers.messages))
        answers_explained = (f"  {a:8}  {wording.text(f'consent.{a}')}" for a in people.ANSWERS)
        hint = wording.text("consent.hint", enter=ENTER)
        tell("\n".join([wording.text("consent.head"), *answers_explained, hint]))
    for name in left:
        if others is None:
            question = f"{name} ({wording.number(writers.messages[name])})"
            parse = partial(_answer_or_rest, wording=wording)
            answers[name], for_the_rest = ask(question, parse, wording)
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
    line = ask(question, str, wording)
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
        tell("\n".join(["", head, "    aliases:", *(f"      {line}" for line in lines)]))


# The model, and what comes next


def _model(models: Sequence[str], wording: InitWording) -> str:
    """The proposed model or, in a terminal, another one that is typed in."""
    with asking.console.status(wording.text("model.looking")):
        name, why = proposal.proposed(proposal.this_machine(), wording)
    tell(wording.text("model.proposed", name=name, why=why))
    if not in_terminal():
        return name
    question = wording.text("model.another", name=name)
    return ask(question, lambda line: proposal.named(line or name, models, wording), wording)


def _print_next(model: str, kind: Kind, wording: InitWording) -> None:
    """Print the commands that come next, as they work in this shell."""
    run = f"dvc exp run -S data=mine -S model={model}"
    commands = {f"{run} -S experiment=smoke": "smoke", run: "run", "espejo chat": f"chat_{kind}"}
    activate = Path(".venv/bin/activate")
    if activate.exists() and os.environ.get("VIRTUAL_ENV") != str(Path(".venv").resolve()):
        commands = {f"source {activate}": "activate", **commands}
    # Comments stand above: after a command, zsh would take "#" and what follows for arguments.
    lines = [
        f"    # {wording.text(f'next.{key}')}\n    {command}" for command, key in commands.items()
    ]
    tell("\n".join([wording.text("next.head"), *lines]))
