"""people.yaml, the file beside the exports: whose way of writing is learnt, and what others allow.

    author: Juli
    people:
      Cami: train        # their words may be learnt by methods that learn from whole texts
      Tincho: context    # the model may read their words, and never learns them
      Mamá: withhold     # left out, with every reply that answers them
    aliases:             # what else people call somebody, of whom these words are then the name
      Mamá: [ma, la vieja]

It stands beside the chats, not in params.yaml, because params go into git.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

import pandas as pd

from espejo.core import names
from espejo.core.errors import UserError
from espejo.privacy import people_file
from espejo.privacy.people_file import Entry

FILE = "people.yaml"
WITHHELD = "withheld"  # what the tables call whoever withholds their words
ANSWERS = ("train", "context", "withhold")  # from the least strict to the strictest
MEANING = (
    "train (their words may be learnt from), context (the model reads them and never learns them) "
    "or withhold (left out, with every reply that answers them)"
)


@dataclass(frozen=True)
class People:
    """The author, the other names of the same person, and what everybody else allows."""

    author: str
    aliases: frozenset[str]  # includes `author`
    # The others in the order of the file; "" where the answer is still missing.
    consents: Mapping[str, str] = field(default_factory=dict)
    # What else somebody is called, by a name of the two above.
    nicknames: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def who(self, answer: str) -> frozenset[str]:
        """The names of those who gave this answer."""
        return frozenset(name for name, consent in self.consents.items() if consent == answer)

    def spelled(self, name: str) -> str:
        """A name of the chats as the file spells it, which may differ in what nobody sees."""
        return self._spellings.get(names.key(name), name)

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return {names.key(name): name for name in (*self.consents, *self.aliases)}

    def pseudonyms(self, pattern: str) -> dict[str, str]:
        """Every name and its pseudonym: number 0 for the author, the place in the file for others.

        `pattern` is params clean.pseudonyms, in which {n} stands for the number.
        """
        others = {name: pattern.format(n=number) for number, name in enumerate(self.consents, 1)}
        return dict.fromkeys(sorted(self.aliases), pattern.format(n=0)) | others

    def table(self) -> pd.DataFrame:
        """Table PEOPLE: the author, then the others in the order of the file.

        Who withholds their words is in no later table, and so not in this one.
        """
        others = {name: consent for name, consent in self.consents.items() if consent != "withhold"}
        names = [self.author, *others]
        return pd.DataFrame(
            {
                "name": names,
                "is_author": [name == self.author for name in names],
                "consent": ["", *others.values()],
            }
        )

    def under(self, pattern: str | None) -> "People":
        """The same people as the stage clean calls them (params clean.pseudonyms)."""
        if pattern is None:
            return self
        pseudonyms = self.pseudonyms(pattern)
        author = pseudonyms[self.author]
        consents = {pseudonyms[name]: answer for name, answer in self.consents.items()}
        return People(author, frozenset({author}), consents)


@dataclass(frozen=True)
class Writers:
    """Those who write in some chats, beside what a people.yaml says of them."""

    known: People  # of the file
    messages: Mapping[str, int]  # by name, as the file spells it; most messages first
    unlisted: Sequence[str]  # who is not in the file: one spelling of each name
    unanswered: Sequence[str]  # of whom, the author left out, it does not say what they allow
    absent: Sequence[str]  # names of the author's that nobody has; "" where it names no author


def read(folder: Path) -> People:
    """Read `folder/people.yaml`; `author` may be a list of names of one person, main name first.

    Spellings of a name that differ in what nobody sees are one person: the strictest answer holds.

    Raises UserError when the file is missing, cannot be read or holds an answer that is none.
    """
    path = folder / FILE
    if not path.exists():
        raise UserError(f"{path} is missing: write `author: NAME` in it, NAME as in the exports.")
    return _known(people_file.read(path), path)


def _known(file: people_file.File, path: Path) -> People:
    # None at all: the template as `make mine` writes it; `settled` then says who is in the chats.
    own = {names.key(entry.name): entry.name for entry in reversed(file.author)}
    written = list(own.values())[::-1] or [""]
    first: dict[str, str] = {}
    consents: dict[str, str] = {}
    for entry in file.people:
        consent = _answer(entry, path)
        if names.key(entry.name) in own:
            continue
        name = first.setdefault(names.key(entry.name), entry.name)
        consents[name] = max(consents.get(name, ""), consent, key=("", *ANSWERS).index)
    known = People(written[0], frozenset(written), consents)
    nicknames: dict[str, list[str]] = {}
    for entry in file.aliases:
        name = known.spelled(entry.name)
        if name not in consents and name not in known.aliases:
            raise UserError(
                f"{path} (line {entry.line}): {entry.name} has aliases and stands neither after "
                "author nor under people; write the name as it stands there."
            )
        nicknames.setdefault(name, []).extend(entry.answer)
    return People(written[0], frozenset(written), consents, nicknames)


def _answer(entry: Entry, path: Path) -> str:
    answer = str(entry.answer).casefold()  # one word, of a person
    if answer not in ("", *ANSWERS):
        raise UserError(
            f"{path} (line {entry.line}) says {entry.answer[:40]!r} after {entry.name}: "
            f"expected {MEANING}."
        )
    return answer


def settled(
    folder: Path,
    messages_by_author: Mapping[str, int],
    proposed: Callable[[Sequence[str]], Mapping[str, Sequence[str]]] = lambda _: {},
) -> People:
    """The people of `folder`, when the author is known and everybody has answered.

    The file is written when there is none. Whoever is not in it yet is added without an answer, in
    a comment what `proposed` (names -> nicknames) gives; and so is a salt where there is none.

    Raises UserError, saying what to write: as `read` does, for an answer that is missing, and for a
    name of the author's that nobody has. That is an error even beside one that fits: half of the
    author's messages would otherwise count as somebody else's.
    """
    path = folder / FILE
    file = people_file.read(path) if path.exists() else people_file.File()
    writers = compared(file, path, messages_by_author)
    added = _add(writers.unlisted, file, path, proposed)
    if writers.absent:
        raise UserError(no_author(writers, path) + added)
    if writers.unanswered:
        absent = [name for name in writers.known.consents if name not in writers.messages]
        raise UserError(
            f"{path} does not say what these people allow: "
            f"{listed(writers.unanswered, writers.messages)}. "
            f"Ask them and write after each name, under people, {MEANING}."
            + (f" It also names {', '.join(absent[:5])}, who wrote no message." if absent else "")
            + added
        )
    if added:
        raise UserError(f"{path} could not be completed.{added}")
    return writers.known


def compared(file: people_file.File, path: Path, messages_by_author: Mapping[str, int]) -> Writers:
    """Those who write in the chats beside what `file`, which is read from `path`, says of them."""
    known = _known(file, path)
    messages: Counter[str] = Counter()
    spellings: dict[str, str] = {}  # the file's own, else the one with most messages
    for name in sorted(messages_by_author, key=lambda name: (-messages_by_author[name], name)):
        spelling = spellings.setdefault(names.key(name), known.spelled(name))
        messages[spelling] += messages_by_author[name]
    ranked = sorted(messages, key=lambda name: (-messages[name], name))
    others = [name for name in ranked if name not in known.aliases]
    return Writers(
        known,
        {name: messages[name] for name in ranked},
        unlisted=[name for name in others if name not in known.consents],
        unanswered=[name for name in others if not known.consents.get(name)],
        absent=sorted(name for name in known.aliases if name not in messages),
    )


def completed(
    file: people_file.File,
    unlisted: Sequence[str],
    proposed: Callable[[Sequence[str]], Mapping[str, Sequence[str]]],
    author: Sequence[str] = (),
    answers: Mapping[str, str] | None = None,
) -> str | None:
    """The text of `file` with these names, then further names of the author, and the answers.

    None where it is written in a way that has no place for them.
    """
    text: str | None = file.text
    if unlisted:
        proposals = proposed(unlisted)
        text = people_file.added(file, {name: proposals.get(name, ()) for name in unlisted})
    if text is None or not (author or answers):
        return text
    return people_file.answered(people_file.parsed(text, Path(FILE)), author, answers or {})


def _add(
    unlisted: Sequence[str],
    file: people_file.File,
    path: Path,
    proposed: Callable[[Sequence[str]], Mapping[str, Sequence[str]]],
) -> str:
    """Add names without an answer and a salt; returns what could not be done, as a sentence."""
    told = ""
    text = completed(file, unlisted, proposed)
    if text is None:
        told = " These names could not be added there without changing it: write them yourself."
        text = file.text
    if not file.salted:
        text = people_file.with_salt(text)
    if text != file.text:
        try:
            people_file.write(path, text)
        except OSError as error:
            told = (
                f" It cannot be written ({error.strerror or error}): allow that, or write "
                "`# salt: ` and 32 random digits into its first line yourself."
            )
    return told


def no_author(writers: Writers, path: Path) -> str:
    """What is wrong with the author's name in the file `path`, and who could be meant."""
    missing, messages = writers.absent[0], writers.messages
    if missing:
        problem = f"{path} names the author {missing!r}, who wrote no message"
    else:
        problem = f"{path} names no author"
    close = get_close_matches(missing, messages, n=3, cutoff=0.5)
    hint = f" The closest: {', '.join(close)}." if close else ""
    return (
        f"{problem}. Authors in the chats, with their messages: "
        f"{listed(list(messages), messages)}.{hint}"
        " Write `author: NAME` with one of these names and, under people, after each of the "
        f"others what they allow: {MEANING}."
    )


def listed(ranked: Sequence[str], messages: Mapping[str, int]) -> str:
    """Names with their messages; of many the first twenty."""
    counted = ", ".join(f"{name} ({messages[name]})" for name in ranked[:20])
    return counted + (f" and {len(ranked) - 20} more" if len(ranked) > 20 else "")
