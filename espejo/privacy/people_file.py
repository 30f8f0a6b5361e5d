"""The file people.yaml as text: read with its lines, and added to without a change to a line of it.

Names are read as they are written, whatever YAML takes them for: a person may be called No, 12 or
2020-01-01.
"""

import re
import secrets
import shutil
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from espejo.core import names
from espejo.core.errors import UserError

LIMIT = 200_000  # bytes: some five thousand people
KEYS = ("author", "people", "aliases")
SALTED = re.compile(r"^#\s*salt:\s*(?:[0-9a-f]{32,}|none)\b", re.MULTILINE)
_NOTHING = ("", "~", "null", "Null", "NULL")
_TIGHT = re.compile(r"""\s*[^#\s"'][^:#]*:\S""")  # a line whose colon has no space after it
# What YAML takes for a line's end, or for no text, and no editor shows.
_SIGNS = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), *range(0x7F, 0xA0), 0x2028, 0x2029], " "
) | dict.fromkeys([0xA0, 0x2009, 0x202F, 0x3000], " ")
_GAP = re.compile(r"(?<=\S)[ \t]+")
_DEEPEST = 20  # brackets: a name may hold some
_SALT = """\
# salt: {salt}
# Keep that line, and give it to nobody: without it whoever sees dvc.lock could try out names.
"""


@dataclass(frozen=True)
class Entry:
    """A name as written, what stands after it ("" for nothing), and its line, from 1."""

    name: str
    answer: str | tuple[str, ...]
    line: int


@dataclass(frozen=True)
class File:
    """What a people.yaml says: of the author the names only."""

    text: str = ""
    author: tuple[Entry, ...] = ()
    people: tuple[Entry, ...] = ()
    aliases: tuple[Entry, ...] = ()
    root: MappingNode | None = field(default=None, compare=False)

    @property
    def salted(self) -> bool:
        """Whether its MD5, which dvc.lock holds, tells nothing to whoever guesses names."""
        return bool(SALTED.search(self.text))


def with_salt(text: str) -> str:
    """The text below two lines of comment with 128 random bits; its line ends stay."""
    salt = _SALT.format(salt=secrets.token_hex(16))
    if "\r\n" in text:
        salt = salt.replace("\n", "\r\n")
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    return mark + salt + text.removeprefix(mark)


def read(path: Path) -> File:
    """The file. Raises UserError, with the line, when it cannot be read or says something else."""
    return parsed(_text(path), path)


def parsed(text: str, path: Path) -> File:
    """What a text says. Raises UserError, which names `path`, when it says something else."""
    root = _root(path, text)
    if root is None:
        return File(text)
    if not isinstance(root, MappingNode):
        raise UserError(
            f"{path}{_line(root)} is {_kind(root)}: expected `author: NAME` and, under people, "
            "lines `NAME: ANSWER`."
        )
    parts: dict[str, Node | None] = dict.fromkeys(KEYS)
    for entry, value in _pairs(root, path):
        if entry.name not in KEYS:
            raise UserError(
                f"{path} (line {entry.line}) says {_short(entry.name)!r}: expected author, people "
                "or aliases there, and names under people, two spaces further in."
            )
        parts[entry.name] = None if _missing(value) else value
    return File(
        text,
        tuple(_author(parts["author"], path)),
        tuple(_people(parts["people"], path)),
        tuple(_aliases(parts["aliases"], path)),
        root,
    )


def _text(path: Path) -> str:
    try:
        about = path.stat()
        if not stat.S_ISREG(about.st_mode):
            raise UserError(f"{path} is a folder or no ordinary file: expected a text; move it.")
        if about.st_size > LIMIT:
            raise UserError(
                f"{path} holds {about.st_size:,} bytes, far beyond a list of people: look what is "
                "in it, or move it away and run this again."
            )
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror or error}): allow it (chmod u+r), or copy it "
            "anew."
        ) from None
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UserError(f"{path} (line 1) is in UTF-16: save it as UTF-8.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path} (line {line}) holds a letter that is not in UTF-8, as old editors save them: "
            "save the file as UTF-8."
        ) from None


