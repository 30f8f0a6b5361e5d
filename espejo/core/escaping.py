"""What people wrote, shown as text: in a page or a terminal it never becomes anything else.

Messages, names of people, chats, files, models and experiments go through here wherever a page or
a line is written: `markdown`, `html` or `terminal`.

None of them passes on a control character (U+FFFD stands in its place), the half of a character
that a file name which is not UTF-8 leaves, or a character that turns the direction of what follows
(left out: it is never seen, and would reach beyond what it belongs to).
"""

import re
from collections.abc import Iterable, Sequence

from markupsafe import Markup, escape

_BREAK = re.compile("\r\n?|[\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\0-\x08\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")
# What GitHub still acts upon where a backslash stands before it: formulas ($), addresses (@) and
# pictures by name (:octocat:). Its manual's way is a <span> around the character.
_LATE = r"\$|(?<=\S)@(?=\S)|:(?=[\w+-]+:)"
# Marks anywhere; points and colons inside what may be an address, which is no number; what makes
# a line a list or the line below a heading.
_MARK = re.compile(
    rf"(?P<late>{_LATE})|(?P<number>^\d+)(?=[.)](?:\s|$))"
    r"|[\\`*_\[\]<>|#~&]|(?<=\w)[.:](?=[\w/])(?<!\d.(?=\d))|(?i:(?<=www)\.)|^[-+=]"
)


def _seen(text: str) -> str:
    """`text` with nothing in it that acts on what shows it; all line breaks are \\n."""
    return _TURNS.sub("", _CONTROL.sub("\ufffd", _BREAK.sub("\n", text)))


def markdown(text: str) -> str:
    """`text` for a Markdown paragraph, list or table: its lines parted by <br>, none of them blank.

    No link is made of an address either. Blanks at the ends of lines are left out.
    """
    lines = (line.strip() for line in _seen(text).split("\n"))
    return "<br>".join(_MARK.sub(_escaped, line) for line in lines if line)


def _escaped(match: re.Match) -> str:
    if match["late"]:
        return f"<span>{match[0]}</span>"
    return f"{match[0]}\\" if match["number"] else f"\\{match[0]}"


def quoted(messages: Sequence[str], nothing: str) -> str:
    """Messages as Markdown, each on lines of its own; `nothing`, in italics, where there are none.

    `nothing` is ours and Markdown itself.
    """
    return "<br>".join(filter(None, map(markdown, messages))) or f"*{nothing}*"


def row(cells: Sequence[str]) -> str:
    """A row of a Markdown table; the cells are Markdown."""
    return f"| {' | '.join(cells)} |"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; the cells are Markdown, on one line each."""
    return "\n".join(map(row, [heads, ["---"] * len(heads), *rows]))


def html(value: object) -> Markup:
    """`value` for HTML; what is HTML already (Markup) stays."""
    return value if isinstance(value, Markup) else escape(_seen(str(value)))


def terminal(text: str, lines: bool = False) -> str:
    """`text` for a terminal: on one line, or on `lines` of its own."""
    seen = _seen(text).replace("\t", " ")
    return seen if lines else seen.replace("\n", " ")
