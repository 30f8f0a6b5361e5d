"""From answers and sections to reports/report.html and reports/report.md.

The page is one file: pictures stand inside it, it has no script, and its policy lets a browser load
nothing, wherever it is opened.
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
    data = {
        name: f"data:image/png;base64,{base64.b64encode(content).decode()}"
        for name, content in pictures.items()
    }
    return filled(
        "page.html",
        True,
        wording=wording,
        lead=lead,
        answers=answers,
        sections=sections,
        pictures=data,
        styles=Markup(styles),
        style_digest=digest(styles),
    )


def markdown(
    wording: Wording, lead: str, answers: Sequence[Answer], sections: Sequence[Section]
) -> str:
    """The page as Markdown, with pictures from the folder plots/ beside its own."""
    page = filled("page.md", False, wording=wording, lead=lead, answers=answers, sections=sections)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"


def digest(content: str) -> str:
    """What the page's policy allows inline: exactly this content."""
    hashed = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(hashed).decode()}"


def filled(template: str, escaped: bool, **values: object) -> str:
    """A template of espejo/report/ or espejo/ with `values` in it, escaped for HTML or not."""
    templates = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=escaped,
        finalize=escaping.html if escaped else None,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(marked=_marked, plain=escaping.markdown, quoted=escaping.quoted)
    return templates.get_template(template).render(**values)


def _marked(text: str) -> Markup:
    """A text of ours, which is Markdown with what people wrote escaped, in HTML."""
    return Markup(MarkdownIt("commonmark").renderInline(text))
