"""people.yaml as a text: read with line numbers, and extended without changing lines of a person.

Names are read as they are written, whatever YAML takes them for: a person may be called No, 12 or
2020-01-01.
"""

import hashlib
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from espejo.core import names
from espejo.core.errors import UserError

MAX_BYTES = 200_000  # about five thousand people
KEYS = ("author", "people", "aliases")
_SALT_LINE = re.compile(r"^#\s*salt:\s*([0-9a-f]{32,}|none)\b", re.MULTILINE)
_EMPTY_VALUES = ("", "~", "null", "Null", "NULL")
_NO_SPACE = re.compile(r"""\s*[^#\s"'][^:#]*:\S""")  # a line without a space after its colon
# Characters that no editor shows and YAML takes for line ends or refuses.
_TO_SPACE = dict.fromkeys(
    [*range(9), 11, 12, *range(14, 32), *range(0x7F, 0xA0), 0x2028, 0x2029], " "
) | dict.fromkeys([0xA0, 0x2009, 0x202F, 0x3000], " ")
_BLANKS = re.compile(r"(?<=\S)[ \t]+")
_MAX_DEPTH = 20  # of nested brackets: a name may contain some
SALT_ADVICE = (
    "Keep that line, and give it to nobody: without it whoever sees dvc.lock could try out names."
)
ALSO_CALLED = "also called {names}? Then say so under aliases"


@dataclass(frozen=True)
class Entry:
    """A name as written, the value after its colon ("" for none), and its line, from 1."""

    name: str
    answer: str | tuple[str, ...]
    line: int


@dataclass(frozen=True)
class File:
    """The parts of a people.yaml; entries of `author` are names without a value.

    `root` is the YAML node of the whole file, None if it is empty.
    """

    text: str = ""
    author: tuple[Entry, ...] = ()
    people: tuple[Entry, ...] = ()
    aliases: tuple[Entry, ...] = ()
    root: MappingNode | None = field(default=None, compare=False)

    @property
    def salted(self) -> bool:
        """Whether it has a salt, so that its MD5 in dvc.lock confirms no guess of names."""
        return bool(self.salt)

    @property
    def salt(self) -> str:
        """The salt that stands in it; "" if there is none yet."""
        line = _SALT_LINE.search(self.text)
        return line[1] if line else ""

    def mark(self, name: str) -> str:
        """The salted hash of a name, the same for all its spellings: it stands for the person where
        no name may, and does not change with the place in the file, as a pseudonym does.
        """
        return hashlib.sha256(f"{self.salt}\n{names.key(name)}".encode()).hexdigest()[:32]


def with_salt(text: str, advice: str = SALT_ADVICE) -> str:
    """The text below a comment of two lines, 128 random bits and `advice`; line ends stay."""
    comment = f"# salt: {secrets.token_hex(16)}\n# {advice}\n"
    if "\r\n" in text:
        comment = comment.replace("\n", "\r\n")
    byte_order_mark = "\ufeff" if text.startswith("\ufeff") else ""
    return byte_order_mark + comment + text.removeprefix(byte_order_mark)


def read(path: Path) -> File:
    """Read a people.yaml. Raises UserError, with the line, when it cannot be read or is invalid."""
    return parse(_read_text(path), path)


def parse(text: str, path: Path) -> File:
    """The parts of a text. Raises UserError, which names `path` and line, when it is invalid."""
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


