"""The conversation as HTML. What people and models write is text in it, and nothing else."""

from collections.abc import Iterable

from markupsafe import Markup

from espejo.core import escaping
from espejo.report.wording import Wording
from espejo.web.sessions import Bubble, Exchange, Session

_DOTS = Markup("<span></span><span></span><span></span>")


def html(session: Session, wording: Wording) -> str:
    """The bubbles of a session, oldest first, and what is going on."""
    if not session.shown:
        return _tag("p", "empty", wording.text("empty"))
    last = session.shown[-1]
    parts = [
        _exchange(exchange, session.typing if exchange is last else "", wording)
        for exchange in session.shown
    ]
    if session.ahead:
        parts.append(_notice(wording.text("ahead", number=wording.number(session.ahead))))
    elif session.typing == "bot" and last.author != "bot":
        parts.append(_typing(wording))
    if session.left_out and not session.typing:
        parts.append(_notice(wording.text("left_out")))
    return Markup("").join(parts)


def _exchange(exchange: Exchange, typing: str, wording: Wording) -> Markup:
    if exchange.author == "notice":
        return Markup("").join(_notice(bubble.text) for bubble in exchange.bubbles)
    if exchange.author != "bot":
        return _group("person", "", exchange.bubbles, Markup(""))
    mark = _typing(wording)
    tuned = mark if typing == "bot" else Markup("")
    if exchange.base is None:
        return _group("bot", "", exchange.bubbles, tuned)
    base = mark if typing == "base" else Markup("")
    return Markup('<div class="sides">{}{}</div>').format(
        _group("bot", wording.text("tuned"), exchange.bubbles, tuned),
        _group("base", wording.text("base"), exchange.base, base),
    )


def _group(side: str, label: str, bubbles: Iterable[Bubble], typing: Markup) -> Markup:
    """Bubbles of one side, with its `label` above and the sign that it is `typing` below."""
    inner = [
        Markup('<div class="bubble"><span class="text">{}</span><time>{}</time></div>').format(
            escaping.html(bubble.text), escaping.html(bubble.time)
        )
        for bubble in bubbles
    ]
    head = _tag("div", "side", label) if label else Markup("")
    return Markup('<div class="group {}">{}{}{}</div>').format(
        side, head, Markup("").join(inner), typing
    )


def _typing(wording: Wording) -> Markup:
    return Markup('<div class="typing" role="status" aria-label="{}">{}</div>').format(
        wording.text("typing"), _DOTS
    )


def _notice(text: str) -> Markup:
    return _tag("p", "notice", text)


def _tag(name: str, kind: str, text: str) -> Markup:
    return Markup("<{0} class={1}>{2}</{0}>").format(name, kind, escaping.html(text))
