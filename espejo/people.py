"""people.yaml, the file beside the exports that says whose way of writing is learnt.

It stands beside the chats, not in params.yaml, because params go into git.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import yaml

from espejo import names
from espejo.errors import UserError

FILE = "people.yaml"


@dataclass(frozen=True)
class People:
    """The author and the other names under which exports show the same person."""

    author: str
    aliases: frozenset[str]  # includes `author`


def read(folder: Path) -> People:
    """Read `folder/people.yaml`: `author: NAME`, or a list of names of one person, main name first.

    Raises UserError when the file is missing, is not YAML or has no such key.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{path} is missing: write `author: NAME` in it, NAME as in the exports.")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        line = getattr(error, "problem_mark", None)
        where = f" (line {line.line + 1})" if line else ""
        raise UserError(
            f"{path}{where} is not valid YAML in UTF-8: expected `author: NAME`."
        ) from error
    named = content.get("author") if isinstance(content, Mapping) else None
    listed = named if isinstance(named, list) else [named]
    # None at all: the template as `make mine` writes it; `check` then says who is in the chats.
    written = [names.plain(str(name)) for name in listed if name] or [""]
    return People(written[0], frozenset(written))


def check(people: People, messages_by_author: Mapping[str, int], folder: Path) -> None:
    """Raise UserError, listing who writes in the chats, unless every name of the author does.

    A name that nobody has is an error even beside one that fits: half of the author's messages
    would otherwise count as somebody else's.
    """
    missing = sorted(name for name in people.aliases if name not in messages_by_author)
    if not missing:
        return
    counted = sorted(messages_by_author.items(), key=lambda item: (-item[1], item[0]))
    listed = ", ".join(f"{name} ({count})" for name, count in counted[:20])
    more = f" and {len(counted) - 20} more" if len(counted) > 20 else ""
    close = get_close_matches(missing[0], messages_by_author, n=3, cutoff=0.5)
    if not missing[0]:
        problem = f"{folder / FILE} names no author"
    else:
        problem = f"{folder / FILE} names the author {missing[0]!r}, who wrote no message"
    hint = f" The closest: {', '.join(close)}." if close else ""
    raise UserError(
        f"{problem}. Authors in the chats, with their messages: {listed}{more}.{hint}"
        " Write `author: NAME` with one of these names."
    )
