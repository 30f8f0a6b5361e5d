"""`espejo replay`: test conversations with the bot's replies beside the real ones.

In the terminal, or as the page reports/replay.html for screenshots. No model is loaded: the stage
predict has written the replies. Both quote messages; `--invent` replaces the names in them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from markupsafe import Markup
from rich.console import Console, Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from espejo.commands import answered
from espejo.commands.invented_names import InventedNames, people_of
from espejo.core import escaping, files, tables
from espejo.core.config import DataConfig
from espejo.core.errors import UserError
from espejo.core.stage import params
from espejo.evaluation import questions
from espejo.privacy.cleaning import CleanConfig
from espejo.privacy.people import read_people
from espejo.report.page import digest, render
from espejo.report.wording import FOLDER, Wording

PAGE = Path("reports/replay.html")
REAL, TUNED, BASE = "real", "tuned", "base"
COLUMN = 32  # characters that a column of the terminal needs; narrower ones stand below each other


@dataclass(frozen=True)
class Turn:
    """A turn of the context; `time` is when its last message was sent, "" where unknown."""

    author: str
    messages: Sequence[str]
    mine: bool  # of the person who is imitated
    time: str


@dataclass(frozen=True)
class Replayed:
    """A context, and who replied what to it: REAL, TUNED, BASE."""

    context: Sequence[Turn]
    replies: Mapping[str, Sequence[str]]
    time: str  # of the real reply


@dataclass(frozen=True)
class Replay:
    """What is shown, with the author's name there, and how `invent` changed it (None: it did not).

    `people` got invented names, `unlisted` says why no nickname of theirs is known, if that is so,
    and `left` are words that may be further names.
    """

    conversations: Sequence[Replayed]
    author: str
    kind: str
    people: int | None = None
    unlisted: str = ""
    left: Sequence[str] = ()


def read(folder: Path, number: int, seed: int, base: bool, invent: bool) -> Replay:
    """At most `number` conversations of the test split, drawn by `seed`, from the tables in data/.

    With `base` the replies of the untrained model are there too; with `invent` all names of the
    people in the chats are replaced. Raises UserError when a table is missing, or holds no reply to
    a test context.
    """
    data = folder / "data"
    replies = answered.table(data / "replies.parquet", tables.REPLIES)
    examples = answered.table(data / "examples.parquet", tables.EXAMPLES)
    turns = answered.table(data / "turns.parquet", tables.TURNS)
    people = answered.table(data / "people.parquet", tables.PEOPLE)
    author, config = tables.author_of(people), params(DataConfig)
    rows = answered.draw(replies, examples, number, np.random.default_rng(seed))
    shown = conversations(rows, replies, turns, author, base)
    if not invent:
        return Replay(shown, author, config.kind)

    listed, unlisted = None, ""
    if config.kind == "chats":
        try:
            listed = read_people(folder / config.raw)
        except UserError as error:
            unlisted = str(error)
    contexts = [turn for context in examples["context"] for turn in context]
    speakers = sorted({turn["author"] for turn in contexts})
    persons = (
        people_of(people, speakers, listed, params(CleanConfig).pseudonyms)
        if config.kind == "chats"
        else []  # whose speakers have no names
    )
    lists = [*(turn["messages"] for turn in contexts), *examples["reply"], *replies["messages"]]
    names = InventedNames(persons, (text for texts in lists for text in texts), seed)
    renamed = [_renamed(conversation, names) for conversation in shown]
    left = names.left(text for conversation in renamed for text in _texts(conversation))
    return Replay(renamed, names.label(author), config.kind, len(persons), unlisted, left)


def conversations(
    rows: pd.DataFrame, replies: pd.DataFrame, turns: pd.DataFrame, author: str, base: bool
) -> list[Replayed]:
    """The `rows` of table EXAMPLES with the replies (table REPLIES) to them."""
    models = [TUNED, BASE] if base else [TUNED]
    generated = {name: questions.messages_of(replies, name, rows["id"]) for name in models}
    shown = []
    for index, row in enumerate(rows.itertuples()):
        *before, time = times(turns, row.id, row.session, row.context)
        context = [
            Turn(turn["author"], turn["messages"], turn["author"] == author, turn_time)
            for turn, turn_time in zip(row.context, before, strict=True)
        ]
        written = {REAL: row.reply, **{name: generated[name][index] for name in models}}
        shown.append(Replayed(context, written, time))
    return shown


def times(
    turns: pd.DataFrame, example: str, session: int, context: Sequence[tables.Turn]
) -> list[str]:
    """When (21:05) each turn of the context, and the reply, was sent; "" where that is unknown.

    Table EXAMPLES has no times: an example's id names session and turn of its reply, and its
    context are the turns before that.
    """
    run = turns[turns["session"].eq(session)]
    ids = [f"s{session}t{turn}" for turn in run["turn"]]
    end = ids.index(example) + 1 if example in ids else 0
    part = run.iloc[max(0, end - len(context) - 1) : end]
    same = len(part) == len(context) + 1 and all(
        list(messages) == turn["messages"]
        for messages, turn in zip(part["messages"], context, strict=False)
    )
    if not same:
        return [""] * (len(context) + 1)
    return [f"{time:%H:%M}" if pd.notna(time) else "" for time in part["end"]]


def _renamed(conversation: Replayed, names: InventedNames) -> Replayed:
    def all_of(messages: Sequence[str]) -> list[str]:
        return [names.text(message) for message in messages]

    context = [
        Turn(names.label(turn.author), all_of(turn.messages), turn.mine, turn.time)
        for turn in conversation.context
    ]
    replies = {name: all_of(messages) for name, messages in conversation.replies.items()}
    return Replayed(context, replies, conversation.time)


def _texts(conversation: Replayed) -> list[str]:
    lists = [*(turn.messages for turn in conversation.context), *conversation.replies.values()]
    return [text for messages in lists for text in messages]


def notices(replay: Replay, wording: Wording) -> list[str]:
    """What whoever wants to publish the replay should know."""
    if replay.people is None:
        return [wording.text("replay.private")]
    sentences = [wording.text("replay.invented", people=wording.number(replay.people))]
    if replay.unlisted:
        sentences.append(wording.text("replay.unlisted", why=replay.unlisted))
    return [*sentences, wording.text("replay.remain")]


def told_after(replay: Replay, language: str) -> list[str]:
    """The `notices`, and the words of the replay that may be names: for the terminal."""
    wording = Wording(language, replay.kind)
    words = wording.text("replay.left", words=", ".join(replay.left))
    return [*notices(replay, wording), *([words] if replay.left else [])]


def write(replay: Replay, folder: Path, language: str) -> None:
    """Write the page into reports/ of the project in `folder`."""
    styles = "".join((FOLDER / name).read_text("utf-8") for name in ("page.css", "replay.css"))
    wording = Wording(language, replay.kind)
    page = render(
        "replay.html",
        True,
        wording=wording,
        replay=replay,
        named=replay.kind == "chats",
        notices=notices(replay, wording),
        styles=Markup(styles),
        style_digest=digest(styles),
    )
    files.write(page, folder / PAGE)


def show(replay: Replay, console: Console, language: str) -> None:
    """Print the conversations, one after another."""
    wording = Wording(language, replay.kind)
    for number, conversation in enumerate(replay.conversations, 1):
        console.print(Rule(wording.text("replay.conversation", number=number), style="dim"))
        console.print(_context(conversation, replay, wording))
        console.print()
        columns: list[RenderableType] = [
            Group(_head(name, replay, wording), _bubbles(messages, wording))
            for name, messages in conversation.replies.items()
        ]
        if console.width >= COLUMN * len(columns):
            side_by_side = Table.grid(padding=(0, 2, 0, 0), expand=True)
            for _ in columns:
                side_by_side.add_column(ratio=1)
            side_by_side.add_row(*columns)
            console.print(side_by_side, "")
        else:
            console.print(*(part for column in columns for part in (column, "")), sep="\n")
    for notice in told_after(replay, language):
        console.print(Text(escaping.terminal(notice)), style="dim")


def _head(name: str, replay: Replay, wording: Wording) -> Text:
    text = wording.text(f"replay.{name}", author=replay.author)
    return Text(escaping.terminal(text), style="bold green" if name == REAL else "bold magenta")


def _context(conversation: Replayed, replay: Replay, wording: Wording) -> RenderableType:
    if not conversation.context:
        return Text(wording.text("start"), style="dim italic")
    grid = Table.grid(padding=(0, 2, 0, 0))
    for turn in conversation.context:
        who = wording.name("replay.nobody", turn.author)
        head = Text(escaping.terminal(who), style="green" if turn.mine else "cyan")
        grid.add_row(Text(turn.time, style="dim"), head, _bubbles(turn.messages, wording))
    return grid


def _bubbles(messages: Sequence[str], wording: Wording) -> RenderableType:
    """Each message on a line of its own, behind a mark: it may break into several lines."""
    texts = [escaping.terminal(text, lines=True) for text in messages if text]
    if not texts:
        return Text(wording.text("nothing"), style="dim italic")
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column()
    grid.add_column(overflow="fold")  # a long word is not cut off
    for text in texts:
        grid.add_row(Text("›", style="dim"), Text(text))
    return grid
