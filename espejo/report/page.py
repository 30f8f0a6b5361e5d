"""From answers and sections to reports/report.html and reports/report.md.

The HTML page is one file: pictures are embedded, it has no script, and its Content-Security-Policy
keeps a browser from loading anything, wherever it is opened.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from espejo.core import escaping
from espejo.report.blocks import Section
from espejo.report.verdicts import Answer
from espejo.report.wording import FOLDER, Wording


def html(
    wording: Wording,
    lead: str,
    answers: Sequence[Answer],
    sections: Sequence[Section],
    pictures: Mapping[str, bytes],
) -> str:
    """The page as HTML; `pictures` holds the PNG of each file that a section shows."""
    styles = (FOLDER / "page.css").read_text("utf-8")
    urls = {
        name: f"data:image/png;base64,{base64.b64encode(content).decode()}"
        for name, content in pictures.items()
    }
    return render(
        "page.html",
        True,
        wording=wording,
        lead=lead,
        answers=answers,
        sections=sections,
        pictures=urls,
        styles=Markup(styles),
        style_digest=digest(styles),
    )


def markdown(
    wording: Wording, lead: str, answers: Sequence[Answer], sections: Sequence[Section]
) -> str:
    """The page as Markdown, which takes its pictures from the folder plots/ beside reports/."""
    page = render("page.md", False, wording=wording, lead=lead, answers=answers, sections=sections)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def digest(content: str) -> str:
    """The source of a Content-Security-Policy that allows exactly this inline content."""
    hashed = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(hashed).decode()}"


def render(template: str, html: bool, **values: object) -> str:
    """A template of espejo/report/ with `values` filled in, escaped for HTML or not at all."""
    templates = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=html,
        finalize=escaping.html if html else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(
        marked=_marked, plain=escaping.markdown, quoted=escaping.quoted, table=_table
    )
    return templates.get_template(template).render(**values)


def _marked(text: str) -> Markup:
    """A Markdown text of a language file, in which what people wrote is escaped, as HTML."""
    return Markup(MarkdownIt("commonmark").renderInline(text))


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table of plain text."""
    escaped = ([*map(escaping.markdown, row)] for row in rows)
    return escaping.table([*map(escaping.markdown, heads)], escaped)