def _root(path: Path, text: str) -> Node | None:
    """The nodes of a text: no value is built, so that an alias costs nothing and a name stays."""
    text = _GAP.sub(lambda gap: " " * len(gap[0]), text.translate(_SIGNS))
    lines = text.split("\n")
    deep = next((index for index, line in enumerate(lines) if _depth(line) > _DEEPEST), None)
    if deep is not None:
        raise _wrong(path, deep, "brackets within brackets")
    try:
        return YAML(pure=True).compose(text)
    except RecursionError:
        raise _wrong(path, None, "brackets within brackets") from None
    except ReaderError as error:
        index = text.count("\n", 0, error.position)
        raise _wrong(
            path, index, f"a sign that YAML does not know, U+{error.character:04X}"
        ) from None
    except (YAMLError, ValueError) as error:
        # Without its space a line goes on in the next ones, and YAML complains of one of those.
        tight = next((index for index, line in enumerate(lines) if _TIGHT.match(line)), None)
        tab = next((index for index, line in enumerate(lines) if re.match(r" *\t", line)), None)
        if tight is not None:
            raise _wrong(path, tight, "no space after a colon") from None
        if tab is not None:
            raise _wrong(path, tab, "a tab where it begins: use spaces") from None
        mark = getattr(error, "problem_mark", None)
        what = " ".join(str(getattr(error, "problem", "") or "something else").split())
        if sign := re.search("found character '(.)' that cannot start", what):
            what = f"a name that begins with {sign[1]} and is not in quotes"
        raise _wrong(path, mark and min(mark.line, len(lines) - 1), what) from None


def _wrong(path: Path, index: int | None, what: str) -> UserError:
    where = "" if index is None else f" (line {index + 1})"
    return UserError(
        f"{path}{where} is not valid YAML, there or just before ({what}): expected `author: NAME` "
        "and, under people, lines `NAME: ANSWER`, with a space after each colon."
    )


def _depth(line: str) -> int:
    """How deep brackets stand within brackets."""
    depth = most = 0
    for sign in line:
        depth += (sign in "[{") - (sign in "]}")
        most = max(most, depth)
    return most


def _line(node: Node) -> str:
    return f" (line {node.start_mark.line + 1})"


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a list of pairs"
    return "a list" if isinstance(node, SequenceNode) else "one word"


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}…"


def _pairs(node: MappingNode, path: Path) -> list[tuple[Entry, Node]]:
    """The pairs of a mapping; a name may stand there once, in the same signs."""
    lines_of: dict[str, int] = {}
    pairs = []
    for written, value in node.value:
        if not isinstance(written, ScalarNode) or not names.plain(written.value):
            raise UserError(f"{path}{_line(written)}: expected a name before the colon.")
        name, line = names.plain(written.value), written.start_mark.line + 1
        if written.value in lines_of:
            raise UserError(
                f"{path} (line {line}): {_short(name)} stands on line {lines_of[written.value]} "
                "already; leave one of the two."
            )
        lines_of[written.value] = line
        pairs.append((Entry(name, "", line), value))
    return pairs


def _missing(node: Node) -> bool:
    """Whether nothing stands after a colon."""
    return isinstance(node, ScalarNode) and node.style is None and node.value in _NOTHING


def _author(node: Node | None, path: Path) -> list[Entry]:
    listed = node.value if isinstance(node, SequenceNode) else [] if node is None else [node]
    for node in listed:
        if not isinstance(node, ScalarNode):
            raise UserError(
                f"{path}{_line(node)}: {_kind(node)} stands after author; expected a name, or a "
                "list of the names of one person: [NAME, NAME]."
            )
    return [
        Entry(name, "", node.start_mark.line + 1)
        for node in listed
        if not _missing(node) and (name := names.plain(node.value))
    ]


def _people(node: Node | None, path: Path) -> list[Entry]:
    if node is None:
        return []
    if not isinstance(node, MappingNode):
        raise UserError(
            f"{path}{_line(node)}: {_kind(node)} stands under people; expected lines "
            "`NAME: ANSWER`, two spaces further in, the answers being train, context or withhold."
        )
    return [
        Entry(entry.name, "" if _missing(value) else _answer(value), entry.line)
        for entry, value in _pairs(node, path)
    ]