def _read_text(path: Path) -> str:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError(f"{path} is a folder or no ordinary file: expected a text; move it.")
        if status.st_size > MAX_BYTES:
            raise UserError(
                f"{path} holds {status.st_size:,} bytes, far beyond a list of people: look what is "
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
    """The YAML nodes of a text, None if it is empty.

    No values are built from them: so a name stays as it is written, and nested YAML aliases cannot
    blow up memory.
    """
    text = _BLANKS.sub(lambda blanks: " " * len(blanks[0]), text.translate(_TO_SPACE))
    lines = text.split("\n")
    nested = _first_index(lines, lambda line: _depth(line) > _MAX_DEPTH)
    if nested is not None:
        raise _syntax_error(path, nested, "brackets within brackets")
    try:
        return YAML(pure=True).compose(text)
    except RecursionError:
        raise _syntax_error(path, None, "brackets within brackets") from None
    except ReaderError as error:
        index = text.count("\n", 0, error.position)
        raise _syntax_error(
            path, index, f"a sign that YAML does not know, U+{error.character:04X}"
        ) from None
    except (YAMLError, ValueError) as error:
        # YAML reads a line without the space as going on in the next, and complains of a later one.
        no_space = _first_index(lines, _NO_SPACE.match)
        tab = _first_index(lines, re.compile(r" *\t").match)
        if no_space is not None:
            raise _syntax_error(path, no_space, "no space after a colon") from None
        if tab is not None:
            raise _syntax_error(path, tab, "a tab where it begins: use spaces") from None
        mark = getattr(error, "problem_mark", None)
        problem = " ".join(str(getattr(error, "problem", "") or "something else").split())
        if sign := re.search("found character '(.)' that cannot start", problem):
            problem = f"a name that begins with {sign[1]} and is not in quotes"
        raise _syntax_error(path, mark and min(mark.line, len(lines) - 1), problem) from None


def _first_index(lines: Sequence[str], condition: Callable[[str], object]) -> int | None:
    return next((index for index, line in enumerate(lines) if condition(line)), None)


def _syntax_error(path: Path, index: int | None, problem: str) -> UserError:
    where = "" if index is None else f" (line {index + 1})"
    return UserError(
        f"{path}{where} is not valid YAML, there or just before ({problem}): expected "
        "`author: NAME` and, under people, lines `NAME: ANSWER`, with a space after each colon."
    )


def _depth(line: str) -> int:
    """How deep brackets are nested in a line."""
    depth = max_depth = 0
    for sign in line:
        depth += (sign in "[{") - (sign in "]}")
        max_depth = max(max_depth, depth)
    return max_depth


def _line(node: Node) -> str:
    return f" (line {node.start_mark.line + 1})"


def _kind(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a list of pairs"
    return "a list" if isinstance(node, SequenceNode) else "one word"


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"{name[:40]}…"


def _pairs(node: MappingNode, path: Path) -> list[tuple[Entry, Node]]:
    """The keys and values of a mapping. Raises UserError for a key that stands there twice.

    Two spellings of a key that only look alike are no error: `people` makes one person of them.
    """
    lines_of: dict[str, int] = {}
    pairs = []
    for key, value in node.value:
        if not isinstance(key, ScalarNode) or not names.plain(key.value):
            raise UserError(f"{path}{_line(key)}: expected a name before the colon.")
        name, line = names.plain(key.value), key.start_mark.line + 1
        if key.value in lines_of:
            raise UserError(
                f"{path} (line {line}): {_short(name)} stands on line {lines_of[key.value]} "
                "already; leave one of the two."
            )
        lines_of[key.value] = line
        pairs.append((Entry(name, "", line), value))
    return pairs


def _missing(node: Node) -> bool:
    """Whether a value is empty."""
    return isinstance(node, ScalarNode) and node.style is None and node.value in _EMPTY_VALUES


def _author(node: Node | None, path: Path) -> list[Entry]:
    author = node.value if isinstance(node, SequenceNode) else [] if node is None else [node]
    for node in author:
        if not isinstance(node, ScalarNode):
            raise UserError(
                f"{path}{_line(node)}: {_kind(node)} stands after author; expected a name, or a "
                "list of the names of one person: [NAME, NAME]."
            )
    return [
        Entry(name, "", node.start_mark.line + 1)
        for node in author
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
    expected = "expected lines `NAME: [OTHER NAME, OTHER NAME]`, NAME as under people"
    if not isinstance(node, MappingNode):
        raise UserError(f"{path}{_line(node)}: {_kind(node)} stands under aliases; {expected}.")
    entries = []
    for entry, value in _pairs(node, path):
        aliases = value.value if isinstance(value, SequenceNode) else [value]
        if not all(isinstance(node, ScalarNode) for node in aliases):
            raise UserError(
                f"{path} (line {entry.line}): not a name after {_short(entry.name)}; {expected}."
            )
        texts = tuple(names.plain(node.value) for node in aliases if not _missing(node))
        entries.append(Entry(entry.name, texts, entry.line))
    return entries


def add_names(
    file: File, unlisted: Mapping[str, Sequence[str]], comment: str = ALSO_CALLED
) -> str | None:
    """The text with more names under people, each with its possible nicknames in a comment.

    `comment` is its text, with {names} for the nicknames.

    Lines that a person wrote stay as they are; only people in braces, {Ana: train}, are extended on
    their line. None if there is no place for the names.
    """
    newline = "\r\n" if "\r\n" in file.text else "\n"
    text = file.text
    if text.strip("\ufeff") and not text.endswith("\n"):
        text += newline
    lines = text.split("\n")  # as YAML counts lines
    pairs = file.root.value if file.root else ()
    key, node = next((pair for pair in pairs if pair[0].value == "people"), (None, None))
    new = None
    if key is None or node is None:
        if file.root is None or not file.root.flow_style:
            start = "" if file.root else f"author:{newline}"
            new = f"{text}{start}people:{newline}{_block(unlisted, '  ', newline, comment)}"
    elif _missing(node) and not node.value:
        new = _insert(lines, key.start_mark.line, _block(unlisted, "  ", newline, comment))
    elif isinstance(node, MappingNode) and not node.flow_style:
        name, answer = node.value[-1]
        # YAML puts a missing answer at the next word of the file.
        last_line = (name if _missing(answer) and not answer.value else answer).end_mark.line
        indent = " " * node.value[0][0].start_mark.column
        new = _insert(lines, last_line, _block(unlisted, indent, newline, comment))
    elif isinstance(node, MappingNode):
        end = node.end_mark.index - 1
        comma = ", " if node.value else ""
        pairs_added = ", ".join(f"{_quoted(name)}: " for name in unlisted)
        new = text[:end] + comma + pairs_added + text[end:]
    if new is None:
        return None
    try:
        reparsed = parse(new, Path())
    except UserError:
        return None
    expected = [(entry.name, entry.answer) for entry in file.people] + [
        (names.plain(name), "") for name in unlisted
    ]
    as_expected = [(entry.name, entry.answer) for entry in reparsed.people] == expected and (
        [entry.name for entry in reparsed.author] == [entry.name for entry in file.author]
    )
    return new if as_expected else None


def add_aliases(file: File, aliases: Mapping[str, Sequence[str]]) -> str | None:
    """The text with more lines under aliases: a name -> what else the person is called.

    Other lines stay as they are. None if there is no place for them.
    """
    newline = "\r\n" if "\r\n" in file.text else "\n"
    aliases = {name: others for name, others in aliases.items() if others}
    pairs = file.root.value if file.root else ()
    key, node = next((pair for pair in pairs if pair[0].value == "aliases"), (None, None))
    if not aliases:
        return file.text
    if file.root is None or file.root.flow_style or (node and node.value and node.flow_style):
        return None
    # At the beginning of the list, since its end may be the comment of something else.
    column = node.value[0][0].start_mark.column if node and node.value else 2
    block = "".join(f"{' ' * column}{line}{newline}" for line in alias_lines(aliases))
    if key is None:
        end = "" if file.text.endswith("\n") else newline
        text = f"{file.text}{end}aliases:{newline}{block}"
    else:
        text = _insert(file.text.split("\n"), key.start_mark.line, block)
    try:
        result = parse(text, Path())
    except UserError:
        return None
    added = [(names.plain(name), tuple(map(names.plain, aliases[name]))) for name in aliases]
    as_expected = (
        _contents(result.author) == _contents(file.author)
        and _contents(result.people) == _contents(file.people)
        and _contents(result.aliases) == [*added, *_contents(file.aliases)]
    )
    return text if as_expected else None


def alias_lines(aliases: Mapping[str, Sequence[str]]) -> list[str]:
    """The lines under aliases, without their indentation."""
    return [f"{_key(name)}: [{', '.join(map(_quoted, words))}]" for name, words in aliases.items()]


def fill_in(file: File, author: Sequence[str], answers: Mapping[str, str]) -> str | None:
    """The text with more names of the author, and with answers after names that have none yet.

    Comments, order and existing answers stay. `answers` maps names, as the file spells them, to
    answers. None if the file is written in a way that has no place for them.
    """
    newline = "\r\n" if "\r\n" in file.text else "\n"
    root = file.root
    pairs = {key.value: (key, value) for key, value in root.value} if root else {}
    edits = []  # start, end, and the text to put there
    if author and "author" in pairs:
        edits.append(_more_names(*pairs["author"], file, author, newline))
    elif author and root and pairs:
        start = root.start_mark.index
        edits.append((start, start, f"author: {_author_value(author)}{newline}"))
    elif author:
        end = len(file.text)
        edits.append((end, end, f"{newline}author: {_author_value(author)}{newline}"))
    people = pairs["people"][1].value if "people" in pairs and answers else ()
    for key, value in people if isinstance(people, list) else ():
        if answer := answers.get(names.plain(key.value)):
            edits.append(_after_colon(key, value, file, answer))
    text = file.text
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    try:
        result = parse(text, Path())
    except UserError:
        return None
    as_expected = (
        [entry.name for entry in result.author]
        == [*(entry.name for entry in file.author), *map(names.plain, author)]
        and _contents(result.people)
        == [(name, answer or answers.get(name, "")) for name, answer in _contents(file.people)]
        and _contents(result.aliases) == _contents(file.aliases)
        and answers.keys() <= {entry.name for entry in file.people if not entry.answer}
    )
    return text if as_expected else None


def _contents(entries: Sequence[Entry]) -> list[tuple[str, str | tuple[str, ...]]]:
    return [(entry.name, entry.answer) for entry in entries]


def _after_colon(key: Node, value: Node, file: File, text: str) -> tuple[int, int, str]:
    """The edit that puts `text` after a key whose value is empty."""
    if value.end_mark.index > value.start_mark.index:  # ~, null or ""
        return value.start_mark.index, value.end_mark.index, text
    colon = file.text.find(":", key.end_mark.index) + 1
    return colon, colon, f" {text}"


def _more_names(
    key: Node, value: Node, file: File, author: Sequence[str], newline: str
) -> tuple[int, int, str]:
    """The edit that puts more names after the key `author`."""
    if _missing(value):
        return _after_colon(key, value, file, _author_value(author))
    if isinstance(value, SequenceNode) and not value.flow_style:
        last = value.value[-1]
        indent = " " * value.start_mark.column
        more = "".join(f"{newline}{indent}- {_quoted(name)}" for name in author)
        return last.end_mark.index, last.end_mark.index, more
    start, end = value.start_mark.index, value.end_mark.index
    written = file.text[start:end].strip().removeprefix("[").removesuffix("]").strip(", ")
    quoted = ", ".join(map(_quoted, author))
    return start, end, f"[{written}, {quoted}]" if written else f"[{quoted}]"


def _author_value(author: Sequence[str]) -> str:
    """The author's names as YAML: several as a list, one without quotes if YAML reads it alike."""
    if len(author) > 1:
        return f"[{', '.join(map(_quoted, author))}]"
    try:
        node = YAML(pure=True).compose(f"author: {author[0]}\n").value[0][1]
        bare = node.value == author[0] and node.style is None and author[0].isprintable()
    except (YAMLError, ValueError, AttributeError, TypeError):
        bare = False
    return author[0] if bare and not _missing(node) else _quoted(author[0])


def _insert(lines: Sequence[str], after: int, block: str) -> str:
    return "\n".join(lines[: after + 1]) + "\n" + block + "\n".join(lines[after + 1 :])


def _block(unlisted: Mapping[str, Sequence[str]], indent: str, newline: str, comment: str) -> str:
    """Lines of names without an answer, with possible nicknames in a comment."""
    lines = []
    for name, nicknames in unlisted.items():
        proposed = f"   # {comment.format(names=', '.join(nicknames))}" if nicknames else ""
        lines.append(f"{indent}{_key(name)}:{proposed}{newline}")
    return "".join(lines)


def _key(name: str) -> str:
    """A name as a YAML key, without quotes if YAML reads it alike."""
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
    """Replace the file's content with `text`, all of it or nothing. Raises OSError."""
    path = path.resolve()  # the file that a link points to
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_bytes(text.encode())
        if path.exists():
            shutil.copymode(path, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
