"""From answers and sections to reports/report.html and reports/report.md.

The page is one file: pictures stand inside it, it has no script, and its policy lets a browser load
nothing, wherever it is opened.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from espejo.report.answers import Answer
from espejo.report.blocks import Section
from espejo.report.wording import FOLDER, Wording

# Messages may hold what Markdown and HTML would read as marks.
_MARKS = re.compile(r"([\\`*_\[\]<>|#])")


def html(
    say: Wording,
    lead: str,
    answers: Sequence[Answer],
    sections: Sequence[Section],
    pictures: Mapping[str, bytes],
) -> str:
    """The page as HTML; `pictures` holds the PNG of each file that a section shows."""
    styles = (FOLDER / "page.css").read_text("utf-8")
    data = {
        name: f"data:image/png;base64,{base64.b64encode(content).decode()}"
        for name, content in pictures.items()
    }
    return filled(
        "page.html",
        True,
        say=say,
        lead=lead,
        answers=answers,
        sections=sections,
        pictures=data,
        styles=Markup(styles),
        style_digest=digest(styles),
    )


def markdown(
    say: Wording, lead: str, answers: Sequence[Answer], sections: Sequence[Section]
) -> str:
    """The page as Markdown, with pictures from the folder plots/ beside its own."""
    page = filled("page.md", False, say=say, lead=lead, answers=answers, sections=sections)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def digest(content: str) -> str:
    """What the page's policy allows inline: exactly this content."""
    hashed = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(hashed).decode()}"


def filled(template: str, escaped: bool, **values: object) -> str:
    """A template of espejo/report/ or espejo/ with `values` in it, escaped for HTML or not."""
    templates = Environment(
        loader=FileSystemLoader([FOLDER, FOLDER.parent]),
        autoescape=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(marked=_marked, cell=_cell, quoted=quoted)
    return templates.get_template(template).render(**values)


def _marked(text: str) -> Markup:
    """`code` and *emphasis* of our own texts, in HTML."""
    safe = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup(re.sub(r"\*([^*]+)\*", r"<em>\1</em>", safe))


def _cell(text: str) -> str:
    """A cell of ours in a Markdown table."""
    return text.replace("|", "\\|")


def quoted(messages: Sequence[str], nothing: str) -> str:
    """Messages in a Markdown table: as they are, whatever marks they hold."""
    lines = [_MARKS.sub(r"\\\1", line) for text in messages for line in text.splitlines()]
    return "<br>".join(line for line in lines if line.strip()) or f"*{nothing}*"
