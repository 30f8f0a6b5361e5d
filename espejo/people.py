"""people.yaml, the file beside the exports: whose way of writing is learnt, and what others allow.

    author: Juli
    people:
      Cami: train        # their words may be learnt by methods that learn from whole texts
      Tincho: context    # the model may read their words, and never learns them
      Mamá: withhold     # left out, with every reply that answers them

It stands beside the chats, not in params.yaml, because params go into git.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from espejo import names
from espejo.errors import UserError

FILE = "people.yaml"
_TIGHT = re.compile(r"""\s*[^#\s"'][^:#]*:\S""")  # a line whose colon has no space after it
WITHHELD = "withheld"  # what the tables call whoever withholds their words
ANSWERS = ("train", "context", "withhold")
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

    def who(self, answer: str) -> frozenset[str]:
        """The names of those who gave this answer."""
        return frozenset(name for name, given in self.consents.items() if given == answer)

    def pseudonyms(self, pattern: str) -> dict[str, str]:
        """Every name and its pseudonym: number 0 for the author, the place in the file for others.

        Raises UserError when `pattern` is not one word with {n} in it.
        """
        if not re.fullmatch(r"\w*\{n\}\w*", pattern):
            raise UserError(
                f"clean.pseudonyms is {pattern!r}, which is not one word with {{n}} in it."
            )
        others = {name: pattern.format(n=at) for at, name in enumerate(self.consents, 1)}
        return dict.fromkeys(sorted(self.aliases), pattern.format(n=0)) | others

    def under(self, pattern: str | None) -> "People":
        """The same people as the stage clean calls them (params clean.pseudonyms)."""
        if pattern is None:
            return self
        given = self.pseudonyms(pattern)
        author = given[self.author]
        consents = {given[name]: answer for name, answer in self.consents.items()}
        return People(author, frozenset({author}), consents)


def read(folder: Path) -> People:
    """Read `folder/people.yaml`; `author` may be a list of names of one person, main name first.

    Raises UserError when the file is missing, is not YAML or holds an answer that is none.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{path} is missing: write `author: NAME` in it, NAME as in the exports.")
    try:
        content = YAML(typ="safe", pure=True).load(path)  # YAML 1.2: a person may be called No
    except (YAMLError, UnicodeDecodeError) as error:
        lines = path.read_text("utf-8", "replace").splitlines()
        # Without its space a line goes on in the next ones, and YAML complains of one of those.
        tight = next((at for at, line in enumerate(lines) if _TIGHT.match(line)), None)
        mark = getattr(error, "problem_mark", None)
        line = tight if tight is not None else mark and mark.line
        where = "" if line is None else f" (line {line + 1})"
        raise UserError(
            f"{path}{where} is not valid YAML in UTF-8, there or just before: expected "
            "`author: NAME` and, under people, lines `NAME: ANSWER`, with a space after each colon."
        ) from error
    content = content if isinstance(content, Mapping) else {}
    named, answers = content.get("author"), content.get("people") or {}
    listed = named if isinstance(named, list) else [named]
    # None at all: the template as `make mine` writes it; `check` then says who is in the chats.
    written = [names.plain(str(name)) for name in listed if name] or [""]
    if not isinstance(answers, Mapping):
        raise UserError(f"{path}: expected lines `NAME: ANSWER` under people ({MEANING}).")
    consents = {names.plain(str(name)): str(given or "") for name, given in answers.items()}
    for name, given in consents.items():
        if given not in ("", *ANSWERS):
            raise UserError(f"{path} says {given!r} after {name}: expected {MEANING}.")
    return People(
        written[0],
        frozenset(written),
        {name: given for name, given in consents.items() if name not in written},
    )


def settled(folder: Path, messages_by_author: Mapping[str, int]) -> People:
    """The people of `folder`, when the author is known and everybody has answered.

    The file is written when there is none, and whoever is not in it yet is added without an answer.

    Raises UserError, saying what to write: as `read` does, for an answer that is missing, and for a
    name of the author's that nobody has. That is an error even beside one that fits: half of the
    author's messages would otherwise count as somebody else's.
    """
    path = folder / FILE
    known = read(folder) if path.is_file() else People("", frozenset({""}))
    ranked = sorted(messages_by_author, key=lambda name: (-messages_by_author[name], name))
    unlisted = [name for name in ranked if name not in {*known.consents, *known.aliases}]
    if unlisted:
        _add(unlisted, path)
    missing = sorted(name for name in known.aliases if name not in messages_by_author)
    if missing:
        raise UserError(_no_author(missing[0], ranked, messages_by_author, path))
    open_ = [name for name in ranked if name not in known.aliases and not known.consents.get(name)]
    if open_:
        absent = [name for name in known.consents if name not in messages_by_author]
        raise UserError(
            f"{path} does not say what these people allow: {_listed(open_, messages_by_author)}. "
            f"Ask them and write after each name, under people, {MEANING}."
            + (f" It also names {', '.join(absent[:5])}, who wrote no message." if absent else "")
        )
    return known


def _no_author(missing: str, ranked: Sequence[str], messages: Mapping[str, int], path: Path) -> str:
    if missing:
        problem = f"{path} names the author {missing!r}, who wrote no message"
    else:
        problem = f"{path} names no author"
    close = get_close_matches(missing, ranked, n=3, cutoff=0.5)
    hint = f" The closest: {', '.join(close)}." if close else ""
    return (
        f"{problem}. Authors in the chats, with their messages: {_listed(ranked, messages)}.{hint}"
        " Write `author: NAME` with one of these names and, under people, after each of the "
        f"others what they allow: {MEANING}."
    )


def _listed(ranked: Sequence[str], messages: Mapping[str, int]) -> str:
    shown = ", ".join(f"{name} ({messages[name]})" for name in ranked[:20])
    return shown + (f" and {len(ranked) - 20} more" if len(ranked) > 20 else "")


def _add(unlisted: Sequence[str], path: Path) -> None:
    """Add names to the file's `people`, without an answer; what a person wrote there stays."""
    editor = YAML()
    content = editor.load(path) if path.is_file() else None
    content = content if isinstance(content, Mapping) else {"author": None}
    content["people"] = content.get("people") or {}
    for name in unlisted:
        content["people"][name] = None
    with suppress(OSError):  # where nothing can be written, the message names everybody as well
        editor.dump(content, path)
