"""The blocks of a page; the templates write them as HTML or Markdown."""

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
    """Rows of plain text below column heads; the first cell of a row is its head."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    kind: str = "table"


@dataclass(frozen=True)
class Picture:
    """A file of plots/ and its alternative text."""

    file: str
    alt: str
    kind: str = "picture"


@dataclass(frozen=True)
class Turn:
    """Messages of one `speaker` ("" where the page need not name one).

    `real` marks the author's own reply among generated ones.
    """

    speaker: str
    messages: Sequence[str]
    real: bool = False


@dataclass(frozen=True)
class Exchanges:
    """Replies to the same contexts side by side: each row is a context and its replies."""

    heads: Sequence[str]
    rows: Sequence[tuple[Sequence[Turn], Sequence[Turn]]]
    kind: str = "exchanges"


Block = Text | Heading | Table | Picture | Exchanges


@dataclass(frozen=True)
class Section:
    """A part of the details; `name` is its anchor."""

    name: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)
