"""What a page consists of, whatever it is written in: the templates give it its form."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    """A paragraph in Markdown; what people wrote in it is escaped (escaping.markdown)."""

    text: str
    kind: str = "text"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str
    kind: str = "heading"


@dataclass(frozen=True)
class Table:
    """Rows of plain text under heads; the first cell of a row names it."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A file of plots/ and what it shows."""

    file: str
    alt: str
    kind: str = "picture"


@dataclass(frozen=True)
class Said:
    """Messages of one speaker; `mine` when they are, or ought to be, the author's."""

    who: str
    messages: Sequence[str]
    mine: bool = False


@dataclass(frozen=True)
class Exchanges:
    """Replies to the same contexts side by side: `rows` of a context and its replies."""

    heads: Sequence[str]
    rows: Sequence[tuple[Sequence[Said], Sequence[Said]]]
    kind: str = "exchanges"


Block = Text | Heading | Table | Picture | Exchanges


@dataclass(frozen=True)
class Section:
    """A part of the details; `name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)
