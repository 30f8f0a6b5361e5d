"""Escaping: what people wrote is shown as plain text, never run as markup or terminal codes.

Messages and names of people, chats, files, models and experiments go through `markdown`, `html` or
`terminal` wherever a page or a line is written.

All three replace control characters and lone surrogates (from file names that are not UTF-8) by
U+FFFD, and drop characters that change the writing direction, which would affect the text after.
"""

import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

_BREAK = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
# What GitHub interprets even after a backslash: formulas ($), mentions (@) and emoji by name
# (:octocat:). Its documentation puts a <span> around the character.
_LATE = r"\$|(?<=\S)@(?=\S)|:(?=[\w+-]+:)"
# Markup anywhere; dots and colons inside what may be a web address but is no number; what makes a
# line a list item or a heading's underline.
_MARK = re.compile(
    rf"(?P<late>{_LATE})|(?P<number>^\d+)(?=[.)](?:\s|$))"
    r"|[\\`*_\[\]<>|#~&]|(?<=\w)[.:](?=[\w/])(?<!\d.(?=\d))|(?i:(?<=www)\.)|^[-+=]"
)


def _seen(text: str) -> str:
    """`text` without characters that control its display; all line breaks are \\n."""
    return _TURNS.sub("", _CONTROL.sub("\ufffd", _BREAK.sub("\n", text)))


def markdown(text: str) -> str:
    """`text` for a Markdown paragraph, list or table: lines joined by <br>, blank lines dropped.

    Web addresses do not become links. Spaces at the ends of lines are dropped.
    """
    lines = (line.strip() for line in _seen(text).split("\n"))
    return "<br>".join(_MARK.sub(_escaped, line) for line in lines if line)


def _escaped(match: re.Match) -> str:
    if match["late"]:
        return f"<span>{match[0]}</span>"
    return f"{match[0]}\\" if match["number"] else f"\\{match[0]}"


def quoted(messages: Sequence[str], nothing: str) -> str:
    """Messages as Markdown, each on its own line; if there are none, `nothing` in italics.

    `nothing` is Markdown, and is not escaped.
    """
    return "<br>".join(filter(None, map(markdown, messages))) or f"*{nothing}*"


def row(cells: Sequence[str]) -> str:
    """A row of a Markdown table; the cells are Markdown."""
    return f"| {' | '.join(cells)} |"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the cells are Markdown, on one line each."""
    return "\n".join(map(row, [heads, ["---"] * len(heads), *rows]))


def html(value: object) -> Markup:
    """`value` escaped for HTML; Markup, which is HTML already, is returned as it is."""
    return value if isinstance(value, Markup) else escape(_seen(str(value)))


def terminal(text: str, lines: bool = False) -> str:
    """`text` for a terminal, on one line; with `lines`, its line breaks are kept."""
    seen = _seen(text).replace("\t", " ")
    return seen if lines else seen.replace("\n", " ")