def _answer(node: Node) -> str:
    return names.plain(node.value) if isinstance(node, ScalarNode) else _kind(node)


def _aliases(node: Node | None, path: Path) -> list[Entry]:
    if node is None:
        return []
    wrong = "expected lines `NAME: [OTHER NAME, OTHER NAME]`, NAME as under people"
    if not isinstance(node, MappingNode):
        raise UserError(f"{path}{_line(node)}: {_kind(node)} stands under aliases; {wrong}.")
    entries = []
    for entry, value in _pairs(node, path):
        listed = value.value if isinstance(value, SequenceNode) else [value]
        if not all(isinstance(node, ScalarNode) for node in listed):
            raise UserError(
                f"{path} (line {entry.line}): not a name after {_short(entry.name)}; {wrong}."
            )
        others = tuple(names.plain(node.value) for node in listed if not _missing(node))
        entries.append(Entry(entry.name, others, entry.line))
    return entries


def added(file: File, unlisted: Mapping[str, Sequence[str]]) -> str | None:
    """The text with more names under people, each with a comment on how it may be called.

    No line that a person wrote changes, but for one of people in braces, which gets longer. None
    where the names find no place that way.
    """
    feed = "\r\n" if "\r\n" in file.text else "\n"
    text = file.text
    if text.strip("\ufeff") and not text.endswith("\n"):
        text += feed
    lines = text.split("\n")  # as the marks of YAML count them
    pairs = file.root.value if file.root else ()
    key, node = next((pair for pair in pairs if pair[0].value == "people"), (None, None))
    new = None
    if key is None or node is None:
        if file.root is None or not file.root.flow_style:
            start = "" if file.root else f"author:{feed}"
            new = f"{text}{start}people:{feed}{_block(unlisted, '  ', feed)}"
    elif _missing(node) and not node.value:
        new = _inserted(lines, key.start_mark.line, _block(unlisted, "  ", feed))
    elif isinstance(node, MappingNode) and not node.flow_style:
        name, answer = node.value[-1]
        # An answer that is missing is marked where the next word of the file stands.
        last = (name if _missing(answer) and not answer.value else answer).end_mark.line
        column = " " * node.value[0][0].start_mark.column
        new = _inserted(lines, last, _block(unlisted, column, feed))
    elif isinstance(node, MappingNode):
        end = node.end_mark.index - 1
        between = ", " if node.value else ""
        new = (
            text[:end] + between + ", ".join(f"{_quoted(name)}: " for name in unlisted) + text[end:]
        )
    if new is None:
        return None
    try:
        reparsed = parsed(new, Path())
    except UserError:
        return None
    expected = [(entry.name, entry.answer) for entry in file.people] + [
        (names.plain(name), "") for name in unlisted
    ]
    same = [(entry.name, entry.answer) for entry in reparsed.people] == expected and (
        [entry.name for entry in reparsed.author] == [entry.name for entry in file.author]
    )
    return new if same else None


def answered(file: File, author: Sequence[str], answers: Mapping[str, str]) -> str | None:
    """The text with further names of the author, and an answer after names that have none yet.

    Comments, order and all that is answered stay. `answers` holds names as the file spells them.
    None where the file is written in a way that has no place for them.
    """
    feed = "\r\n" if "\r\n" in file.text else "\n"
    root = file.root
    pairs = {key.value: (key, value) for key, value in root.value} if root else {}
    edits = []  # start, end, what stands there then
    if author and "author" in pairs:
        edits.append(_more_names(*pairs["author"], file, author, feed))
    elif author and root and pairs:
        start = root.start_mark.index
        edits.append((start, start, f"author: {_value(author)}{feed}"))
    elif author:
        edits.append((len(file.text), len(file.text), f"{feed}author: {_value(author)}{feed}"))
    listed = pairs["people"][1].value if "people" in pairs and answers else ()
    for key, value in listed if isinstance(listed, list) else ():
        if answer := answers.get(names.plain(key.value)):
            edits.append(_after_colon(key, value, file, answer))
    text = file.text
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    try:
        result = parsed(text, Path())
    except UserError:
        return None
    as_meant = (
        [entry.name for entry in result.author]
        == [*(entry.name for entry in file.author), *map(names.plain, author)]
        and _pairs_of(result.people)
        == [(name, answer or answers.get(name, "")) for name, answer in _pairs_of(file.people)]
        and _pairs_of(result.aliases) == _pairs_of(file.aliases)
        and answers.keys() <= {entry.name for entry in file.people if not entry.answer}
    )
    return text if as_meant else None


