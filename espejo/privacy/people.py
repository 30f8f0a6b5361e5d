"""people.yaml, the file beside the exports: who the author is, and what the others allow.

    author: Juli
    people:
      Cami: train        # their words may be learnt by methods that learn from whole texts
      Tincho: context    # the model may read their words, and never learns them
      Mamá: withhold     # left out, with every reply that answers them
    aliases:             # what else somebody is called: treated like their name
      Mamá: [ma, la vieja]

This is no part of params.yaml, because git keeps that file and must not keep names.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import pandas as pd

from espejo.core import names
from espejo.core.config import DataConfig
from espejo.core.errors import UserError
from espejo.privacy import people_file
from espejo.privacy.people_file import Entry

FILE = "people.yaml"
ANSWERS = ("train", "context", "withhold")  # from the least strict to the strictest
ANSWERS_EXPLAINED = (
    "train (their words may be learnt from), context (the model reads them and never learns them) "
    "or withhold (left out, with every reply that answers them)"
)
MAX_NAMES = 20  # listed in an error sentence

# Data without people: who is learnt, and who else speaks.
SPEAKERS = {"dialogues": ("B", "A"), "questions": ("answer", "question")}

# Names -> possible nicknames of each (see espejo.privacy.nicknames).
ProposeNicknames = Callable[[Sequence[str]], Mapping[str, Sequence[str]]]


@dataclass(frozen=True)
class People:
    """The author with all names of that person, and what everybody else allows."""

    author: str
    aliases: frozenset[str]  # includes `author`
    # Name -> answer of the others, in the order of the file; "" if the answer is missing.
    consents: Mapping[str, str] = field(default_factory=dict)
    # Name (of the author or of the others) -> what else the person is called.
    nicknames: Mapping[str, Sequence[str]] = field(default_factory=dict)
    # Name -> its salted hash (people_file.File.mark), of everybody in the file.
    marks: Mapping[str, str] = field(default_factory=dict)

    def with_consent(self, answer: str) -> frozenset[str]:
        """The names of those who gave this answer."""
        return frozenset(name for name, consent in self.consents.items() if consent == answer)

    def spelling(self, name: str) -> str:
        """How the file spells a name of the chats: they may differ in invisible characters.

        A name that is not in the file is returned as it is.
        """
        return self._spellings.get(names.key(name), name)

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return {names.key(name): name for name in (*self.consents, *self.aliases)}

    def pseudonyms(self, pattern: str) -> dict[str, str]:
        """Name -> pseudonym: number 0 for the author, the place in the file for the others.

        `pattern` is params clean.pseudonyms, in which {n} stands for the number.
        """
        others = {name: pattern.format(n=number) for number, name in enumerate(self.consents, 1)}
        return dict.fromkeys(sorted(self.aliases), pattern.format(n=0)) | others

    def with_former_names(self, messages: pd.DataFrame) -> "People":
        """The same people, where those who withhold have all names that the exports show of them.

        `messages` are as `sources.read` gives them. A name that somebody else has is theirs.
        """
        withheld = messages[messages["author"].isin(self.with_consent("withhold"))]
        listed = {names.key(name) for name in (*self.consents, *self.aliases)}
        lines = "\n".join(withheld["all_names"].dropna().unique())
        former = [name for name in lines.split("\n") if names.key(name) not in {"", *listed}]
        return replace(self, consents={**self.consents, **dict.fromkeys(former, "withhold")})

    def table(self) -> pd.DataFrame:
        """Table PEOPLE: the author, then the others in the order of the file.

        People who withhold their words are left out, as no later table contains their names.
        """
        others = {name: consent for name, consent in self.consents.items() if consent != "withhold"}
        names = [self.author, *others]
        return pd.DataFrame(
            {
                "name": names,
                "is_author": [name == self.author for name in names],
                "consent": ["", *others.values()],
                "mark": [self.marks.get(name, "") for name in names],
            }
        )

    def pseudonymized(self, pattern: str | None) -> "People":
        """The same people under their pseudonyms, as in all tables from the stage clean on.

        `pattern` is params clean.pseudonyms; with None the names stay.
        """
        if pattern is None:
            return self
        pseudonyms = self.pseudonyms(pattern)
        author = pseudonyms[self.author]
        consents = {pseudonyms[name]: answer for name, answer in self.consents.items()}
        marks = {pseudonyms[name]: mark for name, mark in self.marks.items()}
        return People(author, frozenset({author}), consents, marks=marks)


@dataclass(frozen=True)
class Writers:
    """The people who write in some chats, compared with a people.yaml."""

    people: People  # of the file
    messages: Mapping[str, int]  # name as the file spells it -> messages; most messages first
    unlisted: Sequence[str]  # writers who are not in the file: one spelling of each name
    unanswered: Sequence[str]  # writers but the author whose answer is missing
    absent: Sequence[str]  # names of the author that nobody has; "" if the file names no author


def read_people(folder: Path) -> People:
    """Read `folder/people.yaml`; `author` may be a list of names of one person, main name first.

    If two names differ only in invisible characters they are one person, and the stricter answer
    holds.

    Raises UserError when the file is missing, cannot be read, or has an answer that is not one of
    ANSWERS.
    """
    path = folder / FILE
    if not path.exists():
        raise UserError(f"{path} is missing: write `author: NAME` in it, NAME as in the exports.")
    return _people_of(people_file.read(path), path)


def people_of(folder: Path, data: DataConfig) -> People:
    """The people of the data in `folder`: of chats as `read_people`, else its two speakers.

    Raises UserError as `read_people` does.
    """
    if data.kind == "chats":
        return read_people(folder)
    author, other = SPEAKERS[data.kind]
    return People(author, frozenset({author}), {other: "train"})


def _people_of(file: people_file.File, path: Path) -> People:
    author_names = {names.key(entry.name): entry.name for entry in reversed(file.author)}
    # No name is no error here, as in the template of `make mine`: `check_people` raises it, with
    # a list of who is in the chats.
    aliases = list(author_names.values())[::-1] or [""]
    spellings: dict[str, str] = {}
    consents: dict[str, str] = {}
    for entry in file.people:
        consent = _checked_answer(entry, path)
        if names.key(entry.name) in author_names:
            continue
        name = spellings.setdefault(names.key(entry.name), entry.name)
        consents[name] = max(consents.get(name, ""), consent, key=("", *ANSWERS).index)
    people = People(aliases[0], frozenset(aliases), consents)
    nicknames: dict[str, list[str]] = {}
    for entry in file.aliases:
        name = people.spelling(entry.name)
        if name not in consents and name not in people.aliases:
            raise UserError(
                f"{path} (line {entry.line}): {entry.name} has aliases and stands neither after "
                "author nor under people; write the name as it stands there."
            )
        nicknames.setdefault(name, []).extend(entry.answer)
    marks = {name: file.mark(name) for name in (*consents, *aliases)}
    return People(aliases[0], frozenset(aliases), consents, nicknames, marks)


def _checked_answer(entry: Entry, path: Path) -> str:
    answer = str(entry.answer).casefold()
    if answer not in ("", *ANSWERS):
        raise UserError(
            f"{path} (line {entry.line}) says {entry.answer[:40]!r} after {entry.name}: "
            f"expected {ANSWERS_EXPLAINED}."
        )
    return answer


def check_people(
    folder: Path,
    messages_by_author: Mapping[str, int],
    propose_nicknames: ProposeNicknames = lambda _: {},
) -> People:
    """The people of `folder/people.yaml`, if the author is known and everybody has answered.

    The file is written if there is none. Writers who are not in it yet are added without an answer,
    with a comment that holds the proposed nicknames. A salt is added if there is none.

    Raises UserError, with what to write: in the cases of `read_people`, for a missing answer, and
    for a name of the author that nobody in the chats has. The last is an error even if another name
    of the author fits: half of the author's messages could otherwise count as somebody else's.
    """
    path = folder / FILE
    file = people_file.read(path) if path.exists() else people_file.File()
    writers = match_writers(file, path, messages_by_author)
    problem = _add_names_and_salt(writers.unlisted, file, path, propose_nicknames)
    if writers.absent:
        raise UserError(author_problem(writers, path) + problem)
    if writers.unanswered:
        absent = [name for name in writers.people.consents if name not in writers.messages]
        raise UserError(
            f"{path} does not say what these people allow: "
            f"{format_counts(writers.unanswered, writers.messages)}. "
            f"Ask them and write after each name, under people, {ANSWERS_EXPLAINED}."
            + (f" It also names {', '.join(absent[:5])}, who wrote no message." if absent else "")
            + problem
        )
    if problem:
        raise UserError(f"{path} could not be completed.{problem}")
    return writers.people


def match_writers(
    file: people_file.File, path: Path, messages_by_author: Mapping[str, int]
) -> Writers:
    """Compare the people who write in the chats with `file`, which was read from `path`."""
    people = _people_of(file, path)
    messages: Counter[str] = Counter()
    spellings: dict[str, str] = {}  # the file's, else the one with most messages
    for name in sorted(messages_by_author, key=lambda name: (-messages_by_author[name], name)):
        spelling = spellings.setdefault(names.key(name), people.spelling(name))
        messages[spelling] += messages_by_author[name]
    ranked = sorted(messages, key=lambda name: (-messages[name], name))
    others = [name for name in ranked if name not in people.aliases]
    return Writers(
        people,
        {name: messages[name] for name in ranked},
        unlisted=[name for name in others if name not in people.consents],
        unanswered=[name for name in others if not people.consents.get(name)],
        absent=sorted(name for name in people.aliases if name not in messages),
    )


def completed_text(
    file: people_file.File,
    unlisted: Sequence[str],
    propose_nicknames: ProposeNicknames,
    author: Sequence[str] = (),
    answers: Mapping[str, str] | None = None,
    comment: str = people_file.ALSO_CALLED,
) -> str | None:
    """The text of `file` with the names `unlisted`, more names of the author, and the answers.

    `comment` is as in `people_file.add_names`. None if the file has no place for them.
    """
    text: str | None = file.text
    if unlisted:
        proposals = propose_nicknames(unlisted)
        nicknames = {name: proposals.get(name, ()) for name in unlisted}
        text = people_file.add_names(file, nicknames, comment)
    if text is None or not (author or answers):
        return text
    return people_file.fill_in(people_file.parse(text, Path(FILE)), author, answers or {})


def _add_names_and_salt(
    unlisted: Sequence[str],
    file: people_file.File,
    path: Path,
    propose_nicknames: ProposeNicknames,
) -> str:
    """Write names without an answer, and a salt, into the file; returns what failed, or ""."""
    problem = ""
    text = completed_text(file, unlisted, propose_nicknames)
    if text is None:
        problem = " These names could not be added there without changing it: write them yourself."
        text = file.text
    if not file.salted:
        text = people_file.with_salt(text)
    if text != file.text:
        try:
            people_file.write(path, text)
        except OSError as error:
            problem = (
                f" It cannot be written ({error.strerror or error}): allow that, or write "
                "`# salt: ` and 32 random digits into its first line yourself."
            )
    return problem


def author_problem(writers: Writers, path: Path) -> str:
    """What is wrong with the author's name in the file `path`, and whose name could be meant."""
    name, messages = writers.absent[0], writers.messages
    if name:
        problem = f"{path} names the author {name!r}, who wrote no message"
    else:
        problem = f"{path} names no author"
    close = get_close_matches(name, messages, n=3, cutoff=0.5)
    hint = f" The closest: {', '.join(close)}." if close else ""
    return (
        f"{problem}. Authors in the chats, with their messages: "
        f"{format_counts(list(messages), messages)}.{hint}"
        " Write `author: NAME` with one of these names and, under people, after each of the "
        f"others what they allow: {ANSWERS_EXPLAINED}."
    )


def format_counts(people: Sequence[str], messages: Mapping[str, int]) -> str:
    """The first MAX_NAMES of `people`, each with the number of messages: "Cami (30), Juli (12)"."""
    counts = ", ".join(f"{name} ({messages[name]})" for name in people[:MAX_NAMES])
    return counts + (f" and {len(people) - MAX_NAMES} more" if len(people) > MAX_NAMES else "")