def _pairs_of(entries: Sequence[Entry]) -> list[tuple[str, str | tuple[str, ...]]]:
    return [(entry.name, entry.answer) for entry in entries]


def _after_colon(key: Node, value: Node, file: File, text: str) -> tuple[int, int, str]:
    """The edit that puts `text` after a key whose value is missing."""
    if value.end_mark.index > value.start_mark.index:  # ~, null or ""
        return value.start_mark.index, value.end_mark.index, text
    colon = file.text.find(":", key.end_mark.index) + 1
    return colon, colon, f" {text}"


def _more_names(
    key: Node, value: Node, file: File, author: Sequence[str], feed: str
) -> tuple[int, int, str]:
    """The edit that puts more names after the key `author`."""
    if _missing(value):
        return _after_colon(key, value, file, _value(author))
    if isinstance(value, SequenceNode) and not value.flow_style:
        last = value.value[-1]
        indent = " " * value.start_mark.column
        more = "".join(f"{feed}{indent}- {_quoted(name)}" for name in author)
        return last.end_mark.index, last.end_mark.index, more
    start, end = value.start_mark.index, value.end_mark.index
    written = file.text[start:end].strip().removeprefix("[").removesuffix("]").strip(", ")
    quoted = ", ".join(map(_quoted, author))
    return start, end, f"[{written}, {quoted}]" if written else f"[{quoted}]"


def _value(author: Sequence[str]) -> str:
    """The author's names as YAML: one as it is where YAML reads it so, several as a list."""
    if len(author) > 1:
        return f"[{', '.join(map(_quoted, author))}]"
    try:
        node = YAML(pure=True).compose(f"author: {author[0]}\n").value[0][1]
        bare = node.value == author[0] and node.style is None and author[0].isprintable()
    except (YAMLError, ValueError, AttributeError, TypeError):
        bare = False
    return author[0] if bare and not _missing(node) else _quoted(author[0])


def _inserted(lines: Sequence[str], after: int, block: str) -> str:
    return "\n".join(lines[: after + 1]) + "\n" + block + "\n".join(lines[after + 1 :])


def _block(unlisted: Mapping[str, Sequence[str]], indent: str, feed: str) -> str:
    return "".join(
        f"{indent}{_key(name)}:"
        + (f"   # also called {', '.join(maybe)}? Then say so under aliases" if maybe else "")
        + feed
        for name, maybe in unlisted.items()
    )


def _key(name: str) -> str:
    """A name as a key: as it is where YAML reads it so."""
    try:
        (pair,) = YAML(pure=True).compose(f"{name}:\n").value
        bare = pair[0].value == name and pair[0].style is None and name.isprintable()
    except (YAMLError, ValueError, AttributeError, TypeError):
        bare = False
    return name if bare and pair[1].value == "" else _quoted(name)


def _quoted(name: str) -> str:
    return '"' + "".join(map(_escaped, name)) + '"'


def _escaped(sign: str) -> str:
    if sign in '"\\':
        return f"\\{sign}"
    if sign.isprintable() or ord(sign) > 0xFFFF:
        return sign
    return f"\\u{ord(sign):04x}"


def write(path: Path, text: str) -> None:
    """Put `text` in the place of the file, whole or not at all. Raises OSError."""
    path = path.resolve()  # of what a link points to
    beside = path.with_name(f".{path.name}.new")
    try:
        beside.write_bytes(text.encode())
        if path.exists():
            shutil.copymode(path, beside)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
